// Work that needs answers of a store which may come at once or later: runs as far as it can, and goes on by itself, on
// the store's thread, when an answer arrives.
#pragma once

#include <atomic>
#include <cstdint>

#include "storage/store.h"

namespace weir::engine {

// Calls the submitter of several tasks back once, when the last of them has finished.
class CompletionGroup {
 public:
  explicit CompletionGroup(storage::Completion* done) : done_(done) {}
  void Join() { open_.fetch_add(1, std::memory_order_relaxed); }
  // The last one to leave frees the group. True: that was this one.
  // Acquire and release: the thread that is called back sees what every task wrote.
  bool Leave() {
    if (open_.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
    delete this;
    return true;
  }
  storage::Completion* done() const { return done_; }

 private:
  ~CompletionGroup() = default;
  storage::Completion* const done_;
  std::atomic<std::uint32_t> open_{1};  // the submitter is in it too
};

// Used by one thread at a time: the submitter's, then the store's.
class AsyncTask : public storage::Completion {
 public:
  AsyncTask() = default;
  AsyncTask(const AsyncTask&) = delete;
  AsyncTask& operator=(const AsyncTask&) = delete;

  // True: finished. False: it waits for the store, whose thread will call OnFinished(); the caller must not touch it
  // any more.
  bool Go() {
    while (true) {
      const Step step = Next();
      if (step == Step::kFinished) return true;
      if (step == Step::kAnswered) continue;
      BeforeWaiting();
      // The answer may have come on the store's thread meanwhile; of the two, the one that arrives here last goes on.
      if (waiting_.exchange(true, std::memory_order_acq_rel)) {
        waiting_.store(false, std::memory_order_relaxed);
        continue;
      }
      return false;
    }
  }

  void Done() noexcept final {
    if (!waiting_.exchange(true, std::memory_order_acq_rel)) return;
    waiting_.store(false, std::memory_order_relaxed);
    if (Go()) OnFinished();
  }

 protected:
  ~AsyncTask() = default;

  enum class Step : std::uint8_t { kAnswered, kWaiting, kFinished };
  // Works up to the next question to a store and asks it.
  virtual Step Next() = 0;
  // The submitter is about to leave: what the flight needs must outlive it from now on. Called for each wait.
  virtual void BeforeWaiting() = 0;
  // On the store's thread, when all is done.
  virtual void OnFinished() noexcept = 0;

 private:
  std::atomic<bool> waiting_{false};  // set by the first of: the asker leaving, the answer arriving
};

}  // namespace weir::engine
