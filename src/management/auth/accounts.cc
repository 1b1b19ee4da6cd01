#include "management/auth/accounts.h"

#include <sodium.h>

#include <algorithm>
#include <bitset>
#include <optional>
#include <utility>

#include "base/ascii.h"
#include "management/auth/crypto.h"

namespace weir::management {
namespace {

constexpr int kAtOnce = 2;
// Each keeps a thread of its caller busy.
constexpr int kMostQueued = 2;
constexpr std::size_t kLeastDistinct = 5;

}  // namespace

Result<std::string> HashPassword(std::string_view password, const PasswordCost& cost) {
  (void)RandomBytes(1);  // libsodium is ready
  std::string hash(crypto_pwhash_argon2id_STRBYTES, '\0');
  if (crypto_pwhash_argon2id_str(hash.data(), password.data(), password.size(), cost.passes, cost.memory) != 0) {
    return Fail(ErrorCode::kResourceExhausted, "there is not enough memory to hash a password");
  }
  hash.resize(hash.find('\0'));
  return hash;
}

bool PasswordMatches(std::string_view password, const std::string& hash) {
  (void)RandomBytes(1);
  return hash.size() < crypto_pwhash_argon2id_STRBYTES &&
         crypto_pwhash_argon2id_str_verify(hash.c_str(), password.data(), password.size()) == 0;
}

class Accounts::Working {
 public:
  explicit Working(Accounts& accounts) : accounts_(accounts) {
    std::unique_lock lock(accounts_.working_mutex_);
    if (accounts_.working_ >= kAtOnce && accounts_.queued_ >= kMostQueued) return;
    ++accounts_.queued_;
    accounts_.worked_.wait(lock, [&] { return accounts_.working_ < kAtOnce; });
    --accounts_.queued_;
    ++accounts_.working_;
    has_place_ = true;
  }
  ~Working() {
    if (!has_place_) return;
    const std::lock_guard lock(accounts_.working_mutex_);
    --accounts_.working_;
    accounts_.worked_.notify_one();
  }
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;
  bool has_place() const { return has_place_; }

 private:
  Accounts& accounts_;
  bool has_place_ = false;
};

Result<std::unique_ptr<Accounts>> Accounts::Open(Database& database, PasswordCost cost) {
  std::unique_ptr<Accounts> accounts(new Accounts(database, cost));
  if (auto loaded = accounts->Load(); !loaded) return std::unexpected(std::move(loaded.error()));
  auto nobody = HashPassword(RandomBytes(32), cost);
  if (!nobody) return std::unexpected(std::move(nobody.error()));
  accounts->nobody_ = std::move(*nobody);
  return accounts;
}

Result<> Accounts::Load() {
  Result<> parsed;
  auto read = database_.Read([&](Database::Access& access) {
    return access.Query("SELECT name, password, roles, tenant, created, changed, disabled, last_login FROM accounts",
                        {}, [&](const Row& row) {
                          auto roles = ParseGrants(row.Text(2));
                          if (!roles) {
                            parsed = Fail(ErrorCode::kDataLoss, "auth.db: the roles of account '" +
                                                                    std::string(row.Text(0)) + "' are damaged");
                            return;
                          }
                          const std::string name(row.Text(0));
                          accounts_[name] = {.info = {.name = name,
                                                      .roles = std::move(*roles),
                                                      .tenant = std::string(row.Text(3)),
                                                      .created = row.Integer(4),
                                                      .changed = row.Integer(5),
                                                      .last_login = row.Integer(7),
                                                      .disabled = row.Integer(6) != 0},
                                             .password = std::string(row.Text(1)),
                                             .version = ++versions_};
                        });
  });
  if (!read) return read;
  return parsed;
}

Result<> Accounts::CheckPassword(std::string_view name, std::string_view password) const {
  const auto refused = [](const char* why) { return Fail(ErrorCode::kInvalidArgument, why); };
  if (password.size() < kLeastPassword) return refused("a password must have at least 12 characters");
  if (password.size() > kMostPassword) return refused("a password must have at most 1024 bytes");
  std::bitset<256> seen;
  for (const char c : password) seen.set(static_cast<unsigned char>(c));
  if (seen.count() < kLeastDistinct) return refused("a password must have at least 5 different characters");
  if (EqualsIgnoreCase(password, name)) return refused("a password must not be the name of its account");
  return {};
}

Result<std::string> Accounts::MakeHash(std::string_view name, std::string_view password) {
  if (auto checked = CheckPassword(name, password); !checked) return std::unexpected(std::move(checked.error()));
  const Working working(*this);
  if (!working.has_place()) return Fail(ErrorCode::kResourceExhausted, "too many passwords are worked on");
  return HashPassword(password, cost_);
}

// Under mutex_.
Result<> Accounts::Store(const Account& account) {
  const AccountInfo& info = account.info;
  const std::string roles = TextOf(info.roles);
  auto written = database_.Write([&](Database::Access& access) {
    return access.Run(
        "INSERT OR REPLACE INTO accounts (name, password, roles, tenant, created, changed, disabled, last_login) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        {info.name, account.password, roles, info.tenant, info.created, info.changed,
         std::int64_t{info.disabled ? 1 : 0}, info.last_login});
  });
  if (!written) return written;
  accounts_[info.name] = account;
  return {};
}

Result<> Accounts::Create(const AccountInfo& account, std::string_view password, Nanos now) {
  if (auto checked = CheckName("the name of an account", account.name); !checked) return checked;
  if (auto checked = CheckGrants(account.roles); !checked) return checked;
  if (!account.tenant.empty()) {
    if (auto checked = CheckName("the tenant of an account", account.tenant); !checked) return checked;
  }
  auto hash = MakeHash(account.name, password);
  if (!hash) return std::unexpected(std::move(hash.error()));
  Account made{.info = account, .password = std::move(*hash), .version = 0};
  made.info.created = now;
  made.info.changed = now;
  made.info.last_login = 0;
  const std::lock_guard lock(mutex_);
  if (accounts_.contains(account.name)) return Fail(ErrorCode::kAlreadyExists, "there is an account of that name");
  if (accounts_.size() >= kMostAccounts) return Fail(ErrorCode::kResourceExhausted, "there are 10000 accounts");
  made.version = ++versions_;
  return Store(made);
}

Result<> Accounts::Update(const AccountInfo& account, std::optional<std::string_view> password, Nanos now) {
  if (auto checked = CheckGrants(account.roles); !checked) return checked;
  if (!account.tenant.empty()) {
    if (auto checked = CheckName("the tenant of an account", account.tenant); !checked) return checked;
  }
  // The password first: it is what may be refused, and nothing has changed then.
  std::optional<std::string> hash;
  if (password) {
    auto made = MakeHash(account.name, *password);
    if (!made) return std::unexpected(std::move(made.error()));
    hash = std::move(*made);
  }
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(account.name);
  if (found == accounts_.end()) return Fail(ErrorCode::kNotFound, "there is no such account");
  Account changed = found->second;
  changed.info.roles = account.roles;
  changed.info.tenant = account.tenant;
  changed.info.disabled = account.disabled;
  if (hash) {
    changed.password = std::move(*hash);
    changed.info.changed = now;
  }
  changed.version = ++versions_;
  return Store(changed);
}

Result<> Accounts::SetPassword(std::string_view name, std::string_view password, Nanos now) {
  auto hash = MakeHash(name, password);
  if (!hash) return std::unexpected(std::move(hash.error()));
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(name);
  if (found == accounts_.end()) return Fail(ErrorCode::kNotFound, "there is no such account");
  Account changed = found->second;
  changed.password = std::move(*hash);
  changed.info.changed = now;
  changed.version = ++versions_;
  return Store(changed);
}

Result<> Accounts::Delete(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(name);
  if (found == accounts_.end()) return Fail(ErrorCode::kNotFound, "there is no such account");
  auto written = database_.Write(
      [&](Database::Access& access) { return access.Run("DELETE FROM accounts WHERE name = ?", {name}); });
  if (!written) return written;
  accounts_.erase(found);
  return {};
}

Result<AccountInfo> Accounts::Get(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(name);
  if (found == accounts_.end()) return Fail(ErrorCode::kNotFound, "there is no such account");
  return found->second.info;
}

std::vector<AccountInfo> Accounts::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<AccountInfo> list;
  list.reserve(accounts_.size());
  for (const auto& [name, account] : accounts_) list.push_back(account.info);
  return list;
}

std::uint64_t Accounts::VersionOf(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(name);
  return found == accounts_.end() ? 0 : found->second.version;
}

bool Accounts::empty() const {
  const std::lock_guard lock(mutex_);
  return accounts_.empty();
}

std::expected<Principal, LoginFault> Accounts::LogIn(std::string_view name, std::string_view password, Nanos now) {
  // A password that is too long is refused before it is hashed, whatever the account.
  if (password.size() > kMostPassword) return std::unexpected(LoginFault::kRefused);
  const Working working(*this);
  if (!working.has_place()) return std::unexpected(LoginFault::kBusy);
  std::optional<Account> account;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = accounts_.find(name); found != accounts_.end()) account = found->second;
  }
  const bool right = PasswordMatches(password, account ? account->password : nobody_);
  if (!account || !right || account->info.disabled) return std::unexpected(LoginFault::kRefused);

  // The hash of another cost is made anew while the password is at hand.
  std::optional<std::string> renewed;
  if (crypto_pwhash_argon2id_str_needs_rehash(account->password.c_str(), cost_.passes, cost_.memory) != 0) {
    if (auto hash = HashPassword(password, cost_); hash) renewed = std::move(*hash);
  }
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(name);
  // Deleted, disabled or given another password meanwhile.
  if (found == accounts_.end() || found->second.info.disabled || found->second.password != account->password) {
    return std::unexpected(LoginFault::kRefused);
  }
  Account changed = found->second;
  changed.info.last_login = now;
  if (renewed) changed.password = std::move(*renewed);
  // That it cannot be noted is no reason to refuse: this is the way in for emergencies.
  (void)Store(changed);
  return Principal{.name = changed.info.name,
                   .kind = PrincipalKind::kPerson,
                   .roles = changed.info.roles,
                   .tenant = changed.info.tenant,
                   .method = AuthMethod::kPassword,
                   .credential = ""};
}

}  // namespace weir::management
