#include "storage/hybrid/ledger.h"

#include <algorithm>
#include <utility>

namespace weir::storage::hybrid {
namespace {

// While the store is away, charges of more times than this are told as of the last.
constexpr std::size_t kMostPieces = 8;
// Likewise refunds: as of the first charge that they are of, of which the store gives back the least.
constexpr std::size_t kMostRefunds = 16;
// How many told pieces are remembered. What is cancelled later is named by its own time, and may not be found.
constexpr std::size_t kMostTold = 8;

bool IsBucket(algorithms::Kind kind) {
  return kind == algorithms::Kind::kTokenBucket || kind == algorithms::Kind::kLeakyBucket;
}

// For how long charges are of one time. Of a bucket all of an exchange, told as of when they began: what drained since
// is for all instances together, and an earlier charge that is told after a later one finds none of it. Of a window
// less, as they are told as of when they ended, and that may be the next window.
Nanos WidthOf(algorithms::Kind kind, Nanos interval) {
  return IsBucket(kind) ? 2 * interval : std::max<Nanos>(1, interval / 2);
}

// How far apart refunds may be that are told as one. Windows and logs know a charge by its time, and that of another
// may name another window or nothing.
Nanos ApartOf(algorithms::Kind kind, Nanos interval) { return IsBucket(kind) ? WidthOf(kind, interval) : 0; }

std::uint64_t Plus(std::uint64_t a, std::uint64_t b) {
  return std::min(algorithms::kMaxCount, std::min(a, algorithms::kMaxCount) + std::min(b, algorithms::kMaxCount));
}

// Two as one. Both charges were there when the later one was made, and since the earlier one no more has drained than
// that time lets: the store gives back no more of the two than they occupy.
GivenUp Joined(const GivenUp& a, const GivenUp& b) {
  return {.named = a.named,
          .charge = {.cost = Plus(a.charge.cost, b.charge.cost), .at = std::min(a.charge.at, b.charge.at)},
          .units = Plus(a.units, b.units)};
}

}  // namespace

Item Account::MakeItem(std::uint64_t cost) const {
  Item item;
  item.limit = &limit;
  item.key = key;
  item.rule = rule;
  item.subject = subject;
  item.cost = cost;
  if (previous) {
    item.previous = &*previous;
    item.previous_key = previous_key;
    item.previous_rule = previous_rule;
  }
  return item;
}

std::uint64_t Account::Units() const {
  std::uint64_t units = 0;
  for (const Piece& piece : pieces) units = std::min(algorithms::kMaxCount, units + piece.units);
  return units;
}

void Account::Charge(std::uint64_t units, Nanos now, Nanos width) {
  units = std::min(units, algorithms::kMaxCount);
  // One that may have been told stays by itself, so that it alone is given up if it comes to that.
  const bool joins = !pieces.empty() && pieces.back().tries == 0 &&
                     (pieces.size() >= kMostPieces || now - pieces.back().first < width);
  if (!joins) pieces.push_back({now, now, 0, 0});
  Piece& piece = pieces.back();
  piece.last = std::max(piece.last, now);
  piece.units = std::min(algorithms::kMaxCount, piece.units + units);
}

void Account::Refund(std::uint64_t units, const algorithms::PastCharge* charge, Nanos interval) {
  GivenUp rest{.named = charge != nullptr, .charge = {}, .units = units};
  if (charge != nullptr) {
    rest.charge = *charge;
    const auto untold = std::ranges::find_if(
        pieces, [&](const Piece& piece) { return piece.first <= charge->at && charge->at <= piece.last; });
    if (untold != pieces.end()) {
      const std::uint64_t taken = std::min(units, untold->units);
      untold->units -= taken;
      rest.units -= taken;
      rest.charge.cost -= std::min(taken, rest.charge.cost);
    }
    // The latest of them: one that was refused and told again is there as the later piece.
    const auto heard = std::find_if(told.rbegin(), told.rend(),
                                    [&](const Told& one) { return one.first <= charge->at && charge->at <= one.last; });
    if (heard != told.rend()) {
      rest.charge.at = heard->at;
    } else if (IsBucket(limit.kind)) {
      rest.charge.at -= WidthOf(limit.kind, interval);  // it was told as of when its piece began
    }
  } else {
    for (auto piece = pieces.rbegin(); piece != pieces.rend() && rest.units > 0; ++piece) {
      const std::uint64_t taken = std::min(rest.units, piece->units);
      piece->units -= taken;
      rest.units -= taken;
    }
  }
  std::erase_if(pieces, [](const Piece& piece) { return piece.units == 0; });
  if (rest.units > 0) Add(rest, ApartOf(limit.kind, interval));
}

void Account::Add(const GivenUp& refund, Nanos width) {
  for (GivenUp& other : refunds) {
    if (other.named != refund.named) continue;
    const Nanos apart = other.charge.at - refund.charge.at;
    if (refund.named && (apart > width || apart < -width)) continue;
    other = Joined(other, refund);
    return;
  }
  // One that names no charge is never joined to one that does: it has no time, and neither would be given back.
  if (refunds.size() < kMostRefunds || !refund.named) {
    refunds.push_back(refund);
    return;
  }
  const auto named = std::ranges::find_if(refunds, &GivenUp::named);
  *named = Joined(*named, refund);
}

bool Ledger::Open(const Item& item) {
  Shard& shard = ShardOf(item.key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.accounts.find(item.key);
  if (found == shard.accounts.end() && shard.accounts.size() >= most_) return false;
  Account& account = found == shard.accounts.end() ? shard.accounts[item.key] : found->second;
  account.key = item.key;
  account.limit = *item.limit;
  account.rule = item.rule;
  account.subject = item.subject;
  account.asked = true;
  if (item.previous != nullptr && item.previous_key != item.key) {
    account.previous = *item.previous;
    account.previous_key = item.previous_key;
    account.previous_rule = item.previous_rule;
  }
  return true;
}

bool Ledger::Touch(std::span<const Item> items) {
  return std::ranges::all_of(items, [this](const Item& item) {
    if (item.limit->kind == algorithms::Kind::kUnlimited) return true;
    Shard& shard = ShardOf(item.key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.accounts.find(item.key);
    if (found == shard.accounts.end() || found->second.limit != *item.limit) return false;
    return found->second.asked = true;
  });
}

void Ledger::Charge(const Item& item, std::uint64_t units, Nanos now) {
  Shard& shard = ShardOf(item.key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.accounts.find(item.key);
  if (found != shard.accounts.end() && units > 0)
    found->second.Charge(units, now, WidthOf(item.limit->kind, interval_));
}

void Ledger::Refund(const Item& item, std::uint64_t units) {
  Shard& shard = ShardOf(item.key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.accounts.find(item.key);
  if (found != shard.accounts.end() && units > 0) found->second.Refund(units, item.charge, interval_);
}

void Ledger::Forget(const Key& key) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  shard.accounts.erase(key);
}

std::vector<Account> Ledger::Take() {
  std::vector<Account> taken;
  const std::size_t begin = begin_.fetch_add(1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < kShards; ++i) {
    Shard& shard = shards_[(begin + i) % kShards];
    const std::lock_guard lock(shard.mutex);
    for (auto it = shard.accounts.begin(); it != shard.accounts.end();) {
      Account& account = it->second;
      const bool owes = !account.pieces.empty() || !account.refunds.empty();
      if (!owes && !account.asked) {
        it = shard.accounts.erase(it);
        continue;
      }
      std::vector<Told> told = std::exchange(account.told, {});  // is of no use to who takes it
      taken.push_back(account);
      account.told = std::move(told);
      account.pieces.clear();
      account.refunds.clear();
      account.asked = false;
      ++it;
    }
  }
  return taken;
}

void Ledger::Note(const Key& key, const Piece& piece, Nanos at) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.accounts.find(key);
  if (found == shard.accounts.end()) return;
  std::vector<Told>& told = found->second.told;
  if (told.size() >= kMostTold) told.erase(told.begin());
  told.push_back({piece.first, piece.last, at});
}

void Ledger::PutBack(const Account& account) {
  Shard& shard = ShardOf(account.key);
  const std::lock_guard lock(shard.mutex);
  // It is there: only Take() closes accounts, and Forget(), after which there is nothing to be told.
  const auto found = shard.accounts.find(account.key);
  if (found == shard.accounts.end()) return;
  Account& now = found->second;
  std::vector<Piece> pieces = account.pieces;
  pieces.insert(pieces.end(), now.pieces.begin(), now.pieces.end());
  while (pieces.size() > kMostPieces) {
    pieces[1] = {pieces[0].first, pieces[1].last, Plus(pieces[0].units, pieces[1].units),
                 std::max(pieces[0].tries, pieces[1].tries)};
    pieces.erase(pieces.begin());
  }
  now.pieces = std::move(pieces);
  for (const GivenUp& refund : account.refunds) now.Add(refund, ApartOf(now.limit.kind, interval_));
}

std::uint64_t Ledger::Owed(const Key& key) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.accounts.find(key);
  return found == shard.accounts.end() ? 0 : found->second.Units();
}

Ledger::Sums Ledger::Sum() {
  Sums sums;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sums.subjects += shard.accounts.size();
    for (const auto& [key, account] : shard.accounts) sums.units += account.Units();
  }
  return sums;
}

}  // namespace weir::storage::hybrid
