#include <chrono>
#include <utility>

#include "weir/rate_limiter.h"

namespace weir {

Result<KeyedLimiter> RateLimiter::PerKey(Limit limit, RateLimiterOptions options) {
  constexpr std::chrono::seconds kShortest{1}, kLongest{315'360'000};
  // A document warns of a window of 0, under which nothing is limited; here nobody would see the warning.
  if (limit.window < kShortest || limit.window > kLongest) {
    return Fail(ErrorCode::kInvalidArgument, "the window must be from 1 s to 315360000 s");
  }
  GlobalLimits limits;
  RateLimitRule& rule = limits.free_tier;
  rule.max_requests = limit.max_requests;
  rule.window_seconds = static_cast<std::uint32_t>(limit.window.count());
  rule.algorithm = std::move(limit.algorithm);
  rule.identifier = EnhancedIdentifier{UserId{}};  // an empty one is counted with the requests without an address
  rule.name = "per_key";
  const auto config = EnterpriseRateLimitConfig::Builder().Global(std::move(limits)).Build();
  if (!config) return std::unexpected(config.error());
  auto limiter = Create(*config, std::move(options));
  if (!limiter) return std::unexpected(std::move(limiter).error());
  return KeyedLimiter(std::move(*limiter));
}

}  // namespace weir
