// Sessions for tests of the server. Tests only.
#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "net/server.h"

namespace weir::net {

class LineSession;

// What the sessions of one test have in common. Thread-safe.
class Stage {
 public:
  struct Shared {
    std::shared_ptr<Connection> connection;
    LineSession* session = nullptr;  // to be used on the connection's loop only
  };

  void Share(Shared shared) {
    const std::lock_guard lock(mutex_);
    shared_.push_back(std::move(shared));
    changed_.notify_all();
  }
  // Waits for the `index`-th session to share itself.
  Shared WaitForShared(std::size_t index) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return shared_.size() > index; });
    return shared_[index];
  }
  void WaitForDestroyed(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return destroyed_ >= count; });
  }
  void OnDestroyed() {
    const std::lock_guard lock(mutex_);
    ++destroyed_;
    changed_.notify_all();
  }

  std::atomic<bool> ignore_drain{false};
  std::atomic<int> burnt{0};     // how often "burn" was done
  std::atomic<int> patience{0};  // how often a session stays when nothing comes

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Shared> shared_;
  int destroyed_ = 0;
};

// Answers each line with itself; some lines do more.
class LineSession final : public Session {
 public:
  LineSession(Connection& connection, Stage& stage) : connection_(connection), stage_(stage) {}
  ~LineSession() override { stage_.OnDestroyed(); }

  std::size_t OnInput(std::string_view input) override {
    std::size_t consumed = 0;
    yielded_ = false;
    while (!stopped_ && !yielded_) {
      const std::size_t end = input.find('\n', consumed);
      if (end == std::string_view::npos) break;
      OnLine(input.substr(consumed, end - consumed));
      consumed = end + 1;
    }
    partial_ = consumed < input.size();
    return consumed;
  }

  void OnDrain() override {
    if (!stage_.ignore_drain && !partial_ && !stopped_) connection_.CloseAfterFlush();
  }

  bool OnIdle() override {
    const int left = stage_.patience.fetch_sub(1);
    connection_.output().append(left > 0 ? "still there?\n" : "bye\n");
    return left > 0;
  }

  void OnWake() override { connection_.output().append("woken\n"); }
  std::size_t held() const override { return held_; }

  // Ends "pause" with `answer`; on the loop.
  void Continue(std::string_view answer) {
    stopped_ = false;
    connection_.output().append(answer);
    connection_.Flush();
    connection_.Resume();
  }

 private:
  void OnLine(std::string_view line) {
    std::string& out = connection_.output();
    if (line == "throw") throw std::runtime_error("as asked");
    if (line == "peer") {
      out.append(connection_.peer_address()).append("\n");
    } else if (line.starts_with("big ")) {
      out.append(std::strtoul(std::string(line.substr(4)).c_str(), nullptr, 10), 'x');
    } else {
      out.append(line).append("\n");
    }
    if (line == "take long") {  // longer than the idle timeout of the tests that ask for it
      poll(nullptr, 0, 150);
      out.append(1'000'000, 'x');
    }
    if (line == "close") {
      stopped_ = true;
      connection_.CloseAfterFlush();
    }
    if (line == "pause") {
      stopped_ = true;
      connection_.Pause();
    }
    if (line.starts_with("room ")) {
      const std::size_t bytes = std::strtoul(std::string(line.substr(5)).c_str(), nullptr, 10);
      connection_.TakeRoom(bytes) ? out.append(bytes, 'x') : out.append("no room");
      out.append("\n");
    }
    if (line == "yield") {
      yielded_ = true;
      connection_.Yield();
    }
    if (line.starts_with("burn ")) {
      const auto end = std::chrono::steady_clock::now() +
                       std::chrono::milliseconds(std::strtoul(std::string(line.substr(5)).c_str(), nullptr, 10));
      while (std::chrono::steady_clock::now() < end) continue;
      stage_.burnt.fetch_add(1);
    }
    if (line == "burnt") out.append(std::to_string(stage_.burnt.load())).append("\n");
    if (line.starts_with("hold ")) held_ = std::strtoul(std::string(line.substr(5)).c_str(), nullptr, 10);
    if (line.starts_with("wake "))
      connection_.WakeAfter(static_cast<std::uint32_t>(std::strtoul(std::string(line.substr(5)).c_str(), nullptr, 10)));
    if (line == "pause" || line == "share") stage_.Share({connection_.Share(), this});
  }

  Connection& connection_;
  Stage& stage_;
  bool partial_ = false, stopped_ = false, yielded_ = false;
  std::size_t held_ = 0;
};

}  // namespace weir::net
