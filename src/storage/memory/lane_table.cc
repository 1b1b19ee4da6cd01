#include "storage/memory/lane_table.h"

#include <sys/mman.h>

#include <algorithm>

namespace weir::storage::memory {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
// ListState::lane can number so many.
constexpr std::uint64_t kMostLanes = std::uint64_t{1} << 31;
constexpr unsigned kLowBits = 44, kSecondShift = 56;
constexpr std::uint64_t kLow = (std::uint64_t{1} << kLowBits) - 1;

constexpr std::uint64_t Packed(std::int64_t low, std::int64_t high) {
  return static_cast<std::uint64_t>(low) | static_cast<std::uint64_t>(high) << kLowBits;
}
constexpr std::int64_t LowOf(std::uint64_t packed) { return static_cast<std::int64_t>(packed & kLow); }
constexpr std::int64_t HighOf(std::uint64_t packed) { return static_cast<std::int64_t>(packed >> kLowBits); }

// The word of the same lane when it is opened once more and nothing is charged yet.
constexpr Word NextOpening(Word word) {
  return static_cast<Word>(((static_cast<std::uint64_t>(word) >> 32) + 1) << 32);
}

}  // namespace

std::unique_ptr<LaneTable> LaneTable::Create(std::uint64_t most, std::uint64_t secret) {
  const std::uint64_t count = std::min(most, kMostLanes);
  const std::size_t size = (count + kRunLanes) * sizeof(Lane);
  void* const base =
      count == 0 ? MAP_FAILED
                 : mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // Lanes only make the store faster, so it goes on without them.
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
  std::uint64_t home = SubjectHome(key);
  for (int run = 0; run < 2; ++run, home = KeyHome(key)) {
    Lane* lane = lanes_ + home;
    for (std::size_t step = 0; step < kRunLanes; ++step, ++lane) {
      const std::uint64_t holder = __atomic_load_n(&lane->head.owner, __ATOMIC_ACQUIRE);
      if (holder == kNever) return false;
      if (holder == owner && ReadAt(*lane, key, view)) return true;
    }
  }
  return false;
}

// The head is read before the rest and after it, and both must be of one opening. The first reading must say which
// opening it is while the key owns the lane: a lane that is being opened for the same key again has the new opening's
// number already, while its rest is being written. Load() reads the owner after the word, so it does not take that for
// a lane of the key.
bool LaneTable::ReadAt(Lane& lane, const Key& key, LaneView& view) const {
  const std::uint64_t owner = OwnerOf(key);
  Cell first;
  if (!Load(&lane.head, first) || first.owner != owner) return false;
  // Acquire, each: the reading of the head that follows is not older than what they return.
  if (lane.key_lo.load(std::memory_order_acquire) != key.lo) return false;
  const std::uint64_t index_and_span = lane.index_and_span.load(std::memory_order_acquire);
  const std::uint64_t precision_and_age = lane.precision_and_age.load(std::memory_order_acquire);
  const std::uint64_t counts = lane.counts.load(std::memory_order_acquire);
  view.denial.asked = lane.denial_asked.load(std::memory_order_acquire);
  view.denial.fits_at = lane.denial_fits_at.load(std::memory_order_acquire);
  if (!Load(&lane.head, view.head) || view.head.owner != owner) return false;
  if ((first.word ^ view.head.word) >> 32 != 0) return false;
  view.cell = &lane.head;
  view.frame.index = LowOf(index_and_span);
  view.frame.sub_windows = HighOf(index_and_span);
  view.frame.precision = LowOf(precision_and_age);
  view.frame.newest = view.frame.index - (HighOf(precision_and_age) & ((1 << (kSecondShift - kLowBits)) - 1));
  view.frame.rest = static_cast<std::int64_t>(counts & UINT32_MAX);
  view.frame.oldest = static_cast<std::int64_t>(counts >> 32);
  view.denial.second = static_cast<std::uint8_t>(precision_and_age >> kSecondShift);
  return true;
}

LaneTable::Lane* LaneTable::TakeFree(std::uint64_t home, Cell& busy) {
  Lane* lane = lanes_ + home;
  for (std::size_t step = 0; step < kRunLanes; ++step, ++lane) {
    Cell seen;
    if (!Load(&lane->head, seen) || seen.owner > kFree) continue;
    busy = {kBusy, NextOpening(seen.word)};
    if (CompareAndSwap(&lane->head, seen, busy)) return lane;
  }
  return nullptr;
}

std::uint32_t LaneTable::Open(const Key& key, const algorithms::sub_window::Frame& frame, const NotedDenial& denial) {
  if (most_ == 0) return 0;
  Cell busy;
  Lane* lane = TakeFree(SubjectHome(key), busy);
  if (lane == nullptr) lane = TakeFree(KeyHome(key), busy);
  if (lane == nullptr) return 0;
  CountOpened();
  // Release, each: whoever reads one of them and then the head sees that the lane was taken.
  lane->key_lo.store(key.lo, std::memory_order_release);
  lane->index_and_span.store(Packed(frame.index, frame.sub_windows), std::memory_order_release);
  lane->precision_and_age.store(
      Packed(frame.precision, frame.index - frame.newest) | std::uint64_t{denial.second} << kSecondShift,
      std::memory_order_release);
  lane->counts.store(static_cast<std::uint64_t>(frame.rest) | static_cast<std::uint64_t>(frame.oldest) << 32,
                     std::memory_order_release);
  lane->denial_asked.store(denial.asked, std::memory_order_release);
  lane->denial_fits_at.store(denial.fits_at, std::memory_order_release);
  CompareAndSwap(&lane->head, busy, {OwnerOf(key), busy.word});
  return static_cast<std::uint32_t>(lane - lanes_) + 1;
}

// By what is open at once, not by what ever was: subjects come and go, and memory must not grow with all of them.
// Beyond five eighths some subjects would find no free place.
void LaneTable::CountOpened() {
  if (!used()) used_.store(true, std::memory_order_relaxed);
  const auto open = static_cast<std::uint64_t>(open_.fetch_add(1, std::memory_order_relaxed) + 1);
  std::uint64_t count = count_.load(std::memory_order_relaxed);
  if (open <= count / 8 * 5 || count >= most_) return;
  count_.compare_exchange_strong(count, std::min(most_, 2 * count), std::memory_order_relaxed);
}

std::int64_t LaneTable::Close(std::uint32_t number) {
  Lane& lane = lanes_[number - 1];
  // If searches end at the next lane, they may as well end here. (A lane that is put behind it at this very moment will
  // not be found. That is allowed: its state is asked instead.)
  const bool ends_searches = __atomic_load_n(&lanes_[number].head.owner, __ATOMIC_ACQUIRE) == kNever;
  while (true) {
    LaneView view;
    if (!Load(&lane.head, view.head)) continue;
    if (!CompareAndSwap(&lane.head, view.head, {ends_searches ? kNever : kFree, view.head.word})) continue;
    open_.fetch_sub(1, std::memory_order_relaxed);
    return view.count();
  }
}

}  // namespace weir::storage::memory
