// From a rule as written, and the rules that it inherits from, to a Rule of a snapshot.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/snapshot/snapshot.h"
#include "weir/config.h"

namespace weir::config {

// Faults of a compilation; at most kMost are kept, since a thousand lines help nobody.
class FaultList {
 public:
  void Add(std::string path, std::string message, std::string hint = {});
  bool empty() const { return faults_.empty(); }
  const std::vector<Fault>& faults() const { return faults_; }
  Error ToError() const;  // a line each

 private:
  static constexpr std::size_t kMost = 100;
  std::vector<Fault> faults_;
  std::size_t left_out_ = 0;
};

// Identifiers, compiled; keeps the list of distinct extractors.
class IdentifierCompiler {
 public:
  // `registered`: names of C++ extractors. `prefixes`: what addresses are cut to, part of what a subject means.
  // `extractors`: what the list begins with.
  IdentifierCompiler(std::span<const std::string> registered, const IpRules& prefixes,
                     std::vector<std::string> extractors, FaultList& faults);

  // The same one for equal identifiers, mostly.
  std::shared_ptr<const Identifier> Compile(const EnhancedIdentifier& identifier, std::string_view path);
  std::uint64_t HashOf(const Identifier& identifier) const;
  std::vector<std::string> TakeExtractors() { return std::move(extractors_); }

 private:
  Identifier CompileAt(const EnhancedIdentifier& identifier, std::string_view path, int depth);
  std::uint32_t ExtractorIndex(const std::string& extractor, std::string_view path);
  void CheckExtractor(const std::string& extractor, std::string_view path);

  std::span<const std::string> registered_;
  std::uint32_t ipv4_prefix_;
  std::uint32_t ipv6_prefix_;
  FaultList& faults_;
  std::vector<std::string> extractors_;
  absl::flat_hash_map<std::string, std::uint32_t> extractor_index_;
  std::vector<std::pair<EnhancedIdentifier, std::shared_ptr<const Identifier>>> known_;  // the first few
};

// Compiles rules one after another. Those of the policy go into a list whose addresses stay what they are; those of
// users and tenants are made once for all that say the same (Make), and then given a name and a history each.
class RuleCompiler {
 public:
  // `capacity`: how many rules of the policy there will be at most. `traits`: what is known to be asked for already.
  RuleCompiler(const EnterpriseRateLimitConfig& document, std::span<const std::string> registered_extractors,
               const Snapshot* previous, Nanos now, std::size_t capacity, const RuleTraits& traits, FaultList& faults);

  // A rule without names and history. `path` is for faults only.
  Rule Make(std::string_view path, Level level, const RateLimitRule& inherited,
            std::unique_ptr<const DescriptorPath> descriptor = nullptr);
  // `before`: what had its path; nullptr = nothing.
  void SetNames(Rule& rule, std::string_view path, const Rule* before);
  // The rule is how `before` goes on.
  void SetPrevious(Rule& rule, const Rule* before);
  // FollowList for rules that are elsewhere.
  void Follow(std::span<Rule> rules, std::span<const Rule> before);
  // Once it is where it stays.
  static void Settle(Rule& rule) { rule.use.rule = &rule; }

  // `inherited` has what all levels write (inherit.h), not yet the defaults. Always appends a rule, also with faults.
  // Level kDomain: without an identifier of its own its subject is the descriptor that `descriptor` tells of. Its
  // further limits follow it (Rule::further).
  const Rule& Add(std::string_view path, Level level, const RateLimitRule& inherited,
                  std::unique_ptr<const DescriptorPath> descriptor = nullptr);
  // The same of one of a list, whose path has its place in the list and so says little: once all are added, FollowList
  // finds their previous forms. `before` is the list as it was; there a rule follows the one that meant the same,
  // wherever it was, and else the one of its path or place, if that meant the same subjects and nobody follows it.
  const Rule& AddToList(std::string_view path, Level level, const RateLimitRule& inherited,
                        std::unique_ptr<const DescriptorPath> descriptor = nullptr);
  void FollowList(std::size_t first, std::span<const Rule> before);
  // One of the further limits of a rule in a list, to be added behind it.
  RateLimitRule Further(const RateLimitRule& inherited, std::size_t i) const;
  std::size_t size() const { return rules_.size(); }
  std::span<const Rule> Since(std::size_t first) const { return std::span(rules_).subspan(first); }

  std::vector<Rule> TakeRules();
  RuleTraits TakeTraits();
  void Need(std::uint32_t needs) { traits_.needs |= needs; }
  // Tells the log when previous forms were cut off; whether they were.
  bool TellCut() const;

 private:
  const Rule* Before(std::string_view path) const;
  Rule& Append(std::string_view path, Level level, const RateLimitRule& inherited,
               std::unique_ptr<const DescriptorPath> descriptor, const Rule* before);
  void SetLimit(RuleParts& parts, const RateLimitRule& complete, std::string_view path);
  void SetCondition(RuleParts& parts, const RateLimitRule& complete, std::string_view path);
  void SetSchedule(RuleParts& parts, const RateLimitRule& complete, std::string_view path);
  std::uint64_t IdentifierHash(const RuleParts& parts) const;
  // What the rule asks for and how it is decided.
  void SetUse(Rule& rule, std::string_view path);
  void AddTraits(const Identifier& identifier);
  // The chain that a rule of `generation` follows. `before`: how it was until now (a limit of kind kUnlimited: it
  // counted nothing), and what that had followed.
  std::shared_ptr<const PreviousRule> PreviousOf(const PreviousRule& before, std::string_view path,
                                                 const Name& generation);

  const EnterpriseRateLimitConfig& document_;
  const Nanos now_;
  FaultList& faults_;
  IdentifierCompiler identifiers_;
  absl::flat_hash_map<std::string_view, const Rule*> before_;  // by path
  std::vector<Rule> rules_;
  absl::flat_hash_map<std::string, std::shared_ptr<const Condition>> conditions_;  // by text
  std::size_t cut_chains_ = 0;          // rules (and penalties) whose previous forms are more than kMostPrevious
  std::string cut_path_;                // of one of them
  RuleTraits traits_;                   // without extractors
  std::vector<std::string_view> list_;  // in FollowList: the generations of the list, also of penalties
  std::string text_;                    // being built; kept for its room
};

// How many rules a document's rules can become at most with their further limits.
std::size_t CountFurther(const EnterpriseRateLimitConfig& document);

// Time after which no state of this limit says more than a fresh one, whatever happened until now; of buckets,
// with debt of at most their capacity. `limit` is sane.
Nanos StateLifetime(const algorithms::Limit& limit);

// Of the limit (its time zone by name) and the identifier: the same on every machine.
std::uint64_t SemanticsOf(const algorithms::Limit& limit, std::uint64_t identifier_hash);
// path + '@' + 16 hex digits.
void AppendGeneration(std::string_view path, std::uint64_t semantics, std::string& out);

HeaderPlan PlanOf(const HeaderConfig& headers);

}  // namespace weir::config
