// WEIR.*: requests as field-value pairs, decisions as maps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "engine/engine.h"
#include "engine/feedback.h"
#include "frontends/resp/reply.h"

namespace weir::resp {

// Headers, and attributes, of one request.
inline constexpr std::size_t kMaxPairs = 128;

// Reads "field value ..." into `request`: ip user tenant tier api_key country method path domain request_id cost
// header:NAME attr:NAME. Texts are copied into `arena`; headers and attributes are appended to the two vectors, and are
// not yet set in `request` (the vectors still grow). False: `error` is the reply.
bool ReadRequest(std::span<const std::string_view> fields, Arena* arena, Request* request,
                 std::vector<Attribute>* headers, std::vector<Attribute>* attributes, std::string* error);

// The same with the fields latency_ms, which is needed, and failed.
bool ReadFeedback(std::span<const std::string_view> fields, Arena* arena, Request* request,
                  std::vector<Attribute>* headers, std::vector<Attribute>* attributes, engine::Feedback* feedback,
                  std::string* error);

// An integer of 64 bits without sign, decimal.
bool ReadUnsigned(std::string_view text, std::uint64_t* value);

struct Settlement {
  std::uint64_t reservation = 0, actual_cost = 0;
};
// WEIR.COMMIT id actual_cost, WEIR.CANCEL id: two or three arguments.
bool ReadSettlement(std::span<const std::string_view> arguments, Settlement* settlement, std::string* error);
struct Extension {
  std::uint64_t reservation = 0, more = 0;
  bool partial = false;
};
// WEIR.EXTEND id cost [PARTIAL]: three arguments or more.
bool ReadExtension(std::span<const std::string_view> arguments, Extension* extension, std::string* error);

// Eleven fields: allowed, reason, limit, remaining, reset_after_ms, retry_after_ms, rule, level, delay_ms, reservation,
// action.
// Null where there is nothing to say: limit and remaining without a rule or a bound, retry_after_ms when it never fits.
// Times are rounded up. A repeated decision has the field `repeated` besides, and one with a `trace` (nullptr: none)
// `steps`: [stage, detail] each.
void AppendDecision(const Decision& decision, const std::vector<ExplainStep>* trace, ReplyWriter& reply);

// OK, or an error that begins with what to do about it: NOTFOUND, UNAVAILABLE, ...
void AppendStatus(const Result<>& status, ReplyWriter& reply);

}  // namespace weir::resp
