// What envoyproxy/ratelimit answers, and where weir differs on purpose.
#include "frontends/rls/envoy/rls_service.h"

#include <envoy/service/ratelimit/v3/rls.pb.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "frontends/rls/service_fixture.h"

namespace weir::rls {
namespace {

using envoy::service::ratelimit::v3::RateLimitRequest;
using envoy::service::ratelimit::v3::RateLimitResponse;
using Status = RateLimitResponse::DescriptorStatus;
using Entries = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kEdge = R"(
global:
  free_tier: {max_requests: 1000, window_seconds: 60, algorithm: token_bucket}
domains:
  edge:
    descriptors:
      - {key: ip, rule: {max_requests: 3, window_seconds: 60, name: per_ip}}
      - {key: path, rule: {max_requests: 5, window_seconds: 3600}}
      - {key: odd, rule: {max_requests: 5, window_seconds: 90}}
      - {key: never, rule: {max_requests: 0, window_seconds: 60}}
      - {key: free, rule: unlimited}
      - {key: soft, quota_mode: true, rule: {max_requests: 1, window_seconds: 60, name: soft}}
      - {key: dark, rule: {max_requests: 1, window_seconds: 60, mode: shadow}}
      - {key: slot, rule: {max_requests: 4, window_seconds: 86400}}
      - {key: vip, replaces: [per_ip], rule: {max_requests: 100, window_seconds: 1}}
  whole:
    hierarchy: true
)";

class RlsServiceTest : public ServiceTest<RlsService> {
 protected:
  static RateLimitRequest Request(const std::vector<Entries>& descriptors, std::uint32_t hits = 0,
                                  const std::string& domain = "edge") {
    RateLimitRequest request;
    request.set_domain(domain);
    request.set_hits_addend(hits);
    for (const Entries& entries : descriptors) {
      auto* descriptor = request.add_descriptors();
      for (const auto& [key, value] : entries) {
        auto* entry = descriptor->add_entries();
        entry->set_key(key);
        entry->set_value(value);
      }
    }
    return request;
  }
  RateLimitResponse Ask(const RateLimitRequest& request) {
    const UnaryCall call = Answer(request);
    EXPECT_EQ(call.status.code, Code::kOk) << call.status.message;
    RateLimitResponse response;
    EXPECT_TRUE(response.ParseFromString(call.response));
    EXPECT_EQ(response.statuses_size(), request.descriptors_size());
    return response;
  }
  RateLimitResponse Ask(const std::vector<Entries>& descriptors, std::uint32_t hits = 0) {
    return Ask(Request(descriptors, hits));
  }
  static std::string Header(const RateLimitResponse& response, std::string_view name) {
    for (const auto& header : response.response_headers_to_add()) {
      if (header.key() == name) return header.value();
    }
    return "(absent)";
  }
};

TEST_F(RlsServiceTest, CountsAWindowThatIsAlignedToItsUnit) {
  Serve(kEdge);
  clock_.Set(1'700'000'010 * kSecond + 300 * kMillisecond);  // 30.3 s into its minute
  for (std::uint32_t left : {2U, 1U, 0U}) {
    const auto response = Ask({{{"ip", "a"}}});
    EXPECT_EQ(response.overall_code(), RateLimitResponse::OK);
    const Status& status = response.statuses(0);
    EXPECT_EQ(status.code(), RateLimitResponse::OK);
    EXPECT_EQ(status.current_limit().requests_per_unit(), 3U);
    EXPECT_EQ(status.current_limit().unit(), RateLimitResponse::RateLimit::MINUTE);
    EXPECT_EQ(status.current_limit().name(), "per_ip");
    EXPECT_EQ(status.limit_remaining(), left);
    // The reference server counts whole seconds: 60 - 30.
    EXPECT_EQ(status.duration_until_reset().seconds(), 30);
    EXPECT_EQ(status.duration_until_reset().nanos(), 0);
  }
  const auto denied = Ask({{{"ip", "a"}}});
  EXPECT_EQ(denied.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(denied.statuses(0).code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(denied.statuses(0).limit_remaining(), 0U);
  EXPECT_EQ(denied.statuses(0).duration_until_reset().seconds(), 30);
  EXPECT_EQ(Ask({{{"ip", "b"}}}).overall_code(), RateLimitResponse::OK);
  clock_.Advance(30 * kSecond);
  EXPECT_EQ(Ask({{{"ip", "a"}}}).statuses(0).limit_remaining(), 2U);
  EXPECT_EQ(service_->counts().ok, 5U);
  EXPECT_EQ(service_->counts().over_limit, 1U);
}

TEST_F(RlsServiceTest, AUnitIsNamedOnlyWhereTheWindowIsOne) {
  Serve(kEdge);
  EXPECT_EQ(Ask({{{"path", "/"}}}).statuses(0).current_limit().unit(), RateLimitResponse::RateLimit::HOUR);
  const auto odd = Ask({{{"odd", ""}}});
  EXPECT_EQ(odd.statuses(0).current_limit().unit(), RateLimitResponse::RateLimit::UNKNOWN);
  EXPECT_EQ(odd.statuses(0).current_limit().requests_per_unit(), 5U);
  EXPECT_EQ(odd.statuses(0).current_limit().name(), "");
}

TEST_F(RlsServiceTest, HitsOfTheDescriptorGoBeforeThoseOfTheRequest) {
  Serve(kEdge);
  EXPECT_EQ(Ask({{{"path", "/"}}}, 3).statuses(0).limit_remaining(), 2U);
  auto request = Request({{{"path", "/"}}}, 3);
  request.mutable_descriptors(0)->mutable_hits_addend()->set_value(2);
  EXPECT_EQ(Ask(request).statuses(0).limit_remaining(), 0U);
  // 0 of its own looks only; at the limit is not over it.
  request.mutable_descriptors(0)->mutable_hits_addend()->set_value(0);
  EXPECT_EQ(Ask(request).overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(Ask(request).statuses(0).limit_remaining(), 0U);
  // 0 of the request is 1.
  EXPECT_EQ(Ask({{{"path", "/"}}}, 0).overall_code(), RateLimitResponse::OVER_LIMIT);
}

TEST_F(RlsServiceTest, LookingAtWhatIsOverdrawnIsOverLimit) {
  Serve(std::string(kEdge) + "envoy: {count_all: true}\n");
  auto look = Request({{{"path", "/"}}});
  look.mutable_descriptors(0)->mutable_hits_addend()->set_value(0);
  Ask({{{"path", "/"}}}, 5);
  EXPECT_EQ(Ask(look).overall_code(), RateLimitResponse::OK);
  Ask({{{"path", "/"}}}, 1);
  EXPECT_EQ(Ask(look).overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(Ask(look).statuses(0).code(), RateLimitResponse::OVER_LIMIT);
  // What never denies does not do so here; what is in quota mode does where there is nothing else.
  look = Request({{{"dark", "x"}}, {{"soft", "x"}}});
  for (int i = 0; i < 2; ++i) look.mutable_descriptors(i)->mutable_hits_addend()->set_value(0);
  Ask({{{"dark", "x"}}, {{"soft", "x"}}}, 9);
  EXPECT_EQ(Ask(look).statuses(0).code(), RateLimitResponse::OK);
  EXPECT_EQ(Ask(look).statuses(1).code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(Ask(look).overall_code(), RateLimitResponse::OVER_LIMIT);
  look.mutable_descriptors()->DeleteSubrange(1, 1);
  EXPECT_EQ(Ask(look).overall_code(), RateLimitResponse::OK);
}

TEST_F(RlsServiceTest, ADeniedDescriptorKeepsTheOthersFromBeingCounted) {
  Serve(kEdge);
  Ask({{{"ip", "a"}}}, 3);
  const auto denied = Ask({{{"ip", "a"}}, {{"path", "/"}}});
  EXPECT_EQ(denied.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(denied.statuses(0).code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(denied.statuses(1).code(), RateLimitResponse::OK);
  EXPECT_EQ(denied.statuses(1).limit_remaining(), 5U);
  EXPECT_EQ(Ask({{{"path", "/"}}}).statuses(0).limit_remaining(), 4U);
}

TEST_F(RlsServiceTest, CountAllCountsAsTheReferenceServerDoes) {
  Serve(std::string(kEdge) + "envoy: {count_all: true}\n");
  Ask({{{"ip", "a"}}}, 3);
  const auto denied = Ask({{{"ip", "a"}}, {{"path", "/"}}});
  EXPECT_EQ(denied.statuses(1).limit_remaining(), 4U);
  EXPECT_EQ(Ask({{{"path", "/"}}}).statuses(0).limit_remaining(), 3U);
  // What was denied counts too: of 5, 2 are used, 4 more are too many, and then none is left for 1.
  EXPECT_EQ(Ask({{{"path", "/"}}}, 4).overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(Ask({{{"path", "/"}}}).overall_code(), RateLimitResponse::OVER_LIMIT);
  // The same of a limit that the client brings.
  auto request = Request({{{"free", "x"}}}, 4);
  request.mutable_descriptors(0)->mutable_limit()->set_requests_per_unit(5);
  request.mutable_descriptors(0)->mutable_limit()->set_unit(envoy::type::v3::DAY);
  EXPECT_EQ(Ask(request).overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(Ask(request).overall_code(), RateLimitResponse::OVER_LIMIT);
  request.set_hits_addend(1);
  EXPECT_EQ(Ask(request).overall_code(), RateLimitResponse::OVER_LIMIT);
}

TEST_F(RlsServiceTest, ALimitThatTheClientBringsGoesOnWithTheConfiguredCount) {
  for (const char* count_all : {"false", "true"}) {
    Serve(std::string(kEdge) + "envoy: {count_all: " + count_all + "}\n");
    const auto ask = [&](std::uint32_t requests, envoy::type::v3::RateLimitUnit unit, std::uint32_t hits = 0) {
      auto request = Request({{{"path", "/"}}}, hits);
      request.mutable_descriptors(0)->mutable_limit()->set_requests_per_unit(requests);
      request.mutable_descriptors(0)->mutable_limit()->set_unit(unit);
      return Ask(request);
    };
    Ask({{{"path", "/"}}}, 3);
    const auto told = ask(10, envoy::type::v3::HOUR);
    EXPECT_EQ(told.statuses(0).limit_remaining(), 6U) << count_all;
    EXPECT_EQ(told.statuses(0).current_limit().requests_per_unit(), 10U);
    EXPECT_EQ(told.statuses(0).current_limit().unit(), RateLimitResponse::RateLimit::HOUR);
    EXPECT_NE(Header(told, "RateLimit").find("r=6"), std::string::npos) << Header(told, "RateLimit");
    EXPECT_NE(Header(told, "RateLimit-Policy").find("q=10;w=3600"), std::string::npos)
        << Header(told, "RateLimit-Policy");
    EXPECT_EQ(ask(10, envoy::type::v3::DAY).statuses(0).limit_remaining(), 9U) << "another unit, another counter";
    EXPECT_EQ(ask(4, envoy::type::v3::HOUR).overall_code(), RateLimitResponse::OVER_LIMIT);
    Ask({{{"path", "/"}}});
    EXPECT_EQ(Ask({{{"path", "/"}}}).overall_code(), RateLimitResponse::OVER_LIMIT) << "it counted for the rule too";
  }
}

TEST_F(RlsServiceTest, AStatusTellsOfTheRuleThatDeniesElseOfTheNearest) {
  Serve(R"(
global: {free_tier: unlimited}
domains:
  edge:
    rules: [{max_requests: 5, window_seconds: 86400, name: all}]
    descriptors:
      - {key: ip, rules: [{max_requests: 4, window_seconds: 3600, name: hourly}, {max_requests: 2, window_seconds: 60}]}
)");
  const auto told = [](const Status& status) {
    return std::pair(status.current_limit().requests_per_unit(), status.limit_remaining());
  };
  using Told = std::pair<std::uint32_t, std::uint32_t>;
  clock_.Set(1'700'000'010 * kSecond);
  EXPECT_EQ(told(Ask({{{"ip", "a"}}}).statuses(0)), Told(2, 1));
  EXPECT_EQ(told(Ask({{{"ip", "a"}}}).statuses(0)), Told(2, 0));
  const auto denied = Ask({{{"ip", "b"}}, {{"ip", "a"}}});
  EXPECT_EQ(denied.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(denied.statuses(0).code(), RateLimitResponse::OK);
  EXPECT_EQ(told(denied.statuses(1)), Told(2, 0));
  EXPECT_EQ(denied.statuses(1).current_limit().unit(), RateLimitResponse::RateLimit::MINUTE);
  EXPECT_NE(Header(denied, "RateLimit-Policy").find("q=2;w=60"), std::string::npos)
      << Header(denied, "RateLimit-Policy");
  clock_.Advance(60 * kSecond);
  Ask({{{"ip", "a"}}}, 2);
  clock_.Advance(60 * kSecond);
  const auto hourly = Ask({{{"ip", "a"}}});
  EXPECT_EQ(hourly.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(hourly.statuses(0).current_limit().name(), "hourly");
  // One of the domain's 5 is left, and a request takes one, however many descriptors it has.
  EXPECT_EQ(Ask({{{"ip", "c"}}, {{"ip", "d"}}}).overall_code(), RateLimitResponse::OK);
  const auto all = Ask({{{"nothing", ""}}, {{"ip", "e"}}});
  EXPECT_EQ(all.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(all.statuses(0).current_limit().name(), "all");
  EXPECT_EQ(all.statuses(1).code(), RateLimitResponse::OK);
}

TEST_F(RlsServiceTest, NegativeHitsAreGivenBackAndAlwaysOk) {
  Serve(kEdge);
  Ask({{{"slot", "x"}}}, 4);
  auto release = Request({{{"slot", "x"}}}, 3);
  release.mutable_descriptors(0)->set_is_negative_hits(true);
  auto response = Ask(release);
  EXPECT_EQ(response.overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(response.statuses(0).limit_remaining(), 3U);
  EXPECT_EQ(response.statuses(0).current_limit().requests_per_unit(), 4U);
  // Never below zero used.
  release.mutable_descriptors(0)->mutable_hits_addend()->set_value(100);
  EXPECT_EQ(Ask(release).statuses(0).limit_remaining(), 4U);
  EXPECT_EQ(Ask({{{"slot", "x"}}}, 4).overall_code(), RateLimitResponse::OK);
}

TEST_F(RlsServiceTest, NegativeAndPositiveHitsInOneRequest) {
  Serve(kEdge);
  Ask({{{"slot", "x"}}}, 4);
  Ask({{{"ip", "a"}}}, 3);
  auto request = Request({{{"slot", "x"}}, {{"ip", "a"}}, {{"path", "/"}}});
  request.mutable_descriptors(0)->set_is_negative_hits(true);
  const auto response = Ask(request);
  EXPECT_EQ(response.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(response.statuses(0).code(), RateLimitResponse::OK);
  EXPECT_EQ(response.statuses(0).limit_remaining(), 1U);
  EXPECT_EQ(response.statuses(1).code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(response.statuses(2).limit_remaining(), 5U);
}

TEST_F(RlsServiceTest, AnOverrideBringsItsOwnLimit) {
  Serve(kEdge);
  clock_.Set(1'700'000'010 * kSecond);
  struct Case {
    envoy::type::v3::RateLimitUnit unit;
    RateLimitResponse::RateLimit::Unit told;
    std::int64_t seconds;
  };
  for (const Case& c : {Case{envoy::type::v3::SECOND, RateLimitResponse::RateLimit::SECOND, 1},
                        Case{envoy::type::v3::MINUTE, RateLimitResponse::RateLimit::MINUTE, 60},
                        Case{envoy::type::v3::HOUR, RateLimitResponse::RateLimit::HOUR, 3'600},
                        Case{envoy::type::v3::DAY, RateLimitResponse::RateLimit::DAY, 86'400},
                        Case{envoy::type::v3::MONTH, RateLimitResponse::RateLimit::MONTH, 30 * 86'400},
                        Case{envoy::type::v3::YEAR, RateLimitResponse::RateLimit::YEAR, 365 * 86'400}}) {
    auto request = Request({{{"ip", "a"}}});
    request.mutable_descriptors(0)->mutable_limit()->set_requests_per_unit(7);
    request.mutable_descriptors(0)->mutable_limit()->set_unit(c.unit);
    const auto response = Ask(request);
    const Status& status = response.statuses(0);
    EXPECT_EQ(status.current_limit().requests_per_unit(), 7U);
    EXPECT_EQ(status.current_limit().unit(), c.told);
    EXPECT_EQ(status.current_limit().name(), "");
    EXPECT_EQ(status.limit_remaining(), 6U) << c.seconds;
    EXPECT_EQ(status.duration_until_reset().seconds(), c.seconds - 1'700'000'010 % c.seconds);
  }
  // The rule of the document knows of the one that had its window.
  EXPECT_EQ(Ask({{{"ip", "a"}}}).statuses(0).limit_remaining(), 1U);
}

TEST_F(RlsServiceTest, AnOverrideOfSeveralUnits) {
  Serve(kEdge);
  clock_.Set(1'700'000'010 * kSecond);
  auto request = Request({{{"ip", "a"}}});
  auto* limit = request.mutable_descriptors(0)->mutable_limit();
  limit->set_requests_per_unit(7);
  limit->set_unit(envoy::type::v3::MINUTE);
  limit->mutable_unit_multiplier()->set_value(5);
  EXPECT_EQ(Ask(request).statuses(0).duration_until_reset().seconds(), 300 - 1'700'000'010 % 300);
  EXPECT_EQ(Ask(request).statuses(0).limit_remaining(), 5U);
  limit->mutable_unit_multiplier()->set_value(0);
  EXPECT_EQ(Answer(request).status.message, "descriptors[0].limit.unit_multiplier: must be at least 1");
  limit->mutable_unit_multiplier()->set_value(UINT32_MAX);
  limit->set_unit(envoy::type::v3::YEAR);
  EXPECT_EQ(Ask(request).overall_code(), RateLimitResponse::OK);
}

TEST_F(RlsServiceTest, AnOverrideOfNoUnitIsRefused) {
  Serve(kEdge);
  auto request = Request({{{"path", "/"}}, {{"ip", "a"}}});
  request.mutable_descriptors(1)->mutable_limit()->set_requests_per_unit(7);
  const UnaryCall call = Answer(request);
  EXPECT_EQ(call.status.code, Code::kInvalidArgument);
  EXPECT_EQ(call.status.message, "descriptors[1].limit.unit: no unit is 0");
  EXPECT_EQ(Ask({{{"path", "/"}}}).statuses(0).limit_remaining(), 4U);
  EXPECT_EQ(service_->counts().errors, 1U);
}

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

TEST_F(RlsServiceTest, MalformedRequestsAreRefusedInTheReferenceServersWords) {
  Serve(kEdge);
  UnaryCall call = Answer(Request({{{"ip", "a"}}}, 0, ""));
  EXPECT_EQ(call.status.code, Code::kUnknown);
  EXPECT_EQ(call.status.message, "rate limit domain must not be empty");
  call = Answer(Request({}));
  EXPECT_EQ(call.status.code, Code::kUnknown);
  EXPECT_EQ(call.status.message, "rate limit descriptor list must not be empty");
  call = AnswerAll({{"\x0a\x10x", 0}})[0];
  EXPECT_EQ(call.status.code, Code::kInvalidArgument);
  EXPECT_EQ(call.status.message, "domain: the message ends within it");
  EXPECT_EQ(service_->counts().errors, 3U);
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

TEST_F(RlsServiceTest, WithoutItsStoreThePolicyDecides) {
  Serve(R"(
global: {free_tier: {max_requests: 10, window_seconds: 60}}
domains:
  edge:
    descriptors:
      - {key: shut, rule: {max_requests: 3, window_seconds: 60, on_store_failure: deny}}
      - {key: open, rule: {max_requests: 3, window_seconds: 60, on_store_failure: allow}}
)");
  store_->Cut(true);
  const auto shut = Ask({{{"shut", ""}}});
  EXPECT_EQ(shut.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_FALSE(shut.statuses(0).has_current_limit());
  EXPECT_EQ(Header(shut, "Retry-After"), "1");
  EXPECT_EQ(Ask({{{"open", ""}}}).overall_code(), RateLimitResponse::OK);
  auto release = Request({{{"shut", ""}}});
  release.mutable_descriptors(0)->set_is_negative_hits(true);
  const UnaryCall call = Answer(release);
  EXPECT_EQ(call.status.code, Code::kUnavailable);
}

TEST_F(RlsServiceTest, CallsOfOneReadAreAskedTogetherAndAnsweredEachForItself) {
  Serve(kEdge);
  std::vector<Asked> asked;
  for (int i = 0; i < 40; ++i) {
    asked.push_back({Request({{{"ip", std::to_string(i % 10)}}, {{"unheard", ""}}}).SerializeAsString(), 0});
  }
  asked[7].request = "broken";
  const auto answered = AnswerAll(asked);
  int over = 0;
  for (std::size_t i = 0; i < answered.size(); ++i) {
    if (i == 7) {
      EXPECT_EQ(answered[i].status.code, Code::kInvalidArgument);
      continue;
    }
    RateLimitResponse response;
    ASSERT_TRUE(response.ParseFromString(answered[i].response));
    EXPECT_EQ(response.statuses_size(), 2);
    over += response.overall_code() == RateLimitResponse::OVER_LIMIT ? 1 : 0;
  }
  EXPECT_EQ(over, 9);  // the fourth of each but of number 7
}

TEST_F(RlsServiceTest, MoreThanFitsInOneQuestionIsAskedInSeveral) {
  for (const engine::Delivery delivery : {engine::Delivery::kInline, engine::Delivery::kHeld}) {
    Setup setup;
    setup.delivery = delivery;
    Serve(kEdge, std::move(setup));
    std::vector<Entries> many(100, Entries{{"vip", "x"}});
    std::vector<Asked> asked(10, {Request(many).SerializeAsString(), 0});
    const auto answered = AnswerAll(asked);
    for (std::size_t i = 0; i < answered.size(); ++i) {
      RateLimitResponse response;
      ASSERT_TRUE(response.ParseFromString(answered[i].response));
      ASSERT_EQ(response.statuses_size(), 100);
      EXPECT_EQ(response.overall_code(), i == 0 ? RateLimitResponse::OK : RateLimitResponse::OVER_LIMIT) << i;
    }
  }
}

TEST_F(RlsServiceTest, AStoreThatAnswersLaterIsAwaited) {
  Setup setup;
  setup.delivery = engine::Delivery::kHeld;
  Serve(kEdge, std::move(setup));
  EXPECT_EQ(Ask({{{"ip", "a"}}}).statuses(0).limit_remaining(), 2U);
  EXPECT_EQ(Ask({{{"ip", "a"}}, {{"path", "/"}}}).statuses(1).limit_remaining(), 4U);
  EXPECT_EQ(service_->counts().ok, 2U);
}

TEST_F(RlsServiceTest, ReflectionKnowsItsFiles) {
  Serve(kEdge);
  EXPECT_FALSE(service_->file_descriptors().empty());
  EXPECT_EQ(service_->methods()[0].path, "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit");
}

TEST_F(RlsServiceTest, ARequestIdIsChargedOnce) {
  Serve(kEdge);
  const std::string request = Request({{{"ip", "a"}}, {{"path", "/"}}}).SerializeAsString();
  const auto ask = [&](std::string_view id) {
    UnaryCall call{.method = 0, .request = request, .peer = "192.0.2.9", .request_id = id};
    EXPECT_TRUE(service_->Answer({&call, 1}, nullptr));
    RateLimitResponse response;
    EXPECT_TRUE(response.ParseFromString(call.response));
    return response.statuses(0).limit_remaining();
  };
  EXPECT_EQ(ask("a"), 2U);
  EXPECT_EQ(ask("a"), 2U);
  EXPECT_EQ(ask("b"), 1U);
  EXPECT_EQ(ask("a"), 2U);
  EXPECT_EQ(ask(""), 0U);
  EXPECT_EQ(ask(""), 0U);
  EXPECT_EQ(ask("a"), 2U) << "it was admitted";
}

}  // namespace
}  // namespace weir::rls
