// envoy.service.ratelimit.v3.RateLimitService: what Envoy, and what speaks for it, asks. A request is decided as
// envoyproxy/ratelimit decides it (proto/envoy/service/ratelimit/v3/rls.proto says what each field means); what weir
// does otherwise is in docs/decisions/0012-descriptors-are-all-or-nothing.md.
#pragma once

#include "frontends/rls/envoy/descriptor_service.h"

namespace weir::rls {

class RlsService final : public DescriptorService {
 public:
  // `engine` outlives the service.
  explicit RlsService(engine::Engine& engine)
      : DescriptorService(engine, "envoy.service.ratelimit.v3.RateLimitService", "envoy/service/ratelimit/v3/rls.proto",
                          {{"ShouldRateLimit", Form::kShouldRateLimit}}) {}
};

}  // namespace weir::rls
