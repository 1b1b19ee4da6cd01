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

#include <string>
#include <string_view>
#include <vector>

#include "frontends/rls/envoy/descriptor_batch.h"
#include "frontends/rls/envoy/descriptor_core.h"
#include "frontends/rls/http2/service.h"
#include "frontends/rls/reflection/descriptors.h"

namespace weir::rls {

class KuadrantService final : public Service {
 public:
  // `engine` outlives the service.
  explicit KuadrantService(engine::Engine& engine) : core_(engine) {}

  std::string_view name() const override { return "kuadrant.service.ratelimit.v1.RateLimitService"; }
  const std::vector<Method>& methods() const override { return methods_; }
  [[nodiscard]] bool Answer(std::span<UnaryCall> calls, storage::Completion* done) override {
    return DescriptorBatch::Run(core_, calls, done);
  }
  std::span<const std::string> file_descriptors() const override { return descriptors_; }
  ServiceCounts counts() const { return core_.counts(); }

 private:
  static Method Of(std::string_view name, Form form) {
    return {.path = "/kuadrant.service.ratelimit.v1.RateLimitService/" + std::string(name),
            .number = static_cast<std::uint32_t>(form)};
  }
  DescriptorCore core_;
  const std::vector<std::string> descriptors_ = FileDescriptors("kuadrant/service/ratelimit/v1/ratelimit.proto");
  const std::vector<Method> methods_ = {Of("CheckRateLimit", Form::kCheckRateLimit), Of("Report", Form::kReport),
                                        Of("Reserve", Form::kReserve), Of("Commit", Form::kCommit)};
};

}  // namespace weir::rls
