// What is read of the store. Each call is one read transaction.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/source/config_store.h"
#include "config/source/sqlite/database.h"

namespace weir::config::sqlite {

Result<StoredRecord> ReadRecord(Database& database, Nanos now, const RecordId& id);
Result<RecordPage> ReadRecords(Database& database, Nanos now, const RecordQuery& query);
Result<std::uint64_t> CountRecords(Database& database, Nanos now, std::string_view kind);
Result<Revision> ScanRecords(Database& database, Nanos now, std::span<const std::string> kinds,
                             absl::FunctionRef<bool(const StoredRecord&)> visit);
Result<StoredRecord> ReadRecordAt(Database& database, const RecordId& id, std::uint64_t revision);

// With their states as they are now.
Result<Revision> ReadRevisionNow(Database& database, std::uint64_t number);
Result<RevisionPage> ReadRevisions(Database& database, const RevisionQuery& query);
Result<ChangePage> ReadChanges(Database& database, std::uint64_t number, const RecordId& after, std::size_t most);
Result<ChangePage> ReadChangesAfter(Database& database, const ChangeCursor& after, std::size_t most);
Result<ChangePage> ReadDiff(Database& database, std::uint64_t from, std::uint64_t to, const RecordId& after,
                            std::size_t most);
Result<std::vector<Annotation>> ReadAnnotations(Database& database, std::uint64_t number);
Result<std::optional<Nanos>> ReadNextExpiry(Database& database);

}  // namespace weir::config::sqlite
