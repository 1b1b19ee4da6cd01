// How it fares: statistics, instances, stores, the audit log, the description of the API.
#include <boost/json.hpp>

#include "management/audit/audit_log.h"
#include "management/rest/api.h"
#include "management/rest/handlers.h"
#include "management/rest/openapi.h"
#include "management/rest/record_body.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

Answer Stats(Api& api, Context& /*context*/) { return JsonResponse(200, api.options().stats->Json()); }

Answer Stream(Api& api, Context& /*context*/) {
  ApiResponse response;
  response.content_type = "text/event-stream";
  response.stream = true;
  if (const auto event = api.options().stats->Event()) response.body = *event;
  return response;
}

Answer Instances(Api& api, Context& /*context*/) {
  const InstanceInfo& instance = api.options().instance;
  json::object one{{"node", instance.node},
                   {"version", instance.version},
                   {"started", TimestampText(instance.started)},
                   {"revision", api.options().live->in_force()},
                   {"policy", api.options().live->policy_in_store() ? "store" : "file"}};
  if (!api.options().policy_file.empty()) one["policy_file"] = api.options().policy_file;
  return JsonResponse(200, json::serialize(json::object{{"items", json::array{std::move(one)}}}));
}

std::string_view NameOfHealth(storage::Health health) {
  switch (health) {
    case storage::Health::kUp:
      return "up";
    case storage::Health::kDegraded:
      return "degraded";
    case storage::Health::kDown:
      return "down";
  }
  return "down";
}

Answer Stores(Api& api, Context& /*context*/) {
  const storage::Store& store = api.options().engine->store();
  const storage::StoreStats stats = store.Stats();
  json::object one{{"name", store.Name()},
                   {"health", NameOfHealth(store.GetHealth())},
                   {"entries", stats.entries},
                   {"capacity", stats.capacity},
                   {"bytes", stats.bytes},
                   {"reclaimed", stats.reclaimed},
                   {"evicted_live", stats.evicted_live},
                   {"refused_new", stats.refused_new},
                   {"failures", stats.failures},
                   {"round_trips", stats.round_trips}};
  json::object audit{{"name", "audit"},
                     {"health", api.options().audit->failing() ? "down" : "up"},
                     {"records", api.options().audit->last()}};
  return JsonResponse(200, json::serialize(json::object{{"items", json::array{std::move(one), std::move(audit)}}}));
}

json::value Parsed(const std::string& text) {
  boost::system::error_code fault;
  json::value value = json::parse(text, fault);
  return fault ? json::value(nullptr) : value;
}

json::object ToJsonObject(const audit::Record& record) {
  json::array roles;
  for (const std::string& role : record.actor.roles) roles.push_back(json::string(role));
  json::object out{
      {"seq", record.seq},
      {"time", TimestampText(record.time)},
      {"actor", json::object{{"name", record.actor.name},
                             {"kind", record.actor.kind},
                             {"roles", std::move(roles)},
                             {"tenant", record.actor.tenant},
                             {"method", record.actor.method},
                             {"credential", record.actor.credential}}},
      {"action", record.action},
      {"object",
       json::object{{"kind", record.object.kind}, {"id", record.object.id}, {"tenant", record.object.tenant}}},
      {"outcome", audit::NameOf(record.outcome)},
      {"status", record.status},
      {"reason", record.reason},
      {"address", record.address},
      {"user_agent", record.user_agent},
      {"request_id", record.request_id},
      {"node", record.node},
      {"version", record.version},
      {"hash", record.hash}};
  if (!record.before.empty()) out["before"] = Parsed(record.before);
  if (!record.after.empty()) out["after"] = Parsed(record.after);
  return out;
}

std::expected<audit::Filter, Problem> FilterOf(const Context& context) {
  audit::Filter filter;
  const std::pair<std::string_view, std::string*> texts[] = {
      {"actor", &filter.actor},      {"action", &filter.action},         {"object", &filter.object_id},
      {"kind", &filter.object_kind}, {"request_id", &filter.request_id}, {"address", &filter.address}};
  for (const auto& [name, to] : texts) {
    if (const std::string* value = context.Query(name)) *to = *value;
  }
  if (const std::string* outcome = context.Query("outcome")) {
    for (const auto one : {audit::Outcome::kSuccess, audit::Outcome::kDenied, audit::Outcome::kError}) {
      if (audit::NameOf(one) == *outcome) filter.outcome = one;
    }
    if (!filter.outcome) {
      return std::unexpected(BadRequest("invalid_outcome", "outcome must be success, denied or error"));
    }
  }
  for (const auto& [name, to] : {std::pair<std::string_view, Nanos*>{"from", &filter.from}, {"to", &filter.to}}) {
    const std::string* const value = context.Query(name);
    if (value == nullptr) continue;
    const auto time = ParseTimestamp(*value);
    if (!time) return std::unexpected(BadRequest("invalid_time", std::string(name) + " must be a time in RFC 3339"));
    *to = *time;
  }
  return filter;
}

// A caller that may see the records of one tenant only.
std::expected<audit::Filter, Problem> ReachableFilter(const Context& context) {
  auto filter = FilterOf(context);
  if (!filter) return filter;
  const Reach reach = ReachOf(context.principal, context.route.verb, context.route.resource);
  if (reach.everywhere) return filter;
  if (reach.tenants.size() != 1) {
    return std::unexpected(BadRequest("tenant_needed", "use a token of one tenant"));
  }
  filter->tenant = reach.tenants.front();
  return filter;
}

Answer Audit(Api& api, Context& context) {
  const auto page = api.PageOf(context);
  if (!page) return std::unexpected(page.error());
  const auto filter = ReachableFilter(context);
  if (!filter) return std::unexpected(filter.error());
  const auto found = api.options().audit->Query(*filter, page->limit, page->position);
  if (!found) return std::unexpected(ProblemOf(found.error()));
  json::array items;
  for (const audit::Record& record : found->records) items.push_back(ToJsonObject(record));
  json::object body{{"items", std::move(items)}};
  if (!found->next.empty()) body["next"] = api.NextCursor(context, found->next);
  return JsonResponse(200, json::serialize(body));
}

Answer OpenApi(Api& api, Context& /*context*/) { return JsonResponse(200, OpenApiDocument(api.routes().routes())); }

}  // namespace

void AddStatusRoutes(std::vector<Route>& routes) {
  const auto add = [&](std::string path, std::string operation, std::string summary, Resource resource,
                       Handler handler) -> Route& {
    return routes.emplace_back(Route{.method = "GET",
                                     .path = std::move(path),
                                     .operation = std::move(operation),
                                     .summary = std::move(summary),
                                     .verb = Verb::kRead,
                                     .resource = resource,
                                     .handler = handler});
  };
  add("/stats", "getStats", "Counts since the start, rates of the last minute.", Resource::kStats, Stats);
  add("/stats/stream", "streamStats", "The same each second, as server-sent events.", Resource::kStats, Stream);
  add("/instances", "listInstances", "Which weirs there are.", Resource::kInstances, Instances).response_schema =
      "List";
  add("/stores", "listStores", "Where states live, and how that fares.", Resource::kStores, Stores).response_schema =
      "List";
  Route& audit = add("/audit", "listAudit", "The audit log, the newest first.", Resource::kAudit, Audit);
  audit.scope = Scope::kWithin;
  audit.response_schema = "List";
  audit.sensitive = true;
  audit.query = {{"limit", "how many, 1 to 1000 (100)"},
                 {"cursor", "`next` of the page before"},
                 {"actor", "by this name"},
                 {"action", "this permission: update:users, update:*, *:users"},
                 {"kind", "of this kind: users"},
                 {"object", "of this object"},
                 {"outcome", "success, denied or error"},
                 {"request_id", "of this request"},
                 {"address", "from this address"},
                 {"from", "not before (RFC 3339)"},
                 {"to", "before (RFC 3339)"}};
  add("/openapi.json", "getOpenApi", "This API in OpenAPI 3.1.", Resource::kConfig, OpenApi).scope = Scope::kAny;
}

}  // namespace weir::management::rest
