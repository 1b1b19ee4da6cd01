#include "config/compile/compile_entities.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "config/compile/fingerprint.h"
#include "config/compile/inherit.h"
#include "config/snapshot/key_name.h"

namespace weir::config {
namespace {

constexpr std::uint64_t kNone = UINT64_MAX;  // no number

template <typename Limits>
constexpr bool kIsTenant = std::is_same_v<Limits, TenantLimits>;
// Whether it may have a rule of its own.
template <typename Limits>
constexpr bool kHasRule = !std::is_same_v<Limits, ApiKeyLimits>;

template <typename Limits>
std::string PathOf(std::string_view name) {
  const std::string_view kind = kIsTenant<Limits> ? "tenants" : kHasRule<Limits> ? "users" : "api_keys";
  return fmt::format("{}.{}", kind, name);
}

void AddRule(const std::optional<RateLimitRule>& rule, Fingerprint& print) {
  print.Add(rule ? 1 : 0);
  if (!rule) return;
  print.Add(rule->name.value_or("")).Add(rule->window_seconds.value_or(0)).Add(rule->max_requests.value_or(0));
  print.Add(rule->identifier ? rule->identifier->kind.index() : 99)
      .Add(rule->algorithm ? rule->algorithm->index() : 99);
  print.Add(rule->unlimited.value_or(false) ? 1 : 0);
  print.Add(static_cast<std::uint64_t>(rule->mode.value_or(RuleMode::kEnforce)));
}

// Of equal ones equal. Need not tell all others apart: ClassTable::kMostAlike.
template <typename Limits>
std::uint64_t HashOf(const Limits& limits) {
  Fingerprint print;
  for (const Quota& quota : limits.quotas) print.Add(quota.max_requests).Add(static_cast<std::uint64_t>(quota.period));
  if constexpr (!kHasRule<Limits>) {
    print.Add(limits.plan.value_or("")).Add(limits.tenant.value_or("")).Add(limits.user.value_or(""));
    for (const std::string& scope : limits.scopes) print.Add(scope);
  } else {
    print.Add(limits.tier.value_or(""));
    AddRule(limits.rule, print);
    if constexpr (kIsTenant<Limits>) {
      AddRule(limits.aggregate, print);
      print.Add(limits.parent.value_or(""));
    } else {
      print.Add(limits.tenant.value_or("")).Add(limits.exempt ? 1 : 0);
    }
  }
  return print.Hash();
}

}  // namespace

template <typename Limits>
CountedRef<const EntityShape<Limits>> ClassTable<Limits>::Shape(Limits limits) {
  auto& alike = shapes_[HashOf(limits)];
  for (const auto& shape : alike) {
    if (shape->limits == limits) return shape;
  }
  const auto made = MakeCounted<EntityShape<Limits>>();
  made->limits = std::move(limits);
  if (alike.size() < kMostAlike) {
    alike.push_back(made);
    ++shape_count_;
  }
  return made;
}

template <typename Limits>
void ClassTable<Limits>::Sweep() {
  if (classes.size() + shape_count_ < sweep_at_) return;
  absl::erase_if(classes, [](const auto& one) { return one.second->unique(); });
  shape_count_ = 0;
  absl::erase_if(shapes_, [&](auto& alike) {
    std::erase_if(alike.second, [](const auto& shape) { return shape->unique(); });
    shape_count_ += alike.second.size();
    return alike.second.empty();
  });
  sweep_at_ = std::max(kLeastSweep, 2 * (classes.size() + shape_count_));
}

EntityCompiler::EntityCompiler(const SnapshotTables& policy, RuleCompiler& rules, Snapshot::Entities& entities,
                               FaultList& faults)
    : policy_(policy),
      source_(*policy.source),
      rules_(rules),
      entities_(entities),
      faults_(faults),
      lock_(entities.classes->mutex) {}

template <>
EntityMap<TenantEntry>& EntityCompiler::MapOf<TenantLimits>() {
  return entities_.tenants;
}
template <>
EntityMap<UserEntry>& EntityCompiler::MapOf<UserLimits>() {
  return entities_.users;
}

template <>
EntityMap<ApiKeyEntry>& EntityCompiler::MapOf<ApiKeyLimits>() {
  return entities_.api_keys;
}

void EntityCompiler::Build(const WrittenEntities& written, const Snapshot::Entities* previous) {
  building_ = true;
  BuildAll(written.tenants, previous == nullptr ? nullptr : &previous->tenants);
  CountParts();
  CheckAllParents();
  BuildAll(written.users, previous == nullptr ? nullptr : &previous->users);
  BuildAll(ByDigest(written.api_keys), previous == nullptr ? nullptr : &previous->api_keys);
  building_ = false;
}

std::map<std::string, ApiKeyLimits> EntityCompiler::ByDigest(const std::map<std::string, ApiKeyLimits>& written) {
  std::map<std::string, ApiKeyLimits> keys;
  for (const auto& [name, limits] : written) {
    auto digest = DigestOfKeyName(name);
    if (!digest) {
      faults_.Add("api_keys", "the digest of a key is none", "write sha256: and 64 hex digits, or their first 32");
    } else if (!keys.emplace(std::move(*digest), limits).second) {
      faults_.Add("api_keys", "a key is written twice: as it is, and as its digest");
    }
  }
  return keys;
}

template <typename Limits>
void EntityCompiler::BuildAll(const std::map<std::string, Limits>& written, const EntityMap<Entity<Limits>>* previous) {
  absl::flat_hash_map<const EntityClass<Limits>*, ClassRef<Limits>> known;
  for (const auto& [name, limits] : written) {
    auto of = ClassOf(name, limits);
    const Entity<Limits>* const before = previous == nullptr ? nullptr : previous->Find(name);
    if (before != nullptr && before->live) {
      Put(name, Again(name, before->of, known), true, std::move(of), before);
    } else {
      Put<Limits>(name, std::move(of), false, nullptr, before);
    }
  }
  if (previous == nullptr) return;
  previous->ForEach([&](const Entity<Limits>& before) {
    if (!before.live || written.contains(std::string(before.name))) return;
    Put<Limits>(before.name, Again(before.name, before.of, known), true, nullptr, &before);
  });
}

template <typename Limits>
EntityCompiler::ClassRef<Limits> EntityCompiler::Again(
    std::string_view name, const ClassRef<Limits>& before,
    absl::flat_hash_map<const EntityClass<Limits>*, ClassRef<Limits>>& known) {
  ClassRef<Limits>& again = known[before.get()];
  if (again == nullptr) again = ClassOf(name, before->Written());
  return again;
}

Result<> EntityCompiler::Apply(const EntityChange& change) {
  const auto apply = [&]<typename Limits>(std::type_identity<Limits>, const std::string& name) -> Result<> {
    if (name.empty()) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("{}: a name is empty", PathOf<Limits>({})));
    }
    if (std::holds_alternative<std::monostate>(change.limits)) {
      Remove<Limits>(name);
      return {};
    }
    const auto* const limits = std::get_if<Limits>(&change.limits);
    if (limits == nullptr) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("{}: its limits are of another kind", PathOf<Limits>(name)));
    }
    PutLive(name, *limits);
    return {};
  };
  switch (change.kind) {
    case EntityChange::Kind::kTenant:
      return apply(std::type_identity<TenantLimits>(), change.name);
    case EntityChange::Kind::kUser:
      return apply(std::type_identity<UserLimits>(), change.name);
    case EntityChange::Kind::kApiKey:
      break;
  }
  const auto digest = DigestOfKeyName(change.name);
  if (digest) return apply(std::type_identity<ApiKeyLimits>(), *digest);
  // What is no digest may be a key: it is not shown.
  return Fail(ErrorCode::kInvalidArgument, "api_keys: a key is empty, or \"sha256:\" is not followed by a digest");
}

template <typename Limits>
void EntityCompiler::PutLive(const std::string& name, const Limits& limits) {
  // Held: it is replaced.
  const CountedRef<const Entity<Limits>> before(MapOf<Limits>().Find(name));
  ClassRef<Limits> document;
  if (before != nullptr) document = before->live ? before->document : before->of;
  Put(name, ClassOf(name, limits), true, std::move(document), before.get());
}

template <typename Limits>
void EntityCompiler::Remove(const std::string& name) {
  const CountedRef<const Entity<Limits>> before(MapOf<Limits>().Find(name));
  // What the document says stays: whoever takes back what never came into force, or does so twice, is not held up.
  if (before == nullptr || !before->live) return;
  if (before->document != nullptr) {
    Put<Limits>(name, ClassOf(name, before->document->Written()), false, nullptr, before.get());
    return;
  }
  MapOf<Limits>().Erase(name);
  Note(before.get(), nullptr);
}

void EntityCompiler::CompileUsersOfChangedTenants() {
  if (changed_tenants_.empty()) return;
  std::vector<CountedRef<const UserEntry>> users;
  entities_.users.ForEach([&](const UserEntry& user) {
    if (user.of->own_rule && changed_tenants_.contains(user.tenant())) users.emplace_back(&user);
  });
  for (const auto& user : users) {
    Put(user->name, ClassOf(user->name, user->of->Written()), user->live, user->document, user.get());
  }
}

EntityCompiler::ClassRef<TenantLimits> EntityCompiler::ClassOf(std::string_view name, TenantLimits limits) {
  ExpandTemplate(limits.rule, name);
  ExpandTemplate(limits.aggregate, name);
  return FindOrCompile(name, std::move(limits), entities_.classes->tenants, nullptr);
}

EntityCompiler::ClassRef<UserLimits> EntityCompiler::ClassOf(std::string_view name, UserLimits limits) {
  ExpandTemplate(limits.rule, name);
  const TenantEntry* const tenant = limits.rule && limits.tenant ? entities_.tenants.Find(*limits.tenant) : nullptr;
  return FindOrCompile(name, std::move(limits), entities_.classes->users,
                       tenant == nullptr ? ClassRef<TenantLimits>() : tenant->of);
}

EntityCompiler::ClassRef<ApiKeyLimits> EntityCompiler::ClassOf(std::string_view name, ApiKeyLimits limits) {
  return FindOrCompile(name, std::move(limits), entities_.classes->api_keys, nullptr);
}

void EntityCompiler::ExpandTemplate(std::optional<RateLimitRule>& rule, std::string_view path) {
  if (!rule || !rule->from_template) return;
  // Of a document it was told when that was read.
  if (!building_ && !source_.templates.contains(*rule->from_template)) {
    faults_.Add(std::string(path), fmt::format("no template is named '{}'", *rule->from_template));
  }
  rule = config::ExpandTemplate(*rule, source_);
}

template <typename Limits>
EntityCompiler::ClassRef<Limits> EntityCompiler::FindOrCompile(std::string_view name, Limits limits,
                                                               ClassTable<Limits>& table,
                                                               ClassRef<TenantLimits> tenant) {
  const auto made = MakeCounted<EntityClass<Limits>>();
  if constexpr (kHasRule<Limits>) {
    if (limits.rule) {
      made->max_requests = std::exchange(limits.rule->max_requests, std::nullopt);
      made->window_seconds = std::exchange(limits.rule->window_seconds, std::nullopt);
    }
  }
  table.Sweep();
  made->shape = table.Shape(std::move(limits));
  const auto key = std::tuple(made->shape.get(), made->max_requests.value_or(kNone),
                              made->window_seconds ? std::uint64_t{*made->window_seconds} : kNone,
                              static_cast<const void*>(tenant.get()));
  if (const auto known = table.classes.find(key); known != table.classes.end()) return known->second;
  made->tenant = std::move(tenant);
  const bool clean = faults_.empty();
  CompileClass(name, *made);
  // Another that says the same has the same faults.
  if (clean && faults_.empty()) table.classes.emplace(key, made);
  return made;
}

const RateLimitRule& EntityCompiler::TierOf(std::string_view tier) {
  auto known = tiers_.find(tier);
  if (known == tiers_.end()) {
    known = tiers_.emplace(tier, std::make_unique<const RateLimitRule>(TierRule(source_, tier))).first;
  }
  return *known->second;
}

const Rule* EntityCompiler::TierRuleOf(std::string_view tier) const {
  if (tier.empty()) return nullptr;
  const auto known = policy_.tiers.Find(tier);
  return known ? &policy_.rules[*known] : policy_.free_tier;
}

// What a user's rule inherits from.
RateLimitRule EntityCompiler::UserBase(const UserLimits& user) {
  std::string_view tier = user.tier ? std::string_view(*user.tier) : std::string_view();
  if (user.tenant) {
    const TenantEntry* const tenant = entities_.tenants.Find(*user.tenant);
    if (tenant != nullptr && tenant->of->own_rule) {
      return Inherit(*tenant->of->Written().rule, TierOf(tenant->tier()));
    }
    if (tenant != nullptr && tier.empty()) tier = tenant->tier();
  }
  return TierOf(tier);
}

void EntityCompiler::AddClassRule(std::string_view path, std::size_t family, const Rule* tier_rule,
                                  const RateLimitRule& inherited, std::vector<Rule>& to) {
  const std::size_t tier = tier_rule == nullptr ? 0 : tier_rule->index + 1;
  const auto add = [&](const RateLimitRule& written) -> Rule& {
    Rule& rule = to.emplace_back(rules_.Make(path, kEntityFamilies[family].level, written));
    rule.index = static_cast<std::uint32_t>(policy_.rules.size() + family * (policy_.tier_rules + 1) + tier);
    return rule;
  };
  const std::size_t at = to.size();
  if (add(inherited).unlimited || !inherited.limits) return;
  for (std::size_t i = 0; i < inherited.limits->size(); ++i) add(rules_.Further(inherited, i));
  to[at].further = static_cast<std::uint16_t>(inherited.limits->size());
}

void EntityCompiler::CompileClass(std::string_view name, EntityClass<TenantLimits>& to) {
  const TenantLimits limits = to.Written();
  const std::string path = PathOf<TenantLimits>(name);
  const std::string_view tier = limits.tier ? std::string_view(*limits.tier) : std::string_view();
  to.tier_rule = TierRuleOf(tier);
  to.own_rule = limits.rule.has_value();
  to.quotas = static_cast<std::uint32_t>(limits.quotas.size());
  to.rules.reserve(limits.quotas.size() + 2);
  if (limits.rule) AddClassRule(path + ".rule", 2, to.tier_rule, AsBase(Inherit(*limits.rule, TierOf(tier))), to.rules);
  if (limits.aggregate) {
    AddClassRule(path + ".aggregate", 3, to.tier_rule, AggregateRule(*limits.aggregate), to.rules);
  }
  for (std::size_t i = 0; i < limits.quotas.size(); ++i) {
    AddClassRule(fmt::format("{}.quotas.{}", path, i), 4, to.tier_rule, QuotaRule(limits.quotas[i], {TenantId{}}),
                 to.rules);
  }
}

void EntityCompiler::CompileClass(std::string_view name, EntityClass<UserLimits>& to) {
  const UserLimits limits = to.Written();
  const std::string path = PathOf<UserLimits>(name);
  to.tier_rule = TierRuleOf(limits.tier ? std::string_view(*limits.tier) : std::string_view());
  to.own_rule = limits.rule.has_value();
  to.quotas = static_cast<std::uint32_t>(limits.quotas.size());
  to.rules.reserve(limits.quotas.size() + 1);
  if (limits.rule)
    AddClassRule(path + ".rule", 0, to.tier_rule, AsBase(Inherit(*limits.rule, UserBase(limits))), to.rules);
  for (std::size_t i = 0; i < limits.quotas.size(); ++i) {
    AddClassRule(fmt::format("{}.quotas.{}", path, i), 1, to.tier_rule, QuotaRule(limits.quotas[i], {UserId{}}),
                 to.rules);
  }
}

void EntityCompiler::CompileClass(std::string_view name, EntityClass<ApiKeyLimits>& to) {
  const ApiKeyLimits limits = to.Written();
  to.tier_rule = TierRuleOf(limits.plan ? std::string_view(*limits.plan) : std::string_view());
  to.quotas = static_cast<std::uint32_t>(limits.quotas.size());
  to.rules.reserve(limits.quotas.size());
  for (std::size_t i = 0; i < limits.quotas.size(); ++i) {
    RateLimitRule quota = QuotaRule(limits.quotas[i], {ApiKey{}});
    // Clients are told this name: not which key it is, and in few words.
    quota.name = fmt::format("api_key.quotas.{}", i);
    AddClassRule(fmt::format("{}.quotas.{}", PathOf<ApiKeyLimits>(name), i), 5, to.tier_rule, quota, to.rules);
  }
}

template <typename Limits>
void EntityCompiler::Put(std::string_view name, ClassRef<Limits> of, bool live, ClassRef<Limits> document,
                         const Entity<Limits>* before) {
  const auto entity = MakeCounted<Entity<Limits>>();
  entity->of = std::move(of);
  entity->live = live;
  entity->document = std::move(document);
  AddRules(name, before, *entity);
  if (before != nullptr) {
    entity->label = before->label;
    entity->name = before->name;
  } else if (!entity->rules.empty()) {
    // The path has it.
    entity->label = entity->rules.front().path;
    entity->name = entity->label.view().substr(PathOf<Limits>({}).size(), name.size());
  } else {
    entity->label = Name::Of(name);
    entity->name = entity->label;
  }
  // Held: what is replaced may be `before`, and its users' tenant.
  const CountedRef<const Entity<Limits>> replaced = MapOf<Limits>().Set(entity);
  if (!building_ || !kIsTenant<Limits>) Note(replaced.get(), entity.get());
}

template <typename Limits>
void EntityCompiler::AddRules(std::string_view name, const Entity<Limits>* before, Entity<Limits>& to) {
  const EntityClass<Limits>& of = *to.of;
  const std::string path = PathOf<Limits>(name);
  to.rules.reserve(of.rules.size());
  const std::size_t first_quota = of.rules.size() - of.quotas;
  const auto quotas_before = before == nullptr ? std::span<const Rule>() : before->quotas();
  for (std::size_t i = 0; i < of.rules.size(); ++i) {
    Rule& rule = to.rules.emplace_back(of.rules[i]);
    if (i >= first_quota) {
      const std::size_t number = i - first_quota;
      rules_.SetNames(rule, fmt::format("{}.quotas.{}", path, number),
                      number < quotas_before.size() ? &quotas_before[number] : nullptr);
      continue;
    }
    const bool own = of.own_rule && i <= of.rules.front().further;
    const bool had = before != nullptr && before->stacked().size() > before->quotas().size();
    const Rule* was = own ? (before == nullptr ? nullptr : before->rule()) : had ? &before->stacked().front() : nullptr;
    std::string here = path + (own ? ".rule" : ".aggregate");
    // A further limit follows the one of its number.
    const std::size_t first = own || !of.own_rule ? 0 : 1 + of.rules.front().further;
    if (const std::size_t number = i - first; number > 0) {
      here += fmt::format(".limits.{}", number - 1);
      was = was != nullptr && number <= was->further ? was + number : nullptr;
    }
    rules_.SetNames(rule, here, was);
    rules_.SetPrevious(rule, was);
  }
  rules_.Follow(std::span(to.rules).subspan(first_quota), quotas_before);
  std::ranges::for_each(to.rules, &RuleCompiler::Settle);
}

// Whether what its users inherit has changed, and what it is a part of.
void EntityCompiler::Note(const TenantEntry* before, const TenantEntry* after) {
  if (before != nullptr && after != nullptr && before->of == after->of) return;
  const std::string_view name = before != nullptr ? before->name : after->name;
  const std::string_view parent_before = before == nullptr ? std::string_view() : before->parent();
  const std::string_view parent_after = after == nullptr ? std::string_view() : after->parent();
  if (parent_before != parent_after) {
    CountUse(entities_.parts, parent_before, false);
    CountUse(entities_.parts, parent_after, true);
    moved_.emplace(name);
  }
  if (entities_.uses.Find(name) == nullptr) return;
  const auto inherited = [](const TenantEntry* tenant) {
    const TenantLimits limits = tenant == nullptr ? TenantLimits{} : tenant->of->Written();
    return std::pair(limits.rule, limits.tier);
  };
  if (inherited(before) != inherited(after)) changed_tenants_.emplace(name);
}

void EntityCompiler::Note(const UserEntry* before, const UserEntry* after) {
  const auto used = [](const UserEntry* user) {
    return user == nullptr || !user->of->own_rule ? std::string_view() : user->tenant();
  };
  CountUse(entities_.uses, used(before), false);
  CountUse(entities_.uses, used(after), true);
}

// `tenant`: empty: none.
void EntityCompiler::CountUse(EntityMap<TenantUse>& uses, std::string_view tenant, bool more) {
  if (tenant.empty()) return;
  const TenantUse* const use = uses.Find(tenant);
  const std::size_t count = use == nullptr ? 0 : use->count;
  if (more) {
    uses.Set(MakeCounted<const TenantUse>(tenant, count + 1));
  } else if (count > 1) {
    uses.Set(MakeCounted<const TenantUse>(tenant, count - 1));
  } else {
    uses.Erase(tenant);
  }
}

}  // namespace weir::config
