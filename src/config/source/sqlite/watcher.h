// Tells listeners that a database has changed, whichever process changed it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "config/source/config_store.h"
#include "config/source/sqlite/database.h"
#include "weir/result.h"

namespace weir::config::sqlite {

// Thread-safe. Its thread looks every `poll_ms`, and at once after Wake().
class Watcher {
 public:
  static Result<std::unique_ptr<Watcher>> Start(std::unique_ptr<Database> database, std::uint32_t poll_ms);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  void Wake();
  // The subscription may outlive the watcher.
  std::unique_ptr<Subscription> Subscribe(ConfigStore::Listener listener);

 private:
  struct Listeners;
  Watcher(std::unique_ptr<Database> database, std::uint32_t poll_ms, std::int64_t version);
  void Work();
  void Look();

  const std::unique_ptr<Database> database_;
  const std::uint32_t poll_ms_;
  std::int64_t version_;  // as it was last seen
  bool failing_ = false;
  const std::shared_ptr<Listeners> listeners_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable woken_;
  bool look_ = false;
  bool ending_ = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace weir::config::sqlite
