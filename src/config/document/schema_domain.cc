// What Envoy's rate limit service is asked: domains, their descriptors, and how it answers.
#include "config/document/schema.h"

namespace weir::config {
namespace {

TextRule KeyRule(std::string words) {
  return {"^[^\\x00-\\x1f\\x7f]+$", "not empty and without control characters", std::move(words)};
}

Ref<DescriptorLimits> DescriptorType() {
  static const Ref<DescriptorLimits> type = [] {
    using Limits = DescriptorLimits;
    const auto nested = std::make_shared<Deferred<Limits>>(&DescriptorType);
    auto record = std::make_shared<Record<Limits>>(
        "descriptor",
        "An entry of a descriptor, and what may follow it. A descriptor of a request walks down the tree, an entry a "
        "level: first to the node of its key and value, then to the first whose value has a `*` and matches its "
        "own, then to the node of that key without a value. The rule at which its last entry arrives holds; there is "
        "no way back up, and a rule further up does not hold. At most 24 levels.");
    record->Requires("key", &Limits::key, Text(KeyRule("text")), "The entry's key.")
        .With("value", &Limits::value, Text({"^[^\\x00-\\x1f\\x7f]*$", "without control characters", "text"}),
              "The entry's value. Each `*` in it stands for any text: `/api/*/orders`, `*.shop.test`, `v1*`.",
              "any value")
        .With(
            "rule", &Limits::rule, Opt(RuleType()),
            "The limit. It inherits from no other level; what it does not write is: identifier = the descriptor's own "
            "values, algorithm = `fixed_window: {aligned: epoch}`.",
            "nothing is counted here")
        .With("rules", &Limits::rules, ListOf(RuleType()),
              "Further rules beside `rule`, as 10 a second and 100 an hour: all must pass, and each counts for itself. "
              "At most 8 together.")
        .With("replaces", &Limits::replaces, ListOf(Text(LongNameRule("name of a rule"))),
              "Rules (by `name`) that do not hold in a request in which this one does.")
        .With(
            "quota_mode", &Limits::quota_mode, Bool(),
            "Does not deny alone: a request is over only when all of its descriptors in quota mode are (or another one "
            "is). The statuses and the dynamic metadata say which ones are over.")
        .With("detailed_metric", &Limits::detailed_metric, Bool(),
              "Metrics name the values of all entries, also where the document has none.")
        .With("value_to_metric", &Limits::value_to_metric, Bool(), "Metrics name the value of this entry.")
        .With("share_threshold", &Limits::share_threshold, Bool(),
              "Only with `*`: all values that match share one counter.")
        .With("metadata", &Limits::metadata, JsonObject(),
              "Put into the dynamic metadata of the answer (`envoy.dynamic_metadata`), as its `metadata`, while the "
              "descriptor is not over its limit; of several descriptors merged, the first wins.",
              "none")
        .With("descriptors", &Limits::descriptors, ListOf<Limits>(nested), "What may follow this entry.");
    return record;
  }();
  return type;
}

}  // namespace

Ref<DomainLimits> DomainType() {
  auto record = std::make_shared<Record<DomainLimits>>("domain", "Limits of the requests that name this domain.");
  record
      ->With(
          "rules", &DomainLimits::rules, ListOf(RuleType()),
          "Rules that hold for every request to the domain, whatever its descriptors, and count it once: with the hits "
          "of its first descriptor. What one does not write is as in a descriptor's rule, but for the identifier, "
          "which is `global`. At most 8.")
      .With("descriptors", &DomainLimits::descriptors, ListOf(DescriptorType()), "The tree that descriptors walk down.")
      .With("match", &DomainLimits::match,
            EnumOf<DescriptorMatch>({{DescriptorMatch::kExact, "exact"}, {DescriptorMatch::kContained, "contained"}}),
            "Which rules of the tree hold for a descriptor of a request. `exact`: the one at which the walk of all its "
            "entries ends. `contained`: each whose own entries are all among those of the request, in whatever order "
            "and whatever else is there, as limitador takes them. Of an entry that is sent twice the last counts.")
      .With("hierarchy", &DomainLimits::hierarchy, Opt(Bool()),
            "Whether tiers, tenants, users, endpoints, ip rules and exemptions hold for its descriptors too, by the "
            "attributes that [envoy](#envoy) `attributes` makes of their keys.",
            "`true` for a domain without descriptors");
  return record;
}

Ref<EnvoyConfig> EnvoyType() {
  auto record = std::make_shared<Record<EnvoyConfig>>(
      "envoy", "How Envoy's rate limit service answers, and files in the form of envoyproxy/ratelimit.");
  record
      ->With("files", &EnvoyConfig::files, ListOf(Text({"^[^\\x00]+$", "a path", "path"})),
             "Configurations of envoyproxy/ratelimit, or directories of them: loaded as they are into `domains`, and "
             "watched.")
      .With("merge_domains", &EnvoyConfig::merge_domains, Bool(),
            "Whether a domain may be in several of the files, each of which adds descriptors (MERGE_DOMAIN_CONFIG).")
      .With("unknown_domain", &EnvoyConfig::unknown_domain,
            EnumOf<UnknownDomain>({{UnknownDomain::kAllow, "allow"},
                                   {UnknownDomain::kDeny, "deny"},
                                   {UnknownDomain::kError, "error"},
                                   {UnknownDomain::kHierarchy, "hierarchy"}}),
            "A domain that the document does not name: `hierarchy` treats it as one without descriptors. Each is "
            "counted and logged.")
      .With(
          "count_all", &EnvoyConfig::count_all, Bool(),
          "As envoyproxy/ratelimit counts: each descriptor also when another of its request denies, and what is denied "
          "too (where a rule writes no algorithm of its own).")
      .With("response_headers", &EnvoyConfig::response_headers, Bool(),
            "The rules' rate limit headers, for Envoy to add to its response.")
      .With("dynamic_metadata", &EnvoyConfig::dynamic_metadata, Bool(),
            "Domain, descriptors, quota mode and the descriptors' `metadata` in the answer's metadata, as "
            "envoyproxy/ratelimit tells them.")
      .With("attributes", &EnvoyConfig::attributes,
            MapOf(Word({"ip", "user", "tenant", "tier", "api_key", "country", "method", "path", "none"}),
                  KeyRule("descriptor key")),
            "What descriptor keys mean to the hierarchy, beside the built-in ones: `remote_address` and "
            "`masked_remote_address` are the ip, `user` and `user_id` the user, `tenant` and `tenant_id` the tenant; "
            "`tier`, `api_key`, `country`, `method` and `path` are themselves. `none` takes a meaning away.");
  return record;
}

}  // namespace weir::config
