// The tables of the store, and how a file gets them: created, brought up to date, or refused.
#pragma once

#include <cstdint>

#include "config/source/sqlite/database.h"
#include "weir/result.h"

namespace weir::config::sqlite {

// Marks a file as a configuration store of weir (PRAGMA application_id): "weiR".
inline constexpr std::int64_t kApplicationId = 0x77656952;
// What this program writes (PRAGMA user_version).
inline constexpr std::int64_t kSchemaVersion = 1;

// Makes an empty file a store, or an older store a present one, each step whole or not at all, also when two processes
// do it at once. kInvalidArgument: another program's database, which stays untouched; kFailedPrecondition: a newer
// weir's.
Result<> BringUpToDate(Database& database);

}  // namespace weir::config::sqlite
