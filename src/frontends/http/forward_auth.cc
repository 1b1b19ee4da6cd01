#include "frontends/http/forward_auth.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/ascii.h"
#include "engine/identify/request_fields.h"
#include "engine/request_id.h"
#include "http/query.h"

namespace weir::http {
namespace {

// Names of headers; an empty one is not looked for.
struct Names {
  std::string_view uri, method;
  std::string_view user, tenant, tier, api_key, country;
};

constexpr std::string_view kAuthorization = "Authorization";

bool ReadParameter(std::string_view name, std::string_view value, Names* names, AuthQuestion* question,
                   std::string* error) {
  Request& request = question->request;
  if (name == "deny") {
    if (value != "401" && value != "403" && value != "429" && value != "200") {
      *error = "query parameter 'deny' must be 429, 403, 401 or 200";
      return false;
    }
    question->deny_status = static_cast<int>(*engine::ParseCount(value));
  } else if (name == "uri_header") {
    names->uri = value;
  } else if (name == "method_header") {
    names->method = value;
  } else if (name == "user_header") {
    names->user = value;
  } else if (name == "tenant_header") {
    names->tenant = value;
  } else if (name == "tier_header") {
    names->tier = value;
  } else if (name == "api_key_header") {
    names->api_key = value;
  } else if (name == "country_header") {
    names->country = value;
  } else if (name == "api_key") {
    if (value != "bearer") {
      *error = "query parameter 'api_key' must be 'bearer'";
      return false;
    }
    names->api_key = kAuthorization;
  } else if (name == "domain") {
    request.domain = value;
  } else if (name == "tenant") {
    request.tenant = value;
  } else if (name == "tier") {
    request.tier = value;
  } else {
    const std::optional<std::uint64_t> cost = engine::ParseCount(value);
    if (!cost) {
      *error = "query parameter 'cost' must be an integer >= 0";
      return false;
    }
    request.cost = *cost;
  }
  return true;
}

bool ReadQuery(std::string_view query, Arena& arena, Names* names, AuthQuestion* question, std::string* error) {
  static constexpr std::array<std::string_view, 13> kKnown = {
      "deny",           "uri_header", "method_header", "user_header", "tenant_header", "tier_header", "api_key_header",
      "country_header", "api_key",    "domain",        "tenant",      "tier",          "cost"};
  std::array<bool, kKnown.size()> seen{};
  std::string name, value;
  while (NextParameter(&query, &name, &value)) {
    const auto known = static_cast<std::size_t>(std::ranges::find(kKnown, name) - kKnown.begin());
    if (known == kKnown.size()) {
      *error = "unknown query parameter '" + name.substr(0, 64) +
               "'; known are deny, uri_header, method_header, user_header, tenant_header, tier_header, api_key_header, "
               "country_header, api_key, domain, tenant, tier and cost";
      return false;
    }
    if (std::exchange(seen[known], true)) {
      *error = "query parameter '" + name + "' appears twice";
      return false;
    }
    if (!ReadParameter(name, arena.Copy(value), names, question, error)) return false;
  }
  return true;
}

// The one header of that name. False: it appears twice.
bool FindOnly(std::span<const Attribute> headers, std::string_view name, const Attribute** found, std::string* error) {
  *found = nullptr;
  if (name.empty()) return true;
  for (const Attribute& header : headers) {
    if (!EqualsIgnoreCase(header.name, name)) continue;
    if (*found != nullptr) {
      *error = "header " + std::string(name) + " appears twice";
      return false;
    }
    *found = &header;
  }
  return true;
}

bool ReadOriginal(const AuthInput& input, const Names& names, Request* request, std::string* error) {
  const Attribute* uri = nullptr;
  const Attribute* method = nullptr;
  if (!names.uri.empty() || !names.method.empty()) {
    if (!FindOnly(input.headers, names.uri, &uri, error) || !FindOnly(input.headers, names.method, &method, error))
      return false;
  } else {
    const Attribute* forwarded_uri = nullptr;
    const Attribute* forwarded_method = nullptr;
    if (!FindOnly(input.headers, "X-Original-URI", &uri, error) ||
        !FindOnly(input.headers, "X-Original-Method", &method, error) ||
        !FindOnly(input.headers, "X-Forwarded-Uri", &forwarded_uri, error) ||
        !FindOnly(input.headers, "X-Forwarded-Method", &forwarded_method, error)) {
      return false;
    }
    const bool original = uri != nullptr || method != nullptr;
    const bool forwarded = forwarded_uri != nullptr || forwarded_method != nullptr;
    if (original && forwarded) {
      *error =
          "both X-Original-* and X-Forwarded-* describe the request; name the ones that the proxy writes with the "
          "query parameters uri_header and method_header";
      return false;
    }
    if (forwarded) {
      uri = forwarded_uri;
      method = forwarded_method;
    }
  }
  if (uri != nullptr) request->path = uri->value;
  request->method = method != nullptr ? method->value : input.method;
  return true;
}

bool ReadHeaderInto(const AuthInput& input, std::string_view name, std::string_view* field, std::string* error) {
  const Attribute* header = nullptr;
  if (!FindOnly(input.headers, name, &header, error)) return false;
  if (header != nullptr) *field = header->value;
  return true;
}

bool ReadClient(const AuthInput& input, const Names& names, Request* request, std::string* error) {
  // What the query fixes, no client can change.
  if (request->tenant.empty() && !ReadHeaderInto(input, names.tenant, &request->tenant, error)) return false;
  if (request->tier.empty() && !ReadHeaderInto(input, names.tier, &request->tier, error)) return false;
  if (!ReadHeaderInto(input, names.user, &request->user, error)) return false;
  if (!ReadHeaderInto(input, names.country, &request->country, error)) return false;
  if (!EqualsIgnoreCase(names.api_key, kAuthorization)) {
    return ReadHeaderInto(input, names.api_key, &request->api_key, error);
  }
  std::string_view authorization;
  if (!ReadHeaderInto(input, kAuthorization, &authorization, error)) return false;
  Request headers;
  headers.headers = input.headers;
  request->api_key = engine::FindBearerToken(headers).value_or(std::string_view{});
  return true;
}

}  // namespace

bool FindRequestId(std::span<const Attribute> headers, std::string_view name, std::string_view* id,
                   std::string* error) {
  const Attribute* header = nullptr;
  if (!FindOnly(headers, name, &header, error)) return false;
  if (header == nullptr) return true;
  *id = header->value;
  if (engine::IsRequestId(*id)) return true;
  *error = "header " + std::string(name) + " " + std::string(engine::kRequestIdForm);
  return false;
}

AuthReading ReadAuthQuestion(const AuthInput& input, Arena& arena, AuthQuestion* question, std::string* error) {
  const IdentityHeaders& identity = input.identity;
  Names names{.uri = {},
              .method = {},
              .user = identity.user,
              .tenant = identity.tenant,
              .tier = identity.tier,
              .api_key = identity.api_key,
              .country = identity.country};
  if (!ReadQuery(TargetQuery(input.target), arena, &names, question, error)) return AuthReading::kBadQuery;
  if (!ReadOriginal(input, names, &question->request, error) || !ReadClient(input, names, &question->request, error) ||
      !FindRequestId(input.headers, input.request_id_header, &question->request.request_id, error)) {
    return AuthReading::kForged;
  }
  return AuthReading::kRead;
}

}  // namespace weir::http
