// Result<T>: a value, or an Error that says what to do next. No exception crosses a folder of weir.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace weir {

// Which code to choose: by what the caller should do next.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument,     // the input is wrong; mend it, do not retry
  kNotFound,            // the named thing does not exist (any more)
  kAlreadyExists,       // it is there already
  kFailedPrecondition,  // right input, wrong state; change the state first
  kResourceExhausted,   // a bound was reached; retry later or raise the bound
  kUnavailable,         // a service or store does not answer; retry with back-off
  kDeadlineExceeded,    // it did not answer in time
  kDataLoss,            // stored data is damaged
  kInternal,            // a fault of weir's own
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // one sentence, lower case, no full stop
};

// std::expected, and a warning where a caller drops it: an error that nobody looks at is lost. Where that is meant,
// cast to void and say why. Converts to and from the std::expected that it is.
template <typename T = void>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
  Result(std::expected<T, Error> other)  // NOLINT(google-explicit-constructor): it is the same thing
      : std::expected<T, Error>(std::move(other)) {}
};

inline std::unexpected<Error> Fail(ErrorCode code, std::string message) {
  return std::unexpected(Error{code, std::move(message)});
}

}  // namespace weir
