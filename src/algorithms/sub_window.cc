#include "algorithms/sub_window.h"

namespace weir::algorithms::sub_window {

std::optional<Frame> FrameOf(const Limit& limit, const Words& state, Nanos now) {
  if (state.size() < 3 || state.size() % 2 == 0) return std::nullopt;
  const sliding_window::Position at = sliding_window::Locate(limit, now);
  Frame frame{.index = at.current,
              .newest = state[state.size() - 2],
              .sub_windows = limit.window / limit.precision,
              .precision = limit.precision};
  if (frame.newest > at.current || frame.newest < at.oldest) return std::nullopt;
  std::int64_t total = 0;  // of all entries
  for (std::size_t place = 1; place < state.size(); place += 2) {
    const Word index = state[place], count = state[place + 1];
    if (place > 1 && index <= state[place - 2]) return std::nullopt;
    if (count < 1 || count > kMostCount) return std::nullopt;
    total += count;
    if (total > kMostCount) return std::nullopt;
    if (index == at.oldest) frame.oldest = count;
    if (index > at.oldest) frame.rest += count;
  }
  // The store adds to the total, too: of a damaged state that could overflow.
  if (state[0] != total) return std::nullopt;
  return frame;
}

std::optional<Nanos> FitsAt(const Limit& limit, const Frame& frame, std::int64_t count, std::uint64_t cost) {
  const std::int64_t room = static_cast<std::int64_t>(limit.capacity - cost) - frame.rest - count;
  if (frame.oldest == 0 || room < 0) return std::nullopt;
  const std::int64_t weight = std::min(room * sliding_window::kWeightOne / frame.oldest, sliding_window::kWeightOne);
  return sliding_window::TimeOfWeight(limit, frame.index - frame.sub_windows, weight);
}

}  // namespace weir::algorithms::sub_window
