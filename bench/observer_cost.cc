// What the observers of decisions cost: nanoseconds for telling each of one decision, one thread, many users in turn.
// The recorder under load, when hardly any subject is in its sample, and when each decision is kept. Medians of the
// rounds.
//
//   weir_bench_observers 100000 9          users, rounds
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "analytics/decision_meter.h"
#include "analytics/recorder.h"
#include "base/anchored_clock.h"
#include "engine/engine.h"

namespace {

constexpr std::size_t kDecisions = 1'000'000;

double NanosOfOne(const std::vector<std::string>& users, std::size_t decisions,
                  const std::function<void(const weir::engine::DecisionEvent&, std::size_t)>& tell) {
  weir::engine::Call call;
  call.request = {.peer_ip = "192.0.2.1", .method = "GET", .path = "/v1/things/17"};
  call.decision.reason = weir::Reason::kOk;
  const weir::config::Revision revision{.number = 12};
  const auto begin = std::chrono::steady_clock::now();
  std::size_t at = 0;
  for (std::size_t i = 0; i < decisions; ++i) {
    call.request.user = users[at];
    if (++at == users.size()) at = 0;
    const weir::engine::DecisionEvent event{
        .call = call, .now = static_cast<weir::Nanos>(i) * 200, .revision = &revision};
    tell(event, i);
  }
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begin;
  return taken.count() / static_cast<double>(decisions);
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100'000;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 9;
  std::vector<std::string> users;
  for (std::size_t i = 0; i < count; ++i) users.push_back("user-" + std::to_string(i));
  const weir::Clock& clock = weir::DecisionClock();
  weir::analytics::DecisionMeter meter(clock);
  weir::analytics::Recorder loaded({.clock = &clock}), keeping({.clock = &clock});
  // A flood narrows its sample.
  for (int i = 0; i < 12; ++i) {
    (void)NanosOfOne(users, 100'000, [&](const auto& event, std::size_t) { loaded.OnDecision(event); });
    loaded.Drain();
  }
  std::vector<double> loop, metered, recorded, kept;
  for (int round = 0; round < rounds; ++round) {
    loop.push_back(NanosOfOne(users, kDecisions, [](const auto& event, std::size_t) {
      asm volatile("" ::"r"(&event) : "memory");
    }));
    metered.push_back(NanosOfOne(users, kDecisions, [&](const auto& event, std::size_t) { meter.OnDecision(event); }));
    recorded.push_back(
        NanosOfOne(users, kDecisions, [&](const auto& event, std::size_t) { loaded.OnDecision(event); }));
    loaded.Drain();
    // Some at a time, so that the queue never fills; what a job does for it is not the deciding thread's.
    double sum = 0;
    constexpr int kParts = 100;
    for (int part = 0; part < kParts; ++part) {
      sum += NanosOfOne(users, 1'000, [&](const auto& event, std::size_t) { keeping.OnDecision(event); });
      keeping.Drain();
    }
    kept.push_back(sum / kParts);
  }
  const double none = Median(loop);
  fmt::print("| observer | ns a decision |\n| --- | ---: |\n");
  fmt::print("| meter | {:.1f} |\n", Median(metered) - none);
  fmt::print("| recorder under load | {:.1f} |\n", Median(recorded) - none);
  fmt::print("| recorder, a decision that is kept | {:.1f} |\n", Median(kept) - none);
  const auto stats = loaded.Stats();
  fmt::print("\nunder load: share {:.6f}, kept {}, outside {}, left out {}\n", stats.share, stats.kept, stats.outside,
             stats.left_out);
  return 0;
}
