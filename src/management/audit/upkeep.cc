// Checkpoints and retention of the audit log.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "management/audit/audit_log.h"

namespace weir::management::audit {
namespace {

std::unexpected<Error> CannotKeep(int error) {
  return Fail(ErrorCode::kUnavailable,
              std::string("cannot write checkpoints of the audit log: ") + std::strerror(error));
}

constexpr std::size_t kMostCheckpoints = 64U << 20U;

}  // namespace

Result<std::string> AuditLog::WriteCheckpoint(Statement::Kind kind, const Link& link, Nanos now) {
  std::string line = key_.Sign({.kind = kind, .counter = counter_, .link = link, .time = now});
  const FileDescriptor file(
      open(CheckpointsPath(options_.directory).c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return CannotKeep(errno);
  const auto size = SizeOf(file);
  if (!size) return std::unexpected(size.error());
  std::string text = line + "\n";
  char last = '\n';
  // A line that a crash left unfinished is ended, so that this one is a line of its own.
  if (*size > 0 && pread(file.get(), &last, 1, static_cast<off_t>(*size - 1)) == 1 && last != '\n')
    text.insert(0, "\n");
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || fdatasync(file.get()) != 0) {
    return CannotKeep(errno);
  }
  if (kind == Statement::Kind::kCheckpoint) {
    checkpointed_ = link;
    checkpointed_at_ = now;
    if (forward_) forward_(line);
  }
  return line;
}

Result<std::string> AuditLog::Checkpoint(Nanos now) {
  const Turn turn(*this);
  return WriteCheckpoint(Statement::Kind::kCheckpoint, link_, now);
}

Result<> AuditLog::Tick(Nanos now) {
  std::uint64_t removed = 0;
  {
    const Turn turn(*this);
    // A clock that was set back begins the interval anew.
    if (now < checkpointed_at_) checkpointed_at_ = now;
    if (link_ != checkpointed_ && now - checkpointed_at_ >= options_.checkpoint_interval) {
      if (const auto made = WriteCheckpoint(Statement::Kind::kCheckpoint, link_, now); !made) {
        return std::unexpected(made.error());
      }
    }
    const auto gone = RemoveOld(now);
    if (!gone) return std::unexpected(gone.error());
    removed = *gone;
  }
  if (removed == 0) return {};
  Record record;
  record.actor = {.name = "weir", .kind = "service", .roles = {}, .tenant = "", .method = "", .credential = ""};
  record.action = "audit.retention";
  record.object = {.kind = "audit", .id = "", .tenant = ""};
  record.reason = "records up to " + std::to_string(removed) + " were older than the retention and were removed";
  const auto noted = Append(record, now);
  if (!noted) return std::unexpected(noted.error());
  return {};
}

// Returns the number of the last record that was removed; 0: none was.
Result<std::uint64_t> AuditLog::RemoveOld(Nanos now) {
  if (options_.retention <= 0) return 0;
  const Nanos before = now - options_.retention;
  std::size_t old = 0;
  Link last;
  // A file's records are all older than the first one of the file behind it.
  for (std::size_t i = 0; i + 1 < segments_.size(); ++i) {
    const auto file = OpenRegularFile(segments_[i + 1].path);
    if (!file) return std::unexpected(file.error());
    const auto size = SizeOf(*file);
    if (!size) return std::unexpected(size.error());
    LineReader reader(*file, 0, *size, kMostRecord);
    LineReader::Line line;
    const auto more = reader.Next(&line);
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
    const auto next = ParseRecord(line.text);
    if (!next) return std::unexpected(next.error());
    if (next->time >= before) break;
    old = i + 1;
    last = {.seq = segments_[i + 1].first - 1, .hash = next->previous};
  }
  if (old == 0) return 0;
  // What is going to be missing is signed before it is: a crash in between leaves more than is needed, never less.
  if (const auto made = WriteCheckpoint(Statement::Kind::kRemoved, last, now); !made) {
    return std::unexpected(made.error());
  }
  std::vector<Segment> gone;
  {
    const std::lock_guard lock(mutex_);
    const auto end = segments_.begin() + static_cast<std::ptrdiff_t>(old);
    gone.assign(segments_.begin(), end);
    segments_.erase(segments_.begin(), end);
  }
  for (const Segment& segment : gone) {
    if (unlink(segment.path.c_str()) != 0 && errno != ENOENT) return CannotKeep(errno);
  }
  if (auto dropped = DropCheckpointsBefore(last.seq); !dropped) return std::unexpected(dropped.error());
  return last.seq;
}

// Checkpoints of records that are gone say nothing any more.
Result<> AuditLog::DropCheckpointsBefore(std::uint64_t seq) {
  const std::string path = CheckpointsPath(options_.directory);
  const auto text = ReadRegularFile(path, kMostCheckpoints);
  if (!text) return std::unexpected(text.error());
  if (text->size() > kMostCheckpoints) return {};
  std::string kept;
  for (std::string_view rest = *text; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto statement = CheckSigned(line, key_.public_key());
    // What cannot be read stays, for Verify() to complain about.
    if (statement && statement->link.seq < seq) continue;
    if (!line.empty()) kept.append(line).append("\n");
  }
  return ReplaceFile(path, kept);
}

}  // namespace weir::management::audit
