#include "net/loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "net/connection.h"

namespace weir::net {
namespace {

constexpr std::size_t kEventsPerTurn = 256;
// Enough to gain by it, and so few that the first of them hardly waits (docs/decisions/0018).
constexpr std::size_t kReadTogether = 16;
constexpr std::size_t kBytesTogether = 16 << 10;
// How long a turn goes on with what has become ready; then as long with those of the rest that ask for little, and
// again with those that wait since earlier turns, of which one has its turn always (docs/decisions/0018). So whoever
// asks for little waits for about one turn and the longest single answer, however many others ask for much.
constexpr std::int64_t kTurnNs = 5'000'000;
// Of all lent buffers that a loop keeps.
constexpr std::size_t kSpareBytes = 1 << 20;

Descriptor OrThrow(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return Descriptor(fd);
}

std::int64_t PreciseNowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// What the callee throws is its own fault, and the loop serves others too.
template <typename Call>
void Guarded(Call&& call) {
  try {
    call();
  } catch (const std::exception& error) {
    log::Error("event loop went on after a fault", {{"reason", error.what()}});
  }
}

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

Mailbox::Mailbox() : event_(OrThrow(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {}

void Mailbox::Push(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    tasks_.push_back(std::move(task));
    // One wake-up for all that is pushed before the loop gets to it.
    if (tasks_.size() > 1) return;
  }
  Wake();
}

void Mailbox::Wake() {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then it wakes as well.
  [[maybe_unused]] const ssize_t written = write(event_.get(), &one, sizeof(one));
}

void Mailbox::Close() {
  std::vector<std::function<void()>> dropped;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(tasks_);
}

void Mailbox::OnReady(std::uint32_t) {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(event_.get(), &count, sizeof(count));
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) Guarded(task);
}

Loop::Loop(SharedState& shared, unsigned index)
    : shared_(shared),
      index_(index),
      epoll_(OrThrow(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      mailbox_(std::make_shared<Mailbox>()),
      wheel_(TickMs(shared.options.idle_timeout_ms), NowMs()),
      next_tick_ms_(NowMs() + wheel_.tick_ms()),
      scratch_(kBytesTogether + kScratchBytes) {
  // What is read and not listed would be shown others' bytes.
  unsettled_.reserve(kReadTogether);
  if (!Watch(mailbox_->fd(), EPOLLIN, *mailbox_)) throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

Loop::~Loop() {
  mailbox_->Close();
  for (const auto& connection : connections_) connection->Abandon();
  for (const auto& connection : gone_) connection->Abandon();
}

bool Loop::Watch(int fd, std::uint32_t events, Watcher& watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Loop::Unwatch(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void Loop::Run() {
  pthread_setname_np(pthread_self(), ("weir-loop-" + std::to_string(index_)).c_str());
  while (!stopped_.load(std::memory_order_acquire)) Turn();
}

void Loop::Stop() {
  stopped_.store(true, std::memory_order_release);
  mailbox_->Wake();
}

void Loop::Turn() {
  std::int64_t wait_ms = again_.empty() && little_.empty() ? std::max<std::int64_t>(next_tick_ms_ - NowMs(), 0) : 0;
  if (!alarms_.empty()) wait_ms = std::clamp<std::int64_t>(alarms_.begin()->first - NowMs(), 0, wait_ms);
  for (const Delayed& delayed : delayed_) wait_ms = std::clamp<std::int64_t>(delayed.due_ms - NowMs(), 0, wait_ms);
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, static_cast<int>(wait_ms));
  turn_ms_ = NowMs();
  turn_ends_ns_ = PreciseNowNs() + kTurnNs;
  late_ = false;
  // Those that join meanwhile are for the next turn.
  const std::size_t waited = again_.size();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    Watcher* const watcher = static_cast<Watcher*>(event.data.ptr);
    Guarded([&] { late_ ? watcher->Defer(event.events) : watcher->OnReady(event.events); });
  }
  if (!little_.empty()) TakeSome(little_, little_.size());
  if (waited > 0) TakeSome(again_, waited);
  SettleAll();
  Tick();
  ReleaseClosed();
}

void Loop::TakeSome(std::deque<std::shared_ptr<SocketConnection>>& list, std::size_t most) {
  SettleAll();
  turn_ends_ns_ = PreciseNowNs() + kTurnNs;
  late_ = false;
  for (std::size_t i = 0; i < most && !late_; ++i) {
    const std::shared_ptr<SocketConnection> connection = std::move(list.front());
    list.pop_front();
    Guarded([&connection] { connection->OnReady(0); });
  }
}

void Loop::SettleLater(SocketConnection& connection) {
  unsettled_.push_back(&connection);
  if (unsettled_.size() >= kReadTogether || scratch_kept_ >= kBytesTogether) SettleAll();
}

void Loop::SettleAll() {
  if (unsettled_.empty()) return;
  for (SocketConnection* const connection : unsettled_) Guarded([connection] { connection->Take(); });
  scratch_kept_ = 0;
  for (SocketConnection* const connection : unsettled_) Guarded([connection] { connection->Ask(); });
  for (SocketConnection* const connection : unsettled_) Guarded([connection] { connection->Answer(); });
  for (SocketConnection* const connection : unsettled_) Guarded([connection] { connection->Settle(); });
  unsettled_.clear();
  late_ = PreciseNowNs() > turn_ends_ns_;
}

std::string Loop::TakeSpare() {
  if (spares_.empty()) return {};
  std::string spare = std::move(spares_.back());
  spares_.pop_back();
  spare_bytes_ -= spare.capacity();
  return spare;
}

void Loop::GiveSpare(std::string buffer) {
  if (spares_.size() >= kReadTogether || spare_bytes_ + buffer.capacity() > kSpareBytes) return;
  buffer.clear();
  spare_bytes_ += buffer.capacity();
  spares_.push_back(std::move(buffer));
}

void Loop::Adopt(Descriptor fd, const std::shared_ptr<const ListenerState>& listener) {
  if (shared_.open.fetch_add(1) >= options().max_connections + std::uint64_t{listener->reserve}) {
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
    connection = std::make_shared<SocketConnection>(*this, std::move(fd), std::move(peer.text));
    connections_.reserve(connections_.size() + 1);
    if (!connection->Watch()) throw std::system_error(errno, std::generic_category(), "epoll_ctl");
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
  gone_.push_back(std::move(connections_[slot]));
  if (slot + 1 != connections_.size()) {
    connections_[slot] = std::move(connections_.back());
    connections_[slot]->slot = slot;
  }
  connections_.pop_back();
}

void Loop::ReleaseClosed() {
  // A session's end may close other connections, but hardly; those are released in the same turn.
  while (!gone_.empty()) {
    for (const auto& connection : std::exchange(gone_, {})) {
      Guarded([&connection] { connection->Abandon(); });
      ReleasePlace();
    }
  }
}

void Loop::Again(SocketConnection& connection, bool little) {
  (little ? little_ : again_).push_back(connections_[connection.slot]);
}

// Relaxed: a sum that orders nothing. What other loops add meanwhile, and what those that are read together append
// before the first of them counts, may pass the bound.
bool Loop::TakeBuffer(std::size_t bytes) {
  const std::uint64_t all = shared_.buffered.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (options().max_buffered_bytes == 0 || all <= options().max_buffered_bytes) return true;
  GiveBuffer(bytes);
  return false;
}

void Loop::GiveBuffer(std::size_t bytes) { shared_.buffered.fetch_sub(bytes, std::memory_order_relaxed); }

void Loop::After(std::int64_t delay_ms, std::function<void()> task) {
  delayed_.push_back({NowMs() + delay_ms, std::move(task)});
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

void Loop::Tick() {
  const std::int64_t now_ms = NowMs();
  if (now_ms >= next_tick_ms_) {
    next_tick_ms_ = now_ms + wheel_.tick_ms();
    wheel_.Advance(now_ms, [now_ms](IdleWheel::Node& node) {
      Guarded([&] { static_cast<SocketConnection&>(node).OnDeadline(now_ms); });
    });
  }
  // One that is set meanwhile is for later.
  while (!alarms_.empty() && alarms_.begin()->first <= now_ms) {
    SocketConnection& connection = *alarms_.begin()->second;
    alarms_.erase(alarms_.begin());
    Guarded([&connection] { connection.OnAlarm(); });
  }
  for (std::size_t i = 0; i < delayed_.size();) {
    if (delayed_[i].due_ms > now_ms) {
      ++i;
      continue;
    }
    const auto task = std::move(delayed_[i].task);
    delayed_.erase(delayed_.begin() + static_cast<std::ptrdiff_t>(i));
    Guarded(task);
  }
}

}  // namespace weir::net
