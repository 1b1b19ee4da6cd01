// One rollout, as plain values: its plan, how far it is, and what was measured of each stage.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "management/rest/problem.h"
#include "weir/result.h"

namespace weir::management::rest {

// kShadow: decided beside what is in force and counted, for nobody in earnest. kPercent: holds for that share of the
// subjects. kAll: it is brought into force, and guards watch it for as long as the stage lasts; the last one.
struct RolloutStage {
  enum class Kind : std::uint8_t { kShadow, kPercent, kAll };
  Kind kind = Kind::kAll;
  double percent = 0;  // kPercent: more than 0, at most 100
  Nanos lasts = 0;     // 0: until somebody says so; kAll: it is completed at once
};
inline constexpr std::size_t kMostStages = 16;

// A rollout is given up when one of these is exceeded.
struct RolloutGuards {
  std::optional<double> denial_rate;    // of the decisions by the candidate; in shadow, that it would deny
  std::optional<double> error_rate;     // of them: the store failed, and a policy decided
  std::optional<Nanos> latency_p99;     // of deciding
  std::uint64_t least_decisions = 100;  // fewer tell nothing
  Nanos window = kMinute;               // over which they are looked at
};

// Measured while a stage ran. Without a share of its own (shadow) the decisions are those that were replayed.
struct StageFigures {
  Nanos began = 0, ended = 0;  // 0: not yet
  Nanos elapsed = 0;           // without pauses, and without the time that weir was down
  std::uint64_t decisions = 0, denied = 0, errors = 0;
  Nanos latency_p99 = 0;
  std::uint64_t others = 0, others_denied = 0;  // decisions by what is in force, beside it
  std::string comparison = {};                  // kShadow: JSON, as a dry run answers
};

struct Rollout {
  // kWaiting: for an approval. kReturned: a guard, or a fault, ended it. The last four are its end.
  enum class State : std::uint8_t { kWaiting, kRunning, kPaused, kCompleted, kReturned, kAborted };
  std::uint64_t number = 0;  // of its candidate
  State state = State::kWaiting;
  std::string author = {};
  std::string reason = {};
  Nanos created = 0, ended = 0;
  std::vector<RolloutStage> stages = {};
  RolloutGuards guards = {};
  std::size_t stage = 0;
  std::vector<StageFigures> figures = {};  // one a stage
  std::string dry_run = {};                // JSON
  std::string why = {};                    // it ended, or is paused
  std::uint64_t promoted_as = 0;           // the revision that it became
  std::uint64_t taken_back_by = 0;         // the revision that made all as it was before that

  bool last_stage() const { return stage + 1 == stages.size(); }
  bool active() const { return state == State::kRunning || state == State::kPaused; }
};
std::string_view NameOf(Rollout::State state);

// What is answered, and kept.
boost::json::object ToJsonObject(const Rollout& rollout);
Result<Rollout> ReadRollout(std::string_view text);

// `stages` and `guards` of a body; what is left out has defaults: shadow, 10 %, 50 % and all for ten minutes each.
std::expected<std::vector<RolloutStage>, Problem> ReadStages(const boost::json::value* value);
std::expected<RolloutGuards, Problem> ReadGuards(const boost::json::value* value);

}  // namespace weir::management::rest
