// A decision by several rules, and what a response says about it.
#include <weir/weir.h>

#include <cstdio>
#include <memory>

int main() {
  auto parsed = weir::ParseConfig(R"(
global: {free_tier: {max_requests: 1000, window_seconds: 3600, identifier: ip_address}}
endpoints:
  /login: {methods: [POST], rule: {max_requests: 1, window_seconds: 300, identifier: ip_address, name: login}}
)");
  for (const weir::Fault& fault : parsed.faults) std::fprintf(stderr, "%s\n", weir::Describe(fault).c_str());
  if (!parsed.ok()) return 1;
  std::unique_ptr<weir::RateLimiter> limiter = weir::RateLimiter::Create(parsed.config).value();

  for (int i = 0; i < 2; ++i) {
    const weir::Request request{.peer_ip = "192.0.2.7", .method = "POST", .path = "/login"};
    const weir::Decision decision = limiter->Check(request);
    std::printf("%d\n", decision.allowed ? 200 : weir::RenderDenial(decision).status);
    for (const auto& [name, value] : weir::RateLimitHeaders(decision)) {
      std::printf("%s: %s\n", name.c_str(), value.c_str());
    }
  }
  return 0;
}
