#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "base/address.h"
#include "base/postgres_url.h"
#include "base/redis_url.h"
#include "config/validate/validate.h"

namespace weir::config {
namespace {

// A listener may hold tokens, and a token may have been written where the address belongs: only what looks like an
// address is repeated.
std::string Shown(const std::string& address) {
  const bool looks_like_one = address.find_first_not_of("0123456789abcdefABCDEF.:[]") == std::string::npos;
  return looks_like_one ? Quoted(address) : "what is written here";
}

// A network, or why not. `everything`: it holds all addresses of its family.
void CheckNetwork(const Place& place, const std::string& text, ValidationFaults& faults,
                  std::string_view if_everything) {
  const auto network = ParseNetwork(text);
  if (network && network->bits == 96 && EmbeddedIpv4(network->address, 96) &&
      network->address == ParseAddress("64:ff9b::")) {
    faults.Warn(place, Quoted(text) + " holds no client: NAT64 addresses are read as the IPv4 addresses in them");
  }
  if (network) {
    const bool everything = network->bits == 0 || (network->address.is_v4() && network->bits == 96);
    if (everything) faults.Warn(place, Quoted(text) + " is every address: " + std::string(if_everything));
    return;
  }
  const std::size_t slash = text.find('/');
  const auto address = ParseAddress(text.substr(0, slash));
  unsigned bits = 0;
  const char* end = text.data() + text.size();
  const bool has_bits = slash != std::string::npos && std::from_chars(text.data() + slash + 1, end, bits).ptr == end;
  const unsigned most = address && address->is_v4() ? 32 : 128;
  if (!address || !has_bits || bits > most) {
    return faults.Error(place, Quoted(text) + " is not an address or network",
                        "write it as 10.0.0.0/8 or 2001:db8::/32");
  }
  std::array<char, 46> buffer;
  const std::string_view base = FormatAddress(Truncate(*address, bits, bits), buffer);
  faults.Error(place, Quoted(text) + " has bits set beyond its prefix", fmt::format("did you mean {}/{}?", base, bits));
}

void CheckNetworks(const Place& place, const std::vector<std::string>& networks, ValidationFaults& faults,
                   std::string_view if_everything) {
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const std::string index = std::to_string(i);
    CheckNetwork(place.Below(index), networks[i], faults, if_everything);
  }
}

// Whether the text is "HOST:PORT" with an IP address, "localhost" or "*" for a host.
bool IsTcpAddress(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view port = text.substr(colon + 1);
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) return false;
  std::string_view host = text.substr(0, colon);
  if (host == "localhost" || host == "*") return true;
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    return host.find(':') != std::string_view::npos && ParseAddress(host).has_value();
  }
  return host.find(':') == std::string_view::npos && ParseAddress(host).has_value();
}

}  // namespace

void CheckMethods(const Place& place, const std::vector<std::string>& methods, ValidationFaults& faults) {
  // Of IANA's registry, and what caches add.
  static const std::vector<std::string_view> kKnown = {"GET",
                                                       "HEAD",
                                                       "POST",
                                                       "PUT",
                                                       "DELETE",
                                                       "CONNECT",
                                                       "OPTIONS",
                                                       "TRACE",
                                                       "PATCH",
                                                       "QUERY",
                                                       "PURGE",
                                                       "BAN",
                                                       "PROPFIND",
                                                       "PROPPATCH",
                                                       "MKCOL",
                                                       "COPY",
                                                       "MOVE",
                                                       "LOCK",
                                                       "UNLOCK",
                                                       "SEARCH",
                                                       "REPORT",
                                                       "ACL",
                                                       "BIND",
                                                       "UNBIND",
                                                       "REBIND",
                                                       "CHECKIN",
                                                       "CHECKOUT",
                                                       "UNCHECKOUT",
                                                       "LABEL",
                                                       "LINK",
                                                       "UNLINK",
                                                       "MERGE",
                                                       "MKACTIVITY",
                                                       "MKCALENDAR",
                                                       "MKREDIRECTREF",
                                                       "MKWORKSPACE",
                                                       "ORDERPATCH",
                                                       "PRI",
                                                       "UPDATE",
                                                       "UPDATEREDIRECTREF",
                                                       "VERSION-CONTROL",
                                                       "BASELINE-CONTROL",
                                                       "SUBSCRIBE",
                                                       "UNSUBSCRIBE",
                                                       "NOTIFY",
                                                       "POLL",
                                                       "M-SEARCH"};
  for (std::size_t i = 0; i < methods.size() && !faults.full(); ++i) {
    if (std::ranges::find(kKnown, methods[i]) != kKnown.end()) continue;
    const std::string index = std::to_string(i);
    const std::string hint = DidYouMean(methods[i], kKnown);
    if (hint.empty()) {
      faults.Warn(place.Below(index), Quoted(methods[i]) + " is no registered HTTP method");
    } else {
      faults.Error(place.Below(index), "there is no HTTP method " + Quoted(methods[i]), hint);
    }
  }
}

void CheckIpRules(const Place& place, const IpRules& rules, ValidationFaults& faults) {
  if (rules.client_address != IpRules{}.client_address && rules.trusted_proxies.empty()) {
    faults.Warn(place.Below("client_address"), "has no effect without trusted_proxies: no header is believed");
  }
  for (std::size_t i = 0; i < rules.nat64_prefixes.size(); ++i) {
    const auto network = ParseNetwork(rules.nat64_prefixes[i]);
    if (network && IsNat64Prefix(*network)) continue;
    const std::string index = std::to_string(i);
    faults.Error(place.Below("nat64_prefixes").Below(index), Quoted(rules.nat64_prefixes[i]) + " is no NAT64 prefix",
                 "an IPv6 network of 32, 40, 48, 56, 64 or 96 bits, such as 2001:db8:64::/96");
  }
  CheckNetworks(place.Below("trusted_proxies"), rules.trusted_proxies, faults,
                "any client can forge its address with a forwarding header");
  const Place list = place.Below("rules");
  std::map<std::string_view, std::size_t> names;
  for (std::size_t i = 0; i < rules.rules.size(); ++i) {
    const IpRule& rule = rules.rules[i];
    const std::string index = std::to_string(i);
    const Place here = list.Below(index);
    const auto [known, is_new] = names.try_emplace(rule.name, i);
    if (!is_new && !rule.name.empty()) {
      faults.Error(here.Below("name"), fmt::format("{} is the name of rule {} too", Quoted(rule.name), known->second));
    }
    CheckNetworks(here.Below("cidrs"), rule.cidrs, faults, "the rule holds for all");
    if (rule.cidrs.empty() && rule.countries.empty())
      faults.Error(here, "has neither cidrs nor countries, so it matches nothing");
    if (rule.action == IpRule::Action::kBlock && rule.rule) {
      faults.Warn(here.Below("rule"), "has no effect: a block denies for ever");
    }
    const bool needs_rule = rule.action == IpRule::Action::kLimit || rule.action == IpRule::Action::kThrottle;
    if (needs_rule && !rule.rule) faults.Error(here, "has no rule to apply", "write `rule`, or `action: block`");
  }
}

void CheckExemptions(const Place& place, const Exemptions& exemptions, ValidationFaults& faults) {
  CheckNetworks(place.Below("cidrs"), exemptions.cidrs, faults, "nobody is limited");
  const Place paths = place.Below("paths");
  for (std::size_t i = 0; i < exemptions.paths.size(); ++i) {
    const std::string& path = exemptions.paths[i];
    const std::string index = std::to_string(i);
    const Place here = paths.Below(index);
    if (path == "*" || path == "/*") {
      faults.Warn(here, Quoted(path) + " exempts every path: nothing is limited");
    } else if (!path.starts_with('/')) {
      faults.Warn(here, Quoted(path) + " does not begin with '/': no path is exempt by it");
    } else if (path.find('*') < path.size() - 1) {
      faults.Warn(here, "only a '*' at the end of " + Quoted(path) + " stands for anything");
    }
  }
}

namespace {

void CheckHybrid(const Place& place, const HybridStorage& hybrid, ValidationFaults& faults) {
  const auto* const memory = std::get_if<MemoryStorage>(&hybrid.primary->kind);
  if (memory == nullptr) {
    faults.Error(place.Below("primary"), "the primary of a hybrid storage is memory");
  } else if (memory->persist_to_disk) {
    const Place primary = place.Below("primary"), here = primary.Below("memory");
    faults.Warn(here.Below("persist_to_disk"), "has no effect: the secondary keeps the counts");
  }
  const Place secondary = place.Below("secondary");
  if (std::holds_alternative<HybridStorage>(hybrid.secondary->kind)) {
    faults.Error(secondary, "a hybrid storage within a hybrid storage is not possible");
  } else if (std::holds_alternative<MemoryStorage>(hybrid.secondary->kind)) {
    faults.Error(secondary, "the secondary of a hybrid storage is shared: redis or postgres");
  } else {
    CheckStorage(secondary, *hybrid.secondary, faults);
  }
}

}  // namespace

void CheckStorage(const Place& place, const StorageConfig& storage, ValidationFaults& faults) {
  if (const auto* hybrid = std::get_if<HybridStorage>(&storage.kind)) {
    return CheckHybrid(place.Below("hybrid"), *hybrid, faults);
  }
  if (const auto* postgres = std::get_if<PostgresStorage>(&storage.kind)) {
    const auto url = ParsePostgresUrl(postgres->database_url);
    const Place here = place.Below("postgres");
    if (!url) return faults.Error(here.Below("database_url"), url.error().message);
    const auto named = [](std::string_view name) {
      return [name](const auto& parameter) { return parameter.first == name; };
    };
    const bool far = std::ranges::any_of(url->hosts, [](const PostgresUrl::Host& host) {
      return host.name != "localhost" && host.name != "127.0.0.1" && host.name != "::1" && !host.name.starts_with('/');
    });
    if (far && url->has_password && std::ranges::none_of(url->parameters, named("sslmode"))) {
      faults.Warn(here.Below("database_url"), "without sslmode the server is not verified, and may be somebody else",
                  "add ?sslmode=verify-full");
    }
    return;
  }
  const auto* redis = std::get_if<RedisStorage>(&storage.kind);
  if (redis != nullptr && redis->cluster) {
    const Place here = place.Below("redis");
    faults.Error(here.Below("cluster"), "Redis Cluster is not in this version; use a single Redis");
  }
  if (redis == nullptr) return;
  // By the reader that the store uses: what is valid here can be served.
  if (const auto url = ParseRedisUrl(redis->url); !url) {
    const Place here = place.Below("redis");
    faults.Error(here.Below("url"), url.error().message);
  }
}

void CheckAnalytics(const Place& place, const AnalyticsConfig& analytics, ValidationFaults& faults) {
  if (analytics.insights_retention_days != AnalyticsConfig{}.insights_retention_days) {
    faults.Warn(place.Below("insights_retention_days"), std::string(kNoEffect));
  }
}

bool IsListenAddress(std::string_view text) {
  return text == "off" || (text.starts_with("unix:") && text.size() > 5) || IsTcpAddress(text);
}

void CheckServer(const Place& place, const ServerConfig& server, ValidationFaults& faults) {
  const std::array<std::pair<std::string_view, const ListenerConfig*>, 4> listeners = {
      {{"http", &server.http}, {"resp", &server.resp}, {"grpc", &server.grpc}, {"admin", &server.admin}}};
  CheckAdminAuth(place.Below("admin_auth"), server.admin_auth, server.admin, faults);
  std::map<std::string_view, std::string_view> taken;
  for (const auto& [name, listener] : listeners) {
    const std::string& address = listener->address;
    const Place here = place.Below(name);
    if (listener->mode && !address.starts_with("unix:/")) {
      faults.Warn(here.Below("mode"), "has no effect: only the file of a Unix socket has permissions");
    }
    if (listener->serve && listener->serve->empty()) {
      faults.Warn(here.Below("serve"), "is empty: everything is refused");
    }
    if (address == "off") continue;
    if (address.starts_with("unix:")) {
      if (address.size() == 5) faults.Error(here, "'unix:' says no path");
    } else if (!IsTcpAddress(address)) {
      faults.Error(here, Shown(address) + " is not an address to listen on",
                   "write it as 127.0.0.1:8080, [::1]:8080, unix:/path or off");
      continue;
    }
    if (address.ends_with(":0")) continue;
    const auto [known, is_new] = taken.try_emplace(address, name);
    if (!is_new) faults.Error(here, fmt::format("{} listens on {} already", known->second, Quoted(address)));
  }
}

}  // namespace weir::config
