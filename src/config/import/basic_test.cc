// The basic limiter's document and its conversion: the contract that existing users rely on.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "config/compile/inherit.h"
#include "config/compile/make_limit.h"
#include "config/snapshot/snapshot.h"
#include "weir/config.h"

namespace weir {
namespace {

BasicRateLimitConfig Parsed(std::string_view json) {
  const auto basic = ParseBasicConfig(json);
  EXPECT_TRUE(basic.has_value()) << json << ": " << (basic ? "" : basic.error().message);
  return basic.value_or(BasicRateLimitConfig{});
}

std::string Refusal(std::string_view json) {
  const auto basic = ParseBasicConfig(json);
  if (basic) return "accepted";
  EXPECT_EQ(basic.error().code, ErrorCode::kInvalidArgument);
  return basic.error().message;
}

TEST(BasicConfig, ReadsWhatTheBasicReaderRead) {
  const BasicRateLimitConfig basic =
      Parsed(R"({"max_requests":100,"window_seconds":60,"identifier":"IpAddress","exempt_paths":[]})");
  EXPECT_EQ(basic.max_requests, 100U);
  EXPECT_EQ(basic.window_seconds, 60U);
  EXPECT_EQ(basic.identifier, BasicIdentifier{});
  EXPECT_TRUE(basic.exempt_paths.empty());

  const auto identifier = [](std::string_view text) {
    return Parsed(R"({"max_requests":1,"window_seconds":1,"exempt_paths":[],"identifier":)" + std::string(text) + "}")
        .identifier;
  };
  EXPECT_EQ(identifier(R"("UserId")").kind, BasicIdentifier::Kind::kUserId);
  EXPECT_EQ(identifier(R"("ApiKey")").kind, BasicIdentifier::Kind::kApiKey);
  EXPECT_EQ(identifier(R"({"IpAddress":null})").kind, BasicIdentifier::Kind::kIpAddress);
  EXPECT_EQ(identifier(R"({"CustomHeader":"X-Tenant"})"),
            (BasicIdentifier{BasicIdentifier::Kind::kCustomHeader, "X-Tenant"}));

  EXPECT_EQ(Parsed(R"({"max_requests":0,"window_seconds":0,"identifier":"IpAddress","exempt_paths":[]})").max_requests,
            0U);
  EXPECT_EQ(
      Parsed(
          R"({"max_requests":1,"window_seconds":1,"identifier":"IpAddress","exempt_paths":["/b","/a","/b"],"more":{}})")
          .exempt_paths,
      (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(Parsed(R"([100,60,"IpAddress",["/x"]])").exempt_paths, std::vector<std::string>{"/x"});
  EXPECT_EQ(Parsed(R"({"max_requests":4294967295,"window_seconds":1,"identifier":"IpAddress","exempt_paths":[]})")
                .max_requests,
            4294967295U);
}

TEST(BasicConfig, RefusesWhatTheBasicReaderRefused) {
  const auto with = [](std::string_view field, std::string_view value) {
    std::map<std::string_view, std::string_view> fields = {
        {"max_requests", "1"}, {"window_seconds", "1"}, {"identifier", "\"IpAddress\""}, {"exempt_paths", "[]"}};
    fields[field] = value;
    std::string json;
    for (const auto& [name, text] : fields)
      json += (json.empty() ? "{\"" : ",\"") + std::string(name) + "\":" + std::string(text);
    return Refusal(json + "}");
  };
  EXPECT_EQ(Refusal(R"({"max_requests":1,"window_seconds":1,"identifier":"IpAddress"})"),
            "line 1: missing field 'exempt_paths'");
  EXPECT_EQ(Refusal("{}"), "line 1: missing field 'max_requests'");
  EXPECT_EQ(with("exempt_paths", "null"), "line 1: exempt_paths: expected a sequence, found null");
  EXPECT_EQ(with("exempt_paths", "[1]"), "line 1: exempt_paths: expected a string, found a number");
  EXPECT_EQ(
      with("identifier", R"("ip_address")"),
      "line 1: identifier: unknown variant 'ip_address', expected one of IpAddress, UserId, ApiKey, CustomHeader");
  EXPECT_EQ(with("identifier", R"("CustomHeader")"),
            R"(line 1: identifier: CustomHeader needs its header's name: {"CustomHeader": "X-Name"})");
  EXPECT_EQ(with("identifier", R"({"CustomHeader":5})"),
            "line 1: identifier: CustomHeader: expected a string, found a number");
  EXPECT_EQ(with("identifier", R"({"IpAddress":5})"), "line 1: identifier: IpAddress takes no value");
  EXPECT_EQ(with("identifier", "null"), "line 1: identifier: expected a variant name or a map with one, found null");
  EXPECT_EQ(with("max_requests", "-1"), "line 1: max_requests: '-1' is not a u32");
  EXPECT_EQ(with("max_requests", "1.0"), "line 1: max_requests: '1.0' is not a u32");
  EXPECT_EQ(with("window_seconds", "4294967296"), "line 1: window_seconds: '4294967296' is not a u32");
  EXPECT_EQ(with("max_requests", "\"1\""), "line 1: max_requests: expected u32, found a string");
  EXPECT_EQ(Refusal("{\"max_requests\":1,\n\"max_requests\":2,\"window_seconds\":1,\"identifier\":\"IpAddress\","
                    "\"exempt_paths\":[]}"),
            "line 2: duplicate field 'max_requests'");
  EXPECT_EQ(Refusal("[1,2]"), "line 1: invalid length 2, expected 4 elements");
  EXPECT_EQ(Refusal("7"), "line 1: expected a map, found a number");
  EXPECT_TRUE(Refusal("max_requests: 1").starts_with("line 1: not JSON"));
}

TEST(BasicConfig, Presets) {
  EXPECT_EQ(BasicRateLimitConfig::Strict().max_requests, 10U);
  EXPECT_EQ(BasicRateLimitConfig::Strict().window_seconds, 60U);
  EXPECT_EQ(BasicRateLimitConfig::Permissive().max_requests, 1000U);
}

TEST(FromBasic, KeepsTheNumbersAndTheWindow) {
  const EnterpriseRateLimitConfig config = EnterpriseRateLimitConfig::FromBasic({});
  const RateLimitRule& rule = config.global.free_tier;
  EXPECT_EQ(rule.max_requests, 100U);
  EXPECT_EQ(rule.window_seconds, 60U);
  EXPECT_EQ(std::get<SlidingWindow>(*rule.algorithm).precision, WindowPrecision::Minute());
  EXPECT_TRUE(std::get<SlidingWindow>(*rule.algorithm).count_denied);
  EXPECT_EQ(rule.headers->styles, std::vector<HeaderStyle>{HeaderStyle::kXRateLimit});
  EXPECT_TRUE(rule.headers->basic_body);
  EXPECT_TRUE(rule.headers->retry_after);
  EXPECT_FALSE(rule.headers->reset_as_epoch);
  EXPECT_EQ(rule.on_store_failure, StoreFailurePolicy::kAllow);
  EXPECT_FALSE(config.global.penalties.enabled);
  EXPECT_FALSE(config.global.burst.enabled);
  EXPECT_EQ(config.global.pro_tier, rule);
  EXPECT_EQ(config.global.enterprise_tier, rule);

  // A longer window stays one window that starts at the first request.
  const EnterpriseRateLimitConfig longer = EnterpriseRateLimitConfig::FromBasic(
      {.max_requests = 5, .window_seconds = 300, .identifier = {}, .exempt_paths = {}});
  EXPECT_EQ(std::get<SlidingWindow>(*longer.global.free_tier.algorithm).precision, WindowPrecision::Custom(300));
}

TEST(FromBasic, KeepsTheIdentifier) {
  const auto extractor = [](BasicIdentifier identifier) {
    BasicRateLimitConfig basic;
    basic.identifier = std::move(identifier);
    return std::get<CustomIdentifier>(EnterpriseRateLimitConfig::FromBasic(basic).global.free_tier.identifier->kind);
  };
  EXPECT_EQ(extractor({BasicIdentifier::Kind::kIpAddress, ""}), (CustomIdentifier{"basic:ip", {}}));
  EXPECT_EQ(extractor({BasicIdentifier::Kind::kUserId, ""}), (CustomIdentifier{"header:x-user-id", {}}));
  EXPECT_EQ(extractor({BasicIdentifier::Kind::kApiKey, ""}), (CustomIdentifier{"header:x-api-key", {}}));
  EXPECT_EQ(extractor({BasicIdentifier::Kind::kCustomHeader, "X-Tenant"}), (CustomIdentifier{"header:X-Tenant", {}}));
}

TEST(FromBasic, KeepsTheExemptions) {
  BasicRateLimitConfig basic;
  basic.exempt_paths = {"/health", "/api/v1/public/*", "/health"};
  EXPECT_EQ(EnterpriseRateLimitConfig::FromBasic(basic).exemptions.paths,
            (std::vector<std::string>{"/api/v1/public/*", "/health"}));
}

// Whatever the basic limiter ran on, its conversion is a valid document that compiles and survives being written.
TEST(FromBasic, NeverFails) {
  for (const std::uint32_t max : {0U, 1U, 100U, 4294967295U}) {
    for (const std::uint32_t window : {0U, 1U, 60U, 61U, 4294967295U}) {
      for (const BasicIdentifier& identifier :
           {BasicIdentifier{}, BasicIdentifier{BasicIdentifier::Kind::kCustomHeader, "X-T"},
            BasicIdentifier{BasicIdentifier::Kind::kCustomHeader, ""},
            BasicIdentifier{BasicIdentifier::Kind::kCustomHeader, "a b\n"}}) {
        const EnterpriseRateLimitConfig config =
            EnterpriseRateLimitConfig::FromBasic({.max_requests = max,
                                                  .window_seconds = window,
                                                  .identifier = identifier,
                                                  .exempt_paths = {"", "*", "/a*b", "x\ty"}});
        for (const Fault& fault : ValidateConfig(config))
          EXPECT_EQ(fault.severity, Severity::kWarning) << Describe(fault);
        const auto snapshot = config::Snapshot::Compile(config, nullptr, 0);
        EXPECT_TRUE(snapshot.has_value()) << (snapshot ? "" : snapshot.error().message);
        EXPECT_EQ(ParseConfig(ToYaml(config)).config, config);
      }
    }
  }
}

TEST(FromBasic, ZeroesKeepTheirMeaning) {
  const auto limit = [](std::uint32_t max, std::uint32_t window) {
    const auto config = EnterpriseRateLimitConfig::FromBasic(
        {.max_requests = max, .window_seconds = window, .identifier = {}, .exempt_paths = {}});
    return *config::MakeLimit(config::WithDefaults(config.global.free_tier, config));
  };
  EXPECT_EQ(limit(0, 60).capacity, 0U);  // every request is denied
  EXPECT_EQ(limit(0, 0).capacity, 0U);
  EXPECT_NE(limit(0, 0).kind, algorithms::Kind::kUnlimited);
  EXPECT_EQ(limit(1, 0).kind, algorithms::Kind::kUnlimited);  // each request opens a new window
}

TEST(FromBasic, WarnsOfWhatWasSpoofableBefore) {
  bool warned = false;
  for (const Fault& fault : ValidateConfig(EnterpriseRateLimitConfig::FromBasic({}))) {
    warned |= fault.message.find("can forge X-Forwarded-For") != std::string::npos;
  }
  EXPECT_TRUE(warned);
}

}  // namespace
}  // namespace weir
