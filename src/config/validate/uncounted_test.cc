#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "weir/config.h"

namespace weir::config {
namespace {

// The warnings about requests that meet no enforced rule, one a line.
std::string Warnings(std::string_view yaml) {
  std::string warnings;
  for (const Fault& fault : ParseConfig(yaml).faults) {
    if (fault.severity == Severity::kError) return "error: " + Describe(fault);
    if (fault.message.find("no enforced rule") != std::string::npos)
      warnings += fault.path + ": " + fault.message + "\n";
  }
  return warnings;
}

TEST(Uncounted, DocumentsThatLeaveNobodyOutAreNotWarnedOf) {
  const std::vector<std::string_view> documents = {
      "global: {free_tier: {max_requests: 1, window_seconds: 1, identifier: api_key}}",
      "global: {free_tier: {max_requests: 1, window_seconds: 1, identifier: user_id, on_missing: deny}}",
      "global: {free_tier: {max_requests: 1, window_seconds: 1, identifier: global, on_missing: skip}}",
      "global: {free_tier: {max_requests: 1, window_seconds: 1, identifier: {user_id: {fallback_to_ip: true}}, "
      "on_missing: skip}}",
      // counted by something else, whatever the path
      "global: {free_tier: {max_requests: 1, window_seconds: 1, identifier: user_id, on_missing: skip}}\n"
      "endpoints: {'/**': {combine: stack, rule: {identifier: ip_address, on_missing: ip}}}",
      // unlimited on purpose, and nothing that names anybody
      "global: {free_tier: unlimited}\nendpoints: {/a: {rule: {max_requests: 1, window_seconds: 1}}}",
      "global: {free_tier: unlimited}\nendpoints: {/a: {combine: stack, rule: {max_requests: 1, window_seconds: 1, "
      "identifier: user_id, on_missing: ip}}}",
  };
  for (const std::string_view document : documents) EXPECT_EQ(Warnings(document), "") << document;
}

TEST(Uncounted, DocumentsThatDoAre) {
  const std::string base = "global: {free_tier: {max_requests: 1, window_seconds: 1";
  const std::vector<std::pair<std::string, std::string_view>> documents = {
      {base + ", identifier: api_key, on_missing: skip}}",
       "global.free_tier: a request without an API key meets no enforced rule\n"},
      {base + ", identifier: {custom: {extractor: 'header:X-Key'}}, on_missing: skip}}",
       "global.free_tier: a request without 'header:X-Key' meets no enforced rule\n"},
      {base + ", identifier: {composite: {primary: user_id, secondary: ip_address, strategy: first_available}}, "
              "on_missing: skip}}",
       "global.free_tier: a request without a user and an address meets no enforced rule\n"},
      {base + "}, pro_tier: {identifier: user_id, on_missing: skip}}",
       "global.pro_tier: a request without a user meets no enforced rule\n"},
      {base + "}}\nendpoints: {/a: {rule: {identifier: user_id, on_missing: skip}}}",
       "endpoints./a.rule: a request without a user meets no enforced rule\n"},
      {base + "}}\ntenants: {t: {rule: {identifier: user_id, on_missing: skip}}}",
       "tenants.t.rule: a request without a user meets no enforced rule\n"},
      {"global: {free_tier: unlimited}\nendpoints: {/a: {combine: stack, rule: {max_requests: 1, window_seconds: 1, "
       "identifier: user_id}}}",
       "endpoints./a.rule: a request without a user meets no enforced rule\n"},
      {"global: {free_tier: unlimited, pro_tier: {max_requests: 1, window_seconds: 1}}\n"
       "users: {bob: {rule: {max_requests: 1, window_seconds: 1}}}",
       "global.free_tier: is not enforced: a request that names no tier or user of this document meets no enforced "
       "rule\n"},
  };
  for (const auto& [document, warnings] : documents) EXPECT_EQ(Warnings(document), warnings) << document;
}

TEST(Uncounted, MethodsThatDoNotExist) {
  const auto fault = [](const std::string& method) {
    const ParsedConfig parsed =
        ParseConfig("global: {free_tier: {max_requests: 1, window_seconds: 1}}\nendpoints: {/a: {methods: [GET, " +
                    method + "], rule: {max_requests: 2}}}");
    return parsed.faults.empty() ? "" : Describe(parsed.faults.front());
  };
  EXPECT_EQ(fault("PSOT"), "line 2: endpoints./a.methods.1: there is no HTTP method 'PSOT' (did you mean 'POST'?)");
  EXPECT_EQ(fault("PROPFIND"), "");
  EXPECT_EQ(fault("FROBNICATE"), "line 2: warning: endpoints./a.methods.1: 'FROBNICATE' is no registered HTTP method");
}

TEST(Uncounted, FaultsOfTheNewFields) {
  const auto fault = [](std::string_view rest) {
    const ParsedConfig parsed =
        ParseConfig("global: {free_tier: {max_requests: 1, window_seconds: 1}}\n" + std::string(rest));
    return parsed.faults.empty() ? "" : Describe(parsed.faults.front());
  };
  EXPECT_NE(fault("users: {a: {rule: {counts: bytes}}}").find("must be `requests`, `cost` or `attribute:NAME`"),
            std::string::npos)
      << fault("users: {a: {rule: {counts: bytes}}}");
  EXPECT_NE(fault("users: {a: {rule: {on_missing: adress}}}"), "");
  EXPECT_NE(fault("users: {a: {rule: {when: 'request.usr == 1'}}}").find("users.a.rule.when: a request has no"),
            std::string::npos)
      << fault("users: {a: {rule: {when: 'request.usr == 1'}}}");
  EXPECT_NE(fault("users: {a: {rule: {when: 'claims.sub == \"x\"'}}}").find("tokens are read unverified"),
            std::string::npos);
  EXPECT_NE(fault("ip_rules: {nat64_prefixes: ['2001:db8::/60']}").find("is no NAT64 prefix"), std::string::npos);
  EXPECT_NE(fault("ip_rules: {client_address: x_real_ip}"), "");
  EXPECT_NE(fault("ip_rules: {client_address: forwarded}").find("has no effect without trusted_proxies"),
            std::string::npos);
  EXPECT_NE(fault("users: {a: {rule: {limits: [{max_requests: 1}]}}}").find("window_seconds"), std::string::npos);
  const std::string eight = "[{max_requests: 1, window_seconds: 1}" + [] {
    std::string more;
    for (int i = 0; i < 7; ++i) more += ", {max_requests: 1, window_seconds: 1}";
    return more;
  }() + "]";
  EXPECT_NE(fault("users: {a: {rule: {limits: " + eight + "}}}").find("at most 7 further limits"), std::string::npos);
}

}  // namespace
}  // namespace weir::config
