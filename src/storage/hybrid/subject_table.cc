#include "storage/hybrid/subject_table.h"

#include <algorithm>
#include <bit>

namespace weir::storage::hybrid {
namespace {

// How many are looked at for one that may go.
constexpr int kLooks = 8;

}  // namespace

void Subject::CountAsk(Nanos now, Nanos life) {
  if (now >= period + life || now < period) {
    const bool follows = now >= period && now < period + 2 * life;
    asks_before = follows ? asks : 0;
    units_before = follows ? units : 0;
    asks = units = 0;
    period = now;
  }
  ++asks;
}

void Subject::CountUnits(std::uint64_t cost) {
  units += std::min<std::uint64_t>(cost, algorithms::kMaxCount - std::min(units, algorithms::kMaxCount));
}

std::uint64_t Subject::Worth(const HybridOptions& options) const {
  if (options.exact_answers && lease.form() != Form::kWindow) return 0;
  const std::uint64_t wanted = std::max(options.least_lease, std::max(units, units_before) / 2);
  const std::uint64_t most = std::min(lease.limit().capacity / 8, lease.remaining() / 4);
  const std::uint64_t worth = std::min(wanted, most);
  return worth < options.least_lease ? 0 : worth;
}

Subject* SubjectTable::Find(const Key& key) {
  auto& subjects = shards_[IndexOf(key)].subjects;
  const auto found = subjects.find(key);
  return found == subjects.end() ? nullptr : &found->second;
}

// Drops one that holds nothing and has not been asked for lately, if there is one among the next few.
bool SubjectTable::MakeRoom(Shard& shard, Nanos now, Nanos life) {
  const std::size_t buckets = shard.subjects.bucket_count();
  for (int look = 0; look < kLooks; ++look) {
    const std::size_t bucket = shard.hand++ % buckets;
    for (auto it = shard.subjects.begin(bucket); it != shard.subjects.end(bucket); ++it) {
      Subject& subject = it->second;
      if (subject.IsInUse()) continue;
      const bool asked_again = subject.asks > 1 && now >= subject.period && now < subject.period + 2 * life;
      if (asked_again) continue;
      shard.subjects.erase(Key(it->first));
      return true;
    }
  }
  return false;
}

Subject* SubjectTable::Get(const Key& key, const Limit& limit, Nanos now, const HybridOptions& options) {
  if (Subject* const found = Find(key)) return found;
  auto& subjects = shards_[IndexOf(key)].subjects;
  if (subjects.size() >= most_ && !MakeRoom(shards_[IndexOf(key)], now, options.lease_life)) return nullptr;
  return &subjects.try_emplace(key, limit, options.lease_life).first->second;
}

SubjectTable::Sums SubjectTable::Sum() {
  Sums sums;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sums.subjects += shard.subjects.size();
    for (const auto& [key, subject] : shard.subjects) {
      const std::uint64_t held = subject.lease.Held();
      sums.leases += held > 0 ? 1 : 0;
      sums.units += held;
    }
  }
  return sums;
}

void ShardLocks::Acquire() {
  for (std::uint64_t left = wanted_; left != 0; left &= left - 1) {
    table_.shard(static_cast<std::size_t>(std::countr_zero(left))).mutex.lock();
  }
  held_ = wanted_;
}

void ShardLocks::Release() {
  for (std::uint64_t left = held_; left != 0; left &= left - 1) {
    table_.shard(static_cast<std::size_t>(std::countr_zero(left))).mutex.unlock();
  }
  held_ = 0;
}

}  // namespace weir::storage::hybrid
