#include "net/listen_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>
#include <utility>

namespace weir::net {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress ToSocketAddress(const ListenAddress& address) {
  SocketAddress result;
  if (address.kind == ListenAddress::Kind::kUnix) {
    sockaddr_un unix_address{};
    unix_address.sun_family = AF_UNIX;
    std::memcpy(unix_address.sun_path, address.path.data(), address.path.size());
    result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path.size() + 1);
    if (address.path.starts_with('@')) {
      unix_address.sun_path[0] = '\0';
      --result.length;
    }
    std::memcpy(&result.storage, &unix_address, sizeof(unix_address));
  } else if (address.ipv6) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr);
    std::memcpy(&result.storage, &v6, sizeof(v6));
    result.length = sizeof(v6);
  } else {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr);
    std::memcpy(&result.storage, &v4, sizeof(v4));
    result.length = sizeof(v4);
  }
  return result;
}

std::unexpected<Error> Refused(const ListenAddress& address, int error) {
  ErrorCode code = ErrorCode::kUnavailable;
  if (error == EADDRINUSE) code = ErrorCode::kAlreadyExists;
  if (error == EADDRNOTAVAIL || error == ENOENT || error == ENOTDIR) code = ErrorCode::kInvalidArgument;
  if (error == EACCES || error == EPERM || error == EROFS) code = ErrorCode::kFailedPrecondition;
  return Fail(code, "cannot listen on " + ToString(address) + ": " + std::generic_category().message(error));
}

enum class Port { kExclusive, kShared };

Result<Descriptor> BindTcp(const ListenAddress& address, Port port) {
  const SocketAddress where = ToSocketAddress(address);
  Descriptor fd(socket(where.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Refused(address, errno);
  const int on = 1;
  const int off = 0;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (port == Port::kShared && setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
    return Refused(address, errno);
  }
  // [::] serves IPv4 as well, whatever the machine's default is.
  if (address.ipv6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  if (bind(fd.get(), where.get(), where.length) != 0) return Refused(address, errno);
  return fd;
}

std::string BoundAddress(int fd) {
  SocketAddress bound;
  bound.length = sizeof(bound.storage);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound.storage), &bound.length) != 0) return "unknown";
  ListenAddress address;
  std::array<char, INET6_ADDRSTRLEN> text{};
  switch (bound.storage.ss_family) {
    case AF_INET: {
      sockaddr_in v4{};
      std::memcpy(&v4, &bound.storage, sizeof(v4));
      address.kind = ListenAddress::Kind::kTcp;
      address.port = ntohs(v4.sin_port);
      address.host = inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
      break;
    }
    case AF_INET6: {
      sockaddr_in6 v6{};
      std::memcpy(&v6, &bound.storage, sizeof(v6));
      address.kind = ListenAddress::Kind::kTcp;
      address.ipv6 = true;
      address.port = ntohs(v6.sin6_port);
      address.host = inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
      break;
    }
    case AF_UNIX: {
      sockaddr_un unix_address{};
      std::memcpy(&unix_address, &bound.storage, sizeof(unix_address));
      address.kind = ListenAddress::Kind::kUnix;
      const std::size_t size =
          bound.length > offsetof(sockaddr_un, sun_path) ? bound.length - offsetof(sockaddr_un, sun_path) : 0;
      address.path.assign(unix_address.sun_path, size);
      if (address.path.starts_with('\0')) {
        address.path[0] = '@';
      } else {
        address.path.resize(std::strlen(address.path.c_str()));
      }
      break;
    }
    default:
      return "unknown";
  }
  return ToString(address);
}

Result<ListenSockets> BindTcpForLoops(ListenAddress address, unsigned loops) {
  ListenSockets sockets;
  const Port sharing = loops > 1 ? Port::kShared : Port::kExclusive;
  // SO_REUSEPORT would let two servers share a port in silence; a bind without it tells.
  if (sharing == Port::kShared && address.port != 0) {
    if (auto probe = BindTcp(address, Port::kExclusive); !probe) return std::unexpected(probe.error());
  }
  for (unsigned i = 0; i < loops; ++i) {
    auto fd = BindTcp(address, sharing);
    if (!fd) return std::unexpected(fd.error());
    if (i == 0) {
      sockets.address = BoundAddress(fd->get());
      if (auto bound = ParseListenAddress(sockets.address)) address.port = bound->port;
    }
    sockets.per_loop.push_back(std::move(*fd));
  }
  // Only when all are bound: a listening socket completes handshakes at once.
  for (const Descriptor& fd : sockets.per_loop) {
    if (listen(fd.get(), SOMAXCONN) != 0) return Refused(address, errno);
  }
  return sockets;
}

Result<> RemoveStale(const ListenAddress& address, const SocketAddress& where) {
  struct stat status{};
  if (lstat(address.path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) {
    return Fail(ErrorCode::kAlreadyExists,
                "cannot listen on " + ToString(address) + ": the file exists and is not a socket");
  }
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return Refused(address, errno);
  if (connect(probe.get(), where.get(), where.length) == 0 || errno == EAGAIN || errno == EINPROGRESS) {
    return Refused(address, EADDRINUSE);
  }
  if (errno != ECONNREFUSED) return Refused(address, errno);
  if (unlink(address.path.c_str()) != 0 && errno != ENOENT) return Refused(address, errno);
  return {};
}

Result<ListenSockets> BindUnix(const ListenAddress& address, std::optional<std::uint32_t> mode) {
  const SocketAddress where = ToSocketAddress(address);
  const bool is_file = !address.path.starts_with('@');
  if (is_file) {
    if (auto removed = RemoveStale(address, where); !removed) return std::unexpected(removed.error());
  }
  Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Refused(address, errno);
  if (bind(fd.get(), where.get(), where.length) != 0) return Refused(address, errno);
  ListenSockets sockets;
  if (is_file) sockets.unix_path = address.path;
  // Nobody can connect yet, whatever the umask left.
  if (is_file && mode && chmod(address.path.c_str(), *mode) != 0) {
    const int error = errno;
    RemoveUnixFile(sockets);
    return Refused(address, error);
  }
  if (listen(fd.get(), SOMAXCONN) != 0) {
    const int error = errno;
    RemoveUnixFile(sockets);
    return Refused(address, error);
  }
  sockets.address = ToString(address);
  sockets.shared.push_back(std::move(fd));
  return sockets;
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = other.Release();
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

int Descriptor::Release() noexcept { return std::exchange(fd_, -1); }

Result<ListenSockets> Bind(const ListenAddress& address, unsigned loops, std::optional<std::uint32_t> mode) {
  switch (address.kind) {
    case ListenAddress::Kind::kTcp:
      return BindTcpForLoops(address, loops);
    case ListenAddress::Kind::kUnix:
      return BindUnix(address, mode);
    case ListenAddress::Kind::kOff:
      break;
  }
  return Fail(ErrorCode::kInvalidArgument, "the listener is off");
}

Result<ListenSockets> Inherit(const std::vector<int>& fds) {
  ListenSockets sockets;
  for (const int fd : fds) {
    int listening = 0;
    socklen_t length = sizeof(listening);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 || listening == 0) {
      return Fail(ErrorCode::kInvalidArgument,
                  "inherited descriptor " + std::to_string(fd) + " is not a listening socket");
    }
  }
  for (const int fd : fds) {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) | FD_CLOEXEC);
    if (sockets.address.empty()) sockets.address = BoundAddress(fd);
    sockets.shared.emplace_back(fd);
  }
  return sockets;
}

void RemoveUnixFile(const ListenSockets& sockets) {
  if (!sockets.unix_path.empty()) unlink(sockets.unix_path.c_str());
}

}  // namespace weir::net
