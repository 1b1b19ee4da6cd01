// Comparing names as protocols do: ASCII letters without their case, every other byte as it is, whatever the locale.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace weir {

constexpr char AsciiLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

constexpr bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return AsciiLower(x) == AsciiLower(y); });
}

inline std::string LowerCase(std::string text) {
  for (char& c : text) c = AsciiLower(c);
  return text;
}

}  // namespace weir
