#include "cli/timeline.h"

#include <algorithm>
#include <array>
#include <utility>

namespace weir::cli {
namespace {

constexpr std::size_t kMostKept = 4096;

constexpr std::array<Nanos, 11> kLadder = {kMinute, 2 * kMinute, 5 * kMinute, 10 * kMinute, 15 * kMinute, 30 * kMinute,
                                           kHour,   2 * kHour,   3 * kHour,   6 * kHour,    12 * kHour};

// Behind the ladder: 1, 2, 4, ... days.
Nanos LengthOf(std::size_t step) {
  return step < kLadder.size() ? kLadder[step] : kDay << std::min<std::size_t>(step - kLadder.size(), 16);
}

}  // namespace

Nanos Timeline::StartOf(Nanos time, Nanos length) const {
  const Nanos local = time + zone_;
  return local - ((local % length) + length) % length - zone_;
}

void Timeline::Rate::Add(Nanos time) {
  const Nanos start = time - time % length;
  if (start != current.start) current = {.requests = 0, .start = start};
  if (++current.requests > highest.requests) highest = current;
}

void Timeline::Add(Nanos time, bool allowed) {
  Slice& slice = slices_[StartOf(time, LengthOf(step_))];
  ++(allowed ? slice.allowed : slice.denied);
  per_second_.Add(time);
  per_minute_.Add(time);
  while (slices_.size() > kMostKept) Fold();
}

void Timeline::Fold() {
  ++step_;
  std::map<Nanos, Slice> folded;
  for (const auto& [start, counted] : slices_) {
    Slice& slice = folded[StartOf(start, LengthOf(step_))];
    slice.allowed += counted.allowed;
    slice.denied += counted.denied;
  }
  slices_ = std::move(folded);
}

Nanos Timeline::SliceLength(std::size_t most) const {
  if (slices_.empty()) return kMinute;
  std::size_t step = step_;
  const auto count = [&](Nanos length) {
    return (StartOf(slices_.rbegin()->first, length) - StartOf(slices_.begin()->first, length)) / length + 1;
  };
  while (count(LengthOf(step)) > static_cast<Nanos>(std::max<std::size_t>(most, 1))) ++step;
  return LengthOf(step);
}

std::vector<Timeline::Slice> Timeline::Slices(std::size_t most) const {
  if (slices_.empty()) return {};
  const Nanos length = SliceLength(most);
  const Nanos first = StartOf(slices_.begin()->first, length);
  const Nanos last = StartOf(slices_.rbegin()->first, length);
  std::vector<Slice> out(static_cast<std::size_t>((last - first) / length) + 1);
  for (std::size_t i = 0; i < out.size(); ++i) out[i].start = first + static_cast<Nanos>(i) * length;
  for (const auto& [start, counted] : slices_) {
    Slice& slice = out[static_cast<std::size_t>((StartOf(start, length) - first) / length)];
    slice.allowed += counted.allowed;
    slice.denied += counted.denied;
  }
  return out;
}

}  // namespace weir::cli
