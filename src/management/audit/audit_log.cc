#include "management/audit/audit_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/crypto/encoding.h"
#include "base/log.h"
#include "management/audit/chain.h"

namespace weir::management::audit {
namespace {

std::unexpected<Error> CannotWrite(int error) {
  return Fail(ErrorCode::kUnavailable, std::string("cannot write the audit log: ") + std::strerror(error));
}

Result<> WriteAll(int fd, std::string_view text, std::uint64_t offset) {
  while (!text.empty()) {
    const ssize_t written = pwrite(fd, text.data(), text.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = ENOSPC;
    if (written <= 0) return CannotWrite(errno);
    text.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return {};
}

void SyncDirectory(const std::string& path) {
  const FileDescriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.is_open()) (void)fsync(directory.get());
}

// Rounded down, also before 1970.
std::int64_t DayOf(Nanos time) { return time / kDay - (time % kDay < 0 ? 1 : 0); }

Record OwnRecord(std::string action, std::string reason) {
  Record record;
  record.actor = {.name = "weir", .kind = "service", .roles = {}, .tenant = "", .method = "", .credential = ""};
  record.action = std::move(action);
  record.object = {.kind = "audit", .id = "", .tenant = ""};
  record.reason = std::move(reason);
  return record;
}

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::Open(LogOptions options, Nanos now) {
  std::unique_ptr<AuditLog> log(new AuditLog(std::move(options)));
  if (auto started = log->Start(now); !started) return std::unexpected(std::move(started.error()));
  return log;
}

AuditLog::~AuditLog() {
  if (!head_ || link_ == checkpointed_) return;
  if (const auto made = WriteCheckpoint(Statement::Kind::kCheckpoint, link_, written_at_); !made) {
    log::Warn("audit log closed without a checkpoint", {{"error", made.error().message}});
  }
}

Result<> AuditLog::Start(Nanos now) {
  const std::string& directory = options_.directory;
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Fail(ErrorCode::kUnavailable, "cannot make '" + directory + "': " + std::strerror(errno));
  }
  lock_ = FileDescriptor(open((directory + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_.is_open()) return CannotWrite(errno);
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return Fail(ErrorCode::kFailedPrecondition, "the audit log in '" + directory + "' is used by another process");
  }
  std::uint64_t adopted = 0;
  checkpointed_at_ = now;
  if (auto recovered = Recover(now, &adopted); !recovered) return recovered;
  if (last() == 0) {
    Record begin = OwnRecord("audit.begin", "");
    begin.after = R"({"public_key":")" + Hex(key_.public_key()) + "\"}";
    if (const auto noted = Append(begin, now); !noted) return std::unexpected(noted.error());
  }
  if (adopted > 0) {
    const auto noted = Append(
        OwnRecord("audit.recover", std::to_string(adopted) + " records before this one had been written when weir "
                                                             "stopped, and were not acknowledged"),
        now);
    if (!noted) return std::unexpected(noted.error());
  }
  return {};
}

Result<> AuditLog::Recover(Nanos now, std::uint64_t* adopted) {
  const std::string& directory = options_.directory;
  auto segments = ListSegments(directory);
  if (!segments) return std::unexpected(std::move(segments.error()));
  const auto lost = [&](const std::string& why) {
    return Fail(ErrorCode::kDataLoss, "the audit log in '" + directory + "' " + why +
                                          "; `weir audit verify` shows what is left; move the directory away to begin "
                                          "a new log");
  };
  struct stat status{};
  const bool has_key = stat((directory + "/signing.key").c_str(), &status) == 0;
  if (!has_key && !segments->empty()) return lost("has lost its signing key");
  auto key = SigningKey::LoadOrMake(directory);
  if (!key) return std::unexpected(std::move(key.error()));
  key_ = std::move(*key);

  auto head = ReadHead(HeadPath(directory), key_.public_key());
  if (!head && head.error().code == ErrorCode::kNotFound && segments->empty() &&
      stat(CheckpointsPath(directory).c_str(), &status) != 0) {
    const Statement first{.kind = Statement::Kind::kHead, .counter = 0, .link = {}, .time = now};
    if (auto made = HeadFile::Create(HeadPath(directory), key_, first); !made) return made;
    head = Head{.newest = first, .interrupted = false};
  }
  if (!head) {
    if (head.error().code == ErrorCode::kUnavailable) return std::unexpected(head.error());
    return lost("has a damaged head: " + head.error().message);
  }
  Link end;
  if (auto read = ReadEnd(*head, *segments, &end); !read) {
    if (read.error().code == ErrorCode::kUnavailable) return read;
    return lost(read.error().message);
  }
  auto opened = HeadFile::Open(HeadPath(directory));
  if (!opened) return std::unexpected(std::move(opened.error()));
  head_ = std::move(*opened);
  counter_ = head->newest.counter;
  link_ = end;
  *adopted = end.seq - head->newest.link.seq;
  // What is written after the records cannot have been interrupted without them.
  if (head->interrupted && *adopted == 0) return lost("has a damaged head, and has lost the records that it spoke of");
  if (*adopted > 0 || head->interrupted) {
    const Statement now_here{.kind = Statement::Kind::kHead, .counter = counter_ + 1, .link = link_, .time = now};
    if (auto written = head_->Write(key_, now_here); !written) return written;
    ++counter_;
  }
  if (segments_.empty()) return {};
  return OpenSegment(segments_.back());
}

// Walks from the file that holds the end on, cuts off what follows the last whole record, and leaves segments_, size_
// and segment_day_ set.
Result<> AuditLog::ReadEnd(const Head& head, const std::vector<Segment>& segments, Link* end) {
  const Link& signed_end = head.newest.link;
  segments_ = segments;
  std::size_t from = segments.size();
  while (from > 0 && (from == segments.size() || segments[from].first > signed_end.seq)) --from;
  if (segments.empty() && signed_end.seq != 0) return Fail(ErrorCode::kDataLoss, "has lost its records");
  bool reached = signed_end.seq == 0;
  std::string last_line;
  for (std::size_t i = from; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    const auto file = OpenRegularFile(segment.path);
    if (!file) return std::unexpected(file.error());
    const auto size = SizeOf(*file);
    if (!size) return std::unexpected(size.error());
    LineReader reader(*file, 0, *size, kMostRecord);
    LineReader::Line line;
    std::uint64_t good = 0;
    std::optional<Error> fault;
    while (true) {
      const auto more = reader.Next(&line);
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      if (i == from && good == 0) {
        // The first file that is looked at begins where it says; Verify() looks at all of them.
        const auto record = ParseRecord(line.text);
        if (record) *end = {.seq = segment.first - 1, .hash = record->previous};
      }
      const auto followed = line.finished ? Follow(line.text, end) : Fail(ErrorCode::kDataLoss, "it is unfinished");
      if (!followed) {
        fault = followed.error();
        break;
      }
      good = line.offset + line.text.size() + 1;
      last_line = line.text;
      if (end->seq == signed_end.seq) {
        reached = true;
        if (end->hash != signed_end.hash) return Fail(ErrorCode::kDataLoss, "does not end as was signed");
      }
    }
    if (fault && (!reached || i + 1 != segments.size())) {
      return Fail(ErrorCode::kDataLoss, "is damaged behind record " + std::to_string(end->seq) + ": " + fault->message);
    }
    if (good != *size) {
      // Never acknowledged: what was being written when it stopped.
      if (truncate(segment.path.c_str(), static_cast<off_t>(good)) != 0) return CannotWrite(errno);
    }
    size_ = good;
    if (good == 0 && i + 1 == segments.size()) {
      if (unlink(segment.path.c_str()) != 0) return CannotWrite(errno);
      segments_.pop_back();
      size_ = 0;
    }
  }
  if (const auto record = ParseRecord(last_line); record) segment_day_ = DayOf(record->time);
  if (!reached) {
    return Fail(ErrorCode::kDataLoss, "ends at record " + std::to_string(end->seq) + " and was signed to end at " +
                                          std::to_string(signed_end.seq));
  }
  if (segments_.size() != segments.size() && !segments_.empty()) {
    // The file before it is written on.
    const auto file = OpenRegularFile(segments_.back().path);
    if (!file) return std::unexpected(file.error());
    const auto size = SizeOf(*file);
    if (!size) return std::unexpected(size.error());
    size_ = *size;
  }
  return {};
}

Result<> AuditLog::OpenSegment(const Segment& segment) {
  segment_ = FileDescriptor(open(segment.path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!segment_.is_open()) return CannotWrite(errno);
  return {};
}

Result<> AuditLog::BeginSegment(std::uint64_t first, Nanos now) {
  Segment segment{.first = first, .path = SegmentPath(options_.directory, first)};
  FileDescriptor file(open(segment.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.is_open()) return CannotWrite(errno);
  SyncDirectory(options_.directory);
  segment_ = std::move(file);
  segment_day_ = DayOf(now);
  const std::lock_guard lock(mutex_);
  segments_.push_back(std::move(segment));
  size_ = 0;
  return {};
}

Result<std::uint64_t> AuditLog::Append(const Record& record, Nanos now) { return Append(std::span(&record, 1), now); }

Result<std::uint64_t> AuditLog::Append(std::span<const Record> records, Nanos now) {
  Waiting mine;
  mine.bodies.reserve(records.size());
  for (const Record& record : records) {
    Record stamped = record;
    if (stamped.time == 0) stamped.time = now;
    stamped.node = options_.node;
    stamped.version = options_.version;
    mine.bodies.push_back(EncodeBody(stamped));
    constexpr std::size_t kLinkPart = 256;
    if (mine.bodies.back().size() + kLinkPart > kMostRecord) {
      return Fail(ErrorCode::kInvalidArgument, "an audit record is too long");
    }
  }
  std::unique_lock lock(mutex_);
  if (records.empty()) return link_.seq;
  waiting_.push_back(&mine);
  turned_.wait(lock, [&] { return mine.done || !writing_; });
  if (mine.done) return mine.outcome;
  // This thread writes for all that wait.
  writing_ = true;
  std::vector<Waiting*> batch = std::exchange(waiting_, {});
  lock.unlock();
  WriteBatch(batch, now);
  lock.lock();
  for (Waiting* const each : batch) each->done = true;
  writing_ = false;
  turned_.notify_all();
  return mine.outcome;
}

void AuditLog::WriteBatch(std::vector<Waiting*>& batch, Nanos now) {
  Link link = link_;
  std::string text;
  for (Waiting* const each : batch) {
    for (const std::string& body : each->bodies) AppendLinked(body, &link, &text);
    each->outcome = link.seq;
  }
  const auto written = WriteText(text, link, now);
  if (!written) {
    for (Waiting* const each : batch) each->outcome = std::unexpected(written.error());
  }
  bool was_failing = false;
  {
    const std::lock_guard lock(mutex_);
    was_failing = std::exchange(failing_, !written);
  }
  if (!written && !was_failing) {
    log::Error("audit log cannot be written: changes are refused", {{"error", written.error().message}});
  } else if (written && was_failing) {
    log::Info("audit log can be written again");
  }
  if (written && link.seq - checkpointed_.seq >= options_.checkpoint_records) {
    if (const auto made = WriteCheckpoint(Statement::Kind::kCheckpoint, link, now); !made) {
      log::Warn("audit log has no new checkpoint", {{"error", made.error().message}});
    }
  }
}

// All or nothing: what failed halfway is cut off again, now or before the next attempt.
Result<> AuditLog::WriteText(const std::string& text, const Link& link, Nanos now) {
  if (damaged_) {
    if (auto repaired = Repair(); !repaired) return repaired;
  }
  if (!segment_.is_open() || DayOf(now) > segment_day_ || (size_ > 0 && size_ + text.size() > options_.segment_bytes)) {
    // A file without records has the name already that the new one would get.
    if (!segment_.is_open() || size_ > 0) {
      if (auto begun = BeginSegment(link_.seq + 1, now); !begun) return begun;
    }
    segment_day_ = DayOf(now);
  }
  const auto give_up = [&](Error error) -> Result<> {
    damaged_ = true;
    (void)Repair();
    return std::unexpected(std::move(error));
  };
  if (auto written = WriteAll(segment_.get(), text, size_); !written) return give_up(written.error());
  if (fdatasync(segment_.get()) != 0) return give_up(CannotWrite(errno).error());
  const Statement head{.kind = Statement::Kind::kHead, .counter = counter_ + 1, .link = link, .time = now};
  if (auto written = head_->Write(key_, head); !written) return give_up(written.error());
  ++counter_;
  written_at_ = now;
  const std::lock_guard lock(mutex_);
  size_ += text.size();
  link_ = link;
  return {};
}

// The head first: the one that failed may have reached the disk, and must not name an end that is cut off.
Result<> AuditLog::Repair() {
  const Statement head{.kind = Statement::Kind::kHead, .counter = counter_ + 1, .link = link_, .time = 0};
  if (auto written = head_->Write(key_, head); !written) return written;
  ++counter_;
  if (ftruncate(segment_.get(), static_cast<off_t>(size_)) != 0 || fdatasync(segment_.get()) != 0) {
    return CannotWrite(errno);
  }
  damaged_ = false;
  return {};
}

std::uint64_t AuditLog::last() const {
  const std::lock_guard lock(mutex_);
  return link_.seq;
}

bool AuditLog::failing() const {
  const std::lock_guard lock(mutex_);
  return failing_;
}

ReadableSegments AuditLog::Readable() const {
  const std::lock_guard lock(mutex_);
  return {.segments = segments_, .last_size = size_};
}

Result<Page> AuditLog::Query(const Filter& filter, std::size_t limit, std::string_view cursor) const {
  return QueryNewestFirst(Readable(), filter, limit, cursor);
}

Result<> AuditLog::ForEach(const Filter& filter,
                           const std::function<bool(const Record&, std::string_view)>& visit) const {
  return VisitOldestFirst(Readable(), filter, visit);
}

}  // namespace weir::management::audit
