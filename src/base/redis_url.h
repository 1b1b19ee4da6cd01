// Where a Redis server is and how to enter it, from its URL:
//   redis://[[user]:password@]host[:port][/db]
//   rediss://...                       the same over TLS; `?ca=FILE` (default: the system's authorities),
//                                      `?cert=FILE&key=FILE` (a client certificate), `?sni=NAME` (default: host),
//                                      `?verify=none`
//   unix://[[user]:password@]/path[?db=N]
// A URL as RFC 3986 has it: in a user, password or path, characters with a meaning of their own ('@', '/', '?', '#',
// '%',
// '[', ']' and blanks) are percent-encoded. A lone `user@` without ':' is refused: it would silently send no password.
//
// Here, below both, since the validation of documents and the store read it alike.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "weir/result.h"

namespace weir {

struct RedisUrl {
  enum class Transport : std::uint8_t { kTcp, kTls, kUnix };
  enum class Verify : std::uint8_t { kPeer, kNone };

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
  friend bool operator==(const RedisUrl&, const RedisUrl&) = default;
};

// kInvalidArgument with what is wrong; the message repeats nothing of the text, which may hold a password anywhere.
Result<RedisUrl> ParseRedisUrl(std::string_view text);

// "redis://host:6379/0", "unix:///path": for logs; without user and password.
std::string Describe(const RedisUrl& url);

}  // namespace weir
