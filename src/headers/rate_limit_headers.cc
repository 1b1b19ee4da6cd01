#include "headers/rate_limit_headers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/append_number.h"

namespace weir::headers {
namespace {

// The largest integer of a structured field (RFC 9651 3.3.1).
constexpr std::uint64_t kMaxStructured = 999'999'999'999'999;
constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

// Writes on where there is room for all of it (MostBytes): a string that grows piece by piece costs more than the text.
class Text {
 public:
  explicit Text(char* at) : at_(at) {}
  char* end() const { return at_; }

  Text& operator<<(std::string_view piece) {
    at_ = std::ranges::copy(piece, at_).out;
    return *this;
  }
  Text& operator<<(char c) {
    *at_++ = c;
    return *this;
  }
  Text& operator<<(std::uint64_t number) {
    at_ = std::to_chars(at_, at_ + kMostDigits, number).ptr;
    return *this;
  }
  static constexpr std::size_t kMostDigits = 20;

 private:
  char* at_;
};

std::uint64_t Bounded(std::uint64_t number) { return std::min(number, kMaxStructured); }

// A structured field's string holds printable ASCII only: the rest is percent-encoded, so that a name stays a name.
void WriteQuoted(std::string_view name, Text& out) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  out << '"';
  // As a rule nothing is left after this.
  const auto is_plain = [](char c) { return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\'; };
  const auto* const special = std::ranges::find_if_not(name, is_plain);
  out << name.substr(0, static_cast<std::size_t>(special - name.begin()));
  for (const char c : std::string_view(special, name.end())) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e) {
      out << '%' << kHex[byte >> 4] << kHex[byte & 15];
      continue;
    }
    if (c == '"' || c == '\\') out << '\\';
    out << c;
  }
  out << '"';
}

// pk: the 8 bytes of the subject's hash as a byte sequence, ":base64:".
void WritePartitionKey(std::uint64_t hash, Text& out) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  out << ";pk=:";
  for (int shift = 58; shift >= 0; shift -= 6) out << kAlphabet[(hash >> shift) & 63];
  out << kAlphabet[(hash << 2) & 63] << "=:";  // the last 4 bits and 2 of padding
}

// What a field is called: as the rule says, else as usual.
using Called = std::string_view HeaderFieldNames::*;
std::string_view NameOf(const RuleOutcome& rule, Called field, std::string_view usual) {
  if (rule.style == nullptr) [[likely]]
    return usual;
  const std::string_view own = rule.style->names.*field;
  return own.empty() ? usual : own;
}
std::string_view PolicyName(const RuleOutcome& rule) {
  return NameOf(rule, &HeaderFieldNames::policy, "RateLimit-Policy");
}
std::string_view StateName(const RuleOutcome& rule) { return NameOf(rule, &HeaderFieldNames::ratelimit, "RateLimit"); }

void WriteIetf(const RuleOutcome& rule, std::uint64_t t, Text& out) {
  out << PolicyName(rule) << ": ";
  const char* const name = out.end();
  WriteQuoted(rule.policy, out);
  const std::string_view quoted(name, out.end());
  out << ";q=" << Bounded(rule.outcome.limit);
  if (rule.window_seconds > 0) out << ";w=" << Bounded(rule.window_seconds);
  if (rule.headers.partition_key) WritePartitionKey(rule.subject_hash, out);
  out << "\r\n" << StateName(rule) << ": " << quoted << ";r=" << Bounded(rule.outcome.remaining) << ";t=" << Bounded(t);
  if (rule.headers.partition_key) WritePartitionKey(rule.subject_hash, out);
  out << "\r\n";
}

void WriteDraft06(const RuleOutcome& rule, std::uint64_t reset, Text& out) {
  using Names = HeaderFieldNames;
  out << NameOf(rule, &Names::limit, "RateLimit-Limit") << ": " << Bounded(rule.outcome.limit) << "\r\n";
  out << NameOf(rule, &Names::remaining, "RateLimit-Remaining") << ": " << Bounded(rule.outcome.remaining) << "\r\n";
  out << NameOf(rule, &Names::reset, "RateLimit-Reset") << ": " << Bounded(reset) << "\r\n";
}

void WriteDraft07(const RuleOutcome& rule, std::uint64_t reset, Text& out) {
  out << StateName(rule) << ": limit=" << Bounded(rule.outcome.limit)
      << ", remaining=" << Bounded(rule.outcome.remaining);
  out << ", reset=" << Bounded(reset) << "\r\n";
}

// The policy of drafts 06 and 07: 100;w=60.
void WriteOldPolicy(const RuleOutcome& rule, Text& out) {
  if (rule.window_seconds == 0) return;
  out << PolicyName(rule) << ": " << Bounded(rule.outcome.limit) << ";w=" << Bounded(rule.window_seconds) << "\r\n";
}

// The first whole second at which `after` nanoseconds from `now` have passed.
std::uint64_t EpochSeconds(Nanos now, std::int64_t after) {
  const std::uint64_t at = static_cast<std::uint64_t>(std::max<Nanos>(now, 0)) +
                           static_cast<std::uint64_t>(std::max<std::int64_t>(after, 0));
  const auto second = static_cast<std::uint64_t>(kSecond);
  return at / second + (at % second == 0 ? 0 : 1);
}

void WriteXRateLimit(const RuleOutcome& rule, std::uint64_t reset, Nanos now, Text& out) {
  if (rule.headers.reset_as_epoch) {
    reset = EpochSeconds(now, std::max(rule.outcome.reset_after_ns, rule.outcome.retry_after_ns));
  }
  using Names = HeaderFieldNames;
  out << NameOf(rule, &Names::x_limit, "X-RateLimit-Limit") << ": " << rule.outcome.limit << "\r\n";
  out << NameOf(rule, &Names::x_remaining, "X-RateLimit-Remaining") << ": " << rule.outcome.remaining << "\r\n";
  out << NameOf(rule, &Names::x_reset, "X-RateLimit-Reset") << ": " << reset << "\r\n";
}

void WriteRetryAfter(const RuleOutcome* rule, std::uint64_t seconds, Text& out) {
  constexpr std::string_view kUsual = "Retry-After";
  const std::string_view name = rule == nullptr ? kUsual : NameOf(*rule, &HeaderFieldNames::retry_after, kUsual);
  out << name << ": " << seconds << "\r\n";
}

// All fields that there are, with their longest numbers, take less than 1,000 bytes; and the policy's name, each byte
// of which is written as three at most, comes twice.
std::size_t MostBytes(const RuleOutcome* rule) {
  if (rule == nullptr) return 1'000;
  std::size_t most = 1'000 + 6 * rule->policy.size();
  if (rule->style != nullptr) {
    const HeaderFieldNames& names = rule->style->names;
    most += names.policy.size() + names.ratelimit.size() + names.limit.size() + names.remaining.size() +
            names.reset.size() + names.x_limit.size() + names.x_remaining.size() + names.x_reset.size() +
            names.retry_after.size();
  }
  return most;
}

void WriteHeaders(const Decision& decision, const RuleOutcome* rule, Nanos now, Text& out) {
  if (!decision.allowed) out << "Cache-Control: no-store\r\n";
  const std::uint64_t retry_after = RetryAfterSeconds(decision);
  if (rule == nullptr) {
    if (retry_after > 0) WriteRetryAfter(rule, retry_after, out);
    return;
  }
  const HeaderPlan plan = rule->headers;
  if (decision.allowed && !plan.on_allowed) return;
  const bool meaningful = decision.reason != Reason::kStoreDenied && decision.reason != Reason::kStoreAllowed &&
                          (decision.reason != Reason::kStoreFull || decision.allowed);
  if (rule->outcome.limit != kUnlimited && meaningful) {
    // A denied client is told the time at which its request fits: draft 11 wants Retry-After not before the end of `t`,
    // drafts 06 and 07 want the reset not before Retry-After.
    const std::uint64_t restored = CeilSeconds(rule->outcome.reset_after_ns);
    const std::uint64_t reset = std::max(restored, retry_after);
    if (plan.ietf) WriteIetf(*rule, retry_after > 0 ? retry_after : restored, out);
    if (plan.draft06) WriteDraft06(*rule, reset, out);
    // Draft 07 gave the field RateLimit another shape: beside the present one it would make both unreadable.
    if (plan.draft07 && !plan.ietf) WriteDraft07(*rule, reset, out);
    if ((plan.draft06 || plan.draft07) && !plan.ietf) WriteOldPolicy(*rule, out);
    if (plan.x_ratelimit) WriteXRateLimit(*rule, reset, now, out);
  }
  if (retry_after > 0 && plan.retry_after) WriteRetryAfter(rule, retry_after, out);
}

}  // namespace

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
  const RuleOutcome* const rule = decision.decider();
  const std::size_t before = out->size();
  out->resize_and_overwrite(before + MostBytes(rule), [&](char* data, std::size_t) {
    Text text(data + before);
    WriteHeaders(decision, rule, now, text);
    return static_cast<std::size_t>(text.end() - data);
  });
}

}  // namespace weir::headers
