// One limit for each key.
#include <weir/weir.h>

#include <chrono>
#include <cstdio>
#include <string_view>

using namespace std::chrono_literals;

int StatusFor(std::string_view user) {
  static auto limiter = weir::RateLimiter::PerKey({3, 60s}).value();  // each key: 3 requests in 60 seconds
  return limiter.Check(user).allowed ? 200 : 429;
}

int main() {
  for (const char* const user : {"alice", "alice", "alice", "alice", "bob"}) {
    std::printf("%s: %d\n", user, StatusFor(user));
  }
  return 0;
}
