#include "storage/hybrid/ledger.h"

#include <algorithm>

namespace weir::storage::hybrid {
namespace {

// While the store is away, charges of more times than this are told as of the last.
constexpr std::size_t kMostPieces = 8;

// For how long charges are of one time. Of a bucket all of an exchange, told as of when they began: what drained since
// is for all instances together, and an earlier charge that is told after a later one finds none of it. Of a window
// less, as they are told as of when they ended, and that may be the next window.
Nanos WidthOf(algorithms::Kind kind, Nanos interval) {
  const bool is_bucket = kind == algorithms::Kind::kTokenBucket || kind == algorithms::Kind::kLeakyBucket;
  return is_bucket ? 2 * interval : std::max<Nanos>(1, interval / 2);
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
  const bool joins = !pieces.empty() && (pieces.size() >= kMostPieces || now - pieces.back().first < width);
  if (!joins) pieces.push_back({now, now, 0});
  Piece& piece = pieces.back();
  piece.last = std::max(piece.last, now);
  piece.units = std::min(algorithms::kMaxCount, piece.units + units);
}

void Account::Refund(std::uint64_t units) {
  while (units > 0 && !pieces.empty()) {
    Piece& piece = pieces.back();
    const std::uint64_t taken = std::min(units, piece.units);
    piece.units -= taken;
    units -= taken;
    if (piece.units == 0) pieces.pop_back();
  }
  refunded = std::min(algorithms::kMaxCount, refunded + std::min(units, algorithms::kMaxCount));
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
  if (found != shard.accounts.end()) found->second.Refund(units);
}

void Ledger::Forget(const Key& key) {
  Shard& shard = ShardOf(key);
  const std::lock_guard lock(shard.mutex);
  shard.accounts.erase(key);
}

std::vector<Account> Ledger::Take() {
  std::vector<Account> taken;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (auto it = shard.accounts.begin(); it != shard.accounts.end();) {
      Account& account = it->second;
      const bool owes = !account.pieces.empty() || account.refunded > 0;
      if (!owes && !account.asked) {
        it = shard.accounts.erase(it);
        continue;
      }
      taken.push_back(account);
      account.pieces.clear();
      account.refunded = 0;
      account.asked = false;
      ++it;
    }
  }
  return taken;
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
    pieces[1] = {pieces[0].first, pieces[1].last, pieces[0].units + pieces[1].units};
    pieces.erase(pieces.begin());
  }
  now.pieces = std::move(pieces);
  now.refunded += account.refunded;
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
