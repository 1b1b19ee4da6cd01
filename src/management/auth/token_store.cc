#include "management/auth/token_store.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <utility>

#include "management/auth/crypto.h"

namespace weir::management {
namespace {

constexpr std::size_t kMostPresented = 1'024;
constexpr std::string_view kBootstrapped = "bootstrapped";
// Who made the first token: weir, or the operator by the environment.
constexpr std::string_view kMadeBy = "weir";
constexpr std::string_view kChosenBy = "WEIR_BOOTSTRAP_TOKEN";

// Enough that nobody types "0000...": the rest is the operator's word.
constexpr std::size_t kLeastDistinct = 8;

Result<> CheckChosen(std::string_view chosen) {
  const auto refused = [](std::string why) {
    return Fail(ErrorCode::kInvalidArgument, "WEIR_BOOTSTRAP_TOKEN " + std::move(why));
  };
  if (chosen.size() < TokenStore::kLeastBootstrap) {
    return refused("must have at least " + std::to_string(TokenStore::kLeastBootstrap) + " characters");
  }
  if (chosen.size() > kMostPresented) return refused("must have at most 1024 characters");
  std::bitset<128> seen;
  for (const char c : chosen) {
    if (c <= ' ' || c > '~') return refused("must be printable ASCII without spaces");
    seen.set(static_cast<std::size_t>(c));
  }
  if (seen.count() < kLeastDistinct) return refused("must have at least 8 different characters");
  return {};
}

}  // namespace

std::string_view NameOf(TokenFault fault) {
  constexpr std::array<std::string_view, 4> kNames = {"malformed", "unknown", "expired", "revoked"};
  return kNames.at(static_cast<std::size_t>(fault));
}

TokenStore::TokenStore(Database& database) : database_(database), table_(std::make_shared<const Table>()) {}

Result<std::unique_ptr<TokenStore>> TokenStore::Open(Database& database) {
  std::unique_ptr<TokenStore> store(new TokenStore(database));
  if (auto loaded = store->Load(); !loaded) return std::unexpected(std::move(loaded.error()));
  return store;
}

CountedRef<TokenStore::Entry> TokenStore::MakeEntry(TokenInfo info, std::string_view hash) {
  auto entry = MakeCounted<Entry>();
  entry->name = hash;
  entry->last_used = info.last_used;
  entry->flushed = info.last_used;
  entry->info = std::move(info);
  return entry;
}

Result<> TokenStore::Load() {
  Table table;
  Result<> parsed;
  const auto add = [&](const Row& row) {
    auto roles = ParseGrants(row.Text(3));
    if (!roles) {
      parsed = Fail(ErrorCode::kDataLoss, "auth.db: the roles of token '" + std::string(row.Text(0)) + "' are damaged");
      return;
    }
    table.Set(MakeEntry({.id = std::string(row.Text(0)),
                         .name = std::string(row.Text(2)),
                         .roles = std::move(*roles),
                         .tenant = std::string(row.Text(4)),
                         .shown = std::string(row.Text(5)),
                         .created_by = std::string(row.Text(7)),
                         .created = row.Integer(6),
                         .expires = row.Integer(8),
                         .last_used = row.Integer(9),
                         .revoked = row.Integer(10)},
                        row.Text(1)));
  };
  auto read = database_.Read([&](Database::Access& access) {
    return access.Query(
        "SELECT id, hash, name, roles, tenant, shown, created, created_by, expires, last_used, revoked FROM tokens", {},
        add);
  });
  if (!read) return read;
  if (!parsed) return parsed;
  table_.Publish(std::make_shared<const Table>(std::move(table)));
  return {};
}

Result<> TokenStore::Add(const TokenInfo& info, const SecretHash& hash) {
  const std::string roles = TextOf(info.roles);
  auto written = database_.Write([&](Database::Access& access) {
    return access.Run(
        "INSERT INTO tokens (id, hash, name, roles, tenant, shown, created, created_by, expires, last_used, revoked) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
        {info.id, Blob{View(hash)}, info.name, roles, info.tenant, info.shown, info.created, info.created_by,
         info.expires});
  });
  if (!written) return written;
  Table table(*table_.Read());
  table.Set(MakeEntry(info, View(hash)));
  table_.Publish(std::make_shared<const Table>(std::move(table)));
  return {};
}

Result<IssuedToken> TokenStore::Issue(const TokenSpec& spec, Nanos now) {
  if (auto checked = CheckName("the name of a token", spec.name); !checked) return std::unexpected(checked.error());
  if (auto checked = CheckGrants(spec.roles); !checked) return std::unexpected(checked.error());
  if (spec.roles.empty()) return Fail(ErrorCode::kInvalidArgument, "a token needs a role");
  if (!spec.tenant.empty()) {
    if (auto checked = CheckName("the tenant of a token", spec.tenant); !checked) {
      return std::unexpected(checked.error());
    }
  }
  if (spec.expires != 0 && spec.expires <= now) {
    return Fail(ErrorCode::kInvalidArgument, "the expiry of a token must lie in the future");
  }
  const std::lock_guard lock(changing_);
  if (table_.Read()->size() >= kMostTokens) {
    return Fail(ErrorCode::kResourceExhausted, "there are " + std::to_string(kMostTokens) + " tokens; revoke some");
  }
  IssuedToken issued;
  issued.secret = MakeSecret(kTokenPrefix);
  issued.info = {.id = "tok_" + RandomBase62(16),
                 .name = spec.name,
                 .roles = spec.roles,
                 .tenant = spec.tenant,
                 .shown = std::string(ShownPart(issued.secret)),
                 .created_by = spec.created_by,
                 .created = now,
                 .expires = spec.expires,
                 .last_used = 0,
                 .revoked = 0};
  if (auto added = Add(issued.info, HashSecret(issued.secret)); !added) return std::unexpected(added.error());
  return issued;
}

Result<std::optional<IssuedToken>> TokenStore::Bootstrap(std::optional<std::string_view> chosen, Nanos now) {
  if (!chosen) {
    std::int64_t had = 0;
    auto read = database_.Read([&](Database::Access& access) {
      return access.Query("SELECT value FROM facts WHERE name = ?", {kBootstrapped},
                          [&](const Row& row) { had = row.Integer(0); });
    });
    if (!read) return std::unexpected(read.error());
    if (had != 0) return std::optional<IssuedToken>();
    auto issued = Issue({.name = "bootstrap",
                         .roles = {{.role = Role::kAdmin, .tenant = ""}},
                         .tenant = "",
                         .expires = 0,
                         .created_by = std::string(kMadeBy)},
                        now);
    if (!issued) return std::unexpected(issued.error());
    auto noted = database_.Write([&](Database::Access& access) {
      return access.Run("INSERT OR REPLACE INTO facts (name, value) VALUES (?, 1)", {kBootstrapped});
    });
    if (!noted) return std::unexpected(noted.error());
    return std::optional(std::move(*issued));
  }

  if (auto checked = CheckChosen(*chosen); !checked) return std::unexpected(checked.error());
  const SecretHash hash = HashSecret(*chosen);
  const std::lock_guard lock(changing_);
  Table table(*table_.Read());
  // Also when it was revoked: then it is to stay so.
  if (table.Find(View(hash)) != nullptr) return std::optional<IssuedToken>();
  const TokenInfo info = {.id = std::string(kBootstrapId),
                          .name = "bootstrap",
                          .roles = {{.role = Role::kAdmin, .tenant = ""}},
                          .tenant = "",
                          .shown = std::string(ShownPart(*chosen)),
                          .created_by = std::string(kChosenBy),
                          .created = now,
                          .expires = 0,
                          .last_used = 0,
                          .revoked = 0};
  auto written = database_.Write([&](Database::Access& access) -> Result<> {
    auto done = access.Run("DELETE FROM tokens WHERE id = ?", {info.id});
    if (!done) return done;
    done = access.Run(
        "INSERT INTO tokens (id, hash, name, roles, tenant, shown, created, created_by, expires, last_used, revoked) "
        "VALUES (?, ?, ?, 'admin', '', ?, ?, ?, 0, 0, 0)",
        {info.id, Blob{View(hash)}, info.name, info.shown, info.created, info.created_by});
    if (!done) return done;
    return access.Run("INSERT OR REPLACE INTO facts (name, value) VALUES (?, 1)", {kBootstrapped});
  });
  if (!written) return std::unexpected(written.error());
  if (const Entry* const previous = FindId(table, info.id); previous != nullptr)
    table.Erase(std::string(previous->name));
  table.Set(MakeEntry(info, View(hash)));
  table_.Publish(std::make_shared<const Table>(std::move(table)));
  return std::optional<IssuedToken>();
}

const TokenStore::Entry* TokenStore::FindId(const Table& table, std::string_view id) const {
  const Entry* found = nullptr;
  table.ForEach([&](const Entry& entry) {
    if (entry.info.id == id) found = &entry;
  });
  return found;
}

TokenInfo TokenStore::InfoOf(const Entry& entry) {
  TokenInfo info = entry.info;
  info.last_used = entry.last_used.load(std::memory_order_relaxed);
  return info;
}

Result<> TokenStore::Revoke(std::string_view id, Nanos now) {
  const std::lock_guard lock(changing_);
  Table table(*table_.Read());
  const Entry* const entry = FindId(table, id);
  if (entry == nullptr) return Fail(ErrorCode::kNotFound, "there is no such token");
  if (entry->info.revoked != 0) return {};
  auto written = database_.Write(
      [&](Database::Access& access) { return access.Run("UPDATE tokens SET revoked = ? WHERE id = ?", {now, id}); });
  if (!written) return written;
  TokenInfo info = InfoOf(*entry);
  info.revoked = now;
  table.Set(MakeEntry(std::move(info), std::string(entry->name)));
  table_.Publish(std::make_shared<const Table>(std::move(table)));
  return {};
}

Result<TokenInfo> TokenStore::Get(std::string_view id) const {
  const auto table = table_.Read();
  const Entry* const entry = FindId(*table, id);
  if (entry == nullptr) return Fail(ErrorCode::kNotFound, "there is no such token");
  return InfoOf(*entry);
}

std::vector<TokenInfo> TokenStore::List() const {
  std::vector<TokenInfo> list;
  table_.Read()->ForEach([&](const Entry& entry) { list.push_back(InfoOf(entry)); });
  std::ranges::sort(list, [](const TokenInfo& a, const TokenInfo& b) {
    return a.created != b.created ? a.created > b.created : a.id < b.id;
  });
  return list;
}

std::expected<Principal, TokenFault> TokenStore::Verify(std::string_view presented, Nanos now) const {
  if (presented.empty() || presented.size() > kMostPresented) return std::unexpected(TokenFault::kMalformed);
  const SecretHash hash = HashSecret(presented);
  const auto table = table_.Read();
  const Entry* const entry = table->Find(View(hash));
  if (entry == nullptr) {
    return std::unexpected(HasSecretForm(presented, kTokenPrefix) ? TokenFault::kUnknown : TokenFault::kMalformed);
  }
  if (entry->info.revoked != 0) return std::unexpected(TokenFault::kRevoked);
  if (entry->info.expires != 0 && entry->info.expires <= now) return std::unexpected(TokenFault::kExpired);
  entry->last_used.store(now, std::memory_order_relaxed);
  return Principal{.name = entry->info.name,
                   .kind = PrincipalKind::kService,
                   .roles = entry->info.roles,
                   .tenant = entry->info.tenant,
                   .method = AuthMethod::kToken,
                   .credential = entry->info.id,
                   // Both first tokens are the operator's.
                   .owner = entry->info.created_by == kChosenBy ? std::string(kMadeBy) : entry->info.created_by};
}

Result<> TokenStore::FlushLastUsed() {
  const auto table = table_.Read().Hold();
  std::vector<std::pair<const Entry*, Nanos>> used;
  table->ForEach([&](const Entry& entry) {
    const Nanos last = entry.last_used.load(std::memory_order_relaxed);
    if (last != entry.flushed.load(std::memory_order_relaxed)) used.emplace_back(&entry, last);
  });
  if (used.empty()) return {};
  auto written = database_.Write([&](Database::Access& access) -> Result<> {
    for (const auto& [entry, last] : used) {
      auto done = access.Run("UPDATE tokens SET last_used = ? WHERE id = ?", {last, entry->info.id});
      if (!done) return done;
    }
    return {};
  });
  if (!written) return written;
  for (const auto& [entry, last] : used) entry->flushed.store(last, std::memory_order_relaxed);
  return {};
}

Result<> TokenStore::Purge(Nanos before) {
  const std::lock_guard lock(changing_);
  Table table(*table_.Read());
  std::vector<std::string> gone;
  table.ForEach([&](const Entry& entry) {
    const TokenInfo& info = entry.info;
    // The chosen one stays known: a restart would accept it again.
    if (info.id == kBootstrapId) return;
    if ((info.revoked != 0 && info.revoked < before) || (info.expires != 0 && info.expires < before)) {
      gone.emplace_back(entry.name);
    }
  });
  if (gone.empty()) return {};
  auto written = database_.Write([&](Database::Access& access) -> Result<> {
    for (const std::string& hash : gone) {
      auto done = access.Run("DELETE FROM tokens WHERE hash = ?", {Blob{hash}});
      if (!done) return done;
    }
    return {};
  });
  if (!written) return written;
  for (const std::string& hash : gone) table.Erase(hash);
  table_.Publish(std::make_shared<const Table>(std::move(table)));
  return {};
}

}  // namespace weir::management
