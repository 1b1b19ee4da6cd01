// A converted basic configuration answers as the basic limiter did: statuses, headers and bodies, request by request.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/manual_clock.h"
#include "engine/engine.h"
#include "frontends/http/session.h"
#include "net/fake_connection.h"
#include "storage/memory/memory_store.h"
#include "weir/config.h"

namespace weir::http {
namespace {

struct Sent {
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> headers;
};

// Status, the headers of the limit and a denial's body, as one text.
using Answered = std::string;

// The basic limiter, as its description says it: a fixed window for each key, from the key's first request, in whole
// seconds; denied requests are counted too.
class BasicLimiter {
 public:
  explicit BasicLimiter(BasicRateLimitConfig config) : config_(std::move(config)) {}

  Answered Answer(const Sent& sent, std::uint64_t now) {
    const std::optional<std::string> key = Exempt(sent.path) ? std::nullopt : KeyOf(sent);
    if (!key) return "200";
    auto [found, fresh] = windows_.try_emplace(*key, Window{0, now});
    Window& window = found->second;
    if (!fresh && now - window.start >= config_.window_seconds) window = {0, now};
    ++window.count;
    const bool allowed = window.count <= config_.max_requests;
    const std::string limit = std::to_string(config_.max_requests);
    const std::string left = std::to_string(allowed ? config_.max_requests - window.count : 0);
    const std::string wait = std::to_string(window.start + config_.window_seconds - now);
    const std::string headers = " limit " + limit + " remaining " + left + " reset " + wait;
    if (allowed) return "200" + headers;
    return "429" + headers + " retry " + wait + " application/json " +
           R"({"error":{"code":"RATE_LIMIT_EXCEEDED","message":"Rate limit exceeded. Try again in )" + wait +
           R"( seconds.","limit":)" + limit + R"(,"current":)" + std::to_string(window.count) + R"(,"reset_time":)" +
           wait + "}}";
  }

 private:
  struct Window {
    std::uint64_t count = 0;
    std::uint64_t start = 0;
  };

  bool Exempt(std::string_view path) const {
    path = path.substr(0, path.find('?'));
    for (const std::string_view pattern : config_.exempt_paths) {
      if (pattern == path) return true;
      if (pattern.ends_with('*') && path.starts_with(pattern.substr(0, pattern.size() - 1))) return true;
    }
    return false;
  }
  static std::optional<std::string> Find(const Sent& sent, std::string_view name) {
    for (const auto& [header, value] : sent.headers) {
      if (header == name) return value;
    }
    return std::nullopt;
  }
  std::optional<std::string> KeyOf(const Sent& sent) const {
    switch (config_.identifier.kind) {
      case BasicIdentifier::Kind::kUserId:
        return Find(sent, "X-User-Id");
      case BasicIdentifier::Kind::kApiKey:
        return Find(sent, "X-Api-Key");
      case BasicIdentifier::Kind::kCustomHeader:
        return Find(sent, config_.identifier.header);
      case BasicIdentifier::Kind::kIpAddress:
        break;
    }
    if (const auto forwarded = Find(sent, "X-Forwarded-For")) {
      std::string first = forwarded->substr(0, forwarded->find(','));
      while (first.ends_with(' ')) first.pop_back();
      return first;
    }
    return Find(sent, "X-Real-IP").value_or("127.0.0.1");
  }

  BasicRateLimitConfig config_;
  std::map<std::string, Window> windows_;
};

class Weir {
 public:
  explicit Weir(const BasicRateLimitConfig& config) {
    auto store = storage::memory::MemoryStore::Create({.max_entries = 1'000});
    engine::EngineOptions engine_options;
    engine_options.clock = &clock;
    auto engine = engine::Engine::Create(EnterpriseRateLimitConfig::FromBasic(config), std::move(*store),
                                         std::move(engine_options));
    EXPECT_TRUE(engine.has_value()) << (engine ? "" : engine.error().message);
    engine_ = std::move(*engine);
    options_.engine = engine_.get();
    session_ = MakeHttpSession(connection_, options_);
    connection_.Attach(session_.get());
  }

  Answered Answer(const Sent& sent) {
    std::string request = "GET /v1/auth HTTP/1.1\r\nHost: a\r\nX-Original-URI: " + sent.path + "\r\n";
    for (const auto& [name, value] : sent.headers) request += name + ": " + value + "\r\n";
    connection_.Receive(request + "\r\n");
    const std::string output = connection_.TakeOutput();
    const std::size_t end = output.find("\r\n\r\n");
    const auto header = [&](const std::string& before, std::string_view name) {
      const std::size_t at = output.find("\r\n" + std::string(name) + ": ");
      if (at == std::string::npos || at > end) return std::string();
      const std::size_t start = at + 4 + name.size();
      return before + output.substr(start, output.find("\r\n", start) - start);
    };
    std::string body = output.substr(end + 4);
    return output.substr(9, 3) + header(" limit ", "X-RateLimit-Limit") +
           header(" remaining ", "X-RateLimit-Remaining") + header(" reset ", "X-RateLimit-Reset") +
           header(" retry ", "Retry-After") + header(" ", "Content-Type") + (body.empty() ? "" : " " + body);
  }

  ManualClock clock;

 private:
  std::unique_ptr<engine::Engine> engine_;
  HttpOptions options_;
  net::FakeConnection connection_;
  std::unique_ptr<net::Session> session_;
};

TEST(BasicReplay, TheSameAnswersToTheSameRequests) {
  std::mt19937 random(11);
  const auto below = [&](std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random); };
  using Kind = BasicIdentifier::Kind;
  std::size_t denied = 0;
  for (const Kind kind : {Kind::kIpAddress, Kind::kUserId, Kind::kApiKey, Kind::kCustomHeader}) {
    for (const std::uint32_t window : {1U, 5U, 60U, 300U}) {
      for (const std::uint32_t max : {0U, 1U, 3U, 10U}) {
        BasicRateLimitConfig config{.max_requests = max,
                                    .window_seconds = window,
                                    .identifier = {kind, kind == Kind::kCustomHeader ? "X-Tenant" : ""},
                                    .exempt_paths = {"/health", "/public/*"}};
        BasicLimiter basic(config);
        Weir weir(config);
        for (int i = 0; i < 200; ++i) {
          Sent sent;
          sent.path = std::vector<std::string>{
              "/", "/a?b=c", "/health", "/health/x", "/public/x", "/public", "/Health"}[below(7)];
          for (const std::string_view name : {"X-Forwarded-For", "X-Real-IP", "X-User-Id", "X-Api-Key", "X-Tenant"}) {
            if (below(4) == 0) continue;
            std::string value = "192.0.2." + std::to_string(below(2));
            if (name == "X-Forwarded-For" && below(3) == 0) value += " , 10.0.0.1";
            sent.headers.emplace_back(name, value);
          }
          const auto now = static_cast<std::uint64_t>(weir.clock.Now() / kSecond);
          const Answered expected = basic.Answer(sent, now);
          ASSERT_EQ(weir.Answer(sent), expected) << "request " << i << " of " << max << " in " << window;
          if (expected.starts_with("429")) ++denied;
          weir.clock.Advance(static_cast<Nanos>(below(3) == 0 ? below(window) : below(2)) * kSecond);
        }
      }
    }
  }
  EXPECT_GT(denied, 3'000U);
}

}  // namespace
}  // namespace weir::http
