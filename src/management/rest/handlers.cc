#include "management/rest/handlers.h"

#include <algorithm>
#include <boost/json.hpp>

#include "config/document/node.h"
#include "config/document/reader.h"
#include "config/document/types.h"
#include "management/rest/api.h"
#include "management/rest/collections.h"

namespace weir::management::rest {

namespace json = boost::json;

std::vector<Route> AllRoutes() {
  std::vector<Route> routes;
  AddCollectionRoutes(routes);
  AddKeyRoutes(routes);
  AddRevisionRoutes(routes);
  AddCredentialRoutes(routes);
  AddCounterRoutes(routes);
  AddConfigRoutes(routes);
  AddBulkRoutes(routes);
  AddAccountRoutes(routes);
  AddOidcRoutes(routes);
  AddSimulateRoutes(routes);
  AddStatusRoutes(routes);
  AddCandidateRoutes(routes);
  AddApprovalRoutes(routes);
  AddRolloutRoutes(routes);
  return routes;
}

std::expected<json::object, Problem> ReadObject(std::string_view text,
                                                std::initializer_list<std::string_view> members) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return json::object();
  boost::system::error_code fault;
  json::parse_options bounded;
  bounded.max_depth = 32;
  const json::value value = json::parse(text, fault, {}, bounded);
  if (fault) return std::unexpected(InvalidBody({{.message = "is not JSON: " + fault.message()}}));
  if (!value.is_object()) return std::unexpected(InvalidBody({{.message = "must be a JSON object"}}));
  std::vector<BodyFault> faults;
  for (const auto& [name, ignored] : value.get_object()) {
    if (std::ranges::find(members, std::string_view(name)) != members.end()) continue;
    faults.push_back({.path = std::string(name),
                      .message = "unknown field",
                      .hint = config::DidYouMean(std::string_view(name), {members.begin(), members.end()})});
    if (faults.size() == 16) break;
  }
  if (!faults.empty()) return std::unexpected(InvalidBody(std::move(faults)));
  return value.get_object();
}

std::optional<std::string> TextOf(const json::object& object, std::string_view member) {
  const json::value* const value = object.if_contains(member);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

std::optional<Problem> RefuseHostAccess(std::string_view json) {
  const auto has = [&](std::string_view text) { return json.find(text) != std::string_view::npos; };
  if (!has("\"lua:") && !has("${")) return std::nullopt;
  return Problem{.status = 403,
                 .code = "host_access",
                 .detail = "scripts (lua:) and references (${...}) cannot be written over the API"};
}

std::optional<Problem> RefuseHostAccessOfDocument(std::string_view text) {
  const std::string_view body = text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text;
  const std::size_t first = body.find_first_not_of(" \t\r\n");
  const bool is_json = first != std::string_view::npos && body[first] == '{';
  const config::ParsedTree tree = is_json ? config::ParseJsonTree(text) : config::ParseYamlTree(text);
  if (!tree.faults.empty()) return std::nullopt;
  return RefuseHostAccess(config::ToJsonText(tree.root));
}

bool IsMalformedText(const json::object& object, std::string_view member) {
  const json::value* const value = object.if_contains(member);
  return value != nullptr && !value->is_string();
}

}  // namespace weir::management::rest
