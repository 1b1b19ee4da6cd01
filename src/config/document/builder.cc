// Configurations made in code: presets, the builder, and the steps of a migration.
#include <algorithm>
#include <utility>

#include "config/document/document.h"
#include "weir/config.h"

namespace weir {

bool operator==(const Composite& a, const Composite& b) {
  const auto same = [](const auto& x, const auto& y) { return x == y || (x && y && *x == *y); };
  return a.strategy == b.strategy && same(a.primary, b.primary) && same(a.secondary, b.secondary);
}

HeaderConfig HeaderConfig::Detailed() {
  HeaderConfig headers;
  headers.styles = {HeaderStyle::kIetf, HeaderStyle::kXRateLimit};
  return headers;
}
HeaderConfig HeaderConfig::UploadOptimized() {
  HeaderConfig headers;
  headers.on_allowed = false;
  return headers;
}
HeaderConfig HeaderConfig::StreamingOptimized() { return {}; }
HeaderConfig HeaderConfig::ComplianceMode() {
  HeaderConfig headers;
  // Every form that can stand beside the others: draft 07 uses the names of the IETF form for something else.
  headers.styles = {HeaderStyle::kIetf, HeaderStyle::kDraft06, HeaderStyle::kXRateLimit};
  headers.reset_as_epoch = true;
  return headers;
}
HeaderConfig HeaderConfig::None() {
  HeaderConfig headers;
  headers.styles = {HeaderStyle::kNone};
  headers.retry_after = false;
  headers.on_allowed = false;
  return headers;
}

RateLimitRule RateLimitRule::Unlimited() {
  RateLimitRule rule;
  rule.unlimited = true;
  return rule;
}
RateLimitRule RateLimitRule::Strict() {
  RateLimitRule rule;
  rule.max_requests = 10;
  rule.window_seconds = 60;
  return rule;
}
RateLimitRule RateLimitRule::Generous() {
  RateLimitRule rule;
  rule.max_requests = 1000;
  rule.window_seconds = 60;
  return rule;
}

ConfigBuilder EnterpriseRateLimitConfig::Builder() { return {}; }

EnterpriseRateLimitConfig EnterpriseRateLimitConfig::EnableRedisStorage(std::string url) && {
  RedisStorage redis;
  redis.url = std::move(url);
  storage.kind = std::move(redis);
  return std::move(*this);
}
EnterpriseRateLimitConfig EnterpriseRateLimitConfig::EnablePostgresStorage(std::string database_url) && {
  PostgresStorage postgres;
  postgres.database_url = std::move(database_url);
  storage.kind = std::move(postgres);
  return std::move(*this);
}
EnterpriseRateLimitConfig EnterpriseRateLimitConfig::EnableAnalytics() && {
  analytics.metrics_enabled = true;
  analytics.event_logging = true;
  return std::move(*this);
}
EnterpriseRateLimitConfig EnterpriseRateLimitConfig::EnableManagementApi(std::string address) && {
  server.admin.address = std::move(address);
  return std::move(*this);
}

ConfigBuilder& ConfigBuilder::Global(weir::GlobalLimits limits) {
  config_.global = std::move(limits);
  return *this;
}
ConfigBuilder& ConfigBuilder::Tenant(std::string name, TenantLimits limits) {
  config_.tenants.insert_or_assign(std::move(name), std::move(limits));
  return *this;
}
ConfigBuilder& ConfigBuilder::User(std::string name, UserLimits limits) {
  config_.users.insert_or_assign(std::move(name), std::move(limits));
  return *this;
}
ConfigBuilder& ConfigBuilder::Key(std::string key, ApiKeyLimits limits) {
  config_.api_keys.insert_or_assign(std::move(key), std::move(limits));
  return *this;
}
ConfigBuilder& ConfigBuilder::Endpoint(std::string pattern, EndpointLimits limits) {
  config_.endpoints.insert_or_assign(std::move(pattern), std::move(limits));
  return *this;
}
ConfigBuilder& ConfigBuilder::Ip(IpRules rules) {
  config_.ip_rules = std::move(rules);
  return *this;
}
ConfigBuilder& ConfigBuilder::Exempt(Exemptions exemptions) {
  config_.exemptions = std::move(exemptions);
  return *this;
}
ConfigBuilder& ConfigBuilder::Algorithm(RateLimitAlgorithm algorithm) {
  config_.algorithm = std::move(algorithm);
  return *this;
}
ConfigBuilder& ConfigBuilder::Storage(StorageConfig storage) {
  config_.storage = std::move(storage);
  return *this;
}
ConfigBuilder& ConfigBuilder::Analytics(AnalyticsConfig analytics) {
  config_.analytics = analytics;
  return *this;
}
ConfigBuilder& ConfigBuilder::Domain(std::string name, DomainLimits limits) {
  config_.domains.insert_or_assign(std::move(name), std::move(limits));
  return *this;
}
ConfigBuilder& ConfigBuilder::Envoy(EnvoyConfig envoy) {
  config_.envoy = std::move(envoy);
  return *this;
}
ConfigBuilder& ConfigBuilder::Server(ServerConfig server) {
  config_.server = std::move(server);
  return *this;
}

Result<EnterpriseRateLimitConfig> ConfigBuilder::Build() {
  if (auto valid = config::CheckConfig(config_); !valid) return std::unexpected(std::move(valid).error());
  return config_;
}

}  // namespace weir
