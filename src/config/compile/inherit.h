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
//    refill_rate, ...), those are scaled by the same factor, so that the new numbers take effect.
RateLimitRule Inherit(const RateLimitRule& specific, const RateLimitRule& general);

// `rule` with every field that no level wrote filled in: identifier ip_address, the document's algorithm (else
// sliding_window by the minute), global.penalties, storage.on_store_failure, HeaderConfig{}, enforce; global.burst is
// applied to a bucket that writes no capacity of its own. Only name (default: the rule's path) and schedule (default:
// always) may stay empty, and max_requests and window_seconds of an invalid document.
RateLimitRule WithDefaults(const RateLimitRule& rule, const EnterpriseRateLimitConfig& document);

// The rule of a tier, inherited from free_tier but not yet WithDefaults: "free", "free_tier", "pro", "pro_tier",
// "enterprise", "enterprise_tier" or a name in global.tiers. An unknown or empty name means free.
RateLimitRule TierRule(const EnterpriseRateLimitConfig& document, std::string_view tier);
bool KnowsTier(const EnterpriseRateLimitConfig& document, std::string_view tier);

// An endpoint's or an ip rule's: it holds for all tiers, so what it does not write comes from free_tier. Not yet
// WithDefaults.
RateLimitRule SharedRule(const RateLimitRule& rule, const EnterpriseRateLimitConfig& document);

// A tenant's aggregate: inherits no numbers from the tenant's per-subject rule; its subject is the tenant unless it
// says otherwise. Not yet WithDefaults.
RateLimitRule AggregateRule(const RateLimitRule& aggregate);

// A quota as a rule (fixed_window, calendar-aligned or rolling) for that subject. Not yet WithDefaults; penalties off.
RateLimitRule QuotaRule(const Quota& quota, EnhancedIdentifier identifier);

}  // namespace weir::config
