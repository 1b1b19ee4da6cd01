// A number as decimal digits at the end of a text, without a temporary string.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <string>

namespace weir {

inline void AppendNumber(std::uint64_t number, std::string* out) {
  std::array<char, 20> digits;
  const auto [end, fault] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out->append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

}  // namespace weir
