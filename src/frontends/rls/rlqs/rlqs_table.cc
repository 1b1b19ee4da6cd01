#include "frontends/rls/rlqs/rlqs_table.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "frontends/rls/rlqs/rlqs_shares.h"

namespace weir::rls {
namespace {

// An assignment is told anew once so much of its time is over.
constexpr Nanos kRenewAfter = 3;  // a third

// What a bucket takes, without its members.
std::size_t BytesOf(std::string_view domain, std::span<const Attribute> entries) {
  std::size_t bytes = 512 + domain.size() + entries.size() * (sizeof(Attribute) + sizeof(std::uint32_t));
  for (const Attribute& entry : entries) bytes += entry.name.size() + entry.value.size();
  return bytes;
}

bool Same(const Attribute& one, const Attribute& other) { return one.name == other.name && one.value == other.value; }

bool Matters(std::uint64_t before, std::uint64_t after) {
  const std::uint64_t change = before > after ? before - after : after - before;
  return change > std::max<std::uint64_t>(std::max(before, after) / 10, 1);
}

// In the long run, or at once.
bool GivesLess(const Assignment& part, const Assignment& held) {
  using enum Assignment::Kind;
  if (held.kind == kDenyAll || part.kind == kAllowAll) return false;
  if (held.kind == kAllowAll || part.kind == kDenyAll) return part != held;
  return part.max_tokens < held.max_tokens || std::uint64_t{part.tokens_per_fill} * held.interval_seconds <
                                                  std::uint64_t{held.tokens_per_fill} * part.interval_seconds;
}

}  // namespace

Key QuotaTable::KeyOf(std::string_view domain, std::span<const Attribute> bucket) {
  // Nobody outside knows it, and so nobody can choose ids that share a key.
  static const std::uint64_t seed = [] {
    std::random_device source;
    return std::uint64_t{source()} << 32 | source();
  }();
  std::string text;
  const auto add = [&text](std::string_view part) {
    const auto size = static_cast<std::uint32_t>(part.size());
    text.append(reinterpret_cast<const char*>(&size), sizeof size);
    text.append(part);
  };
  add(domain);
  for (const Attribute& entry : bucket) {
    add(entry.name);
    add(entry.value);
  }
  return HashKey(seed, text);
}

// One stream after the other gets half of what is left.
bool QuotaTable::Take(const Held& held, std::size_t buckets, std::size_t bytes) {
  const auto fits = [](std::atomic<std::size_t>& taken, std::size_t most, std::size_t mine, std::size_t more) {
    if (more == 0) return true;
    const std::size_t before = taken.fetch_add(more, std::memory_order_relaxed);
    if (before <= most && mine + more <= most - before) return true;
    taken.fetch_sub(more, std::memory_order_relaxed);
    return false;
  };
  if (!fits(buckets_, options_.most_buckets, held.buckets, buckets)) return false;
  if (fits(bytes_, options_.most_bytes, held.bytes, bytes)) return true;
  buckets_.fetch_sub(buckets, std::memory_order_relaxed);
  return false;
}

void QuotaTable::Return(std::size_t buckets, std::size_t bytes) const {
  buckets_.fetch_sub(buckets, std::memory_order_relaxed);
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

std::unique_ptr<QuotaTable::Bucket> QuotaTable::MakeBucket(std::string_view domain,
                                                           std::span<const Attribute> entries) {
  auto bucket = std::make_unique<Bucket>();
  std::size_t size = domain.size();
  for (const Attribute& entry : entries) size += entry.name.size() + entry.value.size();
  bucket->texts.reserve(size);
  const auto keep = [&](std::string_view text) {
    const std::size_t at = bucket->texts.size();
    bucket->texts.append(text);
    return std::string_view(bucket->texts).substr(at);
  };
  bucket->domain = keep(domain);
  for (const Attribute& entry : entries) {
    const std::string_view name = keep(entry.name);
    bucket->entries.push_back({name, keep(entry.value)});
  }
  bucket->bytes = BytesOf(domain, entries);
  return bucket;
}

void QuotaTable::Resolve(Bucket& bucket, const config::Snapshot& snapshot, Nanos wall) const {
  if (bucket.version == snapshot.version() && !bucket.scheduled) return;
  bucket.version = snapshot.version();
  bucket.order.resize(bucket.entries.size());
  std::iota(bucket.order.begin(), bucket.order.end(), 0U);
  Budget budget;
  bucket.scheduled = false;
  if (const config::DomainEntry* const domain = snapshot.FindDomain(bucket.domain)) {
    const config::Rule* const rule = domain->FindInAnyOrder(bucket.entries, bucket.order);
    bucket.scheduled = rule != nullptr && rule->schedule != nullptr;
    budget = BudgetOf(rule != nullptr && rule->InForce(wall) ? rule : nullptr);
    // What else limits it depends on more than the bucket; and of several rules no one token bucket can be made.
    const bool several = !domain->rules.empty() || (rule != nullptr && rule->descriptor->beside > 0);
    if (several || (domain->hierarchy && budget.kind == Budget::Kind::kAllowAll)) {
      budget = {.kind = Budget::Kind::kUnknown};
    }
  } else {
    budget = BudgetOfUnknownDomain(snapshot.document().envoy.unknown_domain);
  }
  if (budget == bucket.budget) return;
  // Demands are told in tokens of the budget.
  for (Member& member : bucket.members) {
    member.told = false;
    if (bucket.budget.interval_seconds == 0) continue;
    member.demand = DemandOf(budget, member.demand, Nanos{bucket.budget.interval_seconds} * kSecond);
  }
  bucket.budget = budget;
  bucket.dirty = true;
}

void QuotaTable::Note(Member& member, const Bucket& bucket, const BucketUsage& usage, Nanos now,
                      const QuotaOptions& options) {
  const Nanos since = member.reported == 0 ? 0 : std::max<Nanos>(now - member.reported, 0);
  // Envoy tells whole seconds, and so 0 for the first.
  const Nanos elapsed = usage.elapsed >= kSecond ? usage.elapsed : since;
  const std::uint64_t requests = usage.allowed > UINT64_MAX - usage.denied ? UINT64_MAX : usage.allowed + usage.denied;
  const std::uint64_t demand = DemandOf(bucket.budget, requests, elapsed);
  // Up at once, down by halves: a pause between two requests is not the end of them.
  member.demand = std::max(demand, (member.demand + demand) / 2);
  member.ttl =
      std::clamp<Nanos>(3 * std::max(since, std::min(elapsed, options.longest_ttl)), options.ttl, options.longest_ttl);
  if (requests > 0 || member.reported == 0) member.wanted_at = now;
  member.reported = now;
}

QuotaTable::Reported QuotaTable::Report(std::uint64_t stream, const Held& held, std::string_view domain, const Key& key,
                                        const BucketUsage& usage, const config::Snapshot& snapshot, Moment at,
                                        Notify tell) {
  const Nanos now = at.now;
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  auto found = shard.buckets.find(key);
  std::size_t bytes = 0;
  if (found == shard.buckets.end()) {
    bytes = BytesOf(domain, usage.bucket) + kMemberBytes;
    if (!Take(held, 1, bytes)) return {};
    found = shard.buckets.emplace(key, MakeBucket(domain, usage.bucket)).first;
  } else if (found->second->domain != domain || !std::ranges::equal(found->second->entries, usage.bucket, Same)) {
    return {};  // two ids of one key
  }
  Bucket& bucket = *found->second;
  auto member = std::ranges::find(bucket.members, stream, &Member::stream);
  if (member == bucket.members.end()) {
    if (bytes == 0) {
      bytes = kMemberBytes;
      if (bucket.members.size() >= options_.most_members || !Take(held, 0, bytes)) return {};
    }
    bucket.members.push_back({.stream = stream});
    member = bucket.members.end() - 1;
    bucket.dirty = true;
  }
  Resolve(bucket, snapshot, at.wall);
  const std::uint64_t before = member->demand;
  Note(*member, bucket, usage, now, options_);
  if (now - member->wanted_at >= options_.idle) {
    tell(stream, bucket.entries, {.kind = Assignment::Kind::kAbandon}, 0);
    Reported abandoned{.known = true, .order = bucket.order};
    bucket.members.erase(member);
    bucket.dirty = true;
    Return(0, kMemberBytes);
    if (bucket.members.empty()) {
      Return(1, bucket.bytes);
      shard.buckets.erase(found);
    }
    return abandoned;
  }
  bucket.dirty |= Matters(before, member->demand);
  Rebalance(bucket, now, tell);
  member = std::ranges::find(bucket.members, stream, &Member::stream);
  const bool ages = member->told && member->told_until < member->reported + member->ttl - member->ttl / kRenewAfter;
  if (ages) TellMember(bucket, *member, Assignment(member->assignment), now, tell);
  return {.known = true,
          .member = true,
          .unassigned = bucket.budget.kind == Budget::Kind::kUnknown,
          .bytes = bytes,
          .order = bucket.order};
}

bool QuotaTable::IsMember(std::uint64_t stream, const Key& key) const {
  const Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.buckets.find(key);
  return found != shard.buckets.end() &&
         std::ranges::find(found->second->members, stream, &Member::stream) != found->second->members.end();
}

void QuotaTable::Leave(std::uint64_t stream, const Key& key, Nanos now, Notify tell) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.buckets.find(key);
  if (found == shard.buckets.end()) return;
  Bucket& bucket = *found->second;
  if (std::erase_if(bucket.members, [&](const Member& member) { return member.stream == stream; }) == 0) return;
  Return(0, kMemberBytes);
  if (bucket.members.empty()) {
    Return(1, bucket.bytes);
    shard.buckets.erase(found);
    return;
  }
  bucket.dirty = true;
  Rebalance(bucket, now, tell);
}

// Those whose assignments have ended, too: a promise may be longer than what was learned since asks for.
void QuotaTable::DropSilent(Bucket& bucket, Nanos now) const {
  const std::size_t gone = std::erase_if(bucket.members, [&](const Member& member) {
    return now > std::max(member.reported + member.ttl, member.told_until) + kSecond;
  });
  Return(0, gone * kMemberBytes);
  bucket.dirty |= gone > 0;
}

void QuotaTable::Tick(const config::Snapshot& snapshot, Moment at, Notify tell) {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (auto next = shard.buckets.begin(); next != shard.buckets.end();) {
      Bucket& bucket = *next->second;
      DropSilent(bucket, at.now);
      if (bucket.members.empty()) {
        Return(1, bucket.bytes);
        next = shard.buckets.erase(next);
        continue;
      }
      Resolve(bucket, snapshot, at.wall);
      Rebalance(bucket, at.now, tell);
      ++next;
    }
  }
}

// The parts anew, if something has changed and the latest change is old enough.
void QuotaTable::Rebalance(Bucket& bucket, Nanos now, Notify tell) const {
  if (!bucket.dirty) return;
  const bool lately =
      bucket.ever_balanced && now >= bucket.balanced && now - bucket.balanced < options_.rebalance_every;
  if (lately) return;
  DropSilent(bucket, now);
  bucket.dirty = false;
  bucket.balanced = now;
  bucket.ever_balanced = true;
  if (bucket.budget.kind == Budget::Kind::kUnknown) return;
  std::vector<std::uint64_t> demands(bucket.members.size());
  std::ranges::transform(bucket.members, demands.begin(), &Member::demand);
  const std::vector<std::uint64_t> shares = FairShares(bucket.budget.tokens, demands);
  bool change = false;
  std::uint64_t given = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const Member& member = bucket.members[i];
    change |= !member.told || Matters(member.share, shares[i]);
    given += member.share;
  }
  // What a member that went has left is given to the others, however little it is to each.
  change |= given != bucket.budget.tokens;
  if (!change) return;
  // First those that get less. While one of them cannot be told, and so goes on with what it has, there is nothing for
  // those that get more.
  bool all_told = true;
  for (const bool less : {true, false}) {
    if (!all_told) return;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      Member& member = bucket.members[i];
      const Assignment part = PartOf(bucket.budget, shares[i]);
      const bool holds = member.told_until != 0 && now <= member.told_until + kSecond;
      const bool gets_less = holds && GivesLess(part, member.assignment);
      if (gets_less != less) continue;
      if (!member.told || part != member.assignment) all_told &= TellMember(bucket, member, part, now, tell);
      if (member.told) member.share = shares[i];
    }
  }
}

// Not beyond the time at which the member would be forgotten, and never less than was promised before. A member that
// cannot be told keeps what it has, and the bucket is looked at again.
bool QuotaTable::TellMember(Bucket& bucket, Member& member, const Assignment& part, Nanos now, Notify tell) {
  const Nanos until = std::max({member.told_until, member.reported + member.ttl, now + kSecond});
  member.told = tell(member.stream, bucket.entries, part, until - now);
  if (member.told) {
    member.assignment = part;
    member.told_until = until;
  } else {
    bucket.dirty = true;
  }
  return member.told;
}

QuotaTable::Counts QuotaTable::counts() const {
  Counts counts;
  counts.bytes = bytes_.load(std::memory_order_relaxed);
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    counts.buckets += shard.buckets.size();
    for (const auto& [key, bucket] : shard.buckets) counts.members += bucket->members.size();
  }
  return counts;
}

}  // namespace weir::rls
