#include "weir/middleware.h"

namespace weir {

EnterpriseRateLimitMiddleware::Answer EnterpriseRateLimitMiddleware::Before(const Request& request) {
  const Decision decision = limiter_->Check(request);
  Answer answer;
  answer.pass = decision.allowed;
  answer.headers = RateLimitHeaders(decision, *clock_);
  if (decision.allowed) {
    answer.delay = std::chrono::nanoseconds(decision.delay_ns());
    return answer;
  }
  DenialResponse denial = RenderDenial(decision);
  answer.status = denial.status;
  answer.content_type = std::move(denial.content_type);
  answer.body = std::move(denial.body);
  return answer;
}

}  // namespace weir
