#include "management/auth/jwt.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "base/ascii.h"
#include "base/crypto/encoding.h"

namespace weir::management {
namespace {

namespace json = boost::json;

constexpr unsigned kMostDepth = 16;
constexpr Nanos kMostLeeway = kMinute;
constexpr std::size_t kMostAudiences = 32;
constexpr std::size_t kMostTexts = 256;
constexpr std::size_t kMostId = 256;

std::unexpected<Error> Invalid(const char* why) {
  return Fail(ErrorCode::kInvalidArgument, std::string("the JWT ") + why);
}

std::optional<json::object> ParseObject(std::string_view text) {
  boost::system::error_code fault;
  json::parse_options options;
  options.max_depth = kMostDepth;
  json::value value = json::parse(json::string_view(text.data(), text.size()), fault, {}, options);
  if (fault || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

std::string TextOf(const json::value& value) {
  const json::string& text = value.get_string();
  return {text.data(), text.size()};
}

// False: the member is there and is no string.
bool ReadText(const json::object& object, const char* name, std::string* text) {
  const json::value* const found = object.if_contains(name);
  if (found == nullptr) return true;
  if (!found->is_string()) return false;
  *text = TextOf(*found);
  return true;
}

// A NumericDate, also with a fraction. False: it is there and is none.
bool ReadTime(const json::object& object, const char* name, Nanos* time) {
  const json::value* const found = object.if_contains(name);
  if (found == nullptr) return true;
  if (!found->is_number()) return false;
  const double seconds = found->to_number<double>();
  constexpr double kMostSeconds = 9'000'000'000.0;  // the year 2255
  if (!std::isfinite(seconds) || seconds <= 0 || seconds > kMostSeconds) return false;
  *time = static_cast<Nanos>(std::floor(seconds * 1e3)) * kMillisecond;
  return true;
}

bool ReadAudiences(const json::object& object, std::vector<std::string>* audiences) {
  const json::value* const found = object.if_contains("aud");
  if (found == nullptr) return true;
  if (found->is_string()) {
    audiences->push_back(TextOf(*found));
    return true;
  }
  if (!found->is_array() || found->get_array().size() > kMostAudiences) return false;
  for (const json::value& one : found->get_array()) {
    if (!one.is_string()) return false;
    audiences->push_back(TextOf(one));
  }
  return true;
}

bool IsOneOf(std::string_view text, const std::vector<std::string>& of) {
  return std::ranges::find(of, text) != of.end();
}

std::string PlainType(std::string type) {
  type = LowerCase(std::move(type));
  constexpr std::string_view kApplication = "application/";
  if (type.starts_with(kApplication)) type.erase(0, kApplication.size());
  return type;
}

Result<> CheckTimes(const Claims& claims, const JwtPolicy& policy, Nanos now) {
  const Nanos leeway = std::clamp<Nanos>(policy.leeway, 0, kMostLeeway);
  if (claims.expires == 0 && policy.needs_expiry) return Invalid("has no expiry");
  if (claims.expires != 0 && now >= claims.expires + leeway) return Invalid("has expired");
  if (claims.not_before != 0 && now + leeway < claims.not_before) return Invalid("does not hold yet");
  if (claims.issued_at != 0 && now + leeway < claims.issued_at) return Invalid("was issued in the future");
  if (policy.longest != 0 && claims.expires != 0) {
    // Without a time of issue it is as if issued now: what is left is bounded.
    const Nanos from = claims.issued_at != 0 ? claims.issued_at : now;
    if (claims.expires - from > policy.longest + leeway) return Invalid("holds for longer than is accepted");
  }
  return {};
}

}  // namespace

Result<UnverifiedJwt> ParseJwt(std::string_view token) {
  if (token.size() > kMostJwt) return Invalid("is longer than 8 KiB");
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return Invalid("does not have three parts");
  }
  const auto header_text = FromBase64Url(token.substr(0, first));
  auto payload = FromBase64Url(token.substr(first + 1, second - first - 1));
  auto signature = FromBase64Url(token.substr(second + 1));
  if (!header_text || !payload || !signature) return Invalid("is not base64url");
  const auto header = ParseObject(*header_text);
  if (!header) return Invalid("has a header that is no JSON object");
  const auto claims = ParseObject(*payload);
  if (!claims) return Invalid("has claims that are no JSON object");
  // Extensions that have to be understood, of which none is: among them b64, by which the signed text would be another.
  if (header->contains("crit")) return Invalid("has critical extensions");
  UnverifiedJwt parsed;
  if (!header->contains("alg") || !ReadText(*header, "alg", &parsed.algorithm)) return Invalid("names no algorithm");
  if (!ReadText(*header, "typ", &parsed.type)) return Invalid("has a type that is no text");
  if (header->contains("kid")) {
    std::string id;
    if (!ReadText(*header, "kid", &id) || id.size() > kMostId) return Invalid("has a key id that is no short text");
    parsed.id = std::move(id);
  }
  if (!ReadText(*claims, "iss", &parsed.issuer)) return Invalid("has an issuer that is no text");
  parsed.payload = std::move(*payload);
  parsed.signed_text = token.substr(0, second);
  parsed.signature = std::move(*signature);
  return parsed;
}

Result<Claims> VerifyJwt(const UnverifiedJwt& token, const JwtPolicy& policy, const JwkSet& keys, Nanos now) {
  const auto algorithm = JwtAlgorithmNamed(token.algorithm);
  if (!algorithm || std::ranges::find(policy.algorithms, *algorithm) == policy.algorithms.end()) {
    return Invalid("is signed by an algorithm that is not accepted");
  }
  if (policy.issuer.empty() || token.issuer != policy.issuer) return Invalid("is of another issuer");
  if (!IsOneOf(PlainType(token.type), policy.types)) return Invalid("is of another type");
  const auto candidates = keys.Find(token.id ? std::optional<std::string_view>(*token.id) : std::nullopt, *algorithm);
  if (candidates.empty()) return Fail(ErrorCode::kNotFound, "the JWT is signed with a key that is not known");
  if (std::ranges::none_of(
          candidates, [&](const NamedKey* key) { return key->key.Verifies(token.signed_text, token.signature); })) {
    return Invalid("has a signature that is not its issuer's");
  }

  // From here on it is what the issuer wrote.
  const auto object = ParseObject(token.payload);
  if (!object) return Invalid("has claims that are no JSON object");
  Claims claims;
  claims.payload = token.payload;
  if (!ReadText(*object, "iss", &claims.issuer) || !ReadText(*object, "sub", &claims.subject) ||
      !ReadText(*object, "jti", &claims.id) || !ReadAudiences(*object, &claims.audiences)) {
    return Invalid("has a claim of the wrong type");
  }
  if (!ReadTime(*object, "exp", &claims.expires) || !ReadTime(*object, "nbf", &claims.not_before) ||
      !ReadTime(*object, "iat", &claims.issued_at)) {
    return Invalid("has a time that is no number of seconds");
  }
  if (std::ranges::none_of(claims.audiences, [&](const std::string& one) { return IsOneOf(one, policy.audiences); })) {
    return Invalid("is meant for somebody else");
  }
  if (auto checked = CheckTimes(claims, policy, now); !checked) return std::unexpected(std::move(checked.error()));
  return claims;
}

std::vector<std::string> ClaimTexts(const Claims& claims, std::string_view place) {
  std::vector<std::string> texts;
  const auto object = ParseObject(claims.payload);
  if (!object || place.empty()) return texts;
  const auto member = [](const json::object& in, std::string_view name) {
    return in.if_contains(json::string_view(name.data(), name.size()));
  };
  const json::value* found = member(*object, place);
  const json::object* in = &*object;
  for (std::string_view rest = place; found == nullptr && in != nullptr;) {
    const std::size_t dot = rest.find('.');
    const json::value* const next = member(*in, rest.substr(0, dot));
    if (dot == std::string_view::npos) {
      found = next;
      break;
    }
    rest.remove_prefix(dot + 1);
    in = next == nullptr ? nullptr : next->if_object();
  }
  if (found == nullptr) return texts;
  if (found->is_string()) {
    texts.push_back(TextOf(*found));
  } else if (found->is_array() && found->get_array().size() <= kMostTexts) {
    for (const json::value& one : found->get_array()) {
      if (one.is_string()) texts.push_back(TextOf(one));
    }
  }
  return texts;
}

namespace {

bool HasVerifiedEmail(const Claims& claims) {
  boost::system::error_code fault;
  const boost::json::value all = boost::json::parse(claims.payload, fault);
  if (fault || !all.is_object()) return false;
  const boost::json::value* const verified = all.get_object().if_contains("email_verified");
  return verified != nullptr && verified->is_bool() && verified->get_bool();
}

}  // namespace

Result<Principal> PrincipalOf(const Claims& claims, const ClaimMapping& mapping, AuthMethod method) {
  Principal principal;
  principal.method = method;
  principal.kind = method == AuthMethod::kOidc ? PrincipalKind::kPerson : PrincipalKind::kService;
  const bool by_email =
      mapping.name_claim == "email" || mapping.roles_claim == "email" || mapping.tenant_claim == "email";
  if (by_email && !HasVerifiedEmail(claims)) return Invalid("has an e-mail address that is not verified");
  if (!claims.subject.empty()) principal.identity = claims.issuer + ' ' + claims.subject;
  const std::vector<std::string> names = ClaimTexts(claims, mapping.name_claim);
  if (names.size() != 1) return Invalid("does not name its subject");
  if (const auto checked = CheckName("the subject of the JWT", names[0]); !checked) {
    return std::unexpected(checked.error());
  }
  principal.name = names[0];
  principal.credential = claims.id.substr(0, 128);
  const auto grant = [&](const RoleGrant& one) {
    if (std::ranges::find(principal.roles, one) == principal.roles.end()) principal.roles.push_back(one);
  };
  for (const RoleGrant& one : mapping.defaults) grant(one);
  if (!mapping.roles_claim.empty()) {
    for (const std::string& value : ClaimTexts(claims, mapping.roles_claim)) {
      for (const ClaimMapping::Row& row : mapping.roles) {
        if (row.value == value) grant(row.grant);
      }
    }
  }
  if (!mapping.tenant_claim.empty()) {
    const std::vector<std::string> tenants = ClaimTexts(claims, mapping.tenant_claim);
    if (tenants.size() != 1 || !CheckName("the tenant", tenants[0])) return Invalid("does not name its tenant");
    principal.tenant = tenants[0];
  }
  return principal;
}

}  // namespace weir::management
