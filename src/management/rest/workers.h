// Threads that do the work of the management plane, away from its event loop: databases, audit, compilation.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace weir::management::rest {

// Thread-safe.
class Workers {
 public:
  // `most_waiting`: tasks that wait for a thread; more are refused.
  Workers(std::size_t threads, std::size_t most_waiting);
  // Does what waits, then ends.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // False: too many wait, and `task` is not done. A task must not throw.
  [[nodiscard]] bool Submit(std::function<void()> task);
  std::size_t waiting() const;

 private:
  void Work();

  const std::size_t most_waiting_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool ending_ = false;
  std::vector<std::thread> threads_;  // the last: they use the rest
};

}  // namespace weir::management::rest
