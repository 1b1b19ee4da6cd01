// What the tests of this folder share: a counter that any algorithm can stand behind, random limits that are wide
// enough to be wrong in, and traffic. Tests only.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "algorithms/algorithm.h"

namespace weir {

inline void PrintTo(const Outcome& o, std::ostream* out) {
  *out << "{verdict " << static_cast<int>(o.verdict) << ", limit " << o.limit << ", remaining " << o.remaining
       << ", used " << o.used << ", reset " << o.reset_after_ns << ", retry " << o.retry_after_ns << ", delay "
       << o.delay_ns << "}";
}

namespace algorithms::testing {

inline constexpr Nanos kStart = 1'800'000'000 * kSecond;

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  // Uniform in [low, high].
  std::int64_t In(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  std::uint64_t Bits() { return engine_(); }
  // Any magnitude up to `high` alike.
  std::int64_t Magnitude(std::int64_t high) {
    const std::int64_t top = In(0, 62);
    return std::min(high, In(0, (std::int64_t{1} << top)));
  }
  bool OneIn(int n) { return In(1, n) == 1; }

 private:
  std::mt19937_64 engine_;
};

// One subject's state under one limit, whatever its shape.
class Counter {
 public:
  explicit Counter(const Limit& limit) : limit_(limit), algorithm_(&Of(limit.kind)) {}

  Outcome Do(Op op, std::uint64_t cost, Nanos now, std::uint64_t token = 0) {
    const Ask ask{.op = op, .cost = cost, .now = now, .token = token};
    return algorithm_->shape == Shape::kWord ? algorithm_->apply_word(limit_, ask, word)
                                             : algorithm_->apply_list(limit_, ask, words);
  }
  Outcome Check(std::uint64_t cost, Nanos now, std::uint64_t token = 0) { return Do(Op::kCheck, cost, now, token); }
  Outcome Peek(std::uint64_t cost, Nanos now, std::uint64_t token = 0) const {
    Counter copy = *this;
    return copy.Do(Op::kPeek, cost, now, token);
  }
  std::uint64_t Used(Nanos now) const {
    return algorithm_->shape == Shape::kWord ? algorithm_->used_word(limit_, word, now)
                                             : algorithm_->used_list(limit_, words, now);
  }
  Nanos Expires() const {
    return algorithm_->shape == Shape::kWord ? algorithm_->expires_word(limit_, word)
                                             : algorithm_->expires_list(limit_, words);
  }
  bool SameState(const Counter& other) const { return word == other.word && words == other.words; }
  const Limit& limit() const { return limit_; }

  Word word = 0;
  Words words;

 private:
  Limit limit_;
  const Algorithm* algorithm_;
};

// The kinds that rules may have (penalty and unlimited have tests of their own).
inline constexpr std::initializer_list<Kind> kRuleKinds = {
    Kind::kTokenBucket, Kind::kLeakyBucket, Kind::kSlidingWindow, Kind::kSlidingWindowLog,
    Kind::kFixedWindow, Kind::kConcurrency, Kind::kAdaptive};

// A sane limit of everyday size: something happens within a few hundred requests.
inline Limit RandomLimit(Kind kind, Random& random) {
  Limit limit;
  limit.kind = kind;
  limit.capacity = static_cast<std::uint64_t>(random.OneIn(20) ? 0 : random.In(1, random.OneIn(4) ? 1000 : 12));
  limit.window = random.OneIn(3) ? random.In(1, 1000) : random.In(1, 100) * 250 * kMillisecond;
  limit.precision = random.OneIn(4) ? limit.window : limit.window / random.In(1, 12) + random.In(0, 3);
  limit.rate_count = static_cast<std::uint64_t>(random.In(1, 20));
  limit.rate_period = random.OneIn(4) ? random.In(1, 5000) : random.In(1, 20) * 100 * kMillisecond;
  if (random.OneIn(5)) {
    limit.rate_count = static_cast<std::uint64_t>(random.In(1, 3'000'000'000));
    limit.rate_period = kSecond;
  }
  limit.shape = random.OneIn(2);
  limit.count_denied = random.OneIn(3);
  limit.calendar = random.OneIn(2) ? Calendar::kNone : static_cast<Calendar>(random.In(1, 7));
  limit.lease = random.In(1, 20 * kSecond);
  limit.learning_window = limit.window * random.In(1, 10);
  limit.adjustment_ppm = static_cast<std::uint32_t>(random.In(0, 4'000'000));
  limit.min_capacity = limit.capacity / 4;
  limit.max_capacity = limit.capacity * 3;
  limit.threshold = static_cast<std::uint32_t>(random.In(1, 6));
  limit.ban_factor_pct = static_cast<std::uint32_t>(random.In(50, 400));
  limit.first_ban = random.In(0, 20 * kSecond);
  limit.longest_ban = random.In(0, 200 * kSecond);
  limit.decay = random.In(0, 100 * kSecond);
  limit.retention = random.OneIn(2) ? 0 : limit.window * random.In(1, 4);
  limit.cleanup = random.OneIn(2) ? 0 : random.In(0, 20 * kSecond);
  return Sanitize(limit);
}

// Any bits at all, client_limit into range.
inline Limit HostileLimit(Kind kind, Random& random) {
  const auto any = [&] {
    return random.OneIn(3) ? static_cast<std::int64_t>(random.Bits()) : random.Magnitude(INT64_MAX);
  };
  Limit limit;
  limit.kind = kind;
  limit.calendar = static_cast<Calendar>(random.In(0, 255));
  limit.zone = static_cast<std::uint16_t>(random.OneIn(2) ? 0 : random.Bits());
  limit.shape = random.OneIn(2);
  limit.max_wait = any();
  limit.count_denied = random.OneIn(2);
  limit.capacity = static_cast<std::uint64_t>(any());
  limit.rate_count = static_cast<std::uint64_t>(any());
  limit.rate_period = any();
  limit.window = any();
  limit.retention = any();
  limit.cleanup = any();
  limit.precision = any();
  limit.lease = any();
  limit.learning_window = any();
  limit.adjustment_ppm = static_cast<std::uint32_t>(any());
  limit.min_capacity = static_cast<std::uint64_t>(any());
  limit.max_capacity = static_cast<std::uint64_t>(any());
  limit.threshold = static_cast<std::uint32_t>(any());
  limit.ban_factor_pct = static_cast<std::uint32_t>(any());
  limit.first_ban = any();
  limit.longest_ban = any();
  limit.decay = any();
  return Sanitize(limit);
}

inline std::string Describe(const Limit& l) {
  return "kind " + std::string(Of(l.kind).name) + " capacity " + std::to_string(l.capacity) + " rate " +
         std::to_string(l.rate_count) + "/" + std::to_string(l.rate_period) + " window " + std::to_string(l.window) +
         " precision " + std::to_string(l.precision) + " calendar " + std::to_string(static_cast<int>(l.calendar)) +
         " denied " + std::to_string(l.count_denied) + " lease " + std::to_string(l.lease);
}

// What a bucket may be off by for holding whole nanoseconds: what one of them restores.
inline std::uint64_t Grain(const Limit& limit) {
  const bool bucket = limit.kind == Kind::kTokenBucket || limit.kind == Kind::kLeakyBucket;
  return bucket && limit.rate_count > 1 ? limit.rate_count / static_cast<std::uint64_t>(limit.rate_period) + 1 : 0;
}

// How long it is worth looking ahead under this limit.
inline Nanos Scale(const Limit& limit) {
  switch (limit.kind) {
    case Kind::kTokenBucket:
    case Kind::kLeakyBucket:
      return limit.rate_period / static_cast<Nanos>(limit.rate_count) + 2;
    case Kind::kConcurrency:
      return limit.lease;
    case Kind::kFixedWindow:
    case Kind::kAlignedWindow:
      return limit.calendar == Calendar::kNone || limit.calendar == Calendar::kEpoch ? limit.window : kHour;
    default:
      return limit.window;
  }
}

}  // namespace algorithms::testing
}  // namespace weir
