// Every kind of fault, with its exact path, line and hint.
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

TEST(Faults, DescribeNamesFileLinePathAndHint) {
  Fault fault{.path = "endpoints./api/*.rule",
              .line = 12,
              .message = "unknown field 'max_request'",
              .hint = "did you mean 'max_requests'?"};
  EXPECT_EQ(Describe(fault, "config.yaml"),
            "config.yaml:12: endpoints./api/*.rule: unknown field 'max_request' (did you mean 'max_requests'?)");
  EXPECT_EQ(Describe(fault),
            "line 12: endpoints./api/*.rule: unknown field 'max_request' (did you mean 'max_requests'?)");
  fault.column = 5;
  EXPECT_EQ(Describe(fault, "config.yaml"),
            "config.yaml:12:5: endpoints./api/*.rule: unknown field 'max_request' (did you mean 'max_requests'?)");
  EXPECT_EQ(Describe({.severity = Severity::kWarning, .path = "a.b", .message = "odd"}, "f"), "f: warning: a.b: odd");
}

TEST(Faults, Fields) {
  ExpectFaults({
      {"endpoints:\n  /api/*:\n    rule:\n      max_request: 5\n",
       {"line 5: endpoints./api/*.rule: unknown field 'max_request' (did you mean 'max_requests'?)"}},
      {"endpoints:\n  /api/*:\n    max_requests: 5\n",
       {"line 4: endpoints./api/*: unknown field 'max_requests' (it belongs under 'rule')"}},
      {"tenant: {}\n", {"line 2: unknown field 'tenant' (did you mean 'tenants'?)"}},
      {"analytics: {zzz: 1}\n",
       {"line 2: analytics: unknown field 'zzz' (known are metrics_enabled, event_logging, insights_retention_days)"}},
      {"analytics: {metricsEnabled: true}\n",
       {"line 2: analytics: unknown field 'metricsEnabled' (did you mean 'metrics_enabled'?)"}},
      {"analytics: {event_logging: true, event_logging: true}\n",
       {"line 2: analytics: the field 'event_logging' is written twice"}},
      {"users:\n  bob: {}\n  bob: {}\n", {"line 4: users: 'bob' is written twice"}},
      {"users: {\"\": {}}\n", {"line 2: users: a key must be 1 to 200 characters without control characters, not ''"}},
      {"endpoints: {login: {}}\n",
       {"line 2: endpoints: a key must be a path pattern that begins with '/', not 'login'"}},
      {"tenants: {acme: {quotas: [{period: day}]}}\n",
       {"line 2: tenants.acme.quotas.0: the field 'max_requests' is missing"}},
      {"server: {http: {tls: {certificate_file: a}}}\n", {"line 2: server.http.tls: the field 'key_file' is missing"}},
  });
}

TEST(Faults, TreesOfTenants) {
  std::string chain = "tenants: {t1: {}";
  for (int i = 2; i <= 9; ++i) chain += ", t" + std::to_string(i) + ": {parent: t" + std::to_string(i - 1) + "}";
  chain += "}\n";
  ExpectFaults({
      {chain,
       {"line 2: tenants.t9.parent: is more than 8 levels deep: 't9' in 't8' in 't7' in 't6' in 't5' in 't4' in 't3' "
        "in "
        "'t2' in 't1'"}},
      {"tenants: {a: {parent: b}, b: {parent: c}, c: {parent: b}}\n",
       {"line 2: tenants.a.parent: is below a tenant that is a part of itself: 'a' in 'b' in 'c' in 'b'",
        "line 2: tenants.b.parent: is a part of itself: 'b' in 'c' in 'b'",
        "line 2: tenants.c.parent: is a part of itself: 'c' in 'b' in 'c'"}},
  });
}

TEST(Faults, Values) {
  ExpectFaults({
      {"users: {a: {rule: {max_requests: -1}}}\n", {"line 2: users.a.rule.max_requests: must be at least 0"}},
      {"users: {a: {rule: {max_requests: 1.5}}}\n",
       {"line 2: users.a.rule.max_requests: must be a whole number, not '1.5'"}},
      {"users: {a: {rule: {max_requests: \"5\"}}}\n",
       {"line 2: users.a.rule.max_requests: must be a whole number, not '5' (write it without quotes)"}},
      {"users: {a: {rule: {max_requests: 9007199254740993}}}\n",
       {"line 2: users.a.rule.max_requests: must be at most 9007199254740992"}},
      {"users: {a: {rule: {max_requests: 1e300}}}\n",
       {"line 2: users.a.rule.max_requests: must be at most 9007199254740992"}},
      {"users: {a: {rule: {max_requests: [1]}}}\n",
       {"line 2: users.a.rule.max_requests: must be a whole number, not a list"}},
      {"users: {a: {rule: {window_seconds: 4294967297}}}\n",
       {"line 2: users.a.rule.window_seconds: must be at most 315360000"}},
      {"global: 7\n", {"line 2: the field 'global' is written twice"}},
      {"analytics: 7\n", {"line 2: analytics: must be a mapping, not '7'"}},
      {"analytics: {event_logging: yes}\n",
       {"line 2: analytics.event_logging: must be true or false, not 'yes' (write true)"}},
      {"analytics: {event_logging: \"true\"}\n",
       {"line 2: analytics.event_logging: must be true or false, not 'true' (write it without quotes)"}},
      {"analytics: {insights_retention_days: 0}\n", {"line 2: analytics.insights_retention_days: must be at least 1"}},
      {"users: {a: {tier: [x]}}\n", {"line 2: users.a.tier: must be text, not a list"}},
      {"users: [a]\n", {"line 2: users: must be a mapping, not a list"}},
      {"exemptions: {paths: /health}\n",
       {"line 2: exemptions.paths: must be a list, not '/health' (write it as [/health])"}},
      {"users: {a: {rule: {headers: {styles: []}}}}\n",
       {"line 2: users.a.rule.headers.styles: must have at least one entry"}},
      {"users: {a: {rule: {mode: shado}}}\n",
       {"line 2: users.a.rule.mode: must be enforce or shadow, not 'shado' (did you mean 'shadow'?)"}},
      {"users: {a: {rule: unlimitd}}\n",
       {"line 2: users.a.rule: must be a mapping, or one of unlimited, strict, generous, not 'unlimitd' (did you mean "
        "'unlimited'?)"}},
      {"users: {a: {rule: {name: \"a\\nb\"}}}\n",
       {"line 2: users.a.rule.name: must be 1 to 400 characters without control characters, not 'a\\x0ab'"}},
      {"endpoints: {/a: {methods: [get]}}\n",
       {"line 2: endpoints./a.methods.0: must be an HTTP method in upper case, not 'get'"}},
      {"algorithm: {token_bucket: {refill_rate: fast}}\n",
       {"line 2: algorithm.token_bucket.refill_rate: must be a number, not 'fast'"}},
      {"algorithm: {token_bucket: {refill_rate: -0.5}}\n",
       {"line 2: algorithm.token_bucket.refill_rate: must be at least 0"}},
      {"algorithm: {token_bucket: {refill_rate: .inf}}\n",
       {"line 2: algorithm.token_bucket.refill_rate: must be a number, not '.inf'"}},
      {"algorithm: {adaptive: {adjustment_factor: 0}}\n",
       {"line 2: algorithm.adaptive.adjustment_factor: must be above 0"}},
  });
}

TEST(Faults, Choices) {
  const std::string all =
      "sliding_window, token_bucket, leaky_bucket, sliding_window_log, fixed_window, concurrency, adaptive";
  ExpectFaults({
      {"algorithm: tokenbucket\n",
       {"line 2: algorithm: must be one of " + all + ", not 'tokenbucket' (did you mean 'token_bucket'?)"}},
      {"algorithm: {token_bucket: {}, leaky_bucket: {}}\n",
       {"line 2: algorithm: two were given, 'token_bucket' and 'leaky_bucket', and only one may be (keep one of "
        "them)"}},
      {"algorithm: {token_bucket: {}, burst: 5}\n",
       {"line 2: algorithm: unknown 'burst' beside 'token_bucket' (its fields are written below it: {token_bucket: "
        "{...}})"}},
      {"algorithm: [token_bucket]\n", {"line 2: algorithm: must name exactly one of " + all + ", not a list"}},
      {"algorithm: {sliding_window: {precision: hour}}\n",
       {"line 2: algorithm.sliding_window.precision: must be second, ten_second or minute, not 'hour'"}},
      {"algorithm: {sliding_window: {precision: 0}}\n",
       {"line 2: algorithm.sliding_window.precision: must be at least 1"}},
      {"algorithm: {sliding_window: {precision: {Custom: 0}}}\n",
       {"line 2: algorithm.sliding_window.precision: must be at least 1"}},
      {"algorithm: {sliding_window: {precision: {other: 3}}}\n",
       {"line 2: algorithm.sliding_window.precision: must be {custom: SECONDS}, a number, or one of second, "
        "ten_second, minute"}},
      {"users: {a: {rule: {identifier: custom}}}\n",
       {"line 2: users.a.rule.identifier.custom: needs its fields (write it as a mapping, {custom: {...}})"}},
      {"users: {a: {rule: {identifier: {composite: {primary: ip_address}}}}}\n",
       {"line 2: users.a.rule.identifier.composite: the field 'secondary' is missing"}},
      {"storage: {memory: {}, redis: {}}\n",
       {"line 2: storage: only one of memory, redis, postgres, hybrid may be written, and 'memory' was already"}},
      {"storage: {hybrid: {secondary: {hybrid: {}}}}\n",
       {"line 2: storage.hybrid.secondary: a hybrid storage within a hybrid storage is not possible"}},
      {"storage: {hybrid: {secondary: {memory: {}}}}\n",
       {"line 2: storage.hybrid.secondary: the secondary of a hybrid storage is shared: redis or postgres"}},
      {"storage: {hybrid: {primary: {redis: {}}}}\n",
       {"line 2: storage.hybrid.primary: the primary of a hybrid storage is memory"}},
      {"storage: {hybrid: {secondary: {redis: {url: 'redis://h:0'}}}}\n",
       {"line 2: storage.hybrid.secondary.redis.url: the port must be 1..65535"}},
      {"storage: {hybrid: {mode: lax}}\n", {"line 2: storage.hybrid.mode: must be strict or relaxed, not 'lax'"}},
      {"storage: {Postgres: {database_url: x}}\n",
       {"line 2: storage.postgres.database_url: must be a postgresql:// address"}},
      {"storage: {postgres: {database_url: 'postgresql://h:0/d'}}\n",
       {"line 2: storage.postgres.database_url: a port must be 1..65535"}},
      {"storage: {postgres: {database_url: 'postgresql://h/d?sslmod=require'}}\n",
       {"line 2: storage.postgres.database_url: a parameter that libpq does not have"}},
      {"storage: {postgres: {schema: 'a;b'}}\n",
       {"line 2: storage.postgres.schema: must be at most 63 of a-z, 0-9 and _, not beginning with a digit, not "
        "'a;b'"}},
      {"storage: {memory: {}, postgres: {}}\n",
       {"line 2: storage: only one of memory, redis, postgres, hybrid may be written, and 'memory' was already"}},
      {"storage: {redis: {cluster: true}}\n",
       {"line 2: storage.redis.cluster: Redis Cluster is not in this version; use a single Redis"}},
      {"storage: {redis: {url: \"http://x\"}}\n",
       {"line 2: storage.redis.url: must be a redis://, rediss:// or unix:// address"}},
      {"storage: {redis: {url: 'redis://h:0'}}\n", {"line 2: storage.redis.url: the port must be 1..65535"}},
      {"storage: {redis: {url: 'redis://user@h'}}\n",
       {"line 2: storage.redis.url: credentials are user:password or :password"}},
  });
}

TEST(Faults, References) {
  ExpectFaults({
      {"tenants:\n  acme:\n    tier: por\n",
       {"line 4: tenants.acme.tier: there is no tier 'por' (did you mean 'pro'?)"}},
      {"tenants: {acme: {}}\nusers:\n  bob:\n    tenant: acmee\n",
       {"line 5: users.bob.tenant: there is no tenant 'acmee' (did you mean 'acme'?)"}},
      {"templates: {slow: strict}\nusers:\n  bob:\n    rule: {template: slwo}\n",
       {"line 5: users.bob.rule.template: there is no template 'slwo' (did you mean 'slow'?)"}},
      {"templates:\n  a: strict\n  b: {template: a}\n",
       {"line 4: templates.b.template: a template cannot start from another"}},
      {"tenants: {acme: {}}\nendpoints:\n  /a: {tenants: [acne, other-than-that]}\n",
       {"line 4: warning: endpoints./a.tenants.0: there is no tenant 'acne' (did you mean 'acme'?)"}},
  });
}

TEST(Faults, Patterns) {
  ExpectFaults({
      {"endpoints:\n  /a/{x}: {rule: strict}\n  /a/b: {rule: strict}\n  /a/*: {rule: strict}\n", {}},
      {"endpoints:\n  /a/{x}: {rule: strict}\n  /a/{y}: {rule: strict}\n",
       {"line 4: endpoints./a/{y}: ties with '/a/{x}': neither pattern is more specific, and some requests match both "
        "(constrain one of them by methods, tenants or users, or make one pattern more specific)"}},
      {"endpoints:\n  /a/{x}: {methods: [GET], rule: strict}\n  /a/{y}: {methods: [POST], rule: strict}\n", {}},
  });
}

TEST(Faults, WhatARuleLacks) {
  constexpr std::string_view kHint =
      " (write them here, in its template or at a less specific level, or write `unlimited`)";
  EXPECT_EQ(FaultsOf(""),
            std::vector<std::string>{"line 1: global.free_tier: max_requests and window_seconds are missing" +
                                     std::string(kHint)});
  EXPECT_EQ(FaultsOf("\nglobal:\n  free_tier:\n    max_requests: 5\n"),
            std::vector<std::string>{"line 3: global.free_tier: window_seconds is missing" + std::string(kHint)});
  EXPECT_EQ(FaultsOf("global: {free_tier: {window_seconds: 5}}\n"),
            std::vector<std::string>{"line 1: global.free_tier: max_requests is missing" + std::string(kHint)});
  ExpectFaults({{"tenants:\n  acme:\n    aggregate:\n      identifier: tenant_id\n",
                 {"line 4: tenants.acme.aggregate: max_requests and window_seconds are missing" + std::string(kHint)}},
                {"templates: {t: {max_requests: 3}}\ntenants:\n  acme:\n    aggregate: {template: t}\n",
                 {"line 5: tenants.acme.aggregate: window_seconds is missing" + std::string(kHint)}}});
  // Algorithms that bring their own numbers need none.
  EXPECT_EQ(FaultsOf("global: {free_tier: {algorithm: {concurrency: {max_in_flight: 5}}}}\n"),
            std::vector<std::string>{});
  EXPECT_EQ(FaultsOf("global: {free_tier: {algorithm: {token_bucket: {refill_rate: 1, burst_capacity: 5}}}}\n"),
            std::vector<std::string>{});
  EXPECT_EQ(FaultsOf("global: {free_tier: {max_requests: 9, algorithm: {fixed_window: {aligned: day}}}}\n"),
            std::vector<std::string>{});
}

TEST(Faults, AddressesAndNetworks) {
  ExpectFaults({
      {"exemptions:\n  cidrs:\n    - 10.1.2.3/8\n",
       {"line 4: exemptions.cidrs.0: '10.1.2.3/8' has bits set beyond its prefix (did you mean 10.0.0.0/8?)"}},
      {"exemptions: {cidrs: [\"2001:db8::1/32\"]}\n",
       {"line 2: exemptions.cidrs.0: '2001:db8::1/32' has bits set beyond its prefix (did you mean 2001:db8::/32?)"}},
      {"exemptions: {cidrs: [10.0.0.0/33]}\n",
       {"line 2: exemptions.cidrs.0: '10.0.0.0/33' is not an address or network (write it as 10.0.0.0/8 or "
        "2001:db8::/32)"}},
      {"exemptions: {cidrs: [localhost]}\n",
       {"line 2: exemptions.cidrs.0: must be an address or a network such as 10.0.0.0/8, not 'localhost'"}},
      {"exemptions: {cidrs: [0.0.0.0/0]}\n",
       {"line 2: warning: exemptions.cidrs.0: '0.0.0.0/0' is every address: nobody is limited"}},
      {"ip_rules: {trusted_proxies: [\"::/0\"]}\n",
       {"line 2: warning: ip_rules.trusted_proxies.0: '::/0' is every address: any client can forge its address with a "
        "forwarding header"}},
      {"ip_rules:\n  rules:\n    - {name: a, cidrs: [10.0.0.0/8], rule: strict}\n    - {name: a, countries: [DE], "
       "action: block}\n",
       {"line 5: ip_rules.rules.1.name: 'a' is the name of rule 0 too"}},
      {"ip_rules: {rules: [{name: a, rule: strict}]}\n",
       {"line 2: ip_rules.rules.0: has neither cidrs nor countries, so it matches nothing"}},
      {"ip_rules: {rules: [{name: a, cidrs: [10.0.0.0/8]}]}\n",
       {"line 2: ip_rules.rules.0: has no rule to apply (write `rule`, or `action: block`)"}},
      {"ip_rules: {rules: [{name: a, countries: [DE], action: block, rule: strict}]}\n",
       {"line 2: warning: ip_rules.rules.0.rule: has no effect: a block denies for ever"}},
      {"ip_rules: {rules: [{name: a, countries: [germany], action: block}]}\n",
       {"line 2: ip_rules.rules.0.countries.0: must be an ISO 3166-1 country code such as DE, not 'germany'"}},
      {"ip_rules: {ipv6_prefix: 129}\n", {"line 2: ip_rules.ipv6_prefix: must be at most 128"}},
      {"server: {http: 8080}\n",
       {"line 2: server.http: '8080' is not an address to listen on (write it as 127.0.0.1:8080, [::1]:8080, "
        "unix:/path or off)"}},
      {"server: {http: \"127.0.0.1:6380\"}\n", {"line 2: server.resp: http listens on '127.0.0.1:6380' already"}},
      {"server: {http: \"unix:\"}\n", {"line 2: server.http: 'unix:' says no path"}},
      {"server: {log_level: verbose}\n",
       {"line 2: server.log_level: must be debug, info, warn or error, not 'verbose'"}},
  });
}

TEST(Faults, TimesAndZones) {
  ExpectFaults({
      {"tenants: {a: {quotas: [{max_requests: 1, time_zone: Europe/Berlyn}]}}\n",
       {"line 2: tenants.a.quotas.0.time_zone: there is no time zone 'Europe/Berlyn' (IANA names look like "
        "Europe/Berlin)"}},
      {"algorithm: {FixedWindow: {aligned: Day, time_zone: Nowhere}}\n",
       {"line 2: algorithm.fixed_window.time_zone: there is no time zone 'Nowhere' (IANA names look like "
        "Europe/Berlin)"}},
      {"users: {a: {rule: {schedule: {from: \"8:00\"}}}}\n",
       {"line 2: users.a.rule.schedule.from: must be a time of day such as 08:30, not '8:00'"}},
      {"users: {a: {rule: {schedule: {days: [monday]}}}}\n",
       {"line 2: users.a.rule.schedule.days.0: must be mon, tue, wed, thu, fri, sat or sun, not 'monday'"}},
      {"users: {a: {rule: {schedule: {from: \"08:00\", to: \"08:00\"}}}}\n",
       {"line 2: users.a.rule.schedule: begins and ends at the same time (for the whole day write from 00:00 to "
        "24:00)"}},
      {"users: {a: {rule: {schedule: {time_zone: Mars}}}}\n",
       {"line 2: users.a.rule.schedule.time_zone: there is no time zone 'Mars' (IANA names look like Europe/Berlin)"}},
      {"tenants: {a: {quotas: [{max_requests: 1, period: decade}]}}\n",
       {"line 2: tenants.a.quotas.0.period: must be hour, day, week, month or year, not 'decade'"}},
  });
}

TEST(Faults, Extractors) {
  const auto rule = [](std::string_view extractor) {
    return "users:\n  a:\n    rule:\n      identifier: {custom: {extractor: \"" + std::string(extractor) + "\"}}\n";
  };
  const std::string path = "users.a.rule.identifier.custom.extractor: ";
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"header:X-Tenant", {}},
      {"my_function", {}},
      {"path:^/t/([^/]+)", {}},
      {"heder:X", {"line 5: " + path + "there is no extractor 'heder': (did you mean 'header'?)"}},
      {"header:", {"line 5: " + path + "'header:' says nothing behind its colon"}},
      {"header:X Y",
       {"line 5: warning: " + path + "'X Y' is no name that a header can have: no request has such a subject"}},
      {"path:(", {"line 5: " + path + "'(' is not a regular expression: missing ): ("}},
      {"jwt:sub",
       {"line 5: warning: " + path + "tokens are read unverified: any client can claim anything (write a key in jwt)"}},
      {"basic:user", {"line 5: " + path + "there is no extractor 'basic:user' (did you mean 'basic:ip'?)"}},
      {"", {"line 5: " + path + "must be an extractor such as header:X-Tenant, not ''"}},
  };
  for (const auto& [extractor, faults] : cases) {
    EXPECT_EQ(FaultsOf(std::string(kBase) + rule(extractor)), faults) << extractor;
  }
}

TEST(Faults, ThingsThatAreAllowedButOdd) {
  ExpectFaults({
      {"users: {a: {rule: {max_requests: 0}}}\n",
       {"line 2: warning: users.a.rule.max_requests: 0 denies every request"}},
      {"users: {a: {rule: {window_seconds: 0}}}\n",
       {"line 2: warning: users.a.rule.window_seconds: with 0 every request opens a new window: nothing is limited"}},
      {"users: {a: {rule: {unlimited: true, max_requests: 4}}}\n",
       {"line 2: warning: users.a.rule: max_requests and window_seconds have no effect beside unlimited"}},
      {"users: {a: {exempt: true, rule: strict}}\n",
       {"line 2: warning: users.a.exempt: the user's rule and quotas have no effect: an exempt user is never limited"}},
      {"users: {a: {quotas: [{max_requests: 999999, period: day}]}}\n",
       {"line 2: warning: users.a.quotas.0.max_requests: is never reached: the rule beside it admits at most about "
        "15130 in "
        "that time"}},
      {"users:\n  a:\n    rule:\n      identifier: {ip_address: {use_forwarded: true}}\n",
       {"line 5: warning: users.a.rule.identifier.ip_address.use_forwarded: any client can forge X-Forwarded-For and "
        "so evade "
        "the limit (list your proxies in ip_rules.trusted_proxies and leave use_forwarded out)"}},
      {"exemptions: {paths: [\"/*\", health, \"/a*b\", \"/ok/*\"]}\n",
       {"line 2: warning: exemptions.paths.0: '/*' exempts every path: nothing is limited",
        "line 2: warning: exemptions.paths.1: 'health' does not begin with '/': no path is exempt by it",
        "line 2: warning: exemptions.paths.2: only a '*' at the end of '/a*b' stands for anything"}},
      {"users: {a: {rule: {algorithm: {token_bucket: {refill_rate: 100, burst_capacity: 1000}}}}}\n",
       {"line 2: warning: users.a.rule.algorithm: its rate admits about 6000 requests in 60 s, but max_requests says "
        "10: the "
        "rate decides (leave the rate out to derive it from max_requests and window_seconds)",
        "line 2: warning: users.a.rule.algorithm: its capacity of 1000 is far above max_requests of 10: the capacity "
        "decides"}},
      {"users: {a: {rule: {window_seconds: 315360000, max_requests: 1000000, algorithm: {token_bucket: {refill_rate: "
       "0.00001}}}}}\n",
       {"line 2: warning: users.a.rule.algorithm: at its rate a bucket would be full after more than 36 years: 11529 "
        "are kept of it (write a higher rate or a smaller capacity)",
        "line 2: warning: users.a.rule.algorithm: its rate admits about 3154 requests in 315360000 s, but max_requests "
        "says 1000000: the rate decides (leave the rate out to derive it from max_requests and window_seconds)"}},
      {"users: {a: {rule: {window_seconds: 86400, algorithm: {sliding_window: {precision: second}}}}}\n",
       {"line 2: warning: users.a.rule.algorithm: more than 3600 sub-windows: the precision is coarsened (write a "
        "longer "
        "precision)"}},
      // What nothing heeds yet is told wherever it is written, and only with another value than the default.
      {"users: {a: {rule: {algorithm: {sliding_window_log: {log_retention: 90, cleanup_interval: 5}}}}}\n", {}},
      {"users: {a: {rule: {window_seconds: 120, algorithm: {sliding_window_log: {log_retention: 90}}}}}\n",
       {"line 2: warning: users.a.rule.algorithm.sliding_window_log.log_retention: is shorter than the window: entries "
        "are kept for 120 s (an entry counts as long as it is in the window)"}},
      {"algorithm: {sliding_window_log: {log_retention: 0, cleanup_interval: 0}}\n", {}},
      {"users: {a: {rule: {identifier: {ip_address: {geolocation: true, reputation_check: true}}}}}\n",
       {"line 2: warning: users.a.rule.identifier.ip_address.geolocation: has no effect in this version",
        "line 2: warning: users.a.rule.identifier.ip_address.reputation_check: has no effect in this version"}},
      {"users: {a: {rule: {identifier: {ip_address: {geolocation: false, reputation_check: false}}}}}\n", {}},
      {"users: {a: {rule: {headers: {styles: [draft07, ietf]}}}}\n",
       {"line 2: warning: users.a.rule.headers.styles: draft07 has no effect beside ietf: both are called RateLimit, "
        "and "
        "ietf is sent (draft06 can be sent beside ietf)"}},
      {"users: {a: {rule: {headers: compliance_mode}}, b: {rule: {headers: {styles: [draft06, draft07]}}}}\n", {}},
      {"analytics: {insights_retention_days: 7}\n",
       {"line 2: warning: analytics.insights_retention_days: has no effect in this version"}},
      {"analytics: {insights_retention_days: 30, metrics_enabled: false, event_logging: true}\n", {}},
  });
  EXPECT_EQ(FaultsOf("global: {free_tier: {max_requests: 1, window_seconds: 1, mode: shadow}}"),
            std::vector<std::string>{"line 1: warning: global: every rule is in shadow mode: nothing is enforced"});
  EXPECT_EQ(FaultsOf("global: {free_tier: unlimited}"),
            std::vector<std::string>{"line 1: warning: global: every rule is unlimited: nothing is enforced"});
}

TEST(Faults, NumbersThatContradictEachOther) {
  ExpectFaults({
      {"users: {a: {rule: {penalties: {first_ban_seconds: 100, longest_ban_seconds: 10}}}}\n",
       {"line 2: users.a.rule.penalties.longest_ban_seconds: is below first_ban_seconds"}},
      {"algorithm: {adaptive: {min_limit: 10, max_limit: 5}}\n",
       {"line 2: algorithm.adaptive.min_limit: is above max_limit"}},
      {"users: {a: {rule: {headers: {styles: [none, ietf]}}}}\n",
       {"line 2: users.a.rule.headers.styles: 'none' stands alone"}},
  });
  EXPECT_EQ(FaultsOf("global:\n  free_tier: strict\n  tiers:\n    pro: generous\n"),
            std::vector<std::string>{"line 4: global.tiers.pro: 'pro' is built in (write it as global.pro_tier)"});
}

TEST(Faults, AllAreToldAtOnceInDocumentOrder) {
  constexpr std::string_view kDocument =
      "server:\n"
      "  http: nonsense\n"
      "exemptions:\n"
      "  cidrs: [10.0.0.1/8]\n"
      "users:\n"
      "  bob: {tier: gold}\n"
      "global:\n"
      "  free_tier: {max_requests: many, window_seconds: 1}\n"
      "  oops: 1\n";
  EXPECT_EQ(FaultsOf(kDocument),
            (std::vector<std::string>{
                "line 2: server.http: what is written here is not an address to listen on (write it as 127.0.0.1:8080, "
                "[::1]:8080, "
                "unix:/path or off)",
                "line 4: exemptions.cidrs.0: '10.0.0.1/8' has bits set beyond its prefix (did you mean 10.0.0.0/8?)",
                "line 6: users.bob.tier: there is no tier 'gold'",
                "line 8: global.free_tier.max_requests: must be a whole number, not 'many'",
                "line 9: global: unknown field 'oops' (known are free_tier, pro_tier, enterprise_tier, tiers, burst, "
                "penalties)",
            }));
}

TEST(Faults, JsonHasLinesToo) {
  EXPECT_EQ(
      FaultsOf("{\n  \"global\": {\n    \"free_tier\": {\"max_requests\": 1, \"window_seconds\": 1}\n  },\n"
               "  \"users\": {\n    \"a\\\"b\": {\n      \"tier\": \"gold\",\n      \"exemt\": true\n    }\n  }\n}\n"),
      (std::vector<std::string>{"line 7: users.a\"b.tier: there is no tier 'gold'",
                                "line 8: users.a\"b: unknown field 'exemt' (did you mean 'exempt'?)"}));
  EXPECT_EQ(FaultsOf("{\"users\": {\"a\": {\"tier\": 5}}, \"global\": {\"free_tier\": \"strict\"}}"),
            std::vector<std::string>{"line 1: users.a.tier: must be text, not 5 (put it in quotes)"});
  EXPECT_EQ(FaultsOf("{\"global\": {\"free_tier\": \"strict\"},\n\"global\": {}}"),
            std::vector<std::string>{"line 2: the field 'global' is written twice"});
}

TEST(Faults, OfABuiltDocumentHaveNoLine) {
  EnterpriseRateLimitConfig config;
  config.global.free_tier = RateLimitRule::Strict();
  config.users["bob"].tier = "gold";
  config.storage.instances = 0;
  std::vector<std::string> lines;
  for (const Fault& fault : ValidateConfig(config)) lines.push_back(Describe(fault));
  EXPECT_EQ(lines, (std::vector<std::string>{"storage.instances: must be at least 1",
                                             "users.bob.tier: there is no tier 'gold'"}));
}

}  // namespace
}  // namespace weir
