// The buckets that data planes report, and how each bucket's budget is divided among those that report it.
//
// A stream of reports is a member of the buckets that it reports. Every report says how much was asked for since the
// one before; from that, at most once a second a bucket, the parts are made anew (rlqs_shares.h), and whoever has
// another part than before is told: nobody gets more before those that get less have been told. Parts are left as they
// are while none would change by more than a tenth: a bucket that Envoy is told anew begins full, so that each change
// lets a burst through.
//
// An assignment ends at a time that the table knows too: `ttl` after the latest report, or three times as long as the
// stream takes between reports, if that is longer. A member that has said nothing until a second after is forgotten,
// and its part is the others'. A member that asked for nothing for `idle` is told to abandon the bucket.
//
// Buckets and members are bounded in number and in bytes, and of what is free a stream may take no more than it holds
// already would leave: however much some streams report, there is something left for another. The members of one bucket
// are bounded too, as a report looks through them and their parts are made together, under a lock.
//
// Thread-safe. Who is told something is called under a lock, and must neither wait nor come back here.
#pragma once

#include <absl/functional/function_ref.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "config/snapshot/snapshot.h"
#include "frontends/rls/rlqs/rlqs_budget.h"
#include "frontends/rls/rlqs/rlqs_messages.h"

namespace weir::rls {

struct QuotaOptions {
  Nanos ttl = kMinute;
  Nanos longest_ttl = kHour;
  Nanos idle = 10 * kMinute;
  Nanos rebalance_every = kSecond;
  std::size_t most_buckets = 100'000;
  std::size_t most_members = 1'000;             // of one bucket
  std::size_t most_bytes = 256 << 20;           // about what buckets and members take
  std::size_t most_uncounted_bytes = 64 << 20;  // of what was reported and waits for the store
  const Clock* clock = nullptr;                 // the service's, for Moment::now; nullptr: MonotonicClock()
};

// One moment by two clocks: all that lasts for some time goes by `now`, of a clock that nobody sets, and what a
// schedule says by `wall`.
struct Moment {
  Nanos now = 0, wall = 0;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const noexcept { return key.lo; }
};

class QuotaTable {
 public:
  explicit QuotaTable(const QuotaOptions& options = {}) : options_(options) {}

  // Tells the stream what holds for a bucket (its id as it was reported) for `ttl`. False: it cannot be told yet, and
  // is when parts are made the next time. (Never of a stream's own report.)
  using Notify = absl::FunctionRef<bool(std::uint64_t stream, std::span<const Attribute> bucket,
                                        const Assignment& assignment, Nanos ttl)>;

  // Names a bucket of a domain, as long as the process runs; what is equal names the same.
  static Key KeyOf(std::string_view domain, std::span<const Attribute> bucket);

  // What a stream is a member of.
  struct Held {
    std::size_t buckets = 0, bytes = 0;
  };
  struct Reported {
    bool known = false;       // false: it would be too much, and is not kept
    bool member = false;      // the stream is a member of it from now on
    bool unassigned = false;  // no data plane could enforce what limits it, and none is told anything
    std::size_t bytes = 0;    // what the membership takes, if it is new
    // The bucket's id in the order in which it walks down the domain's tree, as positions in usage.bucket.
    std::vector<std::uint32_t> order = {};
  };
  // `held`: by the stream until now.
  Reported Report(std::uint64_t stream, const Held& held, std::string_view domain, const Key& key,
                  const BucketUsage& usage, const config::Snapshot& snapshot, Moment at, Notify tell);
  // Whether the stream is still a member: silent ones are forgotten.
  bool IsMember(std::uint64_t stream, const Key& key) const;
  // The stream has ended.
  void Leave(std::uint64_t stream, const Key& key, Nanos now, Notify tell);
  // What is due: silent members go, budgets follow the configuration, parts follow demand. About once a second.
  void Tick(const config::Snapshot& snapshot, Moment at, Notify tell);

  struct Counts {
    std::size_t buckets = 0, members = 0, bytes = 0;
  };
  Counts counts() const;

 private:
  struct Member {
    std::uint64_t stream = 0;
    Nanos reported = 0, ttl = 0, wanted_at = 0;
    std::uint64_t demand = 0;  // tokens an interval
    std::uint64_t share = 0;
    bool told = false;
    Assignment assignment = {};  // told last, and gone by until told_until
    Nanos told_until = 0;        // 0: never
  };
  struct Bucket {
    std::string texts;  // what the entries point to
    std::string_view domain;
    std::vector<Attribute> entries;  // ascending by key
    std::uint64_t version = 0;       // of the snapshot that budget and order are of
    bool scheduled = false;          // the budget depends on the time
    Budget budget;
    std::vector<std::uint32_t> order;
    std::vector<Member> members;
    std::size_t bytes = 0;  // without members
    bool dirty = false;
    Nanos balanced = 0;
    bool ever_balanced = false;
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::unordered_map<Key, std::unique_ptr<Bucket>, KeyHash> buckets;
  };
  // With its share of the containers; the stream's own note of it, too.
  static constexpr std::size_t kMemberBytes = 2 * sizeof(Member) + 64;

  Shard& ShardOf(const Key& key) { return shards_[key.hi % shards_.size()]; }
  const Shard& ShardOf(const Key& key) const { return shards_[key.hi % shards_.size()]; }
  static std::unique_ptr<Bucket> MakeBucket(std::string_view domain, std::span<const Attribute> entries);
  // False: there is not so much left, for one that holds so much.
  bool Take(const Held& held, std::size_t buckets, std::size_t bytes);
  void Return(std::size_t buckets, std::size_t bytes) const;
  void Resolve(Bucket& bucket, const config::Snapshot& snapshot, Nanos wall) const;
  static void Note(Member& member, const Bucket& bucket, const BucketUsage& usage, Nanos now,
                   const QuotaOptions& options);
  void DropSilent(Bucket& bucket, Nanos now) const;
  void Rebalance(Bucket& bucket, Nanos now, Notify tell) const;
  static bool TellMember(Bucket& bucket, Member& member, const Assignment& part, Nanos now, Notify tell);

  const QuotaOptions options_;
  std::array<Shard, 16> shards_;
  mutable std::atomic<std::size_t> buckets_{0}, bytes_{0};
};

}  // namespace weir::rls
