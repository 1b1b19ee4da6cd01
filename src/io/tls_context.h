// Internal to io: what a TlsClient is made of.
#pragma once

#include <boost/asio/ssl/context.hpp>

#include "io/tls_client.h"

namespace weir::io {

class TlsClient {
 public:
  boost::asio::ssl::context context{boost::asio::ssl::context::tls_client};
};

}  // namespace weir::io
