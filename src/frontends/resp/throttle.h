// CL.THROTTLE and THROTTLE: a bucket whose numbers the client brings.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/engine.h"

namespace weir::resp {

enum class ThrottleForm : std::uint8_t {
  kCell,  // redis-cell: [limited, limit, remaining, retry_after, reset_after], limit = max_burst + 1
  kCrab,  // throttlecrab: [allowed, limit, remaining, reset_after, retry_after], limit = burst
};

// What a command asks, but for its key, which is its first argument.
struct ThrottleAsk {
  const algorithms::Limit* limit = nullptr;  // until the next Read
  bool same_limit = false;                   // as the command before had
  engine::CallKind kind = engine::CallKind::kCheck;  // or kRefund
  std::uint64_t cost = 1;
  std::int64_t reported_limit = 0;
};

// Reads the commands' arguments. Remembers the limit of the command before: clients repeat the same numbers.
class ThrottleReader {
 public:
  // `arguments` with the command's name first. False: `error` is the reply, in the words of the original.
  bool Read(std::span<const std::string_view> arguments, ThrottleForm form, ThrottleAsk* ask, std::string* error);

 private:
  struct Numbers {
    std::int64_t capacity = 0, count = 0, period = 0;
    friend bool operator==(const Numbers&, const Numbers&) = default;
  };
  Numbers numbers_;
  algorithms::Limit limit_;
};

// The reply to a completed throttle. Seconds are whole. redis-cell's are rounded up where milliseconds remain, as it
// does it. Of throttlecrab's, reset_after is what its server tells (time until the bucket is full, and `burst` - 2
// intervals, fractions cut off); retry_after is rounded up, for who waits no longer than that server tells is denied
// again.
void AppendThrottleReply(const engine::Call& throttle, ThrottleForm form, std::int64_t reported_limit,
                         std::string* out);

}  // namespace weir::resp
