// People: local accounts, their logins and sessions.
#include "management/auth/accounts.h"

#include <algorithm>
#include <boost/json.hpp>

#include "management/auth/sessions.h"
#include "management/rest/api.h"
#include "management/rest/handlers.h"
#include "management/rest/record_body.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

std::unexpected<Problem> None() {
  return std::unexpected(Problem{.status = 501, .code = "not_supported", .detail = "there are no local accounts here"});
}

json::array ToJsonArray(const std::vector<RoleGrant>& roles) {
  json::array out;
  for (const RoleGrant& grant : roles) {
    out.push_back(json::object{{"role", NameOf(grant.role)}, {"tenant", grant.tenant}});
  }
  return out;
}

json::object ToJsonObject(const AccountInfo& account) {
  json::object out{{"name", account.name},
                   {"roles", ToJsonArray(account.roles)},
                   {"tenant", account.tenant},
                   {"disabled", account.disabled},
                   {"created", TimestampText(account.created)},
                   {"changed", TimestampText(account.changed)}};
  if (account.last_login > 0) out["last_login"] = TimestampText(account.last_login);
  return out;
}

Answer List(Api& api, Context& /*context*/) {
  if (api.options().accounts == nullptr) return None();
  json::array items;
  for (const AccountInfo& account : api.options().accounts->List()) items.push_back(ToJsonObject(account));
  return JsonResponse(200, json::serialize(json::object{{"items", std::move(items)}}));
}

Answer Get(Api& api, Context& context) {
  if (api.options().accounts == nullptr) return None();
  const auto account = api.options().accounts->Get(context.parameters.front());
  if (!account) return std::unexpected(ProblemOf(account.error()));
  return JsonResponse(200, json::serialize(ToJsonObject(*account)));
}

struct AccountBody {
  AccountInfo info;
  std::optional<std::string> password;
};

std::expected<AccountBody, Problem> ReadAccount(Context& context) {
  const auto body = ReadObject(context.request.body, {"roles", "tenant", "disabled", "password"});
  if (!body) return std::unexpected(body.error());
  AccountBody account;
  account.info.name = context.parameters.front();
  account.info.tenant = TextOf(*body, "tenant").value_or("");
  account.password = TextOf(*body, "password");
  std::vector<BodyFault> faults;
  for (const std::string_view member : {"tenant", "password"}) {
    if (IsMalformedText(*body, member)) faults.push_back({.path = std::string(member), .message = "must be text"});
  }
  if (const json::value* disabled = body->if_contains("disabled")) {
    if (disabled->is_bool()) {
      account.info.disabled = disabled->get_bool();
    } else {
      faults.push_back({.path = "disabled", .message = "must be true or false"});
    }
  }
  const json::value* const roles = body->if_contains("roles");
  if (roles == nullptr || !roles->is_array() || roles->get_array().empty() || roles->get_array().size() > 16) {
    faults.push_back({.path = "roles", .message = "must be a list of 1 to 16 roles"});
  } else {
    for (const json::value& one : roles->get_array()) {
      const auto role = one.is_string() ? RoleNamed(std::string_view(one.get_string())) : std::nullopt;
      if (!role) {
        faults.push_back({.path = "roles", .message = "must be of viewer, operator, editor, security, admin, auditor"});
        break;
      }
      account.info.roles.push_back({.role = *role, .tenant = account.info.tenant});
    }
  }
  if (!faults.empty()) return std::unexpected(InvalidBody(std::move(faults)));
  return account;
}

// Sessions of an account that has changed end: they were begun as somebody else.
Answer Put(Api& api, Context& context) {
  Accounts* const accounts = api.options().accounts;
  if (accounts == nullptr) return None();
  auto body = ReadAccount(context);
  if (!body) return std::unexpected(std::move(body.error()));
  for (const RoleGrant& grant : body->info.roles) {
    if (MayGrant(context.principal, context.route.verb, context.route.resource, grant)) continue;
    return std::unexpected(Problem{
        .status = 403, .code = "forbidden", .detail = "nobody makes an account that may do more than its maker"});
  }
  const auto before = accounts->Get(context.parameters.front());
  if (before) context.before = json::serialize(ToJsonObject(*before));
  if (!before && !body->password) {
    return std::unexpected(InvalidBody({{.path = "password", .message = "is missing"}}));
  }
  context.after = json::serialize(json::object{{"roles", ToJsonArray(body->info.roles)},
                                               {"tenant", body->info.tenant},
                                               {"disabled", body->info.disabled},
                                               {"password_changed", body->password.has_value()}});
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const Result<> done = before ? accounts->Update(body->info, body->password, context.now)
                               : accounts->Create(body->info, *body->password, context.now);
  if (!done) return std::unexpected(ProblemOf(done.error()));
  if (before && api.options().sessions != nullptr) {
    if (const auto ended = api.options().sessions->EndOf(body->info.name); !ended) {
      return std::unexpected(ProblemOf(ended.error()));
    }
  }
  const auto after = accounts->Get(body->info.name);
  if (!after) return std::unexpected(ProblemOf(after.error()));
  return JsonResponse(before ? 200 : 201, json::serialize(ToJsonObject(*after)));
}

Answer Delete(Api& api, Context& context) {
  if (api.options().accounts == nullptr) return None();
  const auto before = api.options().accounts->Get(context.parameters.front());
  if (!before) return std::unexpected(ProblemOf(before.error()));
  context.before = json::serialize(ToJsonObject(*before));
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const auto done = api.options().accounts->Delete(before->name);
  if (!done) return std::unexpected(ProblemOf(done.error()));
  if (api.options().sessions != nullptr) {
    if (const auto ended = api.options().sessions->EndOf(before->name); !ended) {
      return std::unexpected(ProblemOf(ended.error()));
    }
  }
  return ApiResponse{.status = 204};
}

Answer LogIn(Api& api, Context& context) {
  if (api.options().accounts == nullptr || api.options().sessions == nullptr) return None();
  const auto body = ReadObject(context.request.body, {"account", "password"});
  if (!body) return std::unexpected(body.error());
  const auto account = TextOf(*body, "account"), password = TextOf(*body, "password");
  if (!account || !password) {
    return std::unexpected(InvalidBody({{.path = account ? "password" : "account", .message = "must be text"}}));
  }
  context.object.id = *account;
  auto begun = api.options().auth->LogIn(*account, *password, PresentedBy(context.request), context.now);
  if (!begun) return std::unexpected(ToProblem(begun.error()));
  json::object out{{"name", begun->info.principal.name},
                   {"roles", ToJsonArray(begun->info.principal.roles)},
                   {"csrf", begun->csrf},
                   {"expires", TimestampText(begun->info.expires)}};
  ApiResponse response = JsonResponse(200, json::serialize(out));
  response.headers.emplace_back("Set-Cookie", Sessions::CookieFor(begun->secret));
  return response;
}

Answer LogOut(Api& api, Context& context) {
  if (api.options().sessions == nullptr) return None();
  const std::string_view secret = Sessions::SecretIn(context.request.headers.cookie);
  if (!secret.empty()) {
    if (const auto ended = api.options().sessions->End(secret); !ended) {
      return std::unexpected(ProblemOf(ended.error()));
    }
  }
  ApiResponse response{.status = 204};
  response.headers.emplace_back("Set-Cookie", Sessions::CookieFor(""));
  return response;
}

Answer ListSessions(Api& api, Context& context) {
  if (api.options().sessions == nullptr) return None();
  json::array items;
  for (const SessionInfo& session : api.options().sessions->List(context.now)) {
    items.push_back(json::object{{"id", session.id},
                                 {"name", session.principal.name},
                                 {"address", session.address},
                                 {"created", TimestampText(session.created)},
                                 {"seen", TimestampText(session.seen)},
                                 {"expires", TimestampText(session.expires)}});
  }
  return JsonResponse(200, json::serialize(json::object{{"items", std::move(items)}}));
}

Answer EndSession(Api& api, Context& context) {
  if (api.options().sessions == nullptr) return None();
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const auto ended = api.options().sessions->EndById(context.parameters.front());
  if (!ended) return std::unexpected(ProblemOf(ended.error()));
  return ApiResponse{.status = 204};
}

}  // namespace

void AddAccountRoutes(std::vector<Route>& routes) {
  const auto add = [&](std::string method, std::string path, std::string operation, std::string summary, Verb verb,
                       Resource resource, Handler handler) -> Route& {
    return routes.emplace_back(Route{.method = std::move(method),
                                     .path = std::move(path),
                                     .operation = std::move(operation),
                                     .summary = std::move(summary),
                                     .verb = verb,
                                     .resource = resource,
                                     .handler = handler,
                                     .sensitive = true});
  };
  add("GET", "/accounts", "listAccounts", "Local accounts.", Verb::kRead, Resource::kAccounts, List).response_schema =
      "List";
  add("GET", "/accounts/{name}", "getAccount", "Get a local account.", Verb::kRead, Resource::kAccounts, Get);
  Route& put = add("PUT", "/accounts/{name}", "putAccount",
                   "Make a local account, or change its roles and, when it is given, its password.", Verb::kUpdate,
                   Resource::kAccounts, Put);
  put.body = BodyKind::kJson;
  put.max_body = 16 << 10;
  put.request_schema = "Account";
  add("DELETE", "/accounts/{name}", "deleteAccount", "Remove a local account and end its sessions.", Verb::kDelete,
      Resource::kAccounts, Delete)
      .success = 204;
  add("GET", "/sessions", "listSessions", "Sessions of people.", Verb::kRead, Resource::kSessions, ListSessions)
      .response_schema = "List";
  add("DELETE", "/sessions/{id}", "endSession", "End a session.", Verb::kDelete, Resource::kSessions, EndSession)
      .success = 204;
  Route& login =
      add("POST", "/login", "logIn", "Log in with a local account: a session cookie, and `csrf` for changes.",
          Verb::kCreate, Resource::kSessions, LogIn);
  login.scope = Scope::kPublic;
  login.body = BodyKind::kJson;
  login.max_body = 4 << 10;
  login.request_schema = "Login";
  Route& logout =
      add("POST", "/logout", "logOut", "End the session of the cookie.", Verb::kDelete, Resource::kSessions, LogOut);
  logout.scope = Scope::kAny;
  logout.success = 204;
}

}  // namespace weir::management::rest
