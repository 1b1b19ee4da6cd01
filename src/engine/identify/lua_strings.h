// string.find, match, gmatch and gsub of scripts, on the counting matcher of lua_pattern.h. As Lua's own, but for
// gsub, which refuses a capture that is not closed also where nothing asks for it.
//
// Functions of Lua whose first upvalue is the LuaSandbox, whose steps they take. They leave by longjmp on errors, so
// they hold nothing that needs a destructor.
#pragma once

struct lua_State;

namespace weir::engine {

int LuaFind(lua_State* lua);
int LuaMatch(lua_State* lua);
int LuaGmatch(lua_State* lua);
int LuaGsub(lua_State* lua);

}  // namespace weir::engine
