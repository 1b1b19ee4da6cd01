#include "config/compile/compile_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "algorithms/adaptive.h"
#include "algorithms/penalty.h"
#include "algorithms/time_zone.h"
#include "base/hash.h"
#include "base/intern.h"
#include "base/log.h"
#include "config/compile/fingerprint.h"
#include "config/compile/inherit.h"
#include "config/compile/make_limit.h"
#include "config/compile/schedule.h"

namespace weir::config {
namespace {

__extension__ typedef __int128 Int128;

using algorithms::Calendar;
using algorithms::Kind;
using algorithms::Limit;

// Interns, but asks what the previous snapshot interned first: that spares the process-wide lock.
std::string_view InternLike(std::string_view text, std::string_view interned) {
  return text == interned ? interned : Intern(text);
}

// Whether the algorithm brings the numbers that max_requests and window_seconds would give.
struct OwnNumbers {
  bool count = false;
  bool window = false;
};
OwnNumbers OwnNumbersOf(const RateLimitAlgorithm& algorithm) {
  if (const auto* bucket = std::get_if<TokenBucket>(&algorithm)) {
    const bool both = bucket->burst_capacity > 0 && bucket->refill_rate > 0;
    return {.count = both, .window = bucket->refill_rate > 0};
  }
  if (const auto* bucket = std::get_if<LeakyBucket>(&algorithm)) {
    return {.count = bucket->capacity > 0 && bucket->leak_rate > 0, .window = bucket->leak_rate > 0};
  }
  if (const auto* concurrency = std::get_if<Concurrency>(&algorithm)) {
    return {.count = concurrency->max_in_flight > 0, .window = true};
  }
  if (const auto* window = std::get_if<FixedWindow>(&algorithm)) {
    return {.count = false,
            .window = window->aligned != WindowAlignment::kRolling && window->aligned != WindowAlignment::kEpoch};
  }
  return {};
}

Nanos Saturated(Int128 nanos) { return nanos > INT64_MAX ? INT64_MAX : static_cast<Nanos>(nanos); }

Nanos LongestWindow(const Limit& limit) {
  switch (limit.calendar) {
    case Calendar::kNone:
    case Calendar::kEpoch:
      return limit.window;
    case Calendar::kMinute:
      return kMinute;
    case Calendar::kHour:
      return 2 * kHour;  // an hour in which the clocks change may be longer
    case Calendar::kDay:
      return 2 * kDay;
    case Calendar::kWeek:
      return 8 * kDay;
    case Calendar::kMonth:
      return 32 * kDay;
    case Calendar::kYear:
      return 367 * kDay;
  }
  return 0;
}

}  // namespace

void FaultList::Add(std::string path, std::string message, std::string hint) {
  if (faults_.size() == kMost) {
    ++left_out_;
    return;
  }
  faults_.push_back({.path = std::move(path), .message = std::move(message), .hint = std::move(hint)});
}

Error FaultList::ToError() const {
  Error error{.code = ErrorCode::kInvalidArgument, .message = {}};
  for (const Fault& fault : faults_) {
    if (!error.message.empty()) error.message += '\n';
    error.message += Describe(fault);
  }
  if (left_out_ > 0) error.message += fmt::format("\n... and {} more", left_out_);
  return error;
}

RuleCompiler::RuleCompiler(const EnterpriseRateLimitConfig& document,
                           std::span<const std::string> registered_extractors, const Snapshot* previous, Nanos now,
                           std::size_t capacity, FaultList& faults)
    : document_(document), now_(now), faults_(faults), identifiers_(registered_extractors, document.ip_rules, faults) {
  rules_.reserve(capacity);
  if (previous == nullptr) return;
  before_.reserve(previous->rules().size());
  for (const Rule& rule : previous->rules()) before_.emplace(rule.path, &rule);
}

const Rule* RuleCompiler::Before(std::string_view path) const {
  const auto known = before_.find(path);
  return known == before_.end() ? nullptr : known->second;
}

const Rule& RuleCompiler::Add(std::string_view path, Level level, const RateLimitRule& inherited,
                              std::unique_ptr<const DescriptorPath> descriptor) {
  const Rule* const before = Before(path);
  Rule& rule = Append(path, level, inherited, std::move(descriptor), before);
  SetPrevious(rule, before);
  return rule;
}

const Rule& RuleCompiler::AddToList(std::string_view path, Level level, const RateLimitRule& inherited,
                                    std::unique_ptr<const DescriptorPath> descriptor) {
  return Append(path, level, inherited, std::move(descriptor), Before(path));
}

// `before`: what had its path. Only for texts that are interned already.
Rule& RuleCompiler::Append(std::string_view path, Level level, const RateLimitRule& inherited,
                           std::unique_ptr<const DescriptorPath> descriptor, const Rule* before) {
  const RateLimitRule complete = WithDefaults(inherited, document_);
  Rule& rule = rules_.emplace_back();
  rule.index = static_cast<std::uint32_t>(rules_.size() - 1);
  rule.path = before != nullptr ? before->path : Intern(path);
  rule.level = level;
  rule.shadow = complete.mode == RuleMode::kShadow;
  rule.unlimited = complete.unlimited.value_or(false);
  rule.on_store_failure = complete.on_store_failure.value_or(StoreFailurePolicy::kLocal);
  rule.headers = complete.headers.value_or(HeaderConfig{});
  rule.header_plan = PlanOf(rule.headers);
  rule.descriptor = std::move(descriptor);
  SetIdentifier(rule, inherited, complete);
  SetLimit(rule, complete);
  SetSchedule(rule, complete);
  SetNames(rule, complete, before);
  SetPenalty(rule, complete.penalties.value_or(PenaltyConfig{}), before);
  return rule;
}

void RuleCompiler::SetIdentifier(Rule& rule, const RateLimitRule& inherited, const RateLimitRule& complete) {
  if (rule.level != Level::kDomain || inherited.identifier) {
    rule.identifier = identifiers_.Compile(complete.identifier.value_or(EnhancedIdentifier{}), rule.path);
    rule.identifier_hash = identifiers_.HashOf(rule.identifier);
    return;
  }
  rule.identifier.kind = Identifier::Kind::kDescriptor;
  rule.identifier_hash = identifiers_.HashOf(rule.identifier);
  if (rule.descriptor == nullptr) return;
  // What stands for a value in the subject decides what the subject means.
  const auto& steps = rule.descriptor->steps;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].shared.empty()) continue;
    rule.identifier_hash = Fingerprint().Add(rule.identifier_hash).Add(i).Add(steps[i].shared).Hash();
  }
}

void RuleCompiler::SetLimit(Rule& rule, const RateLimitRule& complete) {
  if (!rule.unlimited) {
    const OwnNumbers own = OwnNumbersOf(complete.algorithm.value_or(RateLimitAlgorithm{}));
    if (!complete.max_requests && !own.count) {
      faults_.Add(fmt::format("{}.max_requests", rule.path), "is written neither here nor at a less specific level");
    }
    if (!complete.window_seconds && !own.window) {
      faults_.Add(fmt::format("{}.window_seconds", rule.path), "is written neither here nor at a less specific level");
    }
  }
  const Result<Limit> limit = MakeLimit(complete);
  if (!limit) {
    faults_.Add(fmt::format("{}.algorithm", rule.path), limit.error().message);
    return;
  }
  rule.limit = *limit;
  // One state, whatever number a request brings: the form that holds all of them.
  if (rule.identifier.reads_quota()) {
    if (rule.limit.kind == Kind::kAlignedWindow) rule.limit.kind = Kind::kFixedWindow;
    if (rule.limit.kind == Kind::kAnchoredWindow) rule.limit.kind = Kind::kSlidingWindow;
  }
  rule.unlimited = rule.limit.kind == Kind::kUnlimited;
  rule.window_seconds = HeaderWindowSeconds(rule.limit);
}

void RuleCompiler::SetSchedule(Rule& rule, const RateLimitRule& complete) {
  if (!complete.schedule || *complete.schedule == Schedule{}) return;
  auto schedule = CompiledSchedule::Create(*complete.schedule);
  if (!schedule) {
    faults_.Add(fmt::format("{}.schedule", rule.path), schedule.error().message);
    return;
  }
  rule.schedule = std::make_shared<const CompiledSchedule>(*schedule);
}

void RuleCompiler::SetNames(Rule& rule, const RateLimitRule& complete, const Rule* before) {
  const std::string_view policy = complete.name && !complete.name->empty() ? *complete.name : rule.path;
  rule.policy = before != nullptr ? InternLike(policy, before->policy) : Intern(policy);
  text_.clear();
  AppendGeneration(rule.path, rule.limit, rule.identifier_hash, text_);
  rule.generation = before != nullptr ? InternLike(text_, before->generation) : Intern(text_);
  rule.seed = Hash64(rule.generation);
}

void RuleCompiler::SetPenalty(Rule& rule, const PenaltyConfig& penalties, const Rule* before) {
  if (rule.unlimited) return;
  const auto penalty = MakePenalty(penalties);
  if (!penalty) return;
  rule.penalty = std::make_unique<const Limit>(*penalty);
  text_ = fmt::format("{}#penalty", rule.path);
  const std::string path = text_;
  text_.clear();
  AppendGeneration(path, *rule.penalty, rule.identifier_hash, text_);
  rule.penalty_generation = before != nullptr ? InternLike(text_, before->penalty_generation) : Intern(text_);
  rule.penalty_seed = Hash64(rule.penalty_generation);
}

namespace {

// Cuts a chain of previous forms to what is still needed.
struct Shortening {
  Nanos now;
  // Left out: a change that was rolled back (or made again) would move each state out of the rule and back with every
  // request.
  std::vector<std::string_view> newer;
  bool cut = false;  // something that is still needed was left out

  // Without those whose states have expired, and cut off after `most`.
  std::shared_ptr<const PreviousRule> Of(const std::shared_ptr<const PreviousRule>& previous, int most) {
    if (previous == nullptr || previous->until <= now) return nullptr;
    if (std::ranges::find(newer, previous->generation) != newer.end()) return Of(previous->before, most);
    if (most == 0) {
      cut = true;
      return nullptr;
    }
    newer.push_back(previous->generation);
    auto before = Of(previous->before, most - 1);
    if (before == previous->before) return previous;
    PreviousRule shorter = *previous;
    shorter.before = std::move(before);
    return std::make_shared<const PreviousRule>(std::move(shorter));
  }
};

}  // namespace

// What was used stays used, and who was banned stays banned: as long as states of a previous form can live, they are
// looked up and carried over.
std::shared_ptr<const PreviousRule> RuleCompiler::PreviousOf(const PreviousRule& before, std::string_view path,
                                                             std::string_view generation) {
  // What another of its list counts by is that one's: each request would move it away.
  Shortening shortening{.now = now_, .newer = list_};
  const bool taken = before.generation != generation && std::ranges::find(list_, before.generation) != list_.end();
  shortening.newer.insert(shortening.newer.end(), {generation, before.generation});
  std::shared_ptr<const PreviousRule> chain;
  if (before.limit.kind == Kind::kUnlimited || before.generation == generation || taken) {
    chain = shortening.Of(before.before, kMostPrevious);
  } else {
    PreviousRule previous = before;
    previous.until = Saturated(static_cast<Int128>(now_) + StateLifetime(before.limit));
    previous.before = shortening.Of(before.before, kMostPrevious - 1);
    chain = std::make_shared<const PreviousRule>(std::move(previous));
  }
  if (shortening.cut) {
    ++cut_chains_;
    cut_path_ = path;
  }
  return chain;
}

void RuleCompiler::SetPrevious(Rule& rule, const Rule* before) {
  if (before == nullptr) return;
  // Without a limit there are no subjects. But a limit may come back while states of the last one still live; its
  // subjects then mean what they meant.
  if (rule.unlimited) rule.identifier_hash = before->identifier_hash;
  if (before->identifier_hash != rule.identifier_hash) return;
  rule.previous = PreviousOf(
      {.limit = before->limit, .seed = before->seed, .generation = before->generation, .before = before->previous},
      rule.path, rule.generation);
  rule.penalty_previous = PreviousOf({.limit = before->penalty ? *before->penalty : Limit{},
                                      .seed = before->penalty_seed,
                                      .generation = before->penalty_generation,
                                      .before = before->penalty_previous},
                                     rule.path, rule.penalty_generation);
}

void RuleCompiler::FollowList(std::size_t first, std::span<const Rule> before) {
  if (before.empty()) return;
  const std::span<Rule> rules = std::span(rules_).subspan(first);
  std::vector<const Rule*> followed(rules.size(), nullptr);
  std::vector<bool> taken(before.size(), false);
  const auto match = [&](auto matches) {
    for (std::size_t i = 0; i < rules.size(); ++i) {
      for (std::size_t j = 0; j < before.size() && followed[i] == nullptr; ++j) {
        if (taken[j] || !matches(i, j)) continue;
        followed[i] = &before[j];
        taken[j] = true;
      }
    }
  };
  const auto same_subjects = [&](std::size_t i, std::size_t j) {
    return rules[i].unlimited || rules[i].identifier_hash == before[j].identifier_hash;
  };
  match([&](std::size_t i, std::size_t j) { return rules[i].generation == before[j].generation; });
  match([&](std::size_t i, std::size_t j) {
    return SemanticsOfGeneration(rules[i].generation) == SemanticsOfGeneration(before[j].generation);
  });
  match([&](std::size_t i, std::size_t j) { return same_subjects(i, j) && rules[i].path == before[j].path; });
  match([&](std::size_t i, std::size_t j) { return same_subjects(i, j) && i == j; });

  list_.clear();
  for (const Rule& rule : rules) {
    list_.push_back(rule.generation);
    if (rule.penalty != nullptr) list_.push_back(rule.penalty_generation);
  }
  for (std::size_t i = 0; i < rules.size(); ++i) SetPrevious(rules[i], followed[i]);
  list_.clear();
}

std::vector<Rule> RuleCompiler::TakeRules() {
  if (cut_chains_ > 0) {
    log::Warn("rules have changed more often than is remembered: subjects that have not asked since start fresh",
              {{"rule", std::string(cut_path_)},
               {"rules", std::to_string(cut_chains_)},
               {"changes_remembered", std::to_string(kMostPrevious)}});
  }
  return std::move(rules_);
}

Nanos StateLifetime(const Limit& limit) {
  switch (limit.kind) {
    case Kind::kUnlimited:
      return 0;
    case Kind::kTokenBucket:
    case Kind::kLeakyBucket: {
      // Twice the time in which a full bucket empties: a commit above its reservation leaves debt. There may be more
      // (whatever is charged counts), without bound; that much is followed.
      if (limit.rate_count == 0) return INT64_MAX;
      return Saturated(static_cast<Int128>(limit.rate_period) * 2 * limit.capacity / limit.rate_count + kSecond);
    }
    case Kind::kSlidingWindow:
    case Kind::kAnchoredWindow:
    case Kind::kSlidingWindowLog:
      return Saturated(static_cast<Int128>(limit.window) * 2);
    case Kind::kFixedWindow:
    case Kind::kAlignedWindow:
      return LongestWindow(limit);
    case Kind::kConcurrency:
      return limit.lease;
    case Kind::kAdaptive:
      return algorithms::adaptive::Constants(limit).forget;
    case Kind::kPenalty:
      // A level decays only once the ban is over, one step at a time.
      return std::max(limit.window, Saturated(static_cast<Int128>(limit.decay) * algorithms::penalty::kMostLevel +
                                              limit.longest_ban));
  }
  return 0;
}

void AppendGeneration(std::string_view path, const Limit& limit, std::uint64_t identifier_hash, std::string& out) {
  const auto number = [](auto value) { return static_cast<std::uint64_t>(value); };
  Fingerprint print;
  // The order of these is part of the names of stored states: change it and all counts start anew.
  // One algorithm, however its state is held.
  const Kind kind = algorithms::IsFixedWindow(limit.kind)     ? Kind::kFixedWindow
                    : algorithms::IsSlidingWindow(limit.kind) ? Kind::kSlidingWindow
                                                              : limit.kind;
  print.Add(1).Add(number(kind)).Add(number(limit.calendar)).Add(limit.shape ? 1 : 0);
  print.Add(limit.count_denied ? 1 : 0).Add(limit.calendar == Calendar::kNone ? "" : algorithms::ZoneName(limit.zone));
  print.Add(limit.capacity).Add(limit.rate_count).Add(number(limit.rate_period)).Add(number(limit.window));
  print.Add(number(limit.precision)).Add(number(limit.lease)).Add(number(limit.learning_window));
  print.Add(limit.adjustment_ppm).Add(limit.min_capacity).Add(limit.max_capacity).Add(limit.threshold);
  print.Add(limit.ban_factor_pct).Add(number(limit.first_ban)).Add(number(limit.longest_ban)).Add(number(limit.decay));
  print.Add(identifier_hash);
  out.append(path).append(1, '@').append(fmt::format("{:016x}", print.Hash()));
}

HeaderPlan PlanOf(const HeaderConfig& headers) {
  HeaderPlan plan;
  const bool none = std::ranges::find(headers.styles, HeaderStyle::kNone) != headers.styles.end();
  const auto has = [&](HeaderStyle style) {
    return !none && std::ranges::find(headers.styles, style) != headers.styles.end();
  };
  plan.ietf = has(HeaderStyle::kIetf);
  plan.draft06 = has(HeaderStyle::kDraft06);
  plan.draft07 = has(HeaderStyle::kDraft07);
  plan.x_ratelimit = has(HeaderStyle::kXRateLimit);
  plan.reset_as_epoch = headers.reset_as_epoch;
  plan.retry_after = headers.retry_after;
  plan.on_allowed = headers.on_allowed;
  plan.partition_key = headers.partition_key;
  plan.basic_body = headers.basic_body;
  return plan;
}

bool Rule::InForceBySchedule(Nanos now) const { return schedule->Contains(now); }

}  // namespace weir::config
