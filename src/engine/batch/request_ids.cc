#include "engine/batch/request_ids.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

namespace weir::engine {
namespace {

// A clock that was set back does not keep an answer for longer either.
bool Expired(Nanos since, Nanos now, Nanos life) { return now >= since ? now - since >= life : since - now >= life; }

}  // namespace

void OpenAsk::Answer(RepeatedAnswer answer) {
  std::vector<storage::Completion*> waiting;
  {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
    answered_.store(true, std::memory_order_release);
    waiting.swap(waiting_);
  }
  answered_.notify_all();
  for (storage::Completion* const one : waiting) one->Done();
}

const RepeatedAnswer& OpenAsk::Wait() const {
  answered_.wait(false, std::memory_order_acquire);
  return answer_;
}

const RepeatedAnswer* OpenAsk::WaitFor(storage::Completion* waiting) {
  if (answered_.load(std::memory_order_acquire)) return &answer_;
  const std::lock_guard lock(mutex_);
  if (answered_.load(std::memory_order_relaxed)) return &answer_;
  waiting_.push_back(waiting);
  return nullptr;
}

RequestIds::Found RequestIds::Ask(const Key& key, Nanos now) {
  const Nanos life = this->life();
  Shard& shard = shards_[key.hi % kShards];
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.entries.find(key); found != shard.entries.end()) {
    if (!Expired(found->second.since, now, life)) return {found->second.ask, false};
    shard.entries.erase(found);
    entries_.fetch_sub(1, std::memory_order_relaxed);
  }
  DropOldest(shard, now, life, most_of_shard_.load(std::memory_order_relaxed));
  auto ask = std::make_shared<OpenAsk>();
  shard.entries.emplace(key, Entry{ask, now});
  shard.by_age.emplace_back(now, key);
  entries_.fetch_add(1, std::memory_order_relaxed);
  return {std::move(ask), true};
}

void RequestIds::Forget(const Key& key, const OpenAsk& ask) {
  Shard& shard = shards_[key.hi % kShards];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.entries.find(key);
  if (found == shard.entries.end() || found->second.ask.get() != &ask) return;
  shard.entries.erase(found);
  entries_.fetch_sub(1, std::memory_order_relaxed);
  // Denials are forgotten at once, and what is behind them may live for long: now and then all are looked at.
  if (shard.by_age.size() <= 2 * shard.entries.size() + 64) return;
  std::erase_if(shard.by_age, [&](const auto& aged) {
    const auto known = shard.entries.find(aged.second);
    return known == shard.entries.end() || known->second.since != aged.first;
  });
}

// Removes expired entries, and others until there is room for one. A few at most, since the caller waits for it.
void RequestIds::DropOldest(Shard& shard, Nanos now, Nanos life, std::size_t most) {
  constexpr int kAtOnce = 16;
  for (int dropped = 0; !shard.by_age.empty() && dropped < kAtOnce;) {
    const auto [since, key] = shard.by_age.front();
    const auto found = shard.entries.find(key);
    if (found != shard.entries.end() && found->second.since == since) {
      const bool expired = Expired(since, now, life);
      if (!expired && shard.entries.size() < most) return;
      if (!expired) evicted_.fetch_add(1, std::memory_order_relaxed);
      shard.entries.erase(found);
      entries_.fetch_sub(1, std::memory_order_relaxed);
      ++dropped;
    }
    shard.by_age.pop_front();
  }
}

AskDigest& AskDigest::Add(std::string_view text) {
  Add(std::uint64_t{text.size()});
  bytes_.insert(bytes_.end(), text.begin(), text.end());
  return *this;
}

AskDigest& AskDigest::Add(std::uint64_t number) {
  for (unsigned shift = 0; shift < 64; shift += 8) bytes_.push_back(static_cast<char>(number >> shift & 255U));
  return *this;
}

Key AskDigest::Finish() const {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(bytes_.data()), bytes_.size(), digest.data());
  const auto word = [&digest](std::size_t from) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) value |= std::uint64_t{digest[from + i]} << (8 * i);
    return value;
  };
  return {.hi = word(0), .lo = word(8)};
}

}  // namespace weir::engine
