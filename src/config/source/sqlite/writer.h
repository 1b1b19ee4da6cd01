// What changes the store, each inside a transaction of the caller. A failure leaves the transaction in pieces: the
// caller goes back to its savepoint.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "config/source/config_store.h"
#include "config/source/sqlite/database.h"

namespace weir::config::sqlite {

// Once for a connection, outside a transaction.
Result<> PrepareWriter(Database& database);

Result<Appended> WriteDraft(Database& database, Nanos now, const Draft& draft);
Result<Appended> WriteRollback(Database& database, Nanos now, std::uint64_t to, const Origin& origin,
                               const std::optional<std::uint64_t>& if_parent);
Result<Appended> WriteProposal(Database& database, Nanos now, const Draft& draft);
Result<Revision> WriteState(Database& database, std::uint64_t candidate, RevisionState state);
Result<Appended> WritePromotion(Database& database, Nanos now, std::uint64_t candidate, const Origin& origin);
Result<> WriteAnnotation(Database& database, Nanos now, std::uint64_t number, std::string_view author,
                         std::string_view text);
// At most this many at once.
inline constexpr std::int64_t kMostExpired = 10'000;
Result<std::optional<Revision>> WriteExpiry(Database& database, Nanos now);

}  // namespace weir::config::sqlite
