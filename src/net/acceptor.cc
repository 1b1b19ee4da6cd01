#include "net/acceptor.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace weir::net {
namespace {

// Per readiness event, so that established connections get their turn during a storm of new ones.
constexpr int kAcceptsPerTurn = 64;
// As many as the kernel keeps waiting, and some that come meanwhile.
constexpr int kAcceptsAtEnd = 8'192;
constexpr std::int64_t kRestMs = 100;

// It is about the one connection, which was lost before it was accepted (accept(2) names these).
bool LostBefore(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

}  // namespace

Acceptor::Acceptor(Loop& loop, Descriptor fd, bool inherited, std::string listener,
                   std::function<void(Descriptor)> accepted)
    : loop_(loop),
      fd_(std::move(fd)),
      inherited_(inherited),
      listener_(std::move(listener)),
      accepted_(std::move(accepted)) {}

// Told again in each turn while clients wait, so a turn may leave some of them for the next.
void Acceptor::Start() {
  if (!loop_.Watch(fd_.get(), EPOLLIN, *this)) Rest(errno);
}

void Acceptor::Stop() {
  try {
    for (int i = 0; i < kAcceptsAtEnd && fd_.valid() && !inherited_; ++i) {
      const Accepted accepted = AcceptOne();
      if (accepted == Accepted::kNone) break;
      if (accepted == Accepted::kFailed) {
        throw std::system_error(errno, std::generic_category());
      }
    }
  } catch (const std::exception& error) {
    log::Warn("connections that waited to be accepted are reset", {{"listener", listener_}, {"reason", error.what()}});
  }
  // Not by closing alone: an inherited socket stays open elsewhere, and epoll would go on telling of it.
  if (fd_.valid()) loop_.Unwatch(fd_.get());
  fd_ = Descriptor();
}

void Acceptor::OnReady(std::uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn && fd_.valid(); ++i) {
    switch (AcceptOne()) {
      case Accepted::kOne:
      case Accepted::kLost:
        break;
      case Accepted::kNone:
        return;
      case Accepted::kFailed: {
        // Out of descriptors or memory, or forbidden: it may pass.
        const int reason = errno;
        loop_.Unwatch(fd_.get());
        return Rest(reason);
      }
    }
  }
}

Acceptor::Accepted Acceptor::AcceptOne() {
  Descriptor fd(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd.valid()) {
    accepted_(std::move(fd));
    return Accepted::kOne;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Accepted::kNone;
  return LostBefore(errno) ? Accepted::kLost : Accepted::kFailed;
}

void Acceptor::Rest(int error) {
  log::Warn("cannot accept connections, resting",
            {{"listener", listener_}, {"reason", std::generic_category().message(error)}});
  loop_.After(kRestMs, [this] {
    if (fd_.valid()) Start();
  });
}

}  // namespace weir::net
