// What StoreFaults (weir/testing.h) does to a store: it stands before the limiter's own.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "storage/store.h"
#include "weir/testing.h"

namespace weir::library {

// While one is there, what its thread asks a store that is slow may be answered later: nobody on this thread waits.
class AnswersMayComeLater {
 public:
  AnswersMayComeLater() : before_(here_) { here_ = true; }
  ~AnswersMayComeLater() { here_ = before_; }
  AnswersMayComeLater(const AnswersMayComeLater&) = delete;
  AnswersMayComeLater& operator=(const AnswersMayComeLater&) = delete;
  static bool Here() { return here_; }

 private:
  static thread_local bool here_;
  const bool before_;
};

// Thread-safe. Shared by the StoreFaults, the store, and what the clock still holds.
class FaultState : public std::enable_shared_from_this<FaultState> {
 public:
  explicit FaultState(ManualClock& clock) : clock_(clock) {}

  void FailNext(std::uint64_t operations);
  void SetDown(bool down);
  void SetLatency(Nanos latency);
  bool down() const;
  std::uint64_t operations() const;
  std::uint64_t failed() const;
  std::size_t waiting() const;

  // As Store::Apply, with `store` for what does not fail.
  bool Apply(storage::Store& store, std::span<storage::Plan> plans, Nanos now, storage::Completion* done);
  // Fails what waits for an answer; returns when nothing is on its way any more. What is asked later fails.
  void Close();

 private:
  struct Asked {
    storage::Store* store = nullptr;
    std::span<storage::Plan> plans;
    Nanos now = 0;
    storage::Completion* done = nullptr;
    std::uint64_t number = 0;  // of the question
    std::size_t failing = 0;   // so many of its plans, from the first on
  };
  using Waiting = std::list<Asked>;

  void Answer(const Asked& asked);
  // Answers it unless that was done already.
  void AnswerWaiting(std::uint64_t number);

  ManualClock& clock_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable answered_;
  Waiting waiting_;
  std::size_t answering_ = 0;
  std::uint64_t questions_ = 0;
  std::uint64_t operations_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t fail_next_ = 0;
  Nanos latency_ = 0;
  bool down_ = false;
  bool closed_ = false;
};

// `store` completes inline (memory).
class FaultInjectingStore final : public storage::Store {
 public:
  FaultInjectingStore(std::unique_ptr<storage::Store> store, std::shared_ptr<FaultState> faults)
      : store_(std::move(store)), faults_(std::move(faults)) {}
  ~FaultInjectingStore() override { Close(); }

  bool Apply(std::span<storage::Plan> plans, Nanos now, storage::Completion* done) override {
    return faults_->Apply(*store_, plans, now, done);
  }
  void Close() override {
    faults_->Close();
    store_->Close();
  }
  void Expect(const Key& key) const noexcept override { store_->Expect(key); }
  storage::Admin* GetAdmin() override { return store_->GetAdmin(); }
  storage::StoreStats Stats() const override {
    storage::StoreStats stats = store_->Stats();
    stats.failures += faults_->failed();
    return stats;
  }
  storage::Health GetHealth() const override { return faults_->down() ? storage::Health::kDown : store_->GetHealth(); }
  std::string_view Name() const override { return store_->Name(); }

 private:
  const std::unique_ptr<storage::Store> store_;
  const std::shared_ptr<FaultState> faults_;
};

}  // namespace weir::library
