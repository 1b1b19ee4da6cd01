#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "config/snapshot/domain_table.h"
#include "config/validate/validate.h"

namespace weir::config {
namespace {

class DomainCheck {
 public:
  DomainCheck(const DomainLimits& expanded, RuleCheck& rules, ValidationFaults& faults)
      : rules_(rules), faults_(faults) {
    CollectNames(expanded.descriptors, 0);
  }

  void CheckOwnRules(const Place& place, const std::vector<RateLimitRule>& rules,
                     const std::vector<RateLimitRule>& expanded) {
    CheckCount(place, rules.size());
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const std::string index = std::to_string(i);
      rules_.CheckWritten(place.Below(index), rules[i]);
      rules_.CheckWhole(place.Below(index), DomainRule(expanded[i], false), {});
    }
  }

  // `expanded` is the same level with its templates applied.
  void Check(const Place& place, const std::vector<DescriptorLimits>& descriptors,
             const std::vector<DescriptorLimits>& expanded, std::size_t depth) {
    if (depth == kMostDescriptorDepth && !descriptors.empty()) {
      return faults_.Error(place, fmt::format("descriptors are nested more than {} deep", kMostDescriptorDepth));
    }
    std::map<std::pair<std::string_view, std::string_view>, std::size_t> seen;
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      const DescriptorLimits& one = descriptors[i];
      const std::string index = std::to_string(i);
      const Place here = place.Below(index);
      const auto [known, is_new] = seen.try_emplace({one.key, one.value}, i);
      if (!is_new && !one.key.empty()) {
        const std::string entry = one.value.empty()
                                      ? fmt::format("key {} without a value", Quoted(one.key))
                                      : fmt::format("key {} with value {}", Quoted(one.key), Quoted(one.value));
        faults_.Error(here, fmt::format("{} is descriptor {} of this level too", entry, known->second));
      }
      CheckValue(here, one);
      CheckRule(here, one, expanded[i]);
      Check(here.Below("descriptors"), one.descriptors, expanded[i].descriptors, depth + 1);
    }
  }

 private:
  void CollectNames(const std::vector<DescriptorLimits>& descriptors, std::size_t depth) {
    if (depth == kMostDescriptorDepth) return;
    for (const DescriptorLimits& one : descriptors) {
      ForEachRule(one, [&](const RateLimitRule& rule) {
        if (rule.name) names_.insert(*rule.name);
      });
      CollectNames(one.descriptors, depth + 1);
    }
  }

  void CheckValue(const Place& place, const DescriptorLimits& limits) {
    const Place value = place.Below("value");
    if (limits.share_threshold && !limits.value.contains('*')) {
      faults_.Error(place.Below("share_threshold"), "needs a value with a '*': only values that match share one",
                    limits.value.empty() ? "write value: '*' to share among all values" : "");
    } else if (limits.value == "*" && !limits.share_threshold) {
      faults_.Warn(value, "'*' alone is any value", "leave the value out, unless it is to hold before others");
    }
  }

  void CheckRule(const Place& place, const DescriptorLimits& written, const DescriptorLimits& expanded) {
    if (!written.rule && written.rules.empty()) {
      if (!written.replaces.empty()) faults_.Warn(place.Below("replaces"), "has no effect without a rule");
      if (written.quota_mode) faults_.Warn(place.Below("quota_mode"), "has no effect without a rule");
      if (!written.metadata.empty()) faults_.Warn(place.Below("metadata"), "has no effect without a rule");
      if (written.detailed_metric) faults_.Warn(place.Below("detailed_metric"), "has no effect without a rule");
      return;
    }
    const auto check = [&](const Place& rule, const RateLimitRule& one, const RateLimitRule& whole) {
      rules_.CheckWritten(rule, one);
      rules_.CheckWhole(rule, DescriptorRule(whole, false), {});
      if (written.quota_mode && whole.mode == RuleMode::kShadow) {
        faults_.Warn(place.Below("quota_mode"),
                     "beside mode shadow: neither denies, and the shadow is what is counted");
      }
    };
    const Place rules = place.Below("rules");
    CheckCount(rules, written.rules.size() + (written.rule ? 1 : 0));
    if (written.rule) check(place.Below("rule"), *written.rule, *expanded.rule);
    for (std::size_t i = 0; i < written.rules.size(); ++i) {
      const std::string index = std::to_string(i);
      check(rules.Below(index), written.rules[i], expanded.rules[i]);
    }
    CheckReplaces(place.Below("replaces"), written, expanded);
  }

  void CheckCount(const Place& place, std::size_t rules) {
    if (rules <= kMostRulesOfDescriptor) return;
    faults_.Error(place, fmt::format("at most {} rules hold together", kMostRulesOfDescriptor));
  }

  void CheckReplaces(const Place& place, const DescriptorLimits& written, const DescriptorLimits& expanded) {
    for (std::size_t i = 0; i < written.replaces.size(); ++i) {
      const std::string& name = written.replaces[i];
      const std::string index = std::to_string(i);
      const Place here = place.Below(index);
      bool own = false;
      ForEachRule(expanded, [&](const RateLimitRule& rule) { own |= rule.name == name; });
      if (own) {
        faults_.Error(here, fmt::format("{} is the name of this rule itself", Quoted(name)));
      } else if (!faults_.full() && !names_.contains(name)) {
        std::vector<std::string_view> candidates;
        if (names_.size() <= 1000) candidates.assign(names_.begin(), names_.end());
        faults_.Warn(here, fmt::format("there is no rule named {} in this domain", Quoted(name)),
                     DidYouMean(name, candidates));
      }
    }
  }

  RuleCheck& rules_;
  ValidationFaults& faults_;
  std::set<std::string_view> names_;
};

}  // namespace

void CheckDomains(const EnterpriseRateLimitConfig& config, const EnterpriseRateLimitConfig& expanded, RuleCheck& rules,
                  ValidationFaults& faults) {
  const Place domains{nullptr, "domains"};
  for (const auto& [name, domain] : config.domains) {
    const DomainLimits& whole = expanded.domains.at(name);
    const Place here = domains.Below(name);
    DomainCheck check(whole, rules, faults);
    check.CheckOwnRules(here.Below("rules"), domain.rules, whole.rules);
    check.Check(here.Below("descriptors"), domain.descriptors, whole.descriptors, 0);
    if (domain.rules.empty() && domain.descriptors.empty() && domain.hierarchy == false) {
      faults.Warn(here, "has no rules and no descriptors and leaves the hierarchy out: nothing is limited in it");
    }
  }
  const Place envoy{nullptr, "envoy"};
  const Place files = envoy.Below("files");
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < config.envoy.files.size(); ++i) {
    const std::string index = std::to_string(i);
    if (!seen.insert(config.envoy.files[i]).second) {
      faults.Error(files.Below(index), fmt::format("{} is listed twice", Quoted(config.envoy.files[i])));
    }
  }
}

}  // namespace weir::config
