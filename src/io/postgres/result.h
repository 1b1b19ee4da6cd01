// Internal to io/postgres: a result of libpq that is given back when nobody looks at it any more.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>

#include "io/postgres/values.h"

namespace weir::io::postgres {

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ClearResult>;

struct Rows::Held {
  ResultPtr result;
};

inline Rows RowsOf(ResultPtr result) { return Rows(std::make_shared<const Rows::Held>(std::move(result))); }

// The first line of what libpq says, which ends in a line break.
inline std::string FirstLine(const char* text) {
  std::string line = text == nullptr ? "" : text;
  line.erase(std::min(line.find('\n'), line.size()));
  return line;
}

inline ServerError ErrorOf(const PGresult* result) {
  const char* const code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* const message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  return {.code = code == nullptr ? "" : code,
          .message = message == nullptr ? FirstLine(PQresultErrorMessage(result)) : FirstLine(message)};
}

// The arguments of a statement as libpq takes them. Borrows from `params`.
struct Arguments {
  explicit Arguments(const Params& params) {
    for (const Params::Value& value : params.values()) {
      types.push_back(static_cast<Oid>(value.type));
      values.push_back(value.bytes.data());
      lengths.push_back(static_cast<int>(value.bytes.size()));
      formats.push_back(1);
    }
  }
  int count() const { return static_cast<int>(types.size()); }
  std::vector<Oid> types;
  std::vector<const char*> values;
  std::vector<int> lengths, formats;
};

}  // namespace weir::io::postgres
