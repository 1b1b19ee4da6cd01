#include "storage/redis/plan_codec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "algorithms/adaptive.h"
#include "algorithms/aligned_window.h"
#include "algorithms/anchored_window.h"
#include "algorithms/gcra.h"
#include "algorithms/instant.h"
#include "algorithms/sliding_window.h"
#include "algorithms/sliding_window_log.h"
#include "algorithms/time_zone.h"
#include "storage/redis/key_name.h"
#include "storage/redis/once_codec.h"

namespace weir::storage::redis {
namespace {

using algorithms::Ask;
using algorithms::Calendar;
using algorithms::Kind;
using algorithms::Shape;
using algorithms::Word;
using algorithms::Words;
namespace adaptive = algorithms::adaptive;
namespace gcra = algorithms::gcra;
namespace sliding_window = algorithms::sliding_window;

constexpr std::array<std::string_view, 7> kOps = {"check", "peek", "charge", "refund", "reset", "assign", "take"};

bool IsCounted(const Limit& limit) { return algorithms::Of(limit.kind).shape != Shape::kNone; }

bool HasPrevious(const Item& item) { return item.previous != nullptr && IsCounted(*item.previous); }

// ---- words of a command ---------------------------------------------------------------------------------------------

// The letter of the algorithm in lua/ that counts for this limit.
char Letter(const Limit& limit) {
  switch (limit.kind) {
    case Kind::kTokenBucket:
    case Kind::kLeakyBucket:
      return 'g';
    case Kind::kSlidingWindow:
      return sliding_window::IsAnchored(limit) ? 'w' : 's';
    case Kind::kSlidingWindowLog:
      return 'l';
    case Kind::kFixedWindow:
    case Kind::kAlignedWindow:
    case Kind::kAnchoredWindow:
      return 'w';
    case Kind::kConcurrency:
      return 'c';
    case Kind::kAdaptive:
      return 'a';
    case Kind::kPenalty:
      return 'p';
    case Kind::kUnlimited:
      break;
  }
  return '-';
}

std::int64_t Bounded(std::uint64_t count) { return static_cast<std::int64_t>(std::min(count, algorithms::kMaxCount)); }

std::int64_t CeilMilliseconds(Nanos duration) { return (duration + kMillisecond - 1) / kMillisecond; }

void AddInstant(Command& command, Nanos instant) {
  const Nanos rest = instant % kSecond;
  const Nanos borrowed = rest < 0 ? 1 : 0;
  command.Add(instant / kSecond - borrowed).Add(rest + borrowed * kSecond);
}

// Longer than any unit of a calendar ever was, clock changes and skipped days included.
Nanos LongestUnit(const Limit& limit) {
  switch (limit.calendar) {
    case Calendar::kEpoch:
      return limit.window;
    case Calendar::kMinute:
    case Calendar::kHour:
      return kDay;
    case Calendar::kDay:
      return 3 * kDay;
    case Calendar::kWeek:
      return 9 * kDay;
    case Calendar::kMonth:
      return 33 * kDay;
    case Calendar::kYear:
    case Calendar::kNone:
      break;
  }
  return 368 * kDay;
}

void AddBucket(const Limit& limit, const Ask& ask, Command& command) {
  const gcra::Terms terms = gcra::MakeTerms(limit, ask.cost);
  AddInstant(command, terms.fits_ever ? terms.burst - terms.increment : 0);
  AddInstant(command, ask.op == Op::kRefund ? gcra::GivenBack(limit, ask, ask.now) : terms.increment);
}

void AddRate(const Limit& limit, Command& command) {
  command.Add(static_cast<std::int64_t>(limit.rate_count));
  AddInstant(command, limit.rate_period);
}

// So that a window that a store of words keeps saturates where it does there.
std::uint64_t MostCounted(const Limit& limit) {
  return algorithms::IsWordWindow(limit.kind) ? algorithms::aligned_window::MostCount(limit) : algorithms::kMaxCount;
}

void AddAnchoredWindow(const Limit& limit, std::uint64_t cost, Nanos now, Command& command) {
  if (algorithms::IsFixedWindow(limit.kind) && limit.calendar != Calendar::kNone) {
    const Nanos start = algorithms::CalendarBounds(limit, now).start;
    AddInstant(command, start);
    AddInstant(command, start);
    AddInstant(command, LongestUnit(limit));
  } else {
    AddInstant(command, algorithms::anchored_window::LiveFrom(limit, now));
    AddInstant(command, limit.kind == Kind::kAnchoredWindow ? algorithms::aligned_window::StartOfNew(limit, now) : now);
    AddInstant(command, limit.window);
  }
  const std::uint64_t most = MostCounted(limit);
  command.Add(Bounded(std::min(limit.capacity, most))).Add(Bounded(cost)).Add(limit.count_denied ? "1" : "0");
  command.Add(Bounded(most));
}

void AddSlidingWindow(const Limit& limit, std::uint64_t cost, Nanos now, Command& command) {
  const sliding_window::Position position = sliding_window::Locate(limit, now);
  const sliding_window::Position span = sliding_window::LocateIndex(limit, 0);
  command.Add(position.current).Add(position.oldest).Add(position.weight).Add(-span.oldest).Add(span.weight);
  command.Add(Bounded(limit.capacity)).Add(Bounded(cost)).Add(limit.count_denied ? "1" : "0");
  command.Add(CeilMilliseconds(limit.precision)).Add(CeilMilliseconds(limit.window));
}

void AddLog(const Limit& limit, std::uint64_t cost, Command& command) {
  constexpr std::uint64_t kMost = algorithms::sliding_window_log::kMostEntries;
  AddInstant(command, limit.window);
  AddInstant(command, limit.retention);
  AddInstant(command, algorithms::SaturatingAdd(limit.retention, limit.cleanup));
  command.Add(Bounded(std::clamp<std::uint64_t>(limit.capacity, 1, kMost)));
  command.Add(Bounded(limit.capacity)).Add(Bounded(cost));
}

void AddConcurrency(const Limit& limit, std::uint64_t cost, std::uint64_t token, Nanos now, Command& command) {
  std::array<char, 8> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(token >> (8 * i) & 255);
  AddInstant(command, now + limit.lease);
  command.Add(std::string_view(bytes.data(), bytes.size())).Add(Bounded(limit.capacity)).Add(Bounded(cost));
}

// `token`: what FeedbackToken() made, or 0.
void AddAdaptive(const Limit& limit, std::uint64_t cost, std::uint64_t token, Command& command) {
  constexpr std::uint64_t kIsFeedback = std::uint64_t{1} << 62, kIsError = std::uint64_t{1} << 61;
  constexpr std::uint64_t kMicroseconds = (std::uint64_t{1} << 28) - 1, kMostMicroseconds = std::uint64_t{1} << 27;
  const bool is_feedback = (token & kIsFeedback) != 0;
  const std::uint64_t latency = std::clamp<std::uint64_t>(token & kMicroseconds, 1, kMostMicroseconds);
  const adaptive::LimitConstants constants = adaptive::Constants(limit);
  AddInstant(command, limit.window);
  AddInstant(command, limit.learning_window);
  AddInstant(command, constants.forget);
  command.Add(constants.samples_needed).Add(constants.factor);
  command.Add(Bounded(limit.capacity))
      .Add(Bounded(limit.min_capacity))
      .Add(Bounded(limit.max_capacity))
      .Add(Bounded(cost));
  command.Add(is_feedback ? static_cast<std::int64_t>(latency) : 0)
      .Add(is_feedback && (token & kIsError) != 0 ? "1" : "0");
}

void AddPenalty(const Limit& limit, std::uint64_t cost, Command& command) {
  command.Add(std::int64_t{limit.threshold});
  AddInstant(command, limit.window);
  command.Add(limit.first_ban / kMillisecond)
      .Add(limit.longest_ban / kMillisecond)
      .Add(std::int64_t{limit.ban_factor_pct});
  AddInstant(command, limit.decay);
  command.Add(Bounded(cost));
}

// What the `parse` of the limit's algorithm reads. `ask.now` clamped.
void AddLimit(const Limit& limit, const Ask& ask, Command& command) {
  switch (Letter(limit)) {
    case 'g':
      return AddBucket(limit, ask, command);
    case 'w':
      return AddAnchoredWindow(limit, ask.cost, ask.now, command);
    case 's':
      return AddSlidingWindow(limit, ask.cost, ask.now, command);
    case 'l':
      return AddLog(limit, ask.cost, command);
    case 'c':
      return AddConcurrency(limit, ask.cost, ask.token, ask.now, command);
    case 'a':
      return AddAdaptive(limit, ask.cost, ask.op == Op::kCharge && ask.cost == 0 ? ask.token : 0, command);
    default:
      return AddPenalty(limit, ask.cost, command);
  }
}

// Which charge a refund settles: whether one, its instant, and the sub-window that counted it. How much of a bucket is
// given back was computed already.
void AddPastCharge(const Item& item, Command& command) {
  if (item.charge == nullptr) {
    command.Add("0");
    return;
  }
  const Nanos at = algorithms::ClampNow(item.charge->at);
  // Starts of anchored windows of one word are rounded up; so is what is compared with them.
  const bool rounded = item.limit->kind == Kind::kAnchoredWindow;
  command.Add("1");
  AddInstant(command, rounded ? algorithms::aligned_window::StartOfNew(*item.limit, at) : at);
  command.Add(Letter(*item.limit) == 's' ? sliding_window::Locate(*item.limit, at).current : 0);
}

char Fit(const Item& item, std::uint64_t cost) {
  if (cost == 0) return '0';
  std::uint64_t most = item.limit->kind == Kind::kAdaptive ? item.limit->max_capacity : item.limit->capacity;
  if (algorithms::IsWordWindow(item.limit->kind)) most = std::min(most, MostCounted(*item.limit));
  return cost > most ? '2' : '1';
}

// What a bucket's `parse_source` reads.
void AddSource(const Limit& limit, Command& command) {
  AddRate(limit, command);
  command.Add(Bounded(limit.capacity));
  AddInstant(command, gcra::Burst(limit));
}

void AddItem(const Item& item, Op op, Nanos now, Command& command) {
  Ask ask = AskOf(item, op, now);
  if (op == Op::kRefund) ask.cost = algorithms::RefundOf(ask);
  // How much there is to take is found out there, by asking for one unit.
  if (op == Op::kTake) ask.cost = std::min<std::uint64_t>(item.cost, 1);
  const std::array head = {Letter(*item.limit), item.shadow ? '1' : '0', HasPrevious(item) ? '1' : '0',
                           Fit(item, ask.cost)};
  command.Add(std::string_view(head.data(), head.size()));
  AddLimit(op == Op::kTake ? algorithms::WithoutWaiting(*item.limit) : *item.limit, ask, command);
  if (op == Op::kRefund) AddPastCharge(item, command);
  if (op == Op::kTake) {
    command.Add(Bounded(item.cost));
    if (head[0] == 'g') AddSource(*item.limit, command);
  }
  if (!HasPrevious(item)) return;

  const Limit& previous = *item.previous;
  const char letter = Letter(previous);
  const std::array kind = {letter, algorithms::CarriesOver(previous, *item.limit) ? '1' : '0'};
  command.Add(std::string_view(kind.data(), kind.size()));
  AddLimit(previous, {.op = Op::kPeek, .cost = 0, .now = now, .token = item.token}, command);
  if (letter == 'g') AddSource(previous, command);
  if (head[0] == 'g') AddRate(*item.limit, command);
}

// ---- what is told of a state ----------------------------------------------------------------------------------------

std::optional<std::int64_t> TakeNumber(std::string_view& text) {
  std::int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.starts_with(' ')) text.remove_prefix(1);
  return value;
}

std::optional<Words> ParseWords(std::string_view text) {
  Words words;
  while (!text.empty()) {
    const auto word = TakeNumber(text);
    if (!word) return std::nullopt;
    words.push_back(*word);
  }
  return words;
}

// Hands out what a peek was decided on (Plan::copies).
void CopyState(const Item& item, Nanos now, Words words, StateCopy* copy) {
  copy->now = now;
  if (algorithms::Of(item.limit->kind).expires_list(*item.limit, words) > now) copy->words = std::move(words);
}

// The outcome of an ask in the state that the script found, decided again: exactly what another store would answer.
// `copy`: nullptr, or where to hand out that state.
std::optional<Outcome> Redecide(const Item& item, const Ask& ask, std::string_view text, StateCopy* copy = nullptr) {
  const algorithms::Algorithm& algorithm = algorithms::Of(item.limit->kind);
  auto words = ParseWords(text);
  if (!words) return std::nullopt;
  if (algorithm.shape == Shape::kList) {
    const Outcome outcome = algorithm.apply_list(*item.limit, ask, *words);
    if (copy != nullptr && item.limit->kind == Kind::kAdaptive) CopyState(item, ask.now, std::move(*words), copy);
    return outcome;
  }
  Word word = 0;
  if (algorithms::IsWordWindow(item.limit->kind)) {
    if (!words->empty() && words->size() != 2) return std::nullopt;
    if (!words->empty()) word = algorithms::aligned_window::FromStartAndCount(*item.limit, (*words)[0], (*words)[1]);
  } else {
    if (words->size() > 1) return std::nullopt;
    if (!words->empty()) word = words->front();
  }
  return algorithm.apply_word(*item.limit, ask, word);
}

// "used end [retry ...]": for algorithms whose states are too long to send back. `end` is '-' when nothing is live.
struct Told {
  std::uint64_t used = 0;
  std::optional<std::int64_t> end;
  std::vector<std::int64_t> retry;
};

std::optional<Told> ParseTold(std::string_view text) {
  Told told;
  const auto used = TakeNumber(text);
  if (!used || *used < 0) return std::nullopt;
  told.used = static_cast<std::uint64_t>(*used);
  if (text.starts_with('-') && (text.size() == 1 || text[1] == ' ')) {
    text.remove_prefix(std::min<std::size_t>(2, text.size()));
  } else {
    told.end = TakeNumber(text);
    if (!told.end) return std::nullopt;
  }
  auto retry = ParseWords(text);
  if (!retry) return std::nullopt;
  told.retry = std::move(*retry);
  return told;
}

std::optional<Outcome> Describe(const Item& item, std::uint64_t cost, bool allowed, Nanos now, std::string_view text) {
  const auto told = ParseTold(text);
  if (!told) return std::nullopt;
  const Limit& limit = *item.limit;
  // When the end of what the script named comes: of a sub-window (index, how much of it), of an entry, of a lease.
  const auto instant_of = [&limit](std::int64_t named, std::int64_t weight) {
    if (limit.kind == Kind::kSlidingWindow) return sliding_window::TimeOfWeight(limit, named, weight);
    if (limit.kind == Kind::kSlidingWindowLog) return algorithms::SaturatingAdd(named, limit.window);
    return named;
  };
  Outcome outcome;
  outcome.limit = limit.capacity;
  outcome.used = told->used;
  outcome.remaining = told->used < limit.capacity ? limit.capacity - told->used : 0;
  if (told->end) outcome.reset_after_ns = std::max<Nanos>(0, instant_of(*told->end, 0) - now);
  if (allowed) return outcome;
  outcome.verdict = cost > limit.capacity ? Verdict::kNever : Verdict::kLater;
  if (outcome.verdict == Verdict::kLater) {
    if (told->retry.empty()) return std::nullopt;
    const std::int64_t weight = told->retry.size() > 1 ? told->retry[1] : 0;
    outcome.retry_after_ns = std::max<Nanos>(1, instant_of(told->retry[0], weight) - now);
  }
  return outcome;
}

bool TellsSummary(const Limit& limit) {
  const char letter = Letter(limit);
  return letter == 's' || letter == 'l' || letter == 'c';
}

std::optional<Outcome> DecodeItem(const Plan& plan, const Item& item, bool admitted, Nanos now, std::string_view told,
                                  StateCopy* copy) {
  if (!told.starts_with('a') && !told.starts_with('d')) return std::nullopt;
  const bool allowed = told.starts_with('a');
  told.remove_prefix(1);
  std::optional<std::int64_t> granted = 0;
  if (plan.op == Op::kTake) granted = TakeNumber(told);
  if (!granted || *granted < 0) return std::nullopt;
  if (TellsSummary(*item.limit)) {
    const std::uint64_t cost = plan.op == Op::kTake ? std::min<std::uint64_t>(item.cost, 1) : item.cost;
    auto outcome = Describe(item, cost, allowed, now, told);
    if (outcome) outcome->granted = static_cast<std::uint64_t>(*granted);
    return outcome;
  }
  // It would have passed, but the plan did not: what there was, nothing consumed.
  if (plan.op == Op::kCheck && !admitted && !item.shadow && allowed) {
    auto outcome = Redecide(item, {Op::kPeek, 0, now, item.token}, told);
    if (outcome) outcome->verdict = Verdict::kAllowed;
    return outcome;
  }
  auto outcome = Redecide(item, AskOf(item, plan.op, now), told, copy);
  if (!outcome || (outcome->verdict == Verdict::kAllowed) != allowed) return std::nullopt;
  if (outcome->granted != static_cast<std::uint64_t>(*granted)) return std::nullopt;
  return outcome;
}

// Of an answer that is repeated after the rule has changed, so that what was told then cannot be read any more: the
// verdict stands.
Outcome Unclear(const Item& item, std::string_view told) {
  return {.verdict = told.starts_with('a') ? Verdict::kAllowed : Verdict::kLater, .limit = item.limit->capacity};
}

Outcome Unlimited(const Item& item, Op op) {
  Outcome outcome;
  outcome.limit = outcome.remaining = UINT64_MAX;
  if (op == Op::kTake) outcome.granted = std::min(item.cost, algorithms::kMaxCount);
  return outcome;
}

}  // namespace

bool NeedsStore(const Plan& plan) {
  return std::ranges::any_of(plan.items, [](const Item& item) { return IsCounted(*item.limit); });
}

void DecideWithoutStore(Plan& plan) {
  for (std::size_t i = 0; i < plan.items.size(); ++i) plan.outcomes[i] = Unlimited(plan.items[i], plan.op);
  if (plan.copies != nullptr) std::fill_n(plan.copies, plan.items.size(), StateCopy{});
  plan.status = PlanStatus::kOk;
  plan.admitted = true;
}

void EncodePlan(const Plan& plan, Nanos now, const Encoding& encoding, ScriptBy by, Command& command) {
  now = algorithms::ClampNow(now);
  command.Add(by == ScriptBy::kSha ? "EVALSHA" : "EVAL");
  command.Add(by == ScriptBy::kSha ? PlanScript().sha1 : PlanScript().text);

  std::int64_t keys = plan.once != nullptr ? 1 : 0;
  for (const Item& item : plan.items) {
    if (IsCounted(*item.limit)) keys += HasPrevious(item) ? 2 : 1;
  }
  command.Add(keys);
  std::string name;
  const auto add_key = [&](std::string_view rule, std::string_view subject, const Key& key) {
    name.clear();
    AppendKeyName(name, encoding.key_prefix, rule, subject, key);
    command.Add(name);
  };
  for (const Item& item : plan.items) {
    if (!IsCounted(*item.limit)) continue;
    add_key(item.rule, item.subject, item.key);
    if (HasPrevious(item)) add_key(item.previous_rule, item.subject, item.previous_key);
  }
  if (plan.once != nullptr) {
    name.clear();
    AppendOnceName(name, encoding.key_prefix, plan.once->id);
    command.Add(name);
  }

  command.Add(plan.once != nullptr ? "once" : kOps[static_cast<std::size_t>(plan.op)]);
  AddInstant(command, now);
  command.Add(CeilMilliseconds(encoding.ttl_margin));
  if (plan.once != nullptr) AddOnce(*plan.once, now, command);
  for (const Item& item : plan.items) {
    if (IsCounted(*item.limit)) AddItem(item, plan.op, now, command);
  }
}

bool DecodePlan(const Reply& reply, Nanos now, Plan& plan) {
  now = algorithms::ClampNow(now);
  if (reply.type != ReplyType::kArray || reply.elements.empty()) return false;
  const bool admitted = reply.elements[0].integer == 1;
  Nanos at = now;
  std::size_t end = reply.elements.size();
  if (plan.once != nullptr) {
    if (reply.elements[--end].type != ReplyType::kString) return false;
    if (!ReadOnce(reply.elements[end].text, now, *plan.once, at)) return false;
  }
  const bool repeated = plan.once != nullptr && plan.once->repeated;
  std::vector<Outcome> outcomes;
  outcomes.reserve(plan.items.size());
  std::vector<StateCopy> copies(plan.copies == nullptr ? 0 : plan.items.size());
  std::size_t next = 1;
  for (const Item& item : plan.items) {
    if (!IsCounted(*item.limit)) {
      outcomes.push_back(Unlimited(item, plan.op));
      continue;
    }
    // Since then the rule has begun to count.
    if (repeated && next == end) {
      outcomes.push_back(Unclear(item, "a"));
      continue;
    }
    if (next >= end || reply.elements[next].type != ReplyType::kString) return false;
    StateCopy* const copy = copies.empty() ? nullptr : &copies[outcomes.size()];
    const std::string_view told = reply.elements[next++].text;
    const auto outcome = DecodeItem(plan, item, admitted, at, told, copy);
    if (!outcome && !repeated) return false;
    outcomes.push_back(repeated ? Aged(outcome.value_or(Unclear(item, told)), now - at) : *outcome);
  }
  if (next != end && !repeated) return false;
  std::ranges::copy(outcomes, plan.outcomes.begin());
  std::ranges::move(copies, plan.copies);
  plan.status = PlanStatus::kOk;
  plan.admitted = admitted;
  plan.decided_at = at;
  return true;
}

}  // namespace weir::storage::redis
