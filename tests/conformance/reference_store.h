// The oracle of all stores: the contract of storage/store.h word for word, slow and obvious. A map, one mutex, copies
// of everything. Never forgets a state that has not expired; has no bound. For tests only.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "algorithms/carry_over.h"
#include "storage/store.h"

namespace weir::storage::conformance {

// Thread-safe, one plan at a time.
class ReferenceStore final : public Store {
 public:
  bool Apply(std::span<Plan> plans, Nanos now, Completion* /*done*/) override {
    const std::lock_guard lock(mutex_);
    latest_ = std::max(latest_, now);
    for (Plan& plan : plans) Decide(plan, now);
    return true;
  }
  bool CompletesInline() const override { return true; }
  StoreStats Stats() const override {
    const std::lock_guard lock(mutex_);
    StoreStats stats;
    stats.entries = states_.size();
    return stats;
  }
  Health GetHealth() const override { return Health::kUp; }
  // The earliest time to which the clock may be set back. What had expired is kept here and would live again before
  // this; another store may have given its place away.
  Nanos Earliest() const {
    const std::lock_guard lock(mutex_);
    Nanos earliest = std::numeric_limits<Nanos>::min();
    for (const auto& [id, state] : states_) {
      if (state.expires <= latest_) earliest = std::max(earliest, state.expires);
    }
    return earliest;
  }
  std::string_view Name() const override { return "reference"; }

 private:
  struct State {
    algorithms::Kind kind{};
    std::variant<algorithms::Word, algorithms::Words> value;
    Nanos expires = 0;  // once it is stored
  };
  using Id = std::pair<std::uint64_t, std::uint64_t>;
  using States = std::map<Id, State>;

  static Id IdOf(const Key& key) { return {key.hi, key.lo}; }

  static State Fresh(const Limit& limit) {
    State state{limit.kind, {}, 0};
    if (algorithms::Of(limit.kind).shape == algorithms::Shape::kList) state.value = algorithms::Words{};
    return state;
  }

  static Outcome Run(const Limit& limit, State& state, const algorithms::Ask& ask) {
    const algorithms::Algorithm& algorithm = algorithms::Of(limit.kind);
    if (algorithm.shape == algorithms::Shape::kWord) {
      return algorithm.apply_word(limit, ask, std::get<algorithms::Word>(state.value));
    }
    return algorithm.apply_list(limit, ask, std::get<algorithms::Words>(state.value));
  }

  static Nanos Expires(const Limit& limit, const State& state) {
    const algorithms::Algorithm& algorithm = algorithms::Of(limit.kind);
    if (algorithm.shape == algorithms::Shape::kWord) {
      return algorithm.expires_word(limit, std::get<algorithms::Word>(state.value));
    }
    return algorithm.expires_list(limit, std::get<algorithms::Words>(state.value));
  }

  static std::optional<State> Find(const States& states, const Limit& limit, const Key& key, Nanos now) {
    const auto found = states.find(IdOf(key));
    if (found == states.end() || !SameShape(limit, found->second)) return std::nullopt;
    if (Expires(limit, found->second) <= now) return std::nullopt;
    return found->second;
  }

  static bool SameShape(const Limit& limit, const State& state) {
    if (algorithms::Of(limit.kind).shape != algorithms::Of(state.kind).shape) return false;
    return algorithms::Of(limit.kind).shape == algorithms::Shape::kWord || limit.kind == state.kind;
  }

  // The state under `key` even when it has expired (which must make no difference), else a fresh one.
  static State Get(const States& states, const Limit& limit, const Key& key) {
    const auto found = states.find(IdOf(key));
    return found == states.end() || !SameShape(limit, found->second) ? Fresh(limit) : found->second;
  }

  static bool IsCounted(const Limit& limit) { return algorithms::Of(limit.kind).shape != algorithms::Shape::kNone; }

  // What the state becomes by a move from `previous_key`, if one is due.
  static std::optional<State> Carried(const States& states, const Item& item, Nanos now) {
    if (item.previous == nullptr || !IsCounted(*item.previous) || !IsCounted(*item.limit)) return std::nullopt;
    if (item.key == item.previous_key) return std::nullopt;
    const std::optional<State> old = Find(states, *item.previous, item.previous_key, now);
    if (!old) return std::nullopt;
    algorithms::Previous previous{*item.previous};
    if (const auto* word = std::get_if<algorithms::Word>(&old->value)) previous.word = *word;
    previous.words = std::get_if<algorithms::Words>(&old->value);
    State state = Find(states, *item.limit, item.key, now).value_or(Fresh(*item.limit));
    if (auto* word = std::get_if<algorithms::Word>(&state.value)) {
      algorithms::CarryOver(*item.limit, previous, now, *word);
    } else {
      algorithms::CarryOver(*item.limit, previous, now, item.token, std::get<algorithms::Words>(state.value));
    }
    return state;
  }

  static void Put(States& states, const Limit& limit, const Key& key, State state, Nanos now) {
    state.expires = Expires(limit, state);
    if (state.expires <= now) {
      states.erase(IdOf(key));
    } else {
      states[IdOf(key)] = std::move(state);
    }
  }

  static Outcome Unlimited(const Item& item, Op op) {
    Outcome outcome;
    outcome.limit = UINT64_MAX;
    outcome.remaining = UINT64_MAX;
    if (op == Op::kTake) outcome.granted = std::min(item.cost, algorithms::kMaxCount);
    return outcome;
  }

  static Outcome ApplyItem(States& states, const Item& item, Op op, Nanos now) {
    if (!IsCounted(*item.limit)) return Unlimited(item, op);
    State state = Get(states, *item.limit, item.key);
    const Outcome outcome = Run(*item.limit, state, AskOf(item, op, now));
    Put(states, *item.limit, item.key, std::move(state), now);
    return outcome;
  }

  static Outcome PeekItem(const States& states, const Item& item, std::uint64_t cost, Nanos now) {
    if (!IsCounted(*item.limit)) return Unlimited(item, Op::kPeek);
    const std::optional<State> carried = Carried(states, item, now);
    State state = carried ? *carried : Get(states, *item.limit, item.key);
    algorithms::Ask ask = AskOf(item, Op::kPeek, now);
    ask.cost = cost;
    return Run(*item.limit, state, ask);
  }

  static StateCopy CopyItem(const States& states, const Item& item, Nanos now) {
    if (item.limit->kind != algorithms::Kind::kAdaptive) return {};
    std::optional<State> state = Carried(states, item, now);
    if (!state) state = Find(states, *item.limit, item.key, now);
    if (!state || Expires(*item.limit, *state) <= now) return {.words = {}, .now = now};
    return {.words = std::get<algorithms::Words>(state->value), .now = now};
  }

  void Decide(Plan& plan, Nanos now) {
    plan.status = PlanStatus::kOk;
    plan.admitted = true;
    if (plan.op == Op::kPeek) {
      for (std::size_t i = 0; i < plan.items.size(); ++i) {
        plan.outcomes[i] = PeekItem(states_, plan.items[i], plan.items[i].cost, now);
        if (plan.copies != nullptr) plan.copies[i] = CopyItem(states_, plan.items[i], now);
        if (!plan.items[i].shadow && plan.outcomes[i].verdict != Verdict::kAllowed) plan.admitted = false;
      }
      return;
    }
    for (const Item& item : plan.items) CarryOver(item, now);
    if (plan.op != Op::kCheck) {
      for (std::size_t i = 0; i < plan.items.size(); ++i) {
        plan.outcomes[i] = ApplyItem(states_, plan.items[i], plan.op, now);
      }
      return;
    }
    States trial = states_;
    for (std::size_t i = 0; i < plan.items.size(); ++i) {
      plan.outcomes[i] = ApplyItem(trial, plan.items[i], Op::kCheck, now);
      if (!plan.items[i].shadow && plan.outcomes[i].verdict != Verdict::kAllowed) plan.admitted = false;
    }
    if (plan.admitted) {
      states_ = std::move(trial);
    } else {
      Deny(plan, now);
    }
  }

  void Deny(Plan& plan, Nanos now) {
    for (std::size_t i = 0; i < plan.items.size(); ++i) {
      const Item& item = plan.items[i];
      if (item.shadow) {
        plan.outcomes[i] = ApplyItem(states_, item, Op::kCheck, now);
      } else if (plan.outcomes[i].verdict != Verdict::kAllowed) {
        States kept = states_;
        if (ApplyItem(states_, item, Op::kCheck, now).verdict == Verdict::kAllowed) states_ = std::move(kept);
      } else {
        plan.outcomes[i] = PeekItem(states_, item, 0, now);
        plan.outcomes[i].verdict = Verdict::kAllowed;
      }
    }
  }

  void CarryOver(const Item& item, Nanos now) {
    std::optional<State> carried = Carried(states_, item, now);
    if (!carried) return;
    Put(states_, *item.limit, item.key, std::move(*carried), now);
    states_.erase(IdOf(item.previous_key));
  }

  mutable std::mutex mutex_;
  States states_;
  Nanos latest_ = std::numeric_limits<Nanos>::min();
};

}  // namespace weir::storage::conformance
