// What a counter state is called in Redis: "{prefix}v1:{rule}:{subject}", as in
// "weir:v1:global.free_tier@5f1c:192.0.2.7". People can read and match it; two different (rule, subject) pairs never
// share a name.
//  - v1 is the version of what is stored under the name (lua/): another layout gets another number.
//  - In the rule, ':' and '%' and whatever is not visible ASCII is percent-encoded; a rule longer than 200 bytes is
//  cut,
//    and its hash appended.
//  - A subject longer than 128 bytes, or with anything but visible ASCII, or with '{' or '}' (they steer Redis
//  Cluster),
//    or that starts with '#', is named by '#' and its 128-bit key in hex.
#pragma once

#include <string>
#include <string_view>

#include "base/hash.h"

namespace weir::storage::redis {

inline constexpr std::string_view kKeyVersion = "v1";

// Appends the name to `out`. `key` is the item's Key, HashKey(rule.seed, subject).
void AppendKeyName(std::string& out, std::string_view prefix, std::string_view rule, std::string_view subject,
                   const Key& key);

}  // namespace weir::storage::redis
