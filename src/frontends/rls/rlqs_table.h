// The buckets that data planes report, and how each bucket's budget is divided among those that report it.
//
// A stream of reports is a member of the buckets that it reports. Every report says how much was asked for since the
// one before; from that, at most once a second a bucket, the parts are made anew (rlqs_shares.h), and whoever has
// another part than before is told. Parts are left as they are while none would change by more than a tenth: a bucket
// that Envoy is told anew begins full, so that each change lets a burst through.
//
// An assignment ends at a time that the table knows too: `ttl` after the latest report, or three times as long as the
// stream takes between reports, if that is longer. A member that has said nothing until a second after is forgotten,
// and its part is the others'. A member that asked for nothing for `idle` is told to abandon the bucket.
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
#include "config/snapshot.h"
#include "frontends/rls/rlqs_budget.h"
#include "frontends/rls/rlqs_messages.h"

namespace weir::rls {

struct QuotaOptions {
  Nanos ttl = kMinute;
  Nanos longest_ttl = kHour;
  Nanos idle = 10 * kMinute;
  Nanos rebalance_every = kSecond;
  std::size_t most_buckets = 100'000;
};

class QuotaTable {
 public:
  explicit QuotaTable(const QuotaOptions& options = {}) : options_(options) {}

  // Tells the stream what holds for a bucket (its id as it was reported) for `ttl`.
  using Tell = absl::FunctionRef<void(std::uint64_t stream, std::span<const Attribute> bucket,
                                      const Assignment& assignment, Nanos ttl)>;

  // Names a bucket of a domain; what is equal names the same.
  static std::string KeyOf(std::string_view domain, std::span<const Attribute> bucket);

  struct Reported {
    bool known = false;   // false: there are too many buckets, and this one is not kept
    bool member = false;  // the stream is a member of it from now on
    // The bucket's id in the order in which it walks down the domain's tree, as positions in usage.bucket.
    std::vector<std::uint32_t> order = {};
  };
  Reported Report(std::uint64_t stream, std::string_view domain, const std::string& key, const BucketUsage& usage,
                  const config::Snapshot& snapshot, Nanos now, Tell tell);
  // The stream has ended.
  void Leave(std::uint64_t stream, const std::string& key, Nanos now, Tell tell);
  // What is due: silent members go, budgets follow the configuration, parts follow demand. About once a second.
  void Tick(const config::Snapshot& snapshot, Nanos now, Tell tell);

  struct Counts {
    std::size_t buckets = 0, members = 0;
  };
  Counts counts() const;

 private:
  struct Member {
    std::uint64_t stream = 0;
    Nanos reported = 0, ttl = 0, wanted_at = 0;
    std::uint64_t demand = 0;  // tokens an interval
    std::uint64_t share = 0;
    bool told = false;
    Assignment assignment = {};
    Nanos told_until = 0;
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
    bool dirty = false;
    Nanos balanced = 0;
    bool ever_balanced = false;
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, std::unique_ptr<Bucket>> buckets;
  };

  Shard& ShardOf(const std::string& key) { return shards_[std::hash<std::string>()(key) % shards_.size()]; }
  static std::unique_ptr<Bucket> MakeBucket(std::string_view domain, std::span<const Attribute> entries);
  void Resolve(Bucket& bucket, const config::Snapshot& snapshot, Nanos now) const;
  static void Note(Member& member, const Bucket& bucket, const BucketUsage& usage, Nanos now,
                   const QuotaOptions& options);
  void DropSilent(Bucket& bucket, Nanos now) const;
  void Rebalance(Bucket& bucket, Nanos now, Tell tell) const;
  static void TellMember(const Bucket& bucket, Member& member, Nanos now, Tell tell);

  const QuotaOptions options_;
  std::array<Shard, 16> shards_;
  std::atomic<std::size_t> buckets_{0};
};

}  // namespace weir::rls
