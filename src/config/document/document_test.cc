// The document: the spec's examples, both languages, both spellings, and back again.
#include "config/document/document.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "config/snapshot/random_config.h"
#include "weir/config.h"

namespace weir {
namespace {

std::string AllFaults(const ParsedConfig& parsed) {
  std::string text;
  for (const Fault& fault : parsed.faults) text += Describe(fault) + "\n";
  return text;
}

EnterpriseRateLimitConfig Parsed(std::string_view text) {
  ParsedConfig parsed = ParseConfig(text);
  EXPECT_TRUE(parsed.ok()) << AllFaults(parsed) << text;
  return parsed.config;
}

RateLimitRule FreeTier(std::string_view fields) {
  return Parsed("global:\n  free_tier: {max_requests: 1, window_seconds: 1, " + std::string(fields) + "}\n")
      .global.free_tier;
}

// The basic setup of the specification, as its serialised form spells it.
constexpr std::string_view kSpecExample = R"({
  "global": {
    "free_tier": {
      "max_requests": 1000, "window_seconds": 3600,
      "algorithm": {"TokenBucket": {"refill_rate": 0.2777777777777778, "burst_capacity": 100}},
      "identifier": {"ApiKey": {"quota_field": "quota", "key_prefix": null}},
      "headers": "default"
    },
    "pro_tier": {
      "max_requests": 5000, "window_seconds": 3600,
      "algorithm": {"SlidingWindow": {"precision": "Minute"}},
      "identifier": {"UserId": {"tier_field": "subscription_tier", "fallback_to_ip": true}},
      "headers": "detailed"
    },
    "enterprise_tier": "unlimited"
  },
  "endpoints": {
    "/api/v1/upload/*": {"rule": {
      "max_requests": 100, "window_seconds": 3600,
      "algorithm": {"LeakyBucket": {"leak_rate": 0.1, "capacity": 100}},
      "identifier": {"IpAddress": {"use_forwarded": true, "geolocation": true, "reputation_check": true}},
      "headers": "upload_optimized"
    }}
  },
  "ip_rules": {"rules": [
    {"name": "near", "countries": ["US", "CA", "GB"], "rule": "generous", "action": "Allow"},
    {"name": "far", "countries": ["CN", "RU"], "rule": "strict", "action": "Throttle"}
  ]},
  "storage": {"Memory": {"max_entries": 100000, "cleanup_interval": 300}},
  "analytics": {"metrics_enabled": true, "event_logging": true, "insights_retention_days": 30}
})";

EnterpriseRateLimitConfig SpecExampleBuilt() {
  GlobalLimits global;
  global.free_tier.max_requests = 1000;
  global.free_tier.window_seconds = 3600;
  global.free_tier.algorithm = TokenBucket{.refill_rate = 1000.0 / 3600.0, .burst_capacity = 100};
  global.free_tier.identifier = EnhancedIdentifier{ApiKey{.quota_field = "quota", .key_prefix = {}}};
  global.free_tier.headers = HeaderConfig{};
  global.pro_tier.max_requests = 5000;
  global.pro_tier.window_seconds = 3600;
  global.pro_tier.algorithm = SlidingWindow{.precision = WindowPrecision::Minute(), .count_denied = false};
  global.pro_tier.identifier = EnhancedIdentifier{UserId{.tier_field = "subscription_tier", .fallback_to_ip = true}};
  global.pro_tier.headers = HeaderConfig::Detailed();
  global.enterprise_tier = RateLimitRule::Unlimited();
  EndpointLimits upload;
  upload.rule.max_requests = 100;
  upload.rule.window_seconds = 3600;
  upload.rule.algorithm = LeakyBucket{.leak_rate = 0.1, .capacity = 100, .shape = false};
  upload.rule.identifier =
      EnhancedIdentifier{IpAddress{.use_forwarded = true, .geolocation = true, .reputation_check = true}};
  upload.rule.headers = HeaderConfig::UploadOptimized();
  IpRules ip;
  ip.rules.push_back({"near", {}, {"US", "CA", "GB"}, IpRule::Action::kAllow, RateLimitRule::Generous()});
  ip.rules.push_back({"far", {}, {"CN", "RU"}, IpRule::Action::kThrottle, RateLimitRule::Strict()});
  StorageConfig storage;
  MemoryStorage memory;
  memory.max_entries = 100'000;
  memory.cleanup_interval = 300;
  storage.kind = memory;
  const auto built = EnterpriseRateLimitConfig::Builder()
                         .Global(global)
                         .Endpoint("/api/v1/upload/*", upload)
                         .Ip(ip)
                         .Storage(storage)
                         .Analytics({.metrics_enabled = true, .event_logging = true, .insights_retention_days = 30})
                         .Build();
  EXPECT_TRUE(built.has_value()) << (built ? "" : built.error().message);
  return built.value_or(EnterpriseRateLimitConfig{});
}

TEST(Document, SpecExampleInItsOwnSpellingEqualsTheBuilder) { EXPECT_EQ(Parsed(kSpecExample), SpecExampleBuilt()); }

TEST(Document, SpecExampleInYaml) {
  EXPECT_EQ(Parsed(R"(
global:
  free_tier:
    max_requests: 1000
    window_seconds: 3600
    algorithm: {token_bucket: {refill_rate: 0.2777777777777778, burst_capacity: 100}}
    identifier: {api_key: {quota_field: quota}}
    headers: {}
  pro_tier:
    max_requests: 5000
    window_seconds: 3600
    algorithm: sliding_window
    identifier:
      user_id:
        tier_field: subscription_tier
        fallback_to_ip: true
    headers: detailed
  enterprise_tier: unlimited
endpoints:
  /api/v1/upload/*:
    rule:
      max_requests: 100
      window_seconds: 3600
      algorithm: {leaky_bucket: {leak_rate: 0.1, capacity: 100}}
      identifier: {IpAddress: {use_forwarded: true, geolocation: true, reputation_check: true}}
      headers: upload_optimized
ip_rules:
  rules:
    - {name: near, countries: [US, CA, GB], rule: generous, action: allow}
    - {name: far, countries: [CN, RU], rule: strict, action: throttle}
storage: {memory: {max_entries: 100000, cleanup_interval: 300}}
analytics: {metrics_enabled: true, event_logging: true, insights_retention_days: 30}
)"),
            SpecExampleBuilt());
}

TEST(Document, HybridOfTheSpecLoads) {
  const ParsedConfig parsed = ParseConfig(
      R"({"global": {"free_tier": "strict"}, "storage": {"Hybrid": {"primary": {"Memory": {"max_entries": 100000, "cleanup_interval": 300}}, "secondary": {"Redis": {"url": "redis://localhost:6379", "cluster": false, "pool_size": 10}}, "sync_interval": 60}}})");
  ASSERT_TRUE(parsed.faults.empty()) << Describe(parsed.faults[0]);
  const HybridStorage expected{
      .primary = StorageConfig::Memory{.max_entries = 100'000, .cleanup_interval = 300},
      .secondary = StorageConfig::Redis{.url = "redis://localhost:6379", .cluster = false, .pool_size = 10},
      .sync_interval = 60,
  };
  EXPECT_EQ(parsed.config.storage.kind, (decltype(StorageConfig::kind){expected}));
  HybridStorage other = expected;
  EXPECT_EQ(other, expected) << "a copy is equal";
  std::get<RedisStorage>(other.secondary->kind).pool_size = 11;
  EXPECT_NE(other, expected) << "and its own";
}

TEST(Document, PrecisionInEverySpelling) {
  const auto seconds = [](std::string_view text) {
    const RateLimitRule rule = FreeTier("algorithm: {sliding_window: {precision: " + std::string(text) + "}}");
    return std::get<SlidingWindow>(*rule.algorithm).precision.seconds;
  };
  EXPECT_EQ(seconds("second"), 1U);
  EXPECT_EQ(seconds("Second"), 1U);
  EXPECT_EQ(seconds("ten_second"), 10U);
  EXPECT_EQ(seconds("\"TenSecond\""), 10U);
  EXPECT_EQ(seconds("minute"), 60U);
  EXPECT_EQ(seconds("Minute"), 60U);
  EXPECT_EQ(seconds("7"), 7U);
  EXPECT_EQ(seconds("{Custom: 30}"), 30U);
  EXPECT_EQ(seconds("{custom: 30}"), 30U);
}

TEST(Document, ChoicesInEverySpelling) {
  const RateLimitAlgorithm bucket = TokenBucket{};
  for (const std::string_view text :
       {"token_bucket", "TokenBucket", "{token_bucket: {}}", "{TokenBucket: {}}", "{token_bucket: }"}) {
    EXPECT_EQ(FreeTier("algorithm: " + std::string(text)).algorithm, bucket) << text;
  }
  const auto ip = std::make_shared<const EnhancedIdentifier>(EnhancedIdentifier{IpAddress{}});
  const auto user = std::make_shared<const EnhancedIdentifier>(EnhancedIdentifier{UserId{}});
  const EnhancedIdentifier both{Composite{ip, user, CompositeStrategy::kStrictestLimit}};
  EXPECT_EQ(FreeTier("identifier: {composite: {primary: ip_address, secondary: user_id, strategy: strictest_limit}}")
                .identifier,
            both);
  EXPECT_EQ(FreeTier("identifier: {Composite: {primary: IpAddress, secondary: {UserId: {}}, strategy: StrictestLimit}}")
                .identifier,
            both);
  EXPECT_EQ(FreeTier("identifier: {Custom: {extractor: \"header:X\", cache_duration: null}}").identifier,
            (EnhancedIdentifier{CustomIdentifier{"header:X", {}}}));
}

TEST(Document, YamlScalarsMeanWhatTheirFieldMeans) {
  // NO is a country, 123 a user, `off` an address: no scalar turns into something else on the way.
  const EnterpriseRateLimitConfig config = Parsed(
      "global: {free_tier: strict}\n"
      "users: {123: {tier: pro}, true: {}}\n"
      "ip_rules: {rules: [{name: 1, countries: [NO], action: block}]}\n"
      "server: {grpc: off}\n");
  EXPECT_TRUE(config.users.contains("123"));
  EXPECT_TRUE(config.users.contains("true"));
  EXPECT_EQ(config.ip_rules.rules[0].countries, std::vector<std::string>{"NO"});
  EXPECT_EQ(config.server.grpc.address, "off");
}

TEST(Document, ListenersAsTextOrWithTls) {
  const EnterpriseRateLimitConfig config = Parsed(
      "global: {free_tier: strict}\nserver:\n  http: \"[::1]:443\"\n"
      "  admin: {address: \"unix:/run/weir.sock\", tls: {certificate_file: c, key_file: k}}\n");
  EXPECT_EQ(config.server.http, (ListenerConfig{"[::1]:443", {}}));
  EXPECT_EQ(config.server.admin, (ListenerConfig{"unix:/run/weir.sock", TlsConfig{"c", "k", ""}}));
  EXPECT_EQ(config.server.resp, ServerConfig{}.resp);
}

TEST(Document, EmptySectionsAreDefaults) {
  EXPECT_EQ(Parsed("global:\n  free_tier: strict\ntenants:\nusers:\nexemptions:\n  paths:\nstorage:\n"),
            Parsed("global: {free_tier: strict}"));
}

TEST(Document, AnchorsAndMergeKeys) {
  const EnterpriseRateLimitConfig config = Parsed(
      "global: {free_tier: &base {max_requests: 5, window_seconds: 60}}\n"
      "users:\n  a: {rule: {<<: *base, max_requests: 7}}\n");
  EXPECT_EQ(config.users.at("a").rule->max_requests, 7U);
  EXPECT_EQ(config.users.at("a").rule->window_seconds, 60U);
}

TEST(Document, WrittenSparingly) {
  EXPECT_EQ(ToYaml(SpecExampleBuilt()).substr(0, 120),
            "global:\n  free_tier:\n    max_requests: 1000\n    window_seconds: 3600\n    identifier:\n      "
            "api_key:\n        quota_field:");
  EXPECT_EQ(
      ToYaml(Parsed(
          "global: {free_tier: generous, enterprise_tier: unlimited}\nserver: {http: off}\nalgorithm: token_bucket\n")),
      "global:\n  free_tier: generous\n  enterprise_tier: unlimited\nalgorithm: token_bucket\nserver:\n  http: "
      "\"off\"\n");
  EXPECT_EQ(ToJson(Parsed("global: {free_tier: strict}")),
            "{\n  \"global\": {\n    \"free_tier\": \"strict\"\n  }\n}\n");
}

TEST(Document, SurvivesTheRoundTrip) {
  for (std::uint64_t seed = 0; seed < 1500; ++seed) {
    config::RandomConfig random(seed);
    const EnterpriseRateLimitConfig config = random.Document();
    const std::string yaml = ToYaml(config);
    const std::string json = ToJson(config);
    const ParsedConfig from_yaml = ParseConfig(yaml, DocumentFormat::kYaml);
    const ParsedConfig from_json = ParseConfig(json, DocumentFormat::kJson);
    ASSERT_TRUE(from_yaml.config == config) << "seed " << seed << "\n" << AllFaults(from_yaml) << yaml;
    ASSERT_TRUE(from_json.config == config) << "seed " << seed << "\n" << AllFaults(from_json) << json;
    // Structure is sound either way; faults of meaning (unknown names) are the same in both, and in the built one.
    EnterpriseRateLimitConfig read;
    ASSERT_TRUE(config::ReadDocument(config::WriteDocument(config), read).empty()) << "seed " << seed;
    ASSERT_EQ(from_yaml.faults.size(), from_json.faults.size()) << "seed " << seed << "\n" << yaml;
    ASSERT_EQ(from_yaml.faults.size(), ValidateConfig(config).size()) << "seed " << seed << "\n" << yaml;
  }
}

TEST(Document, FilesAreLoadedOrExplained) {
  const auto path =
      std::filesystem::temp_directory_path() / ("weir_document_test_" + std::to_string(::getpid()) + ".yaml");
  {
    std::ofstream(path) << "global:\n  free_tier: {max_request: 1}\n  pro: strict\n";
  }
  const auto broken = LoadConfigFile(path.string());
  ASSERT_FALSE(broken.has_value());
  EXPECT_EQ(broken.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(broken.error().message,
            path.string() + ":2:15: global.free_tier: unknown field 'max_request' (did you mean 'max_requests'?)\n" +
                path.string() +
                ":3:3: global: unknown field 'pro' (known are free_tier, pro_tier, enterprise_tier, tiers, burst, "
                "penalties)");
  {
    std::ofstream(path) << "global: {free_tier: strict}\n";
  }
  const auto good = LoadConfigFile(path.string());
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(good->global.free_tier, RateLimitRule::Strict());
  std::filesystem::remove(path);
  EXPECT_EQ(LoadConfigFile(path.string()).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(LoadConfigFile(std::filesystem::temp_directory_path().string()).error().code, ErrorCode::kInvalidArgument);
}

TEST(Builder, TellsEveryFaultAtOnce) {
  UserLimits user;
  user.tier = "gold";
  const auto built = EnterpriseRateLimitConfig::Builder().User("bob", user).Build();
  ASSERT_FALSE(built.has_value());
  EXPECT_EQ(built.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(
      built.error().message,
      "global.free_tier: max_requests and window_seconds are missing (write them here, in its template or at a less "
      "specific level, or write `unlimited`)\nusers.bob.tier: there is no tier 'gold'");
}

TEST(Builder, TakesDomainsAndWhatEnvoyIsTold) {
  DescriptorLimits database{.key = "database", .value = "users"};
  database.rule = RateLimitRule{.max_requests = 500, .window_seconds = 1};
  GlobalLimits global;
  global.free_tier = RateLimitRule::Unlimited();
  const auto built = EnterpriseRateLimitConfig::Builder()
                         .Global(global)
                         .Domain("mongo", {.descriptors = {database}})
                         .Envoy({.count_all = true})
                         .Build();
  ASSERT_TRUE(built) << built.error().message;
  EXPECT_EQ(*built, Parsed(R"(
global: {free_tier: unlimited}
domains:
  mongo: {descriptors: [{key: database, value: users, rule: {max_requests: 500, window_seconds: 1}}]}
envoy: {count_all: true}
)"));
}

TEST(Builder, StepsOfAMigrationLeaveTheLimitsAlone) {
  const EnterpriseRateLimitConfig basic = EnterpriseRateLimitConfig::FromBasic({});
  const EnterpriseRateLimitConfig enabled = EnterpriseRateLimitConfig(basic)
                                                .EnableRedisStorage("redis://store:6379")
                                                .EnableAnalytics()
                                                .EnableManagementApi("127.0.0.1:9");
  EXPECT_EQ(std::get<RedisStorage>(enabled.storage.kind).url, "redis://store:6379");
  EXPECT_TRUE(enabled.analytics.event_logging);
  EXPECT_EQ(enabled.server.admin.address, "127.0.0.1:9");
  EXPECT_EQ(enabled.global, basic.global);
  EXPECT_EQ(enabled.exemptions, basic.exemptions);
}

}  // namespace
}  // namespace weir
