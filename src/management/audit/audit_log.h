// The audit log: what was done to weir, by whom, and what was refused. It only grows, each record holds the one before
// by its hash, and the end is signed, so that Verify() (verify.h) finds whatever was edited, removed, put in another
// order or cut off.
//
// A record that Append() accepted is on the disk. When it cannot be written, Append() fails, and the caller has to
// refuse what it was about to do: nothing happens that leaves no trace.
//
// Thread-safe. Append() waits for the disk; what is appended meanwhile by other threads is written and synced together,
// once.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "management/audit/head_file.h"
#include "management/audit/query.h"
#include "management/audit/record.h"
#include "management/audit/segments.h"
#include "management/audit/signing.h"
#include "weir/result.h"

namespace weir::management::audit {

struct LogOptions {
  std::string directory{};  // state_dir/audit; made (0700) when it is not there
  std::string node{};       // written into each record
  std::string version{};
  std::uint64_t segment_bytes =
      64U << 20U;                // a file that has grown so far is followed by another; each day has its own
  Nanos retention = 400 * kDay;  // files whose records are all older are removed by Tick(); 0: none ever
  std::uint64_t checkpoint_records = 1'000;  // a checkpoint after so many records,
  Nanos checkpoint_interval = 5 * kMinute;   // or at the first Tick() after so long, when there are new ones
};

class AuditLog {
 public:
  // Begins a log ("audit.begin", with the public key), or goes on where it ends; mends what a crash left unfinished,
  // and says so in a record of its own ("audit.recover"). kFailedPrecondition: another process has it. kDataLoss:
  // records that were acknowledged are damaged or missing; the message names the place. kUnavailable: the system
  // refused.
  static Result<std::unique_ptr<AuditLog>> Open(LogOptions options, Nanos now);
  // Ends with a checkpoint.
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Durable when it returns, as are all or none of several. Returns the number of the (last) record. record.time 0
  // becomes `now`. kUnavailable: it was not written; a later call tries again. kInvalidArgument: it is too long.
  Result<std::uint64_t> Append(const Record& record, Nanos now);
  Result<std::uint64_t> Append(std::span<const Record> records, Nanos now);

  // For a job, every minute or so: checkpoints, and the removal of what is too old (recorded as "audit.retention").
  Result<> Tick(Nanos now);

  // A signed statement of where the chain has got to now, to be kept elsewhere (one line of JSON): `weir audit verify
  // --checkpoint` compares with it.
  Result<std::string> Checkpoint(Nanos now);
  // Called with each checkpoint that is made, to forward it; while nobody can append, so it only takes a copy. Set
  // before use.
  void OnCheckpoint(std::function<void(const std::string&)> forward) { forward_ = std::move(forward); }

  // Newest first; `limit` 1 to 1,000. See query.h. kInvalidArgument: the cursor was not made here.
  Result<Page> Query(const Filter& filter, std::size_t limit, std::string_view cursor) const;
  // Oldest first, without a bound: for exports. Ends when `visit` returns false.
  Result<> ForEach(const Filter& filter, const std::function<bool(const Record&, std::string_view line)>& visit) const;

  std::uint64_t last() const;  // number of the newest record
  // Whether the latest attempt to write failed: for health.
  bool failing() const;

 private:
  struct Waiting {
    std::vector<std::string> bodies;
    bool done = false;
    Result<std::uint64_t> outcome = 0;
  };
  // Being the one thread that writes. Waits until it is.
  class Turn;

  explicit AuditLog(LogOptions options) : options_(std::move(options)) {}
  Result<> Start(Nanos now);
  Result<> Recover(Nanos now, std::uint64_t* adopted);
  Result<> ReadEnd(const Head& head, const std::vector<Segment>& segments, Link* end);

  // By the one that writes.
  void WriteBatch(std::vector<Waiting*>& batch, Nanos now);
  Result<> WriteText(const std::string& text, const Link& link, Nanos now);
  Result<> Repair();
  Result<> BeginSegment(std::uint64_t first, Nanos now);
  Result<> OpenSegment(const Segment& segment);
  Result<std::string> WriteCheckpoint(Statement::Kind kind, const Link& link, Nanos now);
  Result<std::uint64_t> RemoveOld(Nanos now);
  Result<> DropCheckpointsBefore(std::uint64_t seq);
  ReadableSegments Readable() const;

  const LogOptions options_;
  FileDescriptor lock_;
  SigningKey key_;
  std::function<void(const std::string&)> forward_;

  mutable std::mutex mutex_;
  std::condition_variable turned_;
  bool writing_ = false;           // a thread has the turn
  std::vector<Waiting*> waiting_;  // to be written by whoever has the next turn
  bool failing_ = false;
  Link link_;                      // the newest record that is acknowledged
  std::vector<Segment> segments_;  // the last one is written to
  std::uint64_t size_ = 0;         // bytes of the last segment that are acknowledged

  // Of the one that writes.
  FileDescriptor segment_;
  std::int64_t segment_day_ = 0;
  std::optional<HeadFile> head_;
  std::uint64_t counter_ = 0;  // of the newest head
  bool damaged_ = false;       // there may be bytes behind size_
  Link checkpointed_;
  Nanos checkpointed_at_ = 0;
  Nanos written_at_ = 0;
};

class AuditLog::Turn {
 public:
  explicit Turn(AuditLog& log) : log_(log) {
    std::unique_lock lock(log_.mutex_);
    log_.turned_.wait(lock, [&] { return !log_.writing_; });
    log_.writing_ = true;
  }
  ~Turn() {
    const std::lock_guard lock(log_.mutex_);
    log_.writing_ = false;
    log_.turned_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  AuditLog& log_;
};

}  // namespace weir::management::audit
