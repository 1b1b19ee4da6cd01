// What a domain's document makes of descriptors: modes, quotas, replaced rules, metadata, headers.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "frontends/rls/envoy/rls_fixture.h"

namespace weir::rls {
namespace {

TEST_F(RlsServiceTest, UnlimitedNoMatchAndNothingAtAll) {
  Serve(kEdge);
  const auto response = Ask({{{"free", "x"}}, {{"unheard", "of"}}, {{"never", ""}}});
  EXPECT_EQ(response.statuses(0).code(), RateLimitResponse::OK);
  EXPECT_EQ(response.statuses(0).limit_remaining(), 4294967295U);
  EXPECT_FALSE(response.statuses(0).has_current_limit());
  EXPECT_EQ(response.statuses(1).code(), RateLimitResponse::OK);
  EXPECT_EQ(response.statuses(1).limit_remaining(), 0U);
  EXPECT_FALSE(response.statuses(1).has_current_limit());
  EXPECT_EQ(response.statuses(2).code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_TRUE(response.statuses(2).has_current_limit());
  EXPECT_EQ(response.statuses(2).current_limit().requests_per_unit(), 0U);
}

TEST_F(RlsServiceTest, ReplacedRulesDoNotHold) {
  Serve(kEdge);
  Ask({{{"ip", "a"}}}, 3);
  const auto response = Ask({{{"ip", "a"}}, {{"vip", "x"}}});
  EXPECT_EQ(response.overall_code(), RateLimitResponse::OK);
  EXPECT_FALSE(response.statuses(0).has_current_limit());
  EXPECT_EQ(response.statuses(1).limit_remaining(), 99U);
  // Hits are not given back to what does not hold either.
  auto request = Request({{{"ip", "a"}}, {{"vip", "x"}}});
  request.mutable_descriptors(0)->set_is_negative_hits(true);
  EXPECT_FALSE(Ask(request).statuses(0).has_current_limit());
  EXPECT_EQ(Ask({{{"ip", "a"}}}).overall_code(), RateLimitResponse::OVER_LIMIT);
}

TEST_F(RlsServiceTest, ShadowTellsAndNeverDenies) {
  Serve(kEdge);
  Ask({{{"dark", "x"}}});
  const auto response = Ask({{{"dark", "x"}}});
  EXPECT_EQ(response.overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(response.statuses(0).code(), RateLimitResponse::OK);
  EXPECT_EQ(response.statuses(0).current_limit().requests_per_unit(), 1U);
  EXPECT_EQ(response.statuses(0).limit_remaining(), 0U);
}

TEST_F(RlsServiceTest, QuotaModeTellsInTheMetadata) {
  Serve(std::string(kEdge) + "envoy: {dynamic_metadata: true}\n");
  auto metadata = Ask({{{"soft", "x"}}}).dynamic_metadata().fields();
  EXPECT_TRUE(metadata.at("quotaModeEnabled").bool_value());
  EXPECT_FALSE(metadata.contains("quotaModeViolations"));
  const auto response = Ask({{{"path", "/"}}, {{"soft", "x"}}, {{"soft", "y"}}});
  EXPECT_EQ(response.overall_code(), RateLimitResponse::OK) << "one of two is over";
  EXPECT_EQ(response.statuses(1).code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(response.statuses(2).code(), RateLimitResponse::OK);
  EXPECT_EQ(response.statuses(1).current_limit().name(), "soft");
  EXPECT_EQ(response.statuses(1).limit_remaining(), 0U);
  metadata = response.dynamic_metadata().fields();
  ASSERT_EQ(metadata.at("quotaModeViolations").list_value().values_size(), 1);
  EXPECT_EQ(metadata.at("quotaModeViolations").list_value().values(0).number_value(), 1);
  EXPECT_EQ(metadata.at("domain").string_value(), "edge");
  metadata = Ask({{{"path", "/"}}}).dynamic_metadata().fields();
  EXPECT_FALSE(metadata.at("quotaModeEnabled").bool_value());
}

// As envoyproxy/ratelimit since February 2026 (its pull request 1059): examples/ratelimit/config/quota.yaml there.
TEST_F(RlsServiceTest, ARequestIsOverWhenAllItsQuotasAre) {
  Serve(R"(
global: {free_tier: unlimited}
domains:
  edge:
    descriptors:
      - {key: service, value: service_1, quota_mode: true, rule: {max_requests: 1, window_seconds: 60}}
      - {key: service, value: service_2, quota_mode: true, rule: {max_requests: 2, window_seconds: 60}}
      - {key: path, rule: {max_requests: 3, window_seconds: 60}}
)");
  const std::vector<Entries> both = {{{"service", "service_1"}}, {{"service", "service_2"}}};
  EXPECT_EQ(Ask(both).overall_code(), RateLimitResponse::OK);
  const auto second = Ask(both);
  EXPECT_EQ(second.overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(second.statuses(0).code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(second.statuses(1).code(), RateLimitResponse::OK);
  const auto third = Ask(both);
  EXPECT_EQ(third.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(third.statuses(0).code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(third.statuses(1).code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(service_->counts().over_limit, 1U);
  // A request that its quotas deny consumes nothing of what is beside them.
  const std::vector<Entries> beside = {{{"path", "/"}}, {{"service", "service_1"}}};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Ask(beside).overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(Ask({{{"path", "/"}}}).statuses(0).limit_remaining(), 2U);
  // A normal descriptor that is over denies by itself.
  Ask({{{"path", "/"}}}, 2);
  clock_.Advance(1);
  const auto denied = Ask({{{"path", "/"}}, {{"service", "service_2"}}, {{"service", "other"}}});
  EXPECT_EQ(denied.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(denied.statuses(0).code(), RateLimitResponse::OVER_LIMIT);
}

// As there since April 2026 (its pull request 1112): of the descriptors that are not over, merged, the first wins.
TEST_F(RlsServiceTest, MetadataOfDescriptorsThatAreNotOverIsTold) {
  Serve(R"(
global: {free_tier: unlimited}
domains:
  edge:
    descriptors:
      - {key: a, quota_mode: true, rule: {max_requests: 1, window_seconds: 60}, metadata: {service: {name: one, port: 1}, tags: [x, 2, true, ~, {}]}}
      - {key: b, quota_mode: true, rule: {max_requests: 5, window_seconds: 60}, metadata: {service: {name: two, zone: z}, more: 0.5}}
      - {key: c, rule: {max_requests: 5, window_seconds: 60}}
envoy: {dynamic_metadata: true}
)");
  auto fields = Ask({{{"a", ""}}, {{"b", ""}}, {{"c", ""}}}).dynamic_metadata().fields();
  auto metadata = fields.at("metadata").struct_value().fields();
  EXPECT_EQ(metadata.size(), 3U);
  auto service = metadata.at("service").struct_value().fields();
  EXPECT_EQ(service.at("name").string_value(), "one");
  EXPECT_EQ(service.at("port").number_value(), 1);
  EXPECT_EQ(service.at("zone").string_value(), "z");
  EXPECT_EQ(metadata.at("more").number_value(), 0.5);
  const auto& tags = metadata.at("tags").list_value();
  ASSERT_EQ(tags.values_size(), 5);
  EXPECT_EQ(tags.values(0).string_value(), "x");
  EXPECT_EQ(tags.values(1).number_value(), 2);
  EXPECT_TRUE(tags.values(2).bool_value());
  EXPECT_TRUE(tags.values(3).has_null_value());
  EXPECT_TRUE(tags.values(4).has_struct_value());
  // The first is over now.
  fields = Ask({{{"a", ""}}, {{"b", ""}}}).dynamic_metadata().fields();
  metadata = fields.at("metadata").struct_value().fields();
  EXPECT_EQ(metadata.at("service").struct_value().fields().at("name").string_value(), "two");
  EXPECT_FALSE(metadata.contains("tags"));
  EXPECT_FALSE(Ask({{{"c", ""}}}).dynamic_metadata().fields().contains("metadata"));
  EXPECT_FALSE(Ask({{{"a", ""}}}).dynamic_metadata().fields().contains("metadata"));
}

// limitador's way, as its limits are imported: each of the rules counts by its own entries.
TEST_F(RlsServiceTest, ContainedRulesCountByTheirOwnEntries) {
  Serve(R"(
global: {free_tier: unlimited}
domains:
  edge:
    match: contained
    descriptors:
      - {key: limit.a, value: '1', descriptors: [{key: user, rule: {max_requests: 2, window_seconds: 60, name: a}}]}
      - {key: limit.b, value: '1', rule: {max_requests: 3, window_seconds: 60, name: b}}
)");
  const auto ask = [&](const std::string& user, bool turned) {
    const Entries entries = turned ? Entries{{"user", user}, {"limit.b", "1"}, {"x", user}, {"limit.a", "1"}}
                                   : Entries{{"limit.a", "1"}, {"limit.b", "1"}, {"user", user}};
    return Ask({entries}).overall_code();
  };
  EXPECT_EQ(ask("ann", false), RateLimitResponse::OK);
  EXPECT_EQ(ask("ann", true), RateLimitResponse::OK);
  EXPECT_EQ(ask("ann", true), RateLimitResponse::OVER_LIMIT) << "two a user";
  EXPECT_EQ(ask("bob", true), RateLimitResponse::OK);
  EXPECT_EQ(ask("bob", false), RateLimitResponse::OVER_LIMIT) << "three in all";
  EXPECT_EQ(Ask({{{"limit.a", "1"}, {"user", "eve"}}}).overall_code(), RateLimitResponse::OK);
}

TEST_F(RlsServiceTest, WithoutDynamicMetadataThereIsNone) {
  Serve(kEdge);
  EXPECT_FALSE(Ask({{{"path", "/"}}}).has_dynamic_metadata());
}

TEST_F(RlsServiceTest, HeadersDescribeWhatDeniedOrIsNearestToIt) {
  Serve(kEdge);
  auto response = Ask({{{"path", "/"}}, {{"ip", "a"}}});
  EXPECT_EQ(Header(response, "RateLimit-Policy"), "\"per_ip\";q=3;w=60");
  EXPECT_TRUE(Header(response, "RateLimit").starts_with("\"per_ip\";r=2;t=")) << Header(response, "RateLimit");
  EXPECT_EQ(Header(response, "Retry-After"), "(absent)");
  Ask({{{"path", "/"}}}, 3);
  response = Ask({{{"path", "/"}}, {{"ip", "b"}}}, 2);
  EXPECT_EQ(response.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_TRUE(Header(response, "RateLimit").starts_with("\"domains.edge")) << Header(response, "RateLimit");
  EXPECT_NE(Header(response, "Retry-After"), "(absent)");
  EXPECT_EQ(Header(response, "Cache-Control"), "no-store");
}

TEST_F(RlsServiceTest, HeadersCanBeTurnedOffWhileRunning) {
  Serve(kEdge);
  EXPECT_GT(Ask({{{"path", "/"}}}).response_headers_to_add_size(), 0);
  ASSERT_TRUE(engine_->Apply(engine::ParseOrDie(std::string(kEdge) + "envoy: {response_headers: false}\n")));
  EXPECT_EQ(Ask({{{"path", "/"}}}).response_headers_to_add_size(), 0);
}

TEST_F(RlsServiceTest, UnknownDomainsAreDecidedAsConfigured) {
  const auto ask = [this](std::string_view policy) {
    Serve(std::string(kEdge) + "envoy: {unknown_domain: " + std::string(policy) + "}\n");
    return Answer(Request({{{"ip", "a"}}}, 0, "elsewhere"));
  };
  RateLimitResponse response;
  ASSERT_TRUE(response.ParseFromString(ask("allow").response));
  EXPECT_EQ(response.overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(response.statuses(0).limit_remaining(), 0U);
  ASSERT_TRUE(response.ParseFromString(ask("deny").response));
  EXPECT_EQ(response.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(response.statuses(0).code(), RateLimitResponse::OVER_LIMIT);
  const UnaryCall call = ask("error");
  EXPECT_EQ(call.status.code, Code::kNotFound);
  EXPECT_EQ(call.status.message, "unknown domain 'elsewhere'");
  EXPECT_EQ(engine_->GetCounts().unknown_domain, 1U);
}

TEST_F(RlsServiceTest, DescriptorsReachTheHierarchyByTheirKeys) {
  Serve(R"(
global:
  free_tier: {max_requests: 2, window_seconds: 60, algorithm: token_bucket}
  pro_tier: {max_requests: 50, window_seconds: 60, algorithm: token_bucket}
ip_rules:
  rules: [{name: bad, cidrs: [203.0.113.0/24], action: block}]
exemptions: {users: [root]}
domains: {whole: {hierarchy: true}}
envoy: {attributes: {plan: tier}}
)");
  const auto limit_of = [this](const Entries& entries) { return Ask(Request({entries}, 0, "whole")); };
  EXPECT_EQ(limit_of({{"remote_address", "192.0.2.1"}}).statuses(0).current_limit().requests_per_unit(), 2U);
  EXPECT_EQ(
      limit_of({{"remote_address", "192.0.2.1"}, {"plan", "pro_tier"}}).statuses(0).current_limit().requests_per_unit(),
      50U);
  const auto blocked = limit_of({{"masked_remote_address", "203.0.113.0/25"}});
  EXPECT_EQ(blocked.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_FALSE(blocked.statuses(0).has_current_limit());
  const auto exempt = limit_of({{"user", "root"}, {"remote_address", "192.0.2.1"}});
  EXPECT_EQ(exempt.overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(exempt.statuses(0).limit_remaining(), 4294967295U);
}

}  // namespace
}  // namespace weir::rls
