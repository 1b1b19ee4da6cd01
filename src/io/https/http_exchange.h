// What is asked of another server over HTTPS, and what it answers.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/ascii.h"
#include "base/clock.h"

namespace weir::io {

struct HttpHeader {
  std::string name, value;
};

// kInvalidArgument when it is sent: a method, header or URL with characters that do not belong there, or with a user
// and a password in the URL.
struct HttpRequest {
  std::string method = "GET";
  std::string url = {};  // "https://host:port/path?query"
  std::vector<HttpHeader> headers = {};
  std::string body = {};
  // Whether a loopback address is good although HttpOptions::reach says kPublic: for a URL that names one in so many
  // words and comes from the operator.
  bool may_be_loopback = false;
};

// Redirects are answers like any other (a status of 3xx): none is followed, since what was checked is the first URL.
struct HttpReply {
  int status = 0;                        // 100 to 999
  std::vector<HttpHeader> headers = {};  // names in lower case, in their order
  std::string body = {};

  // The first of that name (in lower case); empty: there is none.
  std::string_view Header(std::string_view name) const {
    for (const HttpHeader& one : headers) {
      if (one.name == name) return one.value;
    }
    return {};
  }
};

// Certificates are always verified, against the name in the URL; TLS 1.2 at least.
struct HttpOptions {
  Nanos connect_timeout = 5 * kSecond;  // includes resolving and TLS
  Nanos timeout = 30 * kSecond;         // of the whole exchange; 0: none
  std::size_t most_bytes = 4U << 20U;   // of an answer's body as it is sent; nothing is decompressed
  std::size_t most_header_bytes = 64U << 10U;
  bool plaintext = false;                      // http:// URLs are good too
  std::string ca_file{};                       // PEM: only these authorities; empty: the machine's
  std::string certificate_file{}, key_file{};  // PEM: a client's certificate; empty: none
  std::string unix_socket{};                   // connect there, whatever host the URL names
  // kPublic: addresses that are not of the public Internet (private, loopback, link-local, multicast, documentation,
  // also within NAT64) are refused, unless one of `allowed` has them. Looked at when a connection is made, after the
  // name was resolved, so that no name leads inside. For URLs that somebody else may choose.
  enum class Reach : unsigned char { kAnywhere, kPublic } reach = Reach::kAnywhere;
  std::vector<Network> allowed{};
  // The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name. Not with kPublic: the proxy would be what is looked at.
  bool environment_proxy = false;
  std::string user_agent = "weir";
};

// Whether an address is of the public Internet.
bool IsPublic(const Address& address);

}  // namespace weir::io
