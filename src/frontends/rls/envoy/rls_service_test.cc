// What envoyproxy/ratelimit answers, and where weir differs on purpose.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "frontends/rls/envoy/rls_fixture.h"

namespace weir::rls {
namespace {

TEST_F(RlsServiceTest, CountsAWindowThatIsAlignedToItsUnit) {
  Serve(kEdge);
  clock_.Set(1'700'000'010 * kSecond + 300 * kMillisecond);  // 30.3 s into its minute
  for (std::uint32_t left : {2U, 1U, 0U}) {
    const auto response = Ask({{{"ip", "a"}}});
    EXPECT_EQ(response.overall_code(), RateLimitResponse::OK);
    const ReferenceStatus& status = response.statuses(0);
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
  const auto told = [](const ReferenceStatus& status) {
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
    const ReferenceStatus& status = response.statuses(0);
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
