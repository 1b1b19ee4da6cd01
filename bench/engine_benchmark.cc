// One token bucket decision in process: weir's memory store, and a whole decision of two of them, beside what a program
// would write itself (a map and a mutex, a sharded flat map), beside the least that a decision in such cells takes (a
// hash, a line, a swap, and none of the promises) and the least that memory allows (random reads, prefetched), for
// several numbers of subjects, uniform and Zipf, on one and two threads. Prints a Markdown table: medians of the
// rounds; of those that decide one at a time also percentiles (uniform, one thread) over one in 64, less what reading
// the clock takes.
//
//   weir_bench_engine 1000,1000000 5
//   weir_bench_engine changes              what a change of the configuration costs (change_cost.h)
//   weir_bench_engine decisions 1000000 2 5  what whole decisions cost, by algorithm and threads; subjects, seconds,
//                                          rounds
//   weir_bench_engine observers 15         what observers add to a decision; rounds
#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "algorithms/token_bucket.h"
#include "base/hash.h"
#include "change_cost.h"
#include "decision_cost.h"
#include "storage/memory/memory_store.h"
#include "weir/config.h"
#include "weir/rate_limiter.h"

namespace {

using weir::Nanos;
using weir::algorithms::Ask;
using weir::algorithms::Kind;
using weir::algorithms::Limit;
using weir::algorithms::Op;
using weir::algorithms::Word;

constexpr std::size_t kPicks = 1 << 21;
constexpr Nanos kStart = 1'800'000'000 * weir::kSecond;

Limit Bucket() {
  Limit limit;
  limit.kind = Kind::kTokenBucket;
  limit.capacity = 100;
  limit.rate_count = 100;
  limit.rate_period = 60 * weir::kSecond;
  return weir::algorithms::Sanitize(limit);
}

// Ten bytes and more, as user ids are. Written by hand: formatting must not be what is measured.
std::string_view Name(std::uint32_t subject, std::array<char, 16>& buffer) {
  constexpr char kDigits[] = "0123456789abcdef";
  buffer = {'u', 's', 'e', 'r', '-', '0', '0', '0', '0', '0', '0', '0', '0'};
  for (int i = 12; i >= 5; --i, subject >>= 4) buffer[static_cast<std::size_t>(i)] = kDigits[subject & 15];
  return {buffer.data(), 13};
}

class Contestant {
 public:
  virtual ~Contestant() = default;
  // Decides one request for each pick; returns how many were allowed.
  virtual std::uint64_t Run(const std::uint32_t* picks, std::size_t count, Nanos now) = 0;
};

class Weir final : public Contestant {
 public:
  Weir(std::uint64_t subjects, std::size_t batch) : batch_(batch) {
    weir::storage::memory::MemoryStoreOptions options;
    options.max_entries = subjects;
    store_ = std::move(*weir::storage::memory::MemoryStore::Create(options));
  }
  std::uint64_t Run(const std::uint32_t* picks, std::size_t count, Nanos now) override {
    std::array<weir::storage::Item, 16> items;
    std::array<weir::Outcome, 16> outcomes;
    std::array<weir::storage::Plan, 16> plans;
    std::array<std::array<char, 16>, 16> names;
    std::uint64_t allowed = 0;
    // As a program asks that has one rule: what does not change from request to request is written once.
    for (std::size_t k = 0; k < batch_; ++k) {
      items[k].limit = &limit_;
      items[k].rule = "bench";
      plans[k].items = {&items[k], 1};
      plans[k].outcomes = {&outcomes[k], 1};
    }
    for (std::size_t i = 0; i < count; i += batch_) {
      for (std::size_t k = 0; k < batch_; ++k) {
        items[k].subject = Name(picks[i + k], names[k]);
        items[k].key = weir::HashKey(7, items[k].subject);
      }
      if (!store_->Apply({plans.data(), batch_}, now, nullptr)) std::abort();
      for (std::size_t k = 0; k < batch_; ++k) allowed += plans[k].admitted ? 1U : 0U;
    }
    return allowed;
  }

 private:
  Limit limit_ = Bucket();
  std::size_t batch_;
  std::unique_ptr<weir::storage::Store> store_;
};

// One at a time, but the store is told of the next one while this one is decided (Store::Expect), as the engine tells
// it before it has found the rules.
class WeirExpecting final : public Contestant {
 public:
  explicit WeirExpecting(std::uint64_t subjects) {
    weir::storage::memory::MemoryStoreOptions options;
    options.max_entries = subjects;
    store_ = std::move(*weir::storage::memory::MemoryStore::Create(options));
  }
  std::uint64_t Run(const std::uint32_t* picks, std::size_t count, Nanos now) override {
    std::array<weir::storage::Item, 2> items;
    std::array<std::array<char, 16>, 2> names;
    weir::Outcome outcome;
    std::uint64_t allowed = 0;
    const auto prepare = [&](std::size_t i) {
      weir::storage::Item& item = items[i % 2];
      item.subject = Name(picks[i], names[i % 2]);
      item.key = weir::HashKey(7, item.subject);
      store_->Expect(item.key);
    };
    for (weir::storage::Item& item : items) {
      item.limit = &limit_;
      item.rule = "bench";
    }
    prepare(0);
    for (std::size_t i = 0; i < count; ++i) {
      if (i + 1 < count) prepare(i + 1);
      weir::storage::Plan plan;
      plan.items = {&items[i % 2], 1};
      plan.outcomes = {&outcome, 1};
      if (!store_->Apply({&plan, 1}, now, nullptr)) std::abort();
      allowed += plan.admitted ? 1U : 0U;
    }
    return allowed;
  }

 private:
  Limit limit_ = Bucket();
  std::unique_ptr<weir::storage::Store> store_;
};

// Not the store alone: a request is resolved and decided under two rules, as a program calls the library. Its time is
// that of the system's clock, so few of its decisions are denials.
class WholeDecision final : public Contestant {
 public:
  WholeDecision(std::uint64_t subjects, std::size_t batch) : batch_(batch) {
    weir::RateLimitRule rule{.max_requests = 1'000'000, .window_seconds = 60};
    rule.algorithm = weir::TokenBucket{};
    rule.identifier = weir::EnhancedIdentifier{weir::UserId{}};
    weir::EnterpriseRateLimitConfig config;
    config.global.free_tier = config.global.pro_tier = config.global.enterprise_tier = rule;
    config.endpoints["/api/**"] = {.methods = {}, .rule = rule, .combine = weir::Combine::kStack};
    config.storage.kind = weir::MemoryStorage{.max_entries = subjects * 2 + subjects / 2};
    limiter_ = std::move(*weir::RateLimiter::Create(config));
  }
  std::uint64_t Run(const std::uint32_t* picks, std::size_t count, Nanos) override {
    std::array<std::array<char, 16>, 16> names;
    std::array<weir::Request, 16> requests;
    std::array<weir::Decision, 16> decisions;
    for (auto& request : requests) request = {.method = "GET", .path = "/api/v1/items"};
    std::uint64_t allowed = 0;
    for (std::size_t i = 0; i < count; i += batch_) {
      for (std::size_t k = 0; k < batch_; ++k) requests[k].user = Name(picks[i + k], names[k]);
      if (batch_ == 1) {
        allowed += limiter_->Check(requests[0]).allowed ? 1U : 0U;
        continue;
      }
      limiter_->CheckBatch({requests.data(), batch_}, {decisions.data(), batch_});
      for (std::size_t k = 0; k < batch_; ++k) allowed += decisions[k].allowed ? 1U : 0U;
    }
    return allowed;
  }

 private:
  std::size_t batch_;
  std::unique_ptr<weir::RateLimiter> limiter_;
};

template <typename Map, std::size_t kShards>
class MapAndMutex final : public Contestant {
 public:
  explicit MapAndMutex(std::uint64_t subjects) : shards_(kShards) {
    for (auto& shard : shards_) shard.map.reserve(subjects / kShards + 1);
  }
  std::uint64_t Run(const std::uint32_t* picks, std::size_t count, Nanos now) override {
    std::uint64_t allowed = 0;
    std::array<char, 16> buffer;
    const weir::algorithms::Algorithm& algorithm = weir::algorithms::Of(Kind::kTokenBucket);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name(Name(picks[i], buffer));
      Shard& shard = shards_[kShards == 1 ? 0 : weir::Hash64(name) % kShards];
      const std::scoped_lock lock(shard.mutex);
      const auto outcome =
          algorithm.apply_word(limit_, Ask{.op = Op::kCheck, .cost = 1, .now = now, .token = 0}, shard.map[name]);
      allowed += outcome.verdict == weir::Verdict::kAllowed ? 1U : 0U;
    }
    return allowed;
  }

 private:
  struct alignas(64) Shard {
    std::mutex mutex;
    Map map;
  };
  Limit limit_ = Bucket();
  std::vector<Shard> shards_;
};

// The floor of the store: what every decision in 16-byte cells has to do, and nothing that makes it right. It evicts
// nothing, does not tell its subjects apart when one line has more than four, and answers yes or no.
class Least final : public Contestant {
 public:
  Least(std::uint64_t subjects, std::size_t batch) : lines_(subjects * 7 / 16 + 1), batch_(batch) {
    const std::size_t bytes = lines_ * sizeof(Line);
    void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) std::abort();
    madvise(base, bytes, MADV_HUGEPAGE);
    table_ = static_cast<Line*>(base);
  }
  ~Least() override { munmap(table_, lines_ * sizeof(Line)); }
  Least(const Least&) = delete;
  Least& operator=(const Least&) = delete;
  std::uint64_t Run(const std::uint32_t* picks, std::size_t count, Nanos now) override {
    std::array<weir::Key, 16> keys;
    std::array<char, 16> name;
    std::uint64_t allowed = 0;
    for (std::size_t i = 0; i < count; i += batch_) {
      for (std::size_t k = 0; k < batch_; ++k) {
        keys[k] = weir::HashKey(7, Name(picks[i + k], name));
        if (batch_ > 1) __builtin_prefetch(LineOf(keys[k]));
      }
      for (std::size_t k = 0; k < batch_; ++k) allowed += Charge(keys[k], now) ? 1U : 0U;
    }
    return allowed;
  }

 private:
  struct alignas(64) Line {
    std::array<std::uint64_t, 4> owners;
    std::array<Word, 4> words;
  };
  Line* LineOf(const weir::Key& key) {
    __extension__ typedef unsigned __int128 Uint128;
    return table_ + static_cast<std::uint64_t>(static_cast<Uint128>(key.lo) * lines_ >> 64);
  }
  bool Charge(const weir::Key& key, Nanos now) {
    Line& line = *LineOf(key);
    std::size_t at = 0;
    while (at < 3 && line.owners[at] != key.hi && line.owners[at] != 0) ++at;
    line.owners[at] = key.hi;
    Word word = __atomic_load_n(&line.words[at], __ATOMIC_RELAXED);
    while (true) {
      const Word next = std::max(word, now) + limit_.rate_period;
      if (next - now > burst_) return false;
      if (__atomic_compare_exchange_n(&line.words[at], &word, next, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return true;
    }
  }

  const Limit limit_ = Bucket();
  const Nanos burst_ = limit_.rate_period * static_cast<Nanos>(limit_.capacity);
  const std::uint64_t lines_;
  const std::size_t batch_;
  Line* table_;
};

// The floor of memory: one random cache line a decision, 16 in flight.
class RandomReads final : public Contestant {
 public:
  explicit RandomReads(std::uint64_t subjects) : words_(subjects * 2 + 8) {
    std::fill(words_.begin(), words_.end(), 1);
  }
  std::uint64_t Run(const std::uint32_t* picks, std::size_t count, Nanos) override {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < count; i += 16) {
      for (std::size_t k = 0; k < 16; ++k) __builtin_prefetch(&words_[picks[i + k] * std::size_t{2}]);
      for (std::size_t k = 0; k < 16; ++k) sum += words_[picks[i + k] * std::size_t{2}];
    }
    return sum;
  }

 private:
  std::vector<std::uint64_t> words_;
};

std::vector<std::uint32_t> Pick(std::uint64_t subjects, bool zipf, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint32_t> picks(kPicks);
  std::uniform_real_distribution<double> uniform(0, 1);
  // Inverse of the continuous Zipf distribution, s = 0.99, its ranks scattered over the subjects.
  const double top = std::pow(static_cast<double>(subjects), 0.01) - 1;
  for (auto& pick : picks) {
    if (!zipf) {
      pick = static_cast<std::uint32_t>(random() % subjects);
    } else {
      const auto rank = static_cast<std::uint64_t>(std::pow(1 + uniform(random) * top, 100.0));
      pick = static_cast<std::uint32_t>(std::min(rank - 1, subjects - 1) * 2654435761ull % subjects);
    }
  }
  return picks;
}

double ResidentBytes() {
  long pages = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%ld %ld", &pages, &resident) != 2) std::abort();
  std::fclose(file);
  return static_cast<double>(resident) * 4096;
}

// Touches every subject once, so that each has a state.
void Fill(Contestant& contestant, std::uint64_t subjects) {
  std::vector<std::uint32_t> all(1 << 16);
  for (std::uint64_t from = 0; from < subjects; from += all.size()) {
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint32_t>((from + i) % subjects);
    contestant.Run(all.data(), all.size(), kStart);
  }
}

double ThreadNanos() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

double NanosEach(Contestant& contestant, const std::vector<std::vector<std::uint32_t>>& picks, std::size_t each) {
  if (picks.size() == 1) {
    // By the CPU's time: what else runs on the machine is no part of it.
    const double begin = ThreadNanos();
    const std::uint64_t allowed = contestant.Run(picks[0].data(), each, kStart + weir::kSecond);
    __asm__ volatile("" : : "r"(allowed));  // is needed, as far as the compiler knows
    return (ThreadNanos() - begin) / static_cast<double>(each);
  }
  std::atomic<bool> go{false};
  std::atomic<std::uint64_t> checksum{0};
  std::vector<std::thread> threads;
  for (const auto& mine : picks) {
    threads.emplace_back([&] {
      while (!go.load(std::memory_order_acquire)) {
      }
      checksum += contestant.Run(mine.data(), each, kStart + weir::kSecond);
    });
  }
  const auto begin = std::chrono::steady_clock::now();
  go.store(true, std::memory_order_release);
  for (auto& thread : threads) thread.join();
  const double took = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
  return took / static_cast<double>(each);
}

std::int64_t ReadClock() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// p50, p99 and p99.9 of single decisions, in ns.
std::array<std::int64_t, 3> Percentiles(Contestant& contestant, const std::vector<std::uint32_t>& picks) {
  constexpr std::size_t kOneIn = 64;
  const auto at = [](std::vector<std::int64_t>& sorted, double part) {
    return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
  };
  std::vector<std::int64_t> clock(10'001), samples;
  for (auto& cost : clock) {
    const std::int64_t begin = ReadClock();
    cost = ReadClock() - begin;
  }
  std::sort(clock.begin(), clock.end());
  const std::int64_t cost = at(clock, 0.5);
  std::uint64_t allowed = 0;
  for (std::size_t i = 0; i + kOneIn <= picks.size(); i += kOneIn) {
    for (std::size_t k = 1; k < kOneIn; ++k) allowed += contestant.Run(&picks[i + k], 1, kStart + weir::kSecond);
    const std::int64_t begin = ReadClock();
    allowed += contestant.Run(&picks[i], 1, kStart + weir::kSecond);
    samples.push_back(std::max<std::int64_t>(ReadClock() - begin - cost, 0));
  }
  __asm__ volatile("" : : "r"(allowed));  // is needed, as far as the compiler knows
  std::sort(samples.begin(), samples.end());
  return {at(samples, 0.5), at(samples, 0.99), at(samples, 0.999)};
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Entry {
  const char* name;
  std::function<std::unique_ptr<Contestant>(std::uint64_t)> make;
  bool singly;                    // decides one at a time: its latency can be told
  std::uint64_t bytes_a_subject;  // at the most; what would not fit into memory is left out
};

std::uint64_t AvailableBytes() {
  const long pages = sysconf(_SC_AVPHYS_PAGES);
  return static_cast<std::uint64_t>(pages) * 4096;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "changes") {
    weir::bench::PrintChangeCost();
    return 0;
  }
  if (argc == 5 && std::string_view(argv[1]) == "decisions") {
    weir::bench::PrintDecisionCost(std::stoul(argv[2]), std::stod(argv[3]), std::stoi(argv[4]));
    return 0;
  }
  if (argc == 3 && std::string_view(argv[1]) == "observers") {
    weir::bench::PrintObserverCost(std::stoi(argv[2]));
    return 0;
  }
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s SUBJECTS[,SUBJECTS...] ROUNDS\n", argv[0]);
    return 2;
  }
  const std::size_t rounds = std::stoul(argv[2]);
  using Flat = absl::flat_hash_map<std::string, Word>;
  using Standard = std::unordered_map<std::string, Word>;
  const Entry entries[] = {
      {"weir, one at a time", [](std::uint64_t n) { return std::make_unique<Weir>(n, 1); }, true, 30},
      {"weir, one at a time, expected", [](std::uint64_t n) { return std::make_unique<WeirExpecting>(n); }, false, 30},
      {"weir, batches of 16", [](std::uint64_t n) { return std::make_unique<Weir>(n, 16); }, false, 30},
      {"weir, whole decision of two rules", [](std::uint64_t n) { return std::make_unique<WholeDecision>(n, 1); },
       false, 75},
      {"the same in batches of 16", [](std::uint64_t n) { return std::make_unique<WholeDecision>(n, 16); }, false, 75},
      {"unordered_map + mutex", [](std::uint64_t n) { return std::make_unique<MapAndMutex<Standard, 1>>(n); }, true,
       130},
      {"absl flat map, 64 shards", [](std::uint64_t n) { return std::make_unique<MapAndMutex<Flat, 64>>(n); }, true,
       130},
      {"the least: a hash, a line, a swap", [](std::uint64_t n) { return std::make_unique<Least>(n, 1); }, true, 30},
      {"the least, batches of 16", [](std::uint64_t n) { return std::make_unique<Least>(n, 16); }, false, 30},
      {"random reads, prefetched", [](std::uint64_t n) { return std::make_unique<RandomReads>(n); }, false, 16},
  };
  std::printf(
      "| subjects | contestant | bytes a subject | uniform, 1 thread | zipf, 1 thread | uniform, 2 threads | zipf, 2 "
      "threads | against weir | p50 / p99 / p99.9 |\n");
  std::printf("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
  std::string list = argv[1];
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    const std::uint64_t subjects = std::stoull(list.substr(at, comma - at));
    at = comma + 1;
    std::array<std::vector<std::vector<std::uint32_t>>, 2> picks;
    for (int zipf = 0; zipf < 2; ++zipf) {
      for (std::uint64_t thread = 0; thread < 2; ++thread)
        picks[static_cast<std::size_t>(zipf)].push_back(Pick(subjects, zipf == 1, thread + 1));
    }
    double weir_alone = 0;
    for (const Entry& entry : entries) {
      malloc_trim(0);
      if (subjects * entry.bytes_a_subject > AvailableBytes()) {
        std::printf("| %llu | %s | %llu needed: more than there is | - | - | - | - | - | - |\n",
                    static_cast<unsigned long long>(subjects), entry.name,
                    static_cast<unsigned long long>(entry.bytes_a_subject));
        continue;
      }
      const double before = ResidentBytes();
      const auto contestant = entry.make(subjects);
      Fill(*contestant, subjects);
      const double bytes = (ResidentBytes() - before) / static_cast<double>(subjects);
      std::array<double, 4> medians{};
      for (std::size_t column = 0; column < 4; ++column) {
        const auto& both = picks[column % 2];
        const std::vector<std::vector<std::uint32_t>> used(both.begin(), both.begin() + (column < 2 ? 1 : 2));
        std::vector<double> rows;
        for (std::size_t round = 0; round < rounds; ++round) rows.push_back(NanosEach(*contestant, used, kPicks));
        medians[column] = Median(rows);
      }
      if (weir_alone == 0) weir_alone = medians[0];
      std::string latency = "-";
      if (entry.singly) {
        const auto percentiles = Percentiles(*contestant, picks[0][0]);
        latency = fmt::format("{} / {} / {} ns", percentiles[0], percentiles[1], percentiles[2]);
      }
      std::printf("%s", fmt::format("| {} | {} | {} | {:.1f} ns | {:.1f} ns | {:.1f} ns | {:.1f} ns | {:.2f}x | {} |\n",
                                    subjects, entry.name, subjects < 100'000 ? "-" : fmt::format("{:.0f}", bytes),
                                    medians[0], medians[1], medians[2], medians[3], medians[0] / weir_alone, latency)
                            .c_str());
      std::fflush(stdout);
    }
  }
  return 0;
}
