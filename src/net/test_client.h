// A blocking client for tests of servers. Every wait is bounded (20 s), so that a hang is a failure. Tests only.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "net/listen_address.h"

namespace weir::net {

class TestClient {
 public:
  TestClient() = default;
  // Not connected when nobody listens there.
  explicit TestClient(const std::string& address) { Connect(address); }
  TestClient(TestClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  TestClient& operator=(TestClient&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~TestClient() { Close(); }

  bool Connect(const std::string& address);
  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  // False: the peer is gone.
  bool Send(std::string_view bytes);
  // Up to `size` bytes; fewer when the peer closed, or nothing came in time.
  std::string Receive(std::size_t size);
  std::string ReceiveLine();
  // Everything until the peer closes.
  std::string ReceiveAll();
  // The peer has closed, in order or with a reset.
  bool AtEnd() { return Receive(1).empty() && !timed_out_; }
  // The last Receive ended with a reset instead of an orderly close.
  bool was_reset() const { return reset_; }
  void ShutdownWrite() { shutdown(fd_, SHUT_WR); }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  static constexpr int kPatienceSeconds = 20;
  static int ConnectTo(const ListenAddress& address);

  int fd_ = -1;
  bool reset_ = false, timed_out_ = false;
};

inline int TestClient::ConnectTo(const ListenAddress& address) {
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (address.kind == ListenAddress::Kind::kUnix) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::memcpy(where.sun_path, address.path.data(), address.path.size());
    if (address.path.starts_with('@')) where.sun_path[0] = '\0';
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path.size() +
                                    (address.path.starts_with('@') ? 0 : 1));
    std::memcpy(&storage, &where, sizeof(where));
  } else if (address.ipv6) {
    sockaddr_in6 where{};
    where.sin6_family = AF_INET6;
    where.sin6_port = htons(address.port);
    inet_pton(AF_INET6, address.host.c_str(), &where.sin6_addr);
    length = sizeof(where);
    std::memcpy(&storage, &where, sizeof(where));
  } else {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &where.sin_addr);
    length = sizeof(where);
    std::memcpy(&storage, &where, sizeof(where));
  }
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&storage), length) != 0) {
    close(fd);
    return -1;
  }
  const timeval patience{kPatienceSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  const int on = 1;
  if (address.kind == ListenAddress::Kind::kTcp) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

inline bool TestClient::Connect(const std::string& address) {
  Close();
  const auto parsed = ParseListenAddress(address);
  if (parsed) fd_ = ConnectTo(*parsed);
  return connected();
}

inline bool TestClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

inline std::string TestClient::Receive(std::size_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    const std::size_t before = bytes.size();
    bytes.resize(std::min<std::size_t>(size, before + (64 << 10)));
    const ssize_t got = recv(fd_, bytes.data() + before, bytes.size() - before, 0);
    bytes.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    reset_ = got < 0 && errno == ECONNRESET;
    timed_out_ = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (got <= 0) break;
  }
  return bytes;
}

inline std::string TestClient::ReceiveLine() {
  std::string line;
  while (!line.ends_with('\n')) {
    const std::string next = Receive(1);
    if (next.empty()) break;
    line += next;
  }
  return line;
}

inline std::string TestClient::ReceiveAll() { return Receive(std::size_t{1} << 40); }

}  // namespace weir::net
