// Coarse deadlines for many connections: a wheel of intrusive lists. To schedule costs a few instructions; a connection
// that is busy is not touched at all, its deadline is only looked at again when it comes up. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace weir::net {

class IdleWheel {
 public:
  struct Node {
    Node* before = nullptr;  // nullptr: not scheduled
    Node* after = nullptr;
    std::int64_t deadline_ms = 0;
  };

  // Deadlines are met within one tick; `now_ms` is any clock that does not go backwards.
  IdleWheel(std::int64_t tick_ms, std::int64_t now_ms) : tick_ms_(tick_ms), tick_(now_ms / tick_ms) {
    for (Node& slot : slots_) slot.before = slot.after = &slot;
  }
  IdleWheel(const IdleWheel&) = delete;
  IdleWheel& operator=(const IdleWheel&) = delete;

  void Schedule(Node& node, std::int64_t deadline_ms) {
    Cancel(node);
    node.deadline_ms = deadline_ms;
    // Rounded up, so that a node comes up after its deadline; one that is further off than the wheel is long is looked
    // at once a turn.
    std::int64_t due = (deadline_ms + tick_ms_ - 1) / tick_ms_;
    if (due <= tick_) due = tick_ + 1;
    if (due >= tick_ + kSlots) due = tick_ + kSlots - 1;
    Node& slot = slots_[static_cast<std::size_t>(due % kSlots)];
    node.before = slot.before;
    node.after = &slot;
    slot.before->after = &node;
    slot.before = &node;
  }

  static void Cancel(Node& node) {
    if (node.before == nullptr) return;
    node.before->after = node.after;
    node.after->before = node.before;
    node.before = node.after = nullptr;
  }

  // Calls `expired(node)` for each node whose deadline has passed, after taking it off the wheel; it may schedule and
  // cancel any node, or destroy its own.
  template <typename Expired>
  void Advance(std::int64_t now_ms, Expired&& expired) {
    const std::int64_t target = now_ms / tick_ms_;
    // After a long sleep one whole turn sees every node.
    if (target - tick_ > kSlots) tick_ = target - kSlots;
    while (tick_ < target) {
      ++tick_;
      Node due;
      due.before = due.after = &due;
      Splice(slots_[static_cast<std::size_t>(tick_ % kSlots)], due);
      while (due.after != &due) {
        Node& node = *due.after;
        Cancel(node);
        if (node.deadline_ms <= now_ms) {
          expired(node);
        } else {
          Schedule(node, node.deadline_ms);
        }
      }
    }
  }

  std::int64_t tick_ms() const { return tick_ms_; }

 private:
  static constexpr std::int64_t kSlots = 64;

  static void Splice(Node& from, Node& to) {
    if (from.after == &from) return;
    to.after = from.after;
    to.before = from.before;
    to.after->before = to.before->after = &to;
    from.before = from.after = &from;
  }

  const std::int64_t tick_ms_;
  std::int64_t tick_;
  std::array<Node, static_cast<std::size_t>(kSlots)> slots_;
};

}  // namespace weir::net
