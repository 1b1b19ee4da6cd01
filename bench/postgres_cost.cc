// What a decision through the PostgreSQL store costs, beside a plain client that locks, reads and writes a row in a
// transaction of its own, on one server that this program starts itself:
//   weir_bench_postgres [SECONDS]
// A Markdown table. The contestants take turns, so that a noisy machine hits them alike: read the ratios.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "io/postgres/session.h"
#include "storage/postgres/postgres_process.h"
#include "storage/postgres/postgres_store.h"
#include "tests/conformance/plans.h"

namespace weir::storage::postgres {
namespace {

constexpr std::uint64_t kKeys = 100'000;
constexpr unsigned kConnections = 4;

struct Figures {
  std::uint64_t decisions = 0;
  std::vector<double> latencies_us;
};

Limit Bucket() { return conformance::BucketOf(1'000'000'000, 1'000'000'000); }

// Asks again as soon as it is answered; as many of these as plans are in flight.
class Asker final : public Completion {
 public:
  Asker(Store& store, int rules, bool hot, unsigned seed) : store_(store), hot_(hot), random_(seed) {
    items_.resize(static_cast<std::size_t>(rules));
    outcomes_.resize(items_.size());
  }
  void Start() { Ask(); }
  void Done() noexcept override {
    const Nanos now = io::SteadyNow();
    latencies_us.push_back(static_cast<double>(now - asked_) / 1000);
    failures += plan_.status == PlanStatus::kOk ? 0 : 1;
    if (stopping) {
      ended = true;
      return;
    }
    Ask();
  }

  std::vector<double> latencies_us;
  std::uint64_t failures = 0;
  std::atomic<bool> stopping = false, ended = false;

 private:
  void Ask() {
    static const Limit limit = Bucket();
    const std::uint64_t number = hot_ ? 0 : random_() % kKeys;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      items_[i].limit = &limit;
      items_[i].key = KeyOf(i + 1, SubjectHash{number * 0x9e3779b97f4a7c15, number});
    }
    plan_ = Plan{.op = Op::kCheck, .items = items_, .outcomes = outcomes_};
    asked_ = io::SteadyNow();
    if (store_.Apply({&plan_, 1}, SystemClock().Now(), this)) {
      ++failures;
      ended = true;
    }
  }

  Store& store_;
  const bool hot_;
  std::mt19937_64 random_;
  std::vector<Item> items_;
  std::vector<Outcome> outcomes_;
  Plan plan_;
  Nanos asked_ = 0;
};

Figures ThroughTheStore(const PostgresProcess& server, int rules, bool hot, unsigned in_flight, double seconds) {
  PostgresStoreOptions options;
  options.url = server.unix_url();
  options.durability = Durability::kUnlogged;
  options.connections = kConnections;
  options.command_timeout = 10 * kSecond;
  const auto store = std::move(PostgresStore::Create(options)).value();
  while (store->GetHealth() != Health::kUp) std::this_thread::yield();
  std::vector<std::unique_ptr<Asker>> askers;
  for (unsigned i = 0; i < in_flight; ++i) askers.push_back(std::make_unique<Asker>(*store, rules, hot, i));
  for (const auto& asker : askers) asker->Start();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  for (const auto& asker : askers) asker->stopping = true;
  Figures figures;
  for (const auto& asker : askers) {
    while (!asker->ended) std::this_thread::yield();
    if (asker->failures > 0) std::exit((fmt::print(stderr, "{} asks failed\n", asker->failures), 1));
    figures.decisions += asker->latencies_us.size();
    figures.latencies_us.insert(figures.latencies_us.end(), asker->latencies_us.begin(), asker->latencies_us.end());
  }
  return figures;
}

// What is written by hand: a transaction a decision, a row each.
Figures ByHand(const PostgresProcess& server, bool hot, double seconds) {
  Figures figures;
  std::mutex mutex;
  std::vector<std::thread> threads;
  const Nanos end = io::SteadyNow() + static_cast<Nanos>(seconds * 1e9);
  for (unsigned thread = 0; thread < kConnections; ++thread) {
    threads.emplace_back([&, thread] {
      const io::postgres::Cancel cancel;
      const auto session =
          io::postgres::Session::Connect({.url = server.unix_url(), .connect_timeout = 10 * kSecond}, cancel);
      if (!session) std::exit(1);
      const auto run = [&](std::string_view text, io::postgres::Params params) {
        if (!(*session)->Run({text, std::move(params)}, io::SteadyNow() + 10 * kSecond)) std::exit(1);
      };
      std::mt19937_64 random(thread);
      std::vector<double> latencies_us;
      while (io::SteadyNow() < end) {
        const auto key = static_cast<std::int64_t>(hot ? 0 : random() % kKeys);
        const Nanos asked = io::SteadyNow();
        run("BEGIN", {});
        run("SELECT tat FROM hand WHERE id = $1 FOR UPDATE", io::postgres::Params().Add(key));
        run("UPDATE hand SET tat = $2 WHERE id = $1", io::postgres::Params().Add(key).Add(asked));
        run("COMMIT", {});
        latencies_us.push_back(static_cast<double>(io::SteadyNow() - asked) / 1000);
      }
      const std::lock_guard lock(mutex);
      figures.decisions += latencies_us.size();
      figures.latencies_us.insert(figures.latencies_us.end(), latencies_us.begin(), latencies_us.end());
    });
  }
  for (std::thread& thread : threads) thread.join();
  return figures;
}

double Percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, place);
  return *place;
}

int Main(double seconds) {
  const PostgresProcess server;
  if (!server.Query("CREATE UNLOGGED TABLE hand (id bigint PRIMARY KEY, tat bigint) WITH (fillfactor = 70)") ||
      !server.Query("INSERT INTO hand SELECT i, 0 FROM generate_series(0, 99999) i")) {
    return 1;
  }
  struct Contestant {
    std::string name;
    std::function<Figures()> run;
    Figures sum{};
  };
  const auto store = [&](int rules, bool hot, unsigned in_flight) {
    return
        [&server, rules, hot, in_flight, seconds] { return ThroughTheStore(server, rules, hot, in_flight, seconds); };
  };
  std::vector<Contestant> contestants = {
      {"by hand: begin, select for update, update, commit", [&] { return ByHand(server, false, seconds); }},
      {"the same, one hot key", [&] { return ByHand(server, true, seconds); }},
      {"weir, one bucket, 4 in flight", store(1, false, 4)},
      {"weir, one bucket, 256 in flight", store(1, false, 256)},
      {"weir, two rules, 4 in flight", store(2, false, 4)},
      {"weir, two rules, 256 in flight", store(2, false, 256)},
      {"weir, one bucket, one hot key, 256 in flight", store(1, true, 256)}};
  constexpr int kRounds = 3;
  for (int round = 0; round < kRounds; ++round) {
    for (Contestant& contestant : contestants) {
      Figures figures = contestant.run();
      contestant.sum.decisions += figures.decisions;
      contestant.sum.latencies_us.insert(contestant.sum.latencies_us.end(), figures.latencies_us.begin(),
                                         figures.latencies_us.end());
    }
  }
  const auto rate = [&](const Contestant& contestant) {
    return static_cast<double>(contestant.sum.decisions) / (seconds * kRounds);
  };
  fmt::print("| | decisions/s | times by hand | p50 ms | p99 ms |\n| --- | --- | --- | --- | --- |\n");
  for (Contestant& contestant : contestants) {
    fmt::print("| {} | {:.0f} | {:.1f} | {:.2f} | {:.2f} |\n", contestant.name, rate(contestant),
               rate(contestant) / rate(contestants[0]), Percentile(contestant.sum.latencies_us, 0.5) / 1000,
               Percentile(contestant.sum.latencies_us, 0.99) / 1000);
  }
  return 0;
}

}  // namespace
}  // namespace weir::storage::postgres

int main(int argc, char** argv) { return weir::storage::postgres::Main(argc > 1 ? std::atof(argv[1]) : 2); }
