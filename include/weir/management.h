// Changes the limits of a running limiter, one at a time:
//   limiter->management_api().SetUserLimit("user123", {.max_requests = 5000, .window_seconds = 3600});
//
// Every call returns when its change is in force: no decision waits for it, and counts follow their rules, as with
// RateLimiter::Apply. A change that is wrong (kInvalidArgument, with every fault) changes nothing. Thread-safe; calls
// wait for each other.
//
// Users, tenants and API keys are changed one by one: a change takes as long however many there are. A change of
// anything else compiles the policy again.
//
// Changes last as long as the limiter, or, where its memory store is saved to a file (persist_to_disk), users, tenants
// and API keys as long as that file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/config.h"
#include "weir/result.h"

namespace weir {

class RateLimiter;

// An ip rule for whole countries, by the request's `country`.
enum class GeographicAction : std::uint8_t { kAllow, kThrottle, kBlock, kChallenge };
struct GeographicRule {
  std::vector<std::string> countries = {};  // ISO 3166-1 alpha-2, at least one
  RateLimitRule rule = {};                  // of kBlock: not used
  GeographicAction action = GeographicAction::kThrottle;
  std::string name = {};  // unique among ip rules; empty: made of the action and the countries
};

class ManagementApi {
 public:
  ManagementApi(const ManagementApi&) = delete;
  ManagementApi& operator=(const ManagementApi&) = delete;
  ~ManagementApi();

  // ---- users, tenants, API keys ----
  // The user's own rule; what else is said of the user stays. A field that the rule does not write is inherited from
  // the tenant or tier.
  Result<> SetUserLimit(std::string_view user, RateLimitRule rule);
  // All that is said of it from now on.
  Result<> SetUser(std::string_view user, UserLimits limits);
  Result<> SetTenant(std::string_view tenant, TenantLimits limits);
  // `key`: itself, or "sha256:" and its digest in hexadecimal.
  Result<> SetApiKey(std::string_view key, ApiKeyLimits limits);
  // kNotFound: nothing is said of it.
  Result<> RemoveUser(std::string_view user);
  Result<> RemoveTenant(std::string_view tenant);
  Result<> RemoveApiKey(std::string_view key);
  // What is said of it now, with templates applied; nullopt: nothing.
  std::optional<UserLimits> FindUser(std::string_view user) const;
  std::optional<TenantLimits> FindTenant(std::string_view tenant) const;
  std::optional<ApiKeyLimits> FindApiKey(std::string_view key) const;

  // ---- policy ----
  // `tier`: free, pro, enterprise or a name of your own.
  Result<> SetTierLimit(std::string_view tier, RateLimitRule rule);
  // The rule of a pattern; its methods and the rest stay as they are.
  Result<> SetEndpointLimit(std::string_view pattern, RateLimitRule rule);
  Result<> SetEndpoint(std::string_view pattern, EndpointLimits limits);
  Result<> RemoveEndpoint(std::string_view pattern);  // kNotFound
  // Takes the place of a rule of the same name.
  Result<> AddIpRule(IpRule rule);
  Result<> AddGeographicRule(GeographicRule rule);
  Result<> RemoveIpRule(std::string_view name);  // kNotFound
  // For any other change: the policy in force, without users, tenants and API keys, for `change` to edit. Must not
  // call the limiter.
  Result<> ChangePolicy(const std::function<void(EnterpriseRateLimitConfig&)>& change);

 private:
  friend class RateLimiter;
  explicit ManagementApi(RateLimiter& limiter);
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir
