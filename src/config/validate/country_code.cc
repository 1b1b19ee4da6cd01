#include "config/validate/country_code.h"

namespace weir::config {

std::uint16_t CountryCode(std::string_view country) {
  const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; };
  if (country.size() != 2) return 0;
  const char first = upper(country[0]);
  const char second = upper(country[1]);
  if (first < 'A' || first > 'Z' || second < 'A' || second > 'Z') return 0;
  return static_cast<std::uint16_t>(first * 256 + second);
}

}  // namespace weir::config
