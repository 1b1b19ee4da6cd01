// A test of a program that uses weir: the clock moves when the test says so, and the store fails.
#include <weir/testing.h>
#include <weir/weir.h>

#include <chrono>
#include <cstdio>
#include <memory>

// Assertions also in a release build.
#undef NDEBUG
#include <cassert>

using namespace std::chrono_literals;

int main() {
  weir::EnterpriseRateLimitConfig config;
  config.global.free_tier = {.max_requests = 1, .window_seconds = 60};
  config.endpoints["/pay"].rule = {.max_requests = 5, .window_seconds = 60};
  config.endpoints["/pay"].rule.on_store_failure = weir::StoreFailurePolicy::kDeny;

  weir::ManualClock clock;
  weir::StoreFaults faults(clock);
  auto limiter = weir::RateLimiter::Create(config, {.clock = &clock, .store_faults = &faults}).value();

  const weir::Request request{.peer_ip = "192.0.2.7", .path = "/"};
  assert(limiter->Check(request).allowed);
  assert(!limiter->Check(request).allowed);
  clock.Advance(61s);
  assert(limiter->Check(request).allowed);

  faults.FailNext(1);
  const weir::Request payment{.peer_ip = "192.0.2.7", .path = "/pay"};
  assert(limiter->Check(payment).reason == weir::Reason::kStoreDenied);
  assert(limiter->Check(payment).allowed);

  faults.SetLatency(50ms);
  bool answered = false;
  limiter->CheckAsync(payment, [&](const weir::Decision&) { answered = true; });
  assert(!answered);
  clock.Advance(50ms);
  assert(answered);
  std::puts("all good");
  return 0;
}
