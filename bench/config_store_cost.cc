// What one change of configuration costs in the SQLite store, among few records and among many:
//   weir_bench_config_store [DIRECTORY]
// A line for each number of records: CPU and time of a change that waits alone; of changes that are committed together;
// of the loader's look at one; and of what is asked most often.
#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "config/source/loader.h"
#include "config/source/sqlite/sqlite_config_store.h"

namespace weir::config {
namespace {

struct Cost {
  double cpu_us = 0;
  double wall_us = 0;
  double p95_us = 0;
};

double CpuMicros() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

double WallMicros() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Cost Measure(int times, const std::function<void(int)>& what) {
  std::vector<double> each;
  const double cpu = CpuMicros();
  const double wall = WallMicros();
  for (int i = 0; i < times; ++i) {
    const double begin = WallMicros();
    what(i);
    each.push_back(WallMicros() - begin);
  }
  std::ranges::sort(each);
  return {.cpu_us = (CpuMicros() - cpu) / times,
          .wall_us = (WallMicros() - wall) / times,
          .p95_us = each[each.size() * 95 / 100]};
}

// Spread over all of them.
std::string KeyOf(std::uint64_t i, std::uint64_t records) { return fmt::format("user-{:08}", i * 7'919 % records); }

Draft ChangeOf(std::uint64_t i, std::uint64_t records, std::uint64_t value) {
  return {.origin = {.author = "ann", .method = "token", .reason = "bench", .source = "api"},
          .writes = {{.id = {"users", KeyOf(i, records)},
                      .body = RecordBody{
                          .value = fmt::format(R"({{"tenant":"acme","rule":{{"max_requests":{}}}}})", value)}}}};
}

template <typename T>
T Must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(1);
}

void Print(std::uint64_t records, const char* what, const Cost& cost) {
  fmt::print("{:>9} records  {:<34} cpu {:8.1f} us  time {:8.1f} us  p95 {:8.1f} us\n", records, what, cost.cpu_us,
             cost.wall_us, cost.p95_us);
  std::fflush(stdout);
}

void Run(const std::string& directory, std::uint64_t records) {
  const std::string path = fmt::format("{}/config-{}.db", directory, records);
  const auto store = Must(OpenSqliteConfigStore({.path = path}));
  constexpr std::uint64_t kBulk = 10'000;
  Cost bulk;
  for (std::uint64_t begin = 0; begin < records; begin += kBulk) {
    Draft draft = ChangeOf(0, records, 0);
    draft.writes.clear();
    for (std::uint64_t i = begin; i < std::min(records, begin + kBulk); ++i) {
      draft.writes.push_back(std::move(ChangeOf(i, records, 1).writes[0]));
    }
    bulk = Measure(1, [&](int) { Must(store->Append(draft)); });
  }
  Print(records, "the last bulk of up to 10,000", bulk);
  constexpr int kTimes = 2000;
  std::uint64_t next = 0;
  Print(records, "one change, alone", Measure(kTimes, [&](int) { Must(store->Append(ChangeOf(next++, records, 2))); }));
  constexpr int kTogether = 100;
  const Cost together = Measure(kTimes / kTogether, [&](int) {
    std::atomic<int> left = kTogether;
    for (int i = 0; i < kTogether; ++i) {
      store->Append(ChangeOf(next++, records, 3), [&](const Result<Appended>& appended) {
        if (!appended) std::exit(1);
        if (left.fetch_sub(1) == 1) left.notify_one();
      });
    }
    for (int now = left.load(); now > 0; now = left.load()) left.wait(now);
  });
  Print(records, "one of 100 at once",
        {together.cpu_us / kTogether, together.wall_us / kTogether, together.p95_us / kTogether});
  Print(records, "get", Measure(kTimes, [&](int) { Must(store->Get({"users", KeyOf(next++, records)})); }));
  Print(records, "list of 100",
        Measure(200, [&](int) { Must(store->List({.kind = "users", .after = KeyOf(next++, records), .most = 100})); }));
  Loader loader(*store);
  const std::uint64_t head = Must(store->Head()).number;
  Print(records, "loader: what one change asks for",
        Measure(500, [&](int) { Must(loader.After({.revision = head - 1, .id = {"~", "~"}})); }));
  Print(records, "rollback by 10 changes", Measure(20, [&](int) {
          const std::uint64_t now = Must(store->Head()).number;
          for (int i = 0; i < 10; ++i) Must(store->Append(ChangeOf(next++, records, 4)));
          Must(store->Rollback(now, {.author = "ann"}));
        }));
  fmt::print("{:>9} records  file {:.1f} MB\n", records, static_cast<double>(std::filesystem::file_size(path)) / 1e6);
}

}  // namespace
}  // namespace weir::config

int main(int argc, char** argv) {
  std::string name =
      (argc > 1 ? std::filesystem::path(argv[1]) : std::filesystem::temp_directory_path()) / "weir-XXXXXX";
  const char* const directory = mkdtemp(name.data());
  if (directory == nullptr) return 1;
  for (const std::uint64_t records : {1'000, 1'000'000}) weir::config::Run(directory, records);
  std::filesystem::remove_all(directory);
  return 0;
}
