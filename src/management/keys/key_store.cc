#include "management/keys/key_store.h"

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>
#include <utility>

#include "management/auth/crypto.h"
#include "management/auth/principal.h"

namespace weir::management {
namespace {

constexpr std::size_t kMostScopes = 32;
constexpr std::size_t kMostScope = 64;
constexpr std::size_t kMostNetworks = 32;

// Neither scopes nor networks contain a space.
std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    text += word;
  }
  return text;
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

bool IsScope(std::string_view scope) {
  return !scope.empty() && scope.size() <= kMostScope && std::ranges::all_of(scope, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(":._-/*").find(c) != std::string_view::npos;
  });
}

Result<> CheckSpec(const KeySpec& spec, Nanos now) {
  const auto refused = [](std::string why) { return Fail(ErrorCode::kInvalidArgument, std::move(why)); };
  if (auto checked = CheckName("the id of a key", spec.key_id); !checked) return checked;
  if (!IsSecretPrefix(spec.prefix)) {
    return refused(
        "the prefix of a key must be 1 to 16 of a-z, 0-9 and '_', beginning with a letter and not ending with '_'");
  }
  if (spec.prefix == kTokenPrefix || spec.prefix == kSessionPrefix) {
    return refused("the prefix '" + spec.prefix + "' is reserved for other secrets");
  }
  if (spec.scopes.size() > kMostScopes || !std::ranges::all_of(spec.scopes, IsScope)) {
    return refused("a key has at most 32 scopes, each 1 to 64 of a-z, A-Z, 0-9 and : . _ - / *");
  }
  if (spec.networks.size() > kMostNetworks) return refused("a key has at most 32 networks");
  for (const std::string& network : spec.networks) {
    if (!ParseNetwork(network)) {
      return refused("'" + HideSecrets(network) + "' is not a network; write 192.0.2.0/24 or an address");
    }
  }
  if (spec.expires != 0 && spec.expires <= now) return refused("the expiry of a key must lie in the future");
  return {};
}

bool Holds(const KeySecretInfo& info, Nanos now) {
  return info.revoked == 0 && (info.expires == 0 || info.expires > now);
}

constexpr const char* kColumns = "id, hash, key_id, shown, scopes, networks, created, created_by, expires, revoked";

KeySecretInfo InfoOf(const Row& row) {
  return {.id = std::string(row.Text(0)),
          .key_id = std::string(row.Text(2)),
          .shown = std::string(row.Text(3)),
          .scopes = Words(row.Text(4)),
          .networks = Words(row.Text(5)),
          .created_by = std::string(row.Text(7)),
          .created = row.Integer(6),
          .expires = row.Integer(8),
          .revoked = row.Integer(9)};
}

bool ScopeCovers(std::string_view granted, std::string_view wanted) {
  if (granted.ends_with('*')) return wanted.starts_with(granted.substr(0, granted.size() - 1));
  return granted == wanted;
}

}  // namespace

std::string_view NameOf(KeyVerdict verdict) {
  constexpr std::array<std::string_view, 6> kNames = {"accepted", "malformed", "unknown",
                                                      "expired",  "revoked",   "network"};
  return kNames.at(static_cast<std::size_t>(verdict));
}

KeyStore::KeyStore(Database& database) : database_(database), table_(std::make_shared<const Table>()) {}

Result<std::unique_ptr<KeyStore>> KeyStore::Open(Database& database) {
  std::unique_ptr<KeyStore> store(new KeyStore(database));
  if (auto loaded = store->Load(); !loaded) return std::unexpected(std::move(loaded.error()));
  return store;
}

namespace {

std::vector<Network> NetworksOf(const std::vector<std::string>& texts) {
  std::vector<Network> networks;
  networks.reserve(texts.size());
  for (const std::string& text : texts) {
    // What cannot be read matches nothing: a damaged bound is no reason to accept from everywhere.
    networks.push_back(ParseNetwork(text).value_or(Network{.address = Address{}, .bits = 128}));
  }
  return networks;
}

}  // namespace

Result<> KeyStore::Load() {
  Table table;
  auto read = database_.Read([&](Database::Access& access) {
    return access.Query(std::string("SELECT ") + kColumns + " FROM key_secrets", {}, [&](const Row& row) {
      const KeySecretInfo info = InfoOf(row);
      auto entry = MakeCounted<Entry>();
      entry->name = row.Text(1);
      entry->id = info.id;
      entry->key_id = info.key_id;
      entry->scopes = info.scopes;
      entry->networks = NetworksOf(info.networks);
      entry->expires = info.expires;
      entry->revoked = info.revoked;
      table.Set(entry);
    });
  });
  if (!read) return read;
  table_.Publish(std::make_shared<const Table>(std::move(table)));
  return {};
}

Result<std::vector<KeySecretInfo>> KeyStore::List(std::string_view key_id) const {
  std::vector<KeySecretInfo> list;
  auto read = database_.Read([&](Database::Access& access) {
    return access.Query(
        std::string("SELECT ") + kColumns + " FROM key_secrets WHERE key_id = ? ORDER BY created DESC, rowid DESC",
        {key_id}, [&](const Row& row) { list.push_back(InfoOf(row)); });
  });
  if (!read) return std::unexpected(read.error());
  return list;
}

// Whether the key may have `more` secrets.
Result<> KeyStore::CheckRoom(const KeySpec& spec, std::size_t more, Nanos now) const {
  const auto have = List(spec.key_id);
  if (!have) return std::unexpected(have.error());
  const auto holding = std::ranges::count_if(*have, [&](const KeySecretInfo& info) { return Holds(info, now); });
  if (static_cast<std::size_t>(holding) + more > kMostSecretsOfAKey) {
    return Fail(ErrorCode::kResourceExhausted, "a key has at most 8 secrets at once; revoke some");
  }
  return {};
}

Result<IssuedKey> KeyStore::Issue(const KeySpec& spec, Nanos now) {
  if (auto checked = CheckSpec(spec, now); !checked) return std::unexpected(checked.error());
  const std::lock_guard lock(changing_);
  if (auto room = CheckRoom(spec, 1, now); !room) return std::unexpected(room.error());
  auto issued = Make(std::span(&spec, 1), {}, 0, now);
  if (!issued) return std::unexpected(std::move(issued.error()));
  return std::move(issued->front());
}

Result<std::vector<IssuedKey>> KeyStore::IssueAll(std::span<const KeySpec> specs, Nanos now) {
  if (specs.size() > kMostAtOnce) return Fail(ErrorCode::kInvalidArgument, "at most 10000 keys can be issued at once");
  const auto refused = [](std::size_t i, const Error& error) {
    return Fail(error.code, "key " + std::to_string(i + 1) + ": " + error.message);
  };
  const std::lock_guard lock(changing_);
  std::unordered_map<std::string_view, std::size_t> secrets;  // of each key among these
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (auto checked = CheckSpec(specs[i], now); !checked) return refused(i, checked.error());
    if (auto room = CheckRoom(specs[i], ++secrets[specs[i].key_id], now); !room) return refused(i, room.error());
  }
  return Make(specs, {}, 0, now);
}

Result<IssuedKey> KeyStore::Rotate(const KeySpec& spec, Nanos overlap, Nanos now) {
  if (auto checked = CheckSpec(spec, now); !checked) return std::unexpected(checked.error());
  if (overlap < 0) return Fail(ErrorCode::kInvalidArgument, "the overlap must not be negative");
  const std::lock_guard lock(changing_);
  auto have = List(spec.key_id);
  if (!have) return std::unexpected(have.error());
  if (have->empty()) return Fail(ErrorCode::kNotFound, "this key has no secret that could be rotated");
  KeySpec next = spec;
  if (next.scopes.empty()) next.scopes = have->front().scopes;
  if (next.networks.empty()) next.networks = have->front().networks;
  std::erase_if(*have, [&](const KeySecretInfo& info) { return !Holds(info, now); });
  Nanos end = now;
  if (__builtin_add_overflow(now, overlap, &end)) end = std::numeric_limits<Nanos>::max();
  auto issued = Make(std::span(&next, 1), std::move(*have), end, now);
  if (!issued) return std::unexpected(std::move(issued.error()));
  return std::move(issued->front());
}

// One transaction: the new secrets are there exactly when the others end.
Result<std::vector<IssuedKey>> KeyStore::Make(std::span<const KeySpec> specs, std::vector<KeySecretInfo> ending,
                                              Nanos end_at, Nanos now) {
  std::vector<IssuedKey> issued;
  issued.reserve(specs.size());
  for (const KeySpec& spec : specs) {
    IssuedKey& one = issued.emplace_back();
    one.secret = MakeSecret(spec.prefix);
    one.info = {.id = "ks_" + RandomBase62(16),
                .key_id = spec.key_id,
                .shown = std::string(ShownPart(one.secret)),
                .scopes = spec.scopes,
                .networks = spec.networks,
                .created_by = spec.created_by,
                .created = now,
                .expires = spec.expires,
                .revoked = 0};
  }
  for (KeySecretInfo& info : ending) {
    if (end_at <= now) {
      info.revoked = now;
    } else if (info.expires == 0 || info.expires > end_at) {
      info.expires = end_at;
    }
  }
  std::vector<std::string> ended;  // hashes, in the order of `ending`
  auto written = database_.Write([&](Database::Access& access) -> Result<> {
    for (const KeySecretInfo& info : ending) {
      auto done =
          access.Query("UPDATE key_secrets SET expires = ?, revoked = ? WHERE id = ? RETURNING hash",
                       {info.expires, info.revoked, info.id}, [&](const Row& row) { ended.emplace_back(row.Text(0)); });
      if (!done) return done;
    }
    for (const IssuedKey& one : issued) {
      const SecretHash hash = HashSecret(one.secret);
      const std::string scopes = Joined(one.info.scopes);
      const std::string networks = Joined(one.info.networks);
      auto done =
          access.Run(std::string("INSERT INTO key_secrets (") + kColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                     {one.info.id, Blob{View(hash)}, one.info.key_id, one.info.shown, scopes, networks, now,
                      one.info.created_by, one.info.expires});
      if (!done) return done;
    }
    return {};
  });
  if (!written) return std::unexpected(written.error());

  Table table(*table_.Read());
  for (std::size_t i = 0; i < ending.size() && i < ended.size(); ++i) {
    if (const Entry* const before = table.Find(ended[i]); before != nullptr) {
      auto entry = MakeCounted<Entry>(*before);
      entry->expires = ending[i].expires;
      entry->revoked = ending[i].revoked;
      table.Set(entry);
    }
  }
  for (const IssuedKey& one : issued) {
    const SecretHash hash = HashSecret(one.secret);
    auto entry = MakeCounted<Entry>();
    entry->name = View(hash);
    entry->id = one.info.id;
    entry->key_id = one.info.key_id;
    entry->scopes = one.info.scopes;
    entry->networks = NetworksOf(one.info.networks);
    entry->expires = one.info.expires;
    table.Set(entry);
  }
  table_.Publish(std::make_shared<const Table>(std::move(table)));
  return issued;
}

namespace {

Result<std::vector<std::string>> ChangedHashes(Database& database, std::string_view sql,
                                               const std::vector<Value>& values) {
  std::vector<std::string> hashes;
  auto written = database.Write([&](Database::Access& access) {
    return access.Query(sql, values, [&](const Row& row) { hashes.emplace_back(row.Text(0)); });
  });
  if (!written) return std::unexpected(written.error());
  return hashes;
}

}  // namespace

// What `sql` changed and returned the hashes of is ended, or taken out, in memory as well.
Result<std::size_t> KeyStore::End(std::string_view sql, const std::vector<Value>& values, Nanos revoked) {
  const std::lock_guard lock(changing_);
  const auto hashes = ChangedHashes(database_, sql, values);
  if (!hashes) return std::unexpected(hashes.error());
  if (hashes->empty()) return 0;
  Table table(*table_.Read());
  for (const std::string& hash : *hashes) {
    const Entry* const before = table.Find(hash);
    if (before == nullptr) continue;
    if (revoked == 0) {
      table.Erase(hash);
      continue;
    }
    auto entry = MakeCounted<Entry>(*before);
    entry->revoked = revoked;
    table.Set(entry);
  }
  table_.Publish(std::make_shared<const Table>(std::move(table)));
  return hashes->size();
}

Result<> KeyStore::RevokeKey(std::string_view key_id, Nanos now) {
  const auto ended =
      End("UPDATE key_secrets SET revoked = ? WHERE key_id = ? AND revoked = 0 RETURNING hash", {now, key_id}, now);
  if (!ended) return std::unexpected(ended.error());
  if (*ended > 0) return {};
  const auto have = List(key_id);
  if (!have) return std::unexpected(have.error());
  if (have->empty()) return Fail(ErrorCode::kNotFound, "this key has no secret");
  return {};
}

Result<> KeyStore::RevokeSecret(std::string_view id, Nanos now) {
  // One that is revoked already stays as it is.
  const auto ended =
      End("UPDATE key_secrets SET revoked = CASE revoked WHEN 0 THEN ? ELSE revoked END WHERE id = ? RETURNING hash",
          {now, id}, now);
  if (!ended) return std::unexpected(ended.error());
  if (*ended == 0) return Fail(ErrorCode::kNotFound, "there is no such secret");
  return {};
}

Result<> KeyStore::Forget(std::string_view key_id) {
  const auto ended = End("DELETE FROM key_secrets WHERE key_id = ? RETURNING hash", {key_id}, 0);
  if (!ended) return std::unexpected(ended.error());
  return {};
}

Result<> KeyStore::Purge(Nanos before) {
  const auto ended = End(
      "DELETE FROM key_secrets WHERE (revoked <> 0 AND revoked < ?) OR (expires <> 0 AND expires < ?) RETURNING hash",
      {before, before}, 0);
  if (!ended) return std::unexpected(ended.error());
  return {};
}

KeyStore::Found::Found(const KeyStore& store, std::string_view presented, const Address* from, Nanos now)
    : pin_(store.table_.Read()) {
  if (!HasSecretForm(presented)) return;
  verdict_ = KeyVerdict::kUnknown;
  const SecretHash hash = HashSecret(presented);
  entry_ = pin_->Find(View(hash));
  if (entry_ == nullptr) return;
  if (entry_->revoked != 0) {
    verdict_ = KeyVerdict::kRevoked;
  } else if (entry_->expires != 0 && entry_->expires <= now) {
    verdict_ = KeyVerdict::kExpired;
  } else if (!entry_->networks.empty() &&
             (from == nullptr || std::ranges::none_of(entry_->networks, [&](const Network& network) {
                return network.Contains(*from);
              }))) {
    verdict_ = KeyVerdict::kNetwork;
  } else {
    verdict_ = KeyVerdict::kAccepted;
  }
}

std::string_view KeyStore::Found::key_id() const { return entry_ == nullptr ? std::string_view() : entry_->key_id; }

std::string_view KeyStore::Found::secret_id() const { return entry_ == nullptr ? std::string_view() : entry_->id; }

bool KeyStore::Found::HasScope(std::string_view scope) const {
  if (verdict_ != KeyVerdict::kAccepted) return false;
  return entry_->scopes.empty() ||
         std::ranges::any_of(entry_->scopes, [&](const std::string& granted) { return ScopeCovers(granted, scope); });
}

}  // namespace weir::management
