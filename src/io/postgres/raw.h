// Internal to io/postgres: libpq's connection, closed with its owner.
#pragma once

#include <libpq-fe.h>

#include "io/postgres/session.h"

namespace weir::io::postgres {

struct Session::Raw {
  explicit Raw(PGconn* connection) : conn(connection) {}
  ~Raw() { PQfinish(conn); }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;
  PGconn* const conn;
};

}  // namespace weir::io::postgres
