// A limiter as the hook that a server calls before its handlers, whatever the server: what to do with the request, and
// what to send when it does not go on.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "weir/clock.h"
#include "weir/headers.h"
#include "weir/rate_limiter.h"
#include "weir/request.h"

namespace weir {

// Thread-safe, as the limiter is.
class EnterpriseRateLimitMiddleware {
 public:
  struct Answer {
    bool pass = true;
    std::chrono::nanoseconds delay{0};      // hold a request that passes for so long
    std::vector<HeaderField> headers = {};  // of the response, whether it passes or not
    // The response to a request that does not pass.
    int status = 200;
    std::string content_type = {};
    std::string body = {};
  };

  // `clock`: the limiter's, if it was given one; outlives this.
  explicit EnterpriseRateLimitMiddleware(std::unique_ptr<RateLimiter> limiter, const Clock& clock = SystemClock())
      : limiter_(std::move(limiter)), clock_(&clock) {}

  // Counts the request (RateLimiter::Check).
  Answer Before(const Request& request);

  RateLimiter& limiter() { return *limiter_; }

 private:
  std::unique_ptr<RateLimiter> limiter_;
  const Clock* clock_;
};

}  // namespace weir
