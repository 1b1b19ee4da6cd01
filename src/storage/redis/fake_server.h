// A server on loopback that says what a test tells it to say: right, wrong, late, half or never. For tests only.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace weir::storage::redis {

using Words = std::vector<std::string>;

class FakeServer {
 public:
  enum class After { kGoOn, kClose };
  enum class Pace { kAtOnce, kByteByByte };
  struct Answer {
    std::string bytes{};
    After after = After::kGoOn;
    Pace pace = Pace::kAtOnce;
  };
  // What is answered to a command. Called on the connection's thread, one call at a time over all connections.
  using Handler = std::function<Answer(const Words& words)>;

  explicit FakeServer(Handler handler) : handler_(std::move(handler)) { Listen(); }
  ~FakeServer() {
    Stop();
    for (std::thread& thread : threads_) thread.join();
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  // Listens again after Stop(), on the same port.
  void Listen() {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    const int yes = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 64) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("the fake server cannot listen");
    }
    port_ = ntohs(address.sin_port);
    const int listener = listener_;
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, listener] { Accept(listener); });
  }
  // Closes the listener and every connection.
  void Stop() {
    shutdown(listener_, SHUT_RDWR);
    const std::lock_guard lock(mutex_);
    for (const int connection : open_) shutdown(connection, SHUT_RDWR);
  }

  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  int accepted() const { return accepted_; }
  // All commands received so far whose first word this is.
  std::vector<Words> Received(std::string_view command) const {
    const std::lock_guard lock(mutex_);
    std::vector<Words> found;
    for (const Words& words : received_) {
      if (words[0] == command) found.push_back(words);
    }
    return found;
  }

 private:
  void Accept(int listener) {
    while (true) {
      const int connection = accept(listener, nullptr, nullptr);
      if (connection < 0) break;
      ++accepted_;
      const std::lock_guard lock(mutex_);
      open_.push_back(connection);
      threads_.emplace_back([this, connection] { Serve(connection); });
    }
    close(listener);
  }

  void Serve(int connection) {
    std::string input;
    char buffer[65'536];
    bool open = true;
    while (open) {
      const ssize_t size = recv(connection, buffer, sizeof buffer, 0);
      if (size <= 0) break;
      input.append(buffer, static_cast<std::size_t>(size));
      Words words;
      while (open && Take(input, words)) {
        Answer answer;
        {
          const std::lock_guard lock(mutex_);
          received_.push_back(words);
          answer = handler_(words);
        }
        open = Send(connection, answer) && answer.after == After::kGoOn;
      }
    }
    const std::lock_guard lock(mutex_);
    open_.remove(connection);
    close(connection);
  }

  static bool Send(int connection, const Answer& answer) {
    const std::size_t step = answer.pace == Pace::kByteByByte ? 1 : answer.bytes.size();
    for (std::size_t at = 0; at < answer.bytes.size();) {
      const ssize_t sent =
          send(connection, answer.bytes.data() + at, std::min(step, answer.bytes.size() - at), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += static_cast<std::size_t>(sent);
    }
    return true;
  }

  // Takes one command off the front of `input`; false when it is not whole.
  static bool Take(std::string& input, Words& words) {
    std::size_t at = 0;
    const auto line = [&](std::size_t& value) {
      const std::size_t end = input.find("\r\n", at);
      if (end == std::string::npos) return false;
      value = std::strtoull(input.c_str() + at + 1, nullptr, 10);
      at = end + 2;
      return true;
    };
    std::size_t count = 0;
    if (!line(count)) return false;
    words.clear();
    for (std::size_t i = 0; i < count; ++i) {
      std::size_t length = 0;
      if (!line(length) || input.size() < at + length + 2) return false;
      words.push_back(input.substr(at, length));
      at += length + 2;
    }
    input.erase(0, at);
    return true;
  }

  const Handler handler_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::atomic<int> accepted_ = 0;
  mutable std::mutex mutex_;  // guards what follows, and the handler
  std::vector<Words> received_;
  std::list<int> open_;
  std::list<std::thread> threads_;
};

}  // namespace weir::storage::redis
