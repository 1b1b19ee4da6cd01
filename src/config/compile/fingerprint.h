// A 64-bit hash over a sequence of numbers and texts: equal on every machine, and different for different sequences.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace weir::config {

class Fingerprint {
 public:
  Fingerprint& Add(std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) bytes_ += static_cast<char>(number >> shift & 0xff);
    return *this;
  }
  Fingerprint& Add(std::string_view text) {
    Add(text.size());
    bytes_ += text;
    return *this;
  }
  std::uint64_t Hash() const { return Hash64(bytes_); }

 private:
  std::string bytes_;
};

}  // namespace weir::config
