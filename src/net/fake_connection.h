// A Connection without a socket, for tests and fuzzers of sessions: what a session wrote is a string, and the loop is
// the caller. Never used in the daemon. Single-threaded, but for Post.
//
//   FakeConnection connection;
//   auto session = MakeFooSession(connection, ...);
//   connection.Attach(session.get());
//   connection.Receive("PING\r\n");
//   EXPECT_EQ(connection.TakeOutput(), "+PONG\r\n");
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/session.h"

namespace weir::net {

class FakeConnection final : public Connection {
 public:
  explicit FakeConnection(std::string peer_address = "192.0.2.1")
      : queue_(std::make_shared<Queue>()), peer_(std::move(peer_address)) {}
  ~FakeConnection() override {
    const std::lock_guard lock(queue_->mutex);
    queue_->tasks.clear();
    queue_->open = false;
  }
  FakeConnection(const FakeConnection&) = delete;
  FakeConnection& operator=(const FakeConnection&) = delete;

  // ---- what the loop does ------------------------------------------------------------------------------------------
  // The session that input goes to. It may be destroyed before this connection, but then receives nothing more.
  void Attach(Session* session) { session_ = session; }

  // Bytes arrive: kept, and shown to the session at once unless it paused or closed. Returns how many bytes the
  // session has left unconsumed.
  std::size_t Receive(std::string_view bytes) {
    input_.append(bytes);
    Deliver();
    return input_.size();
  }
  // As a loop does that reads several connections together: from now on Receive() shows input once and leaves the rest
  // to Ask() and Answer(), between which other sessions, and other calls of this one, may have their turn.
  void ReadTogether() { phased_ = true; }
  void Ask() {
    if (owed_ == Owed::kAsk) Owe(Owed::kAnswer, [this] { session_->OnAsk(); });
  }
  void Answer() {
    Ask();
    if (owed_ == Owed::kAnswer) Owe(Owed::kNothing, [this] { session_->OnAnswer(); });
    Deliver();
  }
  // There is room for so much, with what was taken before.
  void set_room(std::size_t bytes) { room_ = bytes; }
  std::size_t room() const { return room_; }
  // Runs what was posted until now, in order; returns how many tasks ran. Tasks posted meanwhile wait for the next
  // call.
  std::size_t RunPosted() {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard lock(queue_->mutex);
      tasks.swap(queue_->tasks);
    }
    for (auto& task : tasks) task();
    return tasks.size();
  }
  // The time of WakeAfter() has come; false: nobody asked.
  bool Wake() {
    if (session_ == nullptr || !wake_after_) return false;
    wake_after_.reset();
    session_->OnWake();
    return true;
  }
  void StartDrain() {
    draining_ = true;
    if (session_ != nullptr) session_->OnDrain();
  }
  // The idle timeout has passed; tells whether the connection goes on.
  bool Idle() {
    delivering_ = true;
    const bool goes_on = session_ != nullptr && session_->OnIdle();
    delivering_ = false;
    flushed_ = true;
    return goes_on;
  }

  // ---- what a test looks at ----------------------------------------------------------------------------------------
  // Everything written since the last call. A real connection sends what was appended outside of OnInput only after
  // Flush(): `unflushed()` tells of a session that forgot it.
  std::string TakeOutput() { return std::exchange(output_, {}); }
  bool unflushed() const { return !output_.empty() && !flushed_; }
  bool paused() const { return paused_; }
  bool closing() const { return closing_; }
  std::uint64_t flushes() const { return flushes_; }  // calls of Flush(), which OnInput does not need
  std::optional<std::uint32_t> wake_after() const { return wake_after_; }
  std::string_view unconsumed() const { return input_; }
  std::size_t posted() const {
    const std::lock_guard lock(queue_->mutex);
    return queue_->tasks.size();
  }

  // ---- Connection --------------------------------------------------------------------------------------------------
  std::string& output() override {
    flushed_ = delivering_;
    return output_;
  }
  void Flush() override {
    flushed_ = true;
    ++flushes_;
  }
  void Pause() override { paused_ = true; }
  void Resume() override {
    paused_ = false;
    Deliver();
  }
  bool TakeRoom(std::size_t bytes) override {
    if (bytes > room_) return false;
    room_ -= bytes;
    return true;
  }
  void CloseAfterFlush() override {
    closing_ = true;
    flushed_ = true;
  }
  void WakeAfter(std::uint32_t ms) override { wake_after_ = std::min(ms, wake_after_.value_or(ms)); }
  void Post(std::function<void()> task) override { queue_->Push(std::move(task)); }
  // Stays valid after this connection is gone; tasks posted then are dropped, as with a real one. Only Post may be
  // called through it.
  std::shared_ptr<Connection> Share() override { return std::make_shared<Poster>(queue_); }
  std::string_view peer_address() const override { return peer_; }
  bool draining() const override { return draining_; }

 private:
  struct Queue {
    mutable std::mutex mutex;
    std::vector<std::function<void()>> tasks;
    bool open = true;
    void Push(std::function<void()> task) {
      const std::lock_guard lock(mutex);
      if (open) tasks.push_back(std::move(task));
    }
  };
  struct Poster final : Connection {
    explicit Poster(std::shared_ptr<Queue> queue) : queue_(std::move(queue)) {}
    std::string& output() override { return unused_; }
    void Flush() override {}
    void Pause() override {}
    void Resume() override {}
    void CloseAfterFlush() override {}
    void WakeAfter(std::uint32_t) override {}
    void Post(std::function<void()> task) override { queue_->Push(std::move(task)); }
    std::shared_ptr<Connection> Share() override { return std::make_shared<Poster>(queue_); }
    std::string_view peer_address() const override { return {}; }
    bool draining() const override { return false; }
    std::shared_ptr<Queue> queue_;
    std::string unused_;
  };

  enum class Owed : std::uint8_t { kNothing, kAsk, kAnswer };
  template <typename Call>
  void Owe(Owed next, Call&& call) {
    owed_ = next;
    if (session_ == nullptr) return;
    delivering_ = true;
    call();
    delivering_ = false;
    flushed_ = true;
  }

  // A session may call Resume() from within OnInput; input is then shown again after it returns, never nested.
  void Deliver() {
    if (delivering_ || owed_ != Owed::kNothing) return;
    delivering_ = true;
    while (session_ != nullptr && !paused_ && !closing_ && !input_.empty()) {
      // The session sees exactly-sized memory, so that sanitizers notice a read beyond the end.
      const std::vector<char> exact(input_.begin(), input_.end());
      const std::size_t consumed = session_->OnInput(std::string_view(exact.data(), exact.size()));
      input_.erase(0, consumed);
      if (phased_) {
        owed_ = Owed::kAsk;
        break;
      }
      session_->OnAsk();
      session_->OnAnswer();
      if (consumed == 0) break;
    }
    delivering_ = false;
    if (!output_.empty()) flushed_ = true;
  }

  std::shared_ptr<Queue> queue_;
  std::string peer_;
  Session* session_ = nullptr;
  std::string input_, output_;
  std::uint64_t flushes_ = 0;
  std::size_t room_ = SIZE_MAX;
  std::optional<std::uint32_t> wake_after_;
  Owed owed_ = Owed::kNothing;
  bool phased_ = false;
  bool flushed_ = true, paused_ = false, closing_ = false, draining_ = false, delivering_ = false;
};

}  // namespace weir::net
