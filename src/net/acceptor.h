// Accepts connections of one listening socket on one loop. Internal to net.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "net/listen_socket.h"
#include "net/loop.h"

namespace weir::net {

// Lives on its loop's thread after Start(), and longer than the loop runs. Never spins: when descriptors or memory run
// out it rests before it tries again, while clients wait in the kernel's queue.
class Acceptor final : public Watcher {
 public:
  // `accepted` gets every new socket, non-blocking and close-on-exec, and owns it.
  // `inherited`: the socket is somebody else's too, who goes on listening.
  Acceptor(Loop& loop, Descriptor fd, bool inherited, std::string listener, std::function<void(Descriptor)> accepted);

  void Start();
  // Accepts first who waits already: they would be reset with the socket, unless it is inherited.
  void Stop();

  void OnReady(std::uint32_t events) override;

 private:
  enum class Accepted : std::uint8_t { kOne, kLost, kNone, kFailed };
  // kFailed: errno says why.
  Accepted AcceptOne();
  void Rest(int error);

  Loop& loop_;
  Descriptor fd_;
  const bool inherited_;
  const std::string listener_;
  const std::function<void(Descriptor)> accepted_;
};

}  // namespace weir::net
