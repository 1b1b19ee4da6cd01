// Lua scripts as identifiers: `lua:return request.headers["x-tenant"]`. A chunk, or one expression.
//
// What a script sees: `request` with the fields domain, ip, user, tenant, tier, api_key, country, method, path (without
// query), query and cost, where nil means not known; `request.headers[name]` (names without case; the first of that
// name), `request.attributes[name]`; and the parts of Lua 5.4 that cannot reach anything else: tostring, tonumber,
// type, ipairs, pairs, next, select, error, assert, math without random, table.concat/insert/remove/sort/unpack and
// string.byte/char/find/format/gmatch/gsub/len/lower/match/rep/reverse/sub/upper. Globals cannot be assigned, nothing
// is kept from one run to the next. It returns a string (or number) that names the subject, or nil for none.
//
// Bounds of one run, so that no request can make a script expensive: 50,000 instructions, 20 ms of the thread's
// processor time, 512 KiB of memory, 4 MiB allocated in all, and 1 million steps within the string and table functions
// (patterns are matched by lua_pattern.h, which counts as it goes). What meets a bound fails: its subject is not known.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "weir/request.h"
#include "weir/result.h"

namespace weir::engine {

// Thread-safe: every thread runs a script in a Lua state of its own, of which it keeps the 16 used last.
class LuaScript {
 public:
  // kInvalidArgument, with Lua's message and line, when the source does not compile or is longer than 64 KiB.
  static Result<LuaScript> Create(std::string source);

  enum class Status : std::uint8_t {
    kSubject,
    kNone,    // nil
    kFailed,  // an error, a bound, or a value of another type
  };
  struct Answer {
    Status status = Status::kNone;
    std::string_view text;  // kSubject: the subject; kFailed: why. In the arena
  };
  Answer Run(const Request& request, Arena& arena) const;

 private:
  LuaScript(std::string source, std::uint64_t id) : source_(std::move(source)), id_(id) {}
  std::string source_;
  std::uint64_t id_;  // unique in the process; names the states that threads keep
};

}  // namespace weir::engine
