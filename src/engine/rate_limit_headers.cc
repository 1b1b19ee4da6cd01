#include "engine/rate_limit_headers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace weir::engine {
namespace {

// The largest integer of a structured field (RFC 9651 3.3.1).
constexpr std::uint64_t kMaxStructured = 999'999'999'999'999;
constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

void AppendBounded(std::uint64_t number, std::string* out) { AppendNumber(std::min(number, kMaxStructured), out); }

void AppendLine(std::string_view name, std::uint64_t value, std::string* out) {
  out->append(name);
  AppendNumber(value, out);
  out->append("\r\n");
}

// A structured field's string holds printable ASCII only: the rest is percent-encoded, so that a name stays a name.
void AppendQuoted(std::string_view name, std::string* out) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  out->push_back('"');
  // As a rule nothing is left after this.
  const auto is_plain = [](char c) { return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\'; };
  const auto* const special = std::ranges::find_if_not(name, is_plain);
  out->append(name.substr(0, static_cast<std::size_t>(special - name.begin())));
  for (const char c : std::string_view(special, name.end())) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e) {
      out->push_back('%');
      out->push_back(kHex[byte >> 4]);
      out->push_back(kHex[byte & 15]);
      continue;
    }
    if (c == '"' || c == '\\') out->push_back('\\');
    out->push_back(c);
  }
  out->push_back('"');
}

// pk: the 8 bytes of the subject's hash as a byte sequence, ":base64:".
void AppendPartitionKey(std::uint64_t hash, std::string* out) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  out->append(";pk=:");
  for (int shift = 58; shift >= 0; shift -= 6) out->push_back(kAlphabet[(hash >> shift) & 63]);
  out->push_back(kAlphabet[(hash << 2) & 63]);  // the last 4 bits and 2 of padding
  out->append("=:");
}

void AppendIetf(const RuleOutcome& rule, std::uint64_t t, std::string* out) {
  out->append("RateLimit-Policy: ");
  const std::size_t name = out->size();
  AppendQuoted(rule.policy, out);
  const std::size_t name_size = out->size() - name;
  out->append(";q=");
  AppendBounded(rule.outcome.limit, out);
  if (rule.window_seconds > 0) {
    out->append(";w=");
    AppendBounded(rule.window_seconds, out);
  }
  if (rule.headers.partition_key) AppendPartitionKey(rule.subject_hash, out);
  out->append("\r\nRateLimit: ");
  out->append(*out, name, name_size);
  out->append(";r=");
  AppendBounded(rule.outcome.remaining, out);
  out->append(";t=");
  AppendBounded(t, out);
  if (rule.headers.partition_key) AppendPartitionKey(rule.subject_hash, out);
  out->append("\r\n");
}

void AppendDraft06(const RuleOutcome& rule, std::uint64_t reset, std::string* out) {
  out->append("RateLimit-Limit: ");
  AppendBounded(rule.outcome.limit, out);
  out->append("\r\nRateLimit-Remaining: ");
  AppendBounded(rule.outcome.remaining, out);
  out->append("\r\nRateLimit-Reset: ");
  AppendBounded(reset, out);
  out->append("\r\n");
}

void AppendDraft07(const RuleOutcome& rule, std::uint64_t reset, std::string* out) {
  out->append("RateLimit: limit=");
  AppendBounded(rule.outcome.limit, out);
  out->append(", remaining=");
  AppendBounded(rule.outcome.remaining, out);
  out->append(", reset=");
  AppendBounded(reset, out);
  out->append("\r\n");
}

// The policy of drafts 06 and 07: 100;w=60.
void AppendOldPolicy(const RuleOutcome& rule, std::string* out) {
  if (rule.window_seconds == 0) return;
  out->append("RateLimit-Policy: ");
  AppendBounded(rule.outcome.limit, out);
  out->append(";w=");
  AppendBounded(rule.window_seconds, out);
  out->append("\r\n");
}

// The first whole second at which `after` nanoseconds from `now` have passed.
std::uint64_t EpochSeconds(Nanos now, std::int64_t after) {
  const std::uint64_t at = static_cast<std::uint64_t>(std::max<Nanos>(now, 0)) +
                           static_cast<std::uint64_t>(std::max<std::int64_t>(after, 0));
  const auto second = static_cast<std::uint64_t>(kSecond);
  return at / second + (at % second == 0 ? 0 : 1);
}

void AppendXRateLimit(const RuleOutcome& rule, std::uint64_t reset, Nanos now, std::string* out) {
  AppendLine("X-RateLimit-Limit: ", rule.outcome.limit, out);
  AppendLine("X-RateLimit-Remaining: ", rule.outcome.remaining, out);
  if (rule.headers.reset_as_epoch) {
    reset = EpochSeconds(now, std::max(rule.outcome.reset_after_ns, rule.outcome.retry_after_ns));
  }
  AppendLine("X-RateLimit-Reset: ", reset, out);
}

}  // namespace

void AppendNumber(std::uint64_t number, std::string* out) {
  std::array<char, 20> digits;
  const auto [end, fault] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out->append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

std::uint64_t CeilSeconds(std::int64_t nanoseconds) {
  if (nanoseconds <= 0) return 0;
  return (static_cast<std::uint64_t>(nanoseconds) + static_cast<std::uint64_t>(kSecond) - 1) /
         static_cast<std::uint64_t>(kSecond);
}

std::uint64_t CeilMilliseconds(std::int64_t nanoseconds) {
  if (nanoseconds <= 0) return 0;
  return (static_cast<std::uint64_t>(nanoseconds) + static_cast<std::uint64_t>(kMillisecond) - 1) /
         static_cast<std::uint64_t>(kMillisecond);
}

std::uint64_t RetryAfterSeconds(const Decision& decision) {
  if (decision.allowed) return 0;
  const RuleOutcome* rule = decision.decider();
  // A store that failed or is full may serve the next request: soon, but not at once.
  if (rule == nullptr) return decision.reason == Reason::kStoreDenied || decision.reason == Reason::kStoreFull ? 1 : 0;
  const Outcome& outcome = rule->outcome;
  // The basic limiter told the end of the window also to those that can never pass.
  if (rule->headers.basic_body) {
    return std::max<std::uint64_t>(CeilSeconds(std::max(outcome.reset_after_ns, outcome.retry_after_ns)), 1);
  }
  if (outcome.verdict == Verdict::kNever) return 0;
  return std::max<std::uint64_t>(CeilSeconds(outcome.retry_after_ns), 1);
}

void AppendRateLimitHeaders(const Decision& decision, Nanos now, std::string* out) {
  if (!decision.allowed) out->append("Cache-Control: no-store\r\n");
  const std::uint64_t retry_after = RetryAfterSeconds(decision);
  const RuleOutcome* rule = decision.decider();
  if (rule == nullptr) {
    if (retry_after > 0) AppendLine("Retry-After: ", retry_after, out);
    return;
  }
  const HeaderPlan plan = rule->headers;
  if (decision.allowed && !plan.on_allowed) return;
  const bool meaningful = decision.reason != Reason::kStoreDenied && decision.reason != Reason::kStoreAllowed &&
                          decision.reason != Reason::kStoreFull;
  if (rule->outcome.limit != kUnlimited && meaningful) {
    // A denied client is told the time at which its request fits: draft 11 wants Retry-After not before the end of `t`,
    // drafts 06 and 07 want the reset not before Retry-After.
    const std::uint64_t restored = CeilSeconds(rule->outcome.reset_after_ns);
    const std::uint64_t reset = std::max(restored, retry_after);
    if (plan.ietf) AppendIetf(*rule, retry_after > 0 ? retry_after : restored, out);
    if (plan.draft06) AppendDraft06(*rule, reset, out);
    // Draft 07 gave the field RateLimit another shape: beside the present one it would make both unreadable.
    if (plan.draft07 && !plan.ietf) AppendDraft07(*rule, reset, out);
    if ((plan.draft06 || plan.draft07) && !plan.ietf) AppendOldPolicy(*rule, out);
    if (plan.x_ratelimit) AppendXRateLimit(*rule, reset, now, out);
  }
  if (retry_after > 0 && plan.retry_after) AppendLine("Retry-After: ", retry_after, out);
}

}  // namespace weir::engine
