// A map from names to entities of which copies share all but what was changed: to copy it costs a reference, to change
// one entity the nodes on the way to it, whatever their number.
//
// How: a trie over the bits of the name's hash, 16 ways a level, with up to kMostInLeaf entities in each leaf. A node
// that only this map has is changed in place, so that a map that nobody shares is built without copies. A look-up among
// a million reads four short nodes, which stay in the cache, then a leaf and the entity. Names come from the
// configuration only, so nobody outside can grow a chain of collisions.
//
// Thread-safe while nobody changes this very map; changing a copy disturbs no reader of the original.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/counted.h"
#include "base/hash.h"

namespace weir::config {

// Entry: Counted, with `name`, a text that stays what it is.
template <typename Entry>
class EntityMap {
 public:
  // nullptr: it is not there. No lock, no allocation.
  const Entry* Find(std::string_view name) const noexcept {
    if ((lengths_ & LengthBit(name)) == 0) return nullptr;
    return FindHashed(name, Hash64(name));
  }

  // Puts it in the place of the one of its name, which is returned, if there is one.
  CountedRef<const Entry> Set(CountedRef<const Entry> entry) {
    lengths_ |= LengthBit(entry->name);
    const std::uint64_t hash = Hash64(entry->name);
    CountedRef<const Entry> before = SetAt(root_, hash, 0, std::move(entry));
    if (before == nullptr) ++size_;
    return before;
  }

  // Returns what was there.
  CountedRef<const Entry> Erase(std::string_view name) {
    if (Find(name) == nullptr) return nullptr;
    --size_;
    return EraseAt(root_, name, Hash64(name), 0);
  }

  std::size_t size() const { return size_; }

  // Each once, in no order. `visit` must not change the map.
  template <typename Visit>
  void ForEach(Visit&& visit) const {
    Walk(root_.get(), visit);
  }

  // Of nodes, without the entities.
  std::size_t MemoryBytes() const { return sizeof(*this) + BytesOf(root_.get()); }

 private:
  static constexpr unsigned kBits = 4;
  static constexpr std::size_t kWays = std::size_t{1} << kBits;
  static constexpr std::size_t kMostInLeaf = 32;

  struct Node : Counted {
    explicit Node(bool leaf) : is_leaf(leaf) {}
    virtual ~Node() = default;
    const bool is_leaf;
  };
  struct Branch final : Node {
    Branch() : Node(false) {}
    std::array<CountedRef<Node>, kWays> next;
  };
  struct Slot {
    std::uint64_t hash;
    CountedRef<const Entry> entry;
  };
  struct Leaf final : Node {
    Leaf() : Node(true) {}
    std::vector<Slot> slots;
  };

  static std::uint64_t LengthBit(std::string_view text) {
    return std::uint64_t{1} << (text.size() < 63 ? text.size() : 63);
  }
  static std::size_t WayOf(std::uint64_t hash, unsigned shift) { return hash >> shift & (kWays - 1); }

  const Entry* FindHashed(std::string_view name, std::uint64_t hash) const noexcept {
    const Node* node = root_.get();
    for (unsigned shift = 0; node != nullptr; shift += kBits) {
      if (!node->is_leaf) {
        node = static_cast<const Branch*>(node)->next[WayOf(hash, shift)].get();
        continue;
      }
      for (const Slot& slot : static_cast<const Leaf*>(node)->slots) {
        if (slot.hash == hash && slot.entry->name == name) return slot.entry.get();
      }
      return nullptr;
    }
    return nullptr;
  }

  // The node, which nobody else has.
  template <typename T>
  static T& Own(CountedRef<Node>& node) {
    if (!node->unique()) node = MakeCounted<T>(static_cast<const T&>(*node));
    return static_cast<T&>(*node);
  }

  static CountedRef<const Entry> SetAt(CountedRef<Node>& node, std::uint64_t hash, unsigned shift,
                                       CountedRef<const Entry> entry) {
    if (node == nullptr) node = MakeCounted<Leaf>();
    if (!node->is_leaf) return SetAt(Own<Branch>(node).next[WayOf(hash, shift)], hash, shift + kBits, std::move(entry));
    Leaf& leaf = Own<Leaf>(node);
    for (Slot& slot : leaf.slots) {
      if (slot.hash == hash && slot.entry->name == entry->name) return std::exchange(slot.entry, std::move(entry));
    }
    if (leaf.slots.size() >= kMostInLeaf && shift < 64) {
      const CountedRef<Branch> branch = MakeCounted<Branch>();
      for (Slot& slot : leaf.slots) {
        (void)SetAt(branch->next[WayOf(slot.hash, shift)], slot.hash, shift + kBits, std::move(slot.entry));
      }
      node = branch;
      return SetAt(branch->next[WayOf(hash, shift)], hash, shift + kBits, std::move(entry));
    }
    leaf.slots.reserve(leaf.slots.size() + 1);  // no more: there are many leaves
    leaf.slots.push_back({hash, std::move(entry)});
    return nullptr;
  }

  static CountedRef<const Entry> EraseAt(CountedRef<Node>& node, std::string_view name, std::uint64_t hash,
                                         unsigned shift) {
    if (!node->is_leaf) {
      Branch& branch = Own<Branch>(node);
      CountedRef<const Entry> erased = EraseAt(branch.next[WayOf(hash, shift)], name, hash, shift + kBits);
      for (const CountedRef<Node>& next : branch.next) {
        if (next != nullptr) return erased;
      }
      node = nullptr;
      return erased;
    }
    Leaf& leaf = Own<Leaf>(node);
    for (std::size_t i = 0; i < leaf.slots.size(); ++i) {
      if (leaf.slots[i].hash != hash || leaf.slots[i].entry->name != name) continue;
      CountedRef<const Entry> erased = std::move(leaf.slots[i].entry);
      leaf.slots[i] = std::move(leaf.slots.back());
      leaf.slots.pop_back();
      if (leaf.slots.empty()) node = nullptr;
      return erased;
    }
    return nullptr;
  }

  template <typename Visit>
  static void Walk(const Node* node, Visit& visit) {
    if (node == nullptr) return;
    if (node->is_leaf) {
      for (const Slot& slot : static_cast<const Leaf*>(node)->slots) visit(*slot.entry);
      return;
    }
    for (const CountedRef<Node>& next : static_cast<const Branch*>(node)->next) Walk(next.get(), visit);
  }

  static std::size_t BytesOf(const Node* node) {
    if (node == nullptr) return 0;
    if (node->is_leaf) return sizeof(Leaf) + static_cast<const Leaf*>(node)->slots.capacity() * sizeof(Slot);
    std::size_t bytes = sizeof(Branch);
    for (const CountedRef<Node>& next : static_cast<const Branch*>(node)->next) bytes += BytesOf(next.get());
    return bytes;
  }

  CountedRef<Node> root_;
  std::size_t size_ = 0;
  std::uint64_t lengths_ = 0;  // bit min(length, 63) of every name that ever was: most misses need no hash
};

}  // namespace weir::config
