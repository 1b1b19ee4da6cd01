// Who is known elsewhere: the issuers, the OpenID provider and the certificates of `server.admin_auth`, put to work.
// Keeps their keys fresh, gives the Authenticator its settings, and takes people through a login at the provider.
//
// Thread-safe. Logins wait for the provider, on the thread that asks: a worker, not an event loop.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "management/auth/authenticator.h"
#include "management/auth/key_source.h"
#include "management/auth/oidc.h"
#include "weir/admin_auth.h"
#include "weir/result.h"

namespace weir::management {

class ExternalIdentity final : public KeySource {
 public:
  // `seal_key`: 32 bytes that outlive the process, so that a login may end after a restart. `clock` outlives it.
  ExternalIdentity(const Clock& clock, std::string seal_key);
  ~ExternalIdentity() override;
  ExternalIdentity(const ExternalIdentity&) = delete;
  ExternalIdentity& operator=(const ExternalIdentity&) = delete;

  // kInvalidArgument: what is wrong with it.
  static Result<> Check(const AdminAuthConfig& config);
  // One thread at a time. From now on it is this, for `authenticator` too; the same as before changes nothing, so that
  // no keys are fetched again. Sessions that the provider began end when it, or what is configured of it, is another;
  // `sessions` may be nullptr. An error of Check() changes nothing; one of `sessions` is told when everything else is
  // done.
  Result<> Configure(const AdminAuthConfig& config, Authenticator& authenticator, Sessions* sessions);

  Result<std::shared_ptr<const JwkSet>> KeysOf(std::string_view issuer, bool missing_id, Nanos now) override;

  // ---- logins of people; kNotFound: no provider is configured ----
  // kUnavailable: the provider does not answer, or too many logins are in hand. The reason goes to the log; clients are
  // told the message.
  Result<LoginBegun> BeginLogin(std::string_view return_to);
  struct Finished {
    OidcLogin login;
    std::string issuer;  // as sessions have it: with a fingerprint of what is configured
    std::string return_to;
  };
  // kInvalidArgument: it is no answer to a login that this browser began. kFailedPrecondition: it is, and came back
  // before, or the provider's word does not hold.
  Result<Finished> FinishLogin(const CallbackQuery& query, std::string_view cookie);
  // Whether sessions of that Finished::issuer may begin: what is configured is the same still.
  bool IsCurrent(const std::string& session_issuer) const;
  Result<LogoutNotice> ReadLogout(std::string_view token);
  bool has_provider() const;

 private:
  struct State;
  // The provider with its endpoints, which are asked for when they are needed and again after an hour.
  // `logs_in`: is one of those of whom few may ask at once.
  Result<OidcProvider> Provider(State& state, bool logs_in);
  // Calls `verify` with the provider's keys; once more with new ones when they lack the token's.
  template <typename Verify>
  auto WithKeys(State& state, const OidcProvider& provider, Verify&& verify)
      -> decltype(verify(std::declval<const JwkSet&>()));
  std::shared_ptr<State> Current() const;
  static Result<std::shared_ptr<State>> Read(const AdminAuthConfig& config);
  // kFailedPrecondition: that login came back before.
  Result<> TakeOnce(const std::string& login);

  const Clock& clock_;
  const std::string seal_key_;
  bool configured_ = false;   // by Configure(), which one thread calls at a time
  mutable std::mutex mutex_;  // guards state_
  std::shared_ptr<State> state_;
  std::mutex taken_mutex_;                        // guards what follows
  std::unordered_map<std::string, Nanos> taken_;  // logins that came back, until they would have ended
  Nanos swept_ = 0;                               // when those that ended were forgotten
  std::atomic<int> exchanges_{0};                 // of logins with the provider, at once
};

// What the parts of the configuration mean. kInvalidArgument.
Result<ClaimMapping> MappingOf(const ClaimsConfig& config, std::string_view default_name_claim);
Result<AuthSettings> AuthSettingsOf(const AdminAuthConfig& config);

}  // namespace weir::management
