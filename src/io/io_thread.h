// A thread that runs one io_context for outgoing connections. What lives on it is entered there only: Post from
// elsewhere.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace weir::io {

class IoThread {
 public:
  IoThread() : work_(context_.get_executor()) {}
  ~IoThread() {
    Stop([] {});
  }
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  boost::asio::io_context& context() { return context_; }
  // Call once, before anything is posted that others wait for.
  void Start() {
    thread_ = std::thread([this] { context_.run(); });
  }
  // Any thread.
  template <typename Task>
  void Post(Task&& task) {
    boost::asio::post(context_, std::forward<Task>(task));
  }
  // Runs `last` on the thread, lets it end what it has in hand, and returns when it has ended. Not from the thread
  // itself. A second call returns when the first has, without running its `last`.
  template <typename Last>
  void Stop(Last&& last) {
    std::call_once(stopping_, [&] {
      if (!thread_.joinable()) return;
      Post([this, &last] {
        last();
        work_.reset();
      });
      thread_.join();
    });
  }

 private:
  boost::asio::io_context context_{1};
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::thread thread_;
  std::once_flag stopping_;
};

}  // namespace weir::io
