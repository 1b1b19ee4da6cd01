// The hook of a server.
#include <weir/weir.h>

#include <cstdio>

int main() {
  auto config = weir::EnterpriseRateLimitConfig::Builder()
                    .GlobalLimits({.free_tier = {.max_requests = 1, .window_seconds = 60}})
                    .Build();
  weir::EnterpriseRateLimitMiddleware middleware(weir::EnterpriseRateLimit::Create(config.value()).value());
  for (int i = 0; i < 2; ++i) {
    const weir::Request request{.peer_ip = "192.0.2.7", .method = "GET", .path = "/"};
    const auto answer = middleware.Before(request);
    if (!answer.pass) std::printf("%d %s\n", answer.status, answer.content_type.c_str());
  }
  return 0;
}
