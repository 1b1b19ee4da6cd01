// One event loop: a thread, its connections, its acceptors, and the mailbox through which others reach it.
// Internal to net. On epoll itself: docs/decisions/0011-epoll.md.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/idle_wheel.h"
#include "net/listen_socket.h"
#include "net/server.h"
#include "net/tls.h"

namespace weir::net {

class SocketConnection;

// Whoever is told by a loop when a descriptor is ready.
class Watcher {
 public:
  // `events` as in epoll_wait(2).
  virtual void OnReady(std::uint32_t events) = 0;
  // The same when the turn has been long enough already. What must not wait is done all the same.
  virtual void Defer(std::uint32_t events) { OnReady(events); }

 protected:
  ~Watcher() = default;
};

// Tasks for a loop. Thread-safe, and outlives its loop: what is pushed after Close() is dropped.
class Mailbox final : public Watcher {
 public:
  Mailbox();
  void Push(std::function<void()> task);
  // Wakes the loop up without a task.
  void Wake();
  void Close();
  // Runs what was pushed. On the loop's thread.
  void OnReady(std::uint32_t events) override;
  int fd() const { return event_.get(); }

 private:
  const Descriptor event_;
  std::mutex mutex_;
  bool closed_ = false;
  std::vector<std::function<void()>> tasks_;
};

// What all loops of one server share.
struct SharedState {
  explicit SharedState(const ServerOptions& server_options) : options(server_options) {}
  const ServerOptions options;
  std::atomic<std::uint32_t> open{0};
  std::atomic<std::uint64_t> buffered{0};  // bytes that connections have counted (Loop::TakeBuffer)
  std::atomic<bool> draining{false};
  std::mutex mutex;
  std::condition_variable all_closed;  // with `mutex`: open became 0
};

// What every connection of one listener needs.
struct ListenerState {
  std::string name;
  SessionFactory sessions;
  std::uint32_t reserve = 0;
  std::unique_ptr<const TlsOptions> tls_options;  // nullptr: plain

  // Of new connections; nullptr: plain. Thread-safe, as is its change.
  std::shared_ptr<const TlsContext> Tls() const {
    const std::lock_guard lock(tls_mutex);
    return tls;
  }
  void SetTls(std::shared_ptr<const TlsContext> context) {
    const std::lock_guard lock(tls_mutex);
    tls = std::move(context);
  }

 private:
  mutable std::mutex tls_mutex;
  std::shared_ptr<const TlsContext> tls;  // by tls_mutex
};

// Written by the loop alone, read by anybody.
class Counter {
 public:
  void Add(std::uint64_t count) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};
struct LoopCounters {
  Counter accepted, refused, idle_closed, slow_closed, overflow_closed, crowded_closed, room_refused, bytes_in,
      bytes_out;
};

class Loop {
 public:
  // Throws std::system_error when the kernel gives no epoll.
  Loop(SharedState& shared, unsigned index);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Serves until Stop(); the body of the loop's thread.
  void Run();
  // From any thread.
  void Stop();
  Mailbox& mailbox() { return *mailbox_; }
  const std::shared_ptr<Mailbox>& shared_mailbox() const { return mailbox_; }
  // False: the kernel has no room. Before Run() from any thread, then on the loop's.
  bool Watch(int fd, std::uint32_t events, Watcher& watcher);
  void Unwatch(int fd);

  // ---- on the loop's thread ----------------------------------------------------------------------------------------
  // Takes over a connected socket: makes its connection and session, or closes it when there are too many.
  void Adopt(Descriptor fd, const std::shared_ptr<const ListenerState>& listener);
  void StartDrain();
  void CloseAll();
  // The connection has closed: it ends with this turn of the loop.
  void Forget(SocketConnection& connection);
  // Its OnReady(0) is called in the next turn, which comes at once; or in one of the next, when many wait for it.
  // `little`: before those that have much to do.
  void Again(SocketConnection& connection, bool little = false);
  // Its Settle() is called within this turn, together with those of others that were read.
  void SettleLater(SocketConnection& connection);
  // Counts bytes that a connection holds, over all loops. False: there would be too many, and these are not counted.
  bool TakeBuffer(std::size_t bytes);
  void GiveBuffer(std::size_t bytes);
  // Its OnAlarm() is called at `at_ms` (of NowMs), a little late. A connection has one at most, and clears it with the
  // time that it set.
  void SetAlarm(SocketConnection& connection, std::int64_t at_ms) { alarms_.insert({at_ms, &connection}); }
  void ClearAlarm(SocketConnection& connection, std::int64_t at_ms) { alarms_.erase({at_ms, &connection}); }
  // Runs `task` once `delay_ms` have passed, a little late. For rare things.
  void After(std::int64_t delay_ms, std::function<void()> task);

  const ServerOptions& options() const { return shared_.options; }
  bool draining() const { return shared_.draining.load(std::memory_order_relaxed); }
  LoopCounters& counters() { return counters_; }
  const LoopCounters& counters() const { return counters_; }
  IdleWheel& wheel() { return wheel_; }
  // Coarse monotonic time.
  static std::int64_t NowMs();
  // NowMs() as this turn began: for what happens with each read and write, and need not be exact.
  std::int64_t turn_ms() const { return turn_ms_; }
  // At most so much is read at a time.
  static constexpr std::size_t kScratchBytes = 64 << 10;
  // Where reads land before a session sees them; shared by all connections, so that idle ones hold no buffer.
  std::span<char> scratch() {
    return std::span(scratch_).subspan(scratch_kept_, std::min(kScratchBytes, scratch_.size() - scratch_kept_));
  }
  // The first `bytes` of scratch() stay until the connections that were read are settled.
  void KeepScratch(std::size_t bytes) { scratch_kept_ += bytes; }
  std::size_t scratch_kept() const { return scratch_kept_; }
  void RewindScratch(std::size_t kept) { scratch_kept_ = kept; }
  std::string& plain_scratch() { return plain_scratch_; }
  // Connections write into these buffers while they have the turn: lent with their capacity, given back when all is
  // sent. Empty when none is at hand; what is given back beyond what is kept is freed.
  std::string TakeSpare();
  void GiveSpare(std::string buffer);

 private:
  void Turn();
  // Gives up to `most` of the list their turn, until it is late; at least one.
  void TakeSome(std::deque<std::shared_ptr<SocketConnection>>& list, std::size_t most);
  void SettleAll();
  void Tick();
  void ReleaseClosed();
  void ReleasePlace();

  struct Delayed {
    std::int64_t due_ms = 0;
    std::function<void()> task;
  };

  SharedState& shared_;
  const unsigned index_;
  const Descriptor epoll_;
  std::atomic<bool> stopped_{false};
  std::shared_ptr<Mailbox> mailbox_;
  IdleWheel wheel_;
  std::int64_t next_tick_ms_;
  std::int64_t turn_ms_ = NowMs();
  std::int64_t turn_ends_ns_ = 0;  // monotonic
  bool late_ = false;              // as far as it is known: looked at whenever something has been settled
  LoopCounters counters_;
  std::vector<char> scratch_;
  std::size_t scratch_kept_ = 0;
  std::string plain_scratch_;
  std::vector<std::string> spares_;
  std::size_t spare_bytes_ = 0;
  std::vector<std::shared_ptr<SocketConnection>> connections_;
  std::deque<std::shared_ptr<SocketConnection>> again_, little_;
  std::vector<SocketConnection*> unsettled_;             // one that closes meanwhile is in gone_
  std::vector<std::shared_ptr<SocketConnection>> gone_;  // events of this turn may still name them
  std::set<std::pair<std::int64_t, SocketConnection*>> alarms_;
  std::vector<Delayed> delayed_;
};

}  // namespace weir::net
