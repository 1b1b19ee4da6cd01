// Local accounts: people with a password, for the first start and for the day on which the identity provider is down.
// Passwords are hashed with Argon2id (libsodium) and never kept.
//
// Thread-safe. Hashing a password takes tens of milliseconds and 19 MiB on purpose: at most two are worked on at once,
// a few wait, and others are turned away, so that logins cannot be used to exhaust the machine.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "management/auth/database.h"
#include "management/auth/principal.h"
#include "weir/result.h"

namespace weir::management {

// Of Argon2id. The defaults are what OWASP asks for at least (19 MiB, 2 passes); a hash that was made with other
// numbers is made anew at the next login.
struct PasswordCost {
  std::uint64_t passes = 2;
  std::size_t memory = 19U << 20U;
};

// The hash as a PHC string, "$argon2id$v=19$m=19456,t=2,p=1$...". kResourceExhausted: there is not enough memory.
Result<std::string> HashPassword(std::string_view password, const PasswordCost& cost);
bool PasswordMatches(std::string_view password, const std::string& hash);

struct AccountInfo {
  std::string name{};
  std::vector<RoleGrant> roles{};
  std::string tenant{};
  Nanos created = 0, changed = 0;  // of the password
  Nanos last_login = 0;            // 0: never
  bool disabled = false;
};

enum class LoginFault : std::uint8_t {
  kRefused,  // no such account, a wrong password, or disabled: which one is nobody's business
  kBusy,     // too many logins at once
};

class Accounts {
 public:
  static constexpr std::size_t kMostAccounts = 10'000;
  static constexpr std::size_t kLeastPassword = 12;  // bytes
  static constexpr std::size_t kMostPassword = 1'024;

  // `database` must outlive it.
  static Result<std::unique_ptr<Accounts>> Open(Database& database, PasswordCost cost = {});

  // kAlreadyExists; kInvalidArgument: the name, the roles or the password (too short, too long, all alike, or the name
  // itself) cannot be used.
  Result<> Create(const AccountInfo& account, std::string_view password, Nanos now);
  // What is written in `account` but the times and the name; and the password, when there is one. All of it or nothing.
  Result<> Update(const AccountInfo& account, std::optional<std::string_view> password = {}, Nanos now = 0);
  Result<> SetPassword(std::string_view name, std::string_view password, Nanos now);
  Result<> Delete(std::string_view name);
  Result<AccountInfo> Get(std::string_view name) const;
  std::vector<AccountInfo> List() const;  // by name
  bool empty() const;
  // Another one after each change of the account but a login, also when it is removed and made again; 0: there is no
  // such account. In this process.
  std::uint64_t VersionOf(std::string_view name) const;

  // Takes as long for an account that does not exist as for one that does. Bounding attempts is the caller's
  // (attempts.h).
  std::expected<Principal, LoginFault> LogIn(std::string_view name, std::string_view password, Nanos now);

 private:
  struct Account {
    AccountInfo info;
    std::string password;  // PHC string
    std::uint64_t version = 0;
  };
  class Working;  // holds one of the two places

  Accounts(Database& database, PasswordCost cost) : database_(database), cost_(cost) {}
  Result<> Load();
  Result<> Store(const Account& account);
  Result<> CheckPassword(std::string_view name, std::string_view password) const;
  Result<std::string> MakeHash(std::string_view name, std::string_view password);

  Database& database_;
  const PasswordCost cost_;
  std::string nobody_;  // a hash that no password has

  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, Account, std::less<>> accounts_;
  std::uint64_t versions_ = 0;  // given so far

  std::mutex working_mutex_;
  std::condition_variable worked_;
  int working_ = 0, queued_ = 0;
};

}  // namespace weir::management
