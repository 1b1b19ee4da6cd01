#include "management/auth/authenticator.h"

#include <algorithm>
#include <utility>

#include "base/crypto/secret.h"

namespace weir::management {
namespace {

std::unexpected<Refusal> Refused(Refusal::Kind kind, std::string reason, Nanos retry_after = 0) {
  return std::unexpected(Refusal{.kind = kind, .reason = std::move(reason), .retry_after = retry_after});
}

// Two dots, which no token of weir's own form has.
bool LooksLikeJwt(std::string_view token) { return std::ranges::count(token, '.') == 2 && token.starts_with("eyJ"); }

}  // namespace

Authenticator::Authenticator(TokenStore& tokens, Sessions* sessions, Accounts* accounts, KeySource* keys)
    : tokens_(tokens),
      sessions_(sessions),
      accounts_(accounts),
      keys_(keys),
      settings_(std::make_shared<const AuthSettings>()) {}

void Authenticator::SetSettings(AuthSettings settings) {
  settings_.Publish(std::make_shared<const AuthSettings>(std::move(settings)));
}

std::unexpected<Refusal> Authenticator::Failed(const Presented& presented, std::string reason, Nanos now) {
  const Nanos wait = attempts_.Blocked(presented.peer, "", now);
  attempts_.Failed(presented.peer, now);
  if (wait > 0) return Refused(Refusal::Kind::kTooMany, std::move(reason), wait);
  return Refused(Refusal::Kind::kInvalid, std::move(reason));
}

std::expected<Principal, Refusal> Authenticator::Authenticate(const Presented& presented, Nanos now) {
  if (!presented.authorization.empty()) return ByBearer(presented, now);
  if (sessions_ != nullptr) {
    if (const std::string_view secret = Sessions::SecretIn(presented.cookie); !secret.empty()) {
      return BySession(secret, presented, now);
    }
  }
  if (!presented.certificate.empty()) {
    const auto settings = settings_.Read().Hold();
    if (!settings->certificates.empty()) {
      auto principal = PrincipalOf(presented.certificate, settings->certificates);
      if (principal) return std::move(*principal);
      return Failed(presented, "mtls: " + principal.error().message, now);
    }
  }
  return Refused(Refusal::Kind::kMissing, "nothing was presented");
}

std::expected<Principal, Refusal> Authenticator::ByBearer(const Presented& presented, Nanos now) {
  const std::string_view token = BearerToken(presented.authorization);
  if (token.empty()) return Failed(presented, "the Authorization header is not 'Bearer TOKEN'", now);
  if (LooksLikeJwt(token)) {
    auto principal = ByJwt(token, now);
    if (principal || principal.error().kind != Refusal::Kind::kInvalid) return principal;
    return Failed(presented, std::move(principal.error().reason), now);
  }
  auto principal = tokens_.Verify(token, now);
  if (principal) return std::move(*principal);
  return Failed(presented, "token: " + std::string(NameOf(principal.error())), now);
}

std::expected<Principal, Refusal> Authenticator::ByJwt(std::string_view token, Nanos now) {
  const auto invalid = [](std::string why) { return Refused(Refusal::Kind::kInvalid, "jwt: " + std::move(why)); };
  const auto settings = settings_.Read().Hold();
  if (settings->issuers.empty() || keys_ == nullptr) return invalid("JWTs are not accepted here");
  const auto parsed = ParseJwt(token);
  if (!parsed) return invalid(parsed.error().message);
  const auto issuer = std::ranges::find_if(
      settings->issuers, [&](const AuthSettings::Issuer& one) { return one.policy.issuer == parsed->issuer; });
  if (issuer == settings->issuers.end()) return invalid("it is of another issuer");
  auto keys = keys_->KeysOf(parsed->issuer, false, now);
  if (!keys) {
    if (keys.error().code != ErrorCode::kUnavailable) return invalid(keys.error().message);
    return Refused(Refusal::Kind::kUnavailable, "jwt: " + keys.error().message, kSecond);
  }
  auto claims = VerifyJwt(*parsed, issuer->policy, **keys, now);
  if (!claims && claims.error().code == ErrorCode::kNotFound) {
    // The issuer may have new keys. They are asked for at a bounded rate, and mostly come after this answer.
    keys = keys_->KeysOf(parsed->issuer, true, now);
    if (keys) claims = VerifyJwt(*parsed, issuer->policy, **keys, now);
  }
  if (!claims) return invalid(claims.error().message);
  auto principal = PrincipalOf(*claims, issuer->mapping, AuthMethod::kJwt);
  if (!principal) return invalid(principal.error().message);
  return std::move(*principal);
}

std::expected<Principal, Refusal> Authenticator::BySession(std::string_view secret, const Presented& presented,
                                                           Nanos now) {
  auto principal = sessions_->Find(secret, now);
  if (!principal) {
    // An ended session is what every browser presents after a night: no failure worth counting.
    if (principal.error() == SessionFault::kExpired) return Refused(Refusal::Kind::kInvalid, "session: expired");
    return Failed(presented, "session: unknown", now);
  }
  if (presented.changes && !Sessions::CsrfMatches(secret, presented.csrf)) {
    return Refused(Refusal::Kind::kCsrf, "session: the CSRF token is missing or wrong");
  }
  return std::move(*principal);
}

std::expected<Sessions::Begun, Refusal> Authenticator::LogIn(std::string_view account, std::string_view password,
                                                             const Presented& presented, Nanos now) {
  if (accounts_ == nullptr || sessions_ == nullptr) return Refused(Refusal::Kind::kInvalid, "there are no accounts");
  // Names as they can be: a long one would only fill the table of attempts.
  if (!CheckName("the name", account)) return Failed(presented, "password: no such account", now);
  if (const Nanos wait = attempts_.Blocked(presented.peer, account, now); wait > 0) {
    return Refused(Refusal::Kind::kTooMany, "password: too many failures", wait);
  }
  attempts_.Begin(presented.peer, account, now);
  // Read before the password is: a session of what was changed since does not begin.
  const std::uint64_t version = accounts_->VersionOf(account);
  auto principal = accounts_->LogIn(account, password, now);
  const bool busy = !principal && principal.error() == LoginFault::kBusy;
  attempts_.End(presented.peer, account,
                principal ? Attempts::Ending::kSucceeded
                : busy    ? Attempts::Ending::kUndecided
                          : Attempts::Ending::kFailed,
                now);
  if (busy) return Refused(Refusal::Kind::kUnavailable, "password: too many logins at once", kSecond);
  if (!principal) return Refused(Refusal::Kind::kInvalid, "password: refused");
  SessionInfo info;
  info.principal = std::move(*principal);
  info.address = presented.peer;
  auto begun = sessions_->Begin(info, Sessions::SecretIn(presented.cookie), now,
                                [&] { return accounts_->VersionOf(account) == version; });
  if (!begun && begun.error().code == ErrorCode::kFailedPrecondition) {
    return Refused(Refusal::Kind::kInvalid, "password: " + begun.error().message);
  }
  if (!begun) return Refused(Refusal::Kind::kUnavailable, begun.error().message, kSecond);
  return std::move(*begun);
}

}  // namespace weir::management
