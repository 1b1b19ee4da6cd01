#include "config/validate/entity.h"

#include <utility>
#include <variant>

#include "config/document/document.h"

namespace weir::config {
namespace {

template <typename Map>
void Adopt(Map& to, Map& from) {
  for (auto& [name, limits] : from) to.insert_or_assign(name, std::move(limits));
}

template <typename Entry>
auto WrittenOf(const Entry* entry) {
  return entry == nullptr ? std::nullopt : std::optional(entry->of->Written());
}

}  // namespace

Surroundings SurroundingsOf(const Snapshot& snapshot) {
  return {.policy = snapshot.document(),
          .tenant = [&snapshot](const std::string& name) { return WrittenOf(snapshot.FindTenant(name)); },
          .user = [&snapshot](const std::string& name) { return WrittenOf(snapshot.FindUser(name)); }};
}

EnterpriseRateLimitConfig DocumentToJudge(EnterpriseRateLimitConfig of, const Surroundings& around) {
  EnterpriseRateLimitConfig judged;
  judged.global = around.policy.global;
  judged.templates = around.policy.templates;
  judged.algorithm = around.policy.algorithm;
  judged.jwt = around.policy.jwt;
  // With what it is a part of.
  const auto add_tenant = [&](std::optional<std::string> name) {
    while (name && !judged.tenants.contains(*name) && !of.tenants.contains(*name)) {
      auto tenant = around.tenant(*name);
      if (!tenant) return;
      std::optional<std::string> parent = tenant->parent;
      judged.tenants.emplace(*name, std::move(*tenant));
      name = std::move(parent);
    }
  };
  for (const auto& [name, tenant] : of.tenants) add_tenant(tenant.parent);
  for (const auto& [name, user] : of.users) add_tenant(user.tenant);
  for (const auto& [name, key] : of.api_keys) {
    add_tenant(key.tenant);
    if (!key.user) continue;
    auto user = around.user(*key.user);
    if (!user) continue;
    add_tenant(user->tenant);
    judged.users.emplace(*key.user, std::move(*user));
  }
  Adopt(judged.tenants, of.tenants);
  Adopt(judged.users, of.users);
  Adopt(judged.api_keys, of.api_keys);
  return judged;
}

Result<> CheckEntity(const EntityChange& change, const Snapshot& snapshot) {
  EnterpriseRateLimitConfig of;
  if (const auto* const tenant = std::get_if<TenantLimits>(&change.limits)) of.tenants.emplace(change.name, *tenant);
  if (const auto* const user = std::get_if<UserLimits>(&change.limits)) of.users.emplace(change.name, *user);
  if (const auto* const key = std::get_if<ApiKeyLimits>(&change.limits)) of.api_keys.emplace(change.name, *key);
  std::string faults;
  for (const Fault& fault : ValidateConfig(DocumentToJudge(std::move(of), SurroundingsOf(snapshot)))) {
    if (fault.severity != Severity::kError) continue;
    faults += (faults.empty() ? "" : "\n") + Describe(fault);
  }
  if (faults.empty()) return {};
  return Fail(ErrorCode::kInvalidArgument, std::move(faults));
}

}  // namespace weir::config
