#include "net/listen_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <array>
#include <charconv>
#include <utility>

namespace weir::net {
namespace {

std::unexpected<Error> Bad(std::string_view text, std::string_view why) {
  return Fail(ErrorCode::kInvalidArgument, "listen address '" + std::string(text) + "': " + std::string(why));
}

// Canonical text of `host`, or empty when it is not an address of that family.
std::string Canonical(std::string_view host, int family) {
  std::array<unsigned char, 16> bytes{};
  const std::string terminated(host);
  if (host.find('\0') != std::string_view::npos || inet_pton(family, terminated.c_str(), bytes.data()) != 1) return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(family, bytes.data(), text.data(), text.size()) == nullptr ? std::string()
                                                                              : std::string(text.data());
}

Result<ListenAddress> ParseUnix(std::string_view text, std::string_view path) {
  if (path.empty()) return Bad(text, "has no path");
  if (path.find('\0') != std::string_view::npos) return Bad(text, "holds a zero byte");
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return Bad(text, "is longer than the 107 bytes that a socket path may have");
  ListenAddress address;
  address.kind = ListenAddress::Kind::kUnix;
  address.path = path;
  return address;
}

}  // namespace

Result<ListenAddress> ParseListenAddress(std::string_view text) {
  if (text == "off") return ListenAddress{};
  if (text.starts_with("unix:")) return ParseUnix(text, text.substr(5));

  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Bad(text, "has no port; write HOST:PORT, [IPv6]:PORT, unix:PATH or off");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);

  ListenAddress address;
  address.kind = ListenAddress::Kind::kTcp;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || error != std::errc{} || end != port.data() + port.size()) {
    return Bad(text, "the port must be a number from 0 to 65535");
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    address.ipv6 = true;
    address.host = Canonical(host, AF_INET6);
    if (address.host.empty()) return Bad(text, "what is in brackets is not an IPv6 address");
    return address;
  }
  if (host.find(':') != std::string_view::npos) return Bad(text, "an IPv6 address needs brackets: [::1]:8080");
  if (host.empty()) return Bad(text, "has no host; write 0.0.0.0, [::] or * for all addresses");
  if (host == "localhost") host = "127.0.0.1";
  if (host == "*") host = "0.0.0.0";
  address.host = Canonical(host, AF_INET);
  if (address.host.empty()) return Bad(text, "the host must be an IP address (names are not resolved)");
  return address;
}

std::string ToString(const ListenAddress& address) {
  switch (address.kind) {
    case ListenAddress::Kind::kOff:
      return "off";
    case ListenAddress::Kind::kUnix:
      return "unix:" + address.path;
    case ListenAddress::Kind::kTcp:
      break;
  }
  const std::string host = address.ipv6 ? "[" + address.host + "]" : address.host;
  return host + ":" + std::to_string(address.port);
}

}  // namespace weir::net
