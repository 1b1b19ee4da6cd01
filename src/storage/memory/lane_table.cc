#include "storage/memory/lane_table.h"

#include <sys/mman.h>

#include <algorithm>

namespace weir::storage::memory {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
// As many as ListState::lane can number.
constexpr std::uint64_t kMostLanes = std::uint64_t{1} << 31;
constexpr unsigned kLowBits = 44;
constexpr std::uint64_t kLow = (std::uint64_t{1} << kLowBits) - 1;

constexpr std::uint64_t Packed(std::int64_t low, std::int64_t high) {
  return static_cast<std::uint64_t>(low) | static_cast<std::uint64_t>(high) << kLowBits;
}
constexpr std::int64_t LowOf(std::uint64_t packed) { return static_cast<std::int64_t>(packed & kLow); }
constexpr std::int64_t HighOf(std::uint64_t packed) { return static_cast<std::int64_t>(packed >> kLowBits); }

// The same lane, opened once more, nothing charged yet.
constexpr Word NextOpening(Word word) {
  return static_cast<Word>(((static_cast<std::uint64_t>(word) >> 32) + 1) << 32);
}

}  // namespace

std::unique_ptr<LaneTable> LaneTable::Create(std::uint64_t most, std::uint64_t secret) {
  const std::uint64_t count = std::min(most, kMostLanes);
  const std::size_t size = (count + kProbeLanes) * sizeof(Lane);
  void* const base =
      count == 0 ? MAP_FAILED
                 : mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // They make it faster, no more: it goes without.
  if (base == MAP_FAILED) return std::unique_ptr<LaneTable>(new LaneTable(nullptr, 0, 0, secret));
  if (size >= 2 * kHugePage) madvise(base, size, MADV_HUGEPAGE);
  madvise(base, size, MADV_DONTDUMP);
  return std::unique_ptr<LaneTable>(new LaneTable(static_cast<Lane*>(base), count, size, secret));
}

LaneTable::~LaneTable() {
  if (lanes_ != nullptr) munmap(lanes_, mapped_);
}

bool LaneTable::Read(const Key& key, LaneView& view) const {
  if (most_ == 0) return false;
  const std::uint64_t owner = OwnerOf(key);
  Lane* lane = lanes_ + Home(key);
  for (std::size_t step = 0; step < kProbeLanes; ++step, ++lane) {
    // Acquire, each: the head is read first, and once more when the rest has been.
    const std::uint64_t holder = __atomic_load_n(&lane->head.owner, __ATOMIC_ACQUIRE);
    if (holder == kNever) return false;
    if (holder != owner) continue;
    view.head = {owner, __atomic_load_n(&lane->head.word, __ATOMIC_ACQUIRE)};
    if (lane->key_lo.load(std::memory_order_acquire) != key.lo) continue;
    const std::uint64_t index_and_span = lane->index_and_span.load(std::memory_order_acquire);
    const std::uint64_t precision_and_age = lane->precision_and_age.load(std::memory_order_acquire);
    const std::uint64_t counts = lane->counts.load(std::memory_order_acquire);
    view.denied = lane->denied.load(std::memory_order_acquire);
    view.fits_at = lane->fits_at.load(std::memory_order_acquire);
    Cell again;
    if (!Load(&lane->head, again) || again.owner != owner) return false;
    if ((again.word ^ view.head.word) >> 32 != 0) return false;  // another opening
    view.head = again;
    view.cell = &lane->head;
    view.frame.index = LowOf(index_and_span);
    view.frame.sub_windows = HighOf(index_and_span);
    view.frame.precision = LowOf(precision_and_age);
    view.frame.newest = view.frame.index - HighOf(precision_and_age);
    view.frame.rest = static_cast<std::int64_t>(counts & UINT32_MAX);
    view.frame.oldest = static_cast<std::int64_t>(counts >> 32);
    return true;
  }
  return false;
}

std::uint32_t LaneTable::Open(const Key& key, const algorithms::sub_window::Frame& frame, std::uint64_t denied,
                              Nanos fits_at) {
  if (most_ == 0) return 0;
  Lane* lane = lanes_ + Home(key);
  for (std::size_t step = 0; step < kProbeLanes; ++step, ++lane) {
    Cell seen;
    if (!Load(&lane->head, seen) || seen.owner > kFree) continue;
    const Cell busy{kBusy, NextOpening(seen.word)};
    if (!CompareAndSwap(&lane->head, seen, busy)) continue;
    if (seen.owner == kNever) CountUsed();
    // Release, each: a reader that sees one of them sees that the lane was taken, too.
    lane->key_lo.store(key.lo, std::memory_order_release);
    lane->index_and_span.store(Packed(frame.index, frame.sub_windows), std::memory_order_release);
    lane->precision_and_age.store(Packed(frame.precision, frame.index - frame.newest), std::memory_order_release);
    lane->counts.store(static_cast<std::uint64_t>(frame.rest) | static_cast<std::uint64_t>(frame.oldest) << 32,
                       std::memory_order_release);
    lane->denied.store(denied, std::memory_order_release);
    lane->fits_at.store(fits_at, std::memory_order_release);
    CompareAndSwap(&lane->head, busy, {OwnerOf(key), busy.word});
    return static_cast<std::uint32_t>(lane - lanes_) + 1;
  }
  return 0;
}

// Beyond five eighths some would find no place.
void LaneTable::CountUsed() {
  const std::uint64_t used = used_.fetch_add(1, std::memory_order_relaxed) + 1;
  std::uint64_t count = count_.load(std::memory_order_relaxed);
  if (used <= count / 8 * 5 || count >= most_) return;
  count_.compare_exchange_strong(count, std::min(most_, 2 * count), std::memory_order_relaxed);
}

std::int64_t LaneTable::Close(std::uint32_t number) {
  Lane& lane = lanes_[number - 1];
  while (true) {
    LaneView view;
    if (!Load(&lane.head, view.head)) continue;
    if (CompareAndSwap(&lane.head, view.head, {kFree, view.head.word})) return view.count();
  }
}

}  // namespace weir::storage::memory
