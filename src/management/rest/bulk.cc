#include "management/rest/bulk.h"

#include <boost/json.hpp>
#include <map>
#include <set>
#include <utility>

#include "config/document/entity_text.h"
#include "management/rest/api.h"
#include "management/rest/collections.h"
#include "management/rest/entities.h"
#include "management/rest/handlers.h"
#include "management/rest/keys.h"
#include "management/rest/record_body.h"
#include "management/rest/rollouts/candidates.h"
#include "management/rest/tenant_tree.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostItems = 10'000;
constexpr std::size_t kMostBody = std::size_t{16} << 20;
constexpr std::size_t kMostNamed = 100;

const Collection* CollectionOfSegment(std::string_view segment) {
  for (const Collection& one : Collections()) {
    if (one.segment == segment) return &one;
  }
  return nullptr;
}

// One JSON object a line.
std::expected<json::array, Problem> ReadLines(std::string_view text) {
  json::array items;
  std::uint32_t line = 0;
  while (!text.empty()) {
    ++line;
    const std::string_view one = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    // One too many is enough to know that there are too many: the list is refused, not cut.
    if (items.size() > kMostItems) break;
    boost::system::error_code fault;
    json::value value = json::parse(one, fault);
    if (fault) return std::unexpected(InvalidBody({{.line = line, .message = "is not JSON: " + fault.message()}}));
    items.push_back(std::move(value));
  }
  return items;
}

Problem BadItem(std::string message) { return InvalidBody({{.message = std::move(message)}}); }

// The tenants that the items make or change: users of the same call may belong to them.
std::map<std::string, TenantLimits> TenantsIn(const json::array& items) {
  std::map<std::string, TenantLimits> tenants;
  for (const json::value& item : items) {
    if (!item.is_object() || TextOf(item.get_object(), "collection") != "tenants") continue;
    const auto name = TextOf(item.get_object(), "name");
    const json::value* const value = item.get_object().if_contains("value");
    if (!name || value == nullptr || !value->is_object()) continue;
    json::object limits = value->get_object();
    for (const std::string_view beside : {"expires", "labels", "note"}) limits.erase(beside);
    // One with faults is told as an item of its own.
    if (auto read = config::LimitsFromJson<TenantLimits>(json::serialize(limits)))
      tenants.emplace(*name, std::move(*read));
  }
  return tenants;
}

// What is in force, with these in their places. Both outlive it.
config::Surroundings AroundWith(const std::map<std::string, TenantLimits>& tenants, const config::Snapshot& snapshot) {
  config::Surroundings around = config::SurroundingsOf(snapshot);
  around.tenant = [&tenants, there = around.tenant](const std::string& name) -> std::optional<TenantLimits> {
    const auto found = tenants.find(name);
    return found != tenants.end() ? found->second : there(name);
  };
  return around;
}

}  // namespace

BulkItem ReadBulkItem(Api& api, Context& context, const json::value& value, const config::Surroundings& around) {
  BulkItem item;
  const auto refuse = [&](Problem problem) {
    item.refused = std::move(problem);
    return std::move(item);
  };
  if (!value.is_object()) return refuse(BadItem("must be a JSON object"));
  const json::object& object = value.get_object();
  const auto method = TextOf(object, "method"), segment = TextOf(object, "collection"), name = TextOf(object, "name");
  if (!method || !segment || !name || (*method != "PUT" && *method != "DELETE")) {
    return refuse(BadItem("needs method (PUT or DELETE), collection and name"));
  }
  const Collection* const collection = CollectionOfSegment(*segment);
  if (collection == nullptr || collection->kind == "api_keys" || collection->kind == config::kOverrides) {
    return refuse(BadItem("there is no such collection here: '" + *segment + "'"));
  }
  if (!collection->entity && !api.options().live->policy_in_store()) {
    return refuse({.status = 409, .code = "policy_is_a_file", .detail = "the policy comes from a file"});
  }
  auto found = FindRecord(api, *collection, *name);
  if (!found) return refuse(std::move(found.error()));
  const bool removes = *method == "DELETE";
  const Verb verb = removes ? Verb::kDelete : Verb::kUpdate;
  // In each of the tenants that the record, as this body has it, belongs to.
  const auto may = [&](const config::RecordBody* body) -> std::optional<Problem> {
    std::set<std::string> tenants = {""};
    if (collection->scoped && body != nullptr) tenants = TenantsOf(api, *collection, *name, *body);
    const bool ends = removes || (body != nullptr && *found && MovesExpiry(&(*found)->body, *body));
    if (ends && collection->kind == "tenants") tenants.merge(TenantsOfTenant(*context.in_force, *name, nullptr));
    for (const std::string& tenant : tenants) {
      if (AllowedIn(*context.in_force, context.principal, verb, collection->resource, tenant)) continue;
      return Problem{.status = 403,
                     .code = "forbidden",
                     .detail = MissingPermission(context.principal, verb, collection->resource, tenant)};
    }
    return std::nullopt;
  };
  const config::RecordBody* const before = *found ? &(*found)->body : nullptr;
  if (before != nullptr || removes) {
    if (auto refused = may(before)) return refuse(std::move(*refused));
  }
  item.write.id = {.kind = std::string(collection->kind), .key = *name};
  // As with one record alone: what another tenant makes of it meanwhile is not overwritten.
  if (collection->scoped && !ReachOf(context.principal, verb, collection->resource).everywhere) {
    item.write.if_version = *found ? (*found)->version : 0;
  }
  if (removes) {
    if (*found && (*found)->version == 0) {
      return refuse({.status = 409, .code = "written_in_the_file", .detail = "it can be removed only in the file"});
    }
    return item;
  }
  const json::value* const body = object.if_contains("value");
  if (body == nullptr) return refuse(BadItem("needs a value"));
  auto read = ReadRecordBody(*collection, *name, json::serialize(*body), around);
  if (auto refused = may(read ? &*read : before)) return refuse(std::move(*refused));
  if (!read) {
    for (BodyFault& fault : read.error()) fault.line = fault.column = 0;
    return refuse(InvalidBody(std::move(read.error())));
  }
  if (auto refused = RefuseHostAccess(read->value)) return refuse(std::move(*refused));
  item.write.body = std::move(*read);
  return item;
}

std::expected<std::vector<config::RecordWrite>, Problem> ReadChanges(Api& api, Context& context,
                                                                     const json::value& items) {
  if (!items.is_array() || items.get_array().empty() || items.get_array().size() > kMostItems) {
    return std::unexpected(InvalidBody({{.path = "changes", .message = "must be a list of 1 to 10000 changes"}}));
  }
  const auto snapshot = api.options().engine->snapshot();
  const std::map<std::string, TenantLimits> tenants = TenantsIn(items.get_array());
  const config::Surroundings around = AroundWith(tenants, *snapshot);
  std::vector<config::RecordWrite> writes;
  std::set<config::RecordId> seen;
  std::vector<BodyFault> faults;
  for (std::size_t i = 0; i < items.get_array().size(); ++i) {
    BulkItem item = ReadBulkItem(api, context, items.get_array()[i], around);
    if (!item.refused && !seen.insert(item.write.id).second) item.refused = BadItem("is there twice");
    if (!item.refused) {
      writes.push_back(std::move(item.write));
      continue;
    }
    if (item.refused->status == 403) return std::unexpected(std::move(*item.refused));
    std::string path = "changes." + std::to_string(i);
    if (!item.refused->errors.empty() && !item.refused->errors.front().path.empty()) {
      path += ".value." + item.refused->errors.front().path;
    }
    faults.push_back({.path = std::move(path), .message = item.refused->detail});
  }
  if (!faults.empty()) return std::unexpected(InvalidBody(std::move(faults)));
  return writes;
}

namespace {

std::optional<Problem> Try(Api& api, const std::vector<config::RecordWrite>& writes) {
  std::vector<config::RecordWrite> policy, entities;
  for (const config::RecordWrite& write : writes) (ChangesPolicy(write) ? policy : entities).push_back(write);
  if (!policy.empty()) {
    if (auto refused = TryPolicy(api, policy)) return refused;
  }
  // Entities that use a tier of this very change are judged when it is in force.
  if (!entities.empty() && policy.empty()) return TryEntities(api, entities);
  return std::nullopt;
}

json::object ToJsonObject(std::size_t index, const Problem& problem) {
  json::object out{{"index", index}, {"status", problem.status}, {"code", problem.code}, {"detail", problem.detail}};
  if (!problem.errors.empty() && !problem.errors.front().path.empty()) out["path"] = problem.errors.front().path;
  return out;
}

Answer Bulk(Api& api, Context& context) {
  bool atomic = true, dry_run = false;
  json::array given;
  if (context.request.headers.content_type.starts_with("application/x-ndjson")) {
    auto lines = ReadLines(context.request.body);
    if (!lines) return std::unexpected(std::move(lines.error()));
    given = std::move(*lines);
  } else {
    auto body = ReadObject(context.request.body, {"atomic", "dry_run", "reason", "items"});
    if (!body) return std::unexpected(std::move(body.error()));
    for (const auto& [name, to] : {std::pair<std::string_view, bool*>{"atomic", &atomic}, {"dry_run", &dry_run}}) {
      const json::value* const one = body->if_contains(name);
      if (one == nullptr) continue;
      if (!one->is_bool()) {
        return std::unexpected(InvalidBody({{.path = std::string(name), .message = "must be true or false"}}));
      }
      *to = one->get_bool();
    }
    if (const auto reason = TextOf(*body, "reason")) context.reason = *reason;
    const json::value* const items = body->if_contains("items");
    if (items == nullptr || !items->is_array()) {
      return std::unexpected(InvalidBody({{.path = "items", .message = "must be a list"}}));
    }
    given = items->get_array();
  }
  if (given.empty() || given.size() > kMostItems) {
    return std::unexpected(InvalidBody({{.path = "items", .message = "must have 1 to 10000 entries"}}));
  }
  const auto snapshot = api.options().engine->snapshot();
  const std::map<std::string, TenantLimits> tenants = TenantsIn(given);
  const config::Surroundings around = AroundWith(tenants, *snapshot);
  std::vector<config::RecordWrite> writes;
  std::set<config::RecordId> seen;
  json::array refused, names;
  for (std::size_t i = 0; i < given.size(); ++i) {
    BulkItem item = ReadBulkItem(api, context, given[i], around);
    if (!item.refused && !seen.insert(item.write.id).second) item.refused = BadItem("is there twice");
    if (item.refused) {
      if (atomic && item.refused->status == 403) return std::unexpected(std::move(*item.refused));
      refused.push_back(ToJsonObject(i, *item.refused));
      continue;
    }
    if (names.size() < kMostNamed) names.push_back(json::string(config::Describe(item.write.id)));
    writes.push_back(std::move(item.write));
  }
  if (!refused.empty() && (atomic || writes.empty())) {
    std::vector<BodyFault> faults;
    for (const json::value& one : refused) {
      const json::object& told = one.get_object();
      const auto path = TextOf(told, "path");
      faults.push_back({.path = "items." + json::serialize(told.at("index")) + (path ? ".value." + *path : ""),
                        .message = *TextOf(told, "detail")});
    }
    return std::unexpected(InvalidBody(std::move(faults)));
  }
  if (auto fault = Try(api, writes)) return std::unexpected(std::move(*fault));
  const std::size_t count = writes.size();
  if (dry_run) {  // every check was made, and nothing is kept
    context.after = json::serialize(json::object{{"dry_run", true}, {"items", count}});
    return JsonResponse(
        200, json::serialize(
                 json::object{{"dry_run", true}, {"changed", false}, {"applied", 0}, {"refused", std::move(refused)}}));
  }
  context.after = json::serialize(json::object{{"items", count}, {"names", std::move(names)}});
  const auto appended = api.Append(context, {.writes = std::move(writes)});
  if (!appended) return std::unexpected(appended.error());
  json::object out{{"revision", appended->revision.number},
                   {"changed", appended->changed},
                   {"applied", count},
                   {"refused", std::move(refused)}};
  return JsonResponse(200, json::serialize(out));
}

}  // namespace

void AddBulkRoutes(std::vector<Route>& routes) {
  // Each item needs the permission that it would need alone.
  routes.push_back(
      {.method = "POST",
       .path = "/bulk",
       .operation = "bulk",
       .summary = "Put and remove up to 10,000 records as one revision, all or (atomic: false) those that can be.",
       .verb = Verb::kUpdate,
       .resource = Resource::kConfig,
       .handler = Bulk,
       .scope = Scope::kAny,
       .body = BodyKind::kNdjsonOrJson,
       .max_body = kMostBody,
       .request_schema = "Bulk",
       .idempotent = true,
       .heavy = true});
}

}  // namespace weir::management::rest
