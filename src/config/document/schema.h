// The field tables of the document. Everything that names a field of the document (reader, writer, JSON Schema,
// reference) is derived from these.
#pragma once

#include <string>

#include "config/document/record.h"
#include "config/document/types.h"
#include "weir/config.h"

namespace weir::config {

Ref<EnterpriseRateLimitConfig> DocumentType();

Ref<RateLimitAlgorithm> AlgorithmType();
Ref<EnhancedIdentifier> IdentifierType();
Ref<PenaltyConfig> PenaltyType();
Ref<Action> OnExceededType();
Ref<DenialConfig> DenialType();
Ref<StoreFailurePolicy> StoreFailureType();
Ref<CountedUnit> CountedUnitType();
Ref<RateLimitRule> RuleType();
Ref<Quota> QuotaType();
Ref<TenantLimits> TenantType();
Ref<UserLimits> UserType();
Ref<ApiKeyLimits> ApiKeyLimitsType();
Ref<StorageConfig> StorageType();
Ref<HybridStorage> HybridType(Ref<MemoryStorage> memory, Ref<RedisStorage> redis, Ref<PostgresStorage> postgres);
Ref<AnalyticsConfig> AnalyticsType();
Ref<ServerConfig> ServerType();
Ref<AdminAuthConfig> AdminAuthType();
Ref<JwtConfig> JwtType();
Ref<DomainLimits> DomainType();
Ref<EnvoyConfig> EnvoyType();

inline constexpr std::uint64_t kMostSeconds = 315'360'000;  // ten years

// Names of tenants, users, tiers, templates and ip rules.
TextRule NameRule(std::string words);
// A password, a key or what holds one: not repeated by faults. `words` for the reference.
TextRule SecretRule(std::string words);
// Of what envoyproxy/ratelimit does not bound: names of domains and of rules.
TextRule LongNameRule(std::string words);
inline constexpr std::size_t kLongestLongName = 400;

}  // namespace weir::config
