#include "engine/batch/reservations.h"

#include <openssl/rand.h>
#include <pthread.h>

#include <algorithm>
#include <functional>
#include <random>

namespace weir::engine {
namespace {

// Refilled many at a time: the generator is far from free.
struct RandomPool {
  std::array<std::uint64_t, 64> numbers{};
  std::size_t next = numbers.size();
  std::uint64_t forks = 0;  // as Forks() said when it was filled

  void Refill() {
    if (RAND_bytes(reinterpret_cast<unsigned char*>(numbers.data()), sizeof numbers) != 1) {
      std::random_device device;
      for (std::uint64_t& number : numbers) number = (std::uint64_t{device()} << 32) | device();
    }
    next = 0;
  }
};

std::atomic<std::uint64_t> forks{0};

// How often this process is a child of a fork: what was drawn before belongs to the parent, which still has it.
std::uint64_t Forks() {
  static const int watched = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  (void)watched;
  return forks.load(std::memory_order_relaxed);
}

bool Expired(Nanos since, Nanos now) { return now > since && now - since >= Reservations::kLife; }

}  // namespace

std::uint64_t RandomId() {
  static thread_local RandomPool pool;
  while (true) {
    if (const std::uint64_t now = Forks(); pool.next == pool.numbers.size() || pool.forks != now) {
      pool.Refill();
      pool.forks = now;
    }
    const std::uint64_t id = std::exchange(pool.numbers[pool.next++], 0);
    if (id != 0) return id;
  }
}

bool Reservations::TakeRoom(Nanos now) {
  if (open_.fetch_add(1, std::memory_order_relaxed) < most_) return true;
  std::size_t dropped = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    dropped += DropExpired(shard, now);
  }
  if (dropped > 0 && open_.load(std::memory_order_relaxed) <= most_) return true;
  GiveUp();
  return false;
}

void Reservations::Put(std::uint64_t id, Reservation reservation) {
  Shard& shard = ShardOf(id);
  const std::lock_guard lock(shard.mutex);
  DropExpired(shard, reservation.since);
  Insert(shard, id, std::move(reservation));
}

std::optional<Reservation> Reservations::Take(std::uint64_t id, Nanos now) {
  Shard& shard = ShardOf(id);
  const std::lock_guard lock(shard.mutex);
  DropExpired(shard, now);
  const auto found = shard.held.find(id);
  if (found == shard.held.end()) return std::nullopt;
  std::optional<Reservation> taken;
  if (!Expired(found->second.since, now)) taken = std::move(found->second);
  shard.held.erase(found);
  open_.fetch_sub(1, std::memory_order_relaxed);
  return taken;
}

void Reservations::PutBack(std::uint64_t id, Reservation reservation, Nanos now) {
  if (reservation.until != 0) reservation.until = std::max(reservation.until, now + kSecond);
  // Its room may have gone to another meanwhile; one more for the length of an outage does no harm.
  open_.fetch_add(1, std::memory_order_relaxed);
  Shard& shard = ShardOf(id);
  const std::lock_guard lock(shard.mutex);
  Insert(shard, id, std::move(reservation));
}

void Reservations::Insert(Shard& shard, std::uint64_t id, Reservation reservation) {
  shard.by_age.emplace_back(reservation.since, id);
  const Nanos until = reservation.until;
  shard.held.insert_or_assign(id, std::move(reservation));
  if (until != 0) {
    AddEnd(shard, until, id);
    LowerNextEnd(until);
  }
  // One old reservation in front keeps settled ones behind it from being dropped: now and then all are looked at.
  if (shard.by_age.size() > 2 * shard.held.size() + 64) {
    std::erase_if(shard.by_age, [&](const auto& aged) { return !shard.held.contains(aged.second); });
  }
}

std::size_t Reservations::DropExpired(Shard& shard, Nanos now) {
  std::size_t dropped = 0;
  while (!shard.by_age.empty()) {
    const auto [since, id] = shard.by_age.front();
    const auto found = shard.held.find(id);
    const bool settled = found == shard.held.end() || found->second.since != since;
    if (!settled && !Expired(since, now)) break;
    if (!settled) {
      shard.held.erase(found);
      open_.fetch_sub(1, std::memory_order_relaxed);
      ++dropped;
    }
    shard.by_age.pop_front();
  }
  return dropped;
}

// Under the shard's lock. As with by_age, those that were settled meanwhile are dropped before they are most of them.
void Reservations::AddEnd(Shard& shard, Nanos until, std::uint64_t id) {
  shard.ends.emplace_back(until, id);
  std::ranges::push_heap(shard.ends, std::greater());
  if (shard.ends.size() <= 2 * shard.held.size() + 64) return;
  std::erase_if(shard.ends, [&](const auto& end) { return !shard.held.contains(end.second); });
  std::ranges::make_heap(shard.ends, std::greater());
}

void Reservations::LowerNextEnd(Nanos until) {
  Nanos next = next_end_.load(std::memory_order_relaxed);
  while (until < next && !next_end_.compare_exchange_weak(next, until, std::memory_order_relaxed)) {
  }
}

std::vector<std::uint64_t> Reservations::TakeEnded(Nanos now, std::size_t most) {
  std::vector<std::uint64_t> ended;
  // Raised first: an end that is added meanwhile lowers it again, to its own time.
  next_end_.store(INT64_MAX, std::memory_order_relaxed);
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    while (!shard.ends.empty() && shard.ends.front().first <= now && ended.size() < most) {
      const auto [until, id] = shard.ends.front();
      std::ranges::pop_heap(shard.ends, std::greater());
      shard.ends.pop_back();
      const auto found = shard.held.find(id);
      if (found != shard.held.end() && found->second.until == until) ended.push_back(id);
    }
    if (!shard.ends.empty()) LowerNextEnd(shard.ends.front().first);
  }
  return ended;
}

}  // namespace weir::engine
