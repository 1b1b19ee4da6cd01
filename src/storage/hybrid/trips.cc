#include "storage/hybrid/trips.h"

#include <algorithm>
#include <memory>
#include <semaphore>
#include <span>
#include <utility>

namespace weir::storage::hybrid {
namespace {

// Returns in one batch.
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
    trips_.decider_.Granted(want_, plan_, outcome_, now_, home);
    trips_.Return(home, now_);
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

class Trips::ReturnTrip final : public Completion {
 public:
  explicit ReturnTrip(Trips& trips) : trips_(trips) {}
  void Add(Homeward home, Nanos life) { returns_.emplace_back(std::move(home), life); }
  void Go(Nanos now) {
    for (ReturnPlan& one : returns_) plans_.push_back(one.MakePlan());
    if (!trips_.store_.Apply(plans_, now, this)) return;
    at_once_ = true;
    Done();
  }
  void Done() noexcept override {
    Trips& trips = trips_;
    for (std::size_t i = 0; i < plans_.size(); ++i) trips.Came(plans_[i].status, at_once_, std::move(returns_[i].home));
    delete this;
    trips.Ended();
  }

 private:
  Trips& trips_;
  std::deque<ReturnPlan> returns_;
  std::vector<Plan> plans_;
  bool at_once_ = false;
};

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
  if (kept_.size() < kMostKept) {
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
  std::erase_if(kept_, [&](const Homeward& home) {
    if (of(home)) hybrid::Add(counters_.lapsed, home.part.units);
    return of(home);
  });
}

void Trips::Retry(Nanos now) {
  std::vector<Homeward> home;
  {
    const std::lock_guard lock(mutex_);
    home.swap(kept_);
  }
  decider_.Sift(home, now);
  Return(home, now);
}

void Trips::GiveUp() {
  const std::lock_guard lock(mutex_);
  for (const Homeward& home : kept_) hybrid::Add(counters_.lost, home.part.units);
  kept_.clear();
}

void Trips::Return(std::vector<Homeward>& home, Nanos now) {
  if (IsAway()) {
    for (Homeward& one : home) Keep(std::move(one));
    home.clear();
    return;
  }
  const Nanos life = decider_.options().lease_life;
  for (std::size_t i = 0; i < home.size();) {
    Began();
    auto trip = std::make_unique<ReturnTrip>(*this);
    for (const std::size_t end = std::min(home.size(), i + kMostReturns); i < end; ++i) {
      hybrid::Add(counters_.returns);
      trip->Add(std::move(home[i]), life);
    }
    trip.release()->Go(now);
  }
  home.clear();
}

void Trips::ReturnAndWait(std::vector<Homeward>& home, Nanos now) {
  struct Waiter final : Completion {
    void Done() noexcept override { done.release(); }
    std::binary_semaphore done{0};
  } waiter;
  if (IsAway()) return Return(home, now);
  std::deque<ReturnPlan> returns;
  std::vector<Plan> plans;
  for (Homeward& one : home) {
    hybrid::Add(counters_.returns);
    returns.emplace_back(std::move(one), decider_.options().lease_life);
    plans.push_back(returns.back().MakePlan());
  }
  home.clear();
  for (std::size_t i = 0; i < plans.size(); i += kMostReturns) {
    const std::span<Plan> batch = std::span(plans).subspan(i, std::min(kMostReturns, plans.size() - i));
    const bool at_once = store_.Apply(batch, now, &waiter);
    if (!at_once) waiter.done.acquire();
    for (std::size_t j = i; j < i + batch.size(); ++j) Came(plans[j].status, at_once, std::move(returns[j].home));
  }
}

void Trips::Wait() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return under_way_ == 0; });
}

}  // namespace weir::storage::hybrid
