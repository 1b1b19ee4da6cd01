#include "frontends/rls/rlqs_table.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "frontends/rls/rlqs_shares.h"

namespace weir::rls {
namespace {

// An assignment is told anew once so much of its time is over.
constexpr Nanos kRenewAfter = 3;  // a third

bool Matters(std::uint64_t before, std::uint64_t after) {
  const std::uint64_t change = before > after ? before - after : after - before;
  return change > std::max<std::uint64_t>(std::max(before, after) / 10, 1);
}

}  // namespace

std::string QuotaTable::KeyOf(std::string_view domain, std::span<const Attribute> bucket) {
  std::string key;
  const auto add = [&key](std::string_view text) {
    const auto size = static_cast<std::uint32_t>(text.size());
    key.append(reinterpret_cast<const char*>(&size), sizeof size);
    key.append(text);
  };
  add(domain);
  for (const Attribute& entry : bucket) {
    add(entry.name);
    add(entry.value);
  }
  return key;
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
  return bucket;
}

void QuotaTable::Resolve(Bucket& bucket, const config::Snapshot& snapshot, Nanos now) const {
  if (bucket.version == snapshot.version() && !bucket.scheduled) return;
  bucket.version = snapshot.version();
  bucket.order.resize(bucket.entries.size());
  std::iota(bucket.order.begin(), bucket.order.end(), 0U);
  Budget budget;
  bucket.scheduled = false;
  if (const config::DomainEntry* const domain = snapshot.FindDomain(bucket.domain)) {
    const config::Rule* const rule = domain->FindInAnyOrder(bucket.entries, bucket.order);
    bucket.scheduled = rule != nullptr && rule->schedule != nullptr;
    budget = BudgetOf(rule != nullptr && rule->InForce(now) ? rule : nullptr);
  } else if (snapshot.document().envoy.unknown_domain == UnknownDomain::kDeny) {
    budget.kind = Budget::Kind::kDenyAll;
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

QuotaTable::Reported QuotaTable::Report(std::uint64_t stream, std::string_view domain, const std::string& key,
                                        const BucketUsage& usage, const config::Snapshot& snapshot, Nanos now,
                                        Tell tell) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  auto found = shard.buckets.find(key);
  if (found == shard.buckets.end()) {
    if (buckets_.fetch_add(1, std::memory_order_relaxed) >= options_.most_buckets) {
      buckets_.fetch_sub(1, std::memory_order_relaxed);
      return {};
    }
    found = shard.buckets.emplace(key, MakeBucket(domain, usage.bucket)).first;
  }
  Bucket& bucket = *found->second;
  Resolve(bucket, snapshot, now);
  auto member = std::ranges::find(bucket.members, stream, &Member::stream);
  if (member == bucket.members.end()) {
    bucket.members.push_back({.stream = stream});
    member = bucket.members.end() - 1;
    bucket.dirty = true;
  }
  const std::uint64_t before = member->demand;
  Note(*member, bucket, usage, now, options_);
  if (now - member->wanted_at >= options_.idle) {
    tell(stream, bucket.entries, {.kind = Assignment::Kind::kAbandon}, 0);
    Reported abandoned{.known = true, .order = bucket.order};
    bucket.members.erase(member);
    bucket.dirty = true;
    if (bucket.members.empty()) {
      shard.buckets.erase(found);
      buckets_.fetch_sub(1, std::memory_order_relaxed);
    }
    return abandoned;
  }
  bucket.dirty |= Matters(before, member->demand);
  Rebalance(bucket, now, tell);
  member = std::ranges::find(bucket.members, stream, &Member::stream);
  const bool ages = member->told && member->told_until < member->reported + member->ttl - member->ttl / kRenewAfter;
  if (ages) TellMember(bucket, *member, now, tell);
  return {.known = true, .member = true, .order = bucket.order};
}

void QuotaTable::Leave(std::uint64_t stream, const std::string& key, Nanos now, Tell tell) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.buckets.find(key);
  if (found == shard.buckets.end()) return;
  Bucket& bucket = *found->second;
  if (std::erase_if(bucket.members, [&](const Member& member) { return member.stream == stream; }) == 0) return;
  if (bucket.members.empty()) {
    shard.buckets.erase(found);
    buckets_.fetch_sub(1, std::memory_order_relaxed);
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
  bucket.dirty |= gone > 0;
}

void QuotaTable::Tick(const config::Snapshot& snapshot, Nanos now, Tell tell) {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (auto at = shard.buckets.begin(); at != shard.buckets.end();) {
      Bucket& bucket = *at->second;
      DropSilent(bucket, now);
      if (bucket.members.empty()) {
        at = shard.buckets.erase(at);
        buckets_.fetch_sub(1, std::memory_order_relaxed);
        continue;
      }
      Resolve(bucket, snapshot, now);
      Rebalance(bucket, now, tell);
      ++at;
    }
  }
}

// The parts anew, if something has changed and the latest change is old enough.
void QuotaTable::Rebalance(Bucket& bucket, Nanos now, Tell tell) const {
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
  // First those that get less, so that they are told first.
  for (const bool less : {true, false}) {
    for (std::size_t i = 0; i < shares.size(); ++i) {
      Member& member = bucket.members[i];
      const bool gets_less = member.told && shares[i] < member.share;
      if (gets_less != less) continue;
      const Assignment part = PartOf(bucket.budget, shares[i]);
      member.share = shares[i];
      if (member.told && part == member.assignment) continue;
      member.assignment = part;
      TellMember(bucket, member, now, tell);
    }
  }
}

// Not beyond the time at which the member would be forgotten, and never less than was promised before.
void QuotaTable::TellMember(const Bucket& bucket, Member& member, Nanos now, Tell tell) {
  member.told = true;
  member.told_until = std::max({member.told_until, member.reported + member.ttl, now + kSecond});
  tell(member.stream, bucket.entries, member.assignment, member.told_until - now);
}

QuotaTable::Counts QuotaTable::counts() const {
  Counts counts;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    counts.buckets += shard.buckets.size();
    for (const auto& [key, bucket] : shard.buckets) counts.members += bucket->members.size();
  }
  return counts;
}

}  // namespace weir::rls
