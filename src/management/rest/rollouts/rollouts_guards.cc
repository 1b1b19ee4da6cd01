// What a rollout is judged by: what is measured of its stage, and the guards that look at it.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/log.h"
#include "management/rest/rollouts/rollouts.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

using Kind = RolloutStage::Kind;
using Arm = analytics::DecisionMeter::Arm;

}  // namespace

void Rollouts::MeasureShadow(StageFigures& figures) {
  const TrialParts& trial = options_.trial;
  if (trial.live->policy_changes() != compared_policy_) {
    before_ = figures;
    if (const auto made = EnterShadow(nullptr); !made) {
      log::Warn("a candidate is compared with a policy that was changed", {{"why", made.error().message}});
    }
  }
  if (trial.recorder != nullptr) comparison_->Follow(*trial.recorder, *trial.engine->snapshot());
  const ComparisonFigures& compared = comparison_->figures();
  figures.decisions = before_.decisions + compared.compared;
  figures.denied = before_.denied + compared.denied;
  figures.comparison = json::serialize(comparison_->ToJson());
}

void Rollouts::Measure(Nanos now) {
  StageFigures& figures = active_->figures[active_->stage];
  const std::uint64_t decisions = figures.decisions, denied = figures.denied;
  Sample sample{.at = now, .figures = {}};
  if (stage().kind == Kind::kShadow) {
    MeasureShadow(figures);
    sample.figures.denied = figures.denied - std::min(denied, figures.denied);
    sample.figures.allowed = figures.decisions - decisions - sample.figures.denied;
  } else {
    const analytics::DecisionFigures read = options_.meter->Read(arm());
    analytics::DecisionFigures since = read;
    since.Subtract(arm_base_);
    figures.decisions = before_.decisions + since.decisions();
    figures.denied = before_.denied + since.denied;
    figures.errors = before_.errors + since.errors;
    if (since.latency.count() > 0) figures.latency_p99 = since.latency.Quantile(0.99);
    sample.figures = read;
    sample.figures.Subtract(last_);
    last_ = read;
  }
  if (stage().kind != Kind::kAll) {
    analytics::DecisionFigures others = options_.meter->Read(Arm::kInForce);
    others.Subtract(in_force_base_);
    figures.others = before_.others + others.decisions();
    figures.others_denied = before_.others_denied + others.denied;
  }
  window_.push_back(sample);
  // A clock that was set back begins anew.
  while (!window_.empty() && (window_.front().at <= now - active_->guards.window || window_.front().at > now)) {
    window_.pop_front();
  }
}

// Which one, and how; empty: none.
std::string Rollouts::ExceededGuard() const {
  const RolloutGuards& guards = active_->guards;
  analytics::DecisionFigures sum;
  for (const Sample& sample : window_) sum.Add(sample.figures);
  const std::uint64_t decisions = sum.decisions();
  if (decisions == 0 || decisions < guards.least_decisions) return "";
  const auto tell = [&](std::string_view what, double found, double most) {
    return fmt::format("{} {:.4g} is above {:.4g}, of {} decisions", what, found, most, decisions);
  };
  const auto rate = [&](std::uint64_t count) { return static_cast<double>(count) / static_cast<double>(decisions); };
  if (guards.denial_rate && rate(sum.denied) > *guards.denial_rate) {
    return tell("denial_rate", rate(sum.denied), *guards.denial_rate);
  }
  if (stage().kind == Kind::kShadow) return "";
  if (guards.error_rate && rate(sum.errors) > *guards.error_rate) {
    return tell("error_rate", rate(sum.errors), *guards.error_rate);
  }
  const Nanos slow = sum.latency.Quantile(0.99);
  if (guards.latency_p99 && slow > *guards.latency_p99) {
    return tell("latency_p99_us", static_cast<double>(slow) / 1e3, static_cast<double>(*guards.latency_p99) / 1e3);
  }
  return "";
}

}  // namespace weir::management::rest
