// Which subjects take part in what a share of them is to try: a percentage roll-out, an experiment.
//
// The position of a subject is a hash of its text under a salt, uniform in [0, 1): the same on every machine and for
// ever, and under another salt independent of it. So a subject that takes part at 10 % still does at 20 %, and two
// experiments with salts of their own do not pick the same subjects. Not a secret: who knows the salt can compute it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/hash.h"

namespace weir {

// In [0, 1), in steps of 2^-53.
inline double AssignmentOf(std::string_view subject, std::string_view salt) noexcept {
  return static_cast<double>(Hash64(subject, Hash64(salt)) >> 11) * 0x1p-53;
}

// The subjects whose position under a salt lies in [from, to).
class SubjectShare {
 public:
  SubjectShare() = default;  // nobody
  // Bounds are brought into [0, 1]; what is no number is 0.
  SubjectShare(std::string_view salt, double from, double to) noexcept
      : key_(Hash64(salt)), from_(Bounded(from)), to_(Bounded(to)) {}

  bool Includes(std::string_view subject) const noexcept {
    const std::uint64_t position = Hash64(subject, key_) >> 11;
    return from_ <= position && position < to_;
  }

 private:
  static std::uint64_t Bounded(double bound) noexcept {
    return bound > 0 ? static_cast<std::uint64_t>(std::min(bound, 1.0) * 0x1p53) : 0;
  }
  std::uint64_t key_ = 0;
  std::uint64_t from_ = 0;
  std::uint64_t to_ = 0;
};

}  // namespace weir
