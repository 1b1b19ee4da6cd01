// Says in the log which domains are asked for and are not in the document: each once, at most kMostAtOnce a second, at
// most kMost in all. Their names come from outside, so nothing here grows.
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
  static constexpr std::uint32_t kMostAtOnce = 16;

  // True: it was told now. False: it was told before, or it is one too many: it is told when it is asked for again
  // later, and the next line counts it until then. Once kMost are told a last line says that no more will be.
  bool ShouldLog(std::string_view domain, Nanos now) noexcept;

 private:
  // A place in this second, if there is one left.
  bool TakeTurn(Nanos now) noexcept;

  std::array<std::atomic<std::uint64_t>, kMost> told_{};  // hashes of names; 0 = free
  std::atomic<std::uint64_t> turns_{0};                   // the second, and how many were told in it (lower 8 bits)
  std::atomic<std::uint64_t> untold_{0};                  // since the last line
  std::atomic<bool> full_told_{false};
};

}  // namespace weir::engine
