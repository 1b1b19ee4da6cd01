#include "management/rest/api.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <utility>

#include "base/ascii.h"
#include "base/log.h"
#include "http/query.h"
#include "management/auth/crypto.h"
#include "management/auth/secret_token.h"
#include "management/rest/etag.h"
#include "management/rest/handlers.h"
#include "management/rest/tenant_tree.h"

namespace weir::management::rest {

namespace {

constexpr std::size_t kMostParameters = 32;
constexpr std::size_t kMostPage = 1'000;
constexpr std::size_t kLongestReason = 1'000;
constexpr std::string_view kPositionContext = "weir positions of lists v1";

// "localhost:8089" -> "localhost", "[::1]:8089" -> "[::1]".
std::string_view NameOfHost(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') == std::string_view::npos ? 0 : host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool IsAddress(std::string_view name) {
  if (name.starts_with('[')) return true;
  return !name.empty() && name.find_first_not_of("0123456789.") == std::string_view::npos;
}

// A new id for each request: 80 random bits.
std::string NewRequestId() { return "req_" + MakeSecret("r").substr(2, 16); }

}  // namespace

Problem ToProblem(const Refusal& refusal) {
  switch (refusal.kind) {
    case Refusal::Kind::kCsrf:
      return {.status = 403, .code = "csrf", .detail = "a change that comes with a cookie needs X-CSRF-Token"};
    case Refusal::Kind::kTooMany:
    case Refusal::Kind::kUnavailable: {
      const bool many = refusal.kind == Refusal::Kind::kTooMany;
      const Nanos seconds = std::max<Nanos>((refusal.retry_after + kSecond - 1) / kSecond, 1);
      return {.status = many ? 429 : 503,
              .code = many ? "too_many_attempts" : "authentication_unavailable",
              .detail = many ? "too many attempts with wrong credentials came from this address"
                             : "credentials cannot be checked at the moment",
              .headers = {{"Retry-After", std::to_string(seconds)}}};
    }
    default:
      return {.status = 401,
              .code = "unauthenticated",
              .detail = "credentials are needed: Authorization: Bearer TOKEN",
              .headers = {{"WWW-Authenticate", "Bearer"}}};
  }
}

namespace {}  // namespace

Presented PresentedBy(const ApiRequest& request) {
  const std::string_view method = request.method;
  return {.authorization = request.headers.authorization,
          .cookie = request.headers.cookie,
          .csrf = request.headers.csrf,
          .changes = method != "GET" && method != "HEAD" && method != "OPTIONS",
          .peer = request.peer,
          .certificate = request.certificate};
}

const std::string* Context::Query(std::string_view name) const {
  const auto found = std::ranges::find(query, name, &std::pair<std::string, std::string>::first);
  return found == query.end() ? nullptr : &found->second;
}

std::optional<Problem> Context::Authorise(std::string_view tenant) const {
  if (AllowedIn(*in_force, principal, route.verb, route.resource, tenant)) return std::nullopt;
  return Problem{
      .status = 403, .code = "forbidden", .detail = MissingPermission(principal, route.verb, route.resource, tenant)};
}

ApiResponse JsonResponse(int status, std::string body) {
  ApiResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

Api::Api(ApiOptions options)
    : options_(std::move(options)),
      routes_(AllRoutes()),
      cursors_(options_.cursor_key),
      position_key_(HmacSha256(options_.cursor_key, kPositionContext)) {}

bool Api::IsHeavy(const ApiRequest& request) const {
  const RouteTable::Match match = routes_.Find(request.method, http::TargetPath(request.target));
  return match.route != nullptr && match.route->heavy;
}

bool Api::May(const ApiRequest& request, Verb verb, Resource resource) const {
  const auto principal = options_.auth->Authenticate(PresentedBy(request), options_.clock->Wall());
  return principal && Allowed(*principal, verb, resource, "");
}

ApiResponse Api::Handle(ApiRequest request) {
  request.request_id = NewRequestId();
  ApiResponse response;
  try {
    response = Dispatch(request);
  } catch (const std::exception& error) {
    log::Error("a management request failed",
               {{"request_id", request.request_id}, {"method", request.method}, {"why", error.what()}});
    response = ToResponse({.status = 500, .code = "internal", .detail = "a fault of weir's own; its log says more"},
                          request.request_id);
  }
  response.headers.emplace_back("X-Request-Id", request.request_id);
  return response;
}

std::optional<Problem> Api::RefuseForeign(const ApiRequest& request) const {
  const ApiHeaders& headers = request.headers;
  const std::string_view name = NameOfHost(headers.host);
  if (options_.hosts->check) {
    const bool known =
        EqualsIgnoreCase(name, "localhost") || IsAddress(name) ||
        std::ranges::any_of(options_.hosts->names, [&](const std::string& one) { return EqualsIgnoreCase(one, name); });
    if (!known) {
      return Problem{.status = 421,
                     .code = "unknown_host",
                     .detail = "this listener does not answer to that Host; server.admin.hosts lists the names"};
    }
  }
  const bool same_origin = headers.origin.empty() || headers.origin == "http://" + headers.host ||
                           headers.origin == "https://" + headers.host;
  // A redirect is judged by whoever it is for; it brings an Origin only with a form.
  const RouteTable::Match match = routes_.Find(request.method, http::TargetPath(request.target));
  const bool own_site = (match.route != nullptr && match.route->cross_site) || headers.sec_fetch_site.empty() ||
                        headers.sec_fetch_site == "same-origin" || headers.sec_fetch_site == "none";
  if (same_origin && own_site) return std::nullopt;
  return Problem{.status = 403,
                 .code = "foreign_origin",
                 .detail = "a page of another site made a browser send this; it is not answered"};
}

std::optional<Problem> Api::RefuseBody(const ApiRequest& request, const Route& route) const {
  if (route.body == BodyKind::kNone) {
    if (request.body.empty()) return std::nullopt;
    return BadRequest("unexpected_body", "this takes no body");
  }
  if (request.body.size() > route.max_body) {
    return Problem{.status = 413,
                   .code = "body_too_large",
                   .detail = "the body has more than " + std::to_string(route.max_body) + " bytes"};
  }
  const std::string_view type = request.headers.content_type;
  const std::string media = LowerCase(std::string(type.substr(0, type.find_first_of("; \t"))));
  const bool json = media == "application/json";
  const bool yaml = media == "application/yaml" || media == "application/x-yaml" || media == "text/yaml";
  const bool fits = [&] {
    switch (route.body) {
      case BodyKind::kJson:
        return json;
      case BodyKind::kMergePatch:
        return json || media == "application/merge-patch+json";
      case BodyKind::kDocument:
        return json || yaml;
      case BodyKind::kNdjsonOrJson:
        return json || media == "application/x-ndjson";
      case BodyKind::kForm:
        return media == "application/x-www-form-urlencoded";
      case BodyKind::kNone:
        break;
    }
    return false;
  }();
  if (fits) return std::nullopt;
  return Problem{
      .status = 415,
      .code = "unsupported_media_type",
      .detail = route.body == BodyKind::kForm
                    ? std::string("this takes application/x-www-form-urlencoded")
                    : "this takes application/json" +
                          std::string(route.body == BodyKind::kMergePatch     ? " or application/merge-patch+json"
                                      : route.body == BodyKind::kDocument     ? " or application/yaml"
                                      : route.body == BodyKind::kNdjsonOrJson ? " or application/x-ndjson"
                                                                              : "")};
}

std::expected<Principal, Problem> Api::Authenticate(const ApiRequest& request, Nanos now) {
  auto principal = options_.auth->Authenticate(PresentedBy(request), now);
  if (principal) return std::move(*principal);
  const Refusal& refusal = principal.error();
  // Who guesses is counted and logged. Recorded is what the address has attempts for, so that nobody fills the disk.
  if (options_.guard != nullptr && refusal.kind != Refusal::Kind::kMissing) {
    options_.guard->Failed(request.peer, options_.clock->Now());
  }
  if (refusal.kind == Refusal::Kind::kInvalid || refusal.kind == Refusal::Kind::kCsrf) {
    audit::Record record;
    record.time = now;
    record.action = "authenticate";
    record.address = request.peer;
    record.user_agent = request.headers.user_agent;
    record.request_id = request.request_id;
    record.outcome = audit::Outcome::kDenied;
    record.status = static_cast<std::uint16_t>(refusal.kind == Refusal::Kind::kCsrf ? 403 : 401);
    record.reason = refusal.reason;
    if (const auto written = options_.audit->Append(record, now); !written) {
      log::Error("an audit record was not written", {{"why", written.error().message}});
    }
  }
  return std::unexpected(ToProblem(refusal));
}

ApiResponse Api::Dispatch(ApiRequest& request) {
  const auto refuse = [&](const Problem& problem) { return ToResponse(problem, request.request_id); };
  if (const auto foreign = RefuseForeign(request)) return refuse(*foreign);
  const Nanos now = options_.clock->Wall();
  RouteTable::Match match = routes_.Find(request.method, http::TargetPath(request.target));
  const bool is_public = match.route != nullptr && match.route->scope == Scope::kPublic;
  // A caller without permission must not learn which records exist.
  const auto principal = is_public ? Principal() : Authenticate(request, now);
  if (!principal) return refuse(principal.error());
  if (match.allow.empty()) return refuse(NotFound("there is no such path; GET /admin/v1/openapi.json lists them"));
  if (request.method == "OPTIONS") {
    ApiResponse response{.status = 204};
    response.headers.emplace_back("Allow", match.allow);
    return response;
  }
  if (match.route == nullptr) {
    return refuse({.status = 405,
                   .code = "method_not_allowed",
                   .detail = "this path does not know the method",
                   .headers = {{"Allow", match.allow}}});
  }
  Context context{.request = request,
                  .route = *match.route,
                  .principal = *principal,
                  .parameters = std::move(match.parameters),
                  .query = {},
                  .now = now,
                  .in_force = options_.engine->snapshot()};
  context.reason = request.headers.reason.substr(0, kLongestReason);
  context.object.kind = std::string(NameOf(context.route.resource));
  if (!context.parameters.empty()) context.object.id = context.parameters.front();
  const Answer answer = Run(context);
  const bool recorded = context.route.writes() || context.route.sensitive;
  if (answer) {
    if (recorded && !context.audited) AuditOutcome(context, answer->status, "");
    return *answer;
  }
  const Problem& problem = answer.error();
  // Anybody can send what is malformed to a route that asks for no credentials: of those only what was denied is
  // recorded, for which attempts are counted, so that nobody fills the disk.
  const bool denied = problem.status == 403 || (is_public && problem.status == 401);
  if (denied || (recorded && !is_public)) AuditOutcome(context, problem.status, problem.detail);
  return refuse(problem);
}

Answer Api::Run(Context& context) {
  const Route& route = context.route;
  if (route.scope == Scope::kWhole) {
    if (auto refused = context.Authorise("")) return std::unexpected(std::move(*refused));
  } else if (route.scope == Scope::kWithin) {
    const Reach reach = ReachOf(context.principal, route.verb, route.resource);
    if (!reach.everywhere && reach.tenants.empty()) return std::unexpected(*context.Authorise(""));
  }
  std::string_view rest = http::TargetQuery(context.request.target);
  for (std::string name, value; http::NextParameter(&rest, &name, &value);) {
    const bool known = std::ranges::any_of(route.query, [&](const Parameter& one) { return one.name == name; });
    if (!known && route.cross_site) continue;  // of the site that sent the browser here
    if (!known) return std::unexpected(BadRequest("unknown_parameter", "there is no query parameter '" + name + "'"));
    if (context.Query(name) != nullptr && name != "label") {
      return std::unexpected(BadRequest("repeated_parameter", "the query parameter '" + name + "' is there twice"));
    }
    if (context.query.size() == kMostParameters) {
      return std::unexpected(BadRequest("too_many_parameters", "there are too many query parameters"));
    }
    context.query.emplace_back(name, value);
  }
  if (auto refused = RefuseBody(context.request, route)) return std::unexpected(std::move(*refused));
  if (route.body == BodyKind::kDocument) {
    if (auto refused = RefuseHostAccessOfDocument(context.request.body)) return std::unexpected(std::move(*refused));
  }
  return RunOnce(context);
}

Answer Api::Do(Context& context) {
  Answer answer = context.route.handler(*this, context);
  if (!answer && context.deferred) return std::move(*context.deferred);
  return answer;
}

namespace {

// Whose Idempotency-Keys they are. A JWT is renewed every few minutes, and its bearer stays the same; every other
// credential has keys of its own. Lengths first, so that no two of them are the same text.
std::string OwnerOfKeys(const Principal& principal) {
  const std::string_view credential =
      principal.method == AuthMethod::kJwt ? "" : std::string_view(principal.credential);
  std::string who;
  for (const std::string_view part :
       {NameOf(principal.method), std::string_view(principal.tenant), std::string_view(principal.name),
        std::string_view(principal.identity), credential}) {
    who.append(std::to_string(part.size())).append(":").append(part);
  }
  return who;
}

}  // namespace

// With an Idempotency-Key: done once, and answered alike each time.
Answer Api::RunOnce(Context& context) {
  const std::string& key = context.request.headers.idempotency_key;
  if (key.empty() || !context.route.idempotent) return Do(context);
  if (key.size() > IdempotencyTable::kLongestKey) {
    return std::unexpected(BadRequest("invalid_idempotency_key", "the Idempotency-Key has more than 255 bytes"));
  }
  const std::string who = OwnerOfKeys(context.principal);
  const std::string what = context.request.method + ' ' + context.request.target + '\n' + context.request.body;
  auto begun = idempotency_.Begin(who, key, what, context.now);
  switch (begun.state) {
    case IdempotencyTable::State::kRunning:
      return std::unexpected(Problem{
          .status = 409, .code = "request_in_progress", .detail = "a request with this Idempotency-Key is being done"});
    case IdempotencyTable::State::kOther:
      return std::unexpected(Problem{.status = 422,
                                     .code = "idempotency_key_reused",
                                     .detail = "this Idempotency-Key was used for another request"});
    case IdempotencyTable::State::kAnswered:
      context.audited = true;  // it was, when it was done
      begun.answer->headers.emplace_back("Idempotent-Replayed", "true");
      return *begun.answer;
    case IdempotencyTable::State::kNew:
      break;
  }
  Answer answer = Do(context);
  if (answer) {
    idempotency_.Finish(who, key, *answer, context.now);
  } else {
    idempotency_.Abandon(who, key);
  }
  return answer;
}

std::string Api::QueryName(const Context& context) const {
  std::string name = context.route.operation;
  for (const std::string& parameter : context.parameters) name += '\n' + parameter;
  for (const auto& [key, value] : context.query) {
    if (key != "cursor" && key != "limit") name += '\n' + key + '=' + value;
  }
  return name;
}

std::expected<Api::Page, Problem> Api::PageOf(const Context& context) const {
  Page page;
  if (const std::string* limit = context.Query("limit")) {
    const char* const end = limit->data() + limit->size();
    const auto [at, fault] = std::from_chars(limit->data(), end, page.limit);
    if (fault != std::errc() || at != end || page.limit == 0 || page.limit > kMostPage) {
      return std::unexpected(BadRequest("invalid_limit", "limit must be a number from 1 to 1000"));
    }
  }
  if (const std::string* cursor = context.Query("cursor")) {
    const std::string list = QueryName(context);
    const auto sealed = cursors_.Open(list, *cursor);
    if (!sealed) return std::unexpected(BadRequest("invalid_cursor", sealed.error().message));
    if (!Unseal(position_key_, list, *sealed, &page.position)) {
      return std::unexpected(BadRequest("invalid_cursor", "the cursor is not one of this list"));
    }
  }
  return page;
}

std::string Api::NextCursor(const Context& context, std::string_view position) const {
  const std::string list = QueryName(context);
  return cursors_.Sign(list, Seal(position_key_, list, position));
}

}  // namespace weir::management::rest
