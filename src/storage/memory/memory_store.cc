#include "storage/memory/memory_store.h"

#include <algorithm>
#include <limits>
#include <random>
#include <utility>

#include "algorithms/instant.h"

namespace weir::storage::memory {
namespace {

constexpr std::uint64_t kLeastMemory = 4096;
constexpr std::uint64_t kLeastListBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kListBytesPerEntry = 512;
constexpr std::uint64_t kMostEntries = std::uint64_t{1} << 36;

// Prefetches that are in flight together: more than this and the first lines are evicted before they are used.
constexpr std::size_t kPrefetchPlans = 16;

constexpr std::uint64_t kSweepSlice = 256;  // cells: 4 KiB, about a microsecond
constexpr std::size_t kSweepShards = 64;
constexpr std::uint64_t kReclaimWithEach = 2;  // more than one is added at a time, so expired states never pile up
constexpr Nanos kMostSlices = 4;               // caught up with at once after idle time

// The most entries whose buckets fit `bytes`.
std::uint64_t EntriesFor(std::uint64_t bytes) {
  std::uint64_t entries = bytes / 28;
  while (entries > 1 && CellTable::BytesFor(entries) > bytes) --entries;
  return std::max<std::uint64_t>(entries, 1);
}

std::uint64_t RandomSecret() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

std::uint64_t MemoryStore::DefaultListBytes(std::uint64_t max_entries) {
  return std::max(kLeastListBytes, std::min(max_entries, kMostEntries) * kListBytesPerEntry);
}

Result<std::unique_ptr<MemoryStore>> MemoryStore::Create(const MemoryStoreOptions& options) {
  if (options.max_entries == 0 || options.max_entries > kMostEntries) {
    return Fail(ErrorCode::kInvalidArgument, "max_entries must be 1 to 68719476736");
  }
  if (options.memory_limit != 0 && options.memory_limit < kLeastMemory) {
    return Fail(ErrorCode::kInvalidArgument, "memory_limit must be 0 or at least 4096 bytes");
  }
  if (options.sweep_interval < 0) return Fail(ErrorCode::kInvalidArgument, "sweep_interval must not be negative");
  std::uint64_t entries = options.max_entries;
  std::uint64_t list_bytes = DefaultListBytes(entries);
  // Seven for four list states, so that a free place is near. Memory is taken only when lanes are used.
  std::uint64_t lanes = options.max_entries / 4 * 7;
  if (options.memory_limit != 0) {
    entries = std::min(entries, EntriesFor(options.memory_limit / 8 * 7));
    list_bytes = options.memory_limit - CellTable::BytesFor(entries);
    lanes = std::min(lanes, list_bytes / 4 / LaneTable::kBytesALane);
    list_bytes -= lanes * LaneTable::kBytesALane;
  }
  const std::uint64_t secret = options.secret != 0 ? options.secret : RandomSecret();
  auto counters = std::make_unique<Counters>();
  auto cells = CellTable::Create(entries, secret, *counters);
  if (!cells) return std::unexpected(cells.error());
  auto lists = std::make_unique<ListTable>(options.max_entries, list_bytes, lanes, secret, *counters);
  MemoryStoreOptions effective = options;
  effective.max_entries = entries;
  return std::unique_ptr<MemoryStore>(
      new MemoryStore(effective, std::move(counters), std::move(*cells), std::move(lists)));
}

MemoryStore::MemoryStore(const MemoryStoreOptions& options, std::unique_ptr<Counters> counters,
                         std::unique_ptr<CellTable> cells, std::unique_ptr<ListTable> lists)
    : sweep_interval_(std::min(options.sweep_interval, algorithms::kLongestWindow)),
      counters_(std::move(counters)),
      cells_(std::move(cells)),
      lists_(std::move(lists)),
      states_(*cells_, *lists_, *counters_, options.full_policy, sweep_interval_ == 0 ? 0 : kReclaimWithEach),
      runner_(states_, *lists_),
      admin_(*cells_, *lists_),
      sweep_slice_(std::min(kSweepSlice, cells_->cells())),
      next_sweep_(std::numeric_limits<Nanos>::max()) {
  if (sweep_interval_ == 0) return;
  const auto share = static_cast<double>(sweep_slice_) / static_cast<double>(cells_->cells());
  sweep_tick_ = std::max<Nanos>(static_cast<Nanos>(static_cast<double>(sweep_interval_) * share), kMicrosecond);
  next_sweep_ = 0;
}

bool MemoryStore::Apply(std::span<Plan> plans, Nanos now, Completion* /*done*/) {
  now = algorithms::ClampNow(now);
  SweepWhenDue(now);
  if (plans.size() == 1) {
    // There is nothing to do while the first item's line is fetched, and items of one subject share it.
    const auto items = plans[0].items;
    for (std::size_t i = 1; i < items.size(); ++i) {
      if (!SameSubject(items[i].key, items[0].key)) Prefetch(items[i]);
    }
    runner_.Run(plans[0], now);
    return true;
  }
  while (!plans.empty()) {
    const std::span<Plan> group = plans.first(std::min(plans.size(), kPrefetchPlans));
    for (const Plan& plan : group) {
      for (const Item& item : plan.items) Prefetch(item);
    }
    for (Plan& plan : group) runner_.Run(plan, now);
    plans = plans.subspan(group.size());
  }
  return true;
}

void MemoryStore::Prefetch(const Item& item) const {
  const Shape shape = ShapeOf(item.limit->kind);
  if (shape == Shape::kWord) cells_->Prefetch(FingerprintOf(item.key));
  if (shape != Shape::kList) return;
  if (item.limit->kind == Kind::kSlidingWindow && lists_->lanes().used()) return lists_->lanes().Prefetch(item.key);
  lists_->ShardOf(item.key).PrefetchIndex(item.key);
}

StoreStats MemoryStore::Stats() const {
  StoreStats stats;
  stats.entries = counters_->Sum(Count::kEntries) + lists_->budget().states();
  stats.capacity = cells_->cells() + lists_->budget().max_states();
  stats.bytes = cells_->bytes() + lists_->budget().bytes() + lists_->lanes().bytes();
  stats.reclaimed = counters_->Sum(Count::kReclaimed);
  stats.evicted_live = counters_->Sum(Count::kEvicted);
  stats.refused_new = counters_->Sum(Count::kRefused);
  stats.admitted_untracked = counters_->Sum(Count::kUntracked);
  stats.collisions = counters_->Sum(Count::kCollisions);
  stats.rollbacks = counters_->Sum(Count::kRollbacks);
  return stats;
}

// Either table can be full while the other is empty.
void MemoryStore::Describe(MetricSink& sink, std::string_view as) const {
  DescribeStats(Stats(), GetHealth(), as, sink);
  DescribeRoom(counters_->Sum(Count::kEntries), cells_->cells(), as, "buckets", sink);
  DescribeRoom(lists_->budget().states(), lists_->budget().max_states(), as, "lists", sink);
}

std::uint64_t MemoryStore::Sweep(Nanos now, std::uint64_t max_states) {
  now = algorithms::ClampNow(now);
  return cells_->Sweep(now, max_states) + lists_->Sweep(now, max_states);
}

void MemoryStore::SweepDue(Nanos now, Nanos due) {
  if (sweep_interval_ == 0) return;
  // One thread does it; the others go on.
  if (!next_sweep_.compare_exchange_strong(due, now + sweep_tick_, std::memory_order_relaxed)) return;
  const Nanos late = now > due ? (now - due) / sweep_tick_ : 0;
  const auto slices = static_cast<std::uint64_t>(std::clamp<Nanos>(late, 1, kMostSlices));
  cells_->Sweep(now, slices * sweep_slice_);
  const std::uint64_t states = lists_->StatesOfRound();
  if (states != 0) lists_->Sweep(now, slices * (states * sweep_slice_ / cells_->cells() + 1), kSweepShards);
}

}  // namespace weir::storage::memory
