// Service tokens: secrets that programs present as `Authorization: Bearer weirt_...`. Only their hashes are kept. Each
// has roles, optionally one tenant, an expiry, and can be revoked; a revocation holds from the call's return on.
//
// Thread-safe. Verify() reads memory, takes no lock and does no I/O; what changes something writes state_dir/auth.db
// and waits for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/counted.h"
#include "base/publication.h"
#include "config/snapshot/entity_map.h"
#include "management/auth/database.h"
#include "management/auth/principal.h"
#include "management/auth/secret_token.h"
#include "weir/result.h"

namespace weir::management {

struct TokenSpec {
  std::string name{};              // CheckName(); need not be unique
  std::vector<RoleGrant> roles{};  // at least one
  std::string tenant{};            // empty: not confined
  Nanos expires = 0;               // 0: never
  std::string created_by{};        // the person: PersonOf(), of whoever issues it
};

// What may be shown of a token.
struct TokenInfo {
  std::string id{};  // "tok_..."; for routes and records
  std::string name{};
  std::vector<RoleGrant> roles{};
  std::string tenant{};
  std::string shown{};  // the beginning of the secret, or "" when it was chosen by the operator
  std::string created_by{};
  Nanos created = 0;
  Nanos expires = 0;    // 0: never
  Nanos last_used = 0;  // 0: never; written lazily: after a crash up to a FlushLastUsed() behind
  Nanos revoked = 0;    // 0: is not
};

struct IssuedToken {
  std::string secret;  // this is the only time it exists
  TokenInfo info;
};

// Why a presented token is not accepted. Callers answer all of them with one and the same 401; records tell them apart.
enum class TokenFault : std::uint8_t { kMalformed, kUnknown, kExpired, kRevoked };
std::string_view NameOf(TokenFault fault);

class TokenStore {
 public:
  static constexpr std::size_t kMostTokens = 10'000;
  static constexpr std::size_t kLeastBootstrap = 32;  // characters of WEIR_BOOTSTRAP_TOKEN
  static constexpr std::string_view kBootstrapId = "tok_bootstrap";

  // `database` must outlive it.
  static Result<std::unique_ptr<TokenStore>> Open(Database& database);

  // The first admin token. With `chosen` (WEIR_BOOTSTRAP_TOKEN; at least 32 printable ASCII characters without spaces,
  // not all alike): that one is accepted from now on, over restarts too, and nothing is returned; another value
  // replaces it, and one that was revoked stays so. Without: one is made and returned when this database never had one,
  // and nullopt is returned ever after.
  Result<std::optional<IssuedToken>> Bootstrap(std::optional<std::string_view> chosen, Nanos now);

  // kResourceExhausted: there are kMostTokens.
  Result<IssuedToken> Issue(const TokenSpec& spec, Nanos now);
  // kNotFound: no such id. One that is revoked already stays as it is.
  Result<> Revoke(std::string_view id, Nanos now);
  Result<TokenInfo> Get(std::string_view id) const;
  // Newest first.
  std::vector<TokenInfo> List() const;

  // Whose token it is. `presented` is anything at all.
  std::expected<Principal, TokenFault> Verify(std::string_view presented, Nanos now) const;

  // Writes when tokens were last used: for a job, once a minute.
  Result<> FlushLastUsed();
  // Forgets tokens that were revoked, or have expired, before `before`.
  Result<> Purge(Nanos before);

 private:
  struct Entry : Counted {
    std::string name;  // the hash: what EntityMap finds it by
    TokenInfo info;    // without last_used
    mutable std::atomic<Nanos> last_used{0};
    mutable std::atomic<Nanos> flushed{0};
  };
  using Table = config::EntityMap<Entry>;

  explicit TokenStore(Database& database);
  Result<> Load();
  Result<> Add(const TokenInfo& info, const SecretHash& hash);
  static CountedRef<Entry> MakeEntry(TokenInfo info, std::string_view hash);
  const Entry* FindId(const Table& table, std::string_view id) const;
  static TokenInfo InfoOf(const Entry& entry);

  Database& database_;
  mutable std::mutex changing_;  // one change at a time: database first, then memory
  Published<Table> table_;
};

}  // namespace weir::management
