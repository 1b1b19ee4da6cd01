#pragma once

#include <cstdint>
#include <string_view>

namespace weir::config {

// The two letters of a country (ISO 3166-1 alpha-2) in one number, whatever their case; 0 when they are not two
// letters.
std::uint16_t CountryCode(std::string_view country);

}  // namespace weir::config
