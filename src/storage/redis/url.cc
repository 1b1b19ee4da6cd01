#include "storage/redis/url.h"

#include <charconv>
#include <optional>

namespace weir::storage::redis {
namespace {

std::unexpected<Error> Bad(std::string message) {
  return Fail(ErrorCode::kInvalidArgument, "redis url: " + std::move(message));
}

std::optional<unsigned> HexDigit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

// nullopt for a broken escape and for a NUL, which no path, name or password may hold.
std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const auto high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
      if (!high || !low) return std::nullopt;
      c = static_cast<char>(*high * 16 + *low);
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    out.push_back(c);
  }
  return out;
}

std::optional<std::uint32_t> ParseNumber(std::string_view text, std::uint32_t most) {
  std::uint32_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || fault != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
  return value;
}

// Takes everything before the first `mark` off `text`, and the mark; nullopt when there is none.
std::optional<std::string_view> TakeUntil(std::string_view& text, char mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at + 1);
  return taken;
}

Result<> ParseCredentials(std::string_view text, Url& url) {
  const auto user = TakeUntil(text, ':');
  if (!user) return Bad("credentials are user:password or :password");
  auto decoded_user = PercentDecode(*user), decoded_password = PercentDecode(text);
  if (!decoded_user || !decoded_password) return Bad("a broken %-escape in the credentials");
  if (decoded_password->empty()) return Bad("the password is empty");
  url.user = std::move(*decoded_user);
  url.password = std::move(*decoded_password);
  return {};
}

Result<> ParseHostAndPort(std::string_view text, Url& url) {
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return Bad("'[' without ']'");
    url.host = text.substr(1, close - 1);
    if (url.host.find(':') == std::string::npos) return Bad("brackets are for IPv6 addresses");
    text.remove_prefix(close + 1);
    has_port = text.starts_with(':');
    if (!has_port && !text.empty()) return Bad("unexpected text after ']'");
    if (has_port) port = text.substr(1);
  } else {
    const std::size_t colon = text.find(':');
    has_port = colon != std::string_view::npos;
    url.host = text.substr(0, colon);
    if (has_port) port = text.substr(colon + 1);
  }
  for (const char c : url.host) {
    if (c <= ' ' || c == '\x7f' || c == '[' || c == ']' || c == '@') return Bad("a character that no host has");
  }
  if (url.host.empty()) return Bad("the host is missing");
  if (!has_port) return {};
  const auto number = ParseNumber(port, 65'535);
  if (!number || *number == 0) return Bad("the port must be 1..65535");
  url.port = static_cast<std::uint16_t>(*number);
  return {};
}

Result<> ParseDatabase(std::string_view text, Url& url) {
  const auto number = ParseNumber(text, 65'535);
  if (!number) return Bad("the database must be a number 0..65535");
  url.database = *number;
  return {};
}

Result<> ParseOption(std::string_view name, std::string_view raw, Url& url) {
  auto value = PercentDecode(raw);
  if (!value || value->empty()) return Bad("option '" + std::string(name) + "' has no usable value");
  if (name == "db" && url.transport == Transport::kUnix) return ParseDatabase(*value, url);
  if (url.transport == Transport::kTls) {
    if (name == "ca") return url.ca_file = std::move(*value), Result<>{};
    if (name == "cert") return url.certificate_file = std::move(*value), Result<>{};
    if (name == "key") return url.key_file = std::move(*value), Result<>{};
    if (name == "sni") return url.server_name = std::move(*value), Result<>{};
    if (name == "verify" && (*value == "none" || *value == "peer")) {
      url.verify = *value == "none" ? Verify::kNone : Verify::kPeer;
      return {};
    }
    if (name == "verify") return Bad("verify must be 'peer' or 'none'");
  }
  return Bad("unknown option '" + std::string(name.substr(0, 40)) + "' for this scheme");
}

Result<> ParseOptions(std::string_view text, Url& url) {
  while (!text.empty()) {
    std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(pair.size() == text.size() ? pair.size() : pair.size() + 1);
    const auto name = TakeUntil(pair, '=');
    if (!name) return Bad("an option is name=value");
    if (auto parsed = ParseOption(*name, pair, url); !parsed) return parsed;
  }
  if (url.certificate_file.empty() != url.key_file.empty()) return Bad("cert and key go together");
  return {};
}

bool TakePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

Result<Url> ParseUrl(std::string_view text) {
  Url url;
  if (TakePrefix(text, "unix://")) {
    url.transport = Transport::kUnix;
  } else if (TakePrefix(text, "rediss://")) {
    url.transport = Transport::kTls;
  } else if (!TakePrefix(text, "redis://")) {
    return Bad("it must start with redis://, rediss:// or unix://");
  }
  if (text.size() > 4096) return Bad("longer than 4096 bytes");

  const std::size_t question = text.find('?');
  std::string_view place = text.substr(0, question);
  const std::string_view options = question == std::string_view::npos ? "" : text.substr(question + 1);

  const std::size_t slash = place.find('/');
  std::string_view authority = place.substr(0, slash);
  const std::string_view path = slash == std::string_view::npos ? "" : place.substr(slash);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    if (auto parsed = ParseCredentials(authority.substr(0, at), url); !parsed) return std::unexpected(parsed.error());
    authority.remove_prefix(at + 1);
  }

  if (url.transport == Transport::kUnix) {
    auto decoded = PercentDecode(path);
    if (!authority.empty() || !decoded || decoded->size() < 2)
      return Bad("unix:// needs an absolute path, as in unix:///run/redis.sock");
    if (decoded->size() > 107) return Bad("the socket's path is longer than 107 bytes");
    url.path = std::move(*decoded);
  } else {
    if (auto parsed = ParseHostAndPort(authority, url); !parsed) return std::unexpected(parsed.error());
    if (path.size() > 1) {
      if (auto parsed = ParseDatabase(path.substr(1), url); !parsed) return std::unexpected(parsed.error());
    }
  }
  if (auto parsed = ParseOptions(options, url); !parsed) return std::unexpected(parsed.error());
  return url;
}

std::string Describe(const Url& url) {
  if (url.transport == Transport::kUnix) return "unix://" + url.path;
  const bool brackets = url.host.find(':') != std::string::npos;
  return (url.transport == Transport::kTls ? "rediss://" : "redis://") + (brackets ? "[" + url.host + "]" : url.host) +
         ":" + std::to_string(url.port) + "/" + std::to_string(url.database);
}

}  // namespace weir::storage::redis
