// Reads along with nghttp2: the header of every frame (RFC 9113, 4.1), also of those that nghttp2 passes over without a
// word. Pure; bytes may come in any pieces.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::rls {

class FrameScanner {
 public:
  struct Frame {
    std::uint32_t length = 0;   // of the payload
    std::uint32_t content = 0;  // of that, what is not padding
    std::uint8_t type = 0;
    std::uint8_t flags = 0;
    std::int32_t stream = 0;
    std::int32_t dependency = -1;  // of a PRIORITY frame
    std::size_t start = 0;         // in the input; 0 when it began before
  };

  // Input as it comes, without the client's preface. Call Next() until it has no more.
  void Feed(std::string_view input) {
    input_ = input;
    position_ = 0;
    start_ = 0;
  }
  // Whether what was fed, once Next() has no more, ends where a frame ends.
  bool whole() const { return held_ == 0 && skip_ == 0; }
  std::optional<Frame> Next() {
    for (;;) {
      const std::size_t skipped = input_.size() - position_ < skip_ ? input_.size() - position_ : skip_;
      position_ += skipped;
      skip_ -= skipped;
      if (position_ == input_.size()) return std::nullopt;
      if (held_ == 0) start_ = position_;
      while (held_ < needed_ && position_ < input_.size()) {
        head_[held_++] = static_cast<std::uint8_t>(input_[position_++]);
      }
      if (held_ < needed_) return std::nullopt;
      Frame frame;
      frame.length = std::uint32_t{head_[0]} << 16U | std::uint32_t{head_[1]} << 8U | head_[2];
      frame.type = head_[3];
      constexpr std::uint8_t kPriority = 2;
      constexpr std::size_t kDependencyEnd = kHeaderBytes + 4;
      if (frame.type == kPriority && frame.length >= 4 && held_ < kDependencyEnd) {
        needed_ = kDependencyEnd;
        continue;
      }
      frame.flags = head_[4];
      // Of DATA: of no other frame does it matter how much is in it.
      const bool padded = frame.type == 0 && (frame.flags & kPadded) != 0 && frame.length > 0;
      if (padded && held_ < kPaddingEnd) {
        needed_ = kPaddingEnd;
        continue;
      }
      const std::uint32_t padding = padded ? 1U + head_[kHeaderBytes] : 0U;
      frame.content = frame.length > padding ? frame.length - padding : 0;
      frame.stream = Number(5);
      if (needed_ == kDependencyEnd) frame.dependency = Number(kHeaderBytes);
      frame.start = start_;
      skip_ = frame.length - (held_ - kHeaderBytes);
      held_ = 0;
      needed_ = kHeaderBytes;
      return frame;
    }
  }

 private:
  static constexpr std::size_t kHeaderBytes = 9;
  static constexpr std::size_t kPaddingEnd = kHeaderBytes + 1;
  static constexpr std::uint8_t kPadded = 8;

  // 31 bits, big-endian.
  std::int32_t Number(std::size_t at) const {
    return static_cast<std::int32_t>((std::uint32_t{head_[at]} << 24U | std::uint32_t{head_[at + 1]} << 16U |
                                      std::uint32_t{head_[at + 2]} << 8U | head_[at + 3]) &
                                     0x7FFFFFFFU);
  }

  std::string_view input_;
  std::size_t position_ = 0;
  std::size_t start_ = 0;
  std::size_t skip_ = 0;  // of a payload that nobody looks at
  std::array<std::uint8_t, kHeaderBytes + 4> head_{};
  std::size_t held_ = 0;
  std::size_t needed_ = kHeaderBytes;
};

}  // namespace weir::rls
