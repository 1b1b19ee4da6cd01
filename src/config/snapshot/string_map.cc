#include "config/snapshot/string_map.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/hash.h"

namespace weir::config {
namespace {

constexpr std::size_t kLeastSlots = 8;

std::uint32_t TagOf(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

std::size_t SlotsFor(std::size_t entries) { return std::bit_ceil(std::max(kLeastSlots, entries + entries / 3 + 1)); }

}  // namespace

StringMap::StringMap(std::size_t expected) : slots_(SlotsFor(expected)) {}

std::string_view StringMap::TextAt(std::uint32_t at) const {
  return {reinterpret_cast<const char*>(texts_.data() + at + 2), texts_[at + 1]};
}

const std::uint32_t* StringMap::FindHashed(std::string_view text) const noexcept {
  const std::uint64_t hash = Hash64(text);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask; slots_[i].at != kFree; i = (i + 1) & mask) {
    if (slots_[i].tag == TagOf(hash) && TextAt(slots_[i].at) == text) return &texts_[slots_[i].at];
  }
  return nullptr;
}

bool StringMap::Insert(std::string_view text, std::uint32_t value) {
  const std::size_t words = 2 + (text.size() + 3) / 4;
  if (words > kFree - texts_.size() || Find(text)) return false;
  if ((size_ + 1) * 4 > slots_.size() * 3) Grow();
  const auto at = static_cast<std::uint32_t>(texts_.size());
  texts_.resize(texts_.size() + words);
  texts_[at] = value;
  texts_[at + 1] = static_cast<std::uint32_t>(text.size());
  if (!text.empty()) std::memcpy(texts_.data() + at + 2, text.data(), text.size());
  Place(Hash64(text), at);
  lengths_ |= LengthBit(text);
  ++size_;
  return true;
}

void StringMap::Place(std::uint64_t hash, std::uint32_t at) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = hash & mask;
  while (slots_[i].at != kFree) i = (i + 1) & mask;
  slots_[i] = {.tag = TagOf(hash), .at = at};
}

void StringMap::Grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
  for (const Slot& slot : old) {
    if (slot.at != kFree) Place(Hash64(TextAt(slot.at)), slot.at);
  }
}

std::size_t StringMap::MemoryBytes() const {
  return slots_.capacity() * sizeof(Slot) + texts_.capacity() * sizeof(std::uint32_t);
}

}  // namespace weir::config
