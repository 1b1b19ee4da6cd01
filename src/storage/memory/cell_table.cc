#include "storage/memory/cell_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>

namespace weir::storage::memory {
namespace {

constexpr std::uint64_t kMostEntries = std::uint64_t{1} << 36;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Seven cells for four subjects: at that load two windows of four lines are short of a place once in 100,000 times.
constexpr std::uint64_t LinesFor(std::uint64_t max_entries) {
  return std::max<std::uint64_t>((max_entries * 7 + 15) / 16, 1);
}

// splitmix64 (Steele, Lea, Flood): spreads one secret into several.
std::uint64_t Spread(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::uint64_t SecretPart(std::uint64_t secret, int part) {
  std::uint64_t value = 0;
  for (int i = 0; i <= part; ++i) value = Spread(secret);
  return value;
}

// A negative word that no other insertion of this process ever uses: 24 bits of thread, 39 of count.
Word NewPendingWord() {
  static std::atomic<std::uint64_t> threads{0};
  static thread_local const std::uint64_t thread = threads.fetch_add(1, std::memory_order_relaxed) << 39;
  static thread_local std::uint64_t count = 0;
  const std::uint64_t bits = (thread | (++count & ((std::uint64_t{1} << 39) - 1))) & (UINT64_MAX >> 1);
  return std::numeric_limits<Word>::min() | static_cast<Word>(bits);
}

Cell LoadStable(const Cell* cell) {
  Cell value;
  while (!Load(cell, value)) {
  }
  return value;
}

// Two that keep making each other fail part ways: each waits its own number of beats, more each time.
void Pause(Word pending, unsigned attempt) {
  for (std::uint64_t beats = (static_cast<std::uint64_t>(pending) & 15) << std::min(attempt, 6U); beats > 0; --beats) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("" ::: "memory");
#endif
  }
}

bool IsFree(const Cell& cell, Nanos now) { return !IsPending(cell.word) && cell.word <= now; }

}  // namespace

std::uint64_t CellTable::BytesFor(std::uint64_t max_entries) { return LinesFor(max_entries) * sizeof(Line); }

Result<std::unique_ptr<CellTable>> CellTable::Create(std::uint64_t max_entries, std::uint64_t secret,
                                                     Counters& counters) {
  if (max_entries == 0 || max_entries > kMostEntries) {
    return Fail(ErrorCode::kInvalidArgument, "max_entries must be 1 to 2^36");
  }
  const std::uint64_t count = LinesFor(max_entries);
  const std::size_t size = count * (sizeof(Line) + kCellsPerLine);
  void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    return Fail(ErrorCode::kResourceExhausted,
                "cannot map " + std::to_string(size) + " bytes for the state table: " + std::strerror(errno));
  }
  // Fewer TLB misses; only a wish, so a refusal is no error.
  if (size >= 2 * kHugePage) madvise(base, size, MADV_HUGEPAGE);
  // Gigabytes of counts in a core file are of no use.
  madvise(base, size, MADV_DONTDUMP);
  return std::unique_ptr<CellTable>(new CellTable(static_cast<Line*>(base), count, size, secret, counters));
}

CellTable::CellTable(Line* lines, std::uint64_t count, std::size_t mapped, std::uint64_t secret, Counters& counters)
    : lines_base_(lines),
      marks_(reinterpret_cast<std::atomic<std::uint8_t>*>(lines + count)),
      lines_(count),
      mapped_(mapped),
      home_xor_(SecretPart(secret, 0)),
      home_mul_(SecretPart(secret, 1) | 1),
      first_xor_(SecretPart(secret, 2)),
      first_mul_(SecretPart(secret, 3) | 1),
      second_xor_(SecretPart(secret, 4)),
      second_mul_(SecretPart(secret, 5) | 1),
      counters_(counters) {}

CellTable::~CellTable() { munmap(lines_base_, mapped_); }

std::uint64_t CellTable::SecondLine(std::uint64_t owner) const {
  // Halves swapped: the two lines of a subject then depend on different bits most, and are independent.
  return HighProduct(((owner << 32 | owner >> 32) ^ second_xor_) * second_mul_, lines_);
}

std::uint64_t CellTable::LineOfStep(std::uint64_t owner, std::size_t step) const {
  if (step == 0) return HomeLine(owner);
  const bool first = step <= kWindowLines;
  const std::uint64_t line = first ? FirstLine(owner) + step - 1 : SecondLine(owner) + step - 1 - kWindowLines;
  return line < lines_ ? line : line % lines_;
}

// Shows `visit` the cells in which `owner` may be, until it returns false or nothing can follow.
template <typename Visit>
void CellTable::Probe(std::uint64_t owner, const Visit& visit) const {
  for (std::size_t step = 0; step < kProbeLines; ++step) {
    Line* line = LineAt(LineOfStep(owner, step));
    bool open = false;
    for (Cell& cell : line->cells) {
      const std::uint64_t holder = __atomic_load_n(&cell.owner, __ATOMIC_ACQUIRE);
      if (!visit(cell, holder)) return;
      open = open || holder == kNobody;
    }
    if (open) return;
  }
}

CellTable::Found CellTable::FindFurther(std::uint64_t owner) const {
  Found found;
  Probe(owner, [&](Cell& cell, std::uint64_t holder) {
    if (holder != owner) return true;
    const Cell value = LoadStable(&cell);
    if (value.owner != owner || IsPending(value.word)) return true;
    found = {&cell, value.word};
    return false;
  });
  return found;
}

// Insertion, lock-free and without ever making two states of one subject:
//   1. put {owner, pending} into a free cell, pending being a word that no other insertion uses;
//   2. look through all places of `owner` again: if its state is there by now, withdraw; another insertion of the same
//      owner is made to fail (its pending word replaced) or given way to;
//   3. swap {owner, pending} for {owner, word}; that fails if another insertion made us fail.
// Two insertions that both come to 3 are impossible: whichever did step 1 later sees the other in its step 2, for all
// of these are in one total order; and it goes on only after the other can not.
CellTable::Inserted CellTable::Insert(std::uint64_t owner, Word word, Nanos now, FullPolicy policy) {
  for (unsigned attempt = 0;; ++attempt) {
    Place place;
    switch (Choose(owner, now, policy, place)) {
      case Choice::kExists:
        return Inserted::kExists;
      case Choice::kFull:
        return Inserted::kFull;
      case Choice::kChosen:
        break;
    }
    const Cell pending{owner, NewPendingWord()};
    if (!CompareAndSwap(place.cell, place.seen, pending)) {
      counters_.Add(Count::kCollisions);
      continue;
    }
    const Rivals rivals = ConfrontRivals(owner, place.cell);
    if (rivals == Rivals::kNone && CompareAndSwap(place.cell, pending, {owner, word})) {
      if (crowded()) MarkOf(place.cell).store(0, std::memory_order_relaxed);
      CountTaken(place.seen, now);
      return Inserted::kDone;
    }
    if (rivals != Rivals::kNone) CompareAndSwap(place.cell, pending, {kDead, 0});
    CountWithdrawn(place.seen, now);
    counters_.Add(Count::kCollisions);
    if (rivals == Rivals::kExists) return Inserted::kExists;
    Pause(pending.word, attempt);
  }
}

// How important it is to keep a state: 0 when it denied nothing lately, else the higher the later that was.
unsigned CellTable::RankOf(const Cell* cell, Nanos now) const {
  constexpr unsigned kLately = 120;
  const unsigned mark = MarkOf(cell).load(std::memory_order_relaxed);
  if (mark == 0) return 0;
  const unsigned age = (MarkAt(now) + 255U - mark) % 255;
  // A clock that went back a little makes it as good as new.
  if (age > 255 - kLately) return kLately + 1;
  return age > kLately ? 0 : kLately + 1 - age;
}

// The first free place; failing that, with kEvict, the live one that is missed least.
CellTable::Choice CellTable::Choose(std::uint64_t owner, Nanos now, FullPolicy policy, Place& place) const {
  Place victim;
  unsigned victim_rank = 0;
  std::size_t passed_over = 0;  // live ones before the first free one
  bool exists = false, missed = true;
  const auto look = [&](Cell& cell, std::uint64_t holder) {
    const Cell seen = LoadStable(&cell);
    if (place.cell == nullptr) ++passed_over;
    missed = missed || (holder == kNobody && !IsFree(seen, now));
    if (seen.owner == owner && !IsPending(seen.word)) {
      exists = true;
      return false;
    }
    if (IsPending(seen.word)) return true;
    if (IsFree(seen, now)) {
      if (place.cell == nullptr) place = {&cell, seen};
    } else if (policy == FullPolicy::kEvict && place.cell == nullptr) {
      const unsigned rank = crowded() ? RankOf(&cell, now) : 0;
      const bool better = rank != victim_rank ? rank < victim_rank : seen.word < victim.seen.word;
      if (victim.cell == nullptr || better) {
        victim = {&cell, seen};
        victim_rank = rank;
      }
    }
    return true;
  };
  // A cell never used yet ends the search; when another thread takes it at this moment, there may be others behind it,
  // and nobody need go.
  while (missed && !exists && place.cell == nullptr) {
    victim = {};
    missed = false;
    passed_over = 0;
    Probe(owner, look);
  }
  // Three of nine lines without a free place: there will be evictions before long.
  if (passed_over > 3 * kCellsPerLine && !crowded()) crowded_.store(true, std::memory_order_relaxed);
  if (exists) return Choice::kExists;
  if (place.cell != nullptr) return Choice::kChosen;
  if (policy != FullPolicy::kEvict || victim.cell == nullptr) return Choice::kFull;
  place = victim;
  return Choice::kChosen;
}

CellTable::Rivals CellTable::ConfrontRivals(std::uint64_t owner, const Cell* mine) const {
  Rivals result = Rivals::kNone;
  Probe(owner, [&](Cell& cell, std::uint64_t) {
    if (&cell == mine) return true;
    const Cell seen = LoadStable(&cell);
    if (seen.owner != owner) return true;
    if (!IsPending(seen.word)) {
      result = Rivals::kExists;
      return false;
    }
    if (CompareAndSwap(&cell, seen, {kDead, 0})) return true;
    // The rival moved on at this moment: it is done, or has withdrawn. Begin again and see.
    result = Rivals::kYield;
    return false;
  });
  return result;
}

// The new state stands where `seen` was.
void CellTable::CountTaken(const Cell& seen, Nanos now) {
  counters_.Add(Count::kEntries);
  CountWithdrawn(seen, now);
}

// What was in the cell is gone.
void CellTable::CountWithdrawn(const Cell& seen, Nanos now) {
  if (seen.word == 0) return;
  counters_.Add(Count::kEntries, -1);
  counters_.Add(seen.word <= now ? Count::kReclaimed : Count::kEvicted);
}

std::uint64_t CellTable::Sweep(Nanos now, std::uint64_t max_cells) {
  std::uint64_t freed = 0;
  const std::uint64_t wanted = std::min(max_cells, cells());
  // Relaxed: sweepers may overlap, each cell's swap decides.
  const std::uint64_t begin = sweep_cursor_.fetch_add(wanted, std::memory_order_relaxed);
  for (std::uint64_t i = 0; i < wanted; ++i) {
    const std::uint64_t index = (begin + i) % cells();
    Cell* cell = &LineAt(index / kCellsPerLine)->cells[index % kCellsPerLine];
    Cell seen;
    if (!Load(cell, seen) || seen.word == 0 || !IsFree(seen, now)) continue;
    if (Swap(cell, seen.owner, seen.word, 0)) ++freed;
  }
  if (freed != 0) counters_.Add(Count::kReclaimed, static_cast<std::int64_t>(freed));
  return freed;
}

Cell CellTable::Read(std::uint64_t index, Nanos now) const {
  const Cell value = LoadStable(&LineAt(index / kCellsPerLine)->cells[index % kCellsPerLine]);
  return value.word > now ? value : Cell{};
}

}  // namespace weir::storage::memory
