// Copies of SQLite databases, also of those that a running weir has open.
#pragma once

#include <string>

#include "weir/result.h"

namespace weir::management {

// What the database at `from` is at one moment, as a new file of this user's alone, without a journal beside it. Others
// may read and write it meanwhile. kAlreadyExists: `to` is there. kDataLoss: it is damaged, or no database.
// kUnavailable: the system refused, or others held it for more than 10 s.
Result<> CopyDatabase(const std::string& from, const std::string& to);

// kDataLoss: it is damaged, or no database.
Result<> CheckDatabase(const std::string& path);

}  // namespace weir::management
