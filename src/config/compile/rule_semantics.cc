// What decides the meaning and the life of a rule's states, and how a rule shows in headers. Declared in
// compile_rules.h.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "algorithms/adaptive.h"
#include "algorithms/penalty.h"
#include "algorithms/time_zone.h"
#include "config/compile/compile_rules.h"
#include "config/compile/fingerprint.h"

namespace weir::config {
namespace {

__extension__ typedef __int128 Int128;

using algorithms::Calendar;
using algorithms::Kind;
using algorithms::Limit;

Nanos Saturated(Int128 nanos) { return nanos > INT64_MAX ? INT64_MAX : static_cast<Nanos>(nanos); }

Nanos LongestWindow(const Limit& limit) {
  switch (limit.calendar) {
    case Calendar::kNone:
    case Calendar::kEpoch:
      return limit.window;
    case Calendar::kMinute:
      return kMinute;
    case Calendar::kHour:
      return 2 * kHour;  // an hour in which the clocks change may be longer
    case Calendar::kDay:
      return 2 * kDay;
    case Calendar::kWeek:
      return 8 * kDay;
    case Calendar::kMonth:
      return 32 * kDay;
    case Calendar::kYear:
      return 367 * kDay;
  }
  return 0;
}

}  // namespace

void FaultList::Add(std::string path, std::string message, std::string hint) {
  if (faults_.size() == kMost) {
    ++left_out_;
    return;
  }
  faults_.push_back({.path = std::move(path), .message = std::move(message), .hint = std::move(hint)});
}

Error FaultList::ToError() const {
  Error error{.code = ErrorCode::kInvalidArgument, .message = {}};
  for (const Fault& fault : faults_) {
    if (!error.message.empty()) error.message += '\n';
    error.message += Describe(fault);
  }
  if (left_out_ > 0) error.message += fmt::format("\n... and {} more", left_out_);
  return error;
}

std::size_t CountFurther(const EnterpriseRateLimitConfig& document) {
  std::size_t most = 0;
  const auto see = [&](const RateLimitRule& rule) { most = std::max(most, rule.limits ? rule.limits->size() : 0); };
  const auto see_some = [&](const std::optional<RateLimitRule>& rule) {
    if (rule) see(*rule);
  };
  see(document.global.free_tier);
  see(document.global.pro_tier);
  see(document.global.enterprise_tier);
  for (const auto& [name, rule] : document.global.tiers) see(rule);
  for (const auto& [name, tenant] : document.tenants) {
    see_some(tenant.rule);
    see_some(tenant.aggregate);
  }
  for (const auto& [name, user] : document.users) see_some(user.rule);
  for (const auto& [pattern, endpoint] : document.endpoints) see(endpoint.rule);
  for (const IpRule& rule : document.ip_rules.rules) see_some(rule.rule);
  return most;
}

Nanos StateLifetime(const Limit& limit) {
  switch (limit.kind) {
    case Kind::kUnlimited:
      return 0;
    case Kind::kTokenBucket:
    case Kind::kLeakyBucket: {
      // Twice the time in which a full bucket empties: a commit above its reservation leaves debt. There may be more
      // (whatever is charged counts), without bound; that much is followed.
      if (limit.rate_count == 0) return INT64_MAX;
      return Saturated(static_cast<Int128>(limit.rate_period) * 2 * limit.capacity / limit.rate_count + kSecond +
                       limit.max_wait);
    }
    case Kind::kSlidingWindow:
    case Kind::kAnchoredWindow:
      return Saturated(static_cast<Int128>(limit.window) * 2);
    case Kind::kSlidingWindowLog:
      return Saturated(static_cast<Int128>(limit.window) + limit.retention);
    case Kind::kFixedWindow:
    case Kind::kAlignedWindow:
      return LongestWindow(limit);
    case Kind::kConcurrency:
      return limit.lease;
    case Kind::kAdaptive:
      return algorithms::adaptive::Constants(limit).forget;
    case Kind::kPenalty:
      // A level decays only once the ban is over, one step at a time.
      return std::max(limit.window, Saturated(static_cast<Int128>(limit.decay) * algorithms::penalty::kMostLevel +
                                              limit.longest_ban));
  }
  return 0;
}

std::uint64_t SemanticsOf(const Limit& limit, std::uint64_t identifier_hash) {
  const auto number = [](auto value) { return static_cast<std::uint64_t>(value); };
  Fingerprint print;
  // The order of these is part of the names of stored states: change it and all counts start anew.
  // One algorithm, however its state is held.
  const Kind kind = algorithms::IsFixedWindow(limit.kind)     ? Kind::kFixedWindow
                    : algorithms::IsSlidingWindow(limit.kind) ? Kind::kSlidingWindow
                                                              : limit.kind;
  print.Add(1).Add(number(kind)).Add(number(limit.calendar));
  // How long may be waited says nothing of what was counted.
  print.Add(limit.shape && limit.max_wait == 0 ? 1 : 0);
  print.Add(limit.count_denied ? 1 : 0).Add(limit.calendar == Calendar::kNone ? "" : algorithms::ZoneName(limit.zone));
  print.Add(limit.capacity).Add(limit.rate_count).Add(number(limit.rate_period)).Add(number(limit.window));
  print.Add(number(limit.precision)).Add(number(limit.lease)).Add(number(limit.learning_window));
  print.Add(limit.adjustment_ppm).Add(limit.min_capacity).Add(limit.max_capacity).Add(limit.threshold);
  print.Add(limit.ban_factor_pct).Add(number(limit.first_ban)).Add(number(limit.longest_ban)).Add(number(limit.decay));
  print.Add(identifier_hash);
  return print.Hash();
}

void AppendGeneration(std::string_view path, std::uint64_t semantics, std::string& out) {
  out.append(path).append(1, '@').append(fmt::format("{:016x}", semantics));
}

HeaderPlan PlanOf(const HeaderConfig& headers) {
  HeaderPlan plan;
  const bool none = std::ranges::find(headers.styles, HeaderStyle::kNone) != headers.styles.end();
  const auto has = [&](HeaderStyle style) {
    return !none && std::ranges::find(headers.styles, style) != headers.styles.end();
  };
  plan.ietf = has(HeaderStyle::kIetf);
  plan.draft06 = has(HeaderStyle::kDraft06);
  plan.draft07 = has(HeaderStyle::kDraft07);
  plan.x_ratelimit = has(HeaderStyle::kXRateLimit);
  plan.reset_as_epoch = headers.reset_as_epoch;
  plan.retry_after = headers.retry_after;
  plan.on_allowed = headers.on_allowed;
  plan.partition_key = headers.partition_key;
  plan.basic_body = headers.basic_body;
  return plan;
}

}  // namespace weir::config
