#include "config/compile/compile_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "algorithms/instant.h"
#include "algorithms/word.h"
#include "base/hash.h"
#include "base/log.h"
#include "config/compile/condition.h"
#include "config/compile/fingerprint.h"
#include "config/compile/inherit.h"
#include "config/compile/make_limit.h"
#include "config/compile/response_style.h"
#include "config/compile/schedule.h"

namespace weir::config {
namespace {

using algorithms::Kind;
using algorithms::Limit;

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

}  // namespace

RuleCompiler::RuleCompiler(const EnterpriseRateLimitConfig& document,
                           std::span<const std::string> registered_extractors, const Snapshot* previous, Nanos now,
                           std::size_t capacity, const RuleTraits& traits, FaultList& faults)
    : document_(document),
      now_(now),
      faults_(faults),
      identifiers_(registered_extractors, document.ip_rules, traits.extractors, faults),
      traits_(traits) {
  rules_.reserve(capacity);
  if (previous == nullptr || capacity == 0) return;
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
  if (!inherited.limits || inherited.limits->empty() || rule.unlimited) return rule;
  const RateLimitRule complete = WithDefaults(inherited, document_);
  for (std::size_t i = 0; i < complete.limits->size(); ++i) {
    const std::string further_path = fmt::format("{}.limits.{}", rule.path, i);
    const Rule* const further_before = Before(further_path);
    Rule& further = Append(further_path, level, FurtherRule(complete, i), nullptr, further_before);
    SetPrevious(further, further_before);
    ++rule.further;
  }
  return rule;
}

RateLimitRule RuleCompiler::Further(const RateLimitRule& inherited, std::size_t i) const {
  RateLimitRule rule = FurtherRule(WithDefaults(inherited, document_), i);
  // A descriptor's rule counts the descriptor unless it says otherwise.
  rule.identifier = inherited.identifier;
  return rule;
}

const Rule& RuleCompiler::AddToList(std::string_view path, Level level, const RateLimitRule& inherited,
                                    std::unique_ptr<const DescriptorPath> descriptor) {
  return Append(path, level, inherited, std::move(descriptor), Before(path));
}

// `before`: what had its path.
Rule& RuleCompiler::Append(std::string_view path, Level level, const RateLimitRule& inherited,
                           std::unique_ptr<const DescriptorPath> descriptor, const Rule* before) {
  Rule& rule = rules_.emplace_back(Make(path, level, inherited, std::move(descriptor)));
  rule.index = static_cast<std::uint32_t>(rules_.size() - 1);
  SetNames(rule, path, before);
  return rule;
}

namespace {

// What was counted in another unit says nothing.
std::uint64_t InUnit(const CountedUnit& counts, std::uint64_t identifier_hash) {
  if (counts.kind == CountedUnit::Kind::kCost) return identifier_hash;
  return Fingerprint().Add(identifier_hash).Add(static_cast<std::uint64_t>(counts.kind)).Add(counts.attribute).Hash();
}

}  // namespace

Rule RuleCompiler::Make(std::string_view path, Level level, const RateLimitRule& inherited,
                        std::unique_ptr<const DescriptorPath> descriptor) {
  const RateLimitRule complete = WithDefaults(inherited, document_);
  const CountedRef<RuleParts> parts = MakeCounted<RuleParts>();
  parts->descriptor = std::move(descriptor);
  if (level != Level::kDomain || inherited.identifier) {
    parts->identifier = identifiers_.Compile(complete.identifier.value_or(EnhancedIdentifier{}), path);
  } else {
    auto by_descriptor = std::make_shared<Identifier>();
    by_descriptor->kind = Identifier::Kind::kDescriptor;
    parts->identifier = std::move(by_descriptor);
  }
  SetLimit(*parts, complete, path);
  SetSchedule(*parts, complete, path);
  SetCondition(*parts, complete, path);
  if (inherited.denial) {
    CheckDenial(*inherited.denial, [&](std::string_view below, std::string message) {
      faults_.Add(fmt::format("{}.denial.{}", path, below), std::move(message));
    });
  }
  parts->style = CompileStyle(complete.headers.value_or(HeaderConfig{}).names, complete.denial);
  const CountedUnit counts = complete.counts.value_or(CountedUnit{});
  parts->counted_attribute = counts.attribute;
  if (complete.name && !complete.name->empty()) parts->policy = Name::Of(*complete.name);
  const std::uint64_t identifier_hash = InUnit(counts, IdentifierHash(*parts));
  parts->semantics = SemanticsOf(parts->limit, identifier_hash);
  if (parts->limit.kind != Kind::kUnlimited) {
    if (const auto penalty = MakePenalty(complete.penalties.value_or(PenaltyConfig{}))) {
      parts->penalty = std::make_unique<const Limit>(*penalty);
      parts->penalty_semantics = SemanticsOf(*penalty, identifier_hash);
    }
  }

  Rule rule{CountedRef<const RuleParts>(parts)};
  rule.level = level;
  rule.shadow = complete.mode == RuleMode::kShadow;
  rule.unlimited = rule.limit.kind == Kind::kUnlimited;
  rule.on_store_failure = complete.on_store_failure.value_or(StoreFailurePolicy::kLocal);
  rule.on_missing = complete.on_missing.value_or(OnMissing::kSkip);
  rule.counts = counts.kind;
  rule.on_exceeded = complete.on_exceeded.value_or(Action::kDeny);
  rule.style = parts->style.get();
  rule.when = parts->when.get();
  rule.use.headers = PlanOf(complete.headers.value_or(HeaderConfig{}));
  rule.schedule = parts->schedule.get();
  rule.window_seconds = HeaderWindowSeconds(rule.limit);
  rule.identifier_hash = identifier_hash;
  rule.penalty = parts->penalty.get();
  rule.descriptor = parts->descriptor.get();
  SetUse(rule, path);
  return rule;
}

std::uint64_t RuleCompiler::IdentifierHash(const RuleParts& parts) const {
  std::uint64_t hash = identifiers_.HashOf(*parts.identifier);
  if (parts.identifier->kind != Identifier::Kind::kDescriptor || parts.descriptor == nullptr) return hash;
  // What stands for a value in the subject decides what the subject means.
  const auto& steps = parts.descriptor->steps;
  if (parts.descriptor->contained) {
    for (const auto& step : steps) hash = Fingerprint().Add(hash).Add(step.key).Add(step.shared).Hash();
    return hash;
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (!steps[i].shared.empty()) hash = Fingerprint().Add(hash).Add(i).Add(steps[i].shared).Hash();
  }
  return hash;
}

// Leaves kind kUnlimited where there is none.
void RuleCompiler::SetLimit(RuleParts& parts, const RateLimitRule& complete, std::string_view path) {
  if (!complete.unlimited.value_or(false)) {
    const OwnNumbers own = OwnNumbersOf(complete.algorithm.value_or(RateLimitAlgorithm{}));
    if (!complete.max_requests && !own.count) {
      faults_.Add(fmt::format("{}.max_requests", path), "is written neither here nor at a less specific level");
    }
    if (!complete.window_seconds && !own.window) {
      faults_.Add(fmt::format("{}.window_seconds", path), "is written neither here nor at a less specific level");
    }
  }
  const Result<Limit> limit = MakeLimit(complete);
  if (!limit) {
    faults_.Add(fmt::format("{}.algorithm", path), limit.error().message);
    return;
  }
  parts.limit = *limit;
  const RateLimitAlgorithm algorithm = complete.algorithm.value_or(SlidingWindow{});
  if (complete.on_exceeded == Action::kWait && !complete.unlimited.value_or(false) && !CanWait(algorithm)) {
    faults_.Add(fmt::format("{}.on_exceeded", path), std::string(kCannotWait), std::string(kCannotWaitHint));
  }
  // One state, whatever number a request brings: the form that holds all of them.
  if (parts.identifier->reads_quota()) {
    if (parts.limit.kind == Kind::kAlignedWindow) parts.limit.kind = Kind::kFixedWindow;
    if (parts.limit.kind == Kind::kAnchoredWindow) parts.limit.kind = Kind::kSlidingWindow;
  }
}

void RuleCompiler::SetSchedule(RuleParts& parts, const RateLimitRule& complete, std::string_view path) {
  if (!complete.schedule || *complete.schedule == Schedule{}) return;
  auto schedule = CompiledSchedule::Create(*complete.schedule);
  if (!schedule) {
    faults_.Add(fmt::format("{}.schedule", path), schedule.error().message);
    return;
  }
  parts.schedule = std::make_shared<const CompiledSchedule>(*schedule);
}

void RuleCompiler::SetCondition(RuleParts& parts, const RateLimitRule& complete, std::string_view path) {
  if (!complete.when) return;
  auto& known = conditions_[*complete.when];
  if (known == nullptr) {
    auto condition = Condition::Parse(*complete.when);
    if (!condition) {
      faults_.Add(fmt::format("{}.when", path), condition.error().message);
      return;
    }
    known = std::make_shared<const Condition>(std::move(*condition));
    if (known->Reads(ConditionInput::Text::kCountry)) Need(kNeedCountry);
  }
  parts.when = known;
}

void RuleCompiler::SetUse(Rule& rule, std::string_view path) {
  if (NamedSubjects(rule.identifier) > kMostSubjectsOfRule) {
    faults_.Add(fmt::format("{}.identifier", path),
                fmt::format("counts more than {} subjects a request", kMostSubjectsOfRule));
  }
  const DescriptorPath* const descriptor = rule.descriptor;
  RuleUse& use = rule.use;
  // In both modes it is in shadow, as with envoyproxy/ratelimit.
  use.quota = descriptor != nullptr && descriptor->quota && !rule.shadow;
  use.shadow = rule.shadow || use.quota;
  use.detailed =
      descriptor != nullptr &&
      (descriptor->detailed_metric || std::ranges::any_of(descriptor->steps, &DescriptorPath::Step::value_to_metric));
  use.plain = rule.penalty == nullptr && rule.limit.kind != Kind::kConcurrency && !rule.identifier.reads_quota();
  use.simple = IsSimple(rule.identifier);
  use.on_missing = rule.on_missing == OnMissing::kDeny && use.shadow ? OnMissing::kSkip : rule.on_missing;
  use.most_subjects = static_cast<std::uint8_t>(MostSubjects(rule.identifier));
  traits_.words |= algorithms::ShapeOf(rule.limit.kind) == algorithms::Shape::kWord;
  AddTraits(rule.identifier);
}

void RuleCompiler::AddTraits(const Identifier& identifier) {
  auto& fields = traits_.tier_fields;
  if (identifier.kind == Identifier::Kind::kUser && !identifier.tier_field.empty() &&
      std::ranges::find(fields, identifier.tier_field) == fields.end()) {
    fields.push_back(identifier.tier_field);
  }
  if (identifier.primary) AddTraits(*identifier.primary);
  if (identifier.secondary) AddTraits(*identifier.secondary);
}

// Names that stay what they were are the same ones: views of them are in decisions that were made before.
void RuleCompiler::SetNames(Rule& rule, std::string_view path, const Rule* before) {
  const auto same_semantics = [](std::string_view generation, std::uint64_t semantics) {
    std::array<char, 16> text;
    fmt::format_to_n(text.data(), text.size(), "{:016x}", semantics);
    return SemanticsOfGeneration(generation) == std::string_view(text.data(), text.size());
  };
  if (before != nullptr && same_semantics(before->generation, rule.parts->semantics)) {
    rule.generation = before->generation;
    rule.seed = before->seed;
  } else {
    text_.clear();
    AppendGeneration(path, rule.parts->semantics, text_);
    rule.generation = Name::Of(text_, path.size());
    rule.seed = Hash64(text_);
  }
  rule.path = before != nullptr ? before->path : rule.generation.Head();
  rule.path.Shown();
  const Name& named = rule.parts->policy;
  rule.policy = named.empty() ? rule.path : before != nullptr && before->policy == named ? before->policy : named;
  rule.policy.Shown();
  if (rule.penalty == nullptr) return;
  if (before != nullptr && !before->penalty_generation.empty() &&
      same_semantics(before->penalty_generation, rule.parts->penalty_semantics)) {
    rule.penalty_generation = before->penalty_generation;
    rule.penalty_seed = before->penalty_seed;
    return;
  }
  text_.clear();
  AppendGeneration(fmt::format("{}#penalty", path), rule.parts->penalty_semantics, text_);
  rule.penalty_generation = Name::Of(text_);
  rule.penalty_seed = Hash64(text_);
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
    if (std::ranges::find(newer, previous->generation.view()) != newer.end()) return Of(previous->before, most);
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
                                                             const Name& generation) {
  const bool counted = before.limit.kind != Kind::kUnlimited && before.generation != generation;
  if (before.before == nullptr && !counted) return nullptr;
  // What another of its list counts by is that one's: each request would move it away.
  Shortening shortening{.now = now_, .newer = list_};
  const bool taken =
      before.generation != generation && std::ranges::find(list_, before.generation.view()) != list_.end();
  shortening.newer.insert(shortening.newer.end(), {generation, before.generation});
  std::shared_ptr<const PreviousRule> chain;
  if (!counted || taken) {
    chain = shortening.Of(before.before, kMostPrevious);
  } else {
    PreviousRule previous = before;
    previous.until = algorithms::SaturatingAdd(now_, StateLifetime(before.limit));
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
  Follow(std::span(rules_).subspan(first), before);
}

void RuleCompiler::Follow(std::span<Rule> rules, std::span<const Rule> before) {
  if (before.empty()) return;
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
  std::ranges::for_each(rules_, &RuleCompiler::Settle);
  return std::move(rules_);  // moving a vector moves no rule
}

RuleTraits RuleCompiler::TakeTraits() {
  traits_.extractors = identifiers_.TakeExtractors();
  return std::move(traits_);
}

bool RuleCompiler::TellCut() const {
  if (cut_chains_ == 0) return false;
  log::Warn("rules have changed more often than is remembered: subjects that have not asked since start fresh",
            {{"rule", cut_path_},
             {"rules", std::to_string(cut_chains_)},
             {"changes_remembered", std::to_string(kMostPrevious)}});
  return true;
}

bool Rule::InForceBySchedule(Nanos now) const { return schedule->Contains(now); }

}  // namespace weir::config
