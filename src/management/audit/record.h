// One record of the audit log, and its text: a line of JSON with its members in a fixed order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "weir/result.h"

namespace weir::management::audit {

enum class Outcome : std::uint8_t {
  kSuccess,
  kDenied,  // not authenticated, or not permitted
  kError,   // permitted, and failed
};
std::string_view NameOf(Outcome outcome);  // "success", "denied", "error"

struct Actor {
  std::string name{};                // empty: not authenticated
  std::string kind{};                // "service", "person"
  std::vector<std::string> roles{};  // "admin", "editor@acme"
  std::string tenant{};              // what the actor is confined to
  std::string method{};              // how it authenticated: "token", "oidc", ...
  std::string credential{};          // the id of that token or session; never a secret
};

struct Object {
  std::string kind{};  // "users"
  std::string id{};    // "bob"
  std::string tenant{};
};

// Strings of any content: what is not UTF-8 is replaced, secrets are removed (redact.h), and what is longer than a
// bound is cut.
struct Record {
  Nanos time = 0;
  Actor actor{};
  std::string action{};  // the permission that it took: "update:users"; of weir itself "audit.recover" and the like
  Object object{};
  // JSON, of what the object was and became; empty: nothing to tell. At most kMostDocument bytes are kept: of a longer
  // one its size and SHA-256.
  std::string before{}, after{};
  std::string address{};  // where the request came from, as the listener sees it
  std::string user_agent{};
  std::string request_id{};
  Outcome outcome = Outcome::kSuccess;
  std::uint16_t status = 0;  // of the HTTP answer; 0: there was none
  std::string reason{};      // why it was denied or failed, or why the actor says to do it
  // Written by the log.
  std::string node{}, version{};
  std::uint64_t seq = 0;   // 1, 2, 3, ... over all segments
  std::string previous{};  // hash of the record before, in hexadecimal
  std::string hash{};
};

inline constexpr std::size_t kMostDocument = 32 << 10;
inline constexpr std::size_t kMostText = 512;         // bytes of each other text
inline constexpr std::size_t kMostRecord = 96 << 10;  // bytes of a line

// The members that the chain does not decide, without the brace at the end: `{"time":"...",...,"reason":"..."`.
std::string EncodeBody(const Record& record);

// A whole line without its newline. kDataLoss: it is not a record.
Result<Record> ParseRecord(std::string_view line);

// "2027-01-15T08:00:00.000000001Z", and back.
std::string TimeText(Nanos time);
Result<Nanos> ParseTime(std::string_view text);

}  // namespace weir::management::audit
