#include "management/rest/stats.h"

#include <boost/json.hpp>

#include "management/rest/record_body.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostRules = 1'000;

double Microseconds(Nanos nanos) { return static_cast<double>(nanos) / 1'000; }

}  // namespace

// Of all decisions since the start, candidates' among them.
analytics::LatencyHistogram StatsSampler::Latency() const {
  analytics::LatencyHistogram latency;
  if (meter_ == nullptr) return latency;
  using Arm = analytics::DecisionMeter::Arm;
  for (const Arm arm : {Arm::kInForce, Arm::kCandidate}) latency.Add(meter_->Read(arm).latency);
  return latency;
}

std::string StatsSampler::Write(const engine::Engine::Counts& counts, Nanos now, bool rules) {
  json::object out;
  out["time"] = TimestampText(now);
  {
    const std::lock_guard lock(mutex_);
    double allowed = 0, denied = 0;
    if (!points_.empty() && now > points_.front().at) {
      const double seconds = static_cast<double>(now - points_.front().at) / static_cast<double>(kSecond);
      allowed = static_cast<double>(counts.allowed - points_.front().allowed) / seconds;
      denied = static_cast<double>(counts.denied - points_.front().denied) / seconds;
    }
    out["requests_per_second"] = allowed + denied;
    out["allowed_per_second"] = allowed;
    out["denied_per_second"] = denied;
    if (meter_ != nullptr) {
      analytics::LatencyHistogram latency = Latency();
      if (!points_.empty()) latency.Subtract(points_.front().latency);
      // Of one in sixteen where there are many.
      json::object told{{"timed", latency.count()}};
      if (latency.count() > 0) {
        told["p50_us"] = Microseconds(latency.Quantile(0.5));
        told["p99_us"] = Microseconds(latency.Quantile(0.99));
        told["p999_us"] = Microseconds(latency.Quantile(0.999));
      }
      out["latency"] = std::move(told);
    }
  }
  out["allowed"] = counts.allowed;
  out["denied"] = counts.denied;
  out["exempt"] = counts.exempt;
  out["no_limit"] = counts.no_limit;
  out["blocked"] = counts.blocked;
  out["banned"] = counts.banned;
  out["store_full"] = counts.store_full;
  out["store_failures"] = counts.store_failures_local + counts.store_failures_allow + counts.store_failures_deny;
  out["reservations_open"] = counts.reservations_open;
  const storage::StoreStats store = engine_.store().Stats();
  out["active_limits"] = store.entries;
  const auto snapshot = engine_.snapshot();
  out["users"] = snapshot->user_count();
  out["tenants"] = snapshot->tenant_count();
  if (!rules) return json::serialize(out);
  json::array by_rule;
  for (const auto& rule : counts.rules) {
    if (by_rule.size() == kMostRules) break;
    if (rule.allowed + rule.denied + rule.shadow_denied == 0) continue;
    json::object one;
    one["rule"] = rule.rule;
    one["level"] = ToString(rule.level);
    if (!rule.tier.empty()) one["tier"] = rule.tier;
    if (!rule.detail.empty()) one["detail"] = rule.detail;
    one["allowed"] = rule.allowed;
    one["denied"] = rule.denied;
    one["shadow_denied"] = rule.shadow_denied;
    by_rule.push_back(std::move(one));
  }
  out["rules"] = std::move(by_rule);
  return json::serialize(out);
}

void StatsSampler::Sample() {
  const auto counts = engine_.GetCounts();
  const Nanos now = clock_.Wall();
  auto event = std::make_shared<const std::string>("data: " + Write(counts, now, false) + "\n\n");
  const std::lock_guard lock(mutex_);
  // A clock that was set back begins anew.
  if (!points_.empty() && points_.back().at >= now) points_.clear();
  points_.push_back({now, counts.allowed, counts.denied, Latency()});
  if (points_.size() > kKept) points_.pop_front();
  event_ = std::move(event);
}

std::string StatsSampler::Json() { return Write(engine_.GetCounts(), clock_.Wall(), true); }

std::shared_ptr<const std::string> StatsSampler::Event() const {
  const std::lock_guard lock(mutex_);
  return event_;
}

}  // namespace weir::management::rest
