// Bound, listening sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/listen_address.h"
#include "weir/result.h"

namespace weir::net {

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }
  int Release() noexcept;
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// What one listener listens on. TCP: a socket for each loop (SO_REUSEPORT), so that the kernel spreads connections.
// Unix and inherited sockets: shared ones, whose acceptor hands connections round.
struct ListenSockets {
  std::vector<Descriptor> per_loop;
  std::vector<Descriptor> shared;
  std::string address;    // as bound: port 0 is replaced by the one that was picked
  std::string unix_path;  // the file to remove afterwards; empty = none
};

// Binds and listens; every socket is non-blocking and close-on-exec. kAlreadyExists: the address is in use, also by
// another weir that shares its port; a stale Unix socket file (nobody listens) is replaced. Others: kInvalidArgument
// (no such address here), kFailedPrecondition (no permission). Messages name the address and the reason.
// `mode`: of the file of a Unix socket, set before anybody can connect; none: by the umask.
Result<ListenSockets> Bind(const ListenAddress& address, unsigned loops, std::optional<std::uint32_t> mode = {});

// Takes over sockets that listen already (socket activation). Their descriptors are owned from here on.
Result<ListenSockets> Inherit(const std::vector<int>& fds);

// Removes the Unix socket file, if it is still ours.
void RemoveUnixFile(const ListenSockets& sockets);

}  // namespace weir::net
