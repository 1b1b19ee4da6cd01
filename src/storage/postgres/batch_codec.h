// What batches of plans send and get: rows as states, changes as parameters, errors by what they mean.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "io/postgres/values.h"
#include "storage/postgres/job.h"
#include "storage/postgres/working_set.h"

namespace weir::storage::postgres {

enum class ErrorKind : std::uint8_t {
  kLocked,    // a row was locked for too long, or a deadlock: another time it may go
  kReadOnly,  // a standby, or a server that must not be written
  kFull,      // disk, memory, connections
  kMissing,   // the schema, or what we use of it
  kOther,
};
// By SQLSTATE (errcodes.txt).
ErrorKind KindOf(std::string_view code);

// The columns key, word, kind, list. False: these are none.
[[nodiscard]] bool LoadRows(const io::postgres::Rows& rows, WorkingSet& set);

// Of all jobs, sorted, each once.
std::vector<Key> KeysOf(std::span<const JobPtr> jobs);

// The parameters of write_v1 (schema.cc).
io::postgres::Params EncodeChanges(const WorkingSet::Changes& changes);

}  // namespace weir::storage::postgres
