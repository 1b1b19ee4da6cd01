// Where a PostgreSQL database is and how to enter it, from its URL, as libpq takes it (and as its manual describes it,
// section "Connection URIs"):
//   postgresql://[user[:password]@][host[:port][,host[:port]...]][/database][?name=value[&...]]
// `postgres://` is the same. A host in brackets is an IPv6 address; `?host=/path` is the directory of a Unix socket.
// What stands after '?' are libpq's parameters: sslmode, sslrootcert, sslcert, sslkey, target_session_attrs and so on.
// Characters with a meaning of their own ('@', '/', ':', ',', '?', '&', '=', '%', blanks) are percent-encoded.
//
// A password stands before '@' or in a file (passfile), never in a parameter: it would be shown with the URL.
//
// Here, below both, since the validation of documents and the store read it alike.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/result.h"

namespace weir {

struct PostgresUrl {
  struct Host {
    std::string name{};      // name, address without brackets, or directory of a socket; empty: libpq's default
    std::uint16_t port = 0;  // 0: libpq's default, 5432
    friend bool operator==(const Host&, const Host&) = default;
  };
  std::vector<Host> hosts{};  // in the order in which they are tried; empty: libpq's default
  std::string user{};
  bool has_password = false;
  std::string database{};
  std::vector<std::pair<std::string, std::string>> parameters{};  // but for `host` and `port`
  friend bool operator==(const PostgresUrl&, const PostgresUrl&) = default;
};

// kInvalidArgument with what is wrong; the message repeats nothing of the text, which may hold a password anywhere.
Result<PostgresUrl> ParsePostgresUrl(std::string_view text);

// "postgresql://db1:5432,db2:5432/weir": for logs; without user, password and parameters.
std::string Describe(const PostgresUrl& url);

}  // namespace weir
