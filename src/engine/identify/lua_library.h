// The functions and tables that a sandboxed script can reach.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

struct lua_State;

namespace weir::engine {

class LuaSandbox;

// Pushes the environment of scripts. Must run protected: it raises Lua errors when memory is short.
void PushEnvironment(lua_State* lua, LuaSandbox* sandbox);

// How many steps Lua's backtracking matcher takes at most for a pattern on a text of that length; saturates.
std::uint64_t PatternSteps(std::string_view pattern, std::size_t text_length);

}  // namespace weir::engine
