// Random documents for property tests: any value that the tables allow, not only sensible ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "weir/config.h"

namespace weir::config {

class RandomConfig {
 public:
  explicit RandomConfig(std::uint64_t seed) : engine_(seed) {}

  EnterpriseRateLimitConfig Document() {
    EnterpriseRateLimitConfig config;
    config.global.free_tier = Rule();
    if (Chance(2)) config.global.pro_tier = Rule();
    if (Chance(2)) config.global.enterprise_tier = Rule();
    for (std::size_t i = Below(3); i > 0; --i) config.global.tiers[Name()] = Rule();
    if (Chance(3)) config.global.burst = {Flip(), Real(1, 1000)};
    if (Chance(3)) config.global.penalties = Penalties();
    for (std::size_t i = Below(3); i > 0; --i) config.tenants[Name()] = Tenant();
    for (std::size_t i = Below(3); i > 0; --i) config.users[Name()] = User();
    for (std::size_t i = Below(3); i > 0; --i) config.api_keys[Name()] = Key();
    for (std::size_t i = Below(3); i > 0; --i) config.endpoints["/" + Name()] = Endpoint();
    if (Chance(2)) config.ip_rules = Ip();
    if (Chance(4)) config.denial = Denial();
    if (Chance(2)) config.exemptions = {Texts(), {"10.0.0.0/8"}, Names(), Names()};
    if (Chance(2)) config.algorithm = Algorithm();
    if (Chance(2)) config.storage = Storage();
    if (Chance(3)) config.request_ids = {Seconds(1, 86'400), Seconds(16, 10'000'000)};
    if (Chance(3)) config.approvals = {{ApprovalScope::kPolicy, ApprovalScope::kKeys}};
    if (Chance(3)) config.analytics = {Flip(), Flip(), Seconds(1, 3650)};
    for (std::size_t i = Below(3); i > 0; --i)
      config.domains[Name()] = {Rules(), Descriptors(3), Flip() ? DescriptorMatch::kExact : DescriptorMatch::kContained,
                                Maybe([&] { return Flip(); })};
    if (Chance(2)) config.envoy = Envoy();
    for (std::size_t i = Below(3); i > 0; --i) config.templates[Name()] = Rule();
    if (Chance(2)) config.server = Server();
    if (Chance(4)) config.jwt = {Maybe([&] { return Name(); }), Maybe([&] { return Name() + "\nline\n"; })};
    return config;
  }

  RateLimitRule Rule() {
    if (Chance(6)) return RateLimitRule::Unlimited();
    RateLimitRule rule;
    rule.max_requests = Maybe([&] { return Number(); });
    rule.window_seconds = Maybe([&] { return Seconds(0, 315'360'000); });
    rule.identifier = Maybe([&] { return Identifier(3); });
    rule.algorithm = Maybe([&] { return Algorithm(); });
    rule.headers = Maybe([&] { return Headers(); });
    rule.mode = Maybe([&] { return Flip() ? RuleMode::kEnforce : RuleMode::kShadow; });
    rule.penalties = Maybe([&] { return Penalties(); });
    rule.schedule = Maybe([&] { return OneSchedule(); });
    rule.on_store_failure = Maybe(
        [&] { return Pick({StoreFailurePolicy::kLocal, StoreFailurePolicy::kAllow, StoreFailurePolicy::kDeny}); });
    rule.on_missing = Maybe([&] { return Pick({OnMissing::kIp, OnMissing::kSkip, OnMissing::kDeny}); });
    rule.counts = Maybe([&] { return Counted(); });
    if (Chance(4)) {
      rule.limits.emplace();
      for (std::size_t i = Below(3); i > 0; --i) {
        rule.limits->push_back({.max_requests = Number(),
                                .window_seconds = Seconds(1, 315'360'000),
                                .algorithm = Maybe([&] { return Algorithm(); }),
                                .counts = Maybe([&] { return Counted(); }),
                                .name = Maybe([&] { return std::string("burst"); })});
      }
    }
    rule.on_exceeded = Maybe([&] { return Pick({Action::kDeny, Action::kWait, Action::kChallenge, Action::kCharge}); });
    rule.max_wait_ms = Maybe([&] { return Seconds(1, 3'600'000); });
    if (Chance(4)) rule.denial = Denial();
    if (Chance(4)) rule.when = Pick({"request.country == \"DE\"", "'x' in headers", "true && request.cost > 1"});
    rule.unlimited = Maybe([&] { return Flip(); });
    rule.name = Maybe([&] { return std::string(Pick({"login", "a b", "#1", "true", "12", "'\"\\"})); });
    if (Chance(5)) rule.from_template = Name();
    return rule;
  }

  CountedUnit Counted() {
    const auto kind = Pick({CountedUnit::Kind::kCost, CountedUnit::Kind::kRequests, CountedUnit::Kind::kAttribute});
    return {.kind = kind, .attribute = kind == CountedUnit::Kind::kAttribute ? Name() : ""};
  }
  std::uint64_t Below(std::uint64_t bound) { return bound == 0 ? 0 : engine_() % bound; }
  bool Chance(std::uint64_t one_in) { return Below(one_in) == 0; }
  bool Flip() { return Chance(2); }

 private:
  template <typename F>
  auto Maybe(F make) -> std::optional<decltype(make())> {
    if (Flip()) return std::nullopt;
    return make();
  }
  template <typename T>
  T Pick(std::initializer_list<T> choices) {
    return *(choices.begin() + static_cast<std::ptrdiff_t>(Below(choices.size())));
  }
  std::uint64_t Number() {
    return Pick<std::uint64_t>(
        {0, 1, 10, 1000, Below(1'000'000), Below((std::uint64_t{1} << 53) + 1), std::uint64_t{1} << 53});
  }
  std::uint32_t Seconds(std::uint32_t min, std::uint32_t max) {
    const std::uint64_t width = std::uint64_t{max} - min + 1;
    return min + static_cast<std::uint32_t>(Below(std::min(width, Pick<std::uint64_t>({2, 100, width}))));
  }
  double Real(double min, double max) {
    const double real = min + (max - min) * static_cast<double>(engine_() >> 11) * 0x1p-53;
    return Pick({min, max, real, 1.0 + min, min + 1.0 / 3});
  }

  // Text that YAML or JSON could mistake: reserved words, numbers, signs, blanks, quotes, controls, other scripts.
  std::string Name() {
    std::string name;
    for (std::size_t parts = 1 + Below(3); parts > 0; --parts) {
      name += Pick({"a",
                    "acme",
                    "true",
                    "null",
                    "~",
                    "-",
                    "- ",
                    ": ",
                    "#",
                    " #",
                    "12",
                    "1e3",
                    "0x1f",
                    "{",
                    "}",
                    "[",
                    "]",
                    ",",
                    "&a",
                    "*a",
                    "!x",
                    "|",
                    ">",
                    "%",
                    "@",
                    "`",
                    "'",
                    "\"",
                    "\\",
                    "\\n",
                    " ",
                    ".",
                    "?",
                    "? ",
                    "<<",
                    "=",
                    "yes",
                    "NO",
                    "off",
                    "\xC3\xBC",
                    "\xE2\x82\xAC",
                    "\xF0\x9F\x8C\x8A",
                    "\xC2\x85",
                    "\xE2\x80\xA8",
                    "\xEF\xBB\xBF",
                    "\xEF\xBF\xBE",
                    "\xC2\xA0",
                    "\xEE\x80\x80",
                    "\xF4\x8F\xBF\xBF",
                    "2001:db8::1",
                    "/x/*",
                    "{id}"});
    }
    return name;
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (std::size_t i = Below(4); i > 0; --i) names.push_back(Name());
    return names;
  }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts = Names();
    if (Chance(4)) texts.emplace_back("\t\r\n\x01\x7f");
    if (Chance(4)) texts.emplace_back();
    return texts;
  }

  EnhancedIdentifier Identifier(int depth) {
    switch (Below(depth > 0 ? 7 : 6)) {
      case 0:
        return {IpAddress{Flip(), Flip(), Flip()}};
      case 1:
        return {UserId{Maybe([&] { return Name(); }), Flip()}};
      case 2:
        return {ApiKey{Maybe([&] { return Name(); }), Maybe([&] { return Name(); })}};
      case 3:
        return {GlobalIdentifier{}};
      case 4:
        return {TenantId{}};
      case 5:
        return {CustomIdentifier{"header:" + Name(), Maybe([&] { return Seconds(0, 1000); })}};
      default:
        return {Composite{std::make_shared<const EnhancedIdentifier>(Identifier(depth - 1)),
                          std::make_shared<const EnhancedIdentifier>(Identifier(depth - 1)),
                          Pick({CompositeStrategy::kCombine, CompositeStrategy::kFirstAvailable,
                                CompositeStrategy::kStrictestLimit})}};
    }
  }

  WindowAlignment Alignment() {
    return Pick({WindowAlignment::kRolling, WindowAlignment::kMinute, WindowAlignment::kHour, WindowAlignment::kDay,
                 WindowAlignment::kWeek, WindowAlignment::kMonth, WindowAlignment::kYear, WindowAlignment::kEpoch});
  }
  std::string Zone() { return Pick({"UTC", "Europe/Berlin", "America/New_York"}); }

  RateLimitAlgorithm Algorithm() {
    switch (Below(7)) {
      case 0:
        return SlidingWindow{{Pick<std::uint32_t>({1, 10, 60, Seconds(1, 315'360'000)})}, Flip()};
      case 1:
        return TokenBucket{Real(0, 1e12), Number()};
      case 2:
        return LeakyBucket{Real(0, 1e12), Number(), Flip()};
      case 3:
        return SlidingWindowLog{Seconds(0, 9999), Seconds(0, 9999)};
      case 4:
        return FixedWindow{Alignment(), Zone(), Flip()};
      case 5:
        return Concurrency{Number(), Seconds(1, 9999)};
      default:
        return Adaptive{Seconds(1, 9999), Real(0.001, 1000), Number(), Number()};
    }
  }

  HeaderConfig Headers() {
    if (Flip())
      return Pick({HeaderConfig{}, HeaderConfig::Detailed(), HeaderConfig::ComplianceMode(), HeaderConfig::None()});
    HeaderConfig headers;
    headers.styles.clear();
    for (std::size_t i = 1 + Below(3); i > 0; --i) {
      headers.styles.push_back(Pick({HeaderStyle::kIetf, HeaderStyle::kDraft06, HeaderStyle::kDraft07,
                                     HeaderStyle::kXRateLimit, HeaderStyle::kNone}));
    }
    headers.reset_as_epoch = Flip();
    headers.retry_after = Flip();
    headers.on_allowed = Flip();
    headers.partition_key = Flip();
    headers.basic_body = Flip();
    if (Flip()) headers.names = {.policy = "X-Policy", .x_limit = "X-Limit", .retry_after = "X-Retry"};
    return headers;
  }

  DenialConfig Denial() {
    DenialConfig denial;
    denial.status = Maybe([&] { return Pick<std::uint32_t>({200, 400, 429, 599}); });
    denial.body =
        Pick({DenialBody::kProblem, DenialBody::kPlain, DenialBody::kHtml, DenialBody::kOpenai, DenialBody::kJsonrpc});
    if (Flip()) denial.message = "Come <back> \"later\".";
    if (Flip()) denial.headers = {{"X-A", "1; b=\"c\""}, {"Location", "/wait"}};
    return denial;
  }
  PenaltyConfig Penalties() {
    return {Flip(),        Seconds(1, 1'000'000), Seconds(1, 9999), Seconds(1, 9999),
            Real(1, 1000), Seconds(1, 9999),      Seconds(1, 9999)};
  }
  Schedule OneSchedule() {
    Schedule schedule;
    for (std::size_t i = Below(3); i > 0; --i)
      schedule.days.emplace_back(Pick({"mon", "tue", "wed", "thu", "fri", "sat", "sun"}));
    schedule.from = Pick({"00:00", "08:30", "23:59"});
    schedule.to = Pick({"24:00", "07:00"});
    schedule.time_zone = Zone();
    return schedule;
  }
  Quota OneQuota() {
    return {Number(),
            Pick({WindowAlignment::kHour, WindowAlignment::kDay, WindowAlignment::kMonth, WindowAlignment::kYear}),
            Flip(), Zone()};
  }
  std::vector<Quota> Quotas() {
    std::vector<Quota> quotas;
    for (std::size_t i = Below(3); i > 0; --i) quotas.push_back(OneQuota());
    return quotas;
  }
  TenantLimits Tenant() {
    return {Maybe([&] { return Name(); }), Maybe([&] { return Rule(); }), Maybe([&] { return Rule(); }), Quotas(),
            Maybe([&] { return Name(); })};
  }
  UserLimits User() {
    return {Maybe([&] { return Name(); }), Maybe([&] { return Name(); }), Maybe([&] { return Rule(); }), Quotas(),
            Flip()};
  }
  ApiKeyLimits Key() {
    return {Maybe([&] { return Name(); }), Maybe([&] { return Name(); }), Maybe([&] { return Name(); }), Quotas(),
            Names()};
  }
  EndpointLimits Endpoint() {
    EndpointLimits endpoint;
    if (Flip()) endpoint.methods = {"GET", "POST"};
    endpoint.rule = Rule();
    endpoint.combine = Flip() ? Combine::kReplace : Combine::kStack;
    endpoint.tenants = Names();
    endpoint.users = Names();
    endpoint.ignore_case = Flip();
    return endpoint;
  }
  IpRules Ip() {
    IpRules rules;
    if (Flip()) rules.trusted_proxies = {"127.0.0.1", "2001:db8::/32"};
    rules.client_address = Pick({"x_forwarded_for", "forwarded", "header:CF-Connecting-IP"});
    if (Flip()) rules.nat64_prefixes = {"2001:db8:64::/96"};
    rules.ipv6_prefix = Seconds(1, 128);
    rules.ipv4_prefix = Seconds(1, 32);
    for (std::size_t i = Below(3); i > 0; --i) {
      rules.rules.push_back({Name(),
                             {"192.0.2.0/24"},
                             {"DE", "NO"},
                             Pick({IpRule::Action::kLimit, IpRule::Action::kAllow, IpRule::Action::kBlock,
                                   IpRule::Action::kThrottle, IpRule::Action::kChallenge}),
                             Maybe([&] { return Rule(); })});
    }
    return rules;
  }
  std::vector<RateLimitRule> Rules() {
    std::vector<RateLimitRule> rules;
    for (std::size_t i = Flip() ? 0 : Below(3); i > 0; --i) rules.push_back(Rule());
    return rules;
  }
  std::vector<DescriptorLimits> Descriptors(int depth) {
    std::vector<DescriptorLimits> descriptors;
    for (std::size_t i = depth == 0 ? 0 : Below(3); i > 0; --i) {
      descriptors.push_back({.key = Name(),
                             .value = Pick<std::string>({"", "*", Name(), Name() + "*"}),
                             .rule = Maybe([&] { return Rule(); }),
                             .rules = Rules(),
                             .replaces = Names(),
                             .quota_mode = Flip(),
                             .detailed_metric = Flip(),
                             .value_to_metric = Flip(),
                             .share_threshold = Flip(),
                             .metadata = Chance(3) ? R"({"a": {"b": 1, "c": [true, "x"]}})" : "",
                             .descriptors = Descriptors(depth - 1)});
    }
    return descriptors;
  }
  EnvoyConfig Envoy() {
    EnvoyConfig envoy{.files = Names(),
                      .merge_domains = Flip(),
                      .unknown_domain = Pick({UnknownDomain::kAllow, UnknownDomain::kDeny, UnknownDomain::kError,
                                              UnknownDomain::kHierarchy}),
                      .count_all = Flip(),
                      .response_headers = Flip(),
                      .dynamic_metadata = Flip(),
                      .attributes = {}};
    for (std::size_t i = Below(3); i > 0; --i) envoy.attributes[Name()] = Pick({"ip", "user", "api_key", "none"});
    return envoy;
  }
  StorageConfig Storage() {
    StorageConfig storage;
    if (Flip()) {
      storage.kind = MemoryStorage{1 + Below(1'000'000),
                                   Number(),
                                   Seconds(1, 86'400),
                                   Pick({FullPolicy::kDenyNew, FullPolicy::kAllowNew, FullPolicy::kEvict}),
                                   Maybe([&] { return Name(); }),
                                   Seconds(1, 86'400)};
    } else if (Flip()) {
      storage.kind =
          PostgresStorage{"postgresql://h/d",
                          "weir_" + std::to_string(Below(100)),
                          Pick({PostgresDurability::kUnlogged, PostgresDurability::kAsync, PostgresDurability::kSync}),
                          Flip(),
                          Seconds(1, 1024),
                          Seconds(1, 1000),
                          Seconds(1, 600'000),
                          Seconds(1, 600'000),
                          Seconds(1, 1'000'000)};
    } else {
      storage.kind =
          RedisStorage{"redis://h:6379/1",   Flip(), Seconds(1, 1024), Name(), Seconds(1, 600'000), Seconds(1, 600'000),
                       Seconds(1, 1'000'000)};
    }
    if (Chance(3)) {
      HybridStorage hybrid{.mode = Pick({HybridMode::kStrict, HybridMode::kRelaxed}),
                           .sync_interval = Seconds(1, 3600)};
      if (auto* const memory = std::get_if<MemoryStorage>(&storage.kind)) {
        hybrid.primary = *memory;
      } else {
        hybrid.secondary = storage;
      }
      storage.kind = std::move(hybrid);
    }
    storage.on_store_failure =
        Pick({StoreFailurePolicy::kLocal, StoreFailurePolicy::kAllow, StoreFailurePolicy::kDeny});
    storage.instances = Seconds(1, 100'000);
    return storage;
  }
  ListenerConfig Listener() {
    ListenerConfig listener{Pick({"off", "127.0.0.1:0", "[::1]:80", "unix:/run/weir.sock"}), {}};
    if (Chance(3)) listener.tls = TlsConfig{"cert.pem", "key.pem", Flip() ? "ca.pem" : ""};
    return listener;
  }
  ServerConfig Server() {
    ServerConfig server;
    if (Flip()) server.http = Listener();
    if (Flip()) server.resp = Listener();
    if (Flip()) server.grpc = Listener();
    if (Flip()) server.admin = Listener();
    server.threads = Seconds(0, 64);
    server.max_connections = Seconds(1, 9999);
    server.max_request_bytes = Seconds(1024, 1 << 30);
    server.resp_password = Maybe([&] { return Name(); });
    server.request_id_header = Pick({"", "X-Request-Id"});
    IdentityHeaders& identity = server.forward_auth.identity_headers;
    for (std::string* name : {&identity.user, &identity.tenant, &identity.tier, &identity.api_key, &identity.country}) {
      *name = Pick({"", "X-User-Id", "authorization", "#'$&*|~"});
    }
    server.log_level = Pick({"debug", "info", "warn", "error"});
    server.log_format = Pick({"text", "json"});
    return server;
  }

  std::mt19937_64 engine_;
};

}  // namespace weir::config
