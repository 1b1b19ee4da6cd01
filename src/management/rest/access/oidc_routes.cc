// People in a browser: to the OpenID provider and back, and who one is.
#include <boost/json.hpp>
#include <string>
#include <utility>

#include "http/query.h"
#include "management/auth/external_identity.h"
#include "management/rest/api.h"
#include "management/rest/handlers.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostForm = 16 << 10;

Problem NoProvider() {
  return {
      .status = 404,
      .code = "no_provider",
      .detail = "no OpenID provider is configured (server.admin_auth.oidc); POST /admin/v1/login takes local accounts"};
}

Problem NotLoggedIn(const Error& error) {
  if (error.code == ErrorCode::kUnavailable) {
    return {.status = 503, .code = "provider_unavailable", .detail = error.message, .headers = {{"Retry-After", "10"}}};
  }
  // Not 401: strangers can make as many of these as they like, and each refusal of that kind is recorded.
  return {.status = 400, .code = "login_failed", .detail = error.message};
}

ExternalIdentity* ProviderOf(const Api& api) {
  ExternalIdentity* const external = api.options().external;
  return external != nullptr && external->has_provider() && api.options().sessions != nullptr ? external : nullptr;
}

// The one value of that name; empty: there is none. Of several none is believed.
std::string ValueIn(std::string_view form, std::string_view wanted) {
  std::string found;
  bool repeated = false;
  for (std::string name, value; http::NextParameter(&form, &name, &value);) {
    if (name != wanted) continue;
    repeated = repeated || !found.empty();
    found = value;
  }
  return repeated ? std::string() : found;
}

std::string CookieNamed(std::string_view header, std::string_view name) {
  std::string found;
  while (!header.empty()) {
    const std::size_t end = header.find(';');
    std::string_view pair = header.substr(0, end);
    header.remove_prefix(end == std::string_view::npos ? header.size() : end + 1);
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (!pair.starts_with(name) || pair.substr(name.size(), 1) != "=") continue;
    if (!found.empty()) return {};
    found = pair.substr(name.size() + 1);
  }
  return found;
}

Answer Begin(Api& api, Context& context) {
  ExternalIdentity* const external = ProviderOf(api);
  if (external == nullptr) return std::unexpected(NoProvider());
  const std::string* const asked = context.Query("return_to");
  auto begun = external->BeginLogin(asked == nullptr ? "/" : *asked);
  if (!begun && begun.error().code == ErrorCode::kInvalidArgument) {
    return std::unexpected(BadRequest("invalid_return_to", begun.error().message));
  }
  if (!begun) return std::unexpected(NotLoggedIn(begun.error()));
  ApiResponse response{.status = 302};
  response.headers.emplace_back("Location", begun->url);
  response.headers.emplace_back("Set-Cookie", begun->cookie);
  return response;
}

// A page rather than a redirect: the browser comes from the provider's site, and would not send the new cookie, which
// is SameSite=Strict, along a chain of redirects that began there. IsOwnPath() has said what may be in `path`; quotes
// and angle brackets may.
std::string PageThatGoesTo(std::string_view path) {
  std::string escaped;
  for (const char c : path) {
    switch (c) {
      case '"':
        escaped += "%22";
        break;
      case '\'':
        escaped += "%27";
        break;
      case '<':
        escaped += "%3C";
        break;
      case '>':
        escaped += "%3E";
        break;
      case '&':
        escaped += "&amp;";
        break;
      default:
        escaped += c;
    }
  }
  return "<!doctype html><html lang=\"en\"><title>weir</title><meta http-equiv=\"refresh\" content=\"0;url=" + escaped +
         "\"><p>Logged in. <a href=\"" + escaped + "\">Go on</a></p></html>\n";
}

Answer Finish(Api& api, Context& context) {
  ExternalIdentity* const external = ProviderOf(api);
  if (external == nullptr) return std::unexpected(NoProvider());
  const auto query = [&](std::string_view name) {
    const std::string* const value = context.Query(name);
    return value == nullptr ? std::string() : *value;
  };
  const CallbackQuery answer{
      .state = query("state"), .code = query("code"), .error = query("error"), .issuer = query("iss")};
  if (const Nanos wait = api.options().auth->Blocked(context.request.peer, context.now); wait > 0) {
    return std::unexpected(ToProblem({.kind = Refusal::Kind::kTooMany, .reason = {}, .retry_after = wait}));
  }
  auto finished = external->FinishLogin(answer, CookieNamed(context.request.headers.cookie, kLoginCookie));
  if (!finished) {
    // Of logins that were begun in this browser. Others cost nothing, and any page could send its visitors here with
    // one to have their address slowed down.
    if (finished.error().code == ErrorCode::kFailedPrecondition && api.options().guard != nullptr) {
      api.options().guard->Failed(context.request.peer, api.options().clock->Now());
      api.options().auth->NoteFailure(context.request.peer, context.now);
    }
    Problem problem = NotLoggedIn(finished.error());
    problem.headers.emplace_back("Set-Cookie", ClearLoginCookie());
    return std::unexpected(std::move(problem));
  }
  const Principal& principal = finished->login.principal;
  context.object.id = principal.name;
  if (principal.roles.empty()) {
    return std::unexpected(Problem{.status = 403,
                                   .code = "no_role",
                                   .detail = "the OpenID provider knows you, and nothing gives you a role here",
                                   .headers = {{"Set-Cookie", ClearLoginCookie()}}});
  }
  const SessionInfo info{.principal = principal,
                         .issuer = finished->issuer,
                         .subject = finished->login.subject,
                         .issuer_session = finished->login.session,
                         .address = context.request.peer};
  auto begun = api.options().sessions->Begin(info, Sessions::SecretIn(context.request.headers.cookie), context.now,
                                             [&] { return external->IsCurrent(finished->issuer); });
  if (!begun) return std::unexpected(ProblemOf(begun.error()));
  ApiResponse response{.status = 200, .content_type = "text/html; charset=utf-8"};
  response.body = PageThatGoesTo(finished->return_to);
  response.headers.emplace_back("Set-Cookie", Sessions::CookieFor(begun->secret));
  response.headers.emplace_back("Set-Cookie", ClearLoginCookie());
  response.headers.emplace_back("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  return response;
}

// By the provider itself (OpenID Connect Back-Channel Logout 1.0).
Answer EndByProvider(Api& api, Context& context) {
  ExternalIdentity* const external = ProviderOf(api);
  if (external == nullptr) return std::unexpected(NoProvider());
  const std::string token = ValueIn(context.request.body, "logout_token");
  const auto notice = token.empty()
                          ? Result<LogoutNotice>(Fail(ErrorCode::kInvalidArgument, "there is no logout_token"))
                          : external->ReadLogout(token);
  if (!notice && notice.error().code == ErrorCode::kUnavailable) return std::unexpected(NotLoggedIn(notice.error()));
  if (!notice) return std::unexpected(BadRequest("invalid_logout_token", notice.error().message));
  context.object.id = notice->subject.empty() ? notice->session : notice->subject;
  const auto ended = api.options().sessions->EndOf(notice->issuer, notice->subject, notice->session);
  if (!ended) return std::unexpected(ProblemOf(ended.error()));
  return ApiResponse{.status = 200};
}

// Who the credentials are of, and what a page needs to change something.
Answer Who(Api& /*api*/, Context& context) {
  const Principal& principal = context.principal;
  json::array roles;
  for (const RoleGrant& grant : principal.roles) {
    json::object one{{"role", json::string_view(NameOf(grant.role))}};
    if (!grant.tenant.empty()) one["tenant"] = grant.tenant;
    roles.push_back(std::move(one));
  }
  json::object out{{"name", principal.name},
                   {"kind", json::string_view(NameOf(principal.kind))},
                   {"method", json::string_view(NameOf(principal.method))},
                   {"credential", principal.credential},
                   {"roles", std::move(roles)}};
  if (!principal.tenant.empty()) out["tenant"] = principal.tenant;
  const bool by_cookie = context.request.headers.authorization.empty();
  const std::string_view secret = Sessions::SecretIn(context.request.headers.cookie);
  if (by_cookie && !secret.empty()) out["csrf"] = Sessions::CsrfOf(secret);
  return JsonResponse(200, json::serialize(out));
}

}  // namespace

void AddOidcRoutes(std::vector<Route>& routes) {
  const auto add = [&](std::string method, std::string path, std::string operation, std::string summary, Verb verb,
                       Handler handler) -> Route& {
    return routes.emplace_back(Route{.method = std::move(method),
                                     .path = std::move(path),
                                     .operation = std::move(operation),
                                     .summary = std::move(summary),
                                     .verb = verb,
                                     .resource = Resource::kSessions,
                                     .handler = handler,
                                     .scope = Scope::kPublic});
  };
  Route& begin = add("GET", "/oidc/login", "beginOidcLogin",
                     "For a browser: go to the OpenID provider to log in, and come back.", Verb::kCreate, Begin);
  begin.success = 302;
  begin.query = {{"return_to", "A path of this listener to go to afterwards."}};
  Route& callback =
      add("GET", "/oidc/callback", "finishOidcLogin",
          "Where the OpenID provider sends the browser back to: a session begins.", Verb::kCreate, Finish);
  callback.sensitive = true;
  callback.cross_site = true;
  callback.query = {{"state", "Of the login that was begun."},
                    {"code", "What the provider gives a token for."},
                    {"error", "Why there is none."},
                    {"iss", "The provider (RFC 9207)."}};
  Route& logout =
      add("POST", "/oidc/logout", "endOidcSessions",
          "Back-channel logout: the OpenID provider ends sessions of its own.", Verb::kDelete, EndByProvider);
  logout.body = BodyKind::kForm;
  logout.max_body = kMostForm;
  Route& who = add("GET", "/session", "whoAmI", "Who the credentials are of, and what they may do.", Verb::kRead, Who);
  who.scope = Scope::kAny;
}

}  // namespace weir::management::rest
