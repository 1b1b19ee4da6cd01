// Limits that change while the limiter runs.
#include <weir/weir.h>

#include <cstdio>

int main() {
  auto limiter = weir::RateLimiter::PerKey({2, std::chrono::seconds(60)}).value();
  weir::ManagementApi& management = limiter.limiter().management_api();
  management.SetUserLimit("alice", {.max_requests = 5000, .window_seconds = 3600}).value();
  management.SetEndpointLimit("/upload/*", {.max_requests = 100, .window_seconds = 3600}).value();
  management.AddGeographicRule({.countries = {"DE", "FR"}, .rule = weir::RateLimitRule::Generous()}).value();
  for (const char* user : {"alice", "bob"}) {
    const weir::Decision decision = limiter.limiter().Peek({.user = user});
    std::printf("%s: %llu\n", user, static_cast<unsigned long long>(decision.decider()->outcome.limit));
  }
  return 0;
}
