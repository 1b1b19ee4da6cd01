// Idempotency-Key: a POST that is sent again gets the answer of the first, and is done once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "management/rest/message.h"

namespace weir::management::rest {

// Thread-safe. Bounded: the oldest answers are forgotten when there are kMost of them, or they hold kMostBytes. Answers
// live in this process: after a restart a repeated POST is done again.
class IdempotencyTable {
 public:
  static constexpr Nanos kKept = kDay;
  static constexpr std::size_t kMost = 10'000;
  static constexpr std::size_t kMostBytes = std::size_t{16} << 20;
  static constexpr std::size_t kLongestKey = 255;

  enum class State : std::uint8_t {
    kNew,       // to be done now; Finish() or Abandon() must follow
    kRunning,   // another request with this key is being done: 409
    kOther,     // the key was used for another request: 422
    kAnswered,  // `answer`
  };
  struct Begun {
    State state = State::kNew;
    std::optional<ApiResponse> answer;
  };
  // `who`: the caller, whose keys are its own. `request`: what makes two requests the same.
  Begun Begin(std::string_view who, std::string_view key, std::string_view request, Nanos now);
  void Finish(std::string_view who, std::string_view key, const ApiResponse& answer, Nanos now);
  // Nothing was done (an error that a repetition may mend): the key is free again.
  void Abandon(std::string_view who, std::string_view key);

 private:
  struct Entry {
    std::string name;
    std::string digest;
    std::optional<ApiResponse> answer;
    Nanos until = 0;
  };
  using Entries = std::list<Entry>;
  void MakeRoom(Nanos now);
  void Erase(Entries::iterator at);

  std::mutex mutex_;  // guards what follows
  Entries entries_;   // the oldest first
  std::unordered_map<std::string, Entries::iterator> by_name_;
  std::size_t bytes_ = 0;
};

}  // namespace weir::management::rest
