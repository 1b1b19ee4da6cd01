#include "net/login_guard.h"

#include <algorithm>
#include <array>

#include "base/address.h"
#include "base/log.h"

namespace weir::net {
namespace {

constexpr unsigned kIpv6Bits = 64;
constexpr unsigned kIpv4Bits = 32;

}  // namespace

std::string LoginGuard::KeyOf(std::string_view peer) {
  const auto address = ParseAddress(peer);
  if (!address) return peer.empty() ? "unix" : std::string(peer);
  std::array<char, 46> buffer;
  return std::string(FormatAddress(Truncate(*address, kIpv4Bits, kIpv6Bits), buffer));
}

std::optional<Nanos> LoginGuard::TakeTurn(std::string_view peer, Nanos now) {
  if (known_.load(std::memory_order_acquire) == 0) return 0;
  const std::string key = KeyOf(peer);
  const std::lock_guard lock(mutex_);
  const auto found = addresses_.find(key);
  if (found == addresses_.end()) return 0;
  Address& address = found->second;
  const bool set_back = now < address.failed_at;
  if (set_back || address.used_until <= now) {
    addresses_.erase(found);
    known_.store(addresses_.size(), std::memory_order_release);
    return 0;
  }
  if (address.used_until - now <= (kFree - 1) * kForget) return 0;
  slowed_.fetch_add(1, std::memory_order_relaxed);
  const Nanos turn = std::max(address.next_turn, now + kPace);
  if (turn - now > kMostWait * kPace) return std::nullopt;
  address.next_turn = turn + kPace;
  return turn - now;
}

void LoginGuard::Failed(std::string_view peer, Nanos now) {
  failures_.fetch_add(1, std::memory_order_relaxed);
  const std::string key = KeyOf(peer);
  const std::lock_guard lock(mutex_);
  auto found = addresses_.find(key);
  if (found == addresses_.end()) {
    MakeRoom(now);
    found = addresses_.try_emplace(key).first;
    known_.store(addresses_.size(), std::memory_order_release);
  }
  Address& address = found->second;
  if (now < address.failed_at) address = {};
  address.failed_at = now;
  // No more than twice as many as are free: who stops is as new after a few minutes.
  address.used_until = std::min(std::max(address.used_until, now) + kForget, now + 2 * kFree * kForget);
  Log(key, now);
}

void LoginGuard::MakeRoom(Nanos now) {
  if (addresses_.size() < kMostAddresses) return;
  std::erase_if(addresses_, [now](const auto& one) { return one.second.used_until <= now; });
  if (addresses_.size() < kMostAddresses) return;
  addresses_.erase(std::ranges::min_element(addresses_, {}, [](const auto& one) { return one.second.failed_at; }));
}

void LoginGuard::Log(const std::string& key, Nanos now) {
  if (logged_at_ && now >= *logged_at_ && now - *logged_at_ < kSecond) return;
  logged_at_ = now;
  const std::uint64_t all = failures();
  log::Warn("authentication failed",
            {{"listener", listener_}, {"peer", key}, {"failures_since_last_line", std::to_string(all - logged_)}});
  logged_ = all;
}

}  // namespace weir::net
