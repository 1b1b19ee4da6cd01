#include "engine/thread_slot.h"

#include <bitset>
#include <mutex>

namespace weir::engine {
namespace {

constexpr std::size_t kUnknown = SIZE_MAX;

class Registry {
 public:
  std::size_t Take() {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < kOwnedSlots; ++i) {
      if (!taken_[i]) {
        taken_.set(i);
        return i;
      }
    }
    return kSharedSlot;
  }
  void Return(std::size_t slot) {
    if (slot >= kOwnedSlots) return;
    const std::lock_guard lock(mutex_);
    taken_.reset(slot);
  }

 private:
  std::mutex mutex_;
  std::bitset<kOwnedSlots> taken_;
};

// Never destroyed: threads may end after the statics of this file.
Registry& TheRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

// Plain data, so that reading it needs no initialisation guard and stays legal while the thread ends.
constinit thread_local std::size_t my_slot = kUnknown;

struct AtThreadEnd {
  ~AtThreadEnd() {
    const std::size_t slot = my_slot;
    my_slot = kSharedSlot;
    TheRegistry().Return(slot);
  }
};

[[gnu::noinline]] std::size_t Register() noexcept {
  my_slot = TheRegistry().Take();
  static thread_local AtThreadEnd at_end;
  (void)at_end;
  return my_slot;
}

}  // namespace

std::size_t ThreadSlot() noexcept { return my_slot == kUnknown ? Register() : my_slot; }

}  // namespace weir::engine
