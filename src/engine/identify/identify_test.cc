#include "engine/identify/identify.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/counters/counters.h"
#include "engine/identify/subject.h"
#include "engine/resolve/ruleset.h"
#include "weir/config.h"

namespace weir::engine {
namespace {

EnhancedIdentifier Custom(std::string extractor, std::optional<std::uint32_t> cache = {}) {
  return {CustomIdentifier{.extractor = std::move(extractor), .cache_duration = cache}};
}
EnhancedIdentifier Of(EnhancedIdentifier a, EnhancedIdentifier b, CompositeStrategy strategy) {
  return {Composite{.primary = std::make_shared<EnhancedIdentifier>(std::move(a)),
                    .secondary = std::make_shared<EnhancedIdentifier>(std::move(b)),
                    .strategy = strategy}};
}
const EnhancedIdentifier kIp{IpAddress{}};
const EnhancedIdentifier kUser{UserId{}};
const EnhancedIdentifier kTenant{TenantId{}};

class IdentifyTest : public testing::Test {
 protected:
  void Use(EnhancedIdentifier identifier, IpRules ip = {}, JwtConfig jwt = {}) {
    EnterpriseRateLimitConfig config;
    config.global.free_tier = RateLimitRule::Strict();
    config.global.free_tier.identifier = std::move(identifier);
    config.global.pro_tier = config.global.enterprise_tier = config.global.free_tier;
    config.ip_rules = std::move(ip);
    config.jwt = std::move(jwt);
    auto snapshot = config::Snapshot::Compile(config, nullptr, 0, std::vector<std::string>{"function"});
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    const Extractors::Registered registered = {{"function", [this](const Request& request) {
                                                  ++function_calls_;
                                                  return request.path;
                                                }}};
    auto rules = Ruleset::Create(std::move(*snapshot), registered, counters_);
    ASSERT_TRUE(rules) << rules.error().message;
    rules_ = std::move(*rules);
  }
  // "a" or "a & b" or "none".
  std::string Subjects(const Request& request, Nanos now = 1000) {
    arena_.Clear();
    const Facts facts = rules_->FactsOf(request, now, arena_);
    Identify identify(rules_->snapshot(), rules_->extractors(), request, facts, request.tenant, {}, arena_);
    const auto found = identify.Find(*rules_->snapshot().FindTier(""), nullptr);
    std::string text;
    for (const std::string_view subject : found.all()) text += (text.empty() ? "" : " & ") + std::string(subject);
    return text.empty() && found.count == 0 ? "none" : text;
  }

  Counters counters_;
  std::shared_ptr<const Ruleset> rules_;
  Arena arena_;
  int function_calls_ = 0;
};

TEST_F(IdentifyTest, AddressesAreCutToTheirPrefix) {
  Use(kIp);
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1"}), "192.0.2.1");
  EXPECT_EQ(Subjects({.peer_ip = "255.255.255.255:80"}), "255.255.255.255");
  EXPECT_EQ(Subjects({.peer_ip = "::ffff:10.20.0.3"}), "10.20.0.3");
  EXPECT_EQ(Subjects({.peer_ip = "2001:db8:1:2:3:4:5:6"}), "2001:db8:1:2::");
  EXPECT_EQ(Subjects({.peer_ip = "?"}), "none");
  IpRules ip;
  ip.ipv4_prefix = 24;
  ip.ipv6_prefix = 48;
  Use(kIp, ip);
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.77"}), "192.0.2.0");
  EXPECT_EQ(Subjects({.peer_ip = "2001:db8:1:2:3:4:5:6"}), "2001:db8:1::");
}

TEST_F(IdentifyTest, UseForwardedBelievesAnybodyOnlyWithoutTrustedProxies) {
  const Attribute header{"X-Forwarded-For", "198.51.100.1, 10.0.0.1"};
  const Attribute odd{"X-Forwarded-For", "nonsense"};
  Use({IpAddress{.use_forwarded = true}});
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1", .headers = {&header, 1}}), "198.51.100.1");
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1", .headers = {&odd, 1}}), "192.0.2.1");
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1"}), "192.0.2.1");
  IpRules ip;
  ip.trusted_proxies = {"10.0.0.0/8"};
  Use({IpAddress{.use_forwarded = true}}, ip);
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1", .headers = {&header, 1}}), "192.0.2.1");
  EXPECT_EQ(Subjects({.peer_ip = "10.0.0.2", .headers = {&header, 1}}), "198.51.100.1");
}

TEST_F(IdentifyTest, UsersKeysAndTenants) {
  Use(kUser);
  EXPECT_EQ(Subjects({.user = "u"}), "u");
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1"}), "none");
  Use({UserId{.tier_field = {}, .fallback_to_ip = true}});
  EXPECT_EQ(Subjects({.user = "192.0.2.1"}), "user:192.0.2.1");
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1"}), "ip:192.0.2.1");
  EXPECT_EQ(Subjects({}), "none");
  Use({ApiKey{.quota_field = {}, .key_prefix = "k_"}});
  EXPECT_EQ(Subjects({.api_key = "k_1"}), "k_1");
  EXPECT_EQ(Subjects({.api_key = "x_1"}), "none");
  Use(kTenant);
  EXPECT_EQ(Subjects({.tenant = "acme"}), "acme");
  EXPECT_EQ(Subjects({}), "none");
  Use({GlobalIdentifier{}});
  EXPECT_EQ(Subjects({}), "*");
}

TEST_F(IdentifyTest, Composites) {
  Use(Of(kUser, kTenant, CompositeStrategy::kCombine));
  EXPECT_EQ(Subjects({.user = "a|b", .tenant = "c"}), "3:a|b|c");
  EXPECT_EQ(Subjects({.user = "a", .tenant = "b|c"}), "1:a|b|c") << "not the same as a|b and c";
  EXPECT_EQ(Subjects({.user = "a"}), "none");
  Use(Of(kUser, kIp, CompositeStrategy::kFirstAvailable));
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1", .user = "a"}), "1:a");
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1"}), "2:192.0.2.1");
  Use(Of(kUser, kIp, CompositeStrategy::kStrictestLimit));
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1", .user = "a"}), "1:a & 2:192.0.2.1");
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1"}), "2:192.0.2.1");
  EXPECT_EQ(Subjects({}), "none");
  Use(Of(Of(kUser, kIp, CompositeStrategy::kStrictestLimit), kTenant, CompositeStrategy::kCombine));
  EXPECT_EQ(Subjects({.peer_ip = "192.0.2.1", .user = "a", .tenant = "t"}), "3:1:a|t & 11:2:192.0.2.1|t");
}

TEST_F(IdentifyTest, TooManySubjectsAreRefusedWhenTheRuleIsMade) {
  EnterpriseRateLimitConfig config;
  const auto two = Of(kUser, kIp, CompositeStrategy::kStrictestLimit);
  const auto four = Of(two, two, CompositeStrategy::kStrictestLimit);
  config.global.free_tier = RateLimitRule::Strict();
  config.global.pro_tier = config.global.enterprise_tier = config.global.free_tier;
  config.global.free_tier.identifier = Of(four, kTenant, CompositeStrategy::kStrictestLimit);
  auto snapshot = config::Snapshot::Compile(config, nullptr, 0);
  if (!snapshot) return;  // the document may refuse such depth already
  EXPECT_FALSE(Ruleset::Create(std::move(*snapshot), {}, counters_));
}

TEST_F(IdentifyTest, ExtractorsFindWhatTheyName) {
  const std::vector<Attribute> headers = {{"X-Tenant", ""}, {"Cookie", "sid=s1"}};
  const std::vector<Attribute> attributes = {{"plan", "gold"}};
  const Request request{.path = "/users/42/x?q=a%20b", .headers = headers, .attributes = attributes};
  const std::vector<std::pair<std::string, std::string>> cases = {{"header:x-tenant", ""},
                                                                  {"header:x-other", "none"},
                                                                  {"query:q", "a b"},
                                                                  {"cookie:sid", "s1"},
                                                                  {"attribute:plan", "gold"},
                                                                  {"path:/users/(\\d+)", "42"},
                                                                  {"path:^/users", "/users"},
                                                                  {"path:(a)|users", "none"},
                                                                  {"path:^/other", "none"},
                                                                  {"jwt:sub", "none"},
                                                                  {"lua:request.path", "/users/42/x"},
                                                                  {"lua:return nil", "none"},
                                                                  {"lua:error('x')", "!failed"},
                                                                  {"basic:ip", "127.0.0.1"}};
  for (const auto& [extractor, expected] : cases) {
    Use(Custom(extractor));
    EXPECT_EQ(Subjects(request), expected) << extractor;
  }
  Use(Custom("lua:error('x')"));
  Subjects(request);
  EXPECT_EQ(rules_->extractors().failures(), 1U);
}

// A client that could choose which of two values is counted would be somebody else with each request.
TEST_F(IdentifyTest, WhatIsSaidTwiceIsCountedTwice) {
  const auto with = [this](std::vector<Attribute> headers, std::string_view path = "/") {
    return Subjects({.user = "u", .path = path, .headers = headers});
  };
  Use(Custom("header:x"));
  EXPECT_EQ(with({{"x", "a"}, {"X", " b"}}), "a & b");
  EXPECT_EQ(with({{"x", "a"}, {"X", "b"}, {"x", "c"}}), "!ambiguous");
  Use(Custom("cookie:sid"));
  EXPECT_EQ(with({{"cookie", "sid = a; sid=b"}}), "a & b");
  EXPECT_EQ(with({{"cookie", "sid=\"a"}}), "!ambiguous");
  Use(Custom("query:q"));
  EXPECT_EQ(with({}, "/?q=a&q=b"), "a & b");
  Use(Custom("path:^/users/([^/]+)"));
  EXPECT_EQ(with({}, "/users/42/x"), "42");
  EXPECT_EQ(with({}, "https://site.example//users/./%34%32/x?y"), "42") << "one path, however it is spelt";
  EXPECT_EQ(with({}, "/users/42;a/x"), "42;a & 42");
  EXPECT_EQ(with({}, "/x#/../users/42"), "42") << "in the one reading that has it";
  Use(Custom("path:^/users/([^/]+)", 10));
  EXPECT_EQ(with({}, "/users/42;a/x"), "42;a & 42");
  EXPECT_EQ(with({}, "/users/42;a/x"), "42;a & 42") << "nor is half of it remembered";
  Use(Custom("jwt:sub"));
  EXPECT_EQ(with({{"Authorization", "Bearer a"}, {"authorization", "Bearer b"}}), "!ambiguous");
  Use(Custom("jwt:sub", 10));
  EXPECT_EQ(with({{"Authorization", "Bearer a"}, {"authorization", "Bearer b"}}), "!ambiguous");
  EXPECT_EQ(with({{"Authorization", "Bearer a"}}), "none") << "is what it would be alone";
  const std::vector<Attribute> twice = {{"x", "a"}, {"x", "b"}, {"y", "c"}, {"y", "d"}};
  Use(Of(Custom("header:x"), kUser, CompositeStrategy::kCombine));
  EXPECT_EQ(with(twice), "1:a|u & 1:b|u");
  Use(Of(Custom("header:x"), Custom("header:y"), CompositeStrategy::kCombine));
  EXPECT_EQ(with(twice), "1:a|c & 1:a|d & 1:b|c & 1:b|d");
  Use(Of(Of(Custom("header:x"), Custom("header:y"), CompositeStrategy::kStrictestLimit), kUser,
         CompositeStrategy::kStrictestLimit));
  EXPECT_EQ(with(twice), "!ambiguous") << "more than a rule counts";
  EXPECT_EQ(with({{"x", "a"}, {"y", "c"}}), "1:1:a & 1:2:c & 2:u");
}

TEST_F(IdentifyTest, CachedAnswersAreReusedForTheSameInputAndTime) {
  Use(Custom("function", 10));
  EXPECT_EQ(Subjects({.path = "/a"}, 0), "/a");
  EXPECT_EQ(Subjects({.path = "/a"}, 10 * kSecond - 1), "/a");
  EXPECT_EQ(function_calls_, 1);
  EXPECT_EQ(Subjects({.path = "/a"}, 10 * kSecond), "/a");
  EXPECT_EQ(function_calls_, 2);
  EXPECT_EQ(Subjects({.path = "/b"}, 10 * kSecond), "/b");
  EXPECT_EQ(function_calls_, 3) << "another input";
  EXPECT_EQ(Subjects({.path = "/b"}, 5 * kSecond), "/b");
  EXPECT_EQ(function_calls_, 4) << "the clock went back behind its making";
  Subjects({.user = "/b"}, 5 * kSecond);
  EXPECT_EQ(function_calls_, 5) << "the same text in another field is another input";
  Use(Custom("function", 10));
  EXPECT_EQ(Subjects({.path = "/b"}, 5 * kSecond), "/b");
  EXPECT_EQ(function_calls_, 6) << "another configuration has its own answers";
  Use(Custom("path:^/(\\w+)", 10));
  EXPECT_EQ(Subjects({.path = "/aa/x"}), "aa");
  EXPECT_EQ(Subjects({.path = "/aa/x?y"}), "aa");
  EXPECT_EQ(Subjects({.path = "/bb/x"}), "bb");
}

TEST_F(IdentifyTest, LongSubjectsAreShortenedAndStayDistinct) {
  Use(kUser);
  const std::string longest(kLongestSubject, 'x');
  EXPECT_EQ(Subjects({.user = longest}), longest);
  const std::string a(5000, 'x');
  const std::string b = a + "y";
  EXPECT_EQ(Subjects({.user = a}).size(), kShortenedSubject);
  EXPECT_NE(Subjects({.user = a}), Subjects({.user = b}));
  EXPECT_EQ(Subjects({.user = a}), Subjects({.user = a}));
  const std::string shortened = Subjects({.user = a});
  EXPECT_NE(Subjects({.user = shortened}), shortened) << "nobody can name himself like a shortened subject";
}

TEST_F(IdentifyTest, TierFieldsAreBelievedFromAttributesAndVerifiedTokensOnly) {
  const EnhancedIdentifier identifier{UserId{.tier_field = "plan", .fallback_to_ip = false}};
  const auto tier = [this](const Request& request) { return std::string(rules_->FactsOf(request, 1000, arena_).tier); };
  const Attribute pro{"plan", "pro"};
  const Attribute odd{"plan", "nonsense"};
  // {"alg":"none"} . {"plan":"enterprise"} .
  const std::string forged = "eyJhbGciOiJub25lIn0.eyJwbGFuIjoiZW50ZXJwcmlzZSJ9.";
  const std::string authorization = "Bearer " + forged;
  const Attribute token{"Authorization", authorization};
  Use(identifier);
  EXPECT_EQ(tier({.user = "u", .attributes = {&pro, 1}}), "pro");
  EXPECT_EQ(tier({.user = "u", .tier = "free", .attributes = {&pro, 1}}), "free") << "the request's own word first";
  EXPECT_EQ(tier({.user = "u", .attributes = {&odd, 1}}), "");
  EXPECT_EQ(tier({.user = "u", .headers = {&token, 1}}), "") << "anybody can write an unsigned token";
  Use(identifier, {}, {.hs256_secret = "secret", .rs256_public_key_pem = {}});
  EXPECT_EQ(tier({.user = "u", .headers = {&token, 1}}), "");
}

TEST(Quota, ReplacesCapacityAndKeepsTheRefillTime) {
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kTokenBucket;
  limit.capacity = 100;
  limit.rate_count = 100;
  limit.rate_period = 60 * kSecond;
  const algorithms::Limit twice = WithQuota(limit, 200);
  EXPECT_EQ(twice.capacity, 200U);
  // 200 a minute, however the fraction is written
  EXPECT_EQ(static_cast<double>(twice.rate_count) / static_cast<double>(twice.rate_period),
            200.0 / static_cast<double>(60 * kSecond));
  EXPECT_EQ(WithQuota(limit, 0).capacity, 0U);
  const algorithms::Limit most = WithQuota(limit, UINT64_MAX);
  EXPECT_EQ(most, algorithms::Sanitize(most));
  const algorithms::Limit share = ShareOf(limit, 3);
  EXPECT_EQ(share.capacity, 33U);
  limit.capacity = 2;
  EXPECT_EQ(ShareOf(limit, 10).capacity, 1U) << "at least one";
  limit.capacity = 0;
  EXPECT_EQ(ShareOf(limit, 10).capacity, 0U) << "nothing stays nothing";
}

TEST(Quota, IsCountedWhereTheRuleCountsWhateverTheNumber) {
  algorithms::Limit wide;
  wide.kind = algorithms::Kind::kFixedWindow;
  wide.calendar = algorithms::Calendar::kMonth;
  wide.capacity = 1'500'000'000;
  wide = algorithms::Sanitize(wide);
  algorithms::Limit narrow = wide;
  narrow.capacity = 1000;
  narrow = algorithms::Sanitize(narrow);
  ASSERT_NE(wide.kind, narrow.kind);
  for (const algorithms::Limit& limit : {wide, narrow}) {
    EXPECT_EQ(ShareOf(limit, 2).kind, limit.kind);
    EXPECT_EQ(WithQuota(limit, 4'000'000'000).kind, limit.kind);
    EXPECT_EQ(WithQuota(limit, 4000).kind, limit.kind);
  }
}

TEST(Quota, OfAShareTheWindowIsReadAsTheRuleWroteIt) {
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kSlidingWindow;
  limit.capacity = 5000;
  limit.window = limit.precision = kMinute;
  limit = algorithms::Sanitize(limit);
  ASSERT_EQ(limit.kind, algorithms::Kind::kAnchoredWindow);
  const algorithms::Limit share = ShareOf(limit, 50);
  EXPECT_EQ(share.capacity, 100U);
  EXPECT_EQ(share.kind, limit.kind);
  EXPECT_EQ(share.grid_shift, limit.grid_shift);
}

}  // namespace
}  // namespace weir::engine
