// Entities (users, tenants, API keys), compiled one by one into maps that share all but what was changed.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/counted.h"
#include "config/compile/compile_rules.h"
#include "config/snapshot/snapshot_tables.h"
#include "weir/config.h"

namespace weir::config {

// The kinds of rules that entities have: what RuleFamily is made of.
struct EntityFamily {
  std::string_view path;
  Level level;
};
inline constexpr std::array<EntityFamily, 6> kEntityFamilies = {{{"users.*.rule", Level::kUser},
                                                                 {"users.*.quotas", Level::kUser},
                                                                 {"tenants.*.rule", Level::kTenant},
                                                                 {"tenants.*.aggregate", Level::kTenant},
                                                                 {"tenants.*.quotas", Level::kTenant},
                                                                 {"api_keys.*.quotas", Level::kApiKey}}};

// What was compiled of equal users (or tenants, keys), to be shared by the next one that says the same. Bounded:
// forgets what nobody has any more whenever it has doubled.
template <typename Limits>
class ClassTable {
 public:
  CountedRef<const EntityShape<Limits>> Shape(Limits limits);
  // The shape, the numbers, and of whose rule it inherits.
  using Key = std::tuple<const EntityShape<Limits>*, std::uint64_t, std::uint64_t, const void*>;
  absl::flat_hash_map<Key, CountedRef<const EntityClass<Limits>>> classes;
  void Sweep();

 private:
  static constexpr std::size_t kLeastSweep = 1024;
  // Of one hash; so few are looked at that a hash which misses a field costs memory, not time.
  static constexpr std::size_t kMostAlike = 8;
  absl::flat_hash_map<std::uint64_t, std::vector<CountedRef<const EntityShape<Limits>>>> shapes_;
  std::size_t shape_count_ = 0;
  std::size_t sweep_at_ = kLeastSweep;
};

// Of one policy; shared by the snapshots that With() makes of it.
class EntityClasses {
 public:
  std::mutex mutex;  // guards what follows
  ClassTable<TenantLimits> tenants;
  ClassTable<UserLimits> users;
  ClassTable<ApiKeyLimits> api_keys;
  Nanos told_cut = 0;  // when it was last told that previous forms were cut off
};

// The entities that a document writes, taken out of it.
struct WrittenEntities {
  explicit WrittenEntities(EnterpriseRateLimitConfig& document)
      : tenants(std::exchange(document.tenants, {})),
        users(std::exchange(document.users, {})),
        api_keys(std::exchange(document.api_keys, {})) {}
  std::map<std::string, TenantLimits> tenants;
  std::map<std::string, UserLimits> users;
  std::map<std::string, ApiKeyLimits> api_keys;
};

class EntityCompiler {
 public:
  // Holds the classes' mutex while it lives. `entities` is what is changed.
  EntityCompiler(const SnapshotTables& policy, RuleCompiler& rules, Snapshot::Entities& entities, FaultList& faults);

  // All of a document's, and those of `previous` that were made live.
  void Build(const WrittenEntities& written, const Snapshot::Entities* previous);
  Result<> Apply(const EntityChange& change);
  // Whether those that were moved make a tree with the others, and what is below them too; `faults` says which do not.
  // Once, after all changes.
  void CheckParents();
  // What their rules inherit has changed. Once, after all changes.
  void CompileUsersOfChangedTenants();

 private:
  template <typename Limits>
  using ClassRef = CountedRef<const EntityClass<Limits>>;

  ClassRef<TenantLimits> ClassOf(std::string_view name, TenantLimits limits);
  ClassRef<UserLimits> ClassOf(std::string_view name, UserLimits limits);
  ClassRef<ApiKeyLimits> ClassOf(std::string_view name, ApiKeyLimits limits);
  // The same said under this policy.
  template <typename Limits>
  ClassRef<Limits> Again(std::string_view name, const ClassRef<Limits>& before,
                         absl::flat_hash_map<const EntityClass<Limits>*, ClassRef<Limits>>& known);
  template <typename Limits>
  ClassRef<Limits> FindOrCompile(std::string_view name, Limits limits, ClassTable<Limits>& table,
                                 ClassRef<TenantLimits> tenant);
  void CompileClass(std::string_view name, EntityClass<TenantLimits>& to);
  void CompileClass(std::string_view name, EntityClass<UserLimits>& to);
  void CompileClass(std::string_view name, EntityClass<ApiKeyLimits>& to);
  std::map<std::string, ApiKeyLimits> ByDigest(const std::map<std::string, ApiKeyLimits>& written);
  void AddClassRule(std::string_view path, std::size_t family, const Rule* tier_rule, const RateLimitRule& inherited,
                    std::vector<Rule>& to);
  template <typename Limits>
  void BuildAll(const std::map<std::string, Limits>& written, const EntityMap<Entity<Limits>>* previous);
  // `before`: whose names and counts go on.
  template <typename Limits>
  void Put(std::string_view name, ClassRef<Limits> of, bool live, ClassRef<Limits> document,
           const Entity<Limits>* before);
  template <typename Limits>
  void AddRules(std::string_view name, const Entity<Limits>* before, Entity<Limits>& to);
  template <typename Limits>
  void PutLive(const std::string& name, const Limits& limits);
  template <typename Limits>
  void Remove(const std::string& name);
  template <typename Limits>
  EntityMap<Entity<Limits>>& MapOf();
  void Note(const TenantEntry* before, const TenantEntry* after);
  void Note(const UserEntry* before, const UserEntry* after);
  void Note(const ApiKeyEntry* /*before*/, const ApiKeyEntry* /*after*/) {}
  static void CountUse(EntityMap<TenantUse>& uses, std::string_view tenant, bool more);
  void CountParts();
  std::string ParentFaultOf(const TenantEntry& tenant) const;
  void CheckParent(const TenantEntry& tenant);
  void CheckAllParents();
  void ExpandTemplate(std::optional<RateLimitRule>& rule, std::string_view path);

  const RateLimitRule& TierOf(std::string_view tier);
  const Rule* TierRuleOf(std::string_view tier) const;
  RateLimitRule UserBase(const UserLimits& user);

  const SnapshotTables& policy_;
  const EnterpriseRateLimitConfig& source_;
  RuleCompiler& rules_;
  Snapshot::Entities& entities_;
  FaultList& faults_;
  const std::unique_lock<std::mutex> lock_;
  bool building_ = false;
  std::map<std::string, std::unique_ptr<const RateLimitRule>, std::less<>> tiers_;
  std::set<std::string, std::less<>> moved_;            // tenants that are a part of another one now, or of none
  std::set<std::string, std::less<>> changed_tenants_;  // of which users inherit otherwise now
};

}  // namespace weir::config
