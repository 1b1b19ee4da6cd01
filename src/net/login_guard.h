// Failed authentications of one listener: counted, logged a line a second at most, and slowed for the address that they
// come from, so that secrets cannot be tried at the speed of the wire. Other addresses notice nothing.
//
// An address has kFree failures for nothing, and one more every kForget. When they are used up, its attempts are looked
// at one after the other, kPace apart, over all its connections; those for which more than kMostWait of them wait
// already are turned away.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.h"

namespace weir::net {

// Thread-safe. Bounded: remembers kMostAddresses, IPv6 by /64; the one that has failed the longest ago is forgotten
// for a new one. Connections of a Unix socket are one address.
class LoginGuard {
 public:
  static constexpr int kFree = 8;
  static constexpr Nanos kForget = 10 * kSecond;
  static constexpr Nanos kPace = kSecond;
  static constexpr int kMostWait = 8;
  static constexpr std::size_t kMostAddresses = 4'096;

  // `listener`: "resp", for the log.
  explicit LoginGuard(std::string listener) : listener_(std::move(listener)) {}

  // How long the next attempt from `peer` (net::Connection::peer_address) has to wait; 0: not at all. Each call takes a
  // turn. nullopt: too many wait, it is not looked at. Takes no lock while nobody has failed lately.
  std::optional<Nanos> TakeTurn(std::string_view peer, Nanos now);
  // The attempt has failed. `now` of any clock, the same for all calls; one that is set back forgets the slow ones.
  void Failed(std::string_view peer, Nanos now);

  std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }
  // Attempts that were made to wait, or turned away.
  std::uint64_t slowed() const { return slowed_.load(std::memory_order_relaxed); }

 private:
  struct Address {
    Nanos used_until = 0;  // when its failures are forgotten, each kForget after the one before
    Nanos next_turn = 0;
    Nanos failed_at = 0;
  };

  static std::string KeyOf(std::string_view peer);
  void MakeRoom(Nanos now);
  void Log(const std::string& key, Nanos now);

  const std::string listener_;
  std::atomic<std::uint64_t> failures_{0}, slowed_{0};
  std::atomic<std::size_t> known_{0};  // addresses_.size()
  std::mutex mutex_;                   // guards what follows
  std::unordered_map<std::string, Address> addresses_;
  std::optional<Nanos> logged_at_;
  std::uint64_t logged_ = 0;  // failures() at the latest line
};

}  // namespace weir::net
