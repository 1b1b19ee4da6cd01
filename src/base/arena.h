// Room for the texts of one batch: subjects that are not simply part of a request. Reused from batch to batch, so that
// the usual case allocates nothing. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

namespace weir {

class Arena {
 public:
  // `size` bytes, uninitialised, valid until Clear().
  char* Take(std::size_t size) {
    if (size > first_.size() - used_) return TakeMore(size);
    char* at = first_.data() + used_;
    used_ += size;
    return at;
  }
  std::string_view Join(std::initializer_list<std::string_view> parts) {
    std::size_t size = 0;
    for (const std::string_view part : parts) size += part.size();
    char* const start = Take(size);
    char* at = start;
    for (const std::string_view part : parts) {
      if (!part.empty()) std::memcpy(at, part.data(), part.size());
      at += part.size();
    }
    return {start, size};
  }
  std::string_view Copy(std::string_view text) { return Join({text}); }
  void Clear() {
    used_ = 0;
    more_used_ = 0;
    more_.clear();
  }

 private:
  static constexpr std::size_t kBlock = 16 * 1024;
  struct Block {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
  };
  char* TakeMore(std::size_t size) {
    if (more_.empty() || more_.back().size - more_used_ < size) {
      const std::size_t block = size > kBlock ? size : kBlock;
      more_.push_back({std::make_unique<char[]>(block), block});
      more_used_ = 0;
    }
    char* at = more_.back().bytes.get() + more_used_;
    more_used_ += size;
    return at;
  }

  std::array<char, 8 * 1024> first_;
  std::size_t used_ = 0;
  std::vector<Block> more_;
  std::size_t more_used_ = 0;  // of the last block
};

}  // namespace weir
