// What the client's side of TLS needs, read from files once and shared by all connections to one server.
#pragma once

#include <memory>
#include <string>

#include "weir/result.h"

namespace weir::io {

struct TlsFiles {
  std::string ca_file;           // empty: the system's authorities
  std::string certificate_file;  // empty: no client certificate
  std::string key_file;
  bool verify_peer = true;
};

class TlsClient;
struct TlsClientDeleter {
  void operator()(TlsClient* client) const;
};
using TlsClientPtr = std::unique_ptr<TlsClient, TlsClientDeleter>;

// TLS 1.2 at least. kInvalidArgument: a file that cannot be used, by name.
Result<TlsClientPtr> MakeTlsClient(const TlsFiles& files);

}  // namespace weir::io
