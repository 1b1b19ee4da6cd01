#include "net/loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include "base/log.h"
#include "net/connection.h"

namespace weir::net {
namespace {

constexpr std::size_t kScratchBytes = 64 << 10;

std::int64_t TickMs(std::uint32_t idle_timeout_ms) {
  return std::clamp<std::int64_t>(idle_timeout_ms == 0 ? 1'000 : idle_timeout_ms / 16, 10, 1'000);
}

struct Peer {
  int family = AF_UNSPEC;
  std::string text;
};

Peer PeerOf(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  Peer peer;
  peer.family = storage.ss_family;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (peer.family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof(v4));
    peer.text = inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
  } else if (peer.family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &storage, sizeof(v6));
    // An IPv4 client of a dual-stack listener is an IPv4 client.
    peer.text = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)
                    ? inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text.data(), text.size())
                    : inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
  }
  return peer;
}

}  // namespace

void Mailbox::Push(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (context_ == nullptr) return;
  tasks_.push_back(std::move(task));
  // One wake-up for all that is pushed before the loop gets to it.
  if (tasks_.size() == 1) {
    boost::asio::post(*context_, [self = self_.lock()] { RunAll(self); });
  }
}

void Mailbox::Close() {
  std::vector<std::function<void()>> dropped;
  const std::lock_guard lock(mutex_);
  context_ = nullptr;
  dropped.swap(tasks_);
}

void Mailbox::RunAll(const std::shared_ptr<Mailbox>& self) {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(self->mutex_);
    tasks.swap(self->tasks_);
  }
  for (const auto& task : tasks) {
    try {
      task();
    } catch (const std::exception& error) {
      log::Error("task failed", {{"reason", error.what()}});
    }
  }
}

Loop::Loop(SharedState& shared, unsigned index)
    : shared_(shared),
      index_(index),
      // Descriptors are used on the loop's thread only; posting from others stays locked.
      context_(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO),
      work_(boost::asio::make_work_guard(context_)),
      tick_(context_),
      mailbox_(std::make_shared<Mailbox>(context_)),
      wheel_(TickMs(shared.options.idle_timeout_ms), NowMs()),
      scratch_(kScratchBytes) {
  mailbox_->self_ = mailbox_;
}

Loop::~Loop() {
  mailbox_->Close();
  for (const auto& connection : connections_) connection->Abandon();
}

void Loop::Run() {
  pthread_setname_np(pthread_self(), ("weir-loop-" + std::to_string(index_)).c_str());
  ArmTick();
  for (;;) {
    try {
      context_.run();
      return;
    } catch (const std::exception& error) {
      log::Error("event loop went on after a fault", {{"reason", error.what()}});
    }
  }
}

void Loop::Stop() { context_.stop(); }

void Loop::Adopt(Descriptor fd, const std::shared_ptr<const ListenerState>& listener) {
  if (shared_.open.fetch_add(1) >= options().max_connections || draining()) {
    ReleasePlace();
    counters_.refused.Add(1);
    return;
  }
  std::shared_ptr<SocketConnection> connection;
  try {
    Peer peer = PeerOf(fd.get());
    if (peer.family == AF_INET || peer.family == AF_INET6) {
      const int on = 1;
      setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      // A peer that vanished without a word is noticed also where no idle timeout is set.
      setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    StreamSocket socket(context_);
    socket.assign(boost::asio::generic::stream_protocol(peer.family, 0), fd.get());
    fd.Release();
    connection = std::make_shared<SocketConnection>(*this, std::move(socket), std::move(peer.text));
    connection->slot = connections_.size();
    connections_.push_back(connection);
  } catch (const std::exception& error) {
    log::Warn("connection refused", {{"listener", listener->name}, {"reason", error.what()}});
    ReleasePlace();
    counters_.refused.Add(1);
    return;
  }
  counters_.accepted.Add(1);
  connection->Start(*listener);
}

void Loop::Forget(SocketConnection& connection) {
  const std::size_t slot = connection.slot;
  // Kept until the list is whole again: the connection may end here.
  const std::shared_ptr<SocketConnection> last_reference = std::move(connections_[slot]);
  if (slot + 1 != connections_.size()) {
    connections_[slot] = std::move(connections_.back());
    connections_[slot]->slot = slot;
  }
  connections_.pop_back();
  ReleasePlace();
}

void Loop::ReleasePlace() {
  if (shared_.open.fetch_sub(1) == 1 && draining()) {
    const std::lock_guard lock(shared_.mutex);
    shared_.all_closed.notify_all();
  }
}

void Loop::StartDrain() {
  const auto connections = connections_;
  for (const auto& connection : connections) connection->StartDrain();
}

void Loop::CloseAll() {
  const auto connections = connections_;
  for (const auto& connection : connections) connection->Close();
}

std::int64_t Loop::NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1'000 + now.tv_nsec / 1'000'000;
}

void Loop::ArmTick() {
  tick_.expires_after(std::chrono::milliseconds(wheel_.tick_ms()));
  tick_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) Tick();
  });
}

void Loop::Tick() {
  const std::int64_t now_ms = NowMs();
  wheel_.Advance(now_ms, [now_ms](IdleWheel::Node& node) { static_cast<SocketConnection&>(node).OnDeadline(now_ms); });
  ArmTick();
}

}  // namespace weir::net
