// SHA-256 of a text.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace weir {

using Sha256Digest = std::array<std::uint8_t, 32>;

// Allocates nothing. Thread-safe.
Sha256Digest Sha256(std::string_view text);

}  // namespace weir
