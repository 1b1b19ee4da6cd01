#include "net/acceptor.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace weir::net {
namespace {

// Per readiness event, so that established connections get their turn during a storm of new ones.
constexpr int kAcceptsPerTurn = 64;
constexpr std::chrono::milliseconds kRest{100};

bool OutOfResources(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace

Acceptor::Acceptor(Loop& loop, Descriptor fd, std::string listener, std::function<void(Descriptor)> accepted)
    : loop_(loop),
      socket_(loop.context(), fd.Release()),
      rest_(loop.context()),
      listener_(std::move(listener)),
      accepted_(std::move(accepted)) {}

void Acceptor::Start() { Wait(); }

void Acceptor::Stop() {
  stopped_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
  rest_.cancel();
}

void Acceptor::Wait() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error || stopped_) return;
    AcceptSome();
  });
}

void Acceptor::AcceptSome() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    Descriptor fd(accept4(socket_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      accepted_(std::move(fd));
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    if (OutOfResources(errno)) return Rest(errno);
    // What remains is about the one connection that was lost before it was accepted (ECONNABORTED and its kin).
  }
  Wait();
}

void Acceptor::Rest(int error) {
  log::Warn("cannot accept connections, resting",
            {{"listener", listener_}, {"reason", std::generic_category().message(error)}});
  rest_.expires_after(kRest);
  rest_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled && !stopped_) Wait();
  });
}

}  // namespace weir::net
