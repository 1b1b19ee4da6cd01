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
  charge = {.cost = part.units, .at = HomeAt(FormOf(home.limit), part, life)};
  item.limit = &home.limit;
  item.key = home.key;
  item.rule = home.rule;
  item.subject = home.subject;
  item.cost = part.units;
  item.charge = &charge;
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
    if (trips_.store_.Apply(plans_, now, this)) Done();
  }
  void Done() noexcept override {
    Trips& trips = trips_;
    delete this;
    trips.Ended();
  }

 private:
  Trips& trips_;
  std::deque<ReturnPlan> returns_;
  std::vector<Plan> plans_;
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

void Trips::Return(std::vector<Homeward>& home, Nanos now) {
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
    if (!store_.Apply(batch, now, &waiter)) waiter.done.acquire();
  }
}

void Trips::Wait() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return under_way_ == 0; });
}

}  // namespace weir::storage::hybrid
