#include "base/postgres_url.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace weir {
namespace {

std::unexpected<Error> Bad(std::string message) { return Fail(ErrorCode::kInvalidArgument, std::move(message)); }

// Of libpq 15, those that have a meaning for a client that only asks. `host` and `port` are read apart; `password` and
// `sslpassword` are secrets, which belong elsewhere; `options` would be refused by PgBouncer.
constexpr std::array<std::string_view, 31> kKnown = {"application_name",
                                                     "channel_binding",
                                                     "client_encoding",
                                                     "connect_timeout",
                                                     "dbname",
                                                     "fallback_application_name",
                                                     "gssencmode",
                                                     "gsslib",
                                                     "hostaddr",
                                                     "keepalives",
                                                     "keepalives_count",
                                                     "keepalives_idle",
                                                     "keepalives_interval",
                                                     "krbsrvname",
                                                     "options",
                                                     "passfile",
                                                     "require_auth",
                                                     "requirepeer",
                                                     "ssl_max_protocol_version",
                                                     "ssl_min_protocol_version",
                                                     "sslcert",
                                                     "sslcompression",
                                                     "sslcrl",
                                                     "sslcrldir",
                                                     "sslkey",
                                                     "sslmode",
                                                     "sslrootcert",
                                                     "sslsni",
                                                     "target_session_attrs",
                                                     "tcp_user_timeout",
                                                     "user"};

struct Choice {
  std::string_view name;
  std::array<std::string_view, 6> values;
};
constexpr std::array<Choice, 2> kChoices = {
    Choice{"sslmode", {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
    Choice{"target_session_attrs", {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}}};

std::optional<unsigned> HexDigit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

Result<std::string> Decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] <= ' ' || text[i] == '\x7f') return Bad("a blank or control character: write it as %20 and so on");
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const auto high = i + 1 < text.size() ? HexDigit(text[i + 1]) : std::nullopt;
    const auto low = i + 2 < text.size() ? HexDigit(text[i + 2]) : std::nullopt;
    if (!high || !low) return Bad("a '%' that no two hexadecimal digits follow: a plain '%' is written as %25");
    if (*high == 0 && *low == 0) return Bad("a NUL");
    out.push_back(static_cast<char>(*high << 4 | *low));
    i += 2;
  }
  return out;
}

Result<std::uint16_t> ReadPort(std::string_view text) {
  if (text.empty()) return std::uint16_t{0};
  std::uint16_t port = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (fault != std::errc{} || end != text.data() + text.size() || port == 0) return Bad("a port must be 1..65535");
  return port;
}

Result<PostgresUrl::Host> ReadHost(std::string_view text) {
  PostgresUrl::Host host;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return Bad("a '[' without its ']'");
    host.name = text.substr(1, close - 1);
    if (host.name.find(':') == std::string::npos) return Bad("brackets are for IPv6 addresses");
    text.remove_prefix(close + 1);
    if (!text.empty() && !text.starts_with(':')) return Bad("unexpected text after a ']'");
    if (!text.empty()) port = text.substr(1);
  } else {
    const std::size_t colon = text.find(':');
    auto name = Decoded(text.substr(0, colon));
    if (!name) return std::unexpected(name.error());
    host.name = std::move(*name);
    if (colon != std::string_view::npos) port = text.substr(colon + 1);
    if (port.find(':') != std::string_view::npos) return Bad("an IPv6 address stands in brackets");
  }
  const auto number = ReadPort(port);
  if (!number) return std::unexpected(number.error());
  host.port = *number;
  return host;
}

template <typename Part>
Result<> EachOf(std::string_view list, char separator, const Part& part) {
  while (true) {
    const std::size_t end = std::min(list.find(separator), list.size());
    if (auto read = part(list.substr(0, end)); !read) return read;
    if (end == list.size()) return {};
    list.remove_prefix(end + 1);
  }
}

Result<> ReadHosts(std::string_view text, PostgresUrl& url) {
  if (text.empty()) return {};
  return EachOf(text, ',', [&](std::string_view one) -> Result<> {
    auto host = ReadHost(one);
    if (!host) return std::unexpected(host.error());
    if (host->name.empty() && text.find(',') != std::string_view::npos) return Bad("an empty host in the list");
    url.hosts.push_back(std::move(*host));
    return {};
  });
}

Result<> ReadParameter(std::string_view text, PostgresUrl& url) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return Bad("a parameter is name=value");
  const auto name = Decoded(text.substr(0, equals));
  auto value = Decoded(text.substr(equals + 1));
  if (!name) return std::unexpected(name.error());
  if (!value) return std::unexpected(value.error());
  if (*name == "password") return Bad("a password stands before the '@', or in a file that passfile names");
  if (*name == "sslpassword") return Bad("a key that needs a password is not supported");
  if (*name == "host") {
    url.hosts.clear();
    return EachOf(*value, ',', [&](std::string_view one) -> Result<> {
      url.hosts.push_back({.name = std::string(one)});
      return {};
    });
  }
  if (*name == "port") {
    const auto port = ReadPort(*value);
    if (!port) return std::unexpected(port.error());
    if (url.hosts.empty()) url.hosts.emplace_back();
    for (PostgresUrl::Host& host : url.hosts) {
      if (host.port == 0) host.port = *port;
    }
    return {};
  }
  if (std::ranges::find(kKnown, *name) == kKnown.end()) return Bad("a parameter that libpq does not have");
  for (const Choice& choice : kChoices) {
    if (choice.name != *name || std::ranges::find(choice.values, *value) != choice.values.end()) continue;
    std::string message = std::string(choice.name) + " must be one of";
    for (const std::string_view known : choice.values) message += " " + std::string(known);
    return Bad(std::move(message));
  }
  url.parameters.emplace_back(*name, std::move(*value));
  return {};
}

}  // namespace

Result<PostgresUrl> ParsePostgresUrl(std::string_view text) {
  if (text.size() > 4096) return Bad("longer than 4096 bytes");
  for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(scheme.size());
    PostgresUrl url;
    const std::size_t query = std::min(text.find('?'), text.size());
    const std::size_t slash = std::min(text.find('/'), query);
    std::string_view authority = text.substr(0, slash);
    if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
      const std::string_view credentials = authority.substr(0, at);
      authority.remove_prefix(at + 1);
      if (credentials.find('@') != std::string_view::npos) return Bad("an '@' of a password is written as %40");
      const std::size_t colon = std::min(credentials.find(':'), credentials.size());
      auto user = Decoded(credentials.substr(0, colon));
      if (!user) return std::unexpected(user.error());
      url.user = std::move(*user);
      if (colon < credentials.size()) {
        const auto password = Decoded(credentials.substr(colon + 1));
        if (!password) return std::unexpected(password.error());
        url.has_password = !password->empty();
      }
    }
    if (auto read = ReadHosts(authority, url); !read) return std::unexpected(read.error());
    if (slash < query) {
      const std::string_view path = text.substr(slash + 1, query - slash - 1);
      if (path.find('/') != std::string_view::npos) return Bad("a '/' of a password or database is written as %2F");
      auto database = Decoded(path);
      if (!database) return std::unexpected(database.error());
      url.database = std::move(*database);
    }
    if (query + 1 < text.size()) {
      const auto read =
          EachOf(text.substr(query + 1), '&', [&](std::string_view one) { return ReadParameter(one, url); });
      if (!read) return std::unexpected(read.error());
    }
    if (url.hosts.size() > 32) return Bad("more than 32 hosts");
    return url;
  }
  return Bad("it must start with postgresql:// or postgres://");
}

std::string Describe(const PostgresUrl& url) {
  std::string out = "postgresql://";
  for (const PostgresUrl::Host& host : url.hosts) {
    if (&host != url.hosts.data()) out += ',';
    const bool brackets = host.name.find(':') != std::string::npos;
    out += brackets ? "[" + host.name + "]" : host.name;
    if (host.port != 0) out += ":" + std::to_string(host.port);
  }
  return out + "/" + url.database;
}

}  // namespace weir
