#include "management/rest/collections.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <utility>

#include "config/snapshot/key_name.h"
#include "management/rest/api.h"
#include "management/rest/entities.h"
#include "management/rest/etag.h"
#include "management/rest/handlers.h"
#include "management/rest/keys.h"
#include "management/rest/merge_patch.h"
#include "management/rest/record_body.h"
#include "management/rest/tenant_tree.h"

namespace weir::management::rest {

namespace json = boost::json;
using config::RecordBody;

namespace {

constexpr std::size_t kMostBody = std::size_t{256} << 10;
// Pages of the store that one list looks through for what passes its filters.
constexpr int kMostPages = 8;

constexpr Collection kCollections[] = {
    {"tiers", "tiers", "Tier", "a tier", "rule", Resource::kTiers, false, false, "global.tiers."},
    {"tenants", "tenants", "Tenant", "a tenant", "tenant", Resource::kTenants, true, true, "tenants."},
    {"users", "users", "User", "a user", "user", Resource::kUsers, true, true, "users."},
    {"endpoints", "endpoints", "Endpoint", "an endpoint", "endpoint", Resource::kEndpoints, false, false, "endpoints."},
    {"ip-rules", "ip_rules", "IpRule", "an IP rule", "ip_rule", Resource::kIpRules, false, false, "ip_rules.rules."},
    {"templates", "templates", "Template", "a template", "rule", Resource::kTemplates, false, false, "templates."},
    {"exemptions", "exemptions", "Exemption", "a set of exemptions", "exemptions", Resource::kExemptions, false, false,
     "exemptions"},
    {"penalties", "penalties", "Penalty", "the penalties (`default`)", "penalties", Resource::kPenalties, false, false,
     "global.penalties"},
    {"domains", "domains", "Domain", "a domain", "domain", Resource::kDomains, false, false, "domains."},
    {"keys", "api_keys", "Key", "an API key", "api_key_limits", Resource::kKeys, true, true, "api_keys."},
    {"overrides", "overrides", "Override", "an override", "override", Resource::kOverrides, true, false, ""},
};

const Collection& CollectionOf(const Context& context) { return *context.route.collection; }

// The record's key of a key that is named by its id or by its digest. Not by itself: it would be kept as it is.
std::optional<std::string> RecordKeyNamed(const std::string& name) {
  if (auto key = RecordKeyOfKey(name)) return key;
  const auto digest = name.starts_with("sha256:") ? config::DigestOfKeyName(name) : std::nullopt;
  return digest ? std::optional(config::KeyNameOfDigest(*digest)) : std::nullopt;
}

// "users/alice" of /overrides/{kind}/{name}; else the one parameter.
std::expected<std::string, Problem> KeyOf(const Context& context) {
  if (context.parameters.size() == 1) {
    if (CollectionOf(context).kind != "api_keys") return context.parameters.front();
    auto key = RecordKeyOfKey(context.parameters.front());
    if (!key) return std::unexpected(NotFound("there is no such key"));
    return std::move(*key);
  }
  const std::string& segment = context.parameters.front();
  const std::string kind = segment == "keys" ? "api_keys" : segment;
  const auto name = kind == "api_keys" ? RecordKeyNamed(context.parameters.back()) : context.parameters.back();
  if (!name) return std::unexpected(NotFound("there is no such key"));
  std::string key = config::OverrideKey({.kind = kind, .key = *name});
  const Collection* const target = CollectionOfKind(kind);
  if (target == nullptr || !target->entity || !config::TargetOfOverride(key)) {
    return std::unexpected(NotFound("there are overrides of users, tenants and keys only"));
  }
  return key;
}

std::string NameOf(const Collection& collection, const std::string& key) {
  return collection.kind == "api_keys" ? IdOfRecordKey(key) : key;
}

json::value ParsedValue(const RecordBody& body) {
  boost::system::error_code fault;
  json::value value = json::parse(WriteRecordBody(body), fault);
  return fault ? json::value(nullptr) : value;
}

ApiResponse RecordResponse(int status, const RecordBody& body, std::uint64_t version) {
  ApiResponse response = JsonResponse(status, WriteRecordBody(body));
  response.headers.emplace_back("ETag", EntityTag(version));
  return response;
}

std::optional<Problem> RefuseReadOnly(const Api& api, const Collection& collection) {
  if (collection.entity || api.options().live->policy_in_store()) return std::nullopt;
  return Problem{.status = 409,
                 .code = "policy_is_a_file",
                 .detail = "the policy comes from " + api.options().policy_file +
                           ": change it there; users, tenants, keys and overrides can be changed here"};
}

// If-Match and If-None-Match against what is there: the version that the record must still have when it is written.
std::expected<std::optional<std::uint64_t>, Problem> Precondition(const Context& context,
                                                                  const std::optional<Found>& found) {
  const ApiHeaders& headers = context.request.headers;
  const auto failed = [](std::string detail) {
    return std::unexpected(Problem{.status = 412, .code = "precondition_failed", .detail = std::move(detail)});
  };
  std::optional<std::uint64_t> version;
  if (found) version = found->version;
  std::optional<std::uint64_t> must_be;
  if (!headers.if_match.empty()) {
    const TagCondition condition = ParseTags(headers.if_match);
    if (condition.malformed) return std::unexpected(BadRequest("invalid_if_match", "If-Match is malformed"));
    if (!Matches(condition, version)) return failed("it is not what If-Match names any more");
    must_be = version;
  }
  if (!headers.if_none_match.empty()) {
    const TagCondition condition = ParseTags(headers.if_none_match);
    if (condition.malformed) return std::unexpected(BadRequest("invalid_if_none_match", "If-None-Match is malformed"));
    if (Matches(condition, version)) return failed("it is there already");
    must_be = version.value_or(0);
  }
  // Whose permission ends at a tenant was let through for what was found: what another tenant makes of it meanwhile is
  // not to be overwritten.
  const Route& route = context.route;
  if (!must_be && route.collection->scoped && !ReachOf(context.principal, route.verb, route.resource).everywhere) {
    must_be = version.value_or(0);
  }
  return must_be;
}

// A change that the engine would refuse is refused before it is kept.
std::optional<Problem> TryChange(Api& api, const Collection& collection, const std::string& key,
                                 const config::RecordWrite& write) {
  if (collection.entity) return TryEntities(api, {&write, 1});
  return TryPolicy(api, {&write, 1}, &collection, &key);
}

Answer Store(Api& api, Context& context, const std::string& key, std::string_view text, bool show_places) {
  const Collection& collection = CollectionOf(context);
  if (auto refused = RefuseReadOnly(api, collection)) return std::unexpected(std::move(*refused));
  auto found = FindRecord(api, collection, key);
  if (!found) return std::unexpected(std::move(found.error()));
  if (*found) context.before = WriteRecordBody((*found)->body);
  context.object.id = NameOf(collection, key);
  if (!*found && collection.kind == "api_keys") {
    return std::unexpected(NotFound("there is no such key; POST /keys makes one"));
  }
  if (collection.scoped && *found) {
    if (auto refused = AuthoriseRecord(api, context, collection, key, (*found)->body)) {
      return std::unexpected(std::move(*refused));
    }
  }
  const auto snapshot = api.options().engine->snapshot();
  auto body = ReadRecordBody(collection, key, text, config::SurroundingsOf(*snapshot));
  // What issuing wrote stays, whatever the body says.
  if (body && collection.kind == "api_keys") KeepKeyLabels((*found)->body, *body);
  if (collection.scoped) {
    // Also of a body with faults: who may not write learns nothing of what would be wrong.
    auto refused =
        body ? AuthoriseRecord(api, context, collection, key, *body) : context.Authorise(context.object.tenant);
    if (refused) return std::unexpected(std::move(*refused));
    if (body && collection.kind == "tenants" && MovesExpiry(*found ? &(*found)->body : nullptr, *body)) {
      for (const std::string& tenant : TenantsOfTenant(*context.in_force, key, nullptr)) {
        if (auto one = context.Authorise(tenant)) return std::unexpected(std::move(*one));
      }
    }
  }
  if (!body) {
    if (!show_places) {
      for (BodyFault& fault : body.error()) fault.line = fault.column = 0;
    }
    return std::unexpected(InvalidBody(std::move(body.error())));
  }
  if (auto refused = RefuseHostAccess(body->value)) return std::unexpected(std::move(*refused));
  if (body->expires && *body->expires <= context.now) {
    return std::unexpected(InvalidBody({{.path = "expires", .message = "is in the past"}}));
  }
  auto must_be = Precondition(context, *found);
  if (!must_be) return std::unexpected(std::move(must_be.error()));
  config::RecordWrite write{
      .id = {.kind = std::string(collection.kind), .key = key}, .body = *body, .if_version = *must_be};
  if (auto refused = TryChange(api, collection, key, write)) return std::unexpected(std::move(*refused));
  context.after = WriteRecordBody(*body);
  auto appended = api.Append(context, {.writes = {std::move(write)}});
  if (!appended) return std::unexpected(std::move(appended.error()));
  const std::uint64_t version = appended->changed || !*found ? appended->revision.number : (*found)->version;
  ApiResponse response = RecordResponse(*found ? 200 : 201, *body, version);
  response.headers.emplace_back("Weir-Revision", std::to_string(appended->revision.number));
  return response;
}

Answer List(Api& api, Context& context) {
  const Collection& collection = CollectionOf(context);
  const auto page = api.PageOf(context);
  if (!page) return std::unexpected(page.error());
  RecordFilter filter;
  filter.most = page->limit;
  if (!page->position.empty()) filter.after = page->position;
  if (const std::string* prefix = context.Query("prefix")) filter.prefix = *prefix;
  if (const std::string* sort = context.Query("sort")) {
    if (*sort != "name" && *sort != "-name") {
      return std::unexpected(BadRequest("invalid_sort", "sort must be name or -name"));
    }
    filter.descending = *sort == "-name";
  }
  for (const auto& [name, value] : context.query) {
    if (name != "label") continue;
    const std::size_t colon = value.find(':');
    if (colon == std::string::npos || colon == 0) {
      return std::unexpected(BadRequest("invalid_label", "label must be NAME:VALUE"));
    }
    filter.labels[value.substr(0, colon)] = value.substr(colon + 1);
  }
  const std::string* const tenant = context.Query("tenant");
  const Reach reach = ReachOf(context.principal, context.route.verb, context.route.resource);
  json::array items;
  std::optional<std::string> next;
  for (int pages = 0; pages < kMostPages; ++pages) {
    auto found = ListRecords(api, collection, filter);
    if (!found) return std::unexpected(std::move(found.error()));
    for (const NamedRecord& record : found->records) {
      if (collection.scoped && (!reach.everywhere || tenant != nullptr)) {
        const auto owners = TenantsOf(api, collection, record.key, record.body);
        const bool reached = std::ranges::all_of(
            owners, [&](const std::string& owner) { return Reaches(*context.in_force, reach, owner); });
        if (!reached) continue;
        if (tenant != nullptr && !owners.contains(*tenant)) continue;
      }
      json::object item;
      item["name"] = NameOf(collection, record.key);
      item["etag"] = EntityTag(record.version);
      if (record.changed > 0) item["changed"] = TimestampText(record.changed);
      item["source"] = record.version == 0 ? "file" : "api";
      item["value"] = ParsedValue(record.body);
      items.push_back(std::move(item));
    }
    next = found->next;
    if (!next || items.size() >= page->limit) break;
    filter.after = next;
    filter.most = page->limit - items.size();
  }
  json::object body;
  body["items"] = std::move(items);
  if (next) body["next"] = api.NextCursor(context, *next);
  return JsonResponse(200, json::serialize(body));
}

Answer Get(Api& api, Context& context) {
  const Collection& collection = CollectionOf(context);
  const auto key = KeyOf(context);
  if (!key) return std::unexpected(key.error());
  auto found = FindRecord(api, collection, *key);
  if (!found) return std::unexpected(std::move(found.error()));
  if (collection.scoped) {
    auto refused = *found ? AuthoriseRecord(api, context, collection, *key, (*found)->body) : context.Authorise("");
    if (refused) return std::unexpected(std::move(*refused));
  }
  if (!*found) return std::unexpected(NotFound("there is no such entry"));
  if (!context.request.headers.if_none_match.empty() &&
      Matches(ParseTags(context.request.headers.if_none_match), (*found)->version)) {
    ApiResponse response{.status = 304};
    response.headers.emplace_back("ETag", EntityTag((*found)->version));
    return response;
  }
  return RecordResponse(200, (*found)->body, (*found)->version);
}

Answer Put(Api& api, Context& context) {
  const auto key = KeyOf(context);
  if (!key) return std::unexpected(key.error());
  return Store(api, context, *key, context.request.body, true);
}

Answer Patch(Api& api, Context& context) {
  const Collection& collection = CollectionOf(context);
  const auto key = KeyOf(context);
  if (!key) return std::unexpected(key.error());
  auto found = FindRecord(api, collection, *key);
  if (!found) return std::unexpected(std::move(found.error()));
  if (!*found) {
    if (collection.scoped) {
      if (auto refused = context.Authorise("")) return std::unexpected(std::move(*refused));
    }
    return std::unexpected(NotFound("there is no such entry"));
  }
  boost::system::error_code fault;
  json::parse_options bounded;
  bounded.max_depth = 32;
  const json::value patch = json::parse(context.request.body, fault, {}, bounded);
  if (fault) return std::unexpected(InvalidBody({{.message = "is not JSON: " + fault.message()}}));
  if (!patch.is_object()) return std::unexpected(InvalidBody({{.message = "must be a JSON object"}}));
  json::value merged = ParsedValue((*found)->body);
  MergePatch(merged, patch);
  return Store(api, context, *key, json::serialize(merged), false);
}

Answer Delete(Api& api, Context& context) {
  const Collection& collection = CollectionOf(context);
  const auto key = KeyOf(context);
  if (!key) return std::unexpected(key.error());
  context.object.id = NameOf(collection, *key);
  if (auto refused = RefuseReadOnly(api, collection)) return std::unexpected(std::move(*refused));
  auto found = FindRecord(api, collection, *key);
  if (!found) return std::unexpected(std::move(found.error()));
  if (collection.scoped) {
    auto refused = *found ? AuthoriseRecord(api, context, collection, *key, (*found)->body) : context.Authorise("");
    if (refused) return std::unexpected(std::move(*refused));
  }
  if (*found && collection.kind == "tenants") {
    for (const std::string& tenant : TenantsOfTenant(*context.in_force, *key, nullptr)) {
      if (auto refused = context.Authorise(tenant)) return std::unexpected(std::move(*refused));
    }
  }
  if (!*found) return std::unexpected(NotFound("there is no such entry"));
  context.before = WriteRecordBody((*found)->body);
  if ((*found)->version == 0) {
    return std::unexpected(
        Problem{.status = 409,
                .code = "written_in_the_file",
                .detail = "it is written in " + api.options().policy_file + ", and can be removed only there"});
  }
  const auto must_be = Precondition(context, *found);
  if (!must_be) return std::unexpected(must_be.error());
  config::RecordWrite write{
      .id = {.kind = std::string(collection.kind), .key = *key}, .body = std::nullopt, .if_version = *must_be};
  if (auto refused = TryChange(api, collection, *key, write)) return std::unexpected(std::move(*refused));
  const auto appended = api.Append(context, {.writes = {std::move(write)}});
  if (!appended) return std::unexpected(appended.error());
  ApiResponse response{.status = 204};
  response.headers.emplace_back("Weir-Revision", std::to_string(appended->revision.number));
  return response;
}

}  // namespace

std::span<const Collection> Collections() { return kCollections; }

const Collection* CollectionOfKind(std::string_view kind) {
  const auto* const found = std::ranges::find(kCollections, kind, &Collection::kind);
  return found == std::ranges::end(kCollections) ? nullptr : found;
}

std::optional<std::string> TenantOfUser(const Api& api, const std::string& name) {
  const auto snapshot = api.options().engine->snapshot();
  const auto* const user = snapshot->FindUser(name);
  return user == nullptr ? std::nullopt : std::optional<std::string>(user->tenant());
}

std::set<std::string> TenantsOf(const Api& api, const Collection& collection, const std::string& key,
                                const config::RecordBody& body) {
  if (collection.kind == "tenants") return TenantsOfTenant(*api.options().engine->snapshot(), key, &body);
  std::optional<std::string> of_user;
  if (collection.kind == "users") of_user = TenantOfUser(api, key);
  if (collection.kind == "api_keys") of_user = TenantOfUserOf(api, body);
  std::set<std::string> tenants;
  if (of_user) tenants.insert(std::move(*of_user));
  // A key without a tenant of its own is in its user's.
  std::string own = TenantOf(collection, key, body);
  if (!own.empty() || tenants.empty() || collection.kind == "users") tenants.insert(std::move(own));
  return tenants;
}

std::optional<Problem> AuthoriseRecord(const Api& api, Context& context, const Collection& collection,
                                       const std::string& key, const config::RecordBody& body) {
  const auto tenants = TenantsOf(api, collection, key, body);
  context.object.tenant = TenantOf(collection, key, body);
  if (context.object.tenant.empty()) context.object.tenant = *tenants.begin();
  for (const std::string& tenant : tenants) {
    if (auto refused = context.Authorise(tenant)) return refused;
  }
  return std::nullopt;
}

void AddCollectionRoutes(std::vector<Route>& routes) {
  for (const Collection& collection : kCollections) {
    const std::string all = "/" + std::string(collection.segment);
    const std::string one = all + (collection.kind == config::kOverrides ? "/{kind}/{name}" : "/{name}");
    const std::string item(collection.item), noun(collection.noun), schema(collection.schema);
    const Scope scope = collection.scoped ? Scope::kWithin : Scope::kWhole;
    std::vector<Parameter> query = {{"limit", "how many, 1 to 1000 (100)"},
                                    {"cursor", "`next` of the page before"},
                                    {"prefix", "names that begin so"},
                                    {"label", "NAME:VALUE; may be repeated, all must be there"},
                                    {"sort", "name or -name"}};
    if (collection.scoped) query.push_back({"tenant", "of this tenant"});
    const auto base = [&](std::string method, std::string path, std::string operation, std::string summary, Verb verb,
                          Handler handler) {
      return Route{.method = std::move(method),
                   .path = std::move(path),
                   .operation = std::move(operation),
                   .summary = std::move(summary),
                   .verb = verb,
                   .resource = collection.resource,
                   .handler = handler,
                   .scope = scope,
                   .response_schema = schema,
                   .collection = &collection};
    };
    Route list = base("GET", all, "list" + item, "List by name.", Verb::kRead, List);
    list.query = std::move(query);
    list.response_schema = "List";
    routes.push_back(std::move(list));
    routes.push_back(base("GET", one, "get" + item, "Get " + noun + ".", Verb::kRead, Get));
    Route put = base("PUT", one, "put" + item, "Put " + noun + ": all of it.", Verb::kUpdate, Put);
    put.body = BodyKind::kJson;
    put.max_body = kMostBody;
    put.request_schema = schema;
    put.conditional = true;
    routes.push_back(std::move(put));
    Route patch =
        base("PATCH", one, "patch" + item, "Change " + noun + " by a JSON merge patch.", Verb::kUpdate, Patch);
    patch.body = BodyKind::kMergePatch;
    patch.max_body = kMostBody;
    patch.request_schema = "MergePatch";
    patch.conditional = true;
    routes.push_back(std::move(patch));
    Route remove = base("DELETE", one, "delete" + item, "Remove " + noun + ".", Verb::kDelete, Delete);
    remove.response_schema = "";
    remove.success = 204;
    remove.conditional = true;
    routes.push_back(std::move(remove));
  }
}

}  // namespace weir::management::rest
