#include <absl/strings/string_view.h>
#include <absl/time/time.h>
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <utility>

#include "algorithms/gcra.h"
#include "config/compile/condition.h"
#include "config/compile/inherit.h"
#include "config/compile/response_style.h"
#include "config/compile/schedule.h"
#include "config/validate/validate.h"

namespace weir::config {
namespace {

constexpr int kMostCompositeDepth = 16;

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

bool KnowsZone(const std::string& name) {
  absl::TimeZone zone;
  return absl::LoadTimeZone(absl::string_view(name.data(), name.size()), &zone);
}

std::string NoZone(const std::string& name) { return "there is no time zone " + Quoted(name); }

constexpr std::string_view kZoneHint = "IANA names look like Europe/Berlin";

// Numbers that the algorithm brings in place of max_requests and window_seconds.
struct Brings {
  bool count = false;
  bool window = false;
};

Brings ClientLimitOf(const RateLimitAlgorithm& algorithm) {
  const auto bucket = [](double rate, std::uint64_t capacity) { return Brings{rate > 0 && capacity > 0, rate > 0}; };
  return std::visit(
      Overloaded{
          [&](const TokenBucket& one) { return bucket(one.refill_rate, one.burst_capacity); },
          [&](const LeakyBucket& one) { return bucket(one.leak_rate, one.capacity); },
          [](const Concurrency& one) { return Brings{one.max_in_flight > 0, true}; },
          [](const FixedWindow& one) {
            return Brings{false, one.aligned != WindowAlignment::kRolling && one.aligned != WindowAlignment::kEpoch};
          },
          [](const auto&) { return Brings{}; },
      },
      algorithm);
}

}  // namespace

void RuleCheck::CheckWritten(const Place& place, const RateLimitRule& rule) {
  if (rule.identifier) CheckIdentifier(place.Below("identifier"), *rule.identifier, 0);
  if (rule.algorithm) CheckAlgorithm(place.Below("algorithm"), *rule.algorithm);
  if (rule.penalties) CheckPenalties(place.Below("penalties"), *rule.penalties);
  if (rule.headers) {
    const auto& styles = rule.headers->styles;
    const bool none = std::ranges::find(styles, HeaderStyle::kNone) != styles.end();
    const auto has = [&](HeaderStyle style) { return std::ranges::find(styles, style) != styles.end(); };
    if (none && styles.size() > 1) faults_.Error(place.Below("headers").Below("styles"), "'none' stands alone");
    if (has(HeaderStyle::kIetf) && has(HeaderStyle::kDraft07)) {
      faults_.Warn(place.Below("headers").Below("styles"),
                   "draft07 has no effect beside ietf: both are called RateLimit, and ietf is sent",
                   "draft06 can be sent beside ietf");
    }
  }
  if (rule.schedule) {
    const Place schedule = place.Below("schedule");
    if (!KnowsZone(rule.schedule->time_zone)) {
      faults_.Error(schedule.Below("time_zone"), NoZone(rule.schedule->time_zone), std::string(kZoneHint));
    } else if (rule.schedule->from == rule.schedule->to) {
      faults_.Error(schedule, "begins and ends at the same time", "for the whole day write from 00:00 to 24:00");
    } else if (const auto compiled = CompiledSchedule::Create(*rule.schedule); !compiled) {
      faults_.Error(schedule, compiled.error().message);
    }
  }
  if (rule.from_template && !faults_.full() && !config_.templates.contains(*rule.from_template)) {
    std::vector<std::string_view> names;
    for (const auto& [name, one] : config_.templates) {
      if (names.size() < 1000) names.push_back(name);
    }
    faults_.Error(place.Below("template"), "there is no template " + Quoted(*rule.from_template),
                  DidYouMean(*rule.from_template, names));
  }
  if (rule.unlimited.value_or(false) && (rule.max_requests || rule.window_seconds)) {
    faults_.Warn(place, "max_requests and window_seconds have no effect beside unlimited");
  }
  if (rule.denial) CheckDenial(place.Below("denial"), *rule.denial, faults_);
  if (rule.on_exceeded == Action::kAllow) faults_.Error(place.Below("on_exceeded"), "cannot be `allow`");
  if (rule.when) CheckCondition(place.Below("when"), *rule.when);
  if (rule.limits) CheckLimits(place.Below("limits"), rule);
  if (!rule.unlimited.value_or(false)) {
    if (rule.max_requests == 0) faults_.Warn(place.Below("max_requests"), "0 denies every request");
    if (rule.window_seconds == 0 && rule.max_requests != 0) {
      faults_.Warn(place.Below("window_seconds"), "with 0 every request opens a new window: nothing is limited");
    }
  }
}

void CheckDenial(const Place& place, const DenialConfig& denial, ValidationFaults& faults) {
  CheckDenial(denial, [&](std::string_view below, std::string message) {
    faults.Error(place.Below(below), std::move(message));
  });
}

void RuleCheck::CheckCondition(const Place& place, const std::string& text) {
  ConditionFault fault;
  const auto condition = Condition::Parse(text, &fault);
  if (!condition) return faults_.ErrorWithin(place, fault.at, std::move(fault.message));
  if (condition->Reads(ConditionInput::Map::kClaims) && !config_.jwt.hs256_secret &&
      !config_.jwt.rs256_public_key_pem) {
    faults_.Warn(place, "tokens are read unverified: any client can claim anything", "write a key in jwt");
  }
}

void RuleCheck::CheckLimits(const Place& place, const RateLimitRule& rule) {
  constexpr std::size_t kMost = 7;  // with the rule's own: what a decision holds without a heap
  if (rule.limits->size() > kMost) faults_.Error(place, fmt::format("a rule has at most {} further limits", kMost));
  if (!rule.limits->empty() && rule.unlimited.value_or(false)) {
    faults_.Warn(place, "have no effect beside unlimited");
  }
  for (std::size_t i = 0; i < std::min(rule.limits->size(), kMost); ++i) {
    const FurtherLimit& limit = (*rule.limits)[i];
    const std::string index = std::to_string(i);
    const Place here = place.Below(index);
    if (limit.algorithm) CheckAlgorithm(here.Below("algorithm"), *limit.algorithm);
    if (limit.max_requests == 0) faults_.Warn(here.Below("max_requests"), "0 denies every request");
  }
}

void RuleCheck::CheckWhole(const Place& place, const RateLimitRule& expanded, const RateLimitRule& general) {
  const RateLimitRule inherited = Inherit(expanded, general);
  const RateLimitRule complete = WithDefaults(inherited, config_);
  if (*complete.unlimited) return;
  ++(complete.mode == RuleMode::kShadow ? shadowed_ : enforced_);
  const Brings brings = ClientLimitOf(*complete.algorithm);
  const bool no_count = !complete.max_requests && !brings.count;
  const bool no_window = !complete.window_seconds && !brings.window;
  if (no_count || no_window) {
    faults_.Error(place,
                  no_count && no_window ? "max_requests and window_seconds are missing"
                  : no_count            ? "max_requests is missing"
                                        : "window_seconds is missing",
                  "write them here, in its template or at a less specific level, or write `unlimited`");
    return;
  }
  CheckWaiting(place, expanded, complete);
  // An inherited algorithm was judged where it is written, and its numbers follow this rule's.
  if (expanded.algorithm || !general.algorithm) {
    CheckBucket(expanded.algorithm ? place.Below("algorithm") : place, complete);
  }
}

void RuleCheck::CheckWaiting(const Place& place, const RateLimitRule& expanded, const RateLimitRule& complete) {
  if (complete.on_exceeded != Action::kWait) {
    if (expanded.max_wait_ms) {
      faults_.Warn(place.Below("max_wait_ms"), "has no effect without on_exceeded `wait`");
    }
    return;
  }
  if (!CanWait(*complete.algorithm)) {
    const std::string_view hint =
        expanded.on_exceeded ? kCannotWaitHint : "`wait` is inherited: write on_exceeded here";
    faults_.Error(place.Below("on_exceeded"), std::string(kCannotWait), std::string(hint));
  } else if (const auto* leaky = std::get_if<LeakyBucket>(&*complete.algorithm); leaky != nullptr && leaky->shape) {
    faults_.Warn(place.Below("on_exceeded"), "`wait` has no effect beside `shape`, whose queue waits already");
  }
}

void RuleCheck::CheckBucket(const Place& place, const RateLimitRule& complete) {
  constexpr double kGross = 10;
  const double max = static_cast<double>(complete.max_requests.value_or(0));
  const double window = complete.window_seconds.value_or(0);
  if (const auto* log = std::get_if<SlidingWindowLog>(&*complete.algorithm)) {
    if (log->log_retention != 0 && log->log_retention < window) {
      faults_.Warn(place.Below("sliding_window_log").Below("log_retention"),
                   fmt::format("is shorter than the window: entries are kept for {} s", window),
                   "an entry counts as long as it is in the window");
    }
    return;
  }
  if (const auto* sliding = std::get_if<SlidingWindow>(&*complete.algorithm)) {
    if (window / sliding->precision.seconds > 3600) {
      faults_.Warn(place, "more than 3600 sub-windows: the precision is coarsened", "write a longer precision");
    }
    return;
  }
  double rate = 0;
  double capacity = 0, holds = 0;
  if (const auto* bucket = std::get_if<TokenBucket>(&*complete.algorithm)) {
    rate = bucket->refill_rate;
    capacity = holds = static_cast<double>(bucket->burst_capacity);
  } else if (const auto* leaky = std::get_if<LeakyBucket>(&*complete.algorithm)) {
    rate = leaky->leak_rate;
    // A shaping bucket's capacity is the length of its queue.
    holds = static_cast<double>(leaky->capacity);
    if (!leaky->shape) capacity = holds;
  } else {
    return;
  }
  if (max <= 0 || window <= 0) return;
  const double kept = (rate > 0 ? rate : max / window) * static_cast<double>(algorithms::gcra::kLongestBurst) / kSecond;
  if ((holds > 0 ? holds : max) > kept) {
    faults_.Warn(
        place, fmt::format("at its rate a bucket would be full after more than 36 years: {:.0f} are kept of it", kept),
        "write a higher rate or a smaller capacity");
  }
  const double admitted = rate * window;
  if (rate > 0 && (admitted > max * kGross || admitted < max / kGross)) {
    faults_.Warn(
        place,
        fmt::format("its rate admits about {:.0f} requests in {} s, but max_requests says {}: the rate decides",
                    admitted, complete.window_seconds.value_or(0), complete.max_requests.value_or(0)),
        "leave the rate out to derive it from max_requests and window_seconds");
  }
  if (capacity > max * kGross) {
    faults_.Warn(place, fmt::format("its capacity of {:.0f} is far above max_requests of {}: the capacity decides",
                                    capacity, complete.max_requests.value_or(0)));
  }
}

void RuleCheck::CheckAlgorithm(const Place& place, const RateLimitAlgorithm& algorithm) {
  if (const auto* window = std::get_if<FixedWindow>(&algorithm); window != nullptr && !KnowsZone(window->time_zone)) {
    faults_.Error(place.Below("fixed_window").Below("time_zone"), NoZone(window->time_zone), std::string(kZoneHint));
  }
  if (const auto* adaptive = std::get_if<Adaptive>(&algorithm);
      adaptive != nullptr && adaptive->max_limit != 0 && adaptive->min_limit > adaptive->max_limit) {
    faults_.Error(place.Below("adaptive").Below("min_limit"), "is above max_limit");
  }
}

void RuleCheck::CheckPenalties(const Place& place, const PenaltyConfig& penalties) {
  if (penalties.longest_ban_seconds < penalties.first_ban_seconds) {
    faults_.Error(place.Below("longest_ban_seconds"), "is below first_ban_seconds");
  }
}

void RuleCheck::CheckQuota(const Place& place, const Quota& quota) {
  if (quota.max_requests == 0) faults_.Warn(place.Below("max_requests"), "0 denies every request");
  if (!KnowsZone(quota.time_zone)) {
    faults_.Error(place.Below("time_zone"), NoZone(quota.time_zone), std::string(kZoneHint));
  }
  CountEnforced();
}

void RuleCheck::CheckIdentifier(const Place& place, const EnhancedIdentifier& identifier, int depth) {
  if (depth > kMostCompositeDepth) {
    return faults_.Error(place, fmt::format("composites are nested more than {} deep", kMostCompositeDepth));
  }
  if (const auto* ip = std::get_if<IpAddress>(&identifier.kind)) {
    const Place kind = place.Below("ip_address");
    if (ip->geolocation) faults_.Warn(kind.Below("geolocation"), std::string(kNoEffect));
    if (ip->reputation_check) faults_.Warn(kind.Below("reputation_check"), std::string(kNoEffect));
    if (ip->use_forwarded && config_.ip_rules.trusted_proxies.empty()) {
      faults_.Warn(kind.Below("use_forwarded"), "any client can forge X-Forwarded-For and so evade the limit",
                   "list your proxies in ip_rules.trusted_proxies and leave use_forwarded out");
    }
  } else if (const auto* custom = std::get_if<CustomIdentifier>(&identifier.kind)) {
    const Place kind = place.Below("custom");
    CheckExtractor(kind.Below("extractor"), custom->extractor);
  } else if (const auto* composite = std::get_if<Composite>(&identifier.kind)) {
    const Place kind = place.Below("composite");
    if (composite->primary) CheckIdentifier(kind.Below("primary"), *composite->primary, depth + 1);
    if (composite->secondary) CheckIdentifier(kind.Below("secondary"), *composite->secondary, depth + 1);
  }
}

void RuleCheck::CheckExtractor(const Place& place, const std::string& extractor) {
  constexpr std::array<std::string_view, 8> kSources = {"header", "query",     "cookie", "path",
                                                        "jwt",    "attribute", "lua",    "basic"};
  const std::size_t colon = extractor.find(':');
  if (colon == std::string::npos) return;  // a C++ function: whether it is registered, its compilation sees
  const std::string_view source = std::string_view(extractor).substr(0, colon);
  const std::string_view argument = std::string_view(extractor).substr(colon + 1);
  if (std::ranges::find(kSources, source) == kSources.end()) {
    const std::vector<std::string_view> sources(kSources.begin(), kSources.end());
    return faults_.Error(place, "there is no extractor " + Quoted(source) + ":", DidYouMean(source, sources));
  }
  if (argument.empty()) return faults_.Error(place, Quoted(extractor) + " says nothing behind its colon");
  if (source == "path") {
    RE2::Options options;
    options.set_log_errors(false);
    const RE2 regex(re2::StringPiece(argument.data(), argument.size()), options);
    if (!regex.ok()) faults_.Error(place, Quoted(argument) + " is not a regular expression: " + regex.error());
  } else if (source == "basic") {
    if (argument != "ip")
      return faults_.Error(place, "there is no extractor " + Quoted(extractor), "did you mean 'basic:ip'?");
    faults_.Warn(
        place, "any client can forge X-Forwarded-For and so evade the limit",
        "when all clients come through your own proxies, list those in ip_rules.trusted_proxies and use ip_address");
  } else if (source == "header") {
    const auto token = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    };
    if (!std::ranges::all_of(argument, token)) {
      faults_.Warn(place, Quoted(argument) + " is no name that a header can have: no request has such a subject");
    }
  } else if (source == "jwt" && !config_.jwt.hs256_secret && !config_.jwt.rs256_public_key_pem) {
    faults_.Warn(place, "tokens are read unverified: any client can claim anything", "write a key in jwt");
  }
}

}  // namespace weir::config
