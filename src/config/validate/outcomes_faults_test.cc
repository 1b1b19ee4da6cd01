// on_exceeded, max_wait_ms and denial: what is refused, what is warned of, what is inherited.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "weir/config.h"

namespace weir {
namespace {

std::vector<std::string> FaultsOf(std::string_view yaml) {
  std::vector<std::string> lines;
  for (const Fault& fault : ParseConfig(yaml).faults) lines.push_back(Describe(fault));
  return lines;
}

// Of the rule of the free tier.
std::vector<std::string> FaultsOfRule(const std::string& more) {
  return FaultsOf("global: {free_tier: {max_requests: 10, window_seconds: 60, " + more + "}}");
}

using Lines = std::vector<std::string>;

TEST(Outcomes, AWindowCannotWait) {
  const std::string fault =
      "line 1: global.free_tier.on_exceeded: `wait` needs algorithm token_bucket or leaky_bucket (a window has no "
      "place in which a request could wait)";
  EXPECT_EQ(FaultsOfRule("on_exceeded: wait"), Lines{fault});
  EXPECT_EQ(FaultsOfRule("on_exceeded: wait, algorithm: token_bucket"), Lines{});
  EXPECT_EQ(FaultsOfRule("on_exceeded: wait, algorithm: leaky_bucket, max_wait_ms: 3600000"), Lines{});
  EXPECT_EQ(FaultsOfRule("on_exceeded: challenge"), Lines{});
  EXPECT_EQ(FaultsOfRule("on_exceeded: Charge"), Lines{});
  const Lines inherited = FaultsOf(R"(
global: {free_tier: {max_requests: 10, window_seconds: 60, algorithm: token_bucket, on_exceeded: wait}}
endpoints: {/a: {rule: {algorithm: fixed_window}}}
)");
  ASSERT_EQ(inherited.size(), 1U);
  EXPECT_NE(inherited[0].find("(`wait` is inherited: write on_exceeded here)"), std::string::npos) << inherited[0];
}

TEST(Outcomes, WhatHasNoEffectIsWarnedOf) {
  EXPECT_EQ(FaultsOfRule("max_wait_ms: 5"),
            Lines{"line 1: warning: global.free_tier.max_wait_ms: has no effect without on_exceeded `wait`"});
  EXPECT_EQ(FaultsOfRule("on_exceeded: wait, algorithm: {leaky_bucket: {shape: true}}"),
            Lines{"line 1: warning: global.free_tier.on_exceeded: `wait` has no effect beside `shape`, whose queue "
                  "waits already"});
}

TEST(Outcomes, Ranges) {
  for (const char* wrong : {"on_exceeded: allow", "on_exceeded: block", "max_wait_ms: 0, on_exceeded: wait",
                            "max_wait_ms: 3600001, on_exceeded: wait"}) {
    EXPECT_FALSE(ParseConfig(std::string("global: {free_tier: {max_requests: 1, window_seconds: 1, algorithm: "
                                         "token_bucket, ") +
                             wrong + "}}")
                     .ok())
        << wrong;
  }
}

TEST(Denial, StatusIsAnErrorOr200) {
  for (const char* right : {"200", "400", "429", "599"}) {
    EXPECT_EQ(FaultsOfRule(std::string("denial: {status: ") + right + "}"), Lines{}) << right;
  }
  for (const char* wrong : {"199", "201", "302", "399", "600", "-1", "ok"}) {
    EXPECT_EQ(FaultsOfRule(std::string("denial: {status: ") + wrong + "}").size(), 1U) << wrong;
  }
}

TEST(Denial, HeadersCannotBreakTheResponse) {
  const auto faults = [](const std::string& headers) { return FaultsOfRule("denial: {headers: {" + headers + "}}"); };
  EXPECT_EQ(faults(R"(X-A: "1", WWW-Authenticate: "Basic realm=\"x\"", Location: /a, Set-Cookie: "a=b; Path=/")"),
            Lines{});
  for (const char* wrong : {R"("X-A\r\nX-B": "1")",
                            R"("X A": "1")",
                            R"("X:A": "1")",
                            R"("": "1")",
                            R"("X-\u00e9": "1")",
                            R"(X-A: "1\r\nX-B: 2")",
                            R"(X-A: "1\n2")",
                            R"(X-A: "1\0")",
                            R"(X-A: "\u00e9")",
                            R"(X-A: "1\x7f")",
                            R"(X-A: " 1")",
                            R"(X-A: "1 ")",
                            "Connection: close",
                            "transfer-ENCODING: chunked",
                            R"(Content-Length: "0")",
                            "Upgrade: h2c",
                            "TE: gzip",
                            "Keep-Alive: x",
                            "Trailer: x",
                            "Proxy-Connection: x",
                            "Content-Type: text/plain",
                            "Date: x",
                            "Host: a",
                            R"(Retry-After: "1")",
                            "Cache-Control: public",
                            R"(X-Weir-Allowed: "1")",
                            R"(x-weir-anything: "1")",
                            R"(X-A: "1", x-a: "2")"}) {
    EXPECT_FALSE(faults(wrong).empty()) << wrong;
  }
  std::string many, long_value(1001, 'a');
  for (int i = 0; i < 17; ++i) many += (i > 0 ? ", X-" : "X-") + std::to_string(i) + ": a";
  EXPECT_EQ(faults(many).size(), 1U);
  EXPECT_EQ(faults("X-A: " + long_value).size(), 1U);
}

// What no reader has seen is checked as well.
TEST(Denial, BuiltDocumentsAreChecked) {
  EnterpriseRateLimitConfig config;
  config.global.free_tier = {.max_requests = 1, .window_seconds = 1};
  const auto errors = [&](const DenialConfig& denial) {
    config.denial = denial;
    const std::vector<Fault> faults = ValidateConfig(config);
    return std::ranges::count(faults, Severity::kError, &Fault::severity);
  };
  EXPECT_EQ(errors({.headers = {{"X-A", "1"}}}), 0);
  EXPECT_GE(errors({.headers = {{"X-A", "1\r\nX-B: 2"}}}), 1);
  EXPECT_GE(errors({.headers = {{"X-A\r\nX-B", "1"}}}), 1);
  EXPECT_GE(errors({.status = 302}), 1);
  EXPECT_GE(errors({.message = std::string(5000, 'a')}), 1);
  config.denial.reset();
  config.global.free_tier.on_exceeded = Action::kAllow;
  EXPECT_GE(errors({}), 1);
}

TEST(Denial, Messages) {
  EXPECT_EQ(FaultsOfRule("denial: {message: \"one\\ntwo \\u00fc\"}"), Lines{});
  EXPECT_EQ(FaultsOfRule("denial: {message: \"\"}").size(), 1U);
  EXPECT_EQ(FaultsOfRule("denial: {message: \"a\\u0007\"}").size(), 1U);
  EXPECT_EQ(FaultsOfRule("denial: {message: \"" + std::string(1001, 'a') + "\"}").size(), 1U);
}

TEST(Denial, IpRulesMayChallenge) {
  EXPECT_EQ(FaultsOf(R"(
global: {free_tier: {max_requests: 10, window_seconds: 60}}
ip_rules: {rules: [{name: far, countries: [AQ], action: challenge},
                   {name: odd, cidrs: [192.0.2.0/24], action: challenge, rule: {max_requests: 5}}]}
)"),
            Lines{});
}

}  // namespace
}  // namespace weir
