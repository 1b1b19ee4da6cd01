// What the hybrid store does with the shared store by itself: takes and returns, and waiting for them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "storage/hybrid/decider.h"
#include "storage/store.h"

namespace weir::storage::hybrid {

// A return as a plan. It points to `home`, which stays where it is.
struct ReturnPlan {
  explicit ReturnPlan(Homeward the_home, Nanos life);
  ReturnPlan(const ReturnPlan&) = delete;
  ReturnPlan& operator=(const ReturnPlan&) = delete;
  Plan MakePlan() { return {.op = Op::kRefund, .items = {&item, 1}, .outcomes = {&outcome, 1}}; }

  Homeward home;
  algorithms::PastCharge charge;
  Item item;
  Outcome outcome;
};

// Parts that wait for the store to come back.
inline constexpr std::size_t kMostKept = 4096;

// Thread-safe. The store and the decider outlive all trips: Wait() before either goes.
class Trips {
 public:
  Trips(Store& store, Decider& decider, Counters& counters) : store_(store), decider_(decider), counters_(counters) {}

  // Whoever may hold something of a lease on the way to the store is waited for. False: this is shut, and it goes on
  // uncounted; nothing is leased any more.
  bool Enter();
  void Leave() { Ended(); }
  // No take begins from now on.
  void Shut();

  // Each goes on its way; nobody waits for it.
  void Take(std::vector<Want>& wants, Nanos now);
  // `epoch`: from before they were taken out.
  void Return(std::vector<Homeward>& home, Nanos now, std::uint64_t epoch);
  // Returns when the store has them, or has failed to take them.
  void ReturnAndWait(std::vector<Homeward>& home, Nanos now, std::uint64_t epoch);
  // Whether it is no use to send anything home: what is sent may be lost.
  bool IsAway() const;
  // Rises with each Forget().
  std::uint64_t epoch() const { return epoch_.load(); }
  // For Retry(). Bounded: what is too much is lost. What was taken out before a Forget() is dropped, as it may be of
  // what was reset.
  void Keep(Homeward home);
  // A return was answered; `at_once`: when it was asked.
  void Came(PlanStatus status, bool at_once, Homeward home);
  // What was kept goes home, as far as that is of any use.
  void Retry(Nanos now);
  // Of states that are reset nothing goes home any more.
  void Forget(const std::function<bool(const Homeward&)>& of);
  // There will be no Retry() any more.
  void GiveUp();
  // Until all that is under way has come back, but for what others begin meanwhile: after Shut() they cannot.
  void Wait();

 private:
  struct Together;
  void Began();
  void Go(Homeward home, Nanos now, Together* together);

  class TakeTrip;
  class ReturnTrip;
  void Ended();

  Store& store_;
  Decider& decider_;
  Counters& counters_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::uint64_t under_way_ = 0;
  bool shut_ = false;
  std::deque<Homeward> kept_;
  std::atomic<std::uint64_t> epoch_{0};  // changes under the lock
};

}  // namespace weir::storage::hybrid
