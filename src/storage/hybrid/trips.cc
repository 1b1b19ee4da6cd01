#include "storage/hybrid/trips.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace weir::storage::hybrid {
namespace {

// Returns that are under way at once where somebody waits for them.
constexpr std::size_t kMostReturns = 256;

}  // namespace

ReturnPlan::ReturnPlan(Homeward the_home, Nanos life) : home(std::move(the_home)) {
  const Part& part = home.part;
  const Limit& taken_of = home.previous ? *home.previous : home.limit;
  charge = {.cost = ChargedOf(part), .at = HomeAt(FormOf(taken_of), part, life)};
  item.limit = &home.limit;
  item.key = home.key;
  item.rule = home.rule;
  item.subject = home.subject;
  item.cost = part.units;
  item.charge = &charge;
  if (home.previous) {
    item.previous = &*home.previous;
    item.previous_key = home.previous_key;
    item.previous_rule = home.previous_rule;
  }
}

class Trips::TakeTrip final : public Completion {
 public:
  TakeTrip(Trips& trips, Want want, Nanos now) : trips_(trips), want_(std::move(want)), now_(now) {
    item_.limit = &want_.limit;
    item_.key = want_.key;
    item_.rule = want_.rule;
    item_.subject = want_.subject;
    item_.cost = want_.units;
    plan_ = {.op = Op::kTake, .items = {&item_, 1}, .outcomes = {&outcome_, 1}};
  }
  void Go() {
    if (trips_.store_.Apply({&plan_, 1}, now_, this)) Done();
  }
  void Done() noexcept override {
    std::vector<Homeward> home;
    const std::uint64_t epoch = trips_.epoch();
    trips_.decider_.Granted(want_, plan_, outcome_, now_, home);
    trips_.Return(home, now_, epoch);
    Trips& trips = trips_;
    delete this;
    trips.Ended();
  }

 private:
  Trips& trips_;
  const Want want_;
  const Nanos now_;
  Item item_;
  Outcome outcome_;
  Plan plan_;
};

// Some returns that somebody waits for.
struct Trips::Together {
  void Began() {
    const std::lock_guard lock(mutex);
    ++left;
  }
  // Under the lock to the end, as who waits destroys this.
  void Ended() {
    const std::lock_guard lock(mutex);
    if (--left == 0) idle.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex);
    idle.wait(lock, [this] { return left == 0; });
  }
  std::mutex mutex;
  std::condition_variable idle;
  std::size_t left = 0;
};

// One return. Not several in a batch: of that the store may refuse a part, and does not say which was not sent.
class Trips::ReturnTrip final : public Completion {
 public:
  ReturnTrip(Trips& trips, Homeward home, Nanos life, Together* together)
      : trips_(trips), return_(std::move(home), life), plan_(return_.MakePlan()), together_(together) {}
  void Go(Nanos now) {
    if (!trips_.store_.Apply({&plan_, 1}, now, this)) return;
    at_once_ = true;
    Done();
  }
  void Done() noexcept override {
    Trips& trips = trips_;
    Together* const together = together_;
    trips.Came(plan_.status, at_once_, std::move(return_.home));
    delete this;
    trips.Ended();
    if (together != nullptr) together->Ended();
  }

 private:
  Trips& trips_;
  ReturnPlan return_;
  Plan plan_;
  Together* const together_;
  bool at_once_ = false;
};

void Trips::Go(Homeward home, Nanos now, Together* together) {
  Began();
  hybrid::Add(counters_.returns);
  if (together != nullptr) together->Began();
  (new ReturnTrip(*this, std::move(home), decider_.options().lease_life, together))->Go(now);
}

void Trips::Began() {
  const std::lock_guard lock(mutex_);
  ++under_way_;
}

bool Trips::Enter() {
  const std::lock_guard lock(mutex_);
  if (!shut_) ++under_way_;
  return !shut_;
}

void Trips::Shut() {
  const std::lock_guard lock(mutex_);
  shut_ = true;
}

// Under the lock to the end: who waits may destroy this as soon as it is released.
void Trips::Ended() {
  const std::lock_guard lock(mutex_);
  if (--under_way_ == 0) idle_.notify_all();
}

void Trips::Take(std::vector<Want>& wants, Nanos now) {
  for (Want& want : wants) {
    if (!Enter()) break;
    hybrid::Add(counters_.takes);
    (new TakeTrip(*this, std::move(want), now))->Go();
  }
  wants.clear();
}

bool Trips::IsAway() const { return store_.GetHealth() == Health::kDown; }

void Trips::Keep(Homeward home) {
  const std::lock_guard lock(mutex_);
  if (home.epoch != epoch_) {
    hybrid::Add(counters_.lapsed, home.part.units);
  } else if (kept_.size() < kMostKept) {
    kept_.push_back(std::move(home));
  } else {
    hybrid::Add(counters_.lost, home.part.units);
  }
}

void Trips::Came(PlanStatus status, bool at_once, Homeward home) {
  if (status == PlanStatus::kOk) {
    hybrid::Add(counters_.returned, home.part.units);
  } else if (at_once && !store_.CompletesInline()) {
    // Who would have answered later and has not is too busy, and has not done it.
    Keep(std::move(home));
  } else {
    // It may have been done, and twice would give away what others have used.
    hybrid::Add(counters_.lost, home.part.units);
  }
}

void Trips::Forget(const std::function<bool(const Homeward&)>& of) {
  const std::lock_guard lock(mutex_);
  ++epoch_;
  std::erase_if(kept_, [&](const Homeward& home) {
    if (of(home)) hybrid::Add(counters_.lapsed, home.part.units);
    return of(home);
  });
}

void Trips::Retry(Nanos now) {
  std::size_t left = 0;
  {
    const std::lock_guard lock(mutex_);
    left = kept_.size();
  }
  // Each is kept until it is sent, so that a Forget() meanwhile finds the others.
  for (; left > 0 && !IsAway(); --left) {
    std::vector<Homeward> home;
    {
      const std::lock_guard lock(mutex_);
      if (kept_.empty()) return;
      home.push_back(std::move(kept_.front()));
      kept_.pop_front();
      home[0].epoch = epoch_;
    }
    decider_.Sift(home, now);
    if (!home.empty()) Go(std::move(home[0]), now, nullptr);
  }
}

void Trips::GiveUp() {
  const std::lock_guard lock(mutex_);
  for (const Homeward& home : kept_) hybrid::Add(counters_.lost, home.part.units);
  kept_.clear();
}

void Trips::Return(std::vector<Homeward>& home, Nanos now, std::uint64_t epoch) {
  for (Homeward& one : home) {
    one.epoch = epoch;
    if (IsAway()) {
      Keep(std::move(one));
    } else {
      Go(std::move(one), now, nullptr);
    }
  }
  home.clear();
}

void Trips::ReturnAndWait(std::vector<Homeward>& home, Nanos now, std::uint64_t epoch) {
  if (IsAway()) return Return(home, now, epoch);
  Together together;
  for (std::size_t i = 0; i < home.size(); ++i) {
    // No more at once than a store can bear that is busy with others, too.
    if (i % kMostReturns == 0) together.Wait();
    home[i].epoch = epoch;
    Go(std::move(home[i]), now, &together);
  }
  together.Wait();
  home.clear();
}

void Trips::Wait() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return under_way_ == 0; });
}

}  // namespace weir::storage::hybrid
