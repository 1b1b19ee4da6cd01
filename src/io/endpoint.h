// Where an outgoing connection goes.
#pragma once

#include <cstdint>
#include <string>

namespace weir::io {

struct Endpoint {
  enum class Transport : std::uint8_t { kTcp, kTls, kUnix };
  Transport transport = Transport::kTcp;
  std::string host;  // name or address without brackets; kUnix: empty
  std::uint16_t port = 0;
  std::string path;         // kUnix: the socket's path
  std::string server_name;  // kTls: what the certificate must name; empty: host
  bool verify_peer = true;  // kTls
};

}  // namespace weir::io
