// A check without waiting for the store.
#include <weir/weir.h>

#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <utility>

using namespace std::chrono_literals;

int main() {
  auto keyed = weir::RateLimiter::PerKey({1, 60s}).value();
  weir::RateLimiter& limiter = keyed.limiter();
  for (int i = 0; i < 2; ++i) {
    std::promise<bool> answer;
    std::future<bool> allowed = answer.get_future();
    limiter.CheckAsync({.user = "alice"}, [answer = std::move(answer)](weir::Decision decision) mutable {
      answer.set_value(decision.allowed);
    });
    std::printf("%s\n", allowed.get() ? "allowed" : "denied");
  }
  return 0;
}
