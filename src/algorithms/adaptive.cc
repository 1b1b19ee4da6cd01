#include "algorithms/adaptive.h"

#include <algorithm>
#include <array>

#include "algorithms/instant.h"

namespace weir::algorithms::adaptive {
namespace {

constexpr auto kMostCount = static_cast<std::int64_t>(kMaxCount);
constexpr std::int64_t kOne = 256;      // fixed point of mean, deviation and factor
constexpr std::int64_t kWell = 65'536;  // fixed point of health, errors and gradient
constexpr std::int64_t kLeastHealth = 4'096;
constexpr std::int64_t kMostAverage = static_cast<std::int64_t>(kMostCapacity) * kOne;
constexpr std::int64_t kMostLatency = std::int64_t{1} << 27;  // us
constexpr std::int64_t kLatencyOne = 16;
constexpr std::int64_t kSeasonSamples = 32;
constexpr std::size_t kHours = 24;
constexpr std::uint64_t kFeedbackBit = std::uint64_t{1} << 62;
constexpr std::uint64_t kErrorBit = std::uint64_t{1} << 61;
constexpr std::uint64_t kLatencyMask = (std::uint64_t{1} << 28) - 1;

struct Season {
  std::int64_t mean = 0;
  std::int64_t samples = 0;
};

struct Model {
  Nanos start = 0;
  std::int64_t count = 0;
  std::int64_t learned = 0;
  std::int64_t samples = 0;
  std::int64_t mean = 0;
  std::int64_t deviation = 0;
  std::int64_t latency_short = 0;
  std::int64_t latency_long = 0;
  std::int64_t errors = 0;
  std::int64_t health = kWell;
  Nanos last_feedback = 0;
  std::array<Season, kHours> seasons{};
};

bool IsWhole(const Words& state) { return state.size() == kWords; }

Model Fresh(const Limit& limit) {
  Model model;
  model.learned = static_cast<std::int64_t>(limit.capacity);
  return model;
}

Model Read(const Limit& limit, const Words& state) {
  if (!IsWhole(state)) return Fresh(limit);
  Model model;
  model.start = ClampInstant(state[0]);
  model.count = std::clamp<Word>(state[1], 0, kMostCount);
  model.learned = std::clamp(state[2], static_cast<Word>(limit.min_capacity), static_cast<Word>(limit.max_capacity));
  model.samples = std::clamp<Word>(state[3], 0, Constants(limit).samples_needed);
  model.mean = std::clamp<Word>(state[4], 0, kMostAverage);
  model.deviation = std::clamp<Word>(state[5], 0, kMostAverage);
  model.latency_short = std::clamp<Word>(state[6], 0, kMostLatency * kLatencyOne);
  model.latency_long = std::clamp<Word>(state[7], 0, kMostLatency * kLatencyOne);
  model.errors = std::clamp<Word>(state[8], 0, kWell);
  model.health = std::clamp<Word>(state[9], kLeastHealth, kWell);
  model.last_feedback = ClampInstant(state[10]);
  for (std::size_t hour = 0; hour < kHours; ++hour) {
    const Word packed = std::clamp<Word>(state[11 + hour], 0, kMostAverage * 256 + 255);
    model.seasons[hour] = {.mean = packed / 256, .samples = packed % 256};
  }
  return model;
}

void Write(const Model& model, Words& state) {
  state.resize(kWords);
  state[0] = model.start;
  state[1] = model.count;
  state[2] = model.learned;
  state[3] = model.samples;
  state[4] = model.mean;
  state[5] = model.deviation;
  state[6] = model.latency_short;
  state[7] = model.latency_long;
  state[8] = model.errors;
  state[9] = model.health;
  state[10] = model.last_feedback;
  for (std::size_t hour = 0; hour < kHours; ++hour) {
    state[11 + hour] = model.seasons[hour].mean * 256 + model.seasons[hour].samples;
  }
}

std::size_t HourOf(Nanos instant) { return static_cast<std::size_t>(instant / kHour % 24); }

std::int64_t Toward(std::int64_t from, std::int64_t to, std::int64_t divisor) {
  return to >= from ? from + (to - from) / divisor : from - (from - to) / divisor;
}

// Never stands still short of its aim.
std::int64_t TowardSurely(std::int64_t from, std::int64_t to, std::int64_t divisor) {
  if (to == from) return from;
  return to > from ? from + std::max<std::int64_t>(1, (to - from) / divisor)
                   : from - std::max<std::int64_t>(1, (from - to) / divisor);
}

bool HasSeason(const Model& model, std::size_t hour) { return model.seasons[hour].samples >= kSeasonSamples; }

std::int64_t Expected(const Model& model, std::size_t hour) {
  return HasSeason(model, hour) ? model.seasons[hour].mean : model.mean;
}

// The window that closes is one sample of what is normal.
void Learn(const Limit& limit, const LimitConstants& constants, Model& model) {
  const std::size_t hour = HourOf(model.start);
  const std::int64_t expected = Expected(model, hour);
  std::int64_t sample = std::min(model.count, static_cast<std::int64_t>(limit.max_capacity)) * kOne;
  if (model.samples >= constants.samples_needed) {
    sample = std::min(sample, expected + 4 * model.deviation + kOne);
  }
  sample = std::min(sample, kMostAverage);
  const std::int64_t divisor = std::min(model.samples + 1, constants.samples_needed);
  const std::int64_t distance = sample > expected ? sample - expected : expected - sample;
  model.deviation = model.samples == 0 ? 0 : Toward(model.deviation, distance, divisor);
  model.mean = Toward(model.mean, sample, divisor);
  Season& season = model.seasons[hour];
  season.samples = std::min<std::int64_t>(season.samples + 1, 255);
  season.mean = Toward(season.mean, sample, std::min<std::int64_t>(season.samples, 64));
  model.samples = std::min(model.samples + 1, constants.samples_needed);
}

std::int64_t LearnedLimit(const Limit& limit, const LimitConstants& constants, const Model& model, Nanos now) {
  if (model.samples < constants.samples_needed) return static_cast<std::int64_t>(limit.capacity);
  const std::int64_t normal = Expected(model, HourOf(now));
  // What never varied may vary by an eighth: a subject held to exactly its normal could never show that it needs more.
  const std::int64_t spread = std::max(model.deviation, normal / 8);
  const std::int64_t raised = normal + spread * constants.factor / kOne;
  return std::clamp((raised + kOne - 1) / kOne, static_cast<std::int64_t>(limit.min_capacity),
                    static_cast<std::int64_t>(limit.max_capacity));
}

// The model as of `now`: with a new window opened if one is due.
Model ModelAt(const Limit& limit, const Words& state, Nanos now) {
  Model model = Read(limit, state);
  if (IsWhole(state) && now - model.start < limit.window) return model;
  const LimitConstants constants = Constants(limit);
  if (IsWhole(state) && now - model.start >= constants.forget) model = Fresh(limit);
  if (model.count > 0) Learn(limit, constants, model);
  model.learned = LearnedLimit(limit, constants, model, now);
  if (model.last_feedback > 0 && now - model.last_feedback >= limit.learning_window) {
    model.latency_short = model.latency_long = model.errors = 0;
    model.health = kWell;
    model.last_feedback = 0;
  }
  model.start = now;
  model.count = 0;
  return model;
}

std::uint64_t Effective(const Limit& limit, const Model& model) {
  return std::max(limit.min_capacity, static_cast<std::uint64_t>(model.learned * model.health / kWell));
}

void Add(std::uint64_t cost, Model& model) {
  const auto room = static_cast<std::uint64_t>(kMostCount - model.count);
  model.count += static_cast<std::int64_t>(std::min(cost, room));
}

void Hear(std::uint64_t token, Nanos now, Model& model) {
  const auto microseconds = static_cast<std::int64_t>(token & kLatencyMask);
  const std::int64_t latency = std::clamp<std::int64_t>(microseconds, 1, kMostLatency) * kLatencyOne;
  const std::int64_t failed = (token & kErrorBit) != 0 ? kWell : 0;
  model.latency_short = model.latency_short == 0 ? latency : Toward(model.latency_short, latency, 8);
  model.latency_long = model.latency_long == 0 ? latency : Toward(model.latency_long, latency, 128);
  if (model.latency_long > 2 * model.latency_short) model.latency_long -= model.latency_long / 20;
  model.errors = TowardSurely(model.errors, failed, 16);
  // A latency up to half above normal is well.
  const std::int64_t tolerated = model.latency_long * (kWell * 3 / 2);
  const std::int64_t gradient =
      std::clamp(tolerated / std::max<std::int64_t>(1, model.latency_short), kWell / 2, kWell);
  const std::int64_t target = std::max(kLeastHealth, gradient * (kWell - model.errors) / kWell);
  model.health = TowardSurely(model.health, target, 8);
  model.last_feedback = std::max<Nanos>(now, 1);
}

Outcome Describe(const Limit& limit, const Model& model, Nanos now) {
  Outcome outcome;
  outcome.limit = Effective(limit, model);
  outcome.used = static_cast<std::uint64_t>(model.count);
  outcome.remaining = outcome.used < outcome.limit ? outcome.limit - outcome.used : 0;
  outcome.reset_after_ns = model.count > 0 ? model.start + limit.window - now : 0;
  return outcome;
}

Outcome Check(const Limit& limit, const Ask& ask, Nanos now, Words& state) {
  Model model = ModelAt(limit, state, now);
  if (ask.cost == 0) return Describe(limit, model, now);
  Outcome outcome;
  const std::uint64_t effective = Effective(limit, model);
  if (ask.cost > effective) {
    outcome = Describe(limit, model, now);
    outcome.verdict = Verdict::kNever;
    return outcome;
  }
  if (static_cast<std::uint64_t>(model.count) + ask.cost > effective) {
    outcome = Describe(limit, model, now);
    outcome.verdict = Verdict::kLater;
    outcome.retry_after_ns = model.start + limit.window - now;
    return outcome;
  }
  Add(ask.cost, model);
  if (ask.op == Op::kCheck) Write(model, state);
  return Describe(limit, model, now);
}

}  // namespace

Outcome Apply(const Limit& limit, const Ask& ask, Words& state) {
  const Nanos now = ClampNow(ask.now);
  switch (ask.op) {
    case Op::kCheck:
    case Op::kTake:  // take.h asks for what fits
    case Op::kPeek:
      return Check(limit, ask, now, state);
    case Op::kReset:
      state.clear();
      return Describe(limit, ModelAt(limit, state, now), now);
    default:
      break;
  }
  Model model = ModelAt(limit, state, now);
  bool changed = ask.cost > 0;
  if (ask.op == Op::kCharge) {
    Add(ask.cost, model);
    if (ask.cost == 0 && (ask.token & kFeedbackBit) != 0) {
      Hear(ask.token, now, model);
      changed = true;
    }
  } else if (ask.op == Op::kRefund) {
    // What an earlier window counted is gone.
    const bool counts = ask.charge == nullptr || model.start <= ClampNow(ask.charge->at);
    changed = RefundOf(ask) > 0 && model.count > 0 && counts;
    if (changed) {
      model.count -= static_cast<std::int64_t>(std::min(RefundOf(ask), static_cast<std::uint64_t>(model.count)));
    }
  } else {
    // kAssign opens a window of its own; what the open one counted is not a sample, it was replaced.
    model.start = now;
    model.count = static_cast<std::int64_t>(std::min(ask.cost, kMaxCount));
    changed = true;
  }
  if (changed) Write(model, state);
  return Describe(limit, model, now);
}

std::uint64_t Used(const Limit& limit, const Words& state, Nanos now) {
  if (!IsWhole(state)) return 0;
  const Model model = Read(limit, state);
  return ClampNow(now) - model.start >= limit.window ? 0 : static_cast<std::uint64_t>(model.count);
}

Nanos Expires(const Limit& limit, const Words& state) {
  if (!IsWhole(state)) return kMinNanos;
  return SaturatingAdd(ClampInstant(state[0]), Constants(limit).forget);
}

std::int64_t Samples(const Limit& limit, const Words& state) { return Read(limit, state).samples; }

LimitConstants Constants(const Limit& limit) {
  return {.samples_needed = std::clamp<std::int64_t>(limit.learning_window / std::max<Nanos>(1, limit.window), 4, 1024),
          .factor = static_cast<std::int64_t>(limit.adjustment_ppm) * kOne / 1'000'000,
          .forget = std::max(7 * kDay, limit.learning_window) + limit.window};
}

std::uint64_t FeedbackToken(Nanos latency, bool error) {
  const auto microseconds = std::clamp<std::int64_t>(latency / kMicrosecond, 1, kMostLatency);
  return kFeedbackBit | (error ? kErrorBit : 0) | static_cast<std::uint64_t>(microseconds);
}

void Feedback(const Limit& limit, Words& state, Nanos latency, bool error, Nanos now) {
  Apply(limit, {.op = Op::kCharge, .cost = 0, .now = now, .token = FeedbackToken(latency, error)}, state);
}

View Explain(const Limit& limit, const Words& state, Nanos now) {
  const Nanos clamped = ClampNow(now);
  const LimitConstants constants = Constants(limit);
  const Model model = ModelAt(limit, state, clamped);
  const std::size_t hour = HourOf(model.start);
  View view;
  view.learning = model.samples < constants.samples_needed;
  view.samples = static_cast<std::uint64_t>(model.samples);
  view.samples_needed = static_cast<std::uint64_t>(constants.samples_needed);
  view.mean = static_cast<double>(model.mean) / kOne;
  view.deviation = static_cast<double>(model.deviation) / kOne;
  view.seasonal = HasSeason(model, hour);
  view.season = static_cast<double>(Expected(model, hour)) / kOne;
  view.learned_limit = static_cast<std::uint64_t>(model.learned);
  view.health = static_cast<double>(model.health) / kWell;
  view.latency_ms = static_cast<double>(model.latency_short) / (kLatencyOne * 1000.0);
  view.normal_latency_ms = static_cast<double>(model.latency_long) / (kLatencyOne * 1000.0);
  view.error_share = static_cast<double>(model.errors) / kWell;
  view.effective_limit = Effective(limit, model);
  return view;
}

}  // namespace weir::algorithms::adaptive
