#include "management/audit/redact.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstddef>

#include "base/ascii.h"
#include "base/crypto/encoding.h"
#include "management/auth/secret_token.h"

namespace weir::management::audit {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 14> kSecretNames = {
    "password", "passwd",  "passphrase", "secret",      "token",      "credential",       "authorization",
    "cookie",   "api_key", "apikey",     "private_key", "privatekey", "client_assertion", "signature"};
// Under these not even a number is shown.
constexpr std::array<std::string_view, 4> kNeverShown = {"password", "passwd", "passphrase", "secret"};

constexpr unsigned kMostDepth = 64;

template <std::size_t N>
bool ContainsAny(std::string_view name, const std::array<std::string_view, N>& parts) {
  std::string lower = LowerCase(std::string(name));
  std::ranges::replace(lower, '-', '_');
  return std::ranges::any_of(parts, [&](std::string_view part) { return lower.find(part) != std::string::npos; });
}

bool IsReference(std::string_view text) {
  return (text.starts_with("${env:") || text.starts_with("${file:") || text.starts_with("${credential:")) &&
         text.ends_with("}") && text.find('}') == text.size() - 1;
}

bool IsTokenCharacter(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' ||
         c == '.' || c == '~' || c == '+' || c == '/' || c == '=';
}

std::string_view RunAt(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && IsTokenCharacter(text[end])) ++end;
  return text.substr(at, end - at);
}

// "basic plan" and "bearer of news" are no secrets.
bool IsBasicCredential(std::string_view run) {
  while (run.ends_with('=')) run.remove_suffix(1);
  std::string url(run);
  std::ranges::replace(url, '+', '-');
  std::ranges::replace(url, '/', '_');
  const auto decoded = FromBase64Url(url);
  return decoded && decoded->find(':') != std::string::npos;
}

bool IsBearerToken(std::string_view run) {
  constexpr std::size_t kLong = 20;
  return run.size() >= kLong || run.find_first_of("0123456789._~+/=-") != std::string_view::npos;
}

bool StartsWithIgnoringCase(std::string_view text, std::string_view with) {
  return text.size() >= with.size() && EqualsIgnoreCase(text.substr(0, with.size()), with);
}

// "://user:password@" -> "://user:[redacted]@"; `at` stands behind "://". Returns where the copying goes on.
std::size_t HideUserInfo(std::string_view text, std::size_t at, std::string* out) {
  const std::size_t end = std::min(text.find_first_of("/?# \t\n\"'<>", at), text.size());
  const std::string_view authority = text.substr(at, end - at);
  const std::size_t host = authority.rfind('@');
  if (host == std::string_view::npos) return at;
  const std::size_t colon = authority.find(':');
  if (colon == std::string_view::npos || colon > host) return at;
  out->append(authority.substr(0, colon + 1)).append(kRedacted);
  return at + host;
}

json::value Redacted(const json::value& value, unsigned depth, bool secret, bool never) {
  if (depth > kMostDepth) return json::string(kRedacted.data(), kRedacted.size());
  const json::string hidden(kRedacted.data(), kRedacted.size());
  if (const auto* text = value.if_string()) {
    const std::string_view view(text->data(), text->size());
    if (secret) return IsReference(view) || view.empty() ? value : json::value(hidden);
    const std::string clean = RedactText(view);
    return json::string(clean.data(), clean.size());
  }
  if (const auto* array = value.if_array()) {
    json::array copy;
    copy.reserve(array->size());
    for (const json::value& element : *array) copy.push_back(Redacted(element, depth + 1, secret, never));
    return copy;
  }
  if (const auto* object = value.if_object()) {
    json::object copy;
    for (const auto& [key, member] : *object) {
      const std::string_view name(key.data(), key.size());
      // A name may be what somebody pasted into the wrong place.
      const std::string clean = RedactText(name);
      const bool below = never || ContainsAny(name, kNeverShown);
      copy[json::string_view(clean.data(), clean.size())] = Redacted(member, depth + 1, IsSecretName(name), below);
    }
    return copy;
  }
  return never && !value.is_null() ? json::value(hidden) : value;
}

}  // namespace

bool IsSecretName(std::string_view name) { return ContainsAny(name, kSecretNames); }

std::string RedactText(std::string_view text) {
  const std::string without = HideSecrets(text);
  text = without;
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    // Behind "token=" too, which a token itself may end with.
    const bool word = at == 0 || text[at - 1] == '=' || text[at - 1] == '/' || !IsTokenCharacter(text[at - 1]);
    if (rest.starts_with("://")) {
      out += "://";
      at = HideUserInfo(text, at + 3, &out);
      continue;
    }
    std::size_t scheme = 0;
    std::string_view secret;
    if (word && StartsWithIgnoringCase(rest, "bearer ")) {
      scheme = 7;
      secret = RunAt(text, at + scheme);
      if (!IsBearerToken(secret)) secret = {};
    } else if (word && StartsWithIgnoringCase(rest, "basic ")) {
      scheme = 6;
      secret = RunAt(text, at + scheme);
      if (!IsBasicCredential(secret)) secret = {};
    } else if (word && rest.starts_with("eyJ")) {  // {" in base64url: a JWT
      secret = RunAt(text, at);
      if (secret.find('.') == std::string_view::npos) secret = {};
    }
    if (secret.empty()) {
      out += text[at++];
    } else {
      out.append(rest.substr(0, scheme)).append(kRedacted);
      at += scheme + secret.size();
    }
  }
  return out;
}

std::string RedactJson(std::string_view text) {
  boost::system::error_code fault;
  json::parse_options options;
  options.max_depth = kMostDepth;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), fault, {}, options);
  if (fault) return "{\"unreadable_bytes\":" + std::to_string(text.size()) + "}";
  return json::serialize(Redacted(value, 0, false, false));
}

}  // namespace weir::management::audit
