// What weir answers to a request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "weir/outcome.h"

namespace weir {

// Where a rule was written.
enum class Level : std::uint8_t { kGlobal, kTenant, kUser, kEndpoint, kIp, kDomain, kApiKey };
std::string_view ToString(Level level);

enum class Reason : std::uint8_t {
  kOk,
  kExempt,             // an exemption matched; nothing was counted
  kNoLimit,            // no rule applies (unlimited, or no subject could be identified)
  kOverLimit,          // a rule denied; it fits later
  kNeverFits,          // a rule denied; this cost never fits
  kBanned,             // a penalty is running
  kBlocked,            // an ip rule blocks the address or country
  kStoreAllowed,       // the store failed and the rule's policy is allow
  kStoreDenied,        // the store failed and the rule's policy is deny
  kStoreLocal,         // the store failed; decided from this instance's share
  kStoreFull,          // the store is full of live subjects: refused (deny_new), or passed uncounted (allow_new)
  kUnknownDomain,      // a descriptor of a domain that the document does not have; decided by envoy.unknown_domain
  kUnlimited,          // a descriptor whose rule says `unlimited`, and no other rule applies
  kMissingIdentifier,  // a rule with on_missing deny found nothing in the request to count it by
  kChallenged,         // an ip rule challenges the address or country
};
std::string_view ToString(Reason reason);  // "over_limit"

// What to say in a response about a rule: HeaderConfig, as bits.
struct HeaderPlan {
  bool ietf : 1 = false;
  bool draft06 : 1 = false;
  bool draft07 : 1 = false;
  bool x_ratelimit : 1 = false;
  bool reset_as_epoch : 1 = false;
  bool retry_after : 1 = false;
  bool on_allowed : 1 = false;
  bool partition_key : 1 = false;
  bool basic_body : 1 = false;  // the denial's body in the basic limiter's form
};

// Names of header fields that are not the usual ones; an empty one is.
struct HeaderFieldNames {
  std::string_view policy, ratelimit, limit, remaining, reset, x_limit, x_remaining, x_reset, retry_after;
};
// What a rule says of responses besides its HeaderPlan: DenialConfig, and names of fields.
struct ResponseStyle {
  HeaderFieldNames names;
  bool denial = false;              // anything of what follows was written
  std::uint16_t denial_status = 0;  // 0: by the action
  DenialBody denial_body = DenialBody::kProblem;
  std::string_view denial_message;  // empty: made of the decision
  std::string_view denial_headers;  // complete lines ("Name: value\r\n")
};

// A rule's part in a decision. `rule`, `policy` and `style` can be read while the rule is in force and for a minute
// after; what remembers them for longer copies them.
struct RuleOutcome {
  std::string_view rule;    // stable path: "endpoints./login"
  std::string_view policy;  // the rule's name for headers
  Level level = Level::kGlobal;
  bool shadow = false;
  bool quota = false;            // a domain's rule in quota mode: it tells, but never denies; `shadow` is set too
  std::uint32_t rule_index = 0;  // names the counter of the rule, or of the rules that it is counted with
  HeaderPlan headers;
  Action on_exceeded = Action::kDeny;    // what the rule wants when it is exceeded
  const ResponseStyle* style = nullptr;  // nullptr: nothing out of the ordinary
  std::uint64_t window_seconds = 0;      // rounded up; for headers (`w`); 0 = none
  // Names the subject without telling it (headers' `pk`); another number in every process. 0 unless
  // headers.partition_key asks for it.
  std::uint64_t subject_hash = 0;
  Outcome outcome{};
};

// Fixed room for the common case; a plan of more rules spills to the heap.
inline constexpr std::size_t kInlineRules = 8;

// The room itself: making it costs nothing, and what was not written to it must not be read.
class InlineRules {
 public:
  InlineRules() noexcept {}  // NOLINT(modernize-use-equals-default): leaves the room as it is
  RuleOutcome* data() { return std::launder(reinterpret_cast<RuleOutcome*>(room_)); }
  const RuleOutcome* data() const { return std::launder(reinterpret_cast<const RuleOutcome*>(room_)); }
  RuleOutcome& operator[](std::size_t i) { return data()[i]; }
  const RuleOutcome& operator[](std::size_t i) const { return data()[i]; }

 private:
  alignas(RuleOutcome) std::byte room_[kInlineRules * sizeof(RuleOutcome)];
};
static_assert(std::is_trivially_copyable_v<RuleOutcome> && std::is_trivially_destructible_v<RuleOutcome>);

// Copying one costs as much as it has rules.
struct Decision {
  Decision() = default;
  Decision(const Decision& other) { *this = other; }
  Decision(Decision&& other) noexcept { *this = std::move(other); }
  Decision& operator=(const Decision& other) {  // NOLINT(bugprone-unhandled-self-assignment): CopyPlain does it
    CopyPlain(other);
    spilled_rules = other.spilled_rules;
    return *this;
  }
  Decision& operator=(Decision&& other) noexcept {
    CopyPlain(other);
    spilled_rules = std::move(other.spilled_rules);
    return *this;
  }
  ~Decision() = default;

  bool allowed = true;  // `action` is kAllow or kWait
  Action action = Action::kAllow;
  bool repeated = false;  // the answer to an earlier ask with this request_id; nothing was charged for this one
  Reason reason = Reason::kNoLimit;
  // The rule that headers describe: the one that made the action what it is, else the one nearest to denying. -1: none.
  std::int32_t deciding = -1;
  std::uint64_t reservation = 0;             // kReserve: names it for commit and cancel. concurrency: names the slot
  const ResponseStyle* own_style = nullptr;  // of a denial without a deciding rule; else nullptr
  std::uint32_t rule_count = 0;
  InlineRules inline_rules;                // the first rule_count of them, when there are no more than fit
  std::vector<RuleOutcome> spilled_rules;  // all of them, when rule_count > kInlineRules

  const RuleOutcome* rules() const { return rule_count > kInlineRules ? spilled_rules.data() : inline_rules.data(); }
  RuleOutcome* rules() { return rule_count > kInlineRules ? spilled_rules.data() : inline_rules.data(); }
  const RuleOutcome* decider() const { return deciding < 0 ? nullptr : rules() + deciding; }
  // nullptr: nothing out of the ordinary.
  const ResponseStyle* style() const { return deciding < 0 ? own_style : decider()->style; }
  // How long the caller should hold a request that passes: the longest of its enforced rules, so that all are heeded.
  std::int64_t delay_ns() const {
    std::int64_t longest = 0;
    for (std::uint32_t i = 0; i < rule_count; ++i) {
      if (!rules()[i].shadow && rules()[i].outcome.delay_ns > longest) longest = rules()[i].outcome.delay_ns;
    }
    return longest;
  }

 private:
  void CopyPlain(const Decision& other) noexcept {
    allowed = other.allowed;
    action = other.action;
    repeated = other.repeated;
    reason = other.reason;
    deciding = other.deciding;
    reservation = other.reservation;
    own_style = other.own_style;
    rule_count = other.rule_count;
    if (this == &other || rule_count > kInlineRules) return;
    for (std::uint32_t i = 0; i < rule_count; ++i) inline_rules[i] = other.inline_rules[i];
  }
};

// One step of an explanation: what was looked at and what came of it.
struct ExplainStep {
  // "api_key", "exemptions", "tier", "tenant", "user", "endpoint", "quota", "ip_rule", "identify", "learned", "apply",
  // "request_id", "decide"
  std::string stage;
  std::string detail;  // a sentence or two
};

}  // namespace weir
