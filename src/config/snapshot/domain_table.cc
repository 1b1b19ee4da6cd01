#include "config/snapshot/domain_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/hash.h"

namespace weir::config {
namespace {

std::size_t FurtherOf(const RateLimitRule& rule) {
  return rule.limits && !rule.unlimited.value_or(false) ? rule.limits->size() : 0;
}

std::size_t RulesIn(const std::vector<DescriptorLimits>& descriptors, std::size_t depth) {
  if (depth == kMostDescriptorDepth) return 0;
  std::size_t count = 0;
  for (const DescriptorLimits& one : descriptors) {
    ForEachRule(one, [&](const RateLimitRule& rule) { count += 1 + FurtherOf(rule); });
    count += RulesIn(one.descriptors, depth + 1);
  }
  return count;
}

// What separates the parts of a path, as %XX; reversible.
void AppendEscaped(std::string_view text, std::string& out) {
  for (const char c : text) {
    if (c == '.' || c == '_' || c == '%') {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
}

// A path is part of every stored state's name: a long one is cut, and a hash of the whole tells it from others.
std::string Bounded(std::string path) {
  constexpr std::size_t kLongest = 400;
  if (path.size() <= kLongest) return path;
  const std::uint64_t hash = Hash64(path);
  std::size_t kept = kLongest - 17;
  while (kept > 0 && (static_cast<unsigned char>(path[kept]) & 0xC0) == 0x80) --kept;  // a character's start
  path.resize(kept);
  return path + fmt::format("~{:016x}", hash);
}

}  // namespace

bool DescriptorValues::Insert(std::string_view value, const DescriptorNode* node) {
  if (value.empty()) {
    if (any_ != nullptr) return false;
    any_ = node;
    return true;
  }
  if (!values_.emplace(value, node).second) return false;
  const std::size_t star = value.find('*');
  if (star == std::string_view::npos) return true;
  const std::uint32_t order = wildcards_++;
  if (star + 1 == value.size()) {
    prefixes_.push_back({.text = value.substr(0, star), .order = order, .above = kNone, .node = node});
  } else {
    patterns_.push_back({.text = value, .order = order, .node = node});
  }
  return true;
}

void DescriptorValues::Finish() {
  std::ranges::sort(prefixes_, {}, &Prefix::text);
  std::uint32_t above = kNone;
  for (std::uint32_t i = 0; i < prefixes_.size(); ++i) {
    Prefix& one = prefixes_[i];
    while (above != kNone && !one.text.starts_with(prefixes_[above].text)) above = prefixes_[above].above;
    one.above = above;
    if (above != kNone && prefixes_[above].order < one.order) {
      one.order = prefixes_[above].order;
      one.node = prefixes_[above].node;
    }
    above = i;
  }
}

const DescriptorNode* DescriptorValues::Find(std::string_view value) const {
  if (!values_.empty() && !value.empty()) {
    if (const auto found = values_.find(value); found != values_.end()) return found->second;
  }
  const Prefix* const prefix = prefixes_.empty() ? nullptr : FindPrefix(value);
  for (const Pattern& one : patterns_) {
    if (prefix != nullptr && prefix->order < one.order) break;
    if (MatchesWildcards(one.text, value)) return one.node;
  }
  return prefix != nullptr ? prefix->node : any_;
}

const DescriptorNode* DescriptorValues::At(std::string_view value) const {
  if (value.empty()) return any_;
  const auto found = values_.find(value);
  return found == values_.end() ? nullptr : found->second;
}

// What `value` begins with sorts before it, and the longest of that is its neighbour or above its neighbour.
const DescriptorValues::Prefix* DescriptorValues::FindPrefix(std::string_view value) const {
  const auto after = std::ranges::upper_bound(prefixes_, value, {}, &Prefix::text);
  if (after == prefixes_.begin()) return nullptr;
  const Prefix* one = &*std::prev(after);
  const auto differ = std::ranges::mismatch(one->text, value).in1;
  const auto common = static_cast<std::size_t>(differ - one->text.begin());
  while (one->text.size() > common) {
    if (one->above == kNone) return nullptr;
    one = &prefixes_[one->above];
  }
  return one;
}

// What stands between two stars is best where it is found first: what follows then has the most room.
bool MatchesWildcards(std::string_view pattern, std::string_view text) {
  std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  text.remove_prefix(star);
  while (true) {
    pattern.remove_prefix(star + 1);
    star = pattern.find('*');
    if (star == std::string_view::npos) return text.ends_with(pattern);
    const std::size_t found = text.find(pattern.substr(0, star));
    if (found == std::string_view::npos) return false;
    text.remove_prefix(found + star);
  }
}

const Rule* DomainEntry::Find(std::span<const Attribute> entries) const {
  if (root == nullptr || entries.empty()) return nullptr;
  const DescriptorNode* node = root;
  for (const Attribute& entry : entries) {
    const auto values = node->next.find(entry.name);
    if (values == node->next.end()) return nullptr;
    node = values->second.Find(entry.value);
    if (node == nullptr) return nullptr;
  }
  return node->rule;
}

namespace {

// Of entries of one key the last counts.
void VisitContained(const DescriptorNode& node, std::span<const Attribute> entries,
                    absl::FunctionRef<void(const Rule&)> visit) {
  if (node.rule != nullptr) visit(*node.rule);
  for (std::size_t i = 0; i < entries.size() && !node.next.empty(); ++i) {
    const auto values = node.next.find(entries[i].name);
    if (values == node.next.end()) continue;
    const auto same_key = [&](const Attribute& later) { return later.name == entries[i].name; };
    if (std::ranges::any_of(entries.subspan(i + 1), same_key)) continue;
    const DescriptorNode* const next = values->second.Find(entries[i].value);
    if (next != nullptr) VisitContained(*next, entries, visit);
  }
}

// Goes on from `node` with the entries that are not in `order` yet.
const Rule* WalkOn(const DescriptorNode& node, std::span<const Attribute> entries, std::vector<std::uint32_t>& order) {
  if (order.size() == entries.size()) return node.rule;
  for (std::uint32_t i = 0; i < entries.size(); ++i) {
    if (std::ranges::find(order, i) != order.end()) continue;
    const auto values = node.next.find(entries[i].name);
    if (values == node.next.end()) continue;
    const DescriptorNode* const next = values->second.Find(entries[i].value);
    if (next == nullptr) continue;
    order.push_back(i);
    if (const Rule* const rule = WalkOn(*next, entries, order)) return rule;
    order.pop_back();
  }
  return nullptr;
}

}  // namespace

void DomainEntry::ForEachContained(std::span<const Attribute> entries,
                                   absl::FunctionRef<void(const Rule&)> visit) const {
  if (root != nullptr) VisitContained(*root, entries, visit);
}

const Rule* DomainEntry::FindInAnyOrder(std::span<const Attribute> entries, std::vector<std::uint32_t>& order) const {
  if (root == nullptr || entries.empty()) return nullptr;
  std::vector<std::uint32_t> walked;
  const Rule* const rule = WalkOn(*root, entries, walked);
  if (rule != nullptr) order = std::move(walked);
  return rule;
}

class DomainTable::Builder {
 public:
  Builder(DomainTable& table, bool count_denied, const Snapshot* previous, RuleCompiler& rules, FaultList& faults)
      : table_(table), count_denied_(count_denied), previous_(previous), rules_(rules), faults_(faults) {}

  DomainEntry Domain(std::string_view name, const DomainLimits& limits) {
    DomainEntry entry;
    entry.name = name;
    const DomainEntry* const previous = previous_ == nullptr ? nullptr : previous_->FindDomain(name);
    entry.hierarchy = limits.hierarchy.value_or(limits.descriptors.empty());
    contained_ = entry.contained = limits.match == DescriptorMatch::kContained;
    const Where domain{.plain = fmt::format("domains.{}", name), .escaped = Escaped("domains", name, {})};
    const Where client_limit{.plain = domain.plain + ".client_limit", .escaped = domain.escaped + ".client_limit"};
    RateLimitRule rule;
    // Only for what is not a number: those the client brings.
    rule.max_requests = 1;
    rule.window_seconds = 1;
    rule.mode = RuleMode::kEnforce;
    entry.client_limit = &rules_.Add(Unique(client_limit), Level::kDomain, DescriptorRule(rule, count_denied_));
    const std::size_t first = rules_.size();
    for (std::size_t i = 0; i < limits.rules.size(); ++i) {
      const Where here = Numbered(domain, i);
      const RateLimitRule whole = DomainRule(limits.rules[i], count_denied_);
      rules_.AddToList(Unique(here), Level::kDomain, whole, std::make_unique<DescriptorPath>());
      for (std::size_t k = 0; k < FurtherOf(limits.rules[i]); ++k) {
        rules_.AddToList(Unique(Further(here, k)), Level::kDomain, rules_.Further(whole, k),
                         std::make_unique<DescriptorPath>());
      }
    }
    rules_.FollowList(first, previous == nullptr ? std::span<const Rule>() : previous->rules);
    entry.rules = rules_.Since(first);
    if (!limits.descriptors.empty()) {
      DescriptorNode& root = table_.nodes_.emplace_back();
      Descend(limits.descriptors, domain, previous == nullptr ? nullptr : previous->root, root);
      entry.root = &root;
    }
    return entry;
  }

 private:
  // A path in both spellings: as one would write it, and so that no two nodes share it.
  struct Where {
    std::string plain;
    std::string escaped;
  };

  static std::string Escaped(std::string_view above, std::string_view key, std::string_view value) {
    std::string path = fmt::format("{}.", above);
    AppendEscaped(key, path);
    if (!value.empty()) AppendEscaped(value, path += '_');
    return path;
  }

  // Of one of several rules.
  static Where Numbered(const Where& where, std::size_t i) {
    return {.plain = fmt::format("{}.rules.{}", where.plain, i),
            .escaped = fmt::format("{}.rules.{}", where.escaped, i)};
  }

  // Of one of a rule's further limits.
  static Where Further(const Where& where, std::size_t i) {
    return {.plain = fmt::format("{}.limits.{}", where.plain, i),
            .escaped = fmt::format("{}.limits.{}", where.escaped, i)};
  }

  // The plain spelling, unless another rule has it already.
  std::string_view Unique(const Where& where) {
    auto taken = taken_.insert(Bounded(where.plain));
    if (!taken.second) taken = taken_.insert(Bounded(where.escaped));
    for (int i = 2; !taken.second; ++i) taken = taken_.insert(Bounded(fmt::format("{}%{}", where.escaped, i)));
    return *taken.first;
  }

  static const DescriptorNode* Child(const DescriptorNode* node, const DescriptorLimits& of) {
    if (node == nullptr) return nullptr;
    const auto values = node->next.find(of.key);
    return values == node->next.end() ? nullptr : values->second.At(of.value);
  }

  // `previous`: the node of `parent` in the tree as it was; nullptr = it is new.
  void Descend(const std::vector<DescriptorLimits>& descriptors, const Where& above, const DescriptorNode* previous,
               DescriptorNode& parent) {
    if (steps_.size() == kMostDescriptorDepth) {
      faults_.Add(above.plain, fmt::format("descriptors are nested more than {} deep", kMostDescriptorDepth));
      return;
    }
    for (const DescriptorLimits& one : descriptors) {
      const std::string entry = one.value.empty() ? one.key : one.key + '_' + one.value;
      const Where here{.plain = fmt::format("{}.{}", above.plain, entry),
                       .escaped = Escaped(above.escaped, one.key, one.value)};
      if (one.key.empty()) faults_.Add(here.plain, "has an empty key");
      DescriptorNode& node = table_.nodes_.emplace_back();
      if (!parent.next[one.key].Insert(one.value, &node)) {
        faults_.Add(here.plain, "is the key and value of two descriptors of one level");
      }
      const bool shared = one.share_threshold && one.value.contains('*');
      steps_.push_back({.key = contained_ ? one.key : std::string(),
                        .by_value = !one.value.empty(),
                        .value_to_metric = one.value_to_metric,
                        .shared = shared ? one.value : std::string()});
      const DescriptorNode* const before = Child(previous, one);
      node.rule = AddRules(one, here, before == nullptr ? nullptr : before->rule);
      if (!one.descriptors.empty()) Descend(one.descriptors, here, before, node);
      steps_.pop_back();
    }
    for (auto& [key, values] : parent.next) values.Finish();
  }

  // The first; nullptr: there is none. `previous`: the first of those that the node had.
  const Rule* AddRules(const DescriptorLimits& limits, const Where& where, const Rule* previous) {
    const std::size_t first = rules_.size();
    std::size_t left = (limits.rule ? 1 + FurtherOf(*limits.rule) : 0);
    for (const RateLimitRule& rule : limits.rules) left += 1 + FurtherOf(rule);
    if (left == 0) return nullptr;
    const auto add_one = [&](const RateLimitRule& rule, const Where& here, std::string replaced_as) {
      auto path = std::make_unique<DescriptorPath>();
      path->steps = steps_;
      path->replaces = limits.replaces;
      path->quota = limits.quota_mode;
      path->replaced_as = std::move(replaced_as);
      path->contained = contained_;
      path->metadata = limits.metadata;
      path->detailed_metric = limits.detailed_metric;
      path->beside = static_cast<std::uint32_t>(--left);
      rules_.AddToList(Unique(here), Level::kDomain, rule, std::move(path));
    };
    const auto add = [&](const RateLimitRule& rule, const Where& here) {
      const RateLimitRule whole = DescriptorRule(rule, count_denied_);
      add_one(whole, here, {});
      for (std::size_t i = 0; i < FurtherOf(rule); ++i) {
        add_one(rules_.Further(whole, i), Further(here, i), rule.name.value_or(""));
      }
    };
    if (limits.rule) add(*limits.rule, where);
    for (std::size_t i = 0; i < limits.rules.size(); ++i) add(limits.rules[i], Numbered(where, i));
    rules_.FollowList(first, previous == nullptr ? std::span<const Rule>() : TogetherWith(*previous));
    return &rules_.Since(first).front();
  }

  DomainTable& table_;
  const bool count_denied_;
  const Snapshot* const previous_;
  RuleCompiler& rules_;
  FaultList& faults_;
  absl::flat_hash_set<std::string> taken_;
  std::vector<DescriptorPath::Step> steps_;
  bool contained_ = false;  // of the domain that is being built
};

std::size_t DomainTable::CountRules(const std::map<std::string, DomainLimits>& domains) {
  std::size_t count = domains.size();
  for (const auto& [name, domain] : domains) {
    for (const RateLimitRule& rule : domain.rules) count += 1 + FurtherOf(rule);
    count += RulesIn(domain.descriptors, 0);
  }
  return count;
}

void DomainTable::Build(const std::map<std::string, DomainLimits>& domains, bool count_denied, const Snapshot* previous,
                        RuleCompiler& rules, FaultList& faults) {
  names_ = StringMap(domains.size());
  entries_.reserve(domains.size());
  Builder builder(*this, count_denied, previous, rules, faults);
  for (const auto& [name, limits] : domains) {
    names_.Insert(name, static_cast<std::uint32_t>(entries_.size()));
    entries_.push_back(builder.Domain(name, limits));
  }
}

const DomainEntry* DomainTable::Find(std::string_view name) const {
  const auto found = names_.Find(name);
  return found ? &entries_[*found] : nullptr;
}

RateLimitRule DescriptorRule(const RateLimitRule& rule, bool count_denied) {
  RateLimitRule result = rule;
  if (!result.algorithm)
    result.algorithm = FixedWindow{.aligned = WindowAlignment::kEpoch, .count_denied = count_denied};
  return result;
}

RateLimitRule DomainRule(const RateLimitRule& rule, bool count_denied) {
  RateLimitRule result = DescriptorRule(rule, count_denied);
  if (!result.identifier) result.identifier = EnhancedIdentifier{GlobalIdentifier{}};
  return result;
}

}  // namespace weir::config
