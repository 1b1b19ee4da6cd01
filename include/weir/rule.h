// A rule of the configuration document: what is limited, how it is counted, who is counted, and what responses say.
// Every field that is std::optional may be left out; a more specific level inherits it from the less specific one, and
// what no level writes has the default named beside it. Units are in the names. Part of weir/config.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "weir/outcome.h"

namespace weir {

// ---- algorithms -----------------------------------------------------------------------------------------------------

// The length of a sub-window, in seconds (>= 1). A precision >= the window means one window anchored at the subject's
// first request.
struct WindowPrecision {
  std::uint32_t seconds = 60;
  static constexpr WindowPrecision Second() { return {1}; }
  static constexpr WindowPrecision TenSecond() { return {10}; }
  static constexpr WindowPrecision Minute() { return {60}; }
  static constexpr WindowPrecision Custom(std::uint32_t seconds) { return {seconds}; }
  friend bool operator==(const WindowPrecision&, const WindowPrecision&) = default;
};

struct TokenBucket {
  double refill_rate = 0;            // per second; 0 = max_requests / window_seconds
  std::uint64_t burst_capacity = 0;  // 0 = max_requests
  friend bool operator==(const TokenBucket&, const TokenBucket&) = default;
};
struct LeakyBucket {
  double leak_rate = 0;        // per second; 0 = max_requests / window_seconds
  std::uint64_t capacity = 0;  // 0 = max_requests
  bool shape = false;          // true: admit with `delay` instead of metering
  friend bool operator==(const LeakyBucket&, const LeakyBucket&) = default;
};
struct SlidingWindow {
  WindowPrecision precision = WindowPrecision::Minute();
  bool count_denied = false;
  friend bool operator==(const SlidingWindow&, const SlidingWindow&) = default;
};
struct SlidingWindowLog {
  // Seconds an entry is kept, at least the window (0: the window). One that the window has left does not count; it
  // counts again when the rule's window is made longer.
  std::uint32_t log_retention = 0;
  // Seconds that an entry may stay beyond that in a log that is used, before the log is cleaned; 0: until such entries
  // are most of it.
  std::uint32_t cleanup_interval = 0;
  friend bool operator==(const SlidingWindowLog&, const SlidingWindowLog&) = default;
};
// GCC takes scoped enumerators to shadow weir::kMinute and its kin (weir/clock.h); they do not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
// kEpoch: windows of window_seconds, the first of which began at 1970-01-01T00:00:00Z.
enum class WindowAlignment : std::uint8_t { kRolling, kMinute, kHour, kDay, kWeek, kMonth, kYear, kEpoch };
#pragma GCC diagnostic pop
struct FixedWindow {
  WindowAlignment aligned = WindowAlignment::kRolling;  // calendar units ignore window_seconds
  std::string time_zone = "UTC";                        // IANA name
  bool count_denied = false;
  friend bool operator==(const FixedWindow&, const FixedWindow&) = default;
};
struct Concurrency {
  std::uint64_t max_in_flight = 0;   // 0 = max_requests
  std::uint32_t lease_seconds = 60;  // a slot that is never released frees itself after this
  friend bool operator==(const Concurrency&, const Concurrency&) = default;
};
struct Adaptive {
  std::uint32_t learning_window = 3600;  // seconds
  double adjustment_factor = 2.0;        // how many deviations above normal the limit is set
  std::uint64_t min_limit = 0;           // 0 = max_requests / 10, at least 1
  std::uint64_t max_limit = 0;           // 0 = max_requests * 10
  friend bool operator==(const Adaptive&, const Adaptive&) = default;
};
using RateLimitAlgorithm =
    std::variant<SlidingWindow, TokenBucket, LeakyBucket, SlidingWindowLog, FixedWindow, Concurrency, Adaptive>;

// ---- identifiers ----------------------------------------------------------------------------------------------------

struct EnhancedIdentifier;

struct IpAddress {
  bool use_forwarded = false;     // true: also without trusted_proxies, the left-most X-Forwarded-For entry (spoofable)
  bool geolocation = false;       // no effect in this version
  bool reputation_check = false;  // no effect in this version
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};
struct UserId {
  std::optional<std::string> tier_field = {};  // attribute or jwt claim that names the user's tier
  bool fallback_to_ip = false;
  friend bool operator==(const UserId&, const UserId&) = default;
};
struct ApiKey {
  std::optional<std::string> quota_field = {};  // attribute whose number replaces max_requests for this request
  std::optional<std::string> key_prefix = {};   // only keys that start so are identified
  friend bool operator==(const ApiKey&, const ApiKey&) = default;
};
enum class CompositeStrategy : std::uint8_t {
  kCombine,         // both parts together are one subject; absent if either is absent
  kFirstAvailable,  // the primary, else the secondary
  kStrictestLimit,  // each part is counted by itself and both must pass
};
struct Composite {
  std::shared_ptr<const EnhancedIdentifier> primary = {};
  std::shared_ptr<const EnhancedIdentifier> secondary = {};
  CompositeStrategy strategy = CompositeStrategy::kCombine;
  friend bool operator==(const Composite& a, const Composite& b);
};
struct CustomIdentifier {
  // header:NAME | query:NAME | cookie:NAME | path:REGEX | jwt:CLAIM | attribute:NAME | lua:SCRIPT | basic:ip |
  // name of a C++ function
  //  - header:NAME: the first header of that name; an empty value is a subject too (only a missing header is none).
  //  - path:REGEX: what its first group matched, without a group what the whole matched; RE2, unanchored.
  //  - basic:ip: as the basic limiter keys addresses, by raw text (nothing is parsed, normalised or truncated): the
  //    first X-Forwarded-For header up to its first ',', blanks trimmed; if there is none or it is not visible ASCII,
  //    the first X-Real-IP header as it is; else the literal "127.0.0.1". Always a subject. Spoofable.
  std::string extractor = {};
  std::optional<std::uint32_t> cache_duration = {};  // seconds an extracted value is reused for the same input
  friend bool operator==(const CustomIdentifier&, const CustomIdentifier&) = default;
};
struct GlobalIdentifier {  // one subject for all
  friend bool operator==(const GlobalIdentifier&, const GlobalIdentifier&) = default;
};
struct TenantId {  // the request's tenant
  friend bool operator==(const TenantId&, const TenantId&) = default;
};
struct EnhancedIdentifier {
  std::variant<IpAddress, UserId, ApiKey, Composite, CustomIdentifier, GlobalIdentifier, TenantId> kind;
  friend bool operator==(const EnhancedIdentifier&, const EnhancedIdentifier&) = default;
};

// ---- rules ----------------------------------------------------------------------------------------------------------

enum class HeaderStyle : std::uint8_t { kIetf, kDraft06, kDraft07, kXRateLimit, kNone };
// What the fields are called; an empty one has its usual name.
struct HeaderNames {
  std::string policy = {};       // RateLimit-Policy, also of draft 06 and 07
  std::string ratelimit = {};    // RateLimit (ietf, draft07)
  std::string limit = {};        // RateLimit-Limit (draft06)
  std::string remaining = {};    // RateLimit-Remaining (draft06)
  std::string reset = {};        // RateLimit-Reset (draft06)
  std::string x_limit = {};      // X-RateLimit-Limit
  std::string x_remaining = {};  // X-RateLimit-Remaining
  std::string x_reset = {};      // X-RateLimit-Reset
  std::string retry_after = {};  // Retry-After
  friend bool operator==(const HeaderNames&, const HeaderNames&) = default;
};
struct HeaderConfig {
  std::vector<HeaderStyle> styles = {HeaderStyle::kIetf};  // several may be sent together; {kNone}: none
  bool reset_as_epoch = false;                             // X-RateLimit-Reset: epoch seconds instead of delta seconds
  bool retry_after = true;                                 // Retry-After on a denial
  bool on_allowed = true;                                  // also on responses that were not denied
  bool partition_key = false;                              // IETF `pk`: a hash of the subject
  bool basic_body = false;                                 // a denial's body in the basic limiter's form
  HeaderNames names = {};                                  // what the fields are called
  friend bool operator==(const HeaderConfig&, const HeaderConfig&) = default;
  static HeaderConfig Detailed();            // ietf + x-ratelimit
  static HeaderConfig UploadOptimized();     // only on denial
  static HeaderConfig StreamingOptimized();  // ietf only, no X-
  static HeaderConfig ComplianceMode();      // ietf, draft 06, x-ratelimit with epoch
  static HeaderConfig None();
};

enum class RuleMode : std::uint8_t { kEnforce, kShadow };
enum class StoreFailurePolicy : std::uint8_t { kLocal, kAllow, kDeny };

// What a response says when a rule is exceeded, beside the rate limit headers.
struct DenialConfig {
  std::optional<std::uint32_t> status = {};  // 400 to 599, or 200; default: deny 429, challenge 403, charge 402
  DenialBody body = DenialBody::kProblem;
  std::optional<std::string> message = {};          // default: says which limit, and when to try again
  std::map<std::string, std::string> headers = {};  // added to the response
  friend bool operator==(const DenialConfig&, const DenialConfig&) = default;
};

struct PenaltyConfig {
  bool enabled = false;
  std::uint32_t threshold = 10;       // denials ...
  std::uint32_t window_seconds = 60;  // ... within this earn a ban
  std::uint32_t first_ban_seconds = 60;
  double factor = 2.0;  // each next ban is this much longer
  std::uint32_t longest_ban_seconds = 3600;
  std::uint32_t decay_seconds = 3600;  // good behaviour for this long lowers the level by one
  friend bool operator==(const PenaltyConfig&, const PenaltyConfig&) = default;
};

// When a rule is in force; outside it the rule does not exist. Times are local to time_zone.
struct Schedule {
  std::vector<std::string> days = {};  // mon..sun; empty = every day
  std::string from = "00:00";          // inclusive
  std::string to = "24:00";            // exclusive; from > to spans midnight
  std::string time_zone = "UTC";
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// When a rule's identifier finds nothing in a request. kIp: the client's address is counted, apart from every subject
// that an identifier finds; requests without an address share one subject. kSkip: the rule does not apply. kDeny: the
// request is denied (Reason::kMissingIdentifier) and nothing is counted. Rules in shadow mode deny nothing.
enum class OnMissing : std::uint8_t { kIp, kSkip, kDeny };

// What a request adds to a rule's count. Whatever it is, a request with cost 0 is only a look.
struct CountedUnit {
  // kRequests: 1. kCost: the request's cost. kAttribute: the number in the attribute of that name; a request without
  // it, or with something else there, adds 1.
  enum class Kind : std::uint8_t { kCost, kRequests, kAttribute } kind = Kind::kCost;
  std::string attribute = {};
  friend bool operator==(const CountedUnit&, const CountedUnit&) = default;
};

// A further limit of a rule: the same subjects, in the same mode, in another window.
struct FurtherLimit {
  std::uint64_t max_requests = 0;
  std::uint32_t window_seconds = 0;
  std::optional<RateLimitAlgorithm> algorithm = {};  // default: the rule's, with numbers from these two
  std::optional<CountedUnit> counts = {};            // default: the rule's
  std::optional<std::string> name = {};              // policy name; default: its path, or NAME.limits.N
  friend bool operator==(const FurtherLimit&, const FurtherLimit&) = default;
};

struct RateLimitRule {
  std::optional<std::uint64_t> max_requests = {};     // required at the global level unless unlimited
  std::optional<std::uint32_t> window_seconds = {};   // same
  std::optional<EnhancedIdentifier> identifier = {};  // default: ip_address
  std::optional<RateLimitAlgorithm> algorithm = {};   // default: the document's `algorithm`, else sliding_window/minute
  std::optional<HeaderConfig> headers = {};           // default: HeaderConfig{}
  std::optional<RuleMode> mode = {};                  // default: enforce
  std::optional<PenaltyConfig> penalties = {};        // default: global.penalties
  std::optional<Schedule> schedule = {};              // default: always
  std::optional<StoreFailurePolicy> on_store_failure = {};  // default: storage.on_store_failure
  std::optional<OnMissing> on_missing = {};                 // default: ip; of rules that stack: skip
  std::optional<CountedUnit> counts = {};                   // default: cost
  std::optional<std::vector<FurtherLimit>> limits = {};     // default: none. All must pass
  // What becomes of a request that exceeds the rule: kDeny, kWait, kChallenge, kCharge. Default: kDeny. kWait needs
  // algorithm token_bucket or leaky_bucket: what exceeds the bucket passes with a delay of at most max_wait_ms, in
  // which the bucket makes room for it; where that does not do, it is denied.
  std::optional<Action> on_exceeded = {};
  std::optional<std::uint32_t> max_wait_ms = {};  // of kWait; 1 to 3,600,000; default: 1000
  std::optional<DenialConfig> denial = {};        // default: the document's `denial`
  std::optional<std::string> when = {};           // a condition (docs/conditions.md); default: always
  std::optional<bool> unlimited = {};             // default: false
  std::optional<std::string> name = {};           // policy name in headers and logs; default: the rule's path
  std::optional<std::string> from_template = {};  // `template: NAME`: what this rule does not write, it takes there

  static RateLimitRule Unlimited();
  static RateLimitRule Strict();    // 10 per 60 s
  static RateLimitRule Generous();  // 1000 per 60 s
  friend bool operator==(const RateLimitRule&, const RateLimitRule&) = default;
};

// A further allowance by period, always stacked. Rolling when `aligned` is kRolling.
struct Quota {
  std::uint64_t max_requests = 0;
  WindowAlignment period = WindowAlignment::kDay;  // kHour, kDay, kWeek, kMonth, kYear
  bool rolling = false;  // true: a window of that length (30 days for a month) from the first request
  std::string time_zone = "UTC";
  friend bool operator==(const Quota&, const Quota&) = default;
};

}  // namespace weir
