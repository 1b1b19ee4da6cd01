// What Envoy is told of outcomes and denials, and the pattern of AI gateways.
#include <envoy/service/ratelimit/v3/rls.pb.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "frontends/rls/envoy/rls_service.h"
#include "frontends/rls/service_fixture.h"

namespace weir::rls {
namespace {

using envoy::service::ratelimit::v3::RateLimitRequest;
using envoy::service::ratelimit::v3::RateLimitResponse;

class RlsOutcomesTest : public ServiceTest<RlsService> {
 protected:
  RateLimitResponse Ask(const std::string& key, std::uint32_t hits = 1, const std::string& second = {}) {
    RateLimitRequest request;
    request.set_domain("edge");
    for (const std::string& one : {key, second}) {
      if (one.empty()) continue;
      auto* descriptor = request.add_descriptors();
      auto* entry = descriptor->add_entries();
      entry->set_key(one);
      entry->set_value("x");
      descriptor->mutable_hits_addend()->set_value(hits);
    }
    const UnaryCall call = Answer(request);
    EXPECT_EQ(call.status.code, Code::kOk) << call.status.message;
    RateLimitResponse response;
    EXPECT_TRUE(response.ParseFromString(call.response));
    return response;
  }
  static std::string Header(const RateLimitResponse& response, std::string_view name) {
    for (const auto& header : response.response_headers_to_add()) {
      if (header.key() == name) return header.value();
    }
    return "(absent)";
  }
};

constexpr std::string_view kEdge = R"(
global: {free_tier: {max_requests: 1000, window_seconds: 60}}
domains:
  edge:
    descriptors:
      - {key: deny, rule: {max_requests: 1, window_seconds: 3600}}
      - {key: challenge, rule: {max_requests: 1, window_seconds: 3600, on_exceeded: challenge}}
      - {key: charge, rule: {max_requests: 1, window_seconds: 3600, on_exceeded: charge, denial: {body: openai}}}
      - {key: wait, rule: {max_requests: 1, window_seconds: 10, algorithm: token_bucket, on_exceeded: wait, max_wait_ms: 60000}}
      - {key: page, rule: {max_requests: 1, window_seconds: 3600,
                           denial: {status: 503, body: html, message: "<busy>", headers: {X-Site: main}}}}
)";

TEST_F(RlsOutcomesTest, WhatEnvoyCannotSayStandsInAHeader) {
  Serve(kEdge);
  for (const char* const key : {"deny", "challenge", "charge", "wait"}) {
    EXPECT_EQ(Ask(key).overall_code(), RateLimitResponse::OK);
  }
  const auto denied = Ask("deny");
  EXPECT_EQ(denied.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(Header(denied, "X-Weir-Action"), "(absent)");
  EXPECT_EQ(denied.raw_body(), "");
  EXPECT_EQ(Header(denied, "Content-Type"), "(absent)");
  const auto challenged = Ask("challenge");
  EXPECT_EQ(challenged.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(Header(challenged, "X-Weir-Action"), "challenge");
  const auto charged = Ask("charge");
  EXPECT_EQ(charged.overall_code(), RateLimitResponse::OVER_LIMIT);
  EXPECT_EQ(Header(charged, "X-Weir-Action"), "charge");
  EXPECT_NE(charged.raw_body().find("insufficient_quota"), std::string::npos) << charged.raw_body();
  EXPECT_EQ(Header(charged, "Content-Type"), "application/json");
  const auto waits = Ask("wait");
  EXPECT_EQ(waits.overall_code(), RateLimitResponse::OK);
  EXPECT_EQ(Header(waits, "X-Weir-Action"), "wait");
  EXPECT_EQ(Header(waits, "X-Weir-Delay-Ms"), "10000");
}

TEST_F(RlsOutcomesTest, TheStrictestOfTheDescriptorsIsTold) {
  Serve(kEdge);
  for (const char* const key : {"challenge", "charge", "page"}) Ask(key);
  EXPECT_EQ(Header(Ask("challenge", 1, "charge"), "X-Weir-Action"), "charge");
  EXPECT_EQ(Header(Ask("charge", 1, "challenge"), "X-Weir-Action"), "charge");
  EXPECT_EQ(Header(Ask("charge", 1, "page"), "X-Weir-Action"), "(absent)");
  EXPECT_EQ(Header(Ask("charge", 1, "page"), "X-Site"), "main");
}

TEST_F(RlsOutcomesTest, ADenialSaysWhatItsRuleWants) {
  Serve(kEdge);
  const auto allowed = Ask("page");
  EXPECT_EQ(allowed.raw_body(), "");
  EXPECT_EQ(Header(allowed, "X-Site"), "(absent)");
  const auto denied = Ask("page");
  EXPECT_EQ(Header(denied, "X-Site"), "main");
  EXPECT_EQ(Header(denied, "Content-Type"), "text/html; charset=utf-8");
  EXPECT_NE(denied.raw_body().find("<p>&lt;busy&gt;</p>"), std::string::npos) << denied.raw_body();
  Serve(std::string(kEdge) + "envoy: {response_headers: false}\n");
  (void)Ask("page");
  const auto quiet = Ask("page");
  EXPECT_EQ(Header(quiet, "RateLimit"), "(absent)");
  EXPECT_EQ(Header(quiet, "X-Site"), "main") << "that is no rate limit header";
}

// Admission looks, with no hits; the stream's cost comes when it has ended, and counts whatever the limit says.
TEST_F(RlsOutcomesTest, AStreamIsAdmittedByALookAndChargedWhenItEnds) {
  for (const char* const counting : {"rule: {max_requests: 1000, window_seconds: 3600, algorithm: {fixed_window: "
                                     "{aligned: epoch, count_denied: true}}}",
                                     "rule: {max_requests: 1000, window_seconds: 3600}"}) {
    const bool count_all = std::string(counting).find("count_denied") == std::string::npos;
    Serve("global: {free_tier: {max_requests: 1, window_seconds: 1}}\ndomains: {edge: {descriptors: [{key: tokens, " +
          std::string(counting) + "}]}}\n" + (count_all ? "envoy: {count_all: true}\n" : ""));
    clock_.Set(1'700'002'800 * kSecond);  // a full hour
    EXPECT_EQ(Ask("tokens", 0).overall_code(), RateLimitResponse::OK);
    EXPECT_EQ(Ask("tokens", 700).overall_code(), RateLimitResponse::OK);
    EXPECT_EQ(Ask("tokens", 0).overall_code(), RateLimitResponse::OK) << "there is something left";
    EXPECT_EQ(Ask("tokens", 700).overall_code(), RateLimitResponse::OVER_LIMIT) << "nobody is waiting for this answer";
    EXPECT_EQ(Ask("tokens", 0).overall_code(), RateLimitResponse::OVER_LIMIT) << "the debt shows";
    clock_.Advance(3600 * kSecond);
    EXPECT_EQ(Ask("tokens", 0).overall_code(), RateLimitResponse::OK);
  }
}

TEST_F(RlsOutcomesTest, ALookAtASpentBudgetIsDeniedAsItsRuleWants) {
  Serve(R"(
global: {free_tier: {max_requests: 1, window_seconds: 1}}
envoy: {count_all: true}
domains:
  edge:
    descriptors:
      - {key: tokens, rule: {max_requests: 1000, window_seconds: 3600, on_exceeded: charge, denial: {body: openai}}}
      - {key: other, rule: {max_requests: 1000, window_seconds: 3600}}
)");
  EXPECT_EQ(Header(Ask("tokens", 0), "X-Weir-Action"), "(absent)");
  (void)Ask("tokens", 1400);
  for (const auto& look : {Ask("tokens", 0), Ask("tokens", 0, "other"), Ask("other", 0, "tokens")}) {
    EXPECT_EQ(look.overall_code(), RateLimitResponse::OVER_LIMIT);
    EXPECT_EQ(Header(look, "X-Weir-Action"), "charge");
    EXPECT_NE(Header(look, "Retry-After"), "(absent)");
    EXPECT_NE(look.raw_body().find("insufficient_quota"), std::string::npos) << look.raw_body();
  }
}

}  // namespace
}  // namespace weir::rls
