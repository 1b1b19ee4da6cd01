// How many requests came when, in a bounded number of slices of whole minutes.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/clock.h"

namespace weir::cli {

// Not thread-safe.
class Timeline {
 public:
  struct Slice {
    Nanos start = 0;  // since the Unix epoch
    std::uint64_t allowed = 0, denied = 0;
  };
  struct Peak {
    std::uint64_t requests = 0;
    Nanos start = 0;  // of the second or minute
  };

  // Slices begin at full minutes, hours and days of this zone (east of UTC).
  void SetZone(Nanos zone) { zone_ = zone; }
  // `time` never decreases.
  void Add(Nanos time, bool allowed);

  // At most `most` slices of one length, which is 1, 2, 5, 10, 15 or 30 minutes, 1, 2, 3, 6 or 12 hours, or days; from
  // the first request to the last, empty ones too.
  std::vector<Slice> Slices(std::size_t most) const;
  Nanos SliceLength(std::size_t most) const;
  Peak peak_second() const { return per_second_.highest; }
  Peak peak_minute() const { return per_minute_.highest; }

 private:
  struct Rate {
    explicit Rate(Nanos unit) : length(unit) {}
    void Add(Nanos time);
    Nanos length;
    Peak current, highest;
  };
  Nanos StartOf(Nanos time, Nanos length) const;
  void Fold();

  Nanos zone_ = 0;
  std::size_t step_ = 0;           // the length of slices_, as a step of the ladder
  std::map<Nanos, Slice> slices_;  // by start
  Rate per_second_{kSecond}, per_minute_{kMinute};
};

}  // namespace weir::cli
