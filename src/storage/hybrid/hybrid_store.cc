#include "storage/hybrid/hybrid_store.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "storage/hybrid/decider.h"
#include "storage/hybrid/homecoming.h"
#include "storage/hybrid/hybrid_admin.h"
#include "storage/hybrid/trips.h"

namespace weir::storage::hybrid {

struct HybridStore::Parts {
  Parts(std::unique_ptr<Store> the_secondary, const HybridOptions& the_options)
      : secondary(std::move(the_secondary)),
        options(the_options),
        decider(options, counters),
        trips(*secondary, decider, counters) {}

  class Passage;

  const std::unique_ptr<Store> secondary;
  const HybridOptions options;
  Counters counters{};
  Decider decider;
  Trips trips;
  Homecoming homecoming;
  std::optional<HybridAdmin> admin{};
  std::once_flag closed{};
};

// One Apply() that asks the store: its plans, each behind what comes home for it.
class HybridStore::Parts::Passage final : public Completion {
 public:
  // `entered`: Trips::Enter() has counted it.
  Passage(Parts& parts, Nanos now, Completion* done, bool entered)
      : parts_(parts), now_(now), done_(done), entered_(entered) {}

  // `epoch`: of the trips, before it was made.
  void Add(Errand errand, std::uint64_t epoch) {
    for (Homeward& home : errand.home) home.epoch = epoch;
    errands_.push_back(std::move(errand));
  }
  bool empty() const { return errands_.empty(); }
  // There was nothing to ask.
  void Drop() {
    if (entered_) parts_.trips.Leave();
  }

  // True: all is complete on return. Destroys itself when it is.
  bool Go() {
    const bool away = parts_.trips.IsAway();
    for (Errand& errand : errands_) {
      if (away) {
        // A store that is away may do the plan all the same; what was held of a state that is set anew is nobody's
        // then.
        const bool anew = errand.sent.op == Op::kReset || errand.sent.op == Op::kAssign;
        for (Homeward& home : errand.home) {
          if (anew) {
            hybrid::Add(parts_.counters.lapsed, home.part.units);
          } else {
            parts_.trips.Keep(std::move(home));
          }
        }
        errand.home.clear();
      }
      returns_before_.push_back(errand.home.size());
      for (Homeward& home : errand.home) {
        hybrid::Add(parts_.counters.returns);
        returns_.push_back(std::make_unique<ReturnPlan>(std::move(home), parts_.options.lease_life));
        plans_.push_back(returns_.back()->MakePlan());
      }
      errand.home.clear();
      plans_.push_back(errand.sent);
    }
    if (!parts_.secondary->Apply(plans_, now_, this)) return false;
    done_ = nullptr;
    at_once_ = true;
    Done();
    return true;
  }

  void Done() noexcept override {
    std::vector<Want> wants;
    std::size_t at = 0, returned = 0;
    for (std::size_t i = 0; i < errands_.size(); ++i) {
      for (std::size_t left = returns_before_[i]; left > 0; --left, ++at, ++returned) {
        parts_.trips.Came(plans_[at].status, at_once_, std::move(returns_[returned]->home));
      }
      errands_[i].sent = plans_[at++];
      parts_.decider.Finish(errands_[i], now_, wants);
    }
    parts_.trips.Take(wants, now_);
    Completion* const done = done_;
    if (entered_) parts_.trips.Leave();
    delete this;
    if (done != nullptr) done->Done();
  }

 private:
  Parts& parts_;
  const Nanos now_;
  Completion* done_;
  const bool entered_;
  bool at_once_ = false;
  std::vector<Errand> errands_;
  std::vector<std::size_t> returns_before_;  // each errand
  std::vector<std::unique_ptr<ReturnPlan>> returns_;
  std::vector<Plan> plans_;
};

Result<std::unique_ptr<HybridStore>> HybridStore::Create(std::unique_ptr<Store> secondary,
                                                         const HybridOptions& options) {
  if (secondary == nullptr) return Fail(ErrorCode::kInvalidArgument, "a hybrid store needs a secondary store");
  if (options.lease_life < 1 || options.lease_life > kHour) {
    return Fail(ErrorCode::kInvalidArgument, "lease_life must be 1 ns to an hour");
  }
  if (options.hot_after == 0) return Fail(ErrorCode::kInvalidArgument, "hot_after must be at least 1");
  if (options.max_subjects < SubjectTable::kShards) {
    return Fail(ErrorCode::kInvalidArgument, "max_subjects must be at least 64");
  }
  auto parts = std::make_unique<Parts>(std::move(secondary), options);
  Parts& of = *parts;
  if (Admin* const admin = of.secondary->GetAdmin()) {
    of.admin.emplace(*admin, [&of](const StateName* name, HybridAdmin::For what, Nanos now) {
      if (!of.trips.Enter()) return;
      std::vector<Homeward> home;
      if (what == HybridAdmin::For::kReset && name != nullptr) {
        of.trips.Forget([&](const Homeward& home) {
          return home.key.hi == name->key.hi || (home.rule == name->rule && home.subject == name->subject);
        });
      }
      const std::uint64_t epoch = of.trips.epoch();
      if (name == nullptr) {
        of.decider.Collect(now, true, home);
      } else {
        of.decider.CollectOf(*name, what == HybridAdmin::For::kReset, now, home);
      }
      of.trips.ReturnAndWait(home, now, epoch);
      of.trips.Leave();
    });
  }
  auto store = std::unique_ptr<HybridStore>(new HybridStore(std::move(parts)));
  if (options.background) {
    of.homecoming.Start(std::max<Nanos>(options.lease_life / 2, 10 * kMillisecond),
                        [raw = store.get()](Nanos now) { raw->Tick(now); });
  }
  return store;
}

HybridStore::HybridStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

HybridStore::~HybridStore() { Close(); }

bool HybridStore::CompletesInline() const { return parts_->secondary->CompletesInline(); }

bool HybridStore::Remembers() const { return parts_->secondary->Remembers(); }

void HybridStore::Expect(const Key& key) const noexcept { parts_->secondary->Expect(key); }

Admin* HybridStore::GetAdmin() { return parts_->admin ? &*parts_->admin : nullptr; }

bool HybridStore::TryApply(Plan& plan, Nanos now) {
  Parts& parts = *parts_;
  parts.homecoming.Saw(now);
  std::vector<Want> wants;
  if (!parts.decider.Try(plan, now, wants))
    return parts.secondary->CompletesInline() && Apply({&plan, 1}, now, nullptr);
  parts.trips.Take(wants, now);
  return true;
}

bool HybridStore::Apply(std::span<Plan> plans, Nanos now, Completion* done) {
  Parts& parts = *parts_;
  parts.homecoming.Saw(now);
  const bool in_line = parts.secondary->CompletesInline();
  std::vector<Want> wants;
  std::unique_ptr<Parts::Passage> passage;
  for (Plan& plan : plans) {
    if (passage == nullptr) passage = std::make_unique<Parts::Passage>(parts, now, done, parts.trips.Enter());
    if (plan.op == Op::kReset || plan.op == Op::kAssign) {
      parts.trips.Forget([&](const Homeward& home) {
        return std::ranges::any_of(plan.items, [&](const Item& item) { return item.key == home.key; });
      });
    }
    Errand errand;
    const std::uint64_t epoch = parts.trips.epoch();
    if (!parts.decider.Send(plan, now, errand, wants)) {
      parts.trips.Take(wants, now);
      continue;
    }
    passage->Add(std::move(errand), epoch);
    // One after the other costs nothing there, and the next one sees what has become of this one.
    if (in_line) (void)passage.release()->Go();
  }
  if (passage == nullptr) return true;
  if (!passage->empty()) return passage.release()->Go();
  passage->Drop();
  return true;
}

void HybridStore::Tick(Nanos now) {
  Parts& parts = *parts_;
  if (!parts.trips.Enter()) return;
  parts.trips.Retry(now);
  std::vector<Homeward> home;
  const std::uint64_t epoch = parts.trips.epoch();
  parts.decider.Collect(now, false, home);
  parts.trips.Return(home, now, epoch);
  parts.trips.Leave();
}

void HybridStore::Close() {
  Parts& parts = *parts_;
  std::call_once(parts.closed, [&parts] {
    parts.homecoming.Stop();
    parts.decider.Shut();
    parts.trips.Shut();
    parts.trips.Wait();
    std::vector<Homeward> home;
    const Nanos now = parts.homecoming.Now();
    const std::uint64_t epoch = parts.trips.epoch();
    parts.decider.Collect(now, true, home);
    parts.trips.Return(home, now, epoch);
    parts.trips.Retry(now);
    parts.trips.Wait();
    parts.trips.GiveUp();
    parts.secondary->Close();
  });
}

StoreStats HybridStore::Stats() const { return parts_->secondary->Stats(); }

Health HybridStore::GetHealth() const { return parts_->secondary->GetHealth(); }

void HybridStore::Describe(MetricSink& sink, std::string_view as) const {
  Parts& parts = *parts_;
  parts.secondary->Describe(sink, as);
  const auto read = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  constexpr std::string_view kDecisions = "weir_hybrid_decisions_total",
                             kWhere = "Plans of the hybrid store, by where they were decided.";
  const Counters& counters = parts.counters;
  sink.Counter(kDecisions, kWhere, read(counters.decided_here), {{"where", "here"}});
  sink.Counter(kDecisions, kWhere, read(counters.asked), {{"where", "store"}});
  sink.Counter("weir_hybrid_denied_here_total", "Plans that were denied without asking the shared store.",
               read(counters.denied_here));
  constexpr std::string_view kOperations = "weir_hybrid_store_operations_total",
                             kWhat = "What the hybrid store asked of the shared store, by kind.";
  sink.Counter(kOperations, kWhat, read(counters.asked), {{"kind", "plan"}});
  sink.Counter(kOperations, kWhat, read(counters.takes), {{"kind", "take"}});
  sink.Counter(kOperations, kWhat, read(counters.returns), {{"kind", "return"}});
  constexpr std::string_view kUnits = "weir_hybrid_lease_units_total", kOfLeases = "Units of leases, by their fate.";
  sink.Counter(kUnits, kOfLeases, read(counters.granted), {{"fate", "granted"}});
  sink.Counter(kUnits, kOfLeases, read(counters.returned), {{"fate", "returned"}});
  sink.Counter(kUnits, kOfLeases, read(counters.lapsed), {{"fate", "lapsed"}});
  sink.Counter(kUnits, kOfLeases, read(counters.lost), {{"fate", "lost"}});
  const SubjectTable::Sums sums = parts.decider.Sum();
  sink.Gauge("weir_hybrid_subjects", "Subjects whose asks are counted.", static_cast<double>(sums.subjects));
  sink.Gauge("weir_hybrid_leases", "Leases held now.", static_cast<double>(sums.leases));
  sink.Gauge("weir_hybrid_outstanding_units",
             "Units leased and not spent now: what the death of this instance would cost its subjects.",
             static_cast<double>(sums.units));
  sink.Gauge("weir_hybrid_lease_life_seconds", "How long a lease can be spent, and a denial is known.",
             static_cast<double>(parts.options.lease_life) / static_cast<double>(kSecond));
  sink.Gauge("weir_hybrid_over_admission_units",
             "The most that may be admitted beyond a limit while the shared store is consistent.", 0);
}

}  // namespace weir::storage::hybrid
