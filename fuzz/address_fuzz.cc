// Any text as an address and as a network: what is read can be written and read again as the same.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/address.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto address = weir::ParseAddress(text)) {
    std::array<char, 46> buffer;
    Require(weir::ParseAddress(weir::FormatAddress(*address, buffer)) == address);
    Require(weir::Truncate(*address, 32, 128) == *address);
    for (unsigned bits = 0; bits <= 128; ++bits) {
      const weir::Address cut = weir::Truncate(*address, bits, bits);
      Require(weir::Truncate(cut, bits, bits) == cut);
    }
  }
  if (const auto network = weir::ParseNetwork(text)) {
    Require(network->bits <= 128);
    Require(network->Contains(network->address) || (network->bits < 96 && network->address.is_v4()));
  }
  return 0;
}
