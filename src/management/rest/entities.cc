#include "management/rest/entities.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "config/source/record_kinds.h"
#include "engine/document_faults.h"
#include "management/rest/api.h"

namespace weir::management::rest {
namespace {

namespace json = boost::json;
using config::RecordId;

using FileRecords = std::map<std::string, std::string>;  // key -> value

void TakeKind(const EnterpriseRateLimitConfig& config, std::string_view kind, FileRecords& records) {
  for (auto& [id, value] : config::ToRecords(config)) {
    if (id.kind == kind) records.emplace(id.key, std::move(value));
  }
}

template <typename Map>
void CopySome(const Map& from, Map& to, const RecordFilter& filter) {
  const auto fits = [&](const std::string& name) { return name.starts_with(filter.prefix); };
  if (filter.descending) {
    auto end = filter.after ? from.lower_bound(*filter.after) : from.end();
    while (end != from.begin() && to.size() < filter.most) {
      --end;
      if (fits(end->first))
        to.insert(*end);
      else if (end->first < filter.prefix)
        break;
    }
    return;
  }
  auto one = filter.after && *filter.after >= filter.prefix ? from.upper_bound(*filter.after)
                                                            : from.lower_bound(filter.prefix);
  for (; one != from.end() && to.size() < filter.most && fits(one->first); ++one) to.insert(*one);
}

// What the file says of this kind; of entities only those that the filter asks for next.
FileRecords FromFile(const Api& api, const Collection& collection, const RecordFilter& filter) {
  FileRecords records;
  const auto document = api.options().live->document();
  if (document == nullptr || collection.kind == config::kOverrides || !filter.labels.empty()) return records;
  if (!collection.entity) {
    EnterpriseRateLimitConfig policy = *document;
    policy.users.clear();
    policy.tenants.clear();
    policy.api_keys.clear();
    TakeKind(policy, collection.kind, records);
    return records;
  }
  EnterpriseRateLimitConfig some;
  if (collection.kind == "users") CopySome(document->users, some.users, filter);
  if (collection.kind == "tenants") CopySome(document->tenants, some.tenants, filter);
  TakeKind(some, collection.kind, records);
  return records;
}

bool Before(const std::string& a, const std::string& b, bool descending) { return descending ? b < a : a < b; }

}  // namespace

std::expected<std::optional<Found>, Problem> FindRecord(Api& api, const Collection& collection,
                                                        const std::string& key) {
  const RecordId id{.kind = std::string(collection.kind), .key = key};
  if (const auto checked = config::CheckId(id); !checked) {
    return std::unexpected(BadRequest("invalid_name", checked.error().message));
  }
  auto record = api.options().store->Get(id);
  if (record) return Found{std::move(record->body), record->version};
  if (record.error().code != ErrorCode::kNotFound) return std::unexpected(ProblemOf(record.error()));
  const auto document = api.options().live->document();
  if (document == nullptr) return std::nullopt;
  RecordFilter only{.prefix = key, .labels = {}, .after = {}, .descending = false, .most = 1};
  const FileRecords file = FromFile(api, collection, only);
  const auto found = file.find(key);
  if (found == file.end()) return std::nullopt;
  return Found{{.value = found->second}, 0};
}

std::expected<RecordList, Problem> ListRecords(Api& api, const Collection& collection, const RecordFilter& filter) {
  auto page = api.options().store->List({.kind = std::string(collection.kind),
                                         .prefix = filter.prefix,
                                         .labels = filter.labels,
                                         .after = filter.after,
                                         .descending = filter.descending,
                                         .most = filter.most});
  if (!page) return std::unexpected(ProblemOf(page.error()));
  RecordList list;
  list.next = page->next;
  for (config::StoredRecord& record : page->records) {
    list.records.push_back({record.id.key, std::move(record.body), record.version, record.changed});
  }
  FileRecords file = FromFile(api, collection, filter);
  const bool file_is_full = collection.entity && file.size() >= filter.most;
  for (const NamedRecord& record : list.records) file.erase(record.key);
  for (auto& [key, value] : file) {
    const bool behind = !filter.after || Before(*filter.after, key, filter.descending);
    // What the store has not looked at yet may be there too.
    const bool looked_at = !list.next || !Before(*list.next, key, filter.descending);
    if (behind && looked_at && key.starts_with(filter.prefix)) list.records.push_back({key, {.value = value}, 0, 0});
  }
  std::ranges::sort(list.records, [&](const NamedRecord& a, const NamedRecord& b) {
    return Before(a.key, b.key, filter.descending);
  });
  if (list.records.size() > filter.most) list.records.resize(filter.most);
  if (list.records.size() == filter.most && (list.next || file_is_full || !file.empty())) {
    list.next = list.records.back().key;
  }
  return list;
}

std::string TenantOf(const Collection& collection, const std::string& key, const config::RecordBody& body) {
  if (collection.kind == "tenants") return key;
  boost::system::error_code fault;
  const json::value value = json::parse(body.value, fault);
  if (fault || !value.is_object()) return "";
  const json::value* const tenant = value.get_object().if_contains("tenant");
  return tenant != nullptr && tenant->is_string() ? std::string(tenant->get_string()) : "";
}

std::optional<Problem> TryEntities(Api& api, std::span<const config::RecordWrite> writes) {
  std::vector<config::EntityChange> changes;
  for (const config::RecordWrite& write : writes) {
    RecordId id = write.id;
    if (id.kind == config::kOverrides) {
      const auto target = config::TargetOfOverride(id.key);
      if (!target) return BadRequest("invalid_name", "an override is of a user, a tenant or a key");
      id = *target;
    }
    auto change = api.options().live->loader().Entity(id, writes);
    if (!change) return InvalidBody({{.message = change.error().message}});
    changes.push_back(std::move(*change));
  }
  const auto tried = api.options().engine->snapshot()->With(changes, api.options().clock->Now());
  if (tried) return std::nullopt;
  if (tried.error().code == ErrorCode::kInvalidArgument) return InvalidBody({{.message = tried.error().message}});
  return ProblemOf(tried.error());
}

std::optional<Problem> TryPolicy(Api& api, std::span<const config::RecordWrite> writes, const Collection* only,
                                 const std::string* key) {
  auto policy = api.options().live->loader().Policy(writes);
  if (!policy) return ProblemOf(policy.error());
  config::LoadedDocument loaded{.config = std::move(policy->policy), .faults = {}, .files = {}};
  if (policy->ok()) {
    engine::AddCompileFaults(ToJson(loaded.config), "", loaded);
    for (const config::FileFault& one : loaded.faults) policy->faults.push_back(one.fault);
  }
  if (policy->ok()) return std::nullopt;
  std::vector<BodyFault> faults;
  if (only != nullptr && key != nullptr) faults = FaultsBelow(*only, *key, policy->faults);
  if (faults.empty()) {
    for (const Fault& fault : policy->faults) {
      if (fault.severity == Severity::kError)
        faults.push_back({.path = fault.path, .message = fault.message, .hint = fault.hint});
    }
  }
  // Lines are those of a text that nobody has written.
  for (BodyFault& fault : faults) fault.line = fault.column = 0;
  return InvalidBody(std::move(faults));
}

}  // namespace weir::management::rest
