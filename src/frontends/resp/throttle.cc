#include "frontends/resp/throttle.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "algorithms/limit.h"

namespace weir::resp {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

bool ReadInteger(std::string_view text, std::int64_t* value) {
  const char* begin = text.data();
  const char* const end = begin + text.size();
  if (text.size() > 1 && *begin == '+' && begin[1] != '-') ++begin;
  const auto [stop, error] = std::from_chars(begin, end, *value);
  return error == std::errc{} && stop == end && begin != end;
}

algorithms::Limit MakeLimit(std::int64_t capacity, std::int64_t count, std::int64_t period_seconds) {
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kTokenBucket;
  limit.capacity = static_cast<std::uint64_t>(std::max<std::int64_t>(capacity, 0));
  limit.rate_count = static_cast<std::uint64_t>(count);
  limit.rate_period = period_seconds > kMost / kSecond ? kMost : period_seconds * kSecond;
  return algorithms::Sanitize(limit);
}

bool CellError(std::string_view what, std::string_view detail, std::string* error) {
  *error = "Cell error: Store error: ";
  *error += what;
  *error += detail;
  return false;
}

bool CrabError(std::string_view what, std::string* error) {
  *error = "ERR ";
  *error += what;
  return false;
}

bool ReadCellNumbers(std::span<const std::string_view> arguments, std::array<std::int64_t, 4>* numbers,
                     std::string* error) {
  if (arguments.size() != 5 && arguments.size() != 6) {
    return CellError("Usage: cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]", "", error);
  }
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    if (!ReadInteger(arguments[i], &(*numbers)[i - 2])) {
      return CellError("Couldn't parse as integer: ", arguments[i].substr(0, 128), error);
    }
  }
  if ((*numbers)[1] <= 0 || (*numbers)[2] <= 0) return CellError("Zero rates are not supported", "", error);
  return true;
}

bool ReadCrabNumbers(std::span<const std::string_view> arguments, std::array<std::int64_t, 4>* numbers,
                     std::string* error) {
  constexpr std::array<std::string_view, 4> kNames = {"invalid max_burst", "invalid count_per_period", "invalid period",
                                                      "invalid quantity"};
  if (arguments.size() != 5 && arguments.size() != 6) {
    return CrabError("wrong number of arguments for 'throttle' command", error);
  }
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    if (!ReadInteger(arguments[i], &(*numbers)[i - 2])) return CrabError(kNames[i - 2], error);
  }
  if ((*numbers)[3] < 0)
    return CrabError("Rate limit check failed: negative quantity: " + std::to_string((*numbers)[3]), error);
  if ((*numbers)[0] <= 0 || (*numbers)[1] <= 0 || (*numbers)[2] <= 0) {
    return CrabError("Rate limit check failed: invalid rate limit parameters", error);
  }
  return true;
}

std::int64_t CellSeconds(std::int64_t nanoseconds) {
  const std::int64_t milliseconds = nanoseconds / kMillisecond;
  return milliseconds / 1'000 + (milliseconds % 1'000 > 0 ? 1 : 0);
}

std::int64_t CeilSeconds(std::int64_t nanoseconds) {
  return nanoseconds / kSecond + (nanoseconds % kSecond > 0 ? 1 : 0);
}

// Its server counts from a bucket that was last full an interval ago, and adds the whole burst's time to what is left.
std::int64_t CrabReset(const algorithms::Limit& limit, const Outcome& outcome, std::int64_t burst) {
  if (limit.rate_count == 0) return 0;
  const Nanos interval = limit.rate_period / static_cast<Nanos>(limit.rate_count);
  Nanos more = 0, all = 0;
  if (__builtin_mul_overflow(interval, burst - 2, &more) ||
      __builtin_add_overflow(outcome.reset_after_ns, more, &all)) {
    return kMost / kSecond;
  }
  return std::max<Nanos>(all, 0) / kSecond;
}

char* AppendInteger(char* at, std::int64_t value) {
  *at++ = ':';
  at = std::to_chars(at, at + 20, value).ptr;
  *at++ = '\r';
  *at++ = '\n';
  return at;
}

}  // namespace

bool ThrottleReader::Read(std::span<const std::string_view> arguments, ThrottleForm form, ThrottleAsk* ask,
                          std::string* error) {
  std::array<std::int64_t, 4> numbers = {0, 0, 0, 1};
  const bool is_cell = form == ThrottleForm::kCell;
  if (!(is_cell ? ReadCellNumbers(arguments, &numbers, error) : ReadCrabNumbers(arguments, &numbers, error))) {
    return false;
  }
  const auto [burst, count, period, quantity] = numbers;
  ask->reported_limit = is_cell && burst < kMost ? burst + 1 : burst;

  const Numbers wanted{ask->reported_limit, count, period};
  ask->same_limit = wanted == numbers_;
  if (!ask->same_limit) {
    numbers_ = wanted;
    limit_ = MakeLimit(wanted.capacity, count, period);
  }
  ask->limit = &limit_;
  if (quantity < 0) {
    ask->kind = engine::CallKind::kRefund;
    ask->cost = std::uint64_t{0} - static_cast<std::uint64_t>(quantity);
  } else {
    ask->kind = engine::CallKind::kCheck;
    ask->cost = static_cast<std::uint64_t>(quantity);
  }
  return true;
}

void AppendThrottleReply(const engine::Call& throttle, ThrottleForm form, std::int64_t reported_limit,
                         std::string* out) {
  const Decision& decision = throttle.decision;
  if (decision.reason == Reason::kStoreDenied) {
    *out += "-UNAVAILABLE the store does not answer\r\n";
    return;
  }
  if (decision.reason == Reason::kStoreFull) {
    *out += "-OOM the store is full of live subjects\r\n";
    return;
  }
  const Outcome& outcome = decision.rules()[0].outcome;
  const bool allowed = outcome.verdict == Verdict::kAllowed;
  const auto remaining = static_cast<std::int64_t>(std::min<std::uint64_t>(outcome.remaining, kMost));
  // Five integers of at most 20 characters each.
  std::array<char, 128> line = {'*', '5', '\r', '\n'};
  char* at = line.data() + 4;
  if (form == ThrottleForm::kCell) {
    at = AppendInteger(at, allowed ? 0 : 1);
    at = AppendInteger(at, reported_limit);
    at = AppendInteger(at, remaining);
    at = AppendInteger(at, outcome.verdict == Verdict::kLater ? CellSeconds(outcome.retry_after_ns) : -1);
    at = AppendInteger(at, CellSeconds(outcome.reset_after_ns));
  } else {
    at = AppendInteger(at, allowed ? 1 : 0);
    at = AppendInteger(at, reported_limit);
    at = AppendInteger(at, remaining);
    at = AppendInteger(at, CrabReset(*throttle.client_limit, outcome, reported_limit));
    at = AppendInteger(at, outcome.verdict == Verdict::kLater ? CeilSeconds(outcome.retry_after_ns) : 0);
  }
  out->append(line.data(), static_cast<std::size_t>(at - line.data()));
}

}  // namespace weir::resp
