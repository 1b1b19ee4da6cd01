// The domains of a document, compiled: the tree of descriptors that the hot path walks down.
//
// Of a node, what may follow lies by key, then by value. A step hashes the key and the value at most once each, and
// searches the prefixes of that key ("files*"), if it has any, by halves. Patterns with a '*' elsewhere ("a*b") are
// tried one by one, in document order, up to where a prefix matched. Memory: the rules, and some 150 bytes a node.
//
// Thread-safe once built.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/compile/compile_rules.h"
#include "config/snapshot/snapshot.h"
#include "config/snapshot/string_map.h"
#include "weir/config.h"

namespace weir::config {

inline constexpr std::size_t kMostDescriptorDepth = 24;  // within kMaxDocumentDepth, with what a rule may hold
inline constexpr std::size_t kMostRulesOfDescriptor = 8;

struct DescriptorNode;

// The nodes of one key at one level. Views into the document.
class DescriptorValues {
 public:
  // False, and nothing changes, when that value (empty: any) is there already. In document order.
  bool Insert(std::string_view value, const DescriptorNode* node);
  // After the last Insert, before the first Find.
  void Finish();
  const DescriptorNode* Find(std::string_view value) const;
  // The one that was inserted with just this value, also of a prefix; nullptr = none.
  const DescriptorNode* At(std::string_view value) const;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Pattern {
    std::string_view text;
    std::uint32_t order = 0;
    const DescriptorNode* node = nullptr;
  };
  struct Prefix {
    std::string_view text;                 // without its '*'
    std::uint32_t order = 0;               // in the document; of `node`
    std::uint32_t above = kNone;           // the longest of the others that it begins with
    const DescriptorNode* node = nullptr;  // the first in the document of it and all above it
  };
  const Prefix* FindPrefix(std::string_view value) const;

  const DescriptorNode* any_ = nullptr;
  absl::flat_hash_map<std::string_view, const DescriptorNode*> values_;  // also "files*": its text as it is
  std::vector<Prefix> prefixes_;                                         // sorted
  std::vector<Pattern> patterns_;                                        // in document order
  std::uint32_t wildcards_ = 0;                                          // of both kinds
};

// Whether the text is what the pattern says, whose '*' stand for any text, also none.
bool MatchesWildcards(std::string_view pattern, std::string_view text);

struct DescriptorNode {
  const Rule* rule = nullptr;  // the first of those here; nullptr: nothing is counted here
  absl::flat_hash_map<std::string_view, DescriptorValues> next;
};

class DomainTable {
 public:
  // How many rules these domains add to a snapshot.
  static std::size_t CountRules(const std::map<std::string, DomainLimits>& domains);

  // `domains` must outlive the table, and `rules` keep its rules where they are. `count_denied`:
  // EnvoyConfig::count_all. `previous`: how all was until now, for what lists of rules follow; nullptr = none.
  void Build(const std::map<std::string, DomainLimits>& domains, bool count_denied, const Snapshot* previous,
             RuleCompiler& rules, FaultList& faults);
  const DomainEntry* Find(std::string_view name) const;

 private:
  class Builder;

  StringMap names_;
  std::vector<DomainEntry> entries_;
  std::deque<DescriptorNode> nodes_;
};

// What a rule inherits that a domain's descriptors carry: no level, only the defaults of DescriptorLimits::rule (the
// identifier aside, which no document can write). `count_denied`: what is denied counts too in a window that the rule
// does not write itself, as in envoyproxy/ratelimit.
RateLimitRule DescriptorRule(const RateLimitRule& rule, bool count_denied);
// The same of a rule of a domain itself: DomainLimits::rules.
RateLimitRule DomainRule(const RateLimitRule& rule, bool count_denied);

// `rule` and `rules`, in this order.
template <typename Visit>
void ForEachRule(const DescriptorLimits& limits, Visit visit) {
  if (limits.rule) visit(*limits.rule);
  for (const RateLimitRule& rule : limits.rules) visit(rule);
}

}  // namespace weir::config
