#include "management/rest/rollouts/rollout.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>

#include "management/rest/record_body.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::array<std::string_view, 6> kStates = {"waiting",   "running",  "paused",
                                                     "completed", "returned", "aborted"};
constexpr std::array<std::string_view, 3> kKinds = {"shadow", "percent", "all"};
constexpr Nanos kDefaultStage = 10 * kMinute;
constexpr double kLongestStage = 90.0 * 86'400;  // seconds
constexpr double kLongestWindow = 3'600;

// 600, where a double would be written as 6E2.
json::value Number(double number) {
  if (std::abs(number) < 1e15 && number == std::floor(number)) return static_cast<std::int64_t>(number);
  return number;
}
json::value Seconds(Nanos time) { return Number(static_cast<double>(time) / static_cast<double>(kSecond)); }
Nanos FromSeconds(double seconds) { return static_cast<Nanos>(std::llround(seconds * static_cast<double>(kSecond))); }

// A number from `least` to `most`; nullopt: it is none.
std::optional<double> NumberIn(const json::value& value, double least, double most) {
  boost::system::error_code fault;
  const auto number = value.to_number<double>(fault);
  if (fault || !(number >= least && number <= most)) return std::nullopt;
  return number;
}

double NumberOr(const json::object& object, std::string_view member, double otherwise) {
  const json::value* const value = object.if_contains(member);
  if (value == nullptr) return otherwise;
  return NumberIn(*value, -1e18, 1e19).value_or(otherwise);
}

Nanos TimeOf(const json::object& object, std::string_view member) {
  const json::value* const value = object.if_contains(member);
  if (value == nullptr || !value->is_string()) return 0;
  return ParseTimestamp(std::string(value->get_string())).value_or(0);
}

std::string TextIn(const json::object& object, std::string_view member) {
  const json::value* const value = object.if_contains(member);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

std::uint64_t CountIn(const json::object& object, std::string_view member) {
  const json::value* const value = object.if_contains(member);
  boost::system::error_code fault;
  const auto count = value == nullptr ? 0 : value->to_number<std::uint64_t>(fault);
  return fault ? 0 : count;
}

json::value Parsed(const std::string& text) {
  boost::system::error_code fault;
  json::value value = json::parse(text, fault);
  return fault ? json::value(nullptr) : value;
}

json::object ToJsonObject(const RolloutStage& stage, const StageFigures& figures) {
  json::object out{{"stage", kKinds.at(static_cast<std::size_t>(stage.kind))}};
  if (stage.kind == RolloutStage::Kind::kPercent) out["percent"] = Number(stage.percent);
  if (stage.lasts > 0) out["seconds"] = Seconds(stage.lasts);
  if (figures.began == 0) return out;
  out["began"] = TimestampText(figures.began);
  if (figures.ended > 0) out["ended"] = TimestampText(figures.ended);
  out["elapsed_seconds"] = Seconds(figures.elapsed);
  const bool all = stage.kind == RolloutStage::Kind::kAll;
  if (all && stage.lasts == 0) return out;
  out["decisions"] = figures.decisions;
  out[stage.kind == RolloutStage::Kind::kShadow ? "would_be_denied" : "denied"] = figures.denied;
  if (stage.kind != RolloutStage::Kind::kShadow) {
    out["errors"] = figures.errors;
    out["latency_p99_us"] = Number(static_cast<double>(figures.latency_p99) / 1e3);
  }
  if (all) return out;
  out["others"] = figures.others;
  out["others_denied"] = figures.others_denied;
  if (!figures.comparison.empty()) out["comparison"] = Parsed(figures.comparison);
  return out;
}

json::object ToJsonObject(const RolloutGuards& guards) {
  json::object out;
  if (guards.denial_rate) out["denial_rate"] = Number(*guards.denial_rate);
  if (guards.error_rate) out["error_rate"] = Number(*guards.error_rate);
  if (guards.latency_p99) out["latency_p99_us"] = Number(static_cast<double>(*guards.latency_p99) / 1e3);
  out["least_decisions"] = guards.least_decisions;
  out["window_seconds"] = Seconds(guards.window);
  return out;
}

}  // namespace

std::string_view NameOf(Rollout::State state) { return kStates.at(static_cast<std::size_t>(state)); }

json::object ToJsonObject(const Rollout& rollout) {
  json::object out;
  out["revision"] = rollout.number;
  out["state"] = NameOf(rollout.state);
  out["author"] = rollout.author;
  out["reason"] = rollout.reason;
  out["created"] = TimestampText(rollout.created);
  if (rollout.ended > 0) out["ended"] = TimestampText(rollout.ended);
  out["stage"] = rollout.stage;
  json::array stages;
  for (std::size_t i = 0; i < rollout.stages.size(); ++i) {
    stages.push_back(ToJsonObject(rollout.stages[i], rollout.figures[i]));
  }
  out["stages"] = std::move(stages);
  out["guards"] = ToJsonObject(rollout.guards);
  if (!rollout.why.empty()) out["why"] = rollout.why;
  if (rollout.promoted_as > 0) out["promoted_as"] = rollout.promoted_as;
  if (rollout.taken_back_by > 0) out["taken_back_by"] = rollout.taken_back_by;
  if (!rollout.dry_run.empty()) out["dry_run"] = Parsed(rollout.dry_run);
  return out;
}

Result<Rollout> ReadRollout(std::string_view text) {
  const auto damaged = [] { return Fail(ErrorCode::kDataLoss, "a rollout is damaged"); };
  boost::system::error_code fault;
  const json::value value = json::parse(text, fault);
  if (fault || !value.is_object()) return damaged();
  const json::object& object = value.get_object();
  Rollout rollout;
  rollout.number = CountIn(object, "revision");
  const auto* const state = std::ranges::find(kStates, TextIn(object, "state"));
  if (rollout.number == 0 || state == kStates.end()) return damaged();
  rollout.state = static_cast<Rollout::State>(state - kStates.begin());
  rollout.author = TextIn(object, "author");
  rollout.reason = TextIn(object, "reason");
  rollout.created = TimeOf(object, "created");
  rollout.ended = TimeOf(object, "ended");
  rollout.stage = CountIn(object, "stage");
  rollout.why = TextIn(object, "why");
  rollout.promoted_as = CountIn(object, "promoted_as");
  rollout.taken_back_by = CountIn(object, "taken_back_by");
  if (const json::value* ran = object.if_contains("dry_run")) rollout.dry_run = json::serialize(*ran);
  const json::value* const stages = object.if_contains("stages");
  if (stages == nullptr || !stages->is_array()) return damaged();
  for (const json::value& one : stages->get_array()) {
    if (!one.is_object()) return damaged();
    const json::object& stage = one.get_object();
    const auto* const kind = std::ranges::find(kKinds, TextIn(stage, "stage"));
    if (kind == kKinds.end()) return damaged();
    rollout.stages.push_back({.kind = static_cast<RolloutStage::Kind>(kind - kKinds.begin()),
                              .percent = NumberOr(stage, "percent", 0),
                              .lasts = FromSeconds(NumberOr(stage, "seconds", 0))});
    StageFigures figures{.began = TimeOf(stage, "began"),
                         .ended = TimeOf(stage, "ended"),
                         .elapsed = FromSeconds(NumberOr(stage, "elapsed_seconds", 0)),
                         .decisions = CountIn(stage, "decisions"),
                         .denied = CountIn(stage, "denied") + CountIn(stage, "would_be_denied"),
                         .errors = CountIn(stage, "errors"),
                         .latency_p99 = static_cast<Nanos>(1e3 * NumberOr(stage, "latency_p99_us", 0)),
                         .others = CountIn(stage, "others"),
                         .others_denied = CountIn(stage, "others_denied")};
    if (const json::value* compared = stage.if_contains("comparison")) figures.comparison = json::serialize(*compared);
    rollout.figures.push_back(std::move(figures));
  }
  if (rollout.stage >= rollout.stages.size()) return damaged();
  if (const json::value* guards = object.if_contains("guards")) {
    auto read = ReadGuards(guards);
    if (!read) return damaged();
    rollout.guards = *read;
  }
  return rollout;
}

std::expected<std::vector<RolloutStage>, Problem> ReadStages(const json::value* value) {
  using Kind = RolloutStage::Kind;
  if (value == nullptr) {
    return std::vector<RolloutStage>{{.kind = Kind::kShadow, .lasts = kDefaultStage},
                                     {.kind = Kind::kPercent, .percent = 10, .lasts = kDefaultStage},
                                     {.kind = Kind::kPercent, .percent = 50, .lasts = kDefaultStage},
                                     {.kind = Kind::kAll, .lasts = kDefaultStage}};
  }
  const auto refused = [](std::string path, std::string message) {
    return std::unexpected(InvalidBody({{.path = std::move(path), .message = std::move(message)}}));
  };
  if (!value->is_array() || value->get_array().empty() || value->get_array().size() > kMostStages) {
    return refused("stages", "must be a list of 1 to 16 stages");
  }
  std::vector<RolloutStage> stages;
  double percent = 0;
  for (const json::value& one : value->get_array()) {
    const std::string path = "stages." + std::to_string(stages.size());
    if (!one.is_object()) return refused(path, "must be a JSON object");
    const json::object& object = one.get_object();
    for (const auto& [name, ignored] : object) {
      if (name != "stage" && name != "percent" && name != "seconds") {
        return refused(path + "." + std::string(name), "unknown field");
      }
    }
    const auto* const kind = std::ranges::find(kKinds, TextIn(object, "stage"));
    if (kind == kKinds.end()) return refused(path + ".stage", "must be shadow, percent or all");
    RolloutStage stage{.kind = static_cast<Kind>(kind - kKinds.begin())};
    if (const json::value* seconds = object.if_contains("seconds")) {
      const auto lasts = NumberIn(*seconds, 1, kLongestStage);
      if (!lasts) return refused(path + ".seconds", "must be a number from 1 to 7776000");
      stage.lasts = FromSeconds(*lasts);
    }
    const json::value* const share = object.if_contains("percent");
    if ((share != nullptr) != (stage.kind == Kind::kPercent)) {
      return refused(path + ".percent", "belongs to a stage percent, and to no other");
    }
    if (share != nullptr) {
      const auto given = NumberIn(*share, 0.001, 100);
      if (!given || *given <= percent) return refused(path + ".percent", "must grow from stage to stage, up to 100");
      stage.percent = percent = *given;
    }
    if (stage.kind == Kind::kShadow && !stages.empty()) return refused(path + ".stage", "shadow comes first");
    if (!stages.empty() && stages.back().kind == Kind::kAll) return refused(path, "all is the last stage");
    stages.push_back(stage);
  }
  if (stages.back().kind != Kind::kAll) stages.push_back({.kind = Kind::kAll});
  return stages;
}

std::expected<RolloutGuards, Problem> ReadGuards(const json::value* value) {
  RolloutGuards guards;
  if (value == nullptr) return guards;
  const auto refused = [](std::string path, std::string message) {
    return std::unexpected(InvalidBody({{.path = std::move(path), .message = std::move(message)}}));
  };
  if (!value->is_object()) return refused("guards", "must be a JSON object");
  for (const auto& [name, one] : value->get_object()) {
    const std::string path = "guards." + std::string(name);
    const bool rate = name == "denial_rate" || name == "error_rate";
    const double most = rate ? 1 : name == "window_seconds" ? kLongestWindow : 1e9;
    const auto number = NumberIn(one, rate ? 0 : 1, most);
    if (!number) return refused(path, rate ? "must be a number from 0 to 1" : "is out of range");
    if (name == "denial_rate") {
      guards.denial_rate = number;
    } else if (name == "error_rate") {
      guards.error_rate = number;
    } else if (name == "latency_p99_us") {
      guards.latency_p99 = static_cast<Nanos>(*number * 1e3);
    } else if (name == "least_decisions") {
      guards.least_decisions = static_cast<std::uint64_t>(*number);
    } else if (name == "window_seconds") {
      guards.window = FromSeconds(*number);
    } else {
      return refused(path, "unknown field");
    }
  }
  return guards;
}

}  // namespace weir::management::rest
