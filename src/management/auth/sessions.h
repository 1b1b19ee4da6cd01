// Sessions of people in a browser: a random id in a cookie, its hash at rest, an end when nobody has come for a while
// and an end in any case. A login always makes a new session, whatever id the browser brought along, so that nobody can
// prepare one for somebody else (session fixation).
//
// What changes something and comes with a cookie has to bring the session's CSRF token too, which only a page of weir's
// own origin can read. It follows from the session's secret, so that nothing more is kept.
//
// Thread-safe. Look-ups read memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "management/auth/database.h"
#include "management/auth/principal.h"
#include "weir/result.h"

namespace weir::management {

inline constexpr std::string_view kSessionCookie = "__Host-weir-session";

struct SessionInfo {
  std::string id{};  // "ses_..."; for routes and records
  Principal principal{};
  // Of people whom an OpenID provider sent: for its logout (EndOf). `issuer`: with a fingerprint of what was configured
  // of it, behind a space (ExternalIdentity).
  std::string issuer{}, subject{}, issuer_session{};
  std::string address{};  // from which it was begun
  Nanos created = 0, seen = 0, expires = 0;
};

enum class SessionFault : std::uint8_t { kUnknown, kExpired };

class Sessions {
 public:
  struct Options {
    Nanos idle = 30 * kMinute;     // without a request
    Nanos absolute = 12 * kHour;   // since the login
    std::size_t most_of_one = 16;  // sessions of one principal; the oldest ends for a new one
    std::size_t most = 10'000;
  };
  // `database` must outlive it.
  static Result<std::unique_ptr<Sessions>> Open(Database& database, Options options);

  struct Begun {
    std::string secret;  // for the cookie; this is the only time it exists
    std::string csrf;
    SessionInfo info;
  };
  // After a login. `replaced`: the session id in the browser's cookie, or empty. That session ends.
  // kResourceExhausted: there are Options::most.
  // `still`: whether the principal is still who logged in, asked when no End can come in between any more. So whoever
  // changes an account and then ends its sessions ends this one too, or is seen here: kFailedPrecondition, and none has
  // begun.
  Result<Begun> Begin(const SessionInfo& info, std::string_view replaced, Nanos now,
                      const std::function<bool()>& still = {});

  // Whose session it is. Counts as a request: the idle time begins anew.
  std::expected<Principal, SessionFault> Find(std::string_view secret, Nanos now);
  // Whether `token` is the CSRF token of that session.
  static bool CsrfMatches(std::string_view secret, std::string_view token);
  static std::string CsrfOf(std::string_view secret);

  Result<> End(std::string_view secret);                       // logout; unknown ones are no error
  Result<> EndById(std::string_view id);                       // kNotFound
  Result<std::size_t> EndOf(std::string_view principal_name);  // after a change of roles or of the password
  // Back-channel logout: of that provider's session, or, when that is empty, of its subject. Returns how many ended.
  Result<std::size_t> EndOf(std::string_view issuer, std::string_view subject, std::string_view issuer_session);
  // Of people whom any other OpenID provider sent than this one; empty: whom any sent. Returns how many ended.
  Result<std::size_t> EndOfOtherIssuers(std::string_view issuer);
  std::vector<SessionInfo> List(Nanos now) const;  // newest first

  // For a job, every minute: forgets what has ended, writes when sessions were last seen.
  Result<> Tick(Nanos now);

  // Value of the Set-Cookie header; an empty secret takes the cookie away.
  static std::string CookieFor(std::string_view secret);
  // The secret in a Cookie header, or empty: none, or more than one of that name.
  static std::string_view SecretIn(std::string_view cookie_header);

 private:
  struct Session {
    SessionInfo info;
    std::string hash;
    Nanos seen_written = 0;
  };
  Sessions(Database& database, Options options) : database_(database), options_(options) {}
  Result<> Load();
  bool Ended(const Session& session, Nanos now) const;
  // Under mutex_.
  Result<std::size_t> Drop(const std::vector<std::string>& hashes);
  template <typename Which>
  std::vector<std::string> HashesOf(Which&& which) const;

  Database& database_;
  const Options options_;
  mutable std::mutex mutex_;                           // guards what follows
  std::unordered_map<std::string, Session> sessions_;  // by hash
};

}  // namespace weir::management
