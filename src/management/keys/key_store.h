// API keys: the secrets that subscribers present, and which key id each belongs to. What a key may do (plan, tenant,
// user, quotas) is its entity, `api_keys: {ID: ...}` in the document; here are only its secrets. A key may have several
// at once: while one is being exchanged for another, both hold.
//
// Thread-safe. Find() is made for decisions: no lock, no allocation, no I/O. What changes something writes
// state_dir/auth.db first, waits for it, and costs the same whatever the number of keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/counted.h"
#include "base/publication.h"
#include "config/snapshot/entity_map.h"
#include "management/auth/database.h"
#include "management/auth/secret_token.h"
#include "weir/result.h"

namespace weir::management {

// What goes with one secret.
struct KeySpec {
  std::string key_id{};               // 1 to 128 bytes, as CheckName() has it
  std::string prefix{kKeyPrefix};     // visible, "acme_live": a-z, 0-9 and '_', at most 16
  std::vector<std::string> scopes{};  // at most 32, each 1 to 64 bytes of a-z A-Z 0-9 and : . _ - / *; empty: no bound
  std::vector<std::string> networks{};  // from which it may be used, at most 32: "192.0.2.0/24"; empty: from anywhere
  Nanos expires = 0;                    // 0: never
  std::string created_by{};
};

// What may be shown of a secret.
struct KeySecretInfo {
  std::string id{};  // "ks_..."
  std::string key_id{};
  std::string shown{};  // the beginning of the secret
  std::vector<std::string> scopes{}, networks{};
  std::string created_by{};
  Nanos created = 0;
  Nanos expires = 0;  // 0: never
  Nanos revoked = 0;  // 0: is not
};

struct IssuedKey {
  std::string secret;  // this is the only time it exists
  KeySecretInfo info;
};

enum class KeyVerdict : std::uint8_t {
  kAccepted,
  kMalformed,  // no key of weir's form, or mistyped
  kUnknown,
  kExpired,
  kRevoked,
  kNetwork,  // from an address from which it may not be used
};
std::string_view NameOf(KeyVerdict verdict);

class KeyStore {
  struct Entry;
  using Table = config::EntityMap<Entry>;

 public:
  static constexpr std::size_t kMostSecretsOfAKey = 8;
  static constexpr std::size_t kMostAtOnce = 10'000;

  // `database` must outlive it. Reads all keys: some seconds for a million.
  static Result<std::unique_ptr<KeyStore>> Open(Database& database);

  // A new secret for spec.key_id, beside those that it has. kResourceExhausted: the key has
  // kMostSecretsOfAKey that hold.
  Result<IssuedKey> Issue(const KeySpec& spec, Nanos now);
  // The same for many, at most kMostAtOnce, in one transaction: all or none. The message names the first that cannot
  // be.
  Result<std::vector<IssuedKey>> IssueAll(std::span<const KeySpec> specs, Nanos now);
  // A secret that takes the place of all others of the key: those hold for `overlap` more, or until their own expiry
  // when that is sooner; 0: they end now. It takes over what spec leaves empty (scopes, networks) from the newest of
  // them; spec.expires as written. kNotFound: the key has no secret.
  Result<IssuedKey> Rotate(const KeySpec& spec, Nanos overlap, Nanos now);
  // Ends all secrets of a key, or one (of List()), at once. kNotFound: there is none.
  Result<> RevokeKey(std::string_view key_id, Nanos now);
  Result<> RevokeSecret(std::string_view id, Nanos now);
  // Forgets the secrets of a key, also the ended ones: when the key itself is deleted. None: nothing happens.
  Result<> Forget(std::string_view key_id);
  // Forgets secrets that were revoked or have expired before `before`.
  Result<> Purge(Nanos before);

  // Newest first.
  Result<std::vector<KeySecretInfo>> List(std::string_view key_id) const;
  std::size_t size() const { return table_.Read()->size(); }  // secrets, also ended ones

  // What Find() answers. Stays on its thread, and no longer than a batch: changes wait for it (Published::Pin).
  class Found {
   public:
    KeyVerdict verdict() const { return verdict_; }
    // Empty when it is kMalformed or kUnknown.
    std::string_view key_id() const;
    std::string_view secret_id() const;
    // Whether the key may be used for that; without scopes for everything. A scope "orders:*" covers "orders:read".
    bool HasScope(std::string_view scope) const;

   private:
    friend class KeyStore;
    Found(const KeyStore& store, std::string_view presented, const Address* from, Nanos now);
    Published<Table>::Pin pin_;
    const Entry* entry_ = nullptr;
    KeyVerdict verdict_ = KeyVerdict::kMalformed;
  };
  // `presented` is anything at all; `from` is the client, nullptr when it is not known: then a key that is bound to
  // networks is refused.
  Found Find(std::string_view presented, const Address* from, Nanos now) const { return {*this, presented, from, now}; }

 private:
  struct Entry : Counted {
    std::string name;  // the hash: what EntityMap finds it by
    std::string id, key_id;
    std::vector<std::string> scopes;
    std::vector<Network> networks;
    Nanos expires = 0;
    Nanos revoked = 0;
  };

  explicit KeyStore(Database& database);
  Result<> Load();
  Result<> CheckRoom(const KeySpec& spec, std::size_t more, Nanos now) const;
  Result<std::vector<IssuedKey>> Make(std::span<const KeySpec> specs, std::vector<KeySecretInfo> ending, Nanos end_at,
                                      Nanos now);
  Result<std::size_t> End(std::string_view sql, const std::vector<Value>& values, Nanos revoked);

  Database& database_;
  std::mutex changing_;  // one change at a time: database first, then memory
  Published<Table> table_;
};

}  // namespace weir::management
