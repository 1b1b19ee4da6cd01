// Server reflection (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md): what grpcurl, grpcui and
// Postman ask to learn what is served.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontends/rls/http2/service.h"
#include "frontends/rls/reflection/descriptor_index.h"

namespace weir::rls {

// grpc.reflection.v1.ServerReflection and grpc.reflection.v1alpha.ServerReflection, which tell of `others` and of each
// other. `others` are not needed afterwards.
std::vector<std::unique_ptr<Service>> MakeReflectionServices(std::span<const Service* const> others);

// The answer to one ServerReflectionRequest; absent when that is malformed. `names`: the services served.
std::optional<std::string> AnswerReflection(std::string_view request, const DescriptorIndex& index,
                                            std::span<const std::string> names);

}  // namespace weir::rls
