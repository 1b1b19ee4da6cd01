// weir inside a program: limits from a file, a decision a request, and a change of the limits while it runs.
#include <weir/weir.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CONFIG\n", argv[0]);
    return 2;
  }
  auto config = weir::LoadConfigFile(argv[1]);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message.c_str());
    return 1;
  }
  auto limiter = weir::RateLimiter::Create(*config);
  if (!limiter) {
    std::fprintf(stderr, "%s\n", limiter.error().message.c_str());
    return 1;
  }
  const weir::Request request{.peer_ip = "192.0.2.7", .method = "GET", .path = "/"};
  for (int i = 1;; ++i) {
    const weir::Decision decision = (*limiter)->Check(request);
    const weir::RuleOutcome* rule = decision.decider();
    if (rule == nullptr) {
      std::printf("request %d: no limit applies\n", i);
      return 0;
    }
    if (!decision.allowed) {
      std::printf("request %d: denied, again in %lld ms\n", i,
                  static_cast<long long>(rule->outcome.retry_after_ns / 1'000'000));
      break;
    }
    std::printf("request %d: allowed, %llu left\n", i, static_cast<unsigned long long>(rule->outcome.remaining));
  }
  // What was used stays used: twice the limit leaves as much again.
  config->global.free_tier.max_requests = *config->global.free_tier.max_requests * 2;
  if (auto applied = (*limiter)->Apply(*config); !applied) {
    std::fprintf(stderr, "%s\n", applied.error().message.c_str());
    return 1;
  }
  std::printf("after doubling the limit: %s\n", (*limiter)->Check(request).allowed ? "allowed" : "denied");
  return 0;
}
