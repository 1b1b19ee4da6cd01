#include "management/audit/verify.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/crypto/encoding.h"
#include "base/file.h"
#include "management/audit/chain.h"
#include "management/audit/head_file.h"
#include "management/audit/record.h"
#include "management/audit/segments.h"
#include "management/audit/signing.h"

namespace weir::management::audit {
namespace {

constexpr std::size_t kMostStatement = 1'024;

std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

class Verifier {
 public:
  Verifier(const std::string& directory, const VerifyOptions& options) : directory_(directory), options_(options) {}

  Result<Report> Run() {
    auto segments = ListSegments(directory_);
    if (!segments) return std::unexpected(std::move(segments.error()));
    if (auto read = ReadKey(); !read) return std::unexpected(read.error());
    if (report_.fault) return report_;
    // Before the records: what is written meanwhile lies behind the end that is read here.
    if (auto read = ReadSignedEnd(); !read) return std::unexpected(read.error());
    if (report_.fault) return report_;
    if (auto read = ReadCheckpoints(); !read) return std::unexpected(read.error());
    if (report_.fault) return report_;
    segments = ListSegments(directory_);
    if (!segments) return std::unexpected(std::move(segments.error()));
    if (auto walked = Walk(*segments); !walked) return std::unexpected(walked.error());
    if (!report_.fault) CheckEnd(*segments);
    return report_;
  }

 private:
  void Fail(std::string file, std::uint64_t line, std::uint64_t seq, std::string what) {
    if (!report_.fault) {
      report_.fault = Fault{.file = std::move(file), .line = line, .seq = seq, .what = std::move(what)};
    }
  }

  Result<> ReadKey() {
    if (!options_.public_key.empty()) {
      key_ = options_.public_key;
      return {};
    }
    auto key = ReadPublicKey(directory_ + "/signing.pub");
    if (key) {
      key_ = std::move(*key);
    } else if (key.error().code == ErrorCode::kUnavailable) {
      return std::unexpected(key.error());
    } else {
      Fail("signing.pub", 0, 0, key.error().message);
    }
    return {};
  }

  Result<> ReadSignedEnd() {
    auto head = ReadHead(HeadPath(directory_), key_);
    if (head) {
      head_ = *head;
      report_.signed_at = head->newest.time;
      return {};
    }
    if (head.error().code == ErrorCode::kUnavailable) return std::unexpected(head.error());
    Fail("head", 0, 0,
         head.error().code == ErrorCode::kNotFound ? "it is missing: nothing says where the log has to end"
                                                   : head.error().message);
    return {};
  }

  void Expect(const Statement& statement, const std::string& file, std::uint64_t line) {
    if (statement.kind == Statement::Kind::kRemoved && statement.link.seq > removed_.seq) removed_ = statement.link;
    passed_.emplace(statement.link.seq, Passed{.hash = statement.link.hash, .file = file, .line = line});
  }

  Result<> ReadCheckpoints() {
    const std::string path = CheckpointsPath(directory_);
    const auto file = OpenRegularFile(path);
    if (!file && file.error().code != ErrorCode::kNotFound) return std::unexpected(file.error());
    if (file) {
      const auto size = SizeOf(*file);
      if (!size) return std::unexpected(size.error());
      LineReader reader(*file, 0, *size, kMostStatement);
      LineReader::Line line;
      for (std::uint64_t number = 1;; ++number) {
        const auto more = reader.Next(&line);
        if (!more) return std::unexpected(more.error());
        if (!*more) break;
        if (line.text.empty()) continue;
        const auto statement = CheckSigned(line.text, key_);
        if (statement) {
          Expect(*statement, NameOf(path), number);
        } else if (line.text.ends_with("}")) {  // otherwise a crash left it unfinished, and the next one began anew
          Fail(NameOf(path), number, 0, statement.error().message);
          return {};
        }
      }
    }
    for (std::size_t i = 0; i < options_.checkpoints.size(); ++i) {
      std::string_view text = options_.checkpoints[i];
      while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
      const auto statement = CheckSigned(text, key_);
      if (!statement) {
        Fail("checkpoint from elsewhere", i + 1, 0, statement.error().message);
        return {};
      }
      Statement passed = *statement;
      // Only the log itself can say that something was removed from it.
      passed.kind = Statement::Kind::kCheckpoint;
      Expect(passed, "checkpoint from elsewhere", i + 1);
    }
    return {};
  }

  // The record that has just been followed, or the end of what was removed.
  void Pass(const Link& link, const std::string& file, std::uint64_t line) {
    const auto [first, last] = passed_.equal_range(link.seq);
    for (auto it = first; it != last; ++it) {
      if (it->second.hash != link.hash) {
        Fail(file, line, link.seq,
             "it is not the record that was signed (" + it->second.file + ", line " + std::to_string(it->second.line) +
                 "): the log was written anew");
        return;
      }
      ++report_.checkpoints;
    }
    if (link.seq == head_.newest.link.seq && link.hash != head_.newest.link.hash) {
      Fail(file, line, link.seq, "it is not the record that was signed as the end of the log");
    }
  }

  Result<> Walk(const std::vector<Segment>& segments) {
    link_ = removed_;
    report_.removed = removed_.seq;
    if (link_.seq > 0) Pass(link_, "checkpoints.ndjson", 0);
    for (std::size_t i = 0; i < segments.size() && !report_.fault; ++i) {
      // Was about to be removed when weir stopped.
      if (i + 1 < segments.size() && segments[i + 1].first <= removed_.seq + 1) continue;
      if (auto walked = WalkFile(segments[i], i + 1 == segments.size()); !walked) return walked;
    }
    return {};
  }

  Result<> WalkFile(const Segment& segment, bool last) {
    const std::string name = NameOf(segment.path);
    if (segment.first != link_.seq + 1) {
      Fail(name, 0, link_.seq + 1,
           "it begins with record " + std::to_string(segment.first) + "; record " + std::to_string(link_.seq + 1) +
               " should follow: a file is missing");
      return {};
    }
    const auto file = OpenRegularFile(segment.path);
    if (!file) return std::unexpected(file.error());
    const auto size = SizeOf(*file);
    if (!size) return std::unexpected(size.error());
    ++report_.files;
    LineReader reader(*file, 0, *size, kMostRecord);
    LineReader::Line line;
    for (std::uint64_t number = 1;; ++number) {
      const auto more = reader.Next(&line);
      if (!more) return std::unexpected(more.error());
      if (!*more) return {};
      const bool behind_end = link_.seq >= head_.newest.link.seq;
      if (!line.finished && last && behind_end) {
        report_.unfinished_bytes = *size - line.offset;
        return {};
      }
      if (!line.finished) {
        Fail(name, number, link_.seq + 1, "it is cut in the middle, or a byte was put into it");
        return {};
      }
      if (const auto followed = Follow(line.text, &link_); !followed) {
        Fail(name, number, link_.seq + 1, followed.error().message);
        return {};
      }
      Pass(link_, name, number);
      if (link_.seq == 1) CheckBegin(line.text, name);
      if (report_.fault) return {};
      if (report_.first == 0) report_.first = link_.seq;
      report_.last = link_.seq;
      ++report_.records;
      if (behind_end) ++report_.unsigned_records;
    }
  }

  // The first record names the key, so that somebody without it cannot cut the log and sign with a key of their own
  // unless they write every record anew.
  void CheckBegin(std::string_view line, const std::string& file) {
    const auto record = ParseRecord(line);
    if (record && record->after.find("\"" + Hex(key_) + "\"") == std::string::npos) {
      Fail(file, 1, 1, "it names another signing key than the one that the log is signed with");
    }
  }

  void CheckEnd(const std::vector<Segment>& segments) {
    const std::string last = segments.empty() ? "head" : NameOf(segments.back().path);
    if (link_.seq < head_.newest.link.seq) {
      Fail(last, 0, link_.seq + 1,
           "the log ends with record " + std::to_string(link_.seq) + " and was signed to go on to record " +
               std::to_string(head_.newest.link.seq) + ": the end was cut off");
    } else if (head_.interrupted && report_.unsigned_records == 0 && report_.unfinished_bytes == 0) {
      Fail("head", 0, link_.seq,
           "one of its two statements is damaged, and no record follows the other one: the end "
           "was cut off");
    } else if (const auto beyond = passed_.upper_bound(link_.seq); beyond != passed_.end()) {
      Fail(last, 0, link_.seq + 1,
           "the log ends with record " + std::to_string(link_.seq) + " and had passed record " +
               std::to_string(beyond->first) + " (" + beyond->second.file + ", line " +
               std::to_string(beyond->second.line) + "): the end was cut off");
    }
  }

  struct Passed {
    std::string hash;
    std::string file;
    std::uint64_t line;
  };

  const std::string& directory_;
  const VerifyOptions& options_;
  std::string key_;
  Head head_;
  std::multimap<std::uint64_t, Passed> passed_;
  Link removed_;
  Link link_;
  Report report_;
};

}  // namespace

Result<Report> Verify(const std::string& directory, const VerifyOptions& options) {
  auto report = Verifier(directory, options).Run();
  // What is written and removed while it is read can look like a fault: a real one is there the second time too.
  if (!report || report->fault) report = Verifier(directory, options).Run();
  return report;
}

}  // namespace weir::management::audit
