#include "management/rest/request_body.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "config/document/reader.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostPairs = 128;

}  // namespace

std::expected<OwnedRequest, Problem> ReadRequest(const json::value& value, const std::string& path) {
  if (!value.is_object()) return std::unexpected(InvalidBody({{.path = path, .message = "must be a JSON object"}}));
  OwnedRequest owned;
  std::vector<BodyFault> faults;
  const auto keep = [&](std::string_view text) -> std::string_view { return owned.texts.emplace_back(text); };
  const std::pair<std::string_view, std::string_view*> texts[] = {
      {"domain", &owned.request.domain},   {"ip", &owned.request.peer_ip},    {"user", &owned.request.user},
      {"tenant", &owned.request.tenant},   {"tier", &owned.request.tier},     {"api_key", &owned.request.api_key},
      {"country", &owned.request.country}, {"method", &owned.request.method}, {"path", &owned.request.path}};
  const auto read_pairs = [&](std::string_view name, const json::value& from, std::vector<Attribute>& to) {
    if (!from.is_object() || from.get_object().size() > kMostPairs) {
      faults.push_back({.path = path + "." + std::string(name), .message = "must be a mapping of at most 128 texts"});
      return;
    }
    for (const auto& [key, one] : from.get_object()) {
      if (!one.is_string()) {
        faults.push_back({.path = path + "." + std::string(name) + "." + std::string(key), .message = "must be text"});
        continue;
      }
      to.push_back({keep(std::string_view(key)), keep(std::string_view(one.get_string()))});
    }
  };
  for (const auto& [key, member] : value.get_object()) {
    const std::string_view name = key;
    const auto* const text = std::ranges::find(texts, name, &std::pair<std::string_view, std::string_view*>::first);
    if (member.is_null()) continue;
    if (text != std::ranges::end(texts)) {
      if (member.is_string()) {
        *text->second = keep(std::string_view(member.get_string()));
      } else {
        faults.push_back({.path = path + "." + std::string(name), .message = "must be text"});
      }
    } else if (name == "headers") {
      read_pairs(name, member, owned.headers);
    } else if (name == "attributes") {
      read_pairs(name, member, owned.attributes);
    } else if (name == "cost") {
      boost::system::error_code fault;
      owned.request.cost = member.to_number<std::uint64_t>(fault);
      if (fault) faults.push_back({.path = path + ".cost", .message = "must be an integer >= 0"});
    } else {
      faults.push_back({.path = path + "." + std::string(name), .message = "unknown field"});
    }
  }
  if (!faults.empty()) return std::unexpected(InvalidBody(std::move(faults)));
  owned.request.headers = owned.headers;
  owned.request.attributes = owned.attributes;
  return owned;
}

}  // namespace weir::management::rest
