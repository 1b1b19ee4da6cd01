#include "storage/postgres/working_set.h"

#include <algorithm>

#include "algorithms/carry_over.h"
#include "algorithms/instant.h"
#include "storage/postgres/once_note.h"

namespace weir::storage::postgres {
namespace {

using algorithms::Ask;
using algorithms::Shape;

bool IsCounted(const Limit& limit) { return algorithms::Of(limit.kind).shape != Shape::kNone; }
bool IsWord(const Limit& limit) { return algorithms::Of(limit.kind).shape == Shape::kWord; }

bool SameShape(const Limit& limit, const State& state) {
  if (state.kind <= 0) return false;
  const auto kind = static_cast<algorithms::Kind>(state.kind);
  if (algorithms::Of(limit.kind).shape != algorithms::Of(kind).shape) return false;
  return IsWord(limit) || limit.kind == kind;
}

Outcome Run(const Limit& limit, const Ask& ask, State& state) {
  const algorithms::Algorithm& algorithm = algorithms::Of(limit.kind);
  return IsWord(limit) ? algorithm.apply_word(limit, ask, state.word) : algorithm.apply_list(limit, ask, state.list);
}

Nanos Expires(const Limit& limit, const State& state) {
  const algorithms::Algorithm& algorithm = algorithms::Of(limit.kind);
  return IsWord(limit) ? algorithm.expires_word(limit, state.word) : algorithm.expires_list(limit, state.list);
}

Outcome Unlimited(const Item& item, Op op) {
  Outcome outcome;
  outcome.limit = outcome.remaining = UINT64_MAX;
  if (op == Op::kTake) outcome.granted = std::min(item.cost, algorithms::kMaxCount);
  return outcome;
}

bool HasPrevious(const Item& item) {
  return item.previous != nullptr && IsCounted(*item.previous) && IsCounted(*item.limit) &&
         !(item.key == item.previous_key);
}

}  // namespace

void Tell(const Decision& decision, Plan& plan) {
  std::ranges::copy(decision.outcomes, plan.outcomes.begin());
  if (plan.copies != nullptr) std::ranges::copy(decision.copies, plan.copies);
  plan.status = PlanStatus::kOk;
  plan.admitted = decision.admitted;
  plan.decided_at = decision.decided_at;
  if (plan.once == nullptr) return;
  plan.once->repeated = decision.repeated;
  if (decision.repeated && decision.tokens.size() == plan.once->tokens.size()) {
    std::ranges::copy(decision.tokens, plan.once->tokens.begin());
  }
}

void AddKeysOf(const Plan& plan, std::vector<Key>& keys) {
  for (const Item& item : plan.items) {
    if (IsCounted(*item.limit)) keys.push_back(item.key);
    if (HasPrevious(item)) keys.push_back(item.previous_key);
  }
  if (plan.once != nullptr) keys.push_back(OnceKey(plan.once->id));
}

void SortKeys(std::vector<Key>& keys) {
  std::ranges::sort(keys, Before);
  keys.erase(std::ranges::unique(keys).begin(), keys.end());
}

WorkingSet::WorkingSet(std::vector<Key> keys) : keys_(std::move(keys)), cells_(keys_.size()) {}

void WorkingSet::Load(const Key& key, std::optional<State> state, RowFault fault) {
  const auto found = std::ranges::lower_bound(keys_, key, Before);
  if (found == keys_.end() || !(*found == key)) return;
  Cell& cell = cells_[static_cast<std::size_t>(found - keys_.begin())];
  cell.state = std::move(state);
  cell.strange = fault != RowFault::kNone;
  any_strange_ |= cell.strange;
}

bool WorkingSet::CanDecide(const Plan& plan) const {
  if (!any_strange_) return true;
  std::vector<Key> needed;
  AddKeysOf(plan, needed);
  return std::ranges::none_of(needed, [this](const Key& key) { return At(key).strange; });
}

WorkingSet::Cell& WorkingSet::At(const Key& key) {
  return cells_[static_cast<std::size_t>(std::ranges::lower_bound(keys_, key, Before) - keys_.begin())];
}
const WorkingSet::Cell& WorkingSet::At(const Key& key) const {
  return cells_[static_cast<std::size_t>(std::ranges::lower_bound(keys_, key, Before) - keys_.begin())];
}

void WorkingSet::Set(const Key& key, std::optional<State> state) {
  Cell& cell = At(key);
  if (cell.state == state) return;
  journal_.push_back({static_cast<std::size_t>(&cell - cells_.data()), std::exchange(cell.state, std::move(state)),
                      std::exchange(cell.changed, true)});
}

void WorkingSet::Undo(std::size_t mark) {
  while (journal_.size() > mark) {
    Former& former = journal_.back();
    cells_[former.cell].state = std::move(former.state);
    cells_[former.cell].changed = former.changed;
    journal_.pop_back();
  }
}

// ---- one state ------------------------------------------------------------------------------------------------------

// The state under the key, also when it has expired; nullptr: none of the limit's shape.
const State* WorkingSet::Found(const Limit& limit, const Key& key) const {
  const Cell& cell = At(key);
  return cell.state && SameShape(limit, *cell.state) ? &*cell.state : nullptr;
}

const State* WorkingSet::Live(const Limit& limit, const Key& key, Nanos now) const {
  const State* const state = Found(limit, key);
  return state != nullptr && Expires(limit, *state) > now ? state : nullptr;
}

State WorkingSet::Get(const Limit& limit, const Key& key) const {
  State state;
  if (const State* const found = Found(limit, key)) state = *found;
  state.kind = static_cast<std::int16_t>(limit.kind);
  return state;
}

void WorkingSet::Put(const Limit& limit, const Key& key, State state, Nanos now) {
  state.kind = static_cast<std::int16_t>(limit.kind);
  state.expires = Expires(limit, state);
  if (state.expires <= now) return Set(key, std::nullopt);
  // Nothing is written for what has not changed: the row may say a later time, which does no harm.
  if (const State* const found = Found(limit, key); found != nullptr) {
    if (found->kind == state.kind && found->word == state.word && found->list == state.list) return;
  }
  Set(key, std::move(state));
}

// What the state becomes by a move from `previous_key`, if one is due.
std::optional<State> WorkingSet::Carried(const Item& item, Nanos now) const {
  if (!HasPrevious(item)) return std::nullopt;
  const State* const old = Live(*item.previous, item.previous_key, now);
  if (old == nullptr) return std::nullopt;
  algorithms::Previous previous{*item.previous};
  if (IsWord(*item.previous)) {
    previous.word = old->word;
  } else {
    previous.words = &old->list;
  }
  State state;
  if (const State* const here = Live(*item.limit, item.key, now)) state = *here;
  if (IsWord(*item.limit)) {
    algorithms::CarryOver(*item.limit, previous, now, state.word);
  } else {
    algorithms::CarryOver(*item.limit, previous, now, item.token, state.list);
  }
  return state;
}

void WorkingSet::CarryOver(const Item& item, Nanos now) {
  std::optional<State> carried = Carried(item, now);
  if (!carried) return;
  Put(*item.limit, item.key, std::move(*carried), now);
  Set(item.previous_key, std::nullopt);
}

Outcome WorkingSet::ApplyItem(const Item& item, Op op, Nanos now) {
  if (!IsCounted(*item.limit)) return Unlimited(item, op);
  State state = Get(*item.limit, item.key);
  const Outcome outcome = Run(*item.limit, AskOf(item, op, now), state);
  Put(*item.limit, item.key, std::move(state), now);
  return outcome;
}

Outcome WorkingSet::PeekItem(const Item& item, std::uint64_t cost, Nanos now) const {
  if (!IsCounted(*item.limit)) return Unlimited(item, Op::kPeek);
  std::optional<State> state = Carried(item, now);
  if (!state) state = Get(*item.limit, item.key);
  Ask ask = AskOf(item, Op::kPeek, now);
  ask.cost = cost;
  return Run(*item.limit, ask, *state);
}

StateCopy WorkingSet::CopyItem(const Item& item, Nanos now) const {
  if (item.limit->kind != algorithms::Kind::kAdaptive) return {};
  std::optional<State> state = Carried(item, now);
  if (!state) {
    if (const State* const live = Live(*item.limit, item.key, now)) state = *live;
  }
  if (!state || Expires(*item.limit, *state) <= now) return {.words = {}, .now = now};
  return {.words = std::move(state->list), .now = now};
}

// ---- plans ----------------------------------------------------------------------------------------------------------

Decision WorkingSet::Decide(const Plan& plan, Nanos now) {
  Decision decision{.admitted = true, .outcomes = std::vector<Outcome>(plan.items.size()), .decided_at = now};
  if (plan.once != nullptr && Repeat(plan, now, decision)) return decision;
  if (plan.op == Op::kPeek) {
    Peek(plan, now, decision);
    return decision;
  }
  for (const Item& item : plan.items) CarryOver(item, now);
  if (plan.op == Op::kCheck) {
    Check(plan, now, decision);
    if (plan.once != nullptr && decision.admitted) Remember(plan, now, decision);
  } else {
    for (std::size_t i = 0; i < plan.items.size(); ++i) {
      decision.outcomes[i] = ApplyItem(plan.items[i], plan.op, now);
    }
  }
  journal_.clear();
  return decision;
}

void WorkingSet::Peek(const Plan& plan, Nanos now, Decision& decision) const {
  if (plan.copies != nullptr) decision.copies.resize(plan.items.size());
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    decision.outcomes[i] = PeekItem(item, item.cost, now);
    if (plan.copies != nullptr) decision.copies[i] = CopyItem(item, now);
    if (!item.shadow && decision.outcomes[i].verdict != Verdict::kAllowed) decision.admitted = false;
  }
}

void WorkingSet::Check(const Plan& plan, Nanos now, Decision& decision) {
  const std::size_t mark = journal_.size();
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    decision.outcomes[i] = ApplyItem(plan.items[i], Op::kCheck, now);
    if (!plan.items[i].shadow && decision.outcomes[i].verdict != Verdict::kAllowed) decision.admitted = false;
  }
  if (decision.admitted) return;
  Undo(mark);
  Deny(plan, now, decision);
}

void WorkingSet::Deny(const Plan& plan, Nanos now, Decision& decision) {
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& item = plan.items[i];
    Outcome& outcome = decision.outcomes[i];
    if (item.shadow) {
      outcome = ApplyItem(item, Op::kCheck, now);
    } else if (outcome.verdict != Verdict::kAllowed) {
      const std::size_t mark = journal_.size();
      if (ApplyItem(item, Op::kCheck, now).verdict == Verdict::kAllowed) Undo(mark);
    } else {
      outcome = PeekItem(item, 0, now);
      outcome.verdict = Verdict::kAllowed;
    }
  }
}

// ---- request ids ----------------------------------------------------------------------------------------------------

bool WorkingSet::Repeat(const Plan& plan, Nanos now, Decision& decision) const {
  const Cell& cell = At(OnceKey(plan.once->id));
  if (!cell.state || cell.state->kind != kOnceRow || cell.state->word <= now) return false;
  const std::optional<OnceNote> note = ReadNote(cell.state->note);
  if (!note) return false;
  decision.repeated = true;
  decision.decided_at = note->at;
  decision.tokens = note->tokens;
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    // Since then the rule has got more items: those were not charged.
    decision.outcomes[i] = i < note->outcomes.size() ? Aged(note->outcomes[i], now - note->at)
                                                     : Outcome{.limit = plan.items[i].limit->capacity};
  }
  return true;
}

void WorkingSet::Remember(const Plan& plan, Nanos now, const Decision& decision) {
  const Once& once = *plan.once;
  State state{.kind = kOnceRow, .word = algorithms::SaturatingAdd(now, std::max<Nanos>(once.life, kMillisecond))};
  state.expires = state.word;
  state.note =
      WriteNote({.at = now, .tokens = {once.tokens.begin(), once.tokens.end()}, .outcomes = decision.outcomes});
  Set(OnceKey(once.id), std::move(state));
}

WorkingSet::Changes WorkingSet::GetChanges() const {
  Changes changes;
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    if (!cells_[i].state && !cells_[i].strange) {
      changes.gone.push_back(keys_[i]);
    } else if (cells_[i].changed) {
      changes.written.emplace_back(keys_[i], &*cells_[i].state);
    }
  }
  return changes;
}

}  // namespace weir::storage::postgres
