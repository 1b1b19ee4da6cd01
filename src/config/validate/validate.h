// The semantic checks behind Validate (document.h), by part of the document.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/document/node.h"
#include "config/document/reader.h"
#include "weir/config.h"

namespace weir::config {

// Of a setting that is read and written, but that nothing heeds yet.
inline constexpr std::string_view kNoEffect = "has no effect in this version";

// A path while it is walked: a segment and what it is below. Lives on the stack.
struct Place {
  const Place* above = nullptr;
  std::string_view segment;
  bool secret = false;  // the segment is not shown

  Place Below(std::string_view next) const { return {this, next}; }
  Place BelowSecret(std::string_view next) const { return {this, next, true}; }
  std::string Path() const;
};

class ValidationFaults {
 public:
  // `source`: the text that `root` was read from; empty: unknown.
  ValidationFaults(const Node& root, std::string_view source) : root_(root), source_(source) {}

  void Error(const Place& place, std::string message, std::string hint = {}) {
    Add(Severity::kError, place, std::move(message), std::move(hint));
  }
  void Warn(const Place& place, std::string message, std::string hint = {}) {
    Add(Severity::kWarning, place, std::move(message), std::move(hint));
  }
  // In the text that is written at `place`, at its byte `offset`.
  void ErrorWithin(const Place& place, std::size_t offset, std::string message);
  bool full() const { return faults_.size() >= kMaxFaults; }
  std::vector<Fault> Take() { return std::move(faults_); }

 private:
  void Add(Severity severity, const Place& place, std::string message, std::string hint);
  void AddAt(TextPlace at, Severity severity, const Place& place, std::string message, std::string hint);
  // The deepest part of the path that is written; `whole`: whether that is all of it.
  const Node& NodeOf(const Place& place, bool& whole) const;

  const Node& root_;
  const std::string_view source_;
  std::vector<Fault> faults_;
};

// Rules: what one writes, and what it is once it has inherited.
class RuleCheck {
 public:
  RuleCheck(const EnterpriseRateLimitConfig& config, ValidationFaults& faults) : config_(config), faults_(faults) {}

  // What the rule itself writes; also for templates.
  void CheckWritten(const Place& place, const RateLimitRule& rule);
  // `expanded`: with its template; `general`: what it inherits from (an empty rule: nothing). Counts what is enforced.
  void CheckWhole(const Place& place, const RateLimitRule& expanded, const RateLimitRule& general);
  void CheckQuota(const Place& place, const Quota& quota);
  void CheckAlgorithm(const Place& place, const RateLimitAlgorithm& algorithm);
  void CheckPenalties(const Place& place, const PenaltyConfig& penalties);

  void CountEnforced() { ++enforced_; }
  std::size_t enforced() const { return enforced_; }
  std::size_t shadowed() const { return shadowed_; }

 private:
  void CheckIdentifier(const Place& place, const EnhancedIdentifier& identifier, int depth);
  void CheckExtractor(const Place& place, const std::string& extractor);
  void CheckWaiting(const Place& place, const RateLimitRule& expanded, const RateLimitRule& complete);
  void CheckCondition(const Place& place, const std::string& text);
  void CheckLimits(const Place& place, const RateLimitRule& rule);
  void CheckBucket(const Place& place, const RateLimitRule& complete);

  const EnterpriseRateLimitConfig& config_;
  ValidationFaults& faults_;
  std::size_t enforced_ = 0;
  std::size_t shadowed_ = 0;
};

// `expanded`: the same document with its templates applied.
void CheckDomains(const EnterpriseRateLimitConfig& config, const EnterpriseRateLimitConfig& expanded, RuleCheck& rules,
                  ValidationFaults& faults);
// Where a request that leaves something out (its user, its key, ...) meets no enforced rule. `expanded` as above.
void WarnOfUncounted(const EnterpriseRateLimitConfig& expanded, ValidationFaults& faults);
void CheckMethods(const Place& place, const std::vector<std::string>& methods, ValidationFaults& faults);
void CheckDenial(const Place& place, const DenialConfig& denial, ValidationFaults& faults);
void CheckIpRules(const Place& place, const IpRules& rules, ValidationFaults& faults);
void CheckExemptions(const Place& place, const Exemptions& exemptions, ValidationFaults& faults);
void CheckStorage(const Place& place, const StorageConfig& storage, ValidationFaults& faults);
void CheckAnalytics(const Place& place, const AnalyticsConfig& analytics, ValidationFaults& faults);
// "127.0.0.1:8080", "[::1]:0", "unix:/path", "off".
bool IsListenAddress(std::string_view text);
// `admin`: the listener that it is for.
void CheckAdminAuth(const Place& place, const AdminAuthConfig& auth, const ListenerConfig& admin,
                    ValidationFaults& faults);
void CheckServer(const Place& place, const ServerConfig& server, ValidationFaults& faults);

}  // namespace weir::config
