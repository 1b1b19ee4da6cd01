// Names of rules, policies and entities: immutable texts that are shared, and freed when nobody uses them any more.
//
// Decisions carry views of names (RuleOutcome::rule and policy) and outlive the configuration that made them. So a name
// that may have been shown stays readable for kLinger after its last holder is gone: what remembers a view for longer
// copies it. Everything else of a name is freed at once.
#pragma once

#include <fmt/core.h>

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string_view>

#include "base/clock.h"

namespace weir {

// 8 bytes; equal to, and convertible to, its text. Thread-safe as std::shared_ptr is.
class Name {
 public:
  static constexpr Nanos kLinger = 60 * kSecond;

  Name() noexcept = default;
  // Of the whole text; `head` is how long the part is that Head() stands for. At most 2^32 - 1 bytes; more are cut off.
  static Name Of(std::string_view text, std::size_t head = 0);
  // The first part of the same text, which costs nothing more.
  Name Head() const noexcept;
  // May be told to others than holders of it.
  const Name& Shown() const noexcept;

  Name(const Name& other) noexcept;
  Name(Name&& other) noexcept : bits_(other.bits_) { other.bits_ = 0; }
  Name& operator=(Name other) noexcept {
    const std::uintptr_t mine = bits_;
    bits_ = other.bits_;
    other.bits_ = mine;
    return *this;
  }
  ~Name() {
    if (bits_ != 0) Drop();
  }

  std::string_view view() const noexcept;
  operator std::string_view() const noexcept { return view(); }  // NOLINT(google-explicit-constructor)
  const char* data() const noexcept { return view().data(); }
  std::size_t size() const noexcept { return view().size(); }
  bool empty() const noexcept { return view().empty(); }
  friend bool operator==(const Name& a, const Name& b) noexcept { return a.bits_ == b.bits_ || a.view() == b.view(); }
  friend bool operator==(const Name& a, std::string_view b) noexcept { return a.view() == b; }
  friend std::ostream& operator<<(std::ostream& to, const Name& name) { return to << name.view(); }

  // How many bytes the shown names take that nobody holds any more.
  static std::size_t LingeringBytes();
  // Frees those of them that were let go of before `now` - kLinger; happens by itself whenever one is let go of. `now`
  // of a clock that only goes forward.
  static void FreeLingering(Nanos now);
  // For tests: what is asked for the time instead of the steady clock; nullptr: that again.
  static void SetClock(Nanos (*now)());

 private:
  struct Text;
  explicit Name(std::uintptr_t bits) noexcept : bits_(bits) {}
  // The lowest bit is a mark.
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  Text* text() const noexcept { return reinterpret_cast<Text*>(bits_ & ~std::uintptr_t{1}); }
  void Drop() noexcept;

  std::uintptr_t bits_ = 0;  // a Text*; its lowest bit: only the head is meant
};

}  // namespace weir

template <>
struct fmt::formatter<weir::Name> : fmt::formatter<std::string_view> {
  fmt::format_context::iterator format(const weir::Name& name, fmt::format_context& context) const;
};
