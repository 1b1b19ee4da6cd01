// Counters: what a request's subjects have used, and how that is set right; and why a request is decided as it is.
#include <boost/json.hpp>

#include "management/rest/api.h"
#include "management/rest/handlers.h"
#include "management/rest/record_body.h"
#include "management/rest/request_body.h"
#include "storage/admin.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

json::object ToJsonObject(const RuleOutcome& rule) {
  json::object out;
  out["rule"] = rule.rule;
  out["level"] = ToString(rule.level);
  out["shadow"] = rule.shadow;
  out["limit"] = rule.outcome.limit;
  out["used"] = rule.outcome.used;
  out["remaining"] = rule.outcome.remaining;
  out["reset_after_seconds"] = static_cast<double>(rule.outcome.reset_after_ns) / static_cast<double>(kSecond);
  if (rule.outcome.retry_after_ns > 0) {
    out["retry_after_seconds"] = static_cast<double>(rule.outcome.retry_after_ns) / static_cast<double>(kSecond);
  }
  return out;
}

json::object ToJsonObject(const Decision& decision, const std::vector<std::string>& subjects) {
  json::object out;
  out["allowed"] = decision.allowed;
  out["reason"] = ToString(decision.reason);
  json::array rules;
  for (std::uint32_t i = 0; i < decision.rule_count; ++i) {
    json::object rule = ToJsonObject(decision.rules()[i]);
    if (i < subjects.size()) rule["subject"] = subjects[i];
    rules.push_back(std::move(rule));
  }
  out["rules"] = std::move(rules);
  return out;
}

struct Asked {
  OwnedRequest owned;
  std::uint64_t number = 0;  // `cost` or `used`
};

// {"request": {...}} and, when it has a name, a number.
std::expected<Asked, Problem> ReadAsked(Context& context, std::string_view number_name) {
  const auto body = number_name.empty() ? ReadObject(context.request.body, {"request", "reason"})
                                        : ReadObject(context.request.body, {"request", "reason", number_name});
  if (!body) return std::unexpected(body.error());
  if (IsMalformedText(*body, "reason")) {
    return std::unexpected(InvalidBody({{.path = "reason", .message = "must be text"}}));
  }
  if (const auto reason = TextOf(*body, "reason")) context.reason = *reason;
  const json::value* const request = body->if_contains("request");
  if (request == nullptr) return std::unexpected(InvalidBody({{.path = "request", .message = "is missing"}}));
  auto owned = ReadRequest(*request, "request");
  if (!owned) return std::unexpected(std::move(owned.error()));
  Asked asked{.owned = std::move(*owned)};
  if (!number_name.empty()) {
    const json::value* const number = body->if_contains(number_name);
    boost::system::error_code fault;
    if (number != nullptr) asked.number = number->to_number<std::uint64_t>(fault);
    if (number == nullptr || fault) {
      return std::unexpected(InvalidBody({{.path = std::string(number_name), .message = "must be an integer >= 0"}}));
    }
  }
  context.object.id =
      std::string(asked.owned.request.user.empty() ? asked.owned.request.peer_ip : asked.owned.request.user);
  return asked;
}

std::string Peek(engine::Engine& engine, const Request& request, bool explain) {
  std::vector<std::string> subjects;
  std::vector<ExplainStep> steps;
  engine::Call call;
  call.kind = engine::CallKind::kPeek;
  call.request = request;
  call.subjects = &subjects;
  if (explain) call.trace = &steps;
  engine.Run({&call, 1});
  json::object out = ToJsonObject(call.decision, subjects);
  if (explain) {
    json::array told;
    for (const ExplainStep& step : steps) told.push_back(json::object{{"stage", step.stage}, {"detail", step.detail}});
    out["explain"] = std::move(told);
  }
  return json::serialize(out);
}

Answer GetCounters(Api& api, Context& context) {
  auto asked = ReadAsked(context, "");
  if (!asked) return std::unexpected(std::move(asked.error()));
  asked->owned.request.cost = 0;
  return JsonResponse(200, Peek(*api.options().engine, asked->owned.request, false));
}

Answer Explain(Api& api, Context& context) {
  auto asked = ReadAsked(context, "");
  if (!asked) return std::unexpected(std::move(asked.error()));
  return JsonResponse(200, Peek(*api.options().engine, asked->owned.request, true));
}

// The call is made once the audit log has it; the answer says what there is then.
Answer Change(Api& api, Context& context, Asked& asked, std::span<engine::Call> calls) {
  engine::Engine& engine = *api.options().engine;
  Request look = asked.owned.request;
  look.cost = 0;
  context.before = Peek(engine, look, false);
  context.after = context.request.body;
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  for (engine::Call& call : calls) {
    engine.Run({&call, 1});
    if (!call.status) return std::unexpected(ProblemOf(call.status.error()));
  }
  return JsonResponse(200, Peek(engine, look, false));
}

engine::Call CallOf(engine::CallKind kind, const Request& request, std::uint64_t cost) {
  engine::Call call;
  call.kind = kind;
  call.request = request;
  call.request.cost = cost;
  return call;
}

Answer Reset(Api& api, Context& context) {
  auto asked = ReadAsked(context, "");
  if (!asked) return std::unexpected(std::move(asked.error()));
  engine::Call calls[] = {CallOf(engine::CallKind::kReset, asked->owned.request, 1)};
  return Change(api, context, *asked, calls);
}

Answer Refund(Api& api, Context& context) {
  auto asked = ReadAsked(context, "cost");
  if (!asked) return std::unexpected(std::move(asked.error()));
  engine::Call calls[] = {CallOf(engine::CallKind::kRefund, asked->owned.request, asked->number)};
  return Change(api, context, *asked, calls);
}

Answer Set(Api& api, Context& context) {
  auto asked = ReadAsked(context, "used");
  if (!asked) return std::unexpected(std::move(asked.error()));
  engine::Call calls[] = {CallOf(engine::CallKind::kReset, asked->owned.request, 1),
                          CallOf(engine::CallKind::kCharge, asked->owned.request, asked->number)};
  return Change(api, context, *asked, calls);
}

Answer Scan(Api& api, Context& context) {
  storage::Admin* const admin = api.options().engine->store().GetAdmin();
  if (admin == nullptr) {
    return std::unexpected(
        Problem{.status = 501, .code = "not_supported", .detail = "this store cannot be looked through"});
  }
  const auto page = api.PageOf(context);
  if (!page) return std::unexpected(page.error());
  auto found = admin->Scan(page->position, page->limit, api.options().clock->Now());
  if (!found) return std::unexpected(ProblemOf(found.error()));
  json::array items;
  for (const storage::StateRecord& state : found->states) {
    json::object one;
    if (!state.name.rule.empty()) one["rule"] = config::PathOfGeneration(state.name.rule);
    if (!state.name.subject.empty()) one["subject"] = state.name.subject;
    one["expires"] = TimestampText(state.expires);
    items.push_back(std::move(one));
  }
  json::object body{{"items", std::move(items)}};
  if (!found->next.empty()) body["next"] = api.NextCursor(context, found->next);
  return JsonResponse(200, json::serialize(body));
}

}  // namespace

void AddCounterRoutes(std::vector<Route>& routes) {
  routes.push_back({.method = "GET",
                    .path = "/counters",
                    .operation = "listCounters",
                    .summary = "The counter states of the store, in no order; memory knows neither rule nor subject.",
                    .verb = Verb::kRead,
                    .resource = Resource::kCounters,
                    .handler = Scan,
                    .response_schema = "List",
                    .query = {{"limit", "how many, 1 to 1000 (100)"}, {"cursor", "`next` of the page before"}}});
  const auto add = [&](std::string path, std::string operation, std::string summary, Verb verb, Resource resource,
                       std::string schema, Handler handler) -> Route& {
    return routes.emplace_back(Route{.method = "POST",
                                     .path = std::move(path),
                                     .operation = std::move(operation),
                                     .summary = std::move(summary),
                                     .verb = verb,
                                     .resource = resource,
                                     .handler = handler,
                                     .body = BodyKind::kJson,
                                     .max_body = 64 << 10,
                                     .request_schema = std::move(schema),
                                     .response_schema = "Counters",
                                     .idempotent = verb != Verb::kRead && verb != Verb::kRun});
  };
  add("/counters/get", "getCounters", "What the subjects of a request have used.", Verb::kRead, Resource::kCounters,
      "CounterRequest", GetCounters)
      .asks_only = true;
  add("/counters/reset", "resetCounters", "Forget what they have used.", Verb::kReset, Resource::kCounters,
      "CounterRequest", Reset);
  add("/counters/refund", "refundCounters", "Give back `cost`, at most what is used.", Verb::kUpdate,
      Resource::kCounters, "CounterRefund", Refund);
  add("/counters/set", "setCounters", "Make `used` what they have used.", Verb::kUpdate, Resource::kCounters,
      "CounterSet", Set);
  add("/explain", "explain", "Why a request would be decided as it would; nothing is counted.", Verb::kRun,
      Resource::kExplain, "CounterRequest", Explain)
      .asks_only = true;
}

}  // namespace weir::management::rest
