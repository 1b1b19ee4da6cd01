// Faults of domains and of how Envoy is answered.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/validate/faults_fixture.h"
#include "weir/config.h"

namespace weir {
namespace {

using config::faults::ExpectFaults;
using config::faults::FaultsOf;
using config::faults::kBase;

TEST(Faults, Domains) {
  ExpectFaults({
      {"domains:\n  d:\n    descriptors:\n      - {value: v}\n",
       {"line 5: domains.d.descriptors.0: the field 'key' is missing"}},
      {"domains:\n  d:\n    descriptors:\n      - key: ''\n",
       {"line 5: domains.d.descriptors.0.key: must be not empty and without control characters, not ''"}},
      {"domains:\n  d:\n    descriptors:\n      - {key: k}\n      - key: k\n",
       {"line 6: domains.d.descriptors.1: key 'k' without a value is descriptor 0 of this level too"}},
      {"domains:\n  d:\n    descriptors:\n      - key: k\n        descriptors:\n          - {key: n, value: v}\n"
       "          - {key: n, value: v}\n",
       {"line 8: domains.d.descriptors.0.descriptors.1: key 'n' with value 'v' is descriptor 0 of this level too"}},
      {"domains:\n  d:\n    descriptors:\n      - {key: k, value: v,\n         share_threshold: true}\n",
       {"line 6: domains.d.descriptors.0.share_threshold: needs a value with a '*': only values that match share "
        "one"}},
      {"domains: {d: {descriptors: [{key: k, share_threshold: true}]}}\n",
       {"line 2: domains.d.descriptors.0.share_threshold: needs a value with a '*': only values that match share "
        "one (write value: '*' to share among all values)"}},
      {"domains: {d: {descriptors: [{key: k, value: '*', rule: strict}]}}\n",
       {"line 2: warning: domains.d.descriptors.0.value: '*' alone is any value (leave the value out, unless it is to "
        "hold before others)"}},
      {"domains: {d: {descriptors: [{key: k, value: '*', share_threshold: true, rule: strict}]}}\n", {}},
      {"domains: {d: {descriptors: [{key: k, value: 'a*b', rule: strict}]}}\n", {}},
      {"domains: {d: {descriptors: [{key: k, rule: {max_requests: 1}}]}}\n",
       {"line 2: domains.d.descriptors.0.rule: window_seconds is missing (write them here, in its template or at a "
        "less "
        "specific level, or write `unlimited`)"}},
      {"domains: {d: {hierarchy: false}}\n",
       {"line 2: warning: domains.d: has no rules and no descriptors and leaves the hierarchy out: nothing is limited "
        "in it"}},
  });
}

TEST(Faults, WhatADescriptorReplaces) {
  ExpectFaults({
      {"domains:\n  d:\n    descriptors:\n      - {key: a, rule: {max_requests: 1, window_seconds: 1, name: login}}\n"
       "      - key: b\n        rule: strict\n        replaces: [logn]\n",
       {"line 8: warning: domains.d.descriptors.1.replaces.0: there is no rule named 'logn' in this domain (did you "
        "mean "
        "'login'?)"}},
      {"domains:\n  d:\n    descriptors:\n      - key: a\n        rule: {max_requests: 1, window_seconds: 1, name: x}\n"
       "        replaces: [x]\n",
       {"line 7: domains.d.descriptors.0.replaces.0: 'x' is the name of this rule itself"}},
      {"domains: {d: {descriptors: [{key: a, replaces: [x], quota_mode: true, detailed_metric: true}]}}\n",
       {"line 2: warning: domains.d.descriptors.0.replaces: has no effect without a rule",
        "line 2: warning: domains.d.descriptors.0.quota_mode: has no effect without a rule",
        "line 2: warning: domains.d.descriptors.0.detailed_metric: has no effect without a rule"}},
      {"domains:\n  d:\n    descriptors:\n      - key: a\n        quota_mode: true\n"
       "        rule: {max_requests: 1, window_seconds: 1, mode: shadow}\n",
       {"line 6: warning: domains.d.descriptors.0.quota_mode: beside mode shadow: neither denies, and the shadow is "
        "what "
        "is counted"}},
  });
}

TEST(Faults, Envoy) {
  ExpectFaults({
      {"envoy: {attributes: {client: adress}}\n",
       {"line 2: envoy.attributes.client: must be ip, user, tenant, tier, api_key, country, method, path or none, "
        "not 'adress'"}},
      {"envoy: {unknown_domain: refuse}\n",
       {"line 2: envoy.unknown_domain: must be allow, deny, error or hierarchy, not 'refuse'"}},
      {"domains:\n  d:\n    descriptors:\n      - key: k\n        replaces: [n]\n        rules: [{max_requests: 1, "
       "window_seconds: 1}, {max_requests: 2, window_seconds: 2, name: n}, {max_requests: 3}]\n",
       {"line 6: domains.d.descriptors.0.replaces.0: 'n' is the name of this rule itself",
        "line 7: domains.d.descriptors.0.rules.2: window_seconds is missing (write them here, in its template or at a "
        "less specific level, or write `unlimited`)"}},
      {"domains:\n  d:\n    rules: [strict, strict, strict, strict, strict, strict, strict, strict, {max_requests: "
       "1}]\n",
       {"line 4: domains.d.rules: at most 8 rules hold together",
        "line 4: domains.d.rules.8: window_seconds is missing (write them here, in its template or at a less specific "
        "level, or write `unlimited`)"}},
      {"domains:\n  d:\n    descriptors:\n      - key: k\n        rule: strict\n        rules: [strict, strict, "
       "strict, "
       "strict, strict, strict, strict, strict]\n",
       {"line 7: domains.d.descriptors.0.rules: at most 8 rules hold together"}},
      {"envoy:\n  files:\n    - a.yaml\n    - a.yaml\n", {"line 5: envoy.files.1: 'a.yaml' is listed twice"}},
  });
}

TEST(Faults, DescriptorsMayNotBeNestedWithoutBound) {
  std::string yaml = "domains:\n  d:\n";
  std::string indent = "    ";
  for (int i = 0; i < 25; ++i) {
    yaml += indent + "descriptors:\n" + indent + "- key: k\n";
    indent += "  ";
  }
  const auto faults = FaultsOf(std::string(kBase) + yaml);
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_TRUE(faults[0].starts_with("line 52: domains.d.descriptors.0.descriptors")) << faults[0];
  EXPECT_TRUE(faults[0].ends_with(": descriptors are nested more than 24 deep")) << faults[0];
}

}  // namespace
}  // namespace weir
