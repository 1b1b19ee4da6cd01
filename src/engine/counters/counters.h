// How many decisions of which kind there were: counted a thread at a time, summed when somebody asks.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/thread_slot.h"
#include "weir/decision.h"

namespace weir::engine {

enum class Tally : std::uint8_t {
  kAllowed,  // every counted decision is one of kAllowed and kDenied ...
  kDenied,
  kExempt,  // ... and may be one of these besides
  kNoLimit,
  kBlocked,
  kBanned,
  kShadowDenied,  // a rule that does not deny (shadow, quota mode) would have
  kStoreLocal,
  kStoreAllow,
  kStoreDeny,
  kStoreFull,
  kWaits,               // of those allowed: passed with a delay
  kChallenges,          // of those denied: challenged
  kCharges,             // of those denied: to be paid for
  kUnidentified,        // a rule found no subject in a request and did not apply (on_missing: skip)
  kCountedByAddress,    // ... and counted its address instead (ip)
  kDeniedUnidentified,  // ... and denied it (deny)
  kUnknownDomain,       // a call of a domain that the document does not have
  kRepeated,            // a decision that repeated an earlier one (Request::request_id); none of the others counts it
  kUntracked,           // an admission that could not be given a reservation, because their table is full
  kKinds,
};

// How one rule took context in a decision.
enum class RuleTally : std::uint8_t { kAllowed, kDenied, kShadowDenied, kKinds };

// Thread-safe. Add without a detail takes no lock and shares no cache line between threads; it allocates at a thread's
// first use of 256 rules. Bounded: rules beyond 16,383 at once are counted together as "other", and so are details of a
// rule beyond the first 10,000 of all rules.
class Counters {
 public:
  Counters() = default;
  ~Counters();
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  // Where to count a rule: the same place for the same path and tier, until it has been released as often as it was
  // taken; then its counts are forgotten. `tier`: of rules that are counted together for each tier. Takes a lock.
  std::uint32_t Take(std::string_view path, Level level, std::string_view tier = {});
  // Nobody counts there any more who took it so often.
  void Release(std::uint32_t place);

  // This thread's context, for whoever counts several things at once. Not kept, and not passed to another thread.
  class Mine;
  Mine Here() noexcept;

  void Add(Tally kind) noexcept;
  void Add(std::uint32_t place, RuleTally kind) noexcept;
  // Counts for `detail` of the rule instead: takes a lock for 1/16 of them, and allocates for a new one.
  void Add(std::uint32_t place, std::string_view detail, RuleTally kind) noexcept;

  std::uint64_t Sum(Tally kind) const;
  struct RuleSum {
    std::string path;
    Level level = Level::kGlobal;
    std::string tier = {};
    std::string detail = {};
    std::array<std::uint64_t, static_cast<std::size_t>(RuleTally::kKinds)> counts{};
  };
  // In no order; those with a detail last.
  std::vector<RuleSum> SumRules() const;

 private:
  using Count = std::atomic<std::uint64_t>;
  static constexpr std::size_t kRuleKinds = static_cast<std::size_t>(RuleTally::kKinds);
  static constexpr std::size_t kBlockRules = 256;
  static constexpr std::size_t kBlocks = 64;
  static constexpr std::uint32_t kOther = kBlockRules * kBlocks - 1;

  struct Block {
    std::array<std::array<Count, kRuleKinds>, kBlockRules> counts{};
  };
  struct alignas(64) Shard {
    std::array<Count, static_cast<std::size_t>(Tally::kKinds)> kinds{};
    std::array<std::atomic<Block*>, kBlocks> blocks{};
    ~Shard();
  };
  struct Place {
    std::string path;
    Level level = Level::kGlobal;
    std::string tier;
    std::uint32_t holders = 0;  // 0: free
  };

  using Detail = std::pair<std::uint32_t, std::string>;  // place and text
  using DetailView = std::pair<std::uint32_t, std::string_view>;
  struct DetailHash {
    using is_transparent = void;
    std::size_t operator()(const DetailView& detail) const {
      return static_cast<std::size_t>(Hash64(detail.second, detail.first));
    }
    std::size_t operator()(const Detail& detail) const { return (*this)(DetailView(detail.first, detail.second)); }
  };
  struct DetailEqual {
    using is_transparent = void;
    bool operator()(const auto& a, const auto& b) const {
      return a.first == b.first && std::string_view(a.second) == std::string_view(b.second);
    }
  };
  struct alignas(64) Details {
    mutable std::mutex mutex;
    std::unordered_map<Detail, std::array<std::uint64_t, kRuleKinds>, DetailHash, DetailEqual> counts;
  };
  static constexpr std::size_t kMostDetails = 10'000;

  static Shard* MakeShard(std::atomic<Shard*>& place) noexcept;
  static Block* MakeBlock(std::atomic<Block*>& place) noexcept;
  // An owned shard has one writer, for which a plain add does; the shared one needs a read-modify-write. Relaxed: a
  // count orders nothing.
  static void Raise(Count& count, bool shared) noexcept {
    if (shared) [[unlikely]] {
      count.fetch_add(1, std::memory_order_relaxed);
    } else {
      count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  }

  std::array<std::atomic<Shard*>, kSlotCount> shards_{};
  std::array<Details, 16> details_;
  std::atomic<std::size_t> detail_count_{0};
  mutable std::mutex names_mutex_;  // guards what follows
  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
  std::map<std::pair<std::string, std::string>, std::uint32_t> by_name_;  // path and tier
};

class Counters::Mine {
 public:
  void Add(Tally kind) const noexcept { Raise(shard_->kinds[static_cast<std::size_t>(kind)], shared_); }
  void Add(std::uint32_t place, RuleTally kind) const noexcept {
    std::atomic<Block*>& slot = shard_->blocks[place / kBlockRules];
    Block* block = slot.load(std::memory_order_acquire);
    if (block == nullptr) [[unlikely]] {
      block = MakeBlock(slot);
    }
    Raise(block->counts[place % kBlockRules][static_cast<std::size_t>(kind)], shared_);
  }

 private:
  friend class Counters;
  Mine(Shard* shard, bool shared) noexcept : shard_(shard), shared_(shared) {}
  Shard* shard_;
  bool shared_;
};

inline Counters::Mine Counters::Here() noexcept {
  const std::size_t slot = ThreadSlot();
  Shard* shard = shards_[slot].load(std::memory_order_acquire);
  if (shard == nullptr) [[unlikely]] {
    shard = MakeShard(shards_[slot]);
  }
  return {shard, slot == kSharedSlot};
}

inline void Counters::Add(Tally kind) noexcept { Here().Add(kind); }
inline void Counters::Add(std::uint32_t place, RuleTally kind) noexcept { Here().Add(place, kind); }

}  // namespace weir::engine
