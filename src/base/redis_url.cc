#include "base/redis_url.h"

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <optional>

namespace weir {
namespace {

namespace urls = boost::urls;
using Transport = RedisUrl::Transport;

std::unexpected<Error> Bad(std::string message) { return Fail(ErrorCode::kInvalidArgument, std::move(message)); }

std::optional<std::uint32_t> ParseNumber(std::string_view text, std::uint32_t most) {
  std::uint32_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || fault != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
  return value;
}

std::optional<Transport> TransportOf(std::string_view scheme) {
  if (scheme == "redis") return Transport::kTcp;
  if (scheme == "rediss") return Transport::kTls;
  return scheme == "unix" ? std::optional(Transport::kUnix) : std::nullopt;
}

bool HasNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Result<> ReadCredentials(const urls::url_view& from, RedisUrl& url) {
  if (!from.has_userinfo()) return {};
  if (!from.has_password()) return Bad("credentials are user:password or :password");
  url.user = from.user();
  url.password = from.password();
  if (HasNul(url.user) || HasNul(url.password)) return Bad("a NUL in the credentials");
  if (url.password.empty()) return Bad("the password is empty");
  return {};
}

Result<> ReadHostAndPort(const urls::url_view& from, RedisUrl& url) {
  if (from.host_type() == urls::host_type::ipvfuture) return Bad("brackets are for IPv6 addresses");
  url.host = from.host_address();
  const auto strange = [](char c) { return c <= ' ' || c == '\x7f' || c == '[' || c == ']' || c == '@' || c == '/'; };
  if (std::ranges::any_of(url.host, strange)) return Bad("a character that no host has");
  if (url.host.empty()) return Bad("the host is missing");
  if (!from.has_port()) return {};
  // Not port_number(): in Boost 1.81 it takes 99999 for 34463.
  const auto port = ParseNumber(from.port(), 65'535);
  if (!port || *port == 0) return Bad("the port must be 1..65535");
  url.port = static_cast<std::uint16_t>(*port);
  return {};
}

Result<> ReadDatabase(std::string_view text, RedisUrl& url) {
  const auto number = ParseNumber(text, 65'535);
  if (!number) return Bad("the database must be a number 0..65535");
  url.database = *number;
  return {};
}

Result<> ReadOption(std::string_view name, std::string value, RedisUrl& url) {
  if (value.empty() || HasNul(value)) return Bad("an option is name=value");
  if (name == "db" && url.transport == Transport::kUnix) return ReadDatabase(value, url);
  if (url.transport == Transport::kTls) {
    if (name == "ca") return url.ca_file = std::move(value), Result<>{};
    if (name == "cert") return url.certificate_file = std::move(value), Result<>{};
    if (name == "key") return url.key_file = std::move(value), Result<>{};
    if (name == "sni") return url.server_name = std::move(value), Result<>{};
    if (name == "verify" && (value == "none" || value == "peer")) {
      url.verify = value == "none" ? RedisUrl::Verify::kNone : RedisUrl::Verify::kPeer;
      return {};
    }
    if (name == "verify") return Bad("verify must be 'peer' or 'none'");
    return Bad("unknown option: rediss:// takes ca, cert, key, sni and verify");
  }
  return Bad(url.transport == Transport::kUnix ? "unknown option: unix:// takes db" : "redis:// takes no options");
}

Result<> ReadOptions(const urls::url_view& from, RedisUrl& url) {
  if (from.query().empty()) return {};  // a bare '?' too
  for (const auto option : from.params()) {
    if (!option.has_value) return Bad("an option is name=value");
    if (auto read = ReadOption(option.key, option.value, url); !read) return read;
  }
  if (url.certificate_file.empty() != url.key_file.empty()) return Bad("cert and key go together");
  return {};
}

Result<> ReadPath(const urls::url_view& from, RedisUrl& url) {
  // The library takes "[::1]x" for a host and a path.
  if (!from.encoded_path().empty() && !from.encoded_path().starts_with('/'))
    return Bad("unexpected text after the host");
  if (url.transport != Transport::kUnix) {
    const std::string path = from.path();
    return path.size() > 1 ? ReadDatabase(std::string_view(path).substr(1), url) : Result<>{};
  }
  url.path = from.path();
  const bool has_host = !from.encoded_host().empty() || from.has_port();
  if (has_host || url.path.size() < 2 || HasNul(url.path)) {
    return Bad("unix:// needs an absolute path, as in unix:///run/redis.sock");
  }
  if (url.path.size() > 107) return Bad("the socket's path is longer than 107 bytes");
  return {};
}

}  // namespace

Result<RedisUrl> ParseRedisUrl(std::string_view text) {
  RedisUrl url;
  const auto transport = TransportOf(text.substr(0, text.find("://")));
  if (text.find("://") == std::string_view::npos || !transport) {
    return Bad("it must start with redis://, rediss:// or unix://");
  }
  url.transport = *transport;
  if (text.size() > 4096) return Bad("longer than 4096 bytes");
  const auto parsed = urls::parse_uri({text.data(), text.size()});
  if (!parsed || !parsed->has_authority() || parsed->has_fragment()) {
    return Bad(
        "it is no URL: '@', '/', '?', '#', '%' and blanks of a password are written as %40, %2F, %3F, %23, %25, %20");
  }
  if (auto read = ReadCredentials(*parsed, url); !read) return std::unexpected(read.error());
  if (url.transport != Transport::kUnix) {
    if (auto read = ReadHostAndPort(*parsed, url); !read) return std::unexpected(read.error());
  }
  if (auto read = ReadPath(*parsed, url); !read) return std::unexpected(read.error());
  if (auto read = ReadOptions(*parsed, url); !read) return std::unexpected(read.error());
  return url;
}

std::string Describe(const RedisUrl& url) {
  if (url.transport == Transport::kUnix) return "unix://" + url.path;
  const bool brackets = url.host.find(':') != std::string::npos;
  return (url.transport == Transport::kTls ? "rediss://" : "redis://") + (brackets ? "[" + url.host + "]" : url.host) +
         ":" + std::to_string(url.port) + "/" + std::to_string(url.database);
}

}  // namespace weir
