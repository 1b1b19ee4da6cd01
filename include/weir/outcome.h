// What one limit answers to one request, and what is to be done with a request in the end.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

enum class Verdict : std::uint8_t {
  kAllowed,
  kLater,  // it does not fit now; it will after retry_after_ns
  kNever,  // it can never fit under this limit (cost > limit, or the limit is 0); retry_after_ns is 0
};

// What is to be done with a request: the outcome of a decision. kAllow and kWait let it pass, and it has been counted;
// of the others nothing is consumed. Several rules may be exceeded at once, and then the strictest decides, in this
// order: deny, charge, challenge, wait.
enum class Action : std::uint8_t {
  kAllow,
  kDeny,
  kWait,       // it passes, once the caller has held it for Decision::delay_ns()
  kChallenge,  // not before the client has proved itself, as by a CAPTCHA. Which proof that is is the caller's affair
  kCharge,     // not before it is paid for (HTTP 402)
};
std::string_view ToString(Action action);  // "allow"

// The form of a denied response's body: an RFC 9457 problem, text, a page, or the error object of OpenAI's API or of
// JSON-RPC 2.0.
enum class DenialBody : std::uint8_t { kProblem, kPlain, kHtml, kOpenai, kJsonrpc };

// All durations are nanoseconds from the time of the decision and >= 0.
struct Outcome {
  Verdict verdict = Verdict::kAllowed;
  std::uint64_t limit = 0;          // most that can be used at once; UINT64_MAX = unlimited
  std::uint64_t remaining = 0;      // <= limit; what is left after this decision
  std::uint64_t used = 0;           // what counts as used after it; above limit after debt or counted denials
  std::int64_t reset_after_ns = 0;  // until everything is restored, if nothing more is used
  std::int64_t retry_after_ns = 0;  // kLater: until the same request is allowed, exactly; otherwise 0
  std::int64_t delay_ns = 0;        // shaping: how long the caller should hold the allowed request
  std::uint64_t granted = 0;        // of an ask for as much as there is: how much that was; otherwise 0
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

}  // namespace weir
