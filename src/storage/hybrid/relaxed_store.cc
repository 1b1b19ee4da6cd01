#include "storage/hybrid/relaxed_store.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "algorithms/gcra.h"
#include "storage/hybrid/given_back.h"
#include "storage/hybrid/homecoming.h"
#include "storage/hybrid/hybrid_admin.h"
#include "storage/hybrid/ledger.h"

namespace weir::storage::hybrid {
namespace {

using algorithms::Kind;

// Whether a count of units says all that others have to know.
bool CanSettle(const Item& item) {
  const Kind kind = item.limit->kind;
  return kind != Kind::kConcurrency && kind != Kind::kAdaptive && kind != Kind::kPenalty;
}

bool IsBucket(const Item& item) {
  return item.limit->kind == Kind::kTokenBucket || item.limit->kind == Kind::kLeakyBucket;
}

void Bump(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

// How often a charge is told whose answers are lost.
constexpr int kMostTries = 2;
// Of exchanges: how many are under way at once, and of how many subjects each is.
constexpr int kMostAtOnce = 2;
constexpr std::size_t kMostAccounts = 256;

}  // namespace

struct RelaxedStore::Parts {
  Parts(std::unique_ptr<Store> the_primary, std::unique_ptr<Store> the_secondary, const RelaxedOptions& the_options)
      : primary(std::move(the_primary)),
        secondary(std::move(the_secondary)),
        options(the_options),
        ledger(the_options.max_subjects, the_options.sync_interval) {}

  class Exchange;

  bool DecideHere(Plan& plan, Nanos now);
  void Record(const Plan& plan, Nanos now);
  void Refund(Plan& plan, Nanos now);
  void Settle(const Item& item, std::uint64_t used, Nanos now);
  void Learn(const Plan& plan, Nanos now);
  void Began();
  // `exchange`: one of those that wait may go.
  void Ended(bool exchange = false, bool pump = true);
  void Pump();
  void Wait();
  bool IsSyncing();

  const std::unique_ptr<Store> primary, secondary;
  const RelaxedOptions options;
  Ledger ledger;
  std::atomic<std::uint64_t> here{0}, asked{0}, exchanged{0}, failed{0}, others_units{0}, given_up{0};
  std::atomic<bool> shut{false};
  std::mutex mutex;
  std::condition_variable idle;
  std::uint64_t under_way = 0;  // exchanges, also those that wait, and who makes them
  std::deque<Exchange*> waiting;
  int running = 0;
  std::atomic<bool> stuck{false};  // the store has refused something in this round
  std::array<std::mutex, Ledger::kShards> refunding{};
  Homecoming homecoming;
  std::optional<HybridAdmin> admin{};
  std::once_flag closed{};
};

// Some accounts, told and asked about: their charges as of when they were made. The last answer says what is used.
class RelaxedStore::Parts::Exchange final : public Completion {
 public:
  Exchange(Parts& parts, Nanos now) : parts_(parts), now_(now) {}

  void Add(Account account) { accounts_.push_back(std::move(account)); }
  std::size_t size() const { return accounts_.size(); }
  // True: all is answered. False: Done() will be told, goes on with the next one, and destroys this.
  bool Go() {
    // Plans of different times cannot be in one batch: each is one, and the last that is answered finishes all.
    for (Account& account : accounts_) {
      for (const Piece& piece : account.pieces) {
        // A bucket has drained since they began, a window is that in which they ended.
        Put(Op::kCharge, account, piece.units, IsBucket(account.MakeItem(0)) ? piece.first : piece.last);
      }
      for (const GivenUp& refund : account.refunds) {
        Put(Op::kRefund, account, refund.units, now_);
        if (refund.named) steps_.back().item.charge = &refund.charge;
      }
      if (account.pieces.empty() && account.refunds.empty()) Put(Op::kPeek, account, 0, now_);
    }
    left_ = steps_.size() + 1;
    // What a store that is down would lose is not said. One step goes, to find out.
    const bool down = parts_.secondary->GetHealth() == Health::kDown;
    bool probed = false;
    std::size_t refused = 0;
    for (Step& step : steps_) {
      step.plan = {.op = step.op, .items = {&step.item, 1}, .outcomes = {&step.outcome, 1}};
      if (down && (probed || step.op != Op::kPeek)) {
        step.plan.status = PlanStatus::kUnavailable;
        step.refused = true;
        ++refused;
        continue;
      }
      probed = true;
      Bump(parts_.exchanged);
      if (!parts_.secondary->Apply({&step.plan, 1}, step.at, this)) continue;
      // Who would have answered later and has not is too busy, and has not done it. Who answers at once may have.
      step.refused = step.plan.status == PlanStatus::kFull ||
                     (step.plan.status != PlanStatus::kOk && !parts_.secondary->CompletesInline());
      ++refused;
    }
    return left_.fetch_sub(refused + 1, std::memory_order_acq_rel) == refused + 1;
  }
  void Done() noexcept override {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    Parts& parts = parts_;
    Finish();
    delete this;
    parts.Ended(true);
  }
  void Finish() {
    std::size_t at = 0;
    for (Account& account : accounts_) {
      // What could not be told is told again. If it may have been heard: a charge once, so that it may count twice, and
      // a refund not at all, so that it may not be given.
      Account unsaid = account;
      std::erase_if(unsaid.pieces, [&](Piece& piece) { return !IsToTell(steps_[at++], account, piece); });
      std::erase_if(unsaid.refunds, [&](const GivenUp&) {
        const Step& step = steps_[at++];
        return step.plan.status == PlanStatus::kOk || !step.refused;
      });
      if (account.pieces.empty() && account.refunds.empty()) ++at;
      const Step& last = steps_[at - 1];
      if (!unsaid.pieces.empty() || !unsaid.refunds.empty()) {
        Bump(parts_.failed);
        parts_.ledger.PutBack(unsaid);
      } else if (last.plan.status == PlanStatus::kOk) {
        parts_.Settle(last.item, UsedAt(last), now_);
      }
    }
  }

 private:
  struct Step {
    Op op;
    Nanos at;
    Item item;
    Outcome outcome;
    Plan plan;
    bool refused = false;  // has not been done
  };
  bool IsToTell(const Step& step, const Account& account, Piece& piece) {
    if (step.plan.status == PlanStatus::kOk) {
      parts_.ledger.Note(account.key, piece, step.plan.decided_at == 0 ? step.at : step.plan.decided_at);
      return false;
    }
    if (step.refused) {
      // Those that were not reached come first the next time.
      if (!parts_.stuck.exchange(true)) parts_.ledger.BeginWith(account.key);
      return true;
    }
    if (++piece.tries < kMostTries) return true;
    Bump(parts_.given_up, piece.units);
    return false;
  }
  // What the last answer says of now.
  std::uint64_t UsedAt(const Step& step) const {
    const Nanos left = step.outcome.reset_after_ns - (now_ - step.at);
    if (left <= 0) return 0;
    return IsBucket(step.item) ? algorithms::gcra::Units(*step.item.limit, left) : step.outcome.used;
  }
  void Put(Op op, const Account& account, std::uint64_t cost, Nanos at) {
    steps_.push_back({.op = op, .at = at, .item = account.MakeItem(cost), .outcome = {}, .plan = {}});
  }

  Parts& parts_;
  const Nanos now_;
  std::deque<Account> accounts_;
  std::deque<Step> steps_;
  std::atomic<std::size_t> left_{0};
};

// Goes on with the exchanges that wait, as many at a time as a store that is busy with others can bear.
void RelaxedStore::Parts::Pump() {
  while (true) {
    std::unique_ptr<Exchange> next;
    {
      const std::lock_guard lock(mutex);
      if (waiting.empty() || running >= kMostAtOnce) return;
      next.reset(waiting.front());
      waiting.pop_front();
      ++running;
    }
    Exchange* const raw = next.release();
    if (!raw->Go()) continue;
    next.reset(raw);
    next->Finish();
    Ended(true, false);
  }
}

// ---- deciding -------------------------------------------------------------------------------------------------------

// What the plan has charged and given back here.
void RelaxedStore::Parts::Record(const Plan& plan, Nanos now) {
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    const Outcome& outcome = plan.outcomes[i];
    if (item.limit->kind == Kind::kUnlimited) continue;
    const bool allowed = outcome.verdict == Verdict::kAllowed;
    switch (plan.op) {
      case Op::kCheck:
        if (allowed ? plan.admitted || item.shadow : item.limit->count_denied) ledger.Charge(item, item.cost, now);
        break;
      case Op::kCharge:
        ledger.Charge(item, item.cost, now);
        break;
      case Op::kTake:
        ledger.Charge(item, outcome.granted, now);
        break;
      default:
        break;
    }
  }
}

// The shared store must not give back more than was given back here. Of one subject one after the other.
void RelaxedStore::Parts::Refund(Plan& plan, Nanos now) {
  std::uint64_t shards = 0;
  for (const Item& item : plan.items) shards |= std::uint64_t{1} << Ledger::IndexOf(item.key);
  std::vector<std::unique_lock<std::mutex>> locks;
  for (std::uint64_t left = shards; left != 0; left &= left - 1) {
    locks.emplace_back(refunding[static_cast<std::size_t>(std::countr_zero(left))]);
  }
  const std::vector<std::uint64_t> given = GiveBack(*primary, plan, now);
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (plan.items[i].limit->kind != Kind::kUnlimited) ledger.Refund(plan.items[i], given[i]);
  }
}

bool RelaxedStore::Parts::DecideHere(Plan& plan, Nanos now) {
  if (shut || !std::ranges::all_of(plan.items, CanSettle)) return false;
  // These change the shared count by decree: it is asked, and the next exchange tells what came of it.
  if (plan.op == Op::kReset || plan.op == Op::kAssign) return false;
  if (!ledger.Touch(plan.items)) return false;
  if (plan.op == Op::kRefund) {
    Refund(plan, now);
  } else {
    (void)primary->Apply({&plan, 1}, now, nullptr);
    if (plan.status == PlanStatus::kOk) Record(plan, now);
  }
  Bump(here);
  return true;
}

bool RelaxedStore::TryApply(Plan& plan, Nanos now) {
  parts_->homecoming.Saw(now);
  if (parts_->DecideHere(plan, now)) return true;
  return parts_->secondary->CompletesInline() && Apply({&plan, 1}, now, nullptr);
}

bool RelaxedStore::Apply(std::span<Plan> plans, Nanos now, Completion* done) {
  Parts& parts = *parts_;
  parts.homecoming.Saw(now);
  struct Passage final : Completion {
    Passage(Parts& the_parts, std::vector<Plan*> the_plans, Nanos the_now, Completion* the_done)
        : parts(the_parts), plans(std::move(the_plans)), now(the_now), done(the_done) {
      for (const Plan* const plan : plans) sent.push_back(*plan);
    }
    void Done() noexcept override {
      for (std::size_t i = 0; i < plans.size(); ++i) {
        *plans[i] = sent[i];
        parts.Learn(sent[i], now);
      }
      Completion* const told = done;
      delete this;
      if (told != nullptr) told->Done();
    }
    Parts& parts;
    std::vector<Plan*> plans;
    std::vector<Plan> sent;
    const Nanos now;
    Completion* done;
  };
  std::vector<Plan*> others;
  for (Plan& plan : plans) {
    if (parts.DecideHere(plan, now)) continue;
    if (plan.op == Op::kReset || plan.op == Op::kAssign) {
      // Here at once, so that this instance's own next ask sees it.
      std::vector<Outcome> outcomes(plan.items.size());
      Plan same = plan;
      same.outcomes = outcomes;
      (void)parts.primary->Apply({&same, 1}, now, nullptr);
      for (const Item& item : plan.items) parts.ledger.Forget(item.key);
    }
    others.push_back(&plan);
  }
  if (others.empty()) return true;
  Bump(parts.asked, others.size());
  auto passage = std::make_unique<Passage>(parts, std::move(others), now, done);
  if (!parts.secondary->Apply(passage->sent, now, passage.get())) {
    (void)passage.release();
    return false;
  }
  passage->done = nullptr;
  passage.release()->Done();
  return true;
}

// ---- settling -------------------------------------------------------------------------------------------------------

// The shared store counts `used`, and does not know yet what has been charged here since.
void RelaxedStore::Parts::Settle(const Item& told, std::uint64_t used, Nanos now) {
  Item item = told;
  item.cost = 0;
  item.charge = nullptr;  // what is given back here is of what the others had, and not of the refund that was told
  Outcome outcome;
  Plan plan{.op = Op::kPeek, .items = {&item, 1}, .outcomes = {&outcome, 1}};
  (void)primary->Apply({&plan, 1}, now, nullptr);
  const std::uint64_t target = used + ledger.Owed(item.key);
  if (target > outcome.used) {
    item.cost = target - outcome.used;
    plan.op = Op::kCharge;
    Bump(others_units, item.cost);
  } else if (outcome.used > target + 1) {  // a begun unit counts whole on either side
    item.cost = outcome.used - target;
    plan.op = Op::kRefund;
  } else {
    return;
  }
  (void)primary->Apply({&plan, 1}, now, nullptr);
}

// The shared store has decided a plan: from now on its subjects are known here.
void RelaxedStore::Parts::Learn(const Plan& plan, Nanos now) {
  const bool tells = plan.op == Op::kCheck || plan.op == Op::kCharge || plan.op == Op::kTake;
  if (shut || plan.status != PlanStatus::kOk || !tells || !std::ranges::all_of(plan.items, CanSettle)) return;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    if (item.limit->kind == Kind::kUnlimited || !ledger.Open(item)) continue;
    Item told = item;
    told.charge = nullptr;
    Settle(told, plan.outcomes[i].used, now);
  }
}

void RelaxedStore::Parts::Began() {
  const std::lock_guard lock(mutex);
  ++under_way;
}
void RelaxedStore::Parts::Ended(bool exchange, bool pump) {
  if (exchange) {
    {
      const std::lock_guard lock(mutex);
      --running;
    }
    if (pump) Pump();
  }
  const std::lock_guard lock(mutex);
  if (--under_way == 0) idle.notify_all();
}
void RelaxedStore::Parts::Wait() {
  std::unique_lock lock(mutex);
  idle.wait(lock, [this] { return under_way == 0; });
}
bool RelaxedStore::Parts::IsSyncing() {
  const std::lock_guard lock(mutex);
  return under_way > 0;
}

void RelaxedStore::Sync(Nanos now, bool wait) {
  Parts& parts = *parts_;
  if (!parts.IsSyncing()) {
    parts.Began();  // this call itself
    parts.stuck = false;
    std::vector<Account> accounts = parts.ledger.Take();
    for (std::size_t i = 0; i < accounts.size();) {
      auto exchange = std::make_unique<Parts::Exchange>(parts, now);
      for (; i < accounts.size() && exchange->size() < kMostAccounts; ++i) exchange->Add(std::move(accounts[i]));
      parts.Began();
      const std::lock_guard lock(parts.mutex);
      parts.waiting.push_back(exchange.release());
    }
    parts.Pump();
    parts.Ended();
  }
  if (wait) parts.Wait();
}

// ---- the store ------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<RelaxedStore>> RelaxedStore::Create(std::unique_ptr<Store> primary,
                                                           std::unique_ptr<Store> secondary,
                                                           const RelaxedOptions& options) {
  if (primary == nullptr || !primary->CompletesInline() || secondary == nullptr) {
    return Fail(ErrorCode::kInvalidArgument, "a relaxed hybrid store needs memory, and a secondary store");
  }
  if (options.sync_interval < 1 || options.sync_interval > kHour) {
    return Fail(ErrorCode::kInvalidArgument, "sync_interval must be more than 0 and at most an hour");
  }
  if (options.max_subjects < 64) return Fail(ErrorCode::kInvalidArgument, "max_subjects must be at least 64");
  auto store = std::unique_ptr<RelaxedStore>(
      new RelaxedStore(std::make_unique<Parts>(std::move(primary), std::move(secondary), options)));
  Parts& parts = *store->parts_;
  RelaxedStore* const raw = store.get();
  if (Admin* const admin = parts.secondary->GetAdmin()) {
    parts.admin.emplace(*admin, [raw, &parts](const StateName* name, HybridAdmin::For what, Nanos now) {
      if (what != HybridAdmin::For::kReset) return raw->Sync(now, true);
      parts.ledger.Forget(name->key);
      if (Admin* const here = parts.primary->GetAdmin()) (void)here->Reset(*name);
    });
  }
  if (options.background) {
    parts.homecoming.Start(options.sync_interval, [raw](Nanos now) { raw->Sync(now); });
  }
  return store;
}

RelaxedStore::RelaxedStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

RelaxedStore::~RelaxedStore() { Close(); }

bool RelaxedStore::CompletesInline() const { return parts_->secondary->CompletesInline(); }

void RelaxedStore::Expect(const Key& key) const noexcept { parts_->primary->Expect(key); }

Admin* RelaxedStore::GetAdmin() { return parts_->admin ? &*parts_->admin : nullptr; }

void RelaxedStore::Close() {
  Parts& parts = *parts_;
  std::call_once(parts.closed, [&] {
    parts.homecoming.Stop();
    parts.shut = true;
    parts.Wait();
    Sync(parts.homecoming.Now(), true);
    parts.secondary->Close();
    parts.primary->Close();
  });
}

StoreStats RelaxedStore::Stats() const {
  StoreStats stats = parts_->primary->Stats();
  const StoreStats shared = parts_->secondary->Stats();
  stats.failures = shared.failures;
  stats.round_trips = shared.round_trips;
  return stats;
}

Health RelaxedStore::GetHealth() const {
  return parts_->secondary->GetHealth() == Health::kUp ? Health::kUp : Health::kDegraded;
}

void RelaxedStore::Describe(MetricSink& sink, std::string_view as) const {
  Parts& parts = *parts_;
  parts.secondary->Describe(sink, as);
  parts.primary->Describe(sink, std::string(as) + "_primary");
  const auto read = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  constexpr std::string_view kDecisions = "weir_hybrid_decisions_total",
                             kWhere = "Plans of the hybrid store, by where they were decided.";
  sink.Counter(kDecisions, kWhere, read(parts.here), {{"where", "here"}});
  sink.Counter(kDecisions, kWhere, read(parts.asked), {{"where", "store"}});
  constexpr std::string_view kOperations = "weir_hybrid_store_operations_total",
                             kWhat = "What the hybrid store asked of the shared store, by kind.";
  sink.Counter(kOperations, kWhat, read(parts.asked), {{"kind", "plan"}});
  sink.Counter(kOperations, kWhat, read(parts.exchanged), {{"kind", "sync"}});
  sink.Counter("weir_hybrid_sync_failures_total",
               "Subjects of which the shared store could not be told in an exchange.", read(parts.failed));
  sink.Counter("weir_hybrid_given_up_units_total",
               "Units that were told twice, without an answer: they may count nowhere, or twice.",
               read(parts.given_up));
  sink.Counter("weir_hybrid_others_units_total", "Units that other instances were found to have used.",
               read(parts.others_units));
  sink.Gauge("weir_hybrid_sync_interval_seconds",
             "Relaxed: what another instance has admitted is known here after twice as long.",
             static_cast<double>(parts.options.sync_interval) / static_cast<double>(kSecond));
  const Ledger::Sums sums = parts.ledger.Sum();
  sink.Gauge("weir_hybrid_subjects", "Subjects whose asks are counted.", static_cast<double>(sums.subjects));
  sink.Gauge("weir_hybrid_unsettled_units",
             "Units admitted here that the shared store does not know of: the others may admit as many again.",
             static_cast<double>(sums.units));
}

}  // namespace weir::storage::hybrid
