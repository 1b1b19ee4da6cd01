#include "frontends/resp/check.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/address.h"
#include "config/validate/country_code.h"
#include "engine/request_id.h"
#include "frontends/resp/commands.h"

namespace weir::resp {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

struct TextField {
  std::string_view name;
  std::string_view Request::* member;
};
constexpr std::array kTextFields = {
    TextField{"ip", &Request::peer_ip},      TextField{"user", &Request::user},
    TextField{"tenant", &Request::tenant},   TextField{"tier", &Request::tier},
    TextField{"api_key", &Request::api_key}, TextField{"country", &Request::country},
    TextField{"method", &Request::method},   TextField{"path", &Request::path},
    TextField{"domain", &Request::domain},   TextField{"request_id", &Request::request_id},
};

bool StartsWithIgnoreCase(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && EqualsIgnoreCase(text.substr(0, lower.size()), lower);
}

bool Refuse(std::string_view what, std::string_view field, std::string* error) {
  *error = "ERR ";
  *error += what;
  *error += " '";
  *error += field.substr(0, 128);
  *error += '\'';
  return false;
}

bool AddPair(std::string_view name, std::string_view value, Arena* arena, std::size_t first,
             std::vector<Attribute>* pairs, std::string* error) {
  if (name.empty()) return Refuse("a header or attribute needs a name before the value", value, error);
  if (pairs->size() - first == kMaxPairs) return Refuse("too many headers or attributes at", name, error);
  pairs->push_back({arena->Copy(name), arena->Copy(value)});
  return true;
}

// Milliseconds, rounded up.
std::int64_t Milliseconds(std::int64_t nanoseconds) {
  return nanoseconds / kMillisecond + (nanoseconds % kMillisecond > 0 ? 1 : 0);
}

// The store did not say what is left.
bool WithoutOutcome(const Decision& decision) {
  return decision.reason == Reason::kStoreDenied || decision.reason == Reason::kStoreAllowed;
}

void AppendCount(std::uint64_t count, ReplyWriter& reply) {
  if (count == kUnlimited) return reply.Null();
  reply.Integer(static_cast<std::int64_t>(std::min<std::uint64_t>(count, std::numeric_limits<std::int64_t>::max())));
}

void AppendRetry(const Decision& decision, ReplyWriter& reply) {
  constexpr std::int64_t kStoreRetryMs = 1'000;  // nobody knows when a store is back
  if (decision.allowed) return reply.Integer(0);
  if (WithoutOutcome(decision) || decision.reason == Reason::kStoreFull) return reply.Integer(kStoreRetryMs);
  const RuleOutcome* rule = decision.decider();
  if (rule == nullptr || rule->outcome.verdict == Verdict::kNever) return reply.Null();
  reply.Integer(std::max<std::int64_t>(Milliseconds(rule->outcome.retry_after_ns), 1));
}

// A decimal number >= 0.
bool ReadLatency(std::string_view text, Nanos* latency) {
  double milliseconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), milliseconds);
  // Neither "inf" nor "nan", which are numbers to from_chars.
  const bool read = error == std::errc{} && end == text.data() + text.size() && std::isfinite(milliseconds);
  if (!read || milliseconds < 0) return false;
  *latency = engine::LatencyOf(milliseconds);
  return true;
}

bool ReadBool(std::string_view text, bool* value) {
  *value = text == "1" || EqualsIgnoreCase(text, "true");
  return *value || text == "0" || EqualsIgnoreCase(text, "false");
}

// `feedback`: nullptr, or where to put the fields that only feedback has.
bool ReadFields(std::span<const std::string_view> fields, Arena* arena, Request* request,
                std::vector<Attribute>* headers, std::vector<Attribute>* attributes, engine::Feedback* feedback,
                std::string* error) {
  if (fields.size() % 2 != 0) return Refuse("no value for field", fields.back(), error);
  const std::size_t first_header = headers->size();
  const std::size_t first_attribute = attributes->size();
  bool has_latency = false, has_cost = false;
  std::uint32_t seen = 0;  // of kTextFields
  for (std::size_t i = 0; i < fields.size(); i += 2) {
    const std::string_view name = fields[i];
    const std::string_view value = fields[i + 1];
    const auto* text_field = std::ranges::find_if(
        kTextFields, [name](const TextField& field) { return EqualsIgnoreCase(name, field.name); });
    if (text_field != kTextFields.end()) {
      const std::uint32_t bit = 1U << static_cast<unsigned>(text_field - kTextFields.begin());
      if ((seen & bit) != 0) return Refuse("the field appears twice:", name, error);
      seen |= bit;
      // As over HTTP: a client that cannot be told would be counted by no rule.
      if (text_field->name == "ip" && !value.empty() && !ParseAddress(value)) {
        return Refuse("ip must be an IP address, got", value, error);
      }
      if (text_field->name == "country" && !value.empty() && config::CountryCode(value) == 0) {
        return Refuse("country must be an ISO 3166-1 code of two letters, got", value, error);
      }
      if (text_field->name == "request_id" && !engine::IsRequestId(value)) {
        *error = "ERR request_id " + std::string(engine::kRequestIdForm);
        return false;
      }
      request->*(text_field->member) = arena->Copy(value);
    } else if (EqualsIgnoreCase(name, "cost")) {
      if (std::exchange(has_cost, true)) return Refuse("the field appears twice:", name, error);
      if (!ReadUnsigned(value, &request->cost)) return Refuse("cost must be an integer >= 0, got", value, error);
    } else if (StartsWithIgnoreCase(name, "header:")) {
      if (!AddPair(name.substr(7), value, arena, first_header, headers, error)) return false;
    } else if (StartsWithIgnoreCase(name, "attr:")) {
      if (!AddPair(name.substr(5), value, arena, first_attribute, attributes, error)) return false;
    } else if (feedback != nullptr && EqualsIgnoreCase(name, "latency_ms")) {
      has_latency = ReadLatency(value, &feedback->latency);
      if (!has_latency) return Refuse("latency_ms must be a number >= 0, got", value, error);
    } else if (feedback != nullptr && EqualsIgnoreCase(name, "failed")) {
      if (!ReadBool(value, &feedback->failed)) return Refuse("failed must be 0, 1, true or false, got", value, error);
    } else {
      return Refuse("unknown field", name, error);
    }
  }
  if (feedback != nullptr && !has_latency) {
    *error = "ERR latency_ms is missing";
    return false;
  }
  return true;
}

std::string_view CodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
      return "NOTFOUND ";
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
      return "UNAVAILABLE ";
    case ErrorCode::kResourceExhausted:
      return "OOM ";
    default:
      return "ERR ";
  }
}

}  // namespace

bool ReadUnsigned(std::string_view text, std::uint64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

bool ReadRequest(std::span<const std::string_view> fields, Arena* arena, Request* request,
                 std::vector<Attribute>* headers, std::vector<Attribute>* attributes, std::string* error) {
  return ReadFields(fields, arena, request, headers, attributes, nullptr, error);
}

bool ReadFeedback(std::span<const std::string_view> fields, Arena* arena, Request* request,
                  std::vector<Attribute>* headers, std::vector<Attribute>* attributes, engine::Feedback* feedback,
                  std::string* error) {
  return ReadFields(fields, arena, request, headers, attributes, feedback, error);
}

bool ReadSettlement(std::span<const std::string_view> arguments, Settlement* settlement, std::string* error) {
  if (!ReadUnsigned(arguments[1], &settlement->reservation)) *error = "ERR the reservation must be an integer >= 0";
  if (error->empty() && arguments.size() > 2 && !ReadUnsigned(arguments[2], &settlement->actual_cost)) {
    *error = "ERR the actual cost must be an integer >= 0";
  }
  return error->empty();
}

bool ReadExtension(std::span<const std::string_view> arguments, Extension* extension, std::string* error) {
  extension->partial = arguments.size() == 4 && EqualsIgnoreCase(arguments[3], "partial");
  if (!ReadUnsigned(arguments[1], &extension->reservation)) {
    *error = "ERR the reservation must be an integer >= 0";
  } else if (!ReadUnsigned(arguments[2], &extension->more)) {
    *error = "ERR the cost must be an integer >= 0";
  } else if (arguments.size() > 3 && !extension->partial) {
    *error = "ERR syntax error: WEIR.EXTEND id cost [PARTIAL]";
  }
  return error->empty();
}

void AppendDecision(const Decision& decision, const std::vector<ExplainStep>* trace, ReplyWriter& reply) {
  const RuleOutcome* rule = decision.decider();
  const Outcome* outcome = rule == nullptr || WithoutOutcome(decision) ? nullptr : &rule->outcome;
  reply.Map(11U + (decision.repeated ? 1 : 0) + (trace == nullptr ? 0 : 1));
  reply.Bulk("allowed");
  reply.Boolean(decision.allowed);
  reply.Bulk("reason");
  reply.Bulk(ToString(decision.reason));
  reply.Bulk("limit");
  AppendCount(outcome == nullptr ? kUnlimited : outcome->limit, reply);
  reply.Bulk("remaining");
  AppendCount(outcome == nullptr ? kUnlimited : outcome->remaining, reply);
  reply.Bulk("reset_after_ms");
  reply.Integer(outcome == nullptr ? 0 : Milliseconds(outcome->reset_after_ns));
  reply.Bulk("retry_after_ms");
  AppendRetry(decision, reply);
  reply.Bulk("rule");
  rule == nullptr ? reply.Null() : reply.Bulk(rule->rule);
  reply.Bulk("level");
  rule == nullptr ? reply.Null() : reply.Bulk(ToString(rule->level));
  reply.Bulk("delay_ms");
  reply.Integer(Milliseconds(decision.delay_ns()));
  reply.Bulk("reservation");
  // As text: it uses all 64 bits, and RESP integers are signed.
  decision.reservation == 0 ? reply.Null() : reply.Bulk(std::to_string(decision.reservation));
  reply.Bulk("action");
  reply.Bulk(ToString(decision.action));
  if (decision.repeated) {
    reply.Bulk("repeated");
    reply.Boolean(true);
  }
  if (trace == nullptr) return;
  reply.Bulk("steps");
  reply.Array(trace->size());
  for (const ExplainStep& step : *trace) {
    reply.Array(2);
    reply.Bulk(step.stage);
    reply.Bulk(step.detail);
  }
}

void AppendStatus(const Result<>& status, ReplyWriter& reply) {
  if (status) return reply.Simple("OK");
  reply.Error(std::string(CodeName(status.error().code)) + status.error().message);
}

}  // namespace weir::resp
