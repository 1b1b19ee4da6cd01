// Slows down the guessing of secrets with weir's own token bucket: each failure costs a token of its source, and when
// there is none left, attempts from there are refused until one has come back.
//
// Passwords are asked Blocked() before they are looked at, by address and by account: a right one is refused as well
// while its source is blocked, otherwise guessing would go on. The account's own bucket is wide, and the pair of
// account and address has one of its own: a stranger who fails on purpose slows down others who log in as that account,
// and never shuts them out. Tokens of 160 random bits cannot be guessed: a right one always passes, and failures are
// counted so that they neither fill logs nor cost work.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "algorithms/limit.h"
#include "base/clock.h"

namespace weir::management {

// Thread-safe. Bounded: when kMostSources are known, those that have recovered are forgotten, and if there are none,
// the eighth that recovers first.
class Attempts {
 public:
  static constexpr std::size_t kMostSources = 16'384;

  // How long until an attempt from `peer` (an address, with or without port; IPv6 by /64; anything else by its text) to
  // log in as `account` may be made; 0: now. `account` empty: of tokens, by address alone.
  Nanos Blocked(std::string_view peer, std::string_view account, Nanos now) const;
  // An attempt with a token has failed. Counts even while the source is blocked.
  void Failed(std::string_view peer, Nanos now);

  // An attempt with a password begins: it counts as failed until it is known better, so that many at once get no
  // further than one after the other.
  void Begin(std::string_view peer, std::string_view account, Nanos now);
  // Then one of these. When it succeeded the pair starts afresh; the address and the account get back no more than this
  // attempt, or one known password would pay for guessing others. kUndecided: it was not looked at.
  enum class Ending : std::uint8_t { kSucceeded, kFailed, kUndecided };
  void End(std::string_view peer, std::string_view account, Ending ending, Nanos now);

  std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }
  std::uint64_t refusals() const { return refusals_.load(std::memory_order_relaxed); }

 private:
  Nanos WaitOf(std::uint64_t key, const algorithms::Limit& limit, Nanos now) const;
  void Charge(std::uint64_t key, const algorithms::Limit& limit, Nanos now);
  void MakeRoom(Nanos now);
  void GiveBack(std::uint64_t key, const algorithms::Limit& limit, Nanos now);

  std::atomic<std::uint64_t> failures_{0};
  mutable std::atomic<std::uint64_t> refusals_{0};
  mutable std::mutex mutex_;                         // guards what follows
  std::unordered_map<std::uint64_t, Nanos> states_;  // of buckets: the time at which they are full again
};

}  // namespace weir::management
