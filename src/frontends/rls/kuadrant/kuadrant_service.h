// kuadrant.service.ratelimit.v1.RateLimitService: what Kuadrant asks of limitador. Check without counting, count
// without checking, and hold an estimate until the true amount is known
// (proto/kuadrant/service/ratelimit/v1/ratelimit.proto).
//
//  - Reserve holds `amount` on every descriptor or on none. `ttl`: when it is over, what is held is given back; absent
//    or 0, or longer than engine::Reservations::kLongestHold (59 minutes): that.
//  - Commit settles with the actual amount. What is reserved no more is counted as by Report, and the answer says that
//    no reservation was released. Where there was nothing to hold (an `amount` of 0, or no rule), the actual amount is
//    counted as by Report too, and the reservation is released as any other.
#pragma once

#include "frontends/rls/envoy/descriptor_service.h"

namespace weir::rls {

class KuadrantService final : public DescriptorService {
 public:
  // `engine` outlives the service.
  explicit KuadrantService(engine::Engine& engine)
      : DescriptorService(engine, "kuadrant.service.ratelimit.v1.RateLimitService",
                          "kuadrant/service/ratelimit/v1/ratelimit.proto",
                          {{"CheckRateLimit", Form::kCheckRateLimit},
                           {"Report", Form::kReport},
                           {"Reserve", Form::kReserve},
                           {"Commit", Form::kCommit}}) {}
};

}  // namespace weir::rls
