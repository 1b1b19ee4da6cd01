// Administration of the states in PostgreSQL (storage/admin.h): by key. A page of a scan is a range of the key's index,
// so a cursor stays good whatever happens meanwhile. Rule and subject are not known here: the key is a hash of both.
#pragma once

#include "storage/admin.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/schema.h"

namespace weir::storage::postgres {

// Thread-safe; not from the pool's own thread. The pool and the statements outlive it. Every call: kUnavailable when
// the server does not answer in time (kAnswerWithin), refuses, or the store is closed.
class PostgresAdmin final : public Admin {
 public:
  static constexpr Nanos kAnswerWithin = 5 * kSecond;

  PostgresAdmin(Pool& pool, const Statements& statements) : pool_(pool), statements_(statements) {}

  Result<Page> Scan(std::string_view cursor, std::size_t most, Nanos now) override;
  Result<std::optional<StateRecord>> Get(const StateName& name, Nanos now) override;
  Result<bool> Reset(const StateName& name) override;
  Result<Imported> Import(std::span<const StateRecord> states, Nanos now) override;

 private:
  Result<io::postgres::Rows> Ask(std::string_view text, io::postgres::Params params);

  Pool& pool_;
  const Statements& statements_;
};

}  // namespace weir::storage::postgres
