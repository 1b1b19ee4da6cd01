#include "engine/counters/counters.h"

#include <algorithm>

namespace weir::engine {
namespace {

// Takes the place that another thread may be filling at the same time (only shared slots have several).
template <typename T>
T* Install(std::atomic<T*>& place) {
  auto made = std::make_unique<T>();
  T* expected = nullptr;
  if (place.compare_exchange_strong(expected, made.get(), std::memory_order_acq_rel)) return made.release();
  return expected;
}

}  // namespace

Counters::Shard::~Shard() {
  for (auto& block : blocks) delete block.load(std::memory_order_relaxed);
}

Counters::~Counters() {
  for (auto& shard : shards_) delete shard.load(std::memory_order_relaxed);
}

std::uint32_t Counters::Take(std::string_view path, Level level, std::string_view tier) {
  const std::lock_guard lock(names_mutex_);
  const auto [known, is_new] = by_name_.try_emplace({std::string(path), std::string(tier)}, kOther);
  if (is_new) {
    if (!free_.empty()) {
      known->second = free_.back();
      free_.pop_back();
    } else if (places_.size() < kOther) {
      known->second = static_cast<std::uint32_t>(places_.size());
      places_.emplace_back();
    } else {
      by_name_.erase(known);
      return kOther;
    }
    places_[known->second] = {.path = std::string(path), .level = level, .tier = std::string(tier)};
  }
  ++places_[known->second].holders;
  return known->second;
}

void Counters::Release(std::uint32_t place) {
  if (place == kOther) return;
  const std::lock_guard lock(names_mutex_);
  Place& held = places_[place];
  if (--held.holders > 0) return;
  by_name_.erase({held.path, held.tier});
  held = {};
  // Nobody counts here now.
  for (const auto& slot : shards_) {
    Shard* const shard = slot.load(std::memory_order_acquire);
    Block* const block =
        shard == nullptr ? nullptr : shard->blocks[place / kBlockRules].load(std::memory_order_acquire);
    if (block == nullptr) continue;
    for (Count& count : block->counts[place % kBlockRules]) count.store(0, std::memory_order_relaxed);
  }
  for (Details& details : details_) {
    const std::lock_guard details_lock(details.mutex);
    const std::size_t dropped =
        std::erase_if(details.counts, [&](const auto& one) { return one.first.first == place; });
    detail_count_.fetch_sub(std::min(dropped, detail_count_.load(std::memory_order_relaxed)),
                            std::memory_order_relaxed);
  }
  free_.push_back(place);
}

Counters::Shard* Counters::MakeShard(std::atomic<Shard*>& place) noexcept { return Install(place); }
Counters::Block* Counters::MakeBlock(std::atomic<Block*>& place) noexcept { return Install(place); }

void Counters::Add(std::uint32_t place, std::string_view detail, RuleTally kind) noexcept {
  constexpr std::string_view kOverflow = "other";
  for (DetailView wanted{place, detail};; wanted.second = kOverflow) {
    Details& details = details_[DetailHash()(wanted) % details_.size()];
    const std::lock_guard lock(details.mutex);
    auto found = details.counts.find(wanted);
    if (found == details.counts.end()) {
      const bool room = detail_count_.fetch_add(1, std::memory_order_relaxed) < kMostDetails;
      if (!room) detail_count_.fetch_sub(1, std::memory_order_relaxed);
      // One text a rule more, for what has no place of its own.
      if (!room && wanted.second != kOverflow) continue;
      found = details.counts.try_emplace(Detail(place, wanted.second)).first;
    }
    ++found->second[static_cast<std::size_t>(kind)];
    return;
  }
}

std::uint64_t Counters::Sum(Tally kind) const {
  std::uint64_t sum = 0;
  for (const auto& place : shards_) {
    const Shard* const shard = place.load(std::memory_order_acquire);
    if (shard != nullptr) sum += shard->kinds[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed);
  }
  return sum;
}

std::vector<Counters::RuleSum> Counters::SumRules() const {
  std::vector<RuleSum> sums;
  const std::lock_guard lock(names_mutex_);
  sums.reserve(places_.size() + 1);
  for (const Place& place : places_) {
    sums.push_back({.path = place.path, .level = place.level, .tier = place.tier, .detail = {}, .counts = {}});
  }
  const auto add = [](RuleSum& to, const std::array<Count, kRuleKinds>& counts) {
    for (std::size_t k = 0; k < kRuleKinds; ++k) to.counts[k] += counts[k].load(std::memory_order_relaxed);
  };
  RuleSum other{.path = "other", .level = Level::kGlobal, .detail = {}, .counts = {}};
  for (const auto& place : shards_) {
    const Shard* const shard = place.load(std::memory_order_acquire);
    if (shard == nullptr) continue;
    for (std::size_t b = 0; b < kBlocks && b * kBlockRules < sums.size(); ++b) {
      const Block* const block = shard->blocks[b].load(std::memory_order_acquire);
      if (block == nullptr) continue;
      for (std::size_t i = 0; i < kBlockRules && b * kBlockRules + i < sums.size(); ++i) {
        add(sums[b * kBlockRules + i], block->counts[i]);
      }
    }
    if (const Block* const last = shard->blocks[kBlocks - 1].load(std::memory_order_acquire)) {
      add(other, last->counts[kBlockRules - 1]);
    }
  }
  const std::size_t named = sums.size();
  if (named >= kOther) sums.push_back(other);
  for (const Details& details : details_) {
    const std::lock_guard lock(details.mutex);
    for (const auto& [detail, counts] : details.counts) {
      RuleSum sum{.path = "other", .level = Level::kGlobal, .detail = detail.second, .counts = counts};
      if (detail.first < named) {
        sum.path = sums[detail.first].path;
        sum.level = sums[detail.first].level;
      }
      sums.push_back(std::move(sum));
    }
  }
  std::erase_if(sums, [](const RuleSum& sum) { return sum.path.empty(); });
  return sums;
}

}  // namespace weir::engine
