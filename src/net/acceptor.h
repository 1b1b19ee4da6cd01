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
  Acceptor(Loop& loop, Descriptor fd, std::string listener, std::function<void(Descriptor)> accepted);

  void Start();
  void Stop();

  void OnReady(std::uint32_t events) override;

 private:
  void Rest(int error);

  Loop& loop_;
  Descriptor fd_;
  const std::string listener_;
  const std::function<void(Descriptor)> accepted_;
};

}  // namespace weir::net
