// Draws docs/images/algorithms.svg: what each algorithm admits of the same traffic. The numbers are real runs of
// src/algorithms; equal on every machine.
//
//   weir_admission_chart FILE          writes the picture
//   weir_admission_chart --check FILE  fails when the file is not what would be written
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "algorithms/algorithm.h"
#include "algorithms/limit.h"
#include "base/clock.h"

namespace {

using weir::kMillisecond;
using weir::kMinute;
using weir::kSecond;
using weir::Nanos;
using weir::Outcome;
using weir::Verdict;
using weir::algorithms::Algorithm;
using weir::algorithms::Kind;
using weir::algorithms::Limit;
using weir::algorithms::Op;

constexpr int kSeconds = 120;
constexpr Nanos kStart = 1'800'000'000 * kSecond;  // the beginning of a minute
constexpr std::uint64_t kLimit = 50;               // in each ...
constexpr Nanos kWindow = 10 * kSecond;

// ---- traffic --------------------------------------------------------------------------------------------------------

// Requests a second: calm, one burst, a long overload, calm, and two bursts around the end of a window.
int OfferedIn(int second) {
  if (second == 15) return 60;
  if (second >= 30 && second < 60) return 12;
  if (second == 89 || second == 90) return 55;
  return 3;
}

std::vector<Nanos> Traffic() {
  std::vector<Nanos> arrivals;
  for (int second = 0; second < kSeconds; ++second) {
    const int offered = OfferedIn(second);
    const bool burst = offered > 50;
    for (int i = 0; i < offered; ++i) {
      // A burst comes within a tenth of its second: the first of a pair at its end, others at its beginning.
      const Nanos within = burst ? i * (100 * kMillisecond / offered) + (second == 89 ? 850 * kMillisecond : 0)
                                 : i * (kSecond / offered);
      arrivals.push_back(kStart + second * kSecond + within);
    }
  }
  return arrivals;
}

// ---- runs -----------------------------------------------------------------------------------------------------------

struct Run {
  std::string title;
  std::string parameters;
  std::vector<Nanos> admitted;  // when each request was let through
};

class Counter {
 public:
  explicit Counter(const Limit& limit)
      : limit_(weir::algorithms::Sanitize(limit)), algorithm_(weir::algorithms::Of(limit.kind)) {}
  Outcome Do(Op op, Nanos now, std::uint64_t token = 0) {
    const weir::algorithms::Ask ask{.op = op, .cost = 1, .now = now, .token = token};
    return algorithm_.apply_word != nullptr ? algorithm_.apply_word(limit_, ask, word_)
                                            : algorithm_.apply_list(limit_, ask, words_);
  }

 private:
  Limit limit_;
  const Algorithm& algorithm_;
  weir::algorithms::Word word_ = 0;
  weir::algorithms::Words words_;
};

Limit Base(Kind kind) {
  Limit limit;
  limit.kind = kind;
  limit.capacity = kLimit;
  limit.rate_count = kLimit;
  limit.rate_period = kWindow;
  limit.window = kWindow;
  return limit;
}

std::vector<Nanos> Admit(Counter counter, const std::vector<Nanos>& arrivals) {
  std::vector<Nanos> admitted;
  for (const Nanos at : arrivals) {
    const Outcome outcome = counter.Do(Op::kCheck, at);
    if (outcome.verdict == Verdict::kAllowed) admitted.push_back(at + outcome.delay_ns);
  }
  std::sort(admitted.begin(), admitted.end());
  return admitted;
}

// Each admitted request is at work for `service`, and gives its slot back.
std::vector<Nanos> AdmitConcurrently(Counter counter, const std::vector<Nanos>& arrivals, Nanos service) {
  std::vector<Nanos> admitted;
  std::size_t released = 0;
  for (const Nanos at : arrivals) {
    while (released < admitted.size() && admitted[released] + service <= at) {
      counter.Do(Op::kRefund, admitted[released] + service, released);
      ++released;
    }
    if (counter.Do(Op::kCheck, at, admitted.size()).verdict == Verdict::kAllowed) admitted.push_back(at);
  }
  return admitted;
}

// A counter that has seen an hour of calm: 3 a second.
Counter Experienced(const Limit& limit) {
  Counter counter(limit);
  for (int i = 0; i < 3 * 3600; ++i) counter.Do(Op::kCheck, kStart - 3600 * kSecond + i * (kSecond / 3));
  return counter;
}

std::vector<Run> Runs(const std::vector<Nanos>& arrivals) {
  std::vector<Run> runs;
  Limit bucket = Base(Kind::kTokenBucket);
  bucket.capacity = 20;
  runs.push_back({"token_bucket", "5 a second, burst 20", Admit(Counter(bucket), arrivals)});
  Limit shaper = bucket;
  shaper.kind = Kind::kLeakyBucket;
  shaper.shape = true;
  runs.push_back(
      {"leaky_bucket, shaping", "5 a second, queue of 20; drawn when let out", Admit(Counter(shaper), arrivals)});
  Limit sliding = Base(Kind::kSlidingWindow);
  sliding.precision = kSecond;
  runs.push_back({"sliding_window", "50 in 10 s, precision 1 s", Admit(Counter(sliding), arrivals)});
  runs.push_back({"sliding_window_log", "50 in 10 s", Admit(Counter(Base(Kind::kSlidingWindowLog)), arrivals)});
  runs.push_back({"fixed_window, rolling", "50 in 10 s from the first request",
                  Admit(Counter(Base(Kind::kFixedWindow)), arrivals)});
  Limit minute = Base(Kind::kFixedWindow);
  minute.calendar = weir::algorithms::Calendar::kMinute;
  minute.capacity = 300;
  runs.push_back({"fixed_window, by the minute", "300 in each minute of the clock", Admit(Counter(minute), arrivals)});
  Limit slots = Base(Kind::kConcurrency);
  slots.capacity = 10;
  slots.lease = kMinute;
  runs.push_back(
      {"concurrency", "10 in flight, each at work for 2 s", AdmitConcurrently(Counter(slots), arrivals, 2 * kSecond)});
  Limit adaptive = Base(Kind::kAdaptive);
  adaptive.learning_window = 10 * kMinute;
  adaptive.adjustment_ppm = 2'000'000;
  adaptive.min_capacity = 5;
  adaptive.max_capacity = 500;
  runs.push_back({"adaptive", "after an hour at 3 a second; 2 deviations", Admit(Experienced(adaptive), arrivals)});
  return runs;
}

std::array<int, kSeconds> PerSecond(const std::vector<Nanos>& times) {
  std::array<int, kSeconds> counts{};
  for (const Nanos at : times) {
    const Nanos second = (at - kStart) / kSecond;
    if (second >= 0 && second < kSeconds) ++counts[static_cast<std::size_t>(second)];
  }
  return counts;
}

std::size_t MostInAnyWindow(const std::vector<Nanos>& times) {
  std::size_t most = 0;
  std::deque<Nanos> inside;
  for (const Nanos at : times) {
    inside.push_back(at);
    while (inside.front() <= at - kWindow) inside.pop_front();
    most = std::max(most, inside.size());
  }
  return most;
}

// ---- drawing --------------------------------------------------------------------------------------------------------

constexpr int kPanelWidth = 480;
constexpr int kPanelHeight = 150;
constexpr int kPlotHeight = 84;
constexpr int kMargin = 28;
constexpr int kTop = 58;
constexpr int kMostPerSecond = 60;

std::string Bars(const std::array<int, kSeconds>& counts, const char* colour, int x0, int y0) {
  const double width = static_cast<double>(kPanelWidth - 2 * kMargin) / kSeconds;
  std::string path;
  for (int second = 0; second < kSeconds; ++second) {
    const int count = std::min(counts[static_cast<std::size_t>(second)], kMostPerSecond);
    if (count == 0) continue;
    const double height = static_cast<double>(kPlotHeight) * count / kMostPerSecond;
    path += fmt::format("M{:.1f} {}v-{:.1f}h{:.1f}v{:.1f}z", x0 + second * width, y0, height, width - 0.4, height);
  }
  return fmt::format("<path d=\"{}\" fill=\"{}\"/>\n", path, colour);
}

std::string Panel(const Run& run, const std::array<int, kSeconds>& offered, std::size_t offered_total, int x, int y) {
  const int x0 = x + kMargin;
  const int y0 = y + kPanelHeight - 22;
  const int x1 = x + kPanelWidth - kMargin;
  const std::size_t most = MostInAnyWindow(run.admitted);
  std::string svg;
  svg += fmt::format("<text x=\"{}\" y=\"{}\" class=\"t\">{}</text>\n", x0, y + 14, run.title);
  svg += fmt::format("<text x=\"{}\" y=\"{}\" class=\"p\">{}</text>\n", x0, y + 29, run.parameters);
  svg += fmt::format("<text x=\"{}\" y=\"{}\" class=\"p\" text-anchor=\"end\">admitted {} of {}</text>\n", x1, y + 14,
                     run.admitted.size(), offered_total);
  svg += fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\" text-anchor=\"end\">most in any 10 s: {}</text>\n", x1,
                     y + 29, most > kLimit ? "w" : "p", most);
  svg += Bars(offered, "#d5d9de", x0, y0);
  svg += Bars(PerSecond(run.admitted), "#1f6feb", x0, y0);
  svg += fmt::format("<path d=\"M{} {}H{}\" stroke=\"#8b949e\"/>\n", x0, y0, x1);
  for (int second = 0; second <= kSeconds; second += 30) {
    const int at = x0 + (x1 - x0) * second / kSeconds;
    svg += fmt::format("<text x=\"{}\" y=\"{}\" class=\"a\" text-anchor=\"middle\">{} s</text>\n", at, y0 + 13, second);
  }
  return svg;
}

std::string Draw() {
  const std::vector<Nanos> arrivals = Traffic();
  const std::array<int, kSeconds> offered = PerSecond(arrivals);
  const std::vector<Run> runs = Runs(arrivals);
  const int rows = static_cast<int>(runs.size() + 1) / 2;
  const int width = 2 * kPanelWidth;
  const int height = kTop + rows * kPanelHeight + 10;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\">\n"
      "<title>What each algorithm admits of the same traffic</title>\n"
      "<style>text{{font-family:system-ui,sans-serif;fill:#1f2328}}.h{{font-size:16px;font-weight:600}}"
      ".t{{font-size:14px;font-weight:600}}.p{{font-size:12px;fill:#59636e}}.w{{font-size:12px;fill:#bc4c00;font-"
      "weight:600}}"
      ".a{{font-size:10px;fill:#59636e}}</style>\n"
      "<rect width=\"{0}\" height=\"{1}\" rx=\"6\" fill=\"#ffffff\"/>\n",
      width, height);
  svg += fmt::format(
      "<text x=\"{}\" y=\"26\" class=\"h\">The same traffic under each algorithm, requests a second"
      "</text>\n",
      kMargin);
  svg += fmt::format(
      "<rect x=\"{}\" y=\"36\" width=\"10\" height=\"10\" fill=\"#d5d9de\"/>"
      "<text x=\"{}\" y=\"45\" class=\"p\">offered</text>"
      "<rect x=\"{}\" y=\"36\" width=\"10\" height=\"10\" fill=\"#1f6feb\"/>"
      "<text x=\"{}\" y=\"45\" class=\"p\">admitted (every limit is 5 a second in the long run, but for "
      "what adaptive has learned)</text>\n",
      kMargin, kMargin + 16, kMargin + 80, kMargin + 96);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const int column = static_cast<int>(i) % 2;
    const int row = static_cast<int>(i) / 2;
    svg += Panel(runs[i], offered, arrivals.size(), column * kPanelWidth, kTop + row * kPanelHeight);
  }
  return svg + "</svg>\n";
}

}  // namespace

int main(int argc, char** argv) {
  const bool check = argc == 3 && std::string(argv[1]) == "--check";
  if (argc != 2 && !check) {
    fmt::print(stderr, "usage: {} [--check] FILE\n", argv[0]);
    return 2;
  }
  const std::string svg = Draw();
  const char* const path = argv[argc - 1];
  if (check) {
    std::ifstream file(path, std::ios::binary);
    const std::string present((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (present == svg) return 0;
    fmt::print(stderr, "{} is out of date: make it again with {} {}\n", path, argv[0], path);
    return 1;
  }
  std::ofstream file(path, std::ios::binary);
  file << svg;
  file.close();
  return file ? 0 : 1;
}
