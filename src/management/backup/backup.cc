#include "management/backup/backup.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "management/audit/record.h"
#include "management/audit/segments.h"
#include "management/audit/verify.h"
#include "management/backup/archive.h"
#include "management/backup/database_copy.h"

namespace weir::management {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::string_view kManifest = "manifest.json";
constexpr std::string_view kDatabases[] = {"config.db", "auth.db"};
constexpr std::size_t kMostManifest = 16U << 20U;
constexpr std::int64_t kFormat = 1;
constexpr int kTries = 5;

// A new directory of this user's alone beside a path, removed at the end.
class Stage {
 public:
  static Result<Stage> Make(const std::string& beside) {
    std::string name = beside + ".XXXXXX";
    if (mkdtemp(name.data()) == nullptr) {
      return Fail(ErrorCode::kUnavailable, "cannot make a directory beside '" + beside + "': " + std::strerror(errno));
    }
    return Stage(std::move(name));
  }
  ~Stage() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Stage(Stage&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Stage& operator=(Stage&&) = delete;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  const std::string& path() const { return path_; }
  void Keep() { path_.clear(); }

 private:
  explicit Stage(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

bool Exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Result<> MakeDirectory(const std::string& path) {
  std::error_code fault;
  fs::create_directory(path, fault);
  if (!fault) fs::permissions(path, fs::perms::owner_all, fault);
  if (fault) return Fail(ErrorCode::kUnavailable, "cannot make '" + path + "': " + fault.message());
  return {};
}

// As much of it as there is now: what is appended meanwhile comes with the next backup.
Result<> CopyFile(const std::string& from, const std::string& to) {
  std::error_code fault;
  if (auto regular = CheckRegularFile(from); !regular) return regular;
  fs::copy_file(from, to, fault);
  if (!fault) fs::permissions(to, fs::perms::owner_read | fs::perms::owner_write, fault);
  if (fault) return Fail(ErrorCode::kUnavailable, "cannot copy '" + from + "': " + fault.message());
  return {};
}

// What a statement says of the records comes before the records, so that it never says more than there is.
Result<> CopyAudit(const std::string& from, const std::string& to) {
  if (auto made = MakeDirectory(to); !made) return made;
  for (const char* name : {"checkpoints.ndjson", "head", "signing.pub", "signing.key"}) {
    const std::string path = from + "/" + name;
    if (!Exists(path)) continue;
    if (auto copied = CopyFile(path, to + "/" + name); !copied) return copied;
  }
  const auto segments = audit::ListSegments(from);
  if (!segments) return std::unexpected(segments.error());
  for (const audit::Segment& segment : *segments) {
    const std::string name = segment.path.substr(segment.path.rfind('/') + 1);
    if (auto copied = CopyFile(segment.path, to + "/" + name); !copied) return copied;
  }
  return {};
}

Result<std::uint64_t> VerifiedRecords(const std::string& directory) {
  const auto report = audit::Verify(directory);
  if (!report) return std::unexpected(report.error());
  if (report->fault) {
    return Fail(ErrorCode::kDataLoss,
                "the audit log is not intact: " + report->fault->file + ": " + report->fault->what);
  }
  return report->records;
}

// A log that is written to can be caught in the middle of a statement or of a removal: then it is copied anew. One that
// is damaged stays so.
Result<std::uint64_t> StageAudit(const std::string& from, const std::string& to) {
  Result<std::uint64_t> records = 0;
  for (int i = 0; i < kTries; ++i) {
    std::error_code ignored;
    fs::remove_all(to, ignored);
    if (auto copied = CopyAudit(from, to); !copied) {
      records = std::unexpected(copied.error());
      continue;
    }
    records = VerifiedRecords(to);
    if (records) break;
  }
  return records;
}

Result<std::vector<std::string>> FilesBelow(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code fault;
  for (auto it = fs::recursive_directory_iterator(directory, fault); !fault && it != fs::end(it); it.increment(fault)) {
    if (it->is_regular_file(fault)) names.push_back(fs::relative(it->path(), directory, fault).string());
  }
  if (fault) return Fail(ErrorCode::kUnavailable, "cannot list '" + directory + "': " + fault.message());
  std::ranges::sort(names);
  return names;
}

// Of the parts that a backup may have: whoever made the file otherwise cannot write elsewhere.
bool IsPartName(const std::string& name) {
  if (std::ranges::find(kDatabases, name) != std::end(kDatabases)) return true;
  constexpr std::string_view kAudit = "audit/";
  if (!name.starts_with(kAudit)) return false;
  const std::string_view file = std::string_view(name).substr(kAudit.size());
  return !file.empty() && !file.starts_with('.') && std::ranges::all_of(file, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

std::string TextOf(const json::object& object, std::string_view member) {
  const json::value* const value = object.if_contains(member);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

Result<BackupSummary> CheckManifest(const std::string& text, const std::map<std::string, DigestText>& parts) {
  boost::system::error_code fault;
  const json::value value = json::parse(text, fault);
  if (fault || !value.is_object()) return Fail(ErrorCode::kDataLoss, "its manifest is damaged");
  const json::object& manifest = value.get_object();
  const json::value* const format = manifest.if_contains("format");
  if (format == nullptr || !format->is_int64()) return Fail(ErrorCode::kDataLoss, "its manifest is damaged");
  if (format->get_int64() > kFormat) return Fail(ErrorCode::kFailedPrecondition, "it was made by a newer weir");
  const json::value* const listed = manifest.if_contains("parts");
  if (listed == nullptr || !listed->is_object() || listed->get_object().size() != parts.size()) {
    return Fail(ErrorCode::kDataLoss, "it does not have the parts that its manifest lists");
  }
  for (const auto& [name, digest] : parts) {
    if (TextOf(listed->get_object(), name) != digest) {
      return Fail(ErrorCode::kDataLoss, "'" + name + "' is not what its manifest says: it is damaged");
    }
  }
  return BackupSummary{.bytes = 0,
                       .parts = parts.size(),
                       .audit_records = 0,
                       .made = TextOf(manifest, "made"),
                       .version = TextOf(manifest, "version")};
}

// Everything into `directory`; what it is is checked afterwards.
Result<BackupSummary> Unpack(const std::string& file, const std::string& directory) {
  auto archive = ArchiveReader::Open(file);
  if (!archive) return std::unexpected(archive.error());
  std::map<std::string, DigestText> parts;
  std::uint64_t bytes = 0;
  std::string manifest;
  ArchiveReader::Member member;
  while (true) {
    const auto more = archive->Next(&member);
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
    if (!manifest.empty()) return Fail(ErrorCode::kDataLoss, "something follows its manifest");
    if (member.name == kManifest) {
      auto text = archive->Text(kMostManifest);
      if (!text) return std::unexpected(text.error());
      manifest = std::move(*text);
      continue;
    }
    if (!IsPartName(member.name) || parts.contains(member.name)) {
      return Fail(ErrorCode::kDataLoss, "it has a part that no backup has");
    }
    if (member.name.starts_with("audit/") && !Exists(directory + "/audit")) {
      if (auto made = MakeDirectory(directory + "/audit"); !made) return std::unexpected(made.error());
    }
    auto digest = archive->Extract(directory + "/" + member.name);
    if (!digest) return std::unexpected(digest.error());
    parts.emplace(member.name, std::move(*digest));
    bytes += member.size;
  }
  if (manifest.empty()) return Fail(ErrorCode::kDataLoss, "it has no manifest: it is not whole, or no backup");
  auto summary = CheckManifest(manifest, parts);
  if (summary) summary->bytes = bytes;
  return summary;
}

Result<> SyncDirectory(const std::string& path) {
  const FileDescriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || fsync(directory.get()) != 0) {
    return Fail(ErrorCode::kUnavailable, "cannot sync '" + path + "': " + std::strerror(errno));
  }
  return {};
}

std::string ParentOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

Result<BackupSummary> MakeBackup(const std::string& state_directory, const std::string& file, std::string_view version,
                                 Nanos now) {
  if (Exists(file)) return Fail(ErrorCode::kAlreadyExists, "'" + file + "' is there already");
  const bool any = std::ranges::any_of(
      kDatabases, [&](std::string_view name) { return Exists(state_directory + "/" + std::string(name)); });
  if (!any) return Fail(ErrorCode::kNotFound, "'" + state_directory + "' is no state directory of weir");
  auto stage = Stage::Make(file);
  if (!stage) return std::unexpected(stage.error());
  for (const std::string_view database : kDatabases) {
    const std::string name = "/" + std::string(database);
    if (!Exists(state_directory + name)) continue;
    if (auto copied = CopyDatabase(state_directory + name, stage->path() + name); !copied) {
      return std::unexpected(copied.error());
    }
  }
  BackupSummary summary{.made = audit::TimeText(now), .version = std::string(version)};
  if (Exists(state_directory + "/audit")) {
    const auto records = StageAudit(state_directory + "/audit", stage->path() + "/audit");
    if (!records) return std::unexpected(records.error());
    summary.audit_records = *records;
  }
  const auto names = FilesBelow(stage->path());
  if (!names) return std::unexpected(names.error());
  const std::string packed = stage->path() + "/packed.tar";
  auto archive = ArchiveWriter::Create(packed);
  if (!archive) return std::unexpected(archive.error());
  json::object parts;
  for (const std::string& name : *names) {
    std::error_code ignored;
    summary.bytes += fs::file_size(stage->path() + "/" + name, ignored);
    auto digest = archive->AddFile(name, stage->path() + "/" + name);
    if (!digest) return std::unexpected(digest.error());
    parts[name] = *digest;
  }
  summary.parts = parts.size();
  const json::object manifest{
      {"format", kFormat}, {"version", version}, {"made", summary.made}, {"parts", std::move(parts)}};
  if (auto added = archive->AddText(std::string(kManifest), json::serialize(manifest)); !added) {
    return std::unexpected(added.error());
  }
  if (auto finished = archive->Finish(); !finished) return std::unexpected(finished.error());
  // Under its name only when it is whole, and never over another file.
  if (link(packed.c_str(), file.c_str()) != 0) {
    return Fail(errno == EEXIST ? ErrorCode::kAlreadyExists : ErrorCode::kUnavailable,
                "'" + file + "' cannot be made: " + std::strerror(errno));
  }
  if (auto synced = SyncDirectory(ParentOf(file)); !synced) return std::unexpected(synced.error());
  return summary;
}

Result<BackupSummary> RestoreBackup(const std::string& file, const std::string& given) {
  std::string directory = given;
  while (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  std::error_code fault;
  if (Exists(directory) && !fs::is_empty(directory, fault)) {
    return Fail(ErrorCode::kFailedPrecondition,
                "'" + directory + "' is not empty: stop weir and move it away first, so that nothing is lost");
  }
  auto stage = Stage::Make(directory);
  if (!stage) return std::unexpected(stage.error());
  auto summary = Unpack(file, stage->path());
  if (!summary) return Fail(summary.error().code, "'" + file + "': " + summary.error().message);
  for (const std::string_view database : kDatabases) {
    const std::string path = stage->path() + "/" + std::string(database);
    if (!Exists(path)) continue;
    if (auto checked = CheckDatabase(path); !checked) return std::unexpected(checked.error());
  }
  if (Exists(stage->path() + "/audit")) {
    const auto records = VerifiedRecords(stage->path() + "/audit");
    if (!records) return std::unexpected(records.error());
    summary->audit_records = *records;
    if (auto synced = SyncDirectory(stage->path() + "/audit"); !synced) return std::unexpected(synced.error());
  }
  if (auto synced = SyncDirectory(stage->path()); !synced) return std::unexpected(synced.error());
  if (Exists(directory)) fs::remove(directory, fault);  // empty
  fs::rename(stage->path(), directory, fault);
  if (fault) return Fail(ErrorCode::kUnavailable, "cannot make '" + directory + "': " + fault.message());
  stage->Keep();
  if (auto synced = SyncDirectory(ParentOf(directory)); !synced) return std::unexpected(synced.error());
  return summary;
}

}  // namespace weir::management
