// A map from text to a number that is built once and then only read: what the hot path looks names up in.
//
// Open addressing with linear probing over 8-byte slots; the texts lie in one block, each behind its value. A look-up
// that finds touches two cache lines, one that does not usually touches one. Memory: the text, 8 bytes, and 11 to 22
// bytes of slots an entry. Names come from the configuration only, so nobody outside can grow a chain of collisions.
//
// Thread-safe once built.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace weir::config {

class StringMap {
 public:
  // `expected` entries fit without growing.
  explicit StringMap(std::size_t expected = 0);

  // False, and nothing changes, when the text is there already, or when all texts together would pass 16 GiB.
  bool Insert(std::string_view text, std::uint32_t value);
  // The text's value, until the next Insert; nullptr when it is not there.
  const std::uint32_t* Find(std::string_view text) const noexcept {
    return (lengths_ & LengthBit(text)) == 0 ? nullptr : FindHashed(text);
  }
  bool Contains(std::string_view text) const noexcept { return Find(text) != nullptr; }
  std::size_t size() const { return size_; }
  std::size_t MemoryBytes() const;

 private:
  // `at` is the place of the entry's words in texts_; kFree marks a free slot.
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t at = kFree;
  };
  static constexpr std::uint32_t kFree = UINT32_MAX;

  static std::uint64_t LengthBit(std::string_view text) {
    return std::uint64_t{1} << (text.size() < 63 ? text.size() : 63);
  }
  const std::uint32_t* FindHashed(std::string_view text) const noexcept;
  std::string_view TextAt(std::uint32_t at) const;
  void Place(std::uint64_t hash, std::uint32_t at);
  void Grow();

  std::size_t size_ = 0;
  std::uint64_t lengths_ = 0;         // bit min(length, 63) of every text: most misses need no hash
  std::vector<Slot> slots_;           // a power of two, at most 3/4 full
  std::vector<std::uint32_t> texts_;  // per entry: value, length, the text padded to whole words
};

}  // namespace weir::config
