#include "frontends/rls/http2/counters.h"

#include <algorithm>

namespace weir::rls {
namespace {

std::size_t ShardOfThread(std::size_t shards) {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine % shards;
}

}  // namespace

std::string_view AbuseName(Abuse abuse) {
  switch (abuse) {
    case Abuse::kRapidReset:
      return "rapid_reset";
    case Abuse::kFrameFlood:
      return "frame_flood";
    case Abuse::kHeaderFlood:
      return "header_flood";
    case Abuse::kSlowReader:
      return "slow_reader";
  }
  return "unknown";
}

CallCounters::CallCounters(const std::vector<Service*>& services) {
  for (const Service* service : services) {
    for (const Method& method : service->methods()) methods_.push_back(method.path);
  }
  methods_.push_back("unknown");
  for (Shard& shard : shards_) shard.counts = std::vector<std::atomic<std::uint64_t>>(methods_.size() * kCodes);
}

void CallCounters::Answered(std::uint32_t method, Code code) {
  const std::size_t row = std::min<std::size_t>(method, methods_.size() - 1);
  const std::size_t column = std::min<std::size_t>(static_cast<std::size_t>(code), kCodes - 1);
  shards_[ShardOfThread(kShards)].counts[row * kCodes + column].fetch_add(1, std::memory_order_relaxed);
}

void CallCounters::Ended(Abuse abuse) {
  ends_[static_cast<std::size_t>(abuse)].fetch_add(1, std::memory_order_relaxed);
}

std::vector<CallCounters::Row> CallCounters::Answers() const {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < methods_.size() * kCodes; ++i) {
    std::uint64_t count = 0;
    for (const Shard& shard : shards_) count += shard.counts[i].load(std::memory_order_relaxed);
    if (count > 0) rows.push_back({methods_[i / kCodes], static_cast<Code>(i % kCodes), count});
  }
  return rows;
}

std::uint64_t CallCounters::Ends(Abuse abuse) const {
  return ends_[static_cast<std::size_t>(abuse)].load(std::memory_order_relaxed);
}

}  // namespace weir::rls
