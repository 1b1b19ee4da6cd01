// The store in this process's memory: every plan is decided inline.
//
// Buckets and windows of one word (among them the default algorithm's) live in 16-byte cells, take no lock and are
// charged by compare-and-swap; what is denied is only read. List states live in shards of their own, behind locks;
// sliding windows of several sub-windows are charged without theirs while one sub-window lasts (lane_table.h). Neither
// ever forgets a state that could change a decision without counting it (StoreStats); what has expired is reclaimed a
// few states at a time by the requests that follow, never all at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "storage/memory/cell_table.h"
#include "storage/memory/counters.h"
#include "storage/memory/list_table.h"
#include "storage/memory/memory_admin.h"
#include "storage/memory/plan_runner.h"
#include "storage/memory/states.h"
#include "storage/store.h"
#include "weir/result.h"

namespace weir::storage::memory {

struct MemoryStoreOptions {
  // Live subjects of buckets, and as many of list states: so many surely fit. 1 to 2^36. The table of buckets is made
  // for so many at once and never grows; it can hold up to 7/4 of it.
  std::uint64_t max_entries = 1'000'000;
  // Bytes for everything; 0 = BytesFor(max_entries) for buckets and DefaultListBytes(max_entries) for lists. When it is
  // less than the buckets need, they get 7/8 of it and hold fewer. At least 4096.
  std::uint64_t memory_limit = 0;
  FullPolicy full_policy = FullPolicy::kEvict;
  // The time in which the whole table is looked through once for expired states, a little with each batch, by the time
  // of the batches. 0 = only Sweep() reclaims, and newcomers that need the room.
  Nanos sweep_interval = kMinute;
  // Decides where subjects are placed; 0 = drawn at random, so that no client can know.
  std::uint64_t secret = 0;
};

// The result of writing or reading a snapshot.
struct SnapshotReport {
  std::uint64_t words = 0;  // states written, or taken in
  std::uint64_t lists = 0;
  std::uint64_t expired = 0;  // reading: no longer worth keeping
  std::uint64_t dropped = 0;  // reading: no room
  std::uint64_t bytes = 0;    // of the file
  Nanos created_at = 0;
};

// Thread-safe.
class MemoryStore final : public Store {
 public:
  static Result<std::unique_ptr<MemoryStore>> Create(const MemoryStoreOptions& options);

  // Bytes the bucket states of so many subjects take: 28 each, in lines of 64. 100 million: 2.8 GB.
  static std::uint64_t BytesFor(std::uint64_t max_entries) { return CellTable::BytesFor(max_entries); }
  // 512 bytes for each of max_entries, at least 64 MiB.
  static std::uint64_t DefaultListBytes(std::uint64_t max_entries);

  // Always completes inline: returns true, `done` may be nullptr. Word-only plans of up to 8 items take no lock and
  // allocate nothing.
  [[nodiscard]] bool Apply(std::span<Plan> plans, Nanos now, Completion* done) override;

  [[nodiscard]] bool TryApply(Plan& plan, Nanos now) override { return Apply({&plan, 1}, now, nullptr); }
  bool CompletesInline() const override { return true; }
  void Expect(const Key& key) const noexcept override {
    cells_->Prefetch(FingerprintOf(key));
    if (lists_->lanes().used()) lists_->lanes().Prefetch(key);
  }

  Admin* GetAdmin() override { return &admin_; }
  StoreStats Stats() const override;
  void Describe(MetricSink& sink, std::string_view as) const override;
  Health GetHealth() const override { return Health::kUp; }
  std::string_view Name() const override { return "memory"; }

  // Reclaims expired states among the next `max_states` of each table, going round. Returns how many.
  std::uint64_t Sweep(Nanos now, std::uint64_t max_states);

  // For snapshots (snapshot_file.h).
  CellTable& cells() { return *cells_; }
  ListTable& lists() { return *lists_; }

 private:
  MemoryStore(const MemoryStoreOptions& options, std::unique_ptr<Counters> counters, std::unique_ptr<CellTable> cells,
              std::unique_ptr<ListTable> lists);

  void Prefetch(const Item& item) const;
  void SweepWhenDue(Nanos now) {
    // Relaxed: being a little late or twice is harmless.
    const Nanos due = next_sweep_.load(std::memory_order_relaxed);
    if (now >= due || due - now > 2 * sweep_interval_) [[unlikely]] {
      SweepDue(now, due);
    }
  }
  void SweepDue(Nanos now, Nanos due);

  const Nanos sweep_interval_;
  std::unique_ptr<Counters> counters_;
  std::unique_ptr<CellTable> cells_;
  std::unique_ptr<ListTable> lists_;
  States states_;
  PlanRunner runner_;
  MemoryAdmin admin_;
  std::uint64_t sweep_slice_ = 0;  // cells looked at each sweep_tick_
  Nanos sweep_tick_ = 0;
  alignas(64) std::atomic<Nanos> next_sweep_;
};

}  // namespace weir::storage::memory
