// How a rule gets the fields that it does not write: from its template, from the less specific level, from the
// document.
//
// The order, most specific first: the rule itself, its template, the next level (user <- tenant <- tier <- free_tier),
// the document's defaults. To complete a rule: ExpandTemplates once on the whole document, then Inherit level by level,
// then WithDefaults, then MakeLimit (make_limit.h).
//
// Pure functions; thread-safe.
#pragma once

#include <string_view>

#include "weir/config.h"

namespace weir::config {

// The document with every `template: NAME` applied and forgotten (`from_template` is empty everywhere). A name that
// does not exist is ignored here; ValidateConfig reports it.
EnterpriseRateLimitConfig ExpandTemplates(const EnterpriseRateLimitConfig& document);

// One rule of it.
RateLimitRule ExpandTemplate(const RateLimitRule& rule, const EnterpriseRateLimitConfig& document);

// `specific`, completed by what `general` writes. Three fields need care:
//  - name and from_template are never inherited: they belong to one rule;
//  - unlimited: a specific rule that writes max_requests is limited again, whatever `general` says;
//  - algorithm: when `specific` writes other numbers and inherits an algorithm with numbers of its own (burst_capacity,
//    refill_rate, ...), those are scaled by the same factor, so that the new numbers take effect;
//  - limits: inherited ones are scaled by the same factor as the rate (max_requests / window_seconds), at least 1.
RateLimitRule Inherit(const RateLimitRule& specific, const RateLimitRule& general);

// A rule that holds alone, not beside others (a tier's, a tenant's, a user's, a replacing endpoint's, an allowing ip
// rule's): a request in which its identifier finds nothing is counted by address, unless a level says otherwise.
RateLimitRule AsBase(RateLimitRule rule);

// Whether on_exceeded may be kWait.
bool CanWait(const RateLimitAlgorithm& algorithm);
inline constexpr std::uint32_t kDefaultMaxWaitMs = 1000;
inline constexpr std::string_view kCannotWait = "`wait` needs algorithm token_bucket or leaky_bucket";
inline constexpr std::string_view kCannotWaitHint = "a window has no place in which a request could wait";

// The i-th of the rule's `limits` as a rule of its own. `rule` came out of WithDefaults, as the result does.
// Where the rule waits and this limit's own algorithm cannot, it denies.
RateLimitRule FurtherRule(const RateLimitRule& rule, std::size_t i);

// `rule` with every field that no level wrote filled in: identifier ip_address, on_missing skip, counts cost, the
// document's algorithm (else sliding_window by the minute), global.penalties, storage.on_store_failure, HeaderConfig{},
// on_exceeded deny, the document's denial, enforce; global.burst is applied to a bucket that writes no capacity of its
// own. Only name (default: the rule's path), denial (default: as usual) and schedule (default: always) may stay empty,
// and max_requests and window_seconds of an invalid document.
RateLimitRule WithDefaults(const RateLimitRule& rule, const EnterpriseRateLimitConfig& document);

// The rule of a tier, inherited from free_tier but not yet WithDefaults: "free", "free_tier", "pro", "pro_tier",
// "enterprise", "enterprise_tier" or a name in global.tiers. An unknown or empty name means free.
RateLimitRule TierRule(const EnterpriseRateLimitConfig& document, std::string_view tier);
bool KnowsTier(const EnterpriseRateLimitConfig& document, std::string_view tier);

// An endpoint's or an ip rule's: it holds for all tiers, so what it does not write comes from free_tier. Not yet
// WithDefaults.
RateLimitRule SharedRule(const RateLimitRule& rule, const EnterpriseRateLimitConfig& document);

// The rule of an ip rule, as SharedRule; that of a challenge challenges unless it says otherwise.
RateLimitRule IpRuleRule(const IpRule& rule, const EnterpriseRateLimitConfig& document);

// A tenant's aggregate: inherits no numbers from the tenant's per-subject rule; its subject is the tenant unless it
// says otherwise. Not yet WithDefaults.
RateLimitRule AggregateRule(const RateLimitRule& aggregate);

// A quota as a rule (fixed_window, calendar-aligned or rolling) for that subject. Not yet WithDefaults; penalties off.
RateLimitRule QuotaRule(const Quota& quota, EnhancedIdentifier identifier);

}  // namespace weir::config
