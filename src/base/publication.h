// One immutable value that many threads read and few replace. Reading takes no lock and never waits; replacing waits
// until nobody can still see the previous value, then frees it.
//
// How: a reader raises one of two counters of its slot, reads the pointer, and lowers the counter when it is done. A
// writer swaps the pointer and then waits until each counter of each slot was seen at zero once. A reader that got the
// previous pointer raised its counter before the swap, so the writer sees it. Two counters, of which readers use the
// one that `epoch_` names, keep a steady stream of new readers from holding the writer up: it turns them to the other
// one.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/fence.h"
#include "base/thread_slot.h"

namespace weir {

template <typename T>
class Published {
  struct Node {
    std::shared_ptr<const T> value;
  };
  struct alignas(64) Slot {
    std::array<std::atomic<std::uint32_t>, 2> readers{};
  };

 public:
  explicit Published(std::shared_ptr<const T> first) : current_(new Node{std::move(first)}) {}
  ~Published() { delete current_.load(); }
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

  // Keeps the value alive while it exists. Stays on the thread that made it, and not longer than a batch: Publish()
  // waits for it. Pins may nest.
  class Pin {
   public:
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    ~Pin() { Leave(*readers_, slot_); }
    const T& operator*() const { return *node_->value; }
    const T* operator->() const { return node_->value.get(); }
    // For whoever needs the value longer than the pin.
    std::shared_ptr<const T> Hold() const { return node_->value; }

   private:
    friend class Published;
    explicit Pin(const Published& from) : slot_(ThreadSlot()) {
      const std::uint32_t epoch = from.epoch_.load(std::memory_order_relaxed) & 1U;
      readers_ = &from.slots_[slot_].readers[epoch];
      from.Enter(*readers_, slot_);
      node_ = from.current_.load(std::memory_order_seq_cst);
    }
    std::size_t slot_;
    std::atomic<std::uint32_t>* readers_;
    const Node* node_;
  };
  Pin Read() const { return Pin(*this); }

  // Whether this thread holds a pin: then it must not publish.
  bool HeldHere() const {
    const std::size_t slot = ThreadSlot();
    if (slot == kSharedSlot) return shared_pins_ != 0;
    const Slot& mine = slots_[slot];
    return mine.readers[0].load(std::memory_order_relaxed) + mine.readers[1].load(std::memory_order_relaxed) != 0;
  }

  // Any thread, but not one that holds a pin (it would wait for itself).
  void Publish(std::shared_ptr<const T> next) {
    const std::lock_guard lock(writers_);
    Node* node = new Node{std::move(next)};
    std::unique_ptr<Node> previous(current_.exchange(node, std::memory_order_seq_cst));
    // Without the fence nobody can tell who still reads the previous value: it stays for ever, which is only memory.
    if (asymmetric_ && !HeavyFence()) {
      (void)previous.release();
      return;
    }
    for (int round = 0; round < 2; ++round) {
      const std::uint32_t left = epoch_.fetch_add(1, std::memory_order_seq_cst) & 1U;
      for (const Slot& slot : slots_) AwaitZero(slot.readers[left]);
    }
  }

 private:
  // The raise must be ordered before the read of the pointer, and the writer's swap before its look at the counters:
  // store-then-load on both sides, which only sequential consistency orders, or a pair of fences for which the writer
  // pays. An owned counter has one writer, so a plain store does where a shared one needs a read-modify-write.
  void Enter(std::atomic<std::uint32_t>& readers, std::size_t slot) const {
    if (slot == kSharedSlot) {
      ++shared_pins_;
      readers.fetch_add(1, std::memory_order_seq_cst);
    } else if (asymmetric_) [[likely]] {
      readers.store(readers.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      LightFence();
    } else {
      readers.store(readers.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
    }
  }
  // Release: all reading of the value happens before the writer that sees the lowered counter frees it.
  static void Leave(std::atomic<std::uint32_t>& readers, std::size_t slot) {
    if (slot == kSharedSlot) {
      --shared_pins_;
      readers.fetch_sub(1, std::memory_order_release);
    } else {
      readers.store(readers.load(std::memory_order_relaxed) - 1, std::memory_order_release);
    }
  }
  static void AwaitZero(const std::atomic<std::uint32_t>& readers) {
    for (int tries = 0; readers.load(std::memory_order_seq_cst) != 0; ++tries) {
      if (tries < 64) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
  }

  // Of this thread, when it shares its slot with others: pins of all Published<T>.
  inline static thread_local std::uint32_t shared_pins_ = 0;

  const bool asymmetric_ = HasAsymmetricFences();
  std::atomic<Node*> current_;
  std::atomic<std::uint32_t> epoch_{0};
  mutable std::array<Slot, kSlotCount> slots_;
  std::mutex writers_;
};

}  // namespace weir
