// A program of somebody else's: three requests a minute from one address, the fourth is denied.
#include <weir/weir.h>

#include <cstdio>

int main() {
  weir::RateLimitRule rule{.max_requests = 3, .window_seconds = 60};
  rule.algorithm = weir::TokenBucket{};
  auto config = weir::EnterpriseRateLimitConfig::Builder()
                    .Global({.free_tier = rule,
                             .pro_tier = rule,
                             .enterprise_tier = weir::RateLimitRule::Unlimited(),
                             .tiers = {},
                             .burst = {},
                             .penalties = {}})
                    .Build();
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message.c_str());
    return 1;
  }
  auto limiter = weir::RateLimiter::Create(*config);
  if (!limiter) {
    std::fprintf(stderr, "%s\n", limiter.error().message.c_str());
    return 1;
  }
  int allowed = 0;
  for (int i = 0; i < 4; ++i) {
    if ((*limiter)->Check({.peer_ip = "192.0.2.7", .method = "GET", .path = "/"}).allowed) ++allowed;
  }
  std::printf("%d of 4 allowed\n", allowed);
  return allowed == 3 ? 0 : 1;
}
