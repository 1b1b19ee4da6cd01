// The messages of envoy.service.ratelimit.v3 and kuadrant.service.ratelimit.v1 in protobuf's wire form (proto/ has
// their definitions; https://protobuf.dev/programming-guides/encoding/). Read without copying, written straight to a
// string.
//
// Reading follows protobuf: unknown fields and fields of another wire type than their definition are passed over, of a
// field that comes twice the latter holds, and messages that come twice are merged. Stricter than protobuf: groups are
// refused, and there are at most kMostDescriptors and kMostEntries. More lenient: of lengths and field numbers, bits
// above the 32nd are ignored, and the keys and values of entries may be any bytes: Envoy puts headers there as they
// came, and lets a request pass whose call is refused. The other texts are UTF-8, or refused.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "weir/request.h"
#include "weir/result.h"

namespace weir::rls {

inline constexpr std::size_t kMostDescriptors = 100;  // of a request
inline constexpr std::size_t kMostEntries = 64;       // of a descriptor

// envoy.service.ratelimit.v3.RateLimitResponse.RateLimit.Unit; of envoy.type.v3.RateLimitUnit all but kWeek.
enum class Unit : std::uint8_t {
  kUnknown = 0,
  kSecond = 1,
  kMinute = 2,
  kHour = 3,
  kDay = 4,
  kMonth = 5,
  kYear = 6,
  kWeek = 7
};
std::string_view ToString(Unit unit);  // "MINUTE"
// How long one is: a month has 30 days, a year 365. 0 for kUnknown.
std::uint64_t SecondsOf(Unit unit);
// The unit of exactly that length, else kUnknown.
Unit UnitOf(std::uint64_t seconds);

struct OverrideMessage {
  std::uint32_t requests_per_unit = 0;
  std::uint32_t unit = 0;  // as sent; not every number is a Unit
  bool has_multiplier = false;
  std::uint32_t unit_multiplier = 1;  // the window is so many units
};
struct DescriptorMessage {
  std::uint32_t first_entry = 0, entries = 0;  // in MessageStorage::entries
  std::optional<OverrideMessage> limit;
  std::optional<std::uint64_t> hits_addend;
  bool is_negative_hits = false;
};
// What requests are read into, one behind the other: reused, so that reading allocates nothing in the long run.
struct MessageStorage {
  std::vector<Attribute> entries;
  std::vector<DescriptorMessage> descriptors;
};
// RateLimitRequest, ReserveRequest and CommitRequest. Views borrow from the message.
struct RequestMessage {
  std::string_view domain;
  std::uint32_t first_descriptor = 0, descriptors = 0;  // in MessageStorage::descriptors
  std::uint32_t hits_addend = 0;                        // RateLimitRequest
  std::uint64_t amount = 0;                             // ReserveRequest, and CommitRequest's actual_amount
  Nanos ttl = 0;                                        // ReserveRequest; 0 = none, negative ones are refused
  std::string_view reservation_id;                      // CommitRequest
};
enum class RequestKind : std::uint8_t { kRateLimit, kReserve, kCommit };

// kInvalidArgument says what is wrong and where: "descriptors[2].entries[0].key: the message ends within it". Then what
// it added to `storage` is taken back.
Result<RequestMessage> ReadRequest(RequestKind kind, std::string_view message, MessageStorage& storage);

// RateLimitResponse.Code
enum class Answer : std::uint8_t { kUnknown = 0, kOk = 1, kOverLimit = 2 };

struct DescriptorStatus {
  Answer code = Answer::kOk;
  bool has_limit = false;  // current_limit and duration_until_reset
  std::uint32_t requests_per_unit = 0;
  Unit unit = Unit::kUnknown;
  std::string_view name;
  std::uint32_t limit_remaining = 0;
  std::optional<std::uint64_t> seconds_until_reset;
};

// Writes a RateLimitResponse behind what `out` holds: construct, add, Finish once.
class ResponseWriter {
 public:
  explicit ResponseWriter(std::string& out);
  void AddStatus(const DescriptorStatus& status);
  void AddResponseHeader(std::string_view name, std::string_view value);
  // The body of Envoy's response to a request that is over its limit; once.
  void SetRawBody(std::string_view body);
  // What was asked, as a google.protobuf.Struct, in the form in which envoyproxy/ratelimit tells it; bytes of an entry
  // that are not UTF-8 as "\xff". `violations`:
  // numbers of the descriptors that are over a limit in quota mode.
  struct Metadata {
    const RequestMessage& request;
    const MessageStorage& storage;
    std::span<const std::uint32_t> violations;
    bool quota_mode = false;  // a descriptor's rule is in quota mode
    const boost::json::object* metadata =
        nullptr;  // of the descriptors that are not over, merged; nullptr or empty: none
  };
  void SetDynamicMetadata(const Metadata& metadata);
  void Finish(Answer overall);

 private:
  std::string& out_;
  std::size_t start_;
};

// kuadrant.service.ratelimit.v1.ReserveResponse
void AppendReserveResponse(Answer code, std::string_view reservation_id, std::string& out);

// CommitResponse
void AppendCommitResponse(bool reservation_released, std::string& out);

}  // namespace weir::rls
