// Records as the API sees them: those of the store, and below them what a file says.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/snapshot/snapshot.h"
#include "config/source/config_store.h"
#include "management/rest/collections.h"
#include "management/rest/problem.h"
#include "management/rest/record_body.h"

namespace weir::management::rest {

class Api;

struct Found {
  config::RecordBody body;
  std::uint64_t version = 0;  // 0: the file says so, and the store nothing
};
std::expected<std::optional<Found>, Problem> FindRecord(Api& api, const Collection& collection, const std::string& key);

struct RecordFilter {
  std::string prefix;
  std::map<std::string, std::string> labels;
  std::optional<std::string> after;
  bool descending = false;
  std::size_t most = 100;
};
struct NamedRecord {
  std::string key;
  config::RecordBody body;
  std::uint64_t version = 0;
  Nanos changed = 0;
};
struct RecordList {
  std::vector<NamedRecord> records;
  std::optional<std::string> next;
};
std::expected<RecordList, Problem> ListRecords(Api& api, const Collection& collection, const RecordFilter& filter);

// What the record belongs to; empty: no tenant.
std::string TenantOf(const Collection& collection, const std::string& key, const config::RecordBody& body);

// Whether the engine would take these, without changing anything: nothing, or why not. Entities and overrides.
std::optional<Problem> TryEntities(Api& api, std::span<const config::RecordWrite> writes);
// Parts of the policy; all of it is validated and compiled. Faults of `only` are told with paths below it.
std::optional<Problem> TryPolicy(Api& api, std::span<const config::RecordWrite> writes,
                                 const Collection* only = nullptr, const std::string* key = nullptr);

}  // namespace weir::management::rest
