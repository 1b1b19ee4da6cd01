#include "management/auth/sessions.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/crypto/encoding.h"
#include "base/crypto/secret.h"
#include "management/auth/crypto.h"
#include "management/auth/secret_token.h"

namespace weir::management {
namespace {

constexpr std::string_view kCsrfContext = "weir csrf v1";

std::string HashOf(std::string_view secret) { return std::string(View(HashSecret(secret))); }

}  // namespace

Result<std::unique_ptr<Sessions>> Sessions::Open(Database& database, Options options) {
  std::unique_ptr<Sessions> sessions(new Sessions(database, options));
  if (auto loaded = sessions->Load(); !loaded) return std::unexpected(std::move(loaded.error()));
  return sessions;
}

Result<> Sessions::Load() {
  return database_.Read([&](Database::Access& access) {
    return access.Query(
        "SELECT id, hash, name, roles, tenant, method, issuer, subject, issuer_session, created, seen, expires, "
        "address "
        "FROM sessions",
        {}, [&](const Row& row) {
          auto roles = ParseGrants(row.Text(3));
          const auto method = AuthMethodNamed(row.Text(5));
          // A damaged one is none: its owner logs in again.
          if (!roles || !method) return;
          Session session;
          session.hash = row.Text(1);
          session.info = {.id = std::string(row.Text(0)),
                          .principal = {.name = std::string(row.Text(2)),
                                        .kind = PrincipalKind::kPerson,
                                        .roles = std::move(*roles),
                                        .tenant = std::string(row.Text(4)),
                                        .method = *method,
                                        .credential = std::string(row.Text(0))},
                          .issuer = std::string(row.Text(6)),
                          .subject = std::string(row.Text(7)),
                          .issuer_session = std::string(row.Text(8)),
                          .address = std::string(row.Text(12)),
                          .created = row.Integer(9),
                          .seen = row.Integer(10),
                          .expires = row.Integer(11)};
          if (!session.info.subject.empty()) {
            const std::string& issuer = session.info.issuer;
            session.info.principal.identity = issuer.substr(0, issuer.find(' ')) + ' ' + session.info.subject;
          }
          session.seen_written = session.info.seen;
          sessions_.insert_or_assign(session.hash, std::move(session));
        });
  });
}

bool Sessions::Ended(const Session& session, Nanos now) const {
  return now >= session.info.expires || now - session.info.seen >= options_.idle;
}

template <typename Which>
std::vector<std::string> Sessions::HashesOf(Which&& which) const {
  std::vector<std::string> hashes;
  for (const auto& [hash, session] : sessions_) {
    if (which(session)) hashes.push_back(hash);
  }
  return hashes;
}

Result<std::size_t> Sessions::Drop(const std::vector<std::string>& hashes) {
  if (hashes.empty()) return 0;
  auto written = database_.Write([&](Database::Access& access) -> Result<> {
    for (const std::string& hash : hashes) {
      if (auto done = access.Run("DELETE FROM sessions WHERE hash = ?", {Blob{hash}}); !done) return done;
    }
    return {};
  });
  // In memory they end in any case: a session that goes on because the disk is full would be worse than one that is
  // back after a restart.
  for (const std::string& hash : hashes) sessions_.erase(hash);
  if (!written) return std::unexpected(written.error());
  return hashes.size();
}

Result<Sessions::Begun> Sessions::Begin(const SessionInfo& info, std::string_view replaced, Nanos now,
                                        const std::function<bool()>& still) {
  Begun begun;
  begun.secret = MakeSecret(kSessionPrefix);
  begun.csrf = CsrfOf(begun.secret);
  begun.info = info;
  begun.info.id = "ses_" + RandomBase62(16);
  begun.info.principal.credential = begun.info.id;
  begun.info.created = now;
  begun.info.seen = now;
  begun.info.expires = now + options_.absolute;
  Session session{.info = begun.info, .hash = HashOf(begun.secret), .seen_written = now};

  const std::lock_guard lock(mutex_);
  if (still && !still()) return Fail(ErrorCode::kFailedPrecondition, "the account was changed meanwhile");
  std::vector<std::string> ending = HashesOf([&](const Session& one) { return Ended(one, now); });
  if (!replaced.empty() && sessions_.contains(HashOf(replaced))) ending.push_back(HashOf(replaced));
  std::vector<const Session*> own;
  for (const auto& [hash, one] : sessions_) {
    const SessionInfo& other = one.info;
    if (other.principal.name == info.principal.name && other.issuer == info.issuer && !Ended(one, now)) {
      own.push_back(&one);
    }
  }
  if (own.size() >= options_.most_of_one) {
    std::ranges::sort(own, {}, [](const Session* one) { return one->info.created; });
    for (std::size_t i = 0; i + options_.most_of_one <= own.size(); ++i) ending.push_back(own[i]->hash);
  }
  std::ranges::sort(ending);
  const auto [first, last] = std::ranges::unique(ending);
  ending.erase(first, last);
  if (auto dropped = Drop(ending); !dropped) return std::unexpected(dropped.error());
  if (sessions_.size() >= options_.most) return Fail(ErrorCode::kResourceExhausted, "there are too many sessions");

  const std::string roles = TextOf(info.principal.roles);
  auto written = database_.Write([&](Database::Access& access) {
    return access.Run(
        "INSERT INTO sessions (id, hash, name, roles, tenant, method, issuer, subject, issuer_session, created, seen, "
        "expires, address) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        {begun.info.id, Blob{session.hash}, info.principal.name, roles, info.principal.tenant,
         NameOf(info.principal.method), info.issuer, info.subject, info.issuer_session, now, now, begun.info.expires,
         info.address});
  });
  if (!written) return std::unexpected(written.error());
  sessions_.insert_or_assign(session.hash, std::move(session));
  return begun;
}

std::expected<Principal, SessionFault> Sessions::Find(std::string_view secret, Nanos now) {
  if (!HasSecretForm(secret, kSessionPrefix)) return std::unexpected(SessionFault::kUnknown);
  const std::string hash = HashOf(secret);
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(hash);
  if (found == sessions_.end()) return std::unexpected(SessionFault::kUnknown);
  if (Ended(found->second, now)) return std::unexpected(SessionFault::kExpired);
  found->second.info.seen = std::max(found->second.info.seen, now);
  return found->second.info.principal;
}

std::string Sessions::CsrfOf(std::string_view secret) { return Base64Url(HmacSha256(secret, kCsrfContext)); }

bool Sessions::CsrfMatches(std::string_view secret, std::string_view token) {
  return EqualInConstantTime(token, CsrfOf(secret));
}

Result<> Sessions::End(std::string_view secret) {
  const std::lock_guard lock(mutex_);
  const std::string hash = HashOf(secret);
  if (!sessions_.contains(hash)) return {};
  if (auto dropped = Drop({hash}); !dropped) return std::unexpected(dropped.error());
  return {};
}

Result<> Sessions::EndById(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto dropped = Drop(HashesOf([&](const Session& one) { return one.info.id == id; }));
  if (!dropped) return std::unexpected(dropped.error());
  if (*dropped == 0) return Fail(ErrorCode::kNotFound, "there is no such session");
  return {};
}

Result<std::size_t> Sessions::EndOf(std::string_view principal_name) {
  const std::lock_guard lock(mutex_);
  return Drop(HashesOf([&](const Session& one) { return one.info.principal.name == principal_name; }));
}

Result<std::size_t> Sessions::EndOf(std::string_view issuer, std::string_view subject,
                                    std::string_view issuer_session) {
  if (issuer.empty() || (subject.empty() && issuer_session.empty())) return 0;
  const std::lock_guard lock(mutex_);
  return Drop(HashesOf([&](const Session& one) {
    if (one.info.issuer != issuer) return false;
    return issuer_session.empty() ? one.info.subject == subject : one.info.issuer_session == issuer_session;
  }));
}

Result<std::size_t> Sessions::EndOfOtherIssuers(std::string_view issuer) {
  const std::lock_guard lock(mutex_);
  return Drop(HashesOf(
      [&](const Session& one) { return one.info.principal.method == AuthMethod::kOidc && one.info.issuer != issuer; }));
}

std::vector<SessionInfo> Sessions::List(Nanos now) const {
  const std::lock_guard lock(mutex_);
  std::vector<SessionInfo> list;
  for (const auto& [hash, session] : sessions_) {
    if (!Ended(session, now)) list.push_back(session.info);
  }
  std::ranges::sort(list, [](const SessionInfo& a, const SessionInfo& b) {
    return a.created != b.created ? a.created > b.created : a.id < b.id;
  });
  return list;
}

Result<> Sessions::Tick(Nanos now) {
  const std::lock_guard lock(mutex_);
  const auto dropped = Drop(HashesOf([&](const Session& one) { return Ended(one, now); }));
  if (!dropped) return std::unexpected(dropped.error());
  std::vector<Session*> seen;
  for (auto& [hash, session] : sessions_) {
    if (session.info.seen != session.seen_written) seen.push_back(&session);
  }
  if (seen.empty()) return {};
  auto written = database_.Write([&](Database::Access& access) -> Result<> {
    for (const Session* one : seen) {
      auto done = access.Run("UPDATE sessions SET seen = ? WHERE hash = ?", {one->info.seen, Blob{one->hash}});
      if (!done) return done;
    }
    return {};
  });
  if (!written) return written;
  for (Session* one : seen) one->seen_written = one->info.seen;
  return {};
}

// __Host-: only with Secure and Path=/, and without Domain, so that no other host or path can set it.
std::string Sessions::CookieFor(std::string_view secret) {
  std::string cookie =
      std::string(kSessionCookie) + "=" + std::string(secret) + "; Path=/; Secure; HttpOnly; SameSite=Strict";
  if (secret.empty()) cookie += "; Max-Age=0";
  return cookie;
}

std::string_view Sessions::SecretIn(std::string_view cookie_header) {
  std::optional<std::string_view> secret;
  while (!cookie_header.empty()) {
    const std::size_t end = std::min(cookie_header.find(';'), cookie_header.size());
    std::string_view one = cookie_header.substr(0, end);
    cookie_header.remove_prefix(std::min(end + 1, cookie_header.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    const std::size_t equals = one.find('=');
    if (equals == std::string_view::npos || one.substr(0, equals) != kSessionCookie) continue;
    if (secret) return {};
    secret = one.substr(equals + 1);
  }
  return secret.value_or("");
}

}  // namespace weir::management
