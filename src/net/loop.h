// One event loop: a thread, its connections, its acceptors, and the mailbox through which others reach it.
// Internal to net: this header has Boost.Asio in it.
#pragma once

#include <atomic>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/idle_wheel.h"
#include "net/listen_socket.h"
#include "net/server.h"
#include "net/tls.h"

namespace weir::net {

class SocketConnection;

// TCP or Unix, with the executor's type known: no virtual call per operation.
using StreamSocket =
    boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, boost::asio::io_context::executor_type>;

// Tasks for a loop. Thread-safe, and outlives its loop: what is pushed after Close() is dropped.
class Mailbox {
 public:
  explicit Mailbox(boost::asio::io_context& context) : context_(&context) {}
  void Push(std::function<void()> task);
  void Close();

 private:
  static void RunAll(const std::shared_ptr<Mailbox>& self);
  friend class Loop;

  std::weak_ptr<Mailbox> self_;
  std::mutex mutex_;
  boost::asio::io_context* context_;  // nullptr: closed
  std::vector<std::function<void()>> tasks_;
};

// What all loops of one server share.
struct SharedState {
  explicit SharedState(const ServerOptions& server_options) : options(server_options) {}
  const ServerOptions options;
  std::atomic<std::uint32_t> open{0};
  std::atomic<bool> draining{false};
  std::mutex mutex;
  std::condition_variable all_closed;  // with `mutex`: open became 0
};

// What every connection of one listener needs.
struct ListenerState {
  std::string name;
  SessionFactory sessions;
  std::unique_ptr<TlsContext> tls;  // nullptr: plain
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
  Counter accepted, refused, idle_closed, overflow_closed, bytes_in, bytes_out;
};

class Loop {
 public:
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

  // ---- on the loop's thread ----------------------------------------------------------------------------------------
  // Takes over a connected socket: makes its connection and session, or closes it when there are too many.
  void Adopt(Descriptor fd, const std::shared_ptr<const ListenerState>& listener);
  void StartDrain();
  void CloseAll();
  // The connection is closed and nothing of it is pending: forgets it.
  void Forget(SocketConnection& connection);

  boost::asio::io_context& context() { return context_; }
  const ServerOptions& options() const { return shared_.options; }
  bool draining() const { return shared_.draining.load(std::memory_order_relaxed); }
  LoopCounters& counters() { return counters_; }
  const LoopCounters& counters() const { return counters_; }
  IdleWheel& wheel() { return wheel_; }
  // Coarse monotonic time.
  static std::int64_t NowMs();
  // Where reads land before a session sees them; shared by all connections, so that idle ones hold no buffer.
  std::span<char> scratch() { return scratch_; }
  std::string& plain_scratch() { return plain_scratch_; }
  // Connections write into this buffer while they have the turn: lent with its capacity, given back when all is sent.
  std::string& spare_output() { return spare_output_; }

 private:
  void ArmTick();
  void Tick();
  void ReleasePlace();

  SharedState& shared_;
  const unsigned index_;
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer tick_;
  std::shared_ptr<Mailbox> mailbox_;
  IdleWheel wheel_;
  LoopCounters counters_;
  std::vector<char> scratch_;
  std::string plain_scratch_;
  std::string spare_output_;
  std::vector<std::shared_ptr<SocketConnection>> connections_;
};

}  // namespace weir::net
