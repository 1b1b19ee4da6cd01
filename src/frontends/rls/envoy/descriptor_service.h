// A service whose every call is a list of descriptors: Envoy's and Kuadrant's differ in their names and forms only.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontends/rls/envoy/descriptor_batch.h"
#include "frontends/rls/envoy/descriptor_core.h"
#include "frontends/rls/http2/service.h"
#include "frontends/rls/reflection/descriptors.h"

namespace weir::rls {

class DescriptorService : public Service {
 public:
  std::string_view name() const final { return name_; }
  const std::vector<Method>& methods() const final { return methods_; }
  [[nodiscard]] bool Answer(std::span<UnaryCall> calls, storage::Completion* done) final {
    return DescriptorBatch::Run(core_, calls, done);
  }
  std::span<const std::string> file_descriptors() const final { return descriptors_; }
  ServiceCounts counts() const { return core_.counts(); }

 protected:
  // `engine` outlives the service. `forms`: of the methods, by their names.
  DescriptorService(engine::Engine& engine, std::string_view name, std::string_view proto,
                    const std::vector<std::pair<std::string_view, Form>>& forms)
      : core_(engine), name_(name), descriptors_(FileDescriptors(proto)) {
    for (const auto& [method, form] : forms) {
      methods_.push_back({.path = "/" + name_ + "/" + std::string(method), .number = static_cast<std::uint32_t>(form)});
    }
  }

 private:
  DescriptorCore core_;
  const std::string name_;
  const std::vector<std::string> descriptors_;
  std::vector<Method> methods_;
};

}  // namespace weir::rls
