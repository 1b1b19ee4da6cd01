// Where a Redis server is and how to enter it, from its URL:
//   redis://[[user]:password@]host[:port][/db]
//   rediss://...                       the same over TLS; `?ca=FILE` (default: the system's authorities),
//   `?cert=FILE&key=FILE`
//                                      (a client certificate), `?sni=NAME` (default: host), `?verify=none`
//   unix://[[user]:password@]/path[?db=N]
// User, password and path are percent-decoded. A lone `user@` without ':' is refused: it would silently send no
// password.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "weir/result.h"

namespace weir::storage::redis {

enum class Transport : std::uint8_t { kTcp, kTls, kUnix };
enum class Verify : std::uint8_t { kPeer, kNone };

struct Url {
  Transport transport = Transport::kTcp;
  std::string host{};  // name or address without brackets; kUnix: empty
  std::uint16_t port = 6379;
  std::string path{};          // kUnix: the socket's path
  std::string user{};          // empty: the default user
  std::string password{};      // empty: no AUTH
  std::uint32_t database = 0;  // 0..65535
  std::string ca_file{};       // kTls from here on
  std::string certificate_file{};
  std::string key_file{};
  std::string server_name{};  // what the certificate must name; empty: host
  Verify verify = Verify::kPeer;
  friend bool operator==(const Url&, const Url&) = default;
};

// kInvalidArgument with what is wrong; the message never repeats the password.
Result<Url> ParseUrl(std::string_view text);

// "redis://host:6379/0", "unix:///path": for logs; without user and password.
std::string Describe(const Url& url);

}  // namespace weir::storage::redis
