// A plan as words of an EVALSHA command, and the script's reply as outcomes. The script (lua/) only moves states; what
// is told about them (remaining, retry_after ...) is computed here, from the states it hands back, by weir::algorithms:
// the numbers are the same as any other store's because the code is.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "storage/redis/resp.h"
#include "storage/store.h"

namespace weir::storage::redis {

struct Script {
  std::string_view text;
  std::string_view sha1;  // lower-case hex, as EVALSHA takes it
};
// Generated from lua/ when weir is built.
const Script& PlanScript();

// Whether anything in the plan is counted; if not, DecideWithoutStore() answers it.
bool NeedsStore(const Plan& plan);
void DecideWithoutStore(Plan& plan);

struct Encoding {
  std::string_view key_prefix;
  Nanos ttl_margin = 0;
};

enum class ScriptBy : std::uint8_t { kSha, kText };

// Adds the whole command, EVALSHA or EVAL.
void EncodePlan(const Plan& plan, Nanos now, const Encoding& encoding, ScriptBy by, Command& command);

// Fills in outcomes, copies, status and admitted. False, and the plan is untouched, when this is no answer to it.
[[nodiscard]] bool DecodePlan(const Reply& reply, Nanos now, Plan& plan);

}  // namespace weir::storage::redis
