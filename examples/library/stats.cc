// What a limiter has done.
#include <weir/weir.h>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

int main() {
  auto limiter = weir::RateLimiter::PerKey({2, 60s}).value();
  for (int i = 0; i < 3; ++i) (void)limiter.Check("alice");
  const weir::Stats stats = limiter.limiter().GetStats();
  std::printf("%llu allowed, %llu denied, %llu subjects, store %s\n", static_cast<unsigned long long>(stats.allowed),
              static_cast<unsigned long long>(stats.denied), static_cast<unsigned long long>(stats.store.entries),
              std::string(weir::ToString(stats.store.state)).c_str());
  return 0;
}
