// A configuration converted from the basic limiter limits the same callers at the same times.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/manual_clock.h"
#include "weir/weir.h"

namespace weir {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

bool IsVisible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); });
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The basic limiter as its documentation of facts describes it: a window for each key that begins at the key's first
// request, whole seconds, denied requests counted.
class BasicModel {
 public:
  struct Answer {
    bool allowed = true;
    bool counted = false;
    std::uint64_t current = 0;
    std::uint64_t reset = 0;  // seconds left
  };

  explicit BasicModel(const BasicRateLimitConfig& config) : config_(config) {}

  Answer Check(std::string_view path, const Headers& headers, std::int64_t now_seconds) {
    path = path.substr(0, path.find('?'));
    for (const std::string& pattern : config_.exempt_paths) {
      if (path == pattern) return {};
      if (pattern.ends_with('*') && path.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1)))
        return {};
    }
    const std::optional<std::string> key = Key(headers);
    if (!key) return {};
    auto [it, fresh] = windows_.try_emplace(*key, Window{0, now_seconds});
    Window& window = it->second;
    const std::int64_t age = std::max<std::int64_t>(0, now_seconds - window.start);
    if (fresh || age >= config_.window_seconds) {
      window = {1, now_seconds};
    } else {
      ++window.count;
    }
    return {.allowed = window.count <= config_.max_requests,
            .counted = true,
            .current = window.count,
            .reset = static_cast<std::uint64_t>(window.start + config_.window_seconds - now_seconds)};
  }

 private:
  struct Window {
    std::uint64_t count;
    std::int64_t start;
  };

  static std::optional<std::string> Find(const Headers& headers, std::string_view name) {
    for (const auto& [key, value] : headers) {
      const bool same =
          std::ranges::equal(key, name, [](char a, char b) { return std::tolower(a) == std::tolower(b); });
      if (same) return value;
    }
    return std::nullopt;
  }
  std::optional<std::string> Key(const Headers& headers) const {
    switch (config_.identifier.kind) {
      case BasicIdentifier::Kind::kIpAddress: {
        const auto forwarded = Find(headers, "x-forwarded-for");
        if (forwarded && IsVisible(*forwarded)) {
          return std::string(Trim(std::string_view(*forwarded).substr(0, forwarded->find(','))));
        }
        const auto real = Find(headers, "x-real-ip");
        return real && IsVisible(*real) ? *real : "127.0.0.1";
      }
      case BasicIdentifier::Kind::kUserId:
        return Find(headers, "x-user-id");
      case BasicIdentifier::Kind::kApiKey:
        return Find(headers, "x-api-key");
      case BasicIdentifier::Kind::kCustomHeader:
        return Find(headers, config_.identifier.header);
    }
    return std::nullopt;
  }

  BasicRateLimitConfig config_;
  std::map<std::string, Window> windows_;
};

class BasicParity : public testing::Test {
 protected:
  void Start(const BasicRateLimitConfig& basic) {
    auto limiter =
        RateLimiter::Create(EnterpriseRateLimitConfig::FromBasic(basic), {.clock = &clock_, .extractors = {}});
    ASSERT_TRUE(limiter) << limiter.error().message;
    limiter_ = std::move(*limiter);
  }
  Decision Check(std::string_view path, const Headers& headers = {}) {
    std::vector<Attribute> attributes;
    for (const auto& [name, value] : headers) attributes.push_back({name, value});
    // The connection's address, which the basic limiter never looked at.
    return limiter_->Check({.peer_ip = "203.0.113.9", .method = "GET", .path = path, .headers = attributes});
  }
  bool Passes(std::string_view path, const Headers& headers = {}) { return Check(path, headers).allowed; }

  static BasicRateLimitConfig Config(std::uint32_t max_requests, std::uint32_t window_seconds = 60) {
    BasicRateLimitConfig config;
    config.max_requests = max_requests;
    config.window_seconds = window_seconds;
    return config;
  }

  ManualClock clock_;
  std::unique_ptr<RateLimiter> limiter_;
};

// The nine tests of the basic limiter's own suite.

TEST_F(BasicParity, Basic) {
  Start(Config(2));
  const Headers headers = {{"X-Forwarded-For", "192.168.1.1"}};
  EXPECT_TRUE(Passes("/", headers));
  EXPECT_TRUE(Passes("/", headers));
  const Decision denied = Check("/", headers);
  EXPECT_FALSE(denied.allowed);
  ASSERT_NE(denied.decider(), nullptr);
  EXPECT_TRUE(denied.decider()->headers.x_ratelimit);
  EXPECT_TRUE(denied.decider()->headers.retry_after);
}

TEST_F(BasicParity, DifferentIps) {
  Start(BasicRateLimitConfig::Strict());
  EXPECT_TRUE(Passes("/", {{"X-Forwarded-For", "192.168.1.1"}}));
  EXPECT_TRUE(Passes("/", {{"X-Forwarded-For", "192.168.1.2"}}));
}

TEST_F(BasicParity, ExemptPaths) {
  BasicRateLimitConfig config = Config(1);
  config.exempt_paths = {"/health", "/api/v1/public/*"};
  Start(config);
  EXPECT_TRUE(Passes("/health"));
  EXPECT_TRUE(Passes("/api/v1/public/status"));
  EXPECT_TRUE(Passes("/api/v1/users")) << "exempt requests were not counted";
  EXPECT_FALSE(Passes("/api/v1/users"));
}

TEST_F(BasicParity, UserId) {
  BasicRateLimitConfig config = Config(2);
  config.identifier.kind = BasicIdentifier::Kind::kUserId;
  Start(config);
  const Headers headers = {{"x-user-id", "user123"}};
  EXPECT_TRUE(Passes("/", headers));
  EXPECT_TRUE(Passes("/", headers));
  EXPECT_FALSE(Passes("/", headers));
}

TEST_F(BasicParity, Name) {
  // Its counterpart of the middleware's name: the rule that a response names.
  Start(Config(1));
  EXPECT_EQ(Check("/").decider()->rule, "global.free_tier");
}

TEST_F(BasicParity, ResponseHeaders) {
  Start(Config(1));
  EXPECT_TRUE(Passes("/"));
  const Decision denied = Check("/");
  EXPECT_FALSE(denied.allowed);
  const RuleOutcome& rule = *denied.decider();
  EXPECT_TRUE(rule.headers.x_ratelimit);
  EXPECT_TRUE(rule.headers.on_allowed);
  EXPECT_TRUE(rule.headers.basic_body);
  EXPECT_FALSE(rule.headers.reset_as_epoch);
  EXPECT_EQ(rule.outcome.limit, 1U);
  EXPECT_EQ(rule.outcome.remaining, 0U);
  EXPECT_EQ(rule.outcome.retry_after_ns, 60 * kSecond);
}

TEST_F(BasicParity, BypassAttempts) {
  Start(Config(3));
  int passed = 0;
  for (int i = 0; i < 10; ++i) {
    passed += Passes("/api?bypass=" + std::to_string(i), {{"User-Agent", "agent-" + std::to_string(i)}}) ? 1 : 0;
  }
  EXPECT_EQ(passed, 3);
}

TEST_F(BasicParity, Distributed) {
  // The recorded weakness: who forges the header is somebody else each time.
  Start(Config(2));
  int passed = 0;
  for (int i = 0; i < 5; ++i) {
    const std::string address = "10.0.0." + std::to_string(i);
    passed += Passes("/", {{"X-Forwarded-For", address}, {"X-Real-IP", address}}) ? 1 : 0;
  }
  EXPECT_EQ(passed, 5);
}

TEST_F(BasicParity, MaxRequestsZero) {
  Start(Config(0));
  EXPECT_FALSE(Passes("/"));
}

// Everything else by comparison with the model.

TEST_F(BasicParity, ReplayAgreesInDecisionsAndNumbers) {
  using Kind = BasicIdentifier::Kind;
  std::mt19937_64 random(42);
  const auto pick = [&random](std::uint64_t n) { return random() % n; };
  const std::vector<std::string> addresses = {"10.0.0.1", " 10.0.0.1 ",  "10.0.0.2, 10.0.0.9", "not an address",
                                              "",         "2001:db8::1", "caf\xc3\xa9",        "10.0.0.1:80"};
  const std::vector<std::string> paths = {"/", "/a", "/health", "/health?x", "/pub/x", "/pub", "/pub/", "/PUB/x"};
  for (int round = 0; round < 40; ++round) {
    BasicRateLimitConfig config =
        Config(static_cast<std::uint32_t>(pick(6)), static_cast<std::uint32_t>(1 + pick(200)));
    config.identifier.kind = static_cast<Kind>(pick(4));
    config.identifier.header = "X-Tenant";
    config.exempt_paths = {"/health", "/pub/*"};
    Start(config);
    BasicModel model(config);
    for (int i = 0; i < 400; ++i) {
      if (pick(3) == 0) clock_.Advance(static_cast<Nanos>(pick(40)) * kSecond);
      Headers headers;
      if (pick(4) != 0) headers.emplace_back("X-Forwarded-For", addresses[pick(addresses.size())]);
      if (pick(2) == 0) headers.emplace_back("x-real-ip", addresses[pick(addresses.size())]);
      if (pick(3) != 0) headers.emplace_back("X-User-Id", pick(3) == 0 ? "" : "u" + std::to_string(pick(3)));
      if (pick(3) != 0) headers.emplace_back("x-api-key", "k" + std::to_string(pick(3)));
      if (pick(3) != 0) headers.emplace_back("x-tenant", "t" + std::to_string(pick(3)));
      const std::string& path = paths[pick(paths.size())];
      const BasicModel::Answer expected = model.Check(path, headers, clock_.Now() / kSecond);
      const Decision decision = Check(path, headers);
      ASSERT_EQ(decision.allowed, expected.allowed) << "round " << round << " request " << i;
      ASSERT_EQ(decision.rule_count, expected.counted ? 1U : 0U);
      if (!expected.counted) continue;
      const Outcome& outcome = decision.decider()->outcome;
      ASSERT_EQ(outcome.limit, config.max_requests);
      ASSERT_EQ(outcome.used, expected.current);
      ASSERT_EQ(outcome.remaining,
                config.max_requests - std::min<std::uint64_t>(config.max_requests, expected.current));
      ASSERT_EQ(outcome.reset_after_ns, static_cast<std::int64_t>(expected.reset) * kSecond);
      if (!expected.allowed && config.max_requests > 0) {
        ASSERT_EQ(outcome.retry_after_ns, static_cast<std::int64_t>(expected.reset) * kSecond);
      }
    }
  }
}

}  // namespace
}  // namespace weir
