// envoy.service.ratelimit.v3.RateLimitService: what Envoy, and what speaks for it, asks. A request is decided as
// envoyproxy/ratelimit decides it (proto/envoy/service/ratelimit/v3/rls.proto says what each field means); what weir
// does otherwise is in docs/decisions/0012-descriptors-are-all-or-nothing.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontends/rls/envoy/descriptor_batch.h"
#include "frontends/rls/envoy/descriptor_core.h"
#include "frontends/rls/http2/service.h"
#include "frontends/rls/reflection/descriptors.h"

namespace weir::rls {

class RlsService final : public Service {
 public:
  // `engine` outlives the service.
  explicit RlsService(engine::Engine& engine) : core_(engine) {}

  std::string_view name() const override { return "envoy.service.ratelimit.v3.RateLimitService"; }
  const std::vector<Method>& methods() const override { return methods_; }
  [[nodiscard]] bool Answer(std::span<UnaryCall> calls, storage::Completion* done) override {
    return DescriptorBatch::Run(core_, calls, done);
  }
  std::span<const std::string> file_descriptors() const override { return descriptors_; }
  ServiceCounts counts() const { return core_.counts(); }

 private:
  DescriptorCore core_;
  const std::vector<std::string> descriptors_ = FileDescriptors("envoy/service/ratelimit/v3/rls.proto");
  const std::vector<Method> methods_ = {{.path = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit",
                                         .number = static_cast<std::uint32_t>(Form::kShouldRateLimit)}};
};

}  // namespace weir::rls
