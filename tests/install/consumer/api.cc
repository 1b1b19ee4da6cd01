// A program of somebody else's that brings its own clock, and uses each installed header for what it is there for. It
// names them one by one, without weir.h.
#include <weir/clock.h>
#include <weir/config.h>
#include <weir/decision.h>
#include <weir/headers.h>
#include <weir/management.h>
#include <weir/rate_limiter.h>
#include <weir/request.h>
#include <weir/result.h>
#include <weir/stats.h>
#include <weir/testing.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;

void Expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::exit(1);
}
#define EXPECT(condition) Expect(condition, #condition)

// clock.h: time that runs twice as fast, begun at an hour of its own.
class FastClock final : public weir::Clock {
 public:
  weir::Nanos Now() const override { return 40 * 365 * weir::kDay + (2 * (weir::SystemClock().Now() - start_)); }

 private:
  const weir::Nanos start_ = weir::SystemClock().Now();
};

void OwnClock() {
  const FastClock clock;
  auto limiter = weir::RateLimiter::PerKey({1, 24h}, {.clock = &clock}).value();
  EXPECT(limiter.Check("alice").allowed);
  EXPECT(!limiter.Check("alice").allowed);
}

// headers.h, stats.h, and testing.h for the time.
void HeadersAndStats() {
  weir::ManualClock clock(1'000 * weir::kSecond);
  weir::EnterpriseRateLimitConfig config;
  config.global.free_tier = {.max_requests = 2, .window_seconds = 60};
  config.global.free_tier.algorithm = weir::FixedWindow{};
  config.global.free_tier.headers = weir::HeaderConfig::ComplianceMode();
  auto limiter = weir::RateLimiter::Create(config, {.clock = &clock}).value();
  const weir::Request request{.peer_ip = "192.0.2.1"};
  for (int i = 0; i < 2; ++i) EXPECT(weir::RetryAfter(limiter->Check(request)) == std::nullopt);
  clock.Advance(10s);
  const weir::Decision denied = limiter->Check(request);
  EXPECT(weir::RetryAfter(denied) == 50s);
  bool found = false;
  for (const weir::HeaderField& field : weir::RateLimitHeaders(denied, clock)) {
    found |= field == weir::HeaderField{"X-RateLimit-Reset", "1060"};
  }
  EXPECT(found);
  const weir::Stats stats = limiter->GetStats();
  EXPECT(stats.allowed == 2 && stats.denied == 1);
  EXPECT(stats.store.state == weir::StoreState::kUp && stats.store.entries == 1 && stats.store.memory_bytes > 0);
}

// testing.h and the asynchronous check.
void FaultsAndLateAnswers() {
  weir::ManualClock clock;
  weir::StoreFaults faults(clock);
  weir::EnterpriseRateLimitConfig config;
  config.global.free_tier = {.max_requests = 2, .window_seconds = 60};
  config.storage.kind = weir::RedisStorage{};
  auto limiter = weir::RateLimiter::Create(config, {.clock = &clock, .store_faults = &faults}).value();
  faults.SetLatency(5ms);
  faults.FailNext(1);
  std::vector<weir::Reason> reasons;
  for (int i = 0; i < 2; ++i) {
    limiter->CheckAsync({.peer_ip = "192.0.2.1"},
                        [&](const weir::Decision& decision) { reasons.push_back(decision.reason); });
  }
  EXPECT(faults.waiting() == 2 && reasons.empty());
  clock.Advance(5ms);
  EXPECT((reasons == std::vector{weir::Reason::kStoreLocal, weir::Reason::kOk}));
  limiter->CheckAsync({.peer_ip = "192.0.2.1"},
                      [&](const weir::Decision& decision) { reasons.push_back(decision.reason); });
  limiter.reset();
  EXPECT(reasons.size() == 3 && reasons.back() == weir::Reason::kStoreLocal);
  EXPECT(faults.operations() >= 3 && faults.failed() >= 2);
}

// management.h
void Changes() {
  weir::EnterpriseRateLimitConfig config;
  config.global.free_tier = {.max_requests = 2, .window_seconds = 60};
  auto limiter = weir::RateLimiter::Create(config).value();
  weir::ManagementApi& management = limiter->management_api();
  EXPECT(management.SetUserLimit("alice", {.max_requests = 5}).has_value());
  EXPECT(limiter->Peek({.user = "alice"}).decider()->outcome.limit == 5);
  EXPECT(management.RemoveUser("bob").error().code == weir::ErrorCode::kNotFound);
}

}  // namespace

int main() {
  OwnClock();
  Changes();
  HeadersAndStats();
  FaultsAndLateAnswers();
  const auto refused = weir::RateLimiter::PerKey({1, 0s});
  EXPECT(!refused && refused.error().code == weir::ErrorCode::kInvalidArgument);
  std::puts("the installed API does what it says");
  return 0;
}
