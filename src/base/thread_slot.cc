#include "base/thread_slot.h"

#include <bitset>
#include <mutex>

namespace weir {
namespace {

using internal::my_slot;

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

struct AtThreadEnd {
  ~AtThreadEnd() {
    const std::size_t slot = my_slot;
    my_slot = kSharedSlot;
    TheRegistry().Return(slot);
  }
};

}  // namespace

std::size_t internal::RegisterThread() noexcept {
  my_slot = TheRegistry().Take();
  static thread_local AtThreadEnd at_end;
  (void)at_end;
  return my_slot;
}

}  // namespace weir
