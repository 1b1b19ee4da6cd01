// The functions and tables that a sandboxed script can reach.
#pragma once

struct lua_State;

namespace weir::engine {

class LuaSandbox;

// Pushes the environment of scripts. Must run protected: it raises Lua errors when memory is short.
void PushEnvironment(lua_State* lua, LuaSandbox* sandbox);

}  // namespace weir::engine
