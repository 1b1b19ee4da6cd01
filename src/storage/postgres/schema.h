// The tables and functions that the store needs in the database, their versions, and how they come to be there.
//
// Functions have their version in their name and are never changed once released: two versions of weir can then share
// one schema, each with its own. `meta.version` is the newest that is there; `meta.needs` is the oldest version of weir
// that may still use it (raised only by a change of the rows themselves).
#pragma once

#include <string>

#include "base/clock.h"
#include "io/postgres/session.h"
#include "storage/postgres/postgres_store.h"
#include "weir/result.h"

namespace weir::storage::postgres {

inline constexpr std::int64_t kSchemaVersion = 1;
inline constexpr int kOldestServer = 130000;

// The statements of one store, with its schema's name in them.
struct Statements {
  explicit Statements(const std::string& schema);
  std::string lock, write, buckets, read;  // plans
  std::string probe, clock, sweep, watch;  // what the store does by itself
  std::string scan, get, reset, import;    // administration
};

// Looks at what is there, and makes or mends what is missing, under an advisory lock: any number of instances may do so
// at once. `emptied`: set when an unlogged table has lost its rows in a crash since somebody looked.
// kFailedPrecondition: the server is too old, the schema is too new, or this role may not make it; the message says
// what to do.
Result<> PrepareSchema(io::postgres::Session& session, const PostgresStoreOptions& options, Nanos deadline,
                       bool& emptied);

}  // namespace weir::storage::postgres
