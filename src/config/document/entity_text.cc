#include "config/document/entity_text.h"

#include <vector>

#include "config/document/node.h"
#include "config/document/reader.h"
#include "config/document/schema.h"

namespace weir::config {
namespace {

template <typename Limits>
const Ref<Limits>& TypeFor();
template <>
const Ref<TenantLimits>& TypeFor() {
  static const Ref<TenantLimits> type = TenantType();
  return type;
}
template <>
const Ref<UserLimits>& TypeFor() {
  static const Ref<UserLimits> type = UserType();
  return type;
}
template <>
const Ref<ApiKeyLimits>& TypeFor() {
  static const Ref<ApiKeyLimits> type = ApiKeyLimitsType();
  return type;
}

Error ToError(const std::vector<Fault>& faults) {
  std::string text;
  for (const Fault& fault : faults) text += (text.empty() ? "" : "\n") + Describe(fault);
  return {ErrorCode::kInvalidArgument, text};
}

}  // namespace

template <typename Limits>
std::string LimitsToJson(const Limits& limits) {
  return ToJsonText(TypeFor<Limits>()->Write(&limits));
}

template <typename Limits>
Result<Limits> LimitsFromJson(std::string_view json) {
  ParsedTree tree = ParseJsonTree(json);
  if (!tree.faults.empty()) return std::unexpected(ToError(tree.faults));
  Limits limits;
  std::vector<Fault> faults;
  Reader reader(faults);
  TypeFor<Limits>()->Read(tree.root, &limits, reader);
  if (!faults.empty()) return std::unexpected(ToError(faults));
  return limits;
}

template std::string LimitsToJson(const TenantLimits&);
template std::string LimitsToJson(const UserLimits&);
template std::string LimitsToJson(const ApiKeyLimits&);
template Result<TenantLimits> LimitsFromJson(std::string_view);
template Result<UserLimits> LimitsFromJson(std::string_view);
template Result<ApiKeyLimits> LimitsFromJson(std::string_view);

}  // namespace weir::config
