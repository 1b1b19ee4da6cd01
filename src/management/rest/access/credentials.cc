// Tokens of programs, and what roles may do.
#include <algorithm>
#include <boost/json.hpp>

#include "management/rest/api.h"
#include "management/rest/handlers.h"
#include "management/rest/record_body.h"
#include "management/rest/tenant_tree.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

json::object ToJsonObject(const TokenInfo& info) {
  json::object out;
  out["id"] = info.id;
  out["name"] = info.name;
  json::array roles;
  for (const RoleGrant& grant : info.roles) {
    roles.push_back(json::object{{"role", NameOf(grant.role)}, {"tenant", grant.tenant}});
  }
  out["roles"] = std::move(roles);
  out["tenant"] = info.tenant;
  out["shown"] = info.shown;
  out["created_by"] = info.created_by;
  out["created"] = TimestampText(info.created);
  if (info.expires > 0) out["expires"] = TimestampText(info.expires);
  if (info.last_used > 0) out["last_used"] = TimestampText(info.last_used);
  if (info.revoked > 0) out["revoked"] = TimestampText(info.revoked);
  return out;
}

Answer ListTokens(Api& api, Context& context) {
  const Reach reach = ReachOf(context.principal, context.route.verb, context.route.resource);
  json::array items;
  for (const TokenInfo& info : api.options().tokens->List()) {
    if (!Reaches(*context.in_force, reach, info.tenant)) continue;
    items.push_back(ToJsonObject(info));
  }
  return JsonResponse(200, json::serialize(json::object{{"items", std::move(items)}}));
}

std::expected<TokenSpec, Problem> ReadSpec(const Context& context) {
  const auto body = ReadObject(context.request.body, {"name", "role", "roles", "tenant", "expires"});
  if (!body) return std::unexpected(body.error());
  std::vector<BodyFault> faults;
  TokenSpec spec;
  const auto add = [&](std::string path, std::string message) {
    faults.push_back({.path = std::move(path), .message = std::move(message)});
  };
  for (const std::string_view member : {"name", "role", "tenant", "expires"}) {
    if (IsMalformedText(*body, member)) add(std::string(member), "must be text");
  }
  spec.name = TextOf(*body, "name").value_or("");
  if (const auto checked = CheckName("the name of the token", spec.name); !checked)
    add("name", checked.error().message);
  spec.tenant = TextOf(*body, "tenant").value_or("");
  const auto add_role = [&](const std::string& path, const json::value& value) {
    const auto role = value.is_string() ? RoleNamed(std::string_view(value.get_string())) : std::nullopt;
    if (!role) return add(path, "must be one of viewer, operator, editor, security, admin, auditor");
    spec.roles.push_back({.role = *role, .tenant = spec.tenant});
  };
  if (const json::value* role = body->if_contains("role")) add_role("role", *role);
  if (const json::value* roles = body->if_contains("roles")) {
    if (!roles->is_array() || roles->get_array().size() > 16) {
      add("roles", "must be a list of at most 16 roles");
    } else {
      for (std::size_t i = 0; i < roles->get_array().size(); ++i) {
        add_role("roles." + std::to_string(i), roles->get_array()[i]);
      }
    }
  }
  if (spec.roles.empty() && faults.empty()) add("role", "is missing");
  if (const auto expires = TextOf(*body, "expires")) {
    const auto time = ParseTimestamp(*expires);
    if (!time || *time <= context.now) {
      add("expires", "must be a time to come, such as 2026-12-04T17:00:00Z");
    } else {
      spec.expires = *time;
    }
  }
  if (faults.empty()) {
    if (const auto checked = CheckGrants(spec.roles); !checked) add("roles", checked.error().message);
  }
  if (!faults.empty()) return std::unexpected(InvalidBody(std::move(faults)));
  spec.created_by = PersonOf(context.principal);
  return spec;
}

Answer IssueToken(Api& api, Context& context) {
  const auto spec = ReadSpec(context);
  if (!spec) return std::unexpected(spec.error());
  context.object.id = spec->name;
  context.object.tenant = spec->tenant;
  if (auto refused = context.Authorise(spec->tenant)) return std::unexpected(std::move(*refused));
  for (const RoleGrant& grant : spec->roles) {
    if (MayGrant(context.principal, context.route.verb, context.route.resource, grant)) continue;
    return std::unexpected(
        Problem{.status = 403,
                .code = "forbidden",
                .detail = "nobody makes a token that may do more than its maker: " + std::string(NameOf(grant.role))});
  }
  json::object told{{"name", spec->name}, {"roles", TextOf(spec->roles)}, {"tenant", spec->tenant}};
  context.after = json::serialize(told);
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const auto issued = api.options().tokens->Issue(*spec, context.now);
  if (!issued) return std::unexpected(ProblemOf(issued.error()));
  json::object out = ToJsonObject(issued->info);
  out["token"] = issued->secret;
  return JsonResponse(201, json::serialize(out));
}

std::expected<TokenInfo, Problem> FindToken(Api& api, Context& context) {
  auto info = api.options().tokens->Get(context.parameters.front());
  context.object.tenant = info ? info->tenant : "";
  if (auto refused = context.Authorise(context.object.tenant)) return std::unexpected(std::move(*refused));
  if (!info) return std::unexpected(ProblemOf(info.error()));
  return std::move(*info);
}

Answer GetToken(Api& api, Context& context) {
  const auto info = FindToken(api, context);
  if (!info) return std::unexpected(info.error());
  return JsonResponse(200, json::serialize(ToJsonObject(*info)));
}

Answer RevokeToken(Api& api, Context& context) {
  const auto info = FindToken(api, context);
  if (!info) return std::unexpected(info.error());
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const auto done = api.options().tokens->Revoke(info->id, context.now);
  if (!done) return std::unexpected(ProblemOf(done.error()));
  return ApiResponse{.status = 204};
}

Answer ListRoles(Api& /*api*/, Context& /*context*/) {
  json::array items;
  for (const Role role : kAllRoles) {
    json::array permissions;
    for (const std::string& one : PermissionsOf(role)) permissions.push_back(json::string(one));
    items.push_back(json::object{{"role", NameOf(role)}, {"permissions", std::move(permissions)}});
  }
  return JsonResponse(200, json::serialize(json::object{{"items", std::move(items)}}));
}

}  // namespace

void AddCredentialRoutes(std::vector<Route>& routes) {
  const auto add = [&](std::string method, std::string path, std::string operation, std::string summary, Verb verb,
                       Handler handler) -> Route& {
    return routes.emplace_back(Route{.method = std::move(method),
                                     .path = std::move(path),
                                     .operation = std::move(operation),
                                     .summary = std::move(summary),
                                     .verb = verb,
                                     .resource = Resource::kTokens,
                                     .handler = handler,
                                     .scope = Scope::kWithin,
                                     .sensitive = true});
  };
  add("GET", "/tokens", "listTokens", "Service tokens, the newest first; never their secrets.", Verb::kRead, ListTokens)
      .response_schema = "List";
  Route& issue = add("POST", "/tokens", "issueToken", "Make a service token: `token` is shown this once.",
                     Verb::kCreate, IssueToken);
  issue.body = BodyKind::kJson;
  issue.max_body = 16 << 10;
  issue.request_schema = "TokenSpec";
  issue.success = 201;
  add("GET", "/tokens/{id}", "getToken", "Get a service token.", Verb::kRead, GetToken);
  add("DELETE", "/tokens/{id}", "revokeToken", "Revoke a service token; it holds no more when this is answered.",
      Verb::kDelete, RevokeToken)
      .success = 204;
  routes.push_back({.method = "GET",
                    .path = "/roles",
                    .operation = "listRoles",
                    .summary = "What each role may do.",
                    .verb = Verb::kRead,
                    .resource = Resource::kRoles,
                    .handler = ListRoles,
                    .response_schema = "List"});
}

}  // namespace weir::management::rest
