// Accepts connections of one listening socket on one loop. Internal to net.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "net/listen_socket.h"
#include "net/loop.h"

namespace weir::net {

// Lives on its loop's thread after Start(). Never spins: when descriptors or memory run out it rests before it tries
// again, while clients wait in the kernel's queue.
class Acceptor {
 public:
  // `accepted` gets every new socket, non-blocking and close-on-exec, and owns it.
  Acceptor(Loop& loop, Descriptor fd, std::string listener, std::function<void(Descriptor)> accepted);

  void Start();
  void Stop();

 private:
  void Wait();
  void AcceptSome();
  void Rest(int error);

  Loop& loop_;
  boost::asio::posix::stream_descriptor socket_;
  boost::asio::steady_timer rest_;
  const std::string listener_;
  const std::function<void(Descriptor)> accepted_;
  bool stopped_ = false;
};

}  // namespace weir::net
