// Says in the log which domains are asked for and are not in the document: each once, at most one a second, at most
// kMost in all. Their names come from outside, so nothing here grows.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace weir::engine {

// Thread-safe; no lock. A name that is told already costs a hash and a few reads.
class UnknownDomains {
 public:
  static constexpr std::size_t kMost = 1024;

  // True: it was told now.
  bool Tell(std::string_view domain, Nanos now) noexcept;

 private:
  std::array<std::atomic<std::uint64_t>, kMost> told_{};  // hashes of names; 0 = free
  std::atomic<Nanos> last_{INT64_MIN};
};

}  // namespace weir::engine
