#include "library/entity_journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include "algorithms/instant.h"
#include "base/hash.h"
#include "base/log.h"
#include "config/document/entity_text.h"
#include "config/snapshot/key_name.h"

namespace weir::library {
namespace {

using config::EntityChange;
using Kind = EntityChange::Kind;

constexpr std::string_view kHead = "weirENTITIES 1\n";
constexpr std::string_view kKinds = "tuk";  // by Kind
constexpr std::size_t kMostBytes = std::size_t{4} << 30;
constexpr std::size_t kMostForms = static_cast<std::size_t>(config::kMostPrevious) + 1;

// A key's name is the key itself, perhaps: what is written down is its digest.
std::string SafeName(const EntityChange& change) {
  if (change.kind != Kind::kApiKey) return change.name;
  const auto digest = config::DigestOfKeyName(change.name);
  return digest ? config::KeyNameOfDigest(*digest) : std::string();
}

std::string JsonOf(const EntityChange& change) {
  return std::visit(
      []<typename Limits>(const Limits& limits) {
        if constexpr (std::is_same_v<Limits, std::monostate>) {
          return std::string();
        } else {
          return config::LimitsToJson(limits);
        }
      },
      change.limits);
}

template <typename Limits>
bool ReadLimits(std::string_view json, EntityChange& change) {
  auto limits = config::LimitsFromJson<Limits>(json);
  if (limits) change.limits = std::move(*limits);
  return limits.has_value();
}

bool ReadLimits(std::string_view json, EntityChange& change) {
  switch (change.kind) {
    case Kind::kTenant:
      return ReadLimits<TenantLimits>(json, change);
    case Kind::kUser:
      return ReadLimits<UserLimits>(json, change);
    case Kind::kApiKey:
      return ReadLimits<ApiKeyLimits>(json, change);
  }
  return false;
}

std::string ChecksumOf(std::string_view body) { return fmt::format("{:016x}", Hash64(body)); }

void AppendRecord(const EntityRecord& record, std::string& to) {
  const std::string name = SafeName(record.change);
  const std::string json = JsonOf(record.change);
  const char done = !json.empty() ? '+' : record.gone ? 'x' : '-';
  const std::string body = fmt::format("{} {}\n", name, json);
  to += fmt::format("{} {} {} {} {} {}\n{}", record.at, kKinds[static_cast<std::size_t>(record.change.kind)], done,
                    name.size(), json.size(), ChecksumOf(body), body);
}

// Takes a word and the character behind it.
std::string_view TakeWord(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  const std::string_view word = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return word;
}

template <typename Number>
std::optional<Number> NumberIn(std::string_view word) {
  Number value{};
  const auto [stop, fault] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (fault != std::errc{} || stop != word.data() + word.size()) return std::nullopt;
  return value;
}

enum class Taken : std::uint8_t { kRecord, kUnreadable, kDamaged };

// Takes a record off the front. kUnreadable: it is whole, but this version does not understand it.
Taken TakeRecord(std::string_view& text, EntityRecord& record) {
  std::string_view line = TakeWord(text, '\n');
  const auto at = NumberIn<Nanos>(TakeWord(line, ' '));
  const std::string_view kind = TakeWord(line, ' ');
  const std::string_view done = TakeWord(line, ' ');
  const auto name_bytes = NumberIn<std::size_t>(TakeWord(line, ' '));
  const auto json_bytes = NumberIn<std::size_t>(TakeWord(line, ' '));
  if (!at || kind.size() != 1 || done.size() != 1 || !name_bytes || !json_bytes) return Taken::kDamaged;
  if (*name_bytes > text.size() || *json_bytes > text.size() - *name_bytes) return Taken::kDamaged;
  const std::size_t whole = *name_bytes + *json_bytes + 2;
  if (whole > text.size() || line != ChecksumOf(text.substr(0, whole))) return Taken::kDamaged;
  record.at = algorithms::ClampNow(*at);
  record.gone = done == "x";
  record.change.name = text.substr(0, *name_bytes);
  const std::string_view json = text.substr(*name_bytes + 1, *json_bytes);
  text.remove_prefix(whole);
  const std::size_t known = kKinds.find(kind);
  if (known == std::string_view::npos) return Taken::kUnreadable;
  record.change.kind = static_cast<Kind>(known);
  return done != "+" || ReadLimits(json, record.change) ? Taken::kRecord : Taken::kUnreadable;
}

// What can still be followed. The order stays.
void DropOutdated(std::vector<EntityRecord>& records) {
  std::array<std::unordered_map<std::string_view, std::size_t>, kKinds.size()> forms;
  std::vector<bool> kept(records.size());
  for (std::size_t i = records.size(); i-- > 0;) {
    std::size_t& later = forms[static_cast<std::size_t>(records[i].change.kind)][records[i].change.name];
    kept[i] = later < kMostForms && !records[i].gone;
    later = records[i].gone ? kMostForms : later + 1;
  }
  // Where all that came before is left out, there is nothing to take back.
  for (auto& names : forms) names.clear();
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!kept[i]) continue;
    std::size_t& earlier = forms[static_cast<std::size_t>(records[i].change.kind)][records[i].change.name];
    kept[i] = earlier > 0 || !std::holds_alternative<std::monostate>(records[i].change.limits);
    earlier += kept[i] ? 1U : 0U;
  }
  std::size_t to = 0;
  forms = {};  // its names are about to move
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!kept[i]) continue;
    if (to != i) records[to] = std::move(records[i]);
    ++to;
  }
  records.resize(to);
}

}  // namespace

EntityRecords ReadEntityRecords(std::string_view text) {
  EntityRecords contents;
  if (!text.starts_with(kHead)) {
    contents.damaged = true;
    return contents;
  }
  text.remove_prefix(kHead.size());
  while (!text.empty() && !contents.damaged) {
    EntityRecord record;
    const Taken taken = TakeRecord(text, record);
    contents.damaged = taken == Taken::kDamaged;
    contents.unreadable += taken == Taken::kUnreadable ? 1U : 0U;
    if (taken == Taken::kRecord) contents.records.push_back(std::move(record));
  }
  return contents;
}

std::string WriteEntityRecords(std::span<const EntityRecord> records) {
  std::string text(kHead);
  for (const EntityRecord& record : records) AppendRecord(record, text);
  return text;
}

std::vector<EntityRecord> EntityJournal::Load() {
  auto text = ReadRegularFile(path_, kMostBytes);
  if (!text) {
    if (text.error().code == ErrorCode::kNotFound) return {};
    log::Warn("entities that were applied are not known", {{"path", path_}, {"reason", text.error().message}});
    return {};
  }
  EntityRecords contents = ReadEntityRecords(*text);
  const std::size_t had = contents.records.size();
  const std::size_t bytes = text->size();
  text->clear();
  text->shrink_to_fit();
  if (contents.unreadable > 0) {
    log::Warn("some entities that were applied are not understood by this version",
              {{"path", path_}, {"records", std::to_string(contents.unreadable)}});
  }
  if (contents.damaged) {
    (void)std::rename(path_.c_str(), (path_ + ".damaged").c_str());
    log::Warn("entities that were applied are known in part: the file is damaged",
              {{"path", path_}, {"records", std::to_string(contents.records.size())}});
  }
  DropOutdated(contents.records);
  bytes_ = bytes;
  // What this version does not understand is not thrown away; a damaged file is still there.
  if (contents.damaged || (contents.unreadable == 0 && contents.records.size() < had)) {
    if (const auto written = Rewrite(contents.records); !written) {
      log::Error("entities that were applied not saved", {{"path", path_}, {"reason", written.error().message}});
    }
  }
  compact_at_ = std::max(2 * bytes_, bytes_ + kLeastGrowth);
  return std::move(contents.records);
}

Result<> EntityJournal::Rewrite(std::span<const EntityRecord> records) {
  const std::string text = WriteEntityRecords(records);
  file_.Close();
  if (auto replaced = ReplaceFile(path_, text); !replaced) return replaced;
  bytes_ = text.size();
  return {};
}

// All of it, or nothing: half a record would hide what follows.
Result<> EntityJournal::Write(std::string_view text) {
  const auto refused = [this](const char* what) {
    return Fail(ErrorCode::kUnavailable, fmt::format("cannot {} '{}': {}", what, path_, std::strerror(errno)));
  };
  if (!file_.is_open()) {
    file_ = FileDescriptor(open(path_.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (!file_.is_open() && errno == ENOENT) {
      if (auto made = Rewrite({}); !made) return made;
      file_ = FileDescriptor(open(path_.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    }
    struct stat status{};
    if (!file_.is_open()) return refused("open");
    if (fstat(file_.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
      file_.Close();
      return Fail(ErrorCode::kUnavailable, fmt::format("'{}' is not a regular file", path_));
    }
  }
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = write(file_.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const auto error = refused("write");
      if (ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0) file_.Close();
      return error;
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  bytes_ += text.size();
  return {};
}

void EntityJournal::Append(std::span<const EntityChange> changes, const config::Snapshot& after, Nanos now) {
  std::string text;
  for (const EntityChange& change : changes) {
    const bool removed = std::holds_alternative<std::monostate>(change.limits);
    const bool there = !removed || (change.kind == Kind::kTenant ? after.FindTenant(change.name) != nullptr
                                    : change.kind == Kind::kUser ? after.FindUser(change.name) != nullptr
                                                                 : after.HasApiKey(change.name));
    AppendRecord({.at = now, .gone = !there, .change = change}, text);
  }
  if (const auto written = Write(text); !written) {
    log::Error("entities that were applied not saved: they do not hold after a restart",
               {{"path", path_}, {"reason", written.error().message}});
    return;
  }
  if (bytes_ >= compact_at_) Compact();
}

void EntityJournal::Compact() {
  auto text = ReadRegularFile(path_, kMostBytes);
  EntityRecords contents = text ? ReadEntityRecords(*text) : EntityRecords{.records = {}, .damaged = true};
  // What is not understood is not thrown away.
  const bool clean = !contents.damaged && contents.unreadable == 0;
  if (text) text->clear();
  if (clean) {
    DropOutdated(contents.records);
    if (const auto written = Rewrite(contents.records); !written) {
      log::Error("entities that were applied not written anew", {{"path", path_}, {"reason", written.error().message}});
    }
  }
  compact_at_ = std::max(2 * bytes_, bytes_ + kLeastGrowth);
}

}  // namespace weir::library
