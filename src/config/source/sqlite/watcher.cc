#include "config/source/sqlite/watcher.h"

#include <chrono>
#include <map>
#include <utility>

#include "base/log.h"
#include "config/source/sqlite/rows.h"

namespace weir::config::sqlite {
namespace {

// Counts up whenever another connection, of this process or another one, has committed.
constexpr const char* kDataVersion = "PRAGMA data_version";

}  // namespace

struct Watcher::Listeners {
  std::mutex mutex;  // held while they are called: whoever unsubscribes waits until nobody is
  std::map<std::uint64_t, ConfigStore::Listener> by_number;
  std::uint64_t next = 0;
};

namespace {

class Entry final : public Subscription {
 public:
  explicit Entry(std::function<void()> end) : end_(std::move(end)) {}
  ~Entry() override { end_(); }

 private:
  std::function<void()> end_;
};

}  // namespace

Result<std::unique_ptr<Watcher>> Watcher::Start(std::unique_ptr<Database> database, std::uint32_t poll_ms) {
  const auto version = database->Number(kDataVersion);
  if (!version) return std::unexpected(version.error());
  return std::unique_ptr<Watcher>(new Watcher(std::move(database), poll_ms, version->value_or(0)));
}

Watcher::Watcher(std::unique_ptr<Database> database, std::uint32_t poll_ms, std::int64_t version)
    : database_(std::move(database)),
      poll_ms_(poll_ms),
      version_(version),
      listeners_(std::make_shared<Listeners>()),
      thread_([this] { Work(); }) {}

Watcher::~Watcher() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  woken_.notify_one();
  thread_.join();
}

void Watcher::Wake() {
  {
    const std::lock_guard lock(mutex_);
    look_ = true;
  }
  woken_.notify_one();
}

std::unique_ptr<Subscription> Watcher::Subscribe(ConfigStore::Listener listener) {
  const std::lock_guard lock(listeners_->mutex);
  const std::uint64_t number = listeners_->next++;
  listeners_->by_number.emplace(number, std::move(listener));
  return std::make_unique<Entry>([listeners = listeners_, number] {
    const std::lock_guard inner(listeners->mutex);
    listeners->by_number.erase(number);
  });
}

void Watcher::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    woken_.wait_for(lock, std::chrono::milliseconds(poll_ms_), [&] { return ending_ || look_; });
    if (ending_) return;
    look_ = false;
    lock.unlock();
    Look();
    lock.lock();
  }
}

void Watcher::Look() {
  const auto version = database_->Number(kDataVersion);
  if (version && version->value_or(0) == version_) return;
  const auto head = version ? ReadHead(*database_) : std::unexpected(version.error());
  if (!head) {
    if (!std::exchange(failing_, true)) {
      log::Warn("the configuration store cannot be watched; trying on", {{"error", head.error().message}});
    }
    return;
  }
  failing_ = false;
  version_ = version->value_or(0);
  const std::lock_guard lock(listeners_->mutex);
  for (const auto& [number, listener] : listeners_->by_number) listener(head->number);
}

}  // namespace weir::config::sqlite
