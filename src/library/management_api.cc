#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "config/snapshot/key_name.h"
#include "config/snapshot/snapshot.h"
#include "config/validate/entity.h"
#include "engine/engine.h"
#include "weir/management.h"
#include "weir/rate_limiter.h"

namespace weir {
namespace {

using config::EntityChange;
using config::Snapshot;

// What the document itself says of an entity, whatever was put over it since.
template <typename Limits>
const config::EntityClass<Limits>* InDocument(const config::Entity<Limits>& entity) {
  return entity.live ? entity.document.get() : entity.of.get();
}

// The document in force, with its own entities.
EnterpriseRateLimitConfig DocumentOf(const Snapshot& snapshot) {
  EnterpriseRateLimitConfig document = snapshot.document();
  snapshot.VisitTenants([&](const config::TenantEntry& one) {
    if (const auto* of = InDocument(one)) document.tenants.emplace(one.name, of->Written());
  });
  snapshot.VisitUsers([&](const config::UserEntry& one) {
    if (const auto* of = InDocument(one)) document.users.emplace(one.name, of->Written());
  });
  snapshot.VisitApiKeys([&](const config::ApiKeyEntry& one) {
    if (const auto* of = InDocument(one)) document.api_keys.emplace(config::KeyNameOfDigest(one.name), of->Written());
  });
  return document;
}

std::string_view NameOf(GeographicAction action) {
  switch (action) {
    case GeographicAction::kAllow:
      return "allow";
    case GeographicAction::kThrottle:
      return "throttle";
    case GeographicAction::kBlock:
      return "block";
    case GeographicAction::kChallenge:
      break;
  }
  return "challenge";
}

IpRule::Action ActionOf(GeographicAction action) {
  switch (action) {
    case GeographicAction::kAllow:
      return IpRule::Action::kAllow;
    case GeographicAction::kThrottle:
      return IpRule::Action::kThrottle;
    case GeographicAction::kBlock:
      return IpRule::Action::kBlock;
    case GeographicAction::kChallenge:
      break;
  }
  return IpRule::Action::kChallenge;
}

Result<> NotFound(std::string_view kind, std::string_view name) {
  return Fail(ErrorCode::kNotFound, fmt::format("there is no {} '{}'", kind, name));
}

}  // namespace

struct ManagementApi::Parts {
  RateLimiter& limiter;
  std::mutex changing;  // one change at a time: each is made of what is in force

  std::shared_ptr<const Snapshot> snapshot() const { return limiter.engine().snapshot(); }

  // By `changing`, as all here.
  Result<> Apply(EntityChange change) {
    if (auto ok = config::CheckEntity(change, *snapshot()); !ok) return ok;
    return limiter.engine().ApplyEntities({}, {&change, 1});
  }

  // What was put over the document goes by itself; what the document says goes with a new document.
  template <typename Limits>
  Result<> Remove(EntityChange::Kind kind, std::string_view noun, std::string_view name,
                  const config::Entity<Limits>* entity,
                  std::map<std::string, Limits> EnterpriseRateLimitConfig::* in_document) {
    if (entity == nullptr) return NotFound(noun, name);
    if (InDocument(*entity) != nullptr) {
      EnterpriseRateLimitConfig document = DocumentOf(*snapshot());
      const std::string key =
          kind == EntityChange::Kind::kApiKey ? config::KeyNameOfDigest(entity->name) : std::string(entity->name);
      (document.*in_document).erase(key);
      if (auto applied = limiter.Apply(document); !applied) return applied;
      if (!entity->live) return {};
    }
    return Apply(EntityChange::Remove(kind, std::string(name)));
  }

  // `edit` returns why not, and then nothing happens.
  template <typename Edit>
  Result<> Change(const Edit& edit) {
    EnterpriseRateLimitConfig document = DocumentOf(*snapshot());
    if (auto edited = edit(document); !edited) return edited;
    return limiter.Apply(document);
  }
};

ManagementApi::ManagementApi(RateLimiter& limiter) : parts_(new Parts{.limiter = limiter, .changing = {}}) {}
ManagementApi::~ManagementApi() = default;

// ---- users, tenants, API keys ----

Result<> ManagementApi::SetUserLimit(std::string_view user, RateLimitRule rule) {
  const std::lock_guard lock(parts_->changing);
  UserLimits limits = FindUser(user).value_or(UserLimits{});
  limits.rule = std::move(rule);
  return parts_->Apply(EntityChange::Put(std::string(user), std::move(limits)));
}

Result<> ManagementApi::SetUser(std::string_view user, UserLimits limits) {
  const std::lock_guard lock(parts_->changing);
  return parts_->Apply(EntityChange::Put(std::string(user), std::move(limits)));
}

Result<> ManagementApi::SetTenant(std::string_view tenant, TenantLimits limits) {
  const std::lock_guard lock(parts_->changing);
  return parts_->Apply(EntityChange::Put(std::string(tenant), std::move(limits)));
}

Result<> ManagementApi::SetApiKey(std::string_view key, ApiKeyLimits limits) {
  const std::lock_guard lock(parts_->changing);
  return parts_->Apply(EntityChange::Put(std::string(key), std::move(limits)));
}

Result<> ManagementApi::RemoveUser(std::string_view user) {
  const std::lock_guard lock(parts_->changing);
  const auto snapshot = parts_->snapshot();
  return parts_->Remove(EntityChange::Kind::kUser, "user", user, snapshot->FindUser(user),
                        &EnterpriseRateLimitConfig::users);
}

Result<> ManagementApi::RemoveTenant(std::string_view tenant) {
  const std::lock_guard lock(parts_->changing);
  const auto snapshot = parts_->snapshot();
  return parts_->Remove(EntityChange::Kind::kTenant, "tenant", tenant, snapshot->FindTenant(tenant),
                        &EnterpriseRateLimitConfig::tenants);
}

Result<> ManagementApi::RemoveApiKey(std::string_view key) {
  const std::lock_guard lock(parts_->changing);
  const auto snapshot = parts_->snapshot();
  const auto* const entity = snapshot->FindApiKeyNamed(key);
  // A key is no text for a message.
  if (entity == nullptr) return Fail(ErrorCode::kNotFound, "there is no such API key");
  return parts_->Remove(EntityChange::Kind::kApiKey, "API key", key, entity, &EnterpriseRateLimitConfig::api_keys);
}

namespace {

template <typename Limits>
std::optional<Limits> WrittenOf(const config::Entity<Limits>* entity) {
  if (entity == nullptr) return std::nullopt;
  return entity->of->Written();
}

}  // namespace

std::optional<UserLimits> ManagementApi::FindUser(std::string_view user) const {
  const auto snapshot = parts_->snapshot();
  return WrittenOf(snapshot->FindUser(user));
}

std::optional<TenantLimits> ManagementApi::FindTenant(std::string_view tenant) const {
  const auto snapshot = parts_->snapshot();
  return WrittenOf(snapshot->FindTenant(tenant));
}

std::optional<ApiKeyLimits> ManagementApi::FindApiKey(std::string_view key) const {
  const auto snapshot = parts_->snapshot();
  return WrittenOf(snapshot->FindApiKeyNamed(key));
}

// ---- policy ----

Result<> ManagementApi::SetTierLimit(std::string_view tier, RateLimitRule rule) {
  const std::lock_guard lock(parts_->changing);
  return parts_->Change([&](EnterpriseRateLimitConfig& document) -> Result<> {
    GlobalLimits& global = document.global;
    if (tier == "free" || tier == "free_tier") {
      global.free_tier = std::move(rule);
    } else if (tier == "pro" || tier == "pro_tier") {
      global.pro_tier = std::move(rule);
    } else if (tier == "enterprise" || tier == "enterprise_tier") {
      global.enterprise_tier = std::move(rule);
    } else {
      global.tiers[std::string(tier)] = std::move(rule);
    }
    return {};
  });
}

Result<> ManagementApi::SetEndpointLimit(std::string_view pattern, RateLimitRule rule) {
  const std::lock_guard lock(parts_->changing);
  return parts_->Change([&](EnterpriseRateLimitConfig& document) -> Result<> {
    document.endpoints[std::string(pattern)].rule = std::move(rule);
    return {};
  });
}

Result<> ManagementApi::SetEndpoint(std::string_view pattern, EndpointLimits limits) {
  const std::lock_guard lock(parts_->changing);
  return parts_->Change([&](EnterpriseRateLimitConfig& document) -> Result<> {
    document.endpoints[std::string(pattern)] = std::move(limits);
    return {};
  });
}

Result<> ManagementApi::RemoveEndpoint(std::string_view pattern) {
  const std::lock_guard lock(parts_->changing);
  return parts_->Change([&](EnterpriseRateLimitConfig& document) -> Result<> {
    return document.endpoints.erase(std::string(pattern)) == 0 ? NotFound("endpoint", pattern) : Result<>();
  });
}

Result<> ManagementApi::AddIpRule(IpRule rule) {
  const std::lock_guard lock(parts_->changing);
  return parts_->Change([&](EnterpriseRateLimitConfig& document) -> Result<> {
    std::vector<IpRule>& rules = document.ip_rules.rules;
    const auto same = std::ranges::find(rules, rule.name, &IpRule::name);
    if (same == rules.end() || rule.name.empty()) {
      rules.push_back(std::move(rule));
    } else {
      *same = std::move(rule);
    }
    return {};
  });
}

Result<> ManagementApi::AddGeographicRule(GeographicRule rule) {
  if (rule.countries.empty()) return Fail(ErrorCode::kInvalidArgument, "a geographic rule needs a country");
  IpRule made{.name = std::move(rule.name), .countries = std::move(rule.countries), .action = ActionOf(rule.action)};
  if (made.name.empty()) made.name = fmt::format("{} {}", NameOf(rule.action), fmt::join(made.countries, " "));
  if (rule.action != GeographicAction::kBlock) made.rule = std::move(rule.rule);
  return AddIpRule(std::move(made));
}

Result<> ManagementApi::RemoveIpRule(std::string_view name) {
  const std::lock_guard lock(parts_->changing);
  return parts_->Change([&](EnterpriseRateLimitConfig& document) -> Result<> {
    const auto removed = std::erase_if(document.ip_rules.rules, [&](const IpRule& rule) { return rule.name == name; });
    return removed == 0 ? NotFound("ip rule", name) : Result<>();
  });
}

Result<> ManagementApi::ChangePolicy(const std::function<void(EnterpriseRateLimitConfig&)>& change) {
  const std::lock_guard lock(parts_->changing);
  return parts_->Change([&](EnterpriseRateLimitConfig& document) -> Result<> {
    EnterpriseRateLimitConfig policy = document;
    policy.tenants.clear();
    policy.users.clear();
    policy.api_keys.clear();
    change(policy);
    policy.tenants = std::move(document.tenants);
    policy.users = std::move(document.users);
    policy.api_keys = std::move(document.api_keys);
    document = std::move(policy);
    return {};
  });
}

}  // namespace weir
