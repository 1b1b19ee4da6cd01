// What was answered to asks that have a request_id, so that one that is asked for again is not charged again
// (docs/decisions/0030).
//
// An ask is known by a key over its id, its rules, their subjects and costs. The first one with a key answers; others
// that come meanwhile wait for it, and those that come later, while it is remembered, are given the same.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "storage/store.h"
#include "weir/decision.h"
#include "weir/outcome.h"

namespace weir::engine {

// The answer to one plan, and to the calls that share it.
struct RepeatedAnswer {
  // Of each call.
  struct Part {
    std::uint64_t reservation = 0;
    Reason failed = Reason::kOk;  // as FailurePolicy::Decide said
  };
  std::vector<Outcome> outcomes;
  std::vector<Part> parts;
  storage::PlanStatus status = storage::PlanStatus::kOk;
  bool admitted = false;
  bool untracked = false;
  Nanos at = 0;  // when it was given, by the engine's clock
};

// An ask that is under way or answered. Thread-safe.
class OpenAsk {
 public:
  // Once, by whoever asked first. Tells all who wait, on this thread.
  void Answer(RepeatedAnswer answer);
  // Blocks; only where whoever answers never waits for anybody.
  const RepeatedAnswer& Wait() const;
  // nullptr: not yet, and `waiting->Done()` follows, on the thread that answers. Otherwise nobody is told.
  const RepeatedAnswer* WaitFor(storage::Completion* waiting);

 private:
  std::atomic<bool> answered_{false};
  RepeatedAnswer answer_;  // constant once answered
  std::mutex mutex_;
  std::vector<storage::Completion*> waiting_;
};

// Thread-safe; a lock for each 1/16 of the keys. Bounded: beyond its bound the oldest are forgotten, and counted.
class RequestIds {
 public:
  // `most`: rounded down to a multiple of 16, at least 16. Holds for what comes from now on.
  void SetBounds(std::size_t most, Nanos life) {
    most_of_shard_.store(most < kShards ? 1 : most / kShards, std::memory_order_relaxed);
    life_.store(life, std::memory_order_relaxed);
  }
  Nanos life() const { return life_.load(std::memory_order_relaxed); }

  struct Found {
    std::shared_ptr<OpenAsk> ask;
    bool first = false;  // the caller has to answer it
  };
  Found Ask(const Key& key, Nanos now);
  // The ask's answer is not to be given to those who come later.
  void Forget(const Key& key, const OpenAsk& ask);

  std::size_t entries() const { return entries_.load(std::memory_order_relaxed); }
  std::uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kShards = 16;
  struct Entry {
    std::shared_ptr<OpenAsk> ask;
    Nanos since = 0;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return static_cast<std::size_t>(key.lo); }
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<Key, Entry, KeyHash> entries;
    std::deque<std::pair<Nanos, Key>> by_age;  // also of forgotten ones, until they reach the front
  };
  void DropOldest(Shard& shard, Nanos now, Nanos life, std::size_t most);

  std::atomic<std::size_t> most_of_shard_{1};
  std::atomic<Nanos> life_{kMinute};
  std::atomic<std::size_t> entries_{0};
  std::atomic<std::uint64_t> evicted_{0};
  std::array<Shard, kShards> shards_;
};

// A digest of what is added, the same on every machine; nobody can find two contents that have the same one.
class AskDigest {
 public:
  AskDigest& Add(std::string_view text);  // its length too: two texts in a row are never taken for two others
  AskDigest& Add(std::uint64_t number);
  Key Finish() const;

 private:
  std::vector<char> bytes_;
};

}  // namespace weir::engine
