#include "management/auth/attempts.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "algorithms/token_bucket.h"
#include "base/address.h"
#include "base/hash.h"
#include "management/auth/crypto.h"

namespace weir::management {
namespace {

using algorithms::Limit;

Limit Bucket(std::uint64_t capacity, Nanos each) {
  Limit limit;
  limit.kind = algorithms::Kind::kTokenBucket;
  limit.capacity = capacity;
  limit.rate_count = 1;
  limit.rate_period = each;
  return algorithms::Sanitize(limit);
}

const Limit kOfAddress = Bucket(20, 10 * kSecond);
const Limit kOfPair = Bucket(5, 30 * kSecond);
const Limit kOfAccount = Bucket(100, 10 * kSecond);

// Another process, another seed: nobody can prepare addresses that collide.
std::uint64_t Seed() {
  static const std::uint64_t seed = Hash64(RandomBytes(16));
  return seed;
}

std::string SourceOf(std::string_view peer) {
  const auto address = ParseAddress(peer);
  if (!address) return std::string(peer);
  std::array<char, 46> buffer;
  return std::string(FormatAddress(Truncate(*address, 32, 64), buffer));
}

std::uint64_t KeyOf(char kind, std::string_view a, std::string_view b = {}) {
  std::string text(1, kind);
  text.append(a).append(1, '\0').append(b);
  return Hash64(text, Seed());
}

}  // namespace

Nanos Attempts::WaitOf(std::uint64_t key, const Limit& limit, Nanos now) const {
  const auto found = states_.find(key);
  if (found == states_.end()) return 0;
  algorithms::Word state = found->second;
  const auto outcome =
      algorithms::token_bucket::Apply(limit, {.op = algorithms::Op::kPeek, .cost = 1, .now = now}, state);
  return outcome.verdict == Verdict::kAllowed ? 0 : outcome.retry_after_ns;
}

// Many at once, so that a flood of sources does not pay for a walk over all of them each time.
void Attempts::MakeRoom(Nanos now) {
  std::erase_if(states_, [&](const auto& one) { return one.second <= now; });
  if (states_.size() < kMostSources) return;
  std::vector<Nanos> ends;
  ends.reserve(states_.size());
  for (const auto& [key, end] : states_) ends.push_back(end);
  const auto eighth = ends.begin() + static_cast<std::ptrdiff_t>(ends.size() / 8);
  std::ranges::nth_element(ends, eighth);
  const Nanos threshold = *eighth;
  std::size_t room = ends.size() / 8;
  std::erase_if(states_, [&](const auto& one) { return one.second <= threshold && room > 0 && room-- > 0; });
}

void Attempts::Charge(std::uint64_t key, const Limit& limit, Nanos now) {
  if (states_.size() >= kMostSources && !states_.contains(key)) MakeRoom(now);
  algorithms::Word state = states_[key];
  // No deeper than twice its depth: who stops is as new after a while.
  if (state - now < 2 * static_cast<Nanos>(limit.capacity) * limit.rate_period) {
    (void)algorithms::token_bucket::Apply(limit, {.op = algorithms::Op::kCharge, .cost = 1, .now = now}, state);
  }
  states_[key] = state;
}

void Attempts::GiveBack(std::uint64_t key, const Limit& limit, Nanos now) {
  const auto found = states_.find(key);
  if (found == states_.end()) return;
  algorithms::Word state = found->second;
  (void)algorithms::token_bucket::Apply(limit, {.op = algorithms::Op::kRefund, .cost = 1, .now = now}, state);
  found->second = state;
}

Nanos Attempts::Blocked(std::string_view peer, std::string_view account, Nanos now) const {
  const std::string source = SourceOf(peer);
  const std::lock_guard lock(mutex_);
  Nanos wait = WaitOf(KeyOf('a', source), kOfAddress, now);
  if (!account.empty()) {
    wait = std::max(wait, WaitOf(KeyOf('p', source, account), kOfPair, now));
    wait = std::max(wait, WaitOf(KeyOf('n', account), kOfAccount, now));
  }
  if (wait > 0) refusals_.fetch_add(1, std::memory_order_relaxed);
  return wait;
}

void Attempts::Failed(std::string_view peer, Nanos now) {
  failures_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  Charge(KeyOf('a', SourceOf(peer)), kOfAddress, now);
}

void Attempts::Begin(std::string_view peer, std::string_view account, Nanos now) {
  const std::string source = SourceOf(peer);
  const std::lock_guard lock(mutex_);
  Charge(KeyOf('a', source), kOfAddress, now);
  Charge(KeyOf('p', source, account), kOfPair, now);
  Charge(KeyOf('n', account), kOfAccount, now);
}

void Attempts::End(std::string_view peer, std::string_view account, Ending ending, Nanos now) {
  if (ending == Ending::kFailed) {
    failures_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const std::string source = SourceOf(peer);
  const std::lock_guard lock(mutex_);
  GiveBack(KeyOf('a', source), kOfAddress, now);
  GiveBack(KeyOf('n', account), kOfAccount, now);
  const std::uint64_t pair = KeyOf('p', source, account);
  if (ending == Ending::kSucceeded) {
    states_.erase(pair);
  } else {
    GiveBack(pair, kOfPair, now);
  }
}

}  // namespace weir::management
