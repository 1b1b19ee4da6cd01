// What is remembered of a plan that is charged once (Plan::once): under a key of its own, written by the script
// together with the charge, and handed out instead of deciding again.
//
// The key is "{prefix}id1:{128 bits in hex}" and lives for Once::life. Its value is made and read by the script alone
// (lua/driver.lua); the note in it is made and read here: "{when, in nanoseconds} {token} {token} ...".
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/hash.h"
#include "storage/redis/resp.h"
#include "storage/store.h"

namespace weir::storage::redis {

void AppendOnceName(std::string& out, std::string_view prefix, const Key& id);

// The words that the script reads: for how many milliseconds, and the note.
void AddOnce(const Once& once, Nanos now, Command& command);

// The last element of a reply. False: it is none. Writes the tokens and `repeated`, and `at`: when what was answered
// was decided, which is now for what is new.
[[nodiscard]] bool ReadOnce(std::string_view told, Nanos now, Once& once, Nanos& at);

}  // namespace weir::storage::redis
