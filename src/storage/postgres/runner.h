// The plans that wait, and the batches in which they travel. Everything but Submit(), Admit() and Close() happens on
// the pool's I/O thread.
//
// Invariants:
//  1. Each job that was submitted is answered exactly once: by its batch, at its deadline, or when the store goes down.
//  2. What is decided for a job that has been answered meanwhile is not charged, if that is still known in time.
//  3. A transaction that was begun is committed or rolled back before its connection gets anything else.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string_view>
#include <vector>

#include "storage/postgres/counters.h"
#include "storage/postgres/job.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/postgres_store.h"
#include "storage/postgres/schema.h"

namespace weir::storage::postgres {

class Runner final : public PlanSource {
 public:
  // All outlive it.
  Runner(const PostgresStoreOptions& options, const Statements& statements, Counters& counters);

  // Once, before all else. The pool is closed by Close().
  void Begin(Pool& pool) { pool_ = &pool; }

  // ---- any thread ----
  // How many of `wanted` plans may be submitted now.
  std::size_t Admit(std::size_t wanted);
  // Plans that were admitted. False: closed, and none is told anything.
  [[nodiscard]] bool Submit(JobPtr job);
  void Close();
  std::uint32_t in_flight() const { return in_flight_; }
  void Refuse(Plan& plan);

  // ---- the I/O thread ----
  bool Feed(io::postgres::Connection& connection) override;
  void OnDown() override;
  void OnDeadline() override;

 private:
  class BatchExchange;
  class BucketsExchange;
  class ReadsExchange;
  class LockExchange;
  class CommitExchange;
  class RollbackExchange;

  void Dispatch();
  void TakeQueue();
  bool FeedBuckets(io::postgres::Connection& connection);
  bool FeedReads(io::postgres::Connection& connection);
  bool FeedTransaction(io::postgres::Connection& connection);
  // Jobs of a lane for one batch; `fits` says whether one more may come in, and takes it.
  template <typename Fits>
  void Gather(Lane lane, const Fits& fits);
  void Sent(std::size_t plans);

  void Answer(Job& job);
  void AnswerUnavailable(Job& job);
  void AnswerLost(std::span<const JobPtr> jobs);
  void AnswerRefused(io::postgres::Connection& connection, std::span<const JobPtr> jobs,
                     const io::postgres::ServerError& error);
  void RollBack(io::postgres::Connection& connection);

  const PostgresStoreOptions& options_;
  const Statements& statements_;
  Counters& counters_;
  Pool* pool_ = nullptr;
  const Nanos stall_;
  const std::int64_t wait_ms_, idle_ms_;

  std::atomic<std::uint32_t> in_flight_{0};  // plans

  std::mutex mutex_;
  std::vector<JobPtr> queue_;
  bool closed_ = false;

  // ---- the I/O thread ----
  std::vector<JobPtr> taken_;                     // the queue's other half
  std::array<std::deque<JobPtr>, kLanes> lanes_;  // not sent yet
  std::deque<JobPtr> waiting_;                    // by deadline
  Nanos last_error_log_;
};

}  // namespace weir::storage::postgres
