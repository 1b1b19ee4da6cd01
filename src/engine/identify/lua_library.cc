// Functions here are called from Lua and may leave by longjmp (Lua's errors): they hold nothing that needs a
// destructor.
#include "engine/identify/lua_library.h"

#include <algorithm>
#include <array>
#include <lua.hpp>

#include "base/path.h"
#include "engine/identify/lua_sandbox.h"
#include "engine/identify/lua_strings.h"
#include "engine/identify/request_fields.h"

namespace weir::engine {
namespace {

LuaSandbox* SandboxOf(lua_State* lua) { return static_cast<LuaSandbox*>(lua_touserdata(lua, lua_upvalueindex(1))); }

std::string_view TextArgument(lua_State* lua, int index) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(lua, index, &size);
  return {text, size};
}

void Spend(lua_State* lua, std::uint64_t steps) {
  if (!SandboxOf(lua)->Spend(steps)) luaL_error(lua, "too much work for the string and table functions");
}

// Calls the function in the second upvalue with the arguments as they are.
int CallOriginal(lua_State* lua) {
  lua_pushvalue(lua, lua_upvalueindex(2));
  lua_insert(lua, 1);
  lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
  return lua_gettop(lua);
}

// How much text a range of Lua's (from 1; negative: from the end) may cover.
std::uint64_t RangeLength(std::size_t size, lua_Integer from, lua_Integer to) {
  const auto length = static_cast<lua_Integer>(size);
  if (from < 0) from = std::max<lua_Integer>(length + from + 1, 1);
  if (to < 0) to = length + to + 1;
  to = std::min(to, length);
  from = std::max<lua_Integer>(from, 1);
  return to < from ? 0 : static_cast<std::uint64_t>(to - from) + 1;
}

// All that is read of texts, and every argument.
int CallOnTexts(lua_State* lua) {
  const int count = lua_gettop(lua);
  std::uint64_t steps = 1 + static_cast<std::uint64_t>(count) / 4;
  for (int i = 1; i <= count; ++i) {
    if (lua_type(lua, i) == LUA_TSTRING) steps += lua_rawlen(lua, i) / 16;
  }
  Spend(lua, steps);
  return CallOriginal(lua);
}

int CallByte(lua_State* lua) {
  const std::string_view text = TextArgument(lua, 1);
  const lua_Integer from = luaL_optinteger(lua, 2, 1);
  Spend(lua, 1 + RangeLength(text.size(), from, luaL_optinteger(lua, 3, from)));
  return CallOriginal(lua);
}

int CallSub(lua_State* lua) {
  const std::string_view text = TextArgument(lua, 1);
  Spend(lua, 1 + RangeLength(text.size(), luaL_checkinteger(lua, 2), luaL_optinteger(lua, 3, -1)) / 16);
  return CallOriginal(lua);
}

int CallRep(lua_State* lua) {
  const std::string_view text = TextArgument(lua, 1);
  const lua_Integer times = luaL_checkinteger(lua, 2);
  std::size_t separator = 0;
  luaL_optlstring(lua, 3, "", &separator);
  if (times > 0) {
    // Even a string of nothing is copied `times` times.
    const auto count = static_cast<std::uint64_t>(times);
    const std::uint64_t piece = text.size() + separator + 1;
    if (count > (std::uint64_t{1} << 32) || piece > (std::uint64_t{1} << 31)) return luaL_error(lua, "string too long");
    Spend(lua, count * piece);
  }
  return CallOriginal(lua);
}

int CallOnTable(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  Spend(lua, 1 + lua_rawlen(lua, 1) * 4);
  return CallOriginal(lua);
}

// What is put in or taken out at the end moves nothing else.
int CallInsert(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  Spend(lua, lua_gettop(lua) > 2 ? 2 + lua_rawlen(lua, 1) : 2);
  return CallOriginal(lua);
}

int CallRemove(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  Spend(lua, lua_gettop(lua) > 1 ? 2 + lua_rawlen(lua, 1) : 2);
  return CallOriginal(lua);
}

int CallUnpack(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  const lua_Integer from = luaL_optinteger(lua, 2, 1);
  const lua_Integer to = luaL_optinteger(lua, 3, static_cast<lua_Integer>(lua_rawlen(lua, 1)));
  // In unsigned arithmetic, as the whole range of integers may lie between them.
  if (to >= from) Spend(lua, 1 + (static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from)));
  return CallOriginal(lua);
}

// Upvalues: the sandbox, the script's own comparison or nil.
int CountedLess(lua_State* lua) {
  std::uint64_t steps = 1;
  if (lua_type(lua, 1) == LUA_TSTRING && lua_type(lua, 2) == LUA_TSTRING) {
    steps += std::min(lua_rawlen(lua, 1), lua_rawlen(lua, 2)) / 16;
  }
  Spend(lua, steps);
  if (lua_isnil(lua, lua_upvalueindex(2))) {
    lua_pushboolean(lua, lua_compare(lua, 1, 2, LUA_OPLT));
    return 1;
  }
  lua_pushvalue(lua, lua_upvalueindex(2));
  lua_insert(lua, 1);
  lua_call(lua, 2, 1);
  return 1;
}

// Each comparison counts: how many there are is up to what is sorted.
int CallSort(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  if (!lua_isnoneornil(lua, 2)) luaL_checktype(lua, 2, LUA_TFUNCTION);
  lua_settop(lua, 2);
  Spend(lua, 1 + lua_rawlen(lua, 1));
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 2);
  lua_pushcclosure(lua, CountedLess, 2);
  return CallOriginal(lua);
}

int RefuseAssignment(lua_State* lua) {
  return luaL_error(lua, "nothing outside the script can be assigned; use 'local'");
}

int PushText(lua_State* lua, std::string_view text) {
  if (text.empty()) return 0;
  lua_pushlstring(lua, text.data(), text.size());
  return 1;
}

int HeaderField(lua_State* lua) {
  const std::string_view name = TextArgument(lua, 2);
  const Request& request = *SandboxOf(lua)->request();
  Spend(lua, 1 + request.headers.size());
  for (const Attribute& header : request.headers) {
    if (!EqualsIgnoringCase(header.name, name)) continue;
    lua_pushlstring(lua, header.value.data(), header.value.size());
    return 1;
  }
  return 0;
}

int AttributeField(lua_State* lua) {
  const std::string_view name = TextArgument(lua, 2);
  const Request& request = *SandboxOf(lua)->request();
  Spend(lua, 1 + request.attributes.size());
  for (const Attribute& attribute : request.attributes) {
    if (attribute.name != name) continue;
    lua_pushlstring(lua, attribute.value.data(), attribute.value.size());
    return 1;
  }
  return 0;
}

// Upvalues: the sandbox, the tables `headers` and `attributes`.
int RequestField(lua_State* lua) {
  const std::string_view name = TextArgument(lua, 2);
  const Request& request = *SandboxOf(lua)->request();
  if (name == "headers" || name == "attributes") {
    lua_pushvalue(lua, lua_upvalueindex(name == "headers" ? 2 : 3));
    return 1;
  }
  if (name == "cost") {
    lua_pushinteger(lua, static_cast<lua_Integer>(std::min<std::uint64_t>(request.cost, INT64_MAX)));
    return 1;
  }
  if (name == "path") return PushText(lua, PathOfTarget(request.path));
  if (name == "query") return PushText(lua, QueryOfTarget(request.path));
  if (name == "domain") return PushText(lua, request.domain);
  if (name == "ip") return PushText(lua, request.peer_ip);
  if (name == "user") return PushText(lua, request.user);
  if (name == "tenant") return PushText(lua, request.tenant);
  if (name == "tier") return PushText(lua, request.tier);
  if (name == "api_key") return PushText(lua, request.api_key);
  if (name == "country") return PushText(lua, request.country);
  if (name == "method") return PushText(lua, request.method);
  return 0;
}

// Replaces what is on top, a table or function, by an empty table that reads through it and cannot be written.
void Protect(lua_State* lua) {
  lua_createtable(lua, 0, 0);
  lua_createtable(lua, 0, 2);
  lua_pushvalue(lua, -3);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, RefuseAssignment);
  lua_setfield(lua, -2, "__newindex");
  lua_setmetatable(lua, -2);
  lua_remove(lua, -2);
}

struct Guarded {
  const char* name;
  lua_CFunction guard;  // nullptr: as Lua has it
};

// Pushes a table with the named functions of the library table that is on top.
template <std::size_t N>
void PushChosen(lua_State* lua, LuaSandbox* sandbox, const std::array<Guarded, N>& chosen) {
  lua_createtable(lua, 0, static_cast<int>(N));
  for (const Guarded& one : chosen) {
    if (one.guard == nullptr) {
      lua_getfield(lua, -2, one.name);
    } else {
      lua_pushlightuserdata(lua, sandbox);
      lua_getfield(lua, -3, one.name);
      lua_pushcclosure(lua, one.guard, 2);
    }
    lua_setfield(lua, -2, one.name);
  }
}

constexpr std::array<Guarded, 9> kBase{{{"assert", nullptr},
                                        {"error", nullptr},
                                        {"ipairs", nullptr},
                                        {"next", nullptr},
                                        {"pairs", nullptr},
                                        {"select", nullptr},
                                        {"tonumber", CallOnTexts},
                                        {"tostring", nullptr},
                                        {"type", nullptr}}};
constexpr std::array<Guarded, 13> kString{{{"byte", CallByte},
                                           {"char", CallOnTexts},
                                           {"find", LuaFind},
                                           {"format", CallOnTexts},
                                           {"gmatch", LuaGmatch},
                                           {"gsub", LuaGsub},
                                           {"len", nullptr},
                                           {"lower", CallOnTexts},
                                           {"match", LuaMatch},
                                           {"rep", CallRep},
                                           {"reverse", CallOnTexts},
                                           {"sub", CallSub},
                                           {"upper", CallOnTexts}}};
constexpr std::array<Guarded, 5> kTable{{{"concat", CallOnTable},
                                         {"insert", CallInsert},
                                         {"remove", CallRemove},
                                         {"sort", CallSort},
                                         {"unpack", CallUnpack}}};
constexpr std::array<Guarded, 16> kMath{{{"abs", nullptr},
                                         {"ceil", nullptr},
                                         {"exp", nullptr},
                                         {"floor", nullptr},
                                         {"fmod", nullptr},
                                         {"huge", nullptr},
                                         {"log", nullptr},
                                         {"max", nullptr},
                                         {"maxinteger", nullptr},
                                         {"min", nullptr},
                                         {"mininteger", nullptr},
                                         {"pi", nullptr},
                                         {"sqrt", nullptr},
                                         {"tointeger", nullptr},
                                         {"type", nullptr},
                                         {"ult", nullptr}}};

template <std::size_t N>
void AddLibrary(lua_State* lua, LuaSandbox* sandbox, const char* name, lua_CFunction open,
                const std::array<Guarded, N>& chosen) {
  luaL_requiref(lua, name, open, 0);
  PushChosen(lua, sandbox, chosen);
  Protect(lua);
  lua_remove(lua, -2);
  lua_setfield(lua, -2, name);
}

// Pushes a protected table whose fields `read` finds; the top `upvalues` values become its upvalues after the sandbox.
void PushView(lua_State* lua, LuaSandbox* sandbox, lua_CFunction read, int upvalues) {
  lua_pushlightuserdata(lua, sandbox);
  lua_insert(lua, -1 - upvalues);
  lua_pushcclosure(lua, read, upvalues + 1);
  Protect(lua);
}

}  // namespace

void PushEnvironment(lua_State* lua, LuaSandbox* sandbox) {
  luaL_requiref(lua, LUA_GNAME, luaopen_base, 0);
  PushChosen(lua, sandbox, kBase);
  lua_remove(lua, -2);
  AddLibrary(lua, sandbox, LUA_STRLIBNAME, luaopen_string, kString);
  AddLibrary(lua, sandbox, LUA_TABLIBNAME, luaopen_table, kTable);
  AddLibrary(lua, sandbox, LUA_MATHLIBNAME, luaopen_math, kMath);

  // Methods of strings, ("x"):rep(9), go through the chosen functions too.
  lua_pushliteral(lua, "");
  lua_getmetatable(lua, -1);
  lua_getfield(lua, -3, LUA_STRLIBNAME);
  lua_setfield(lua, -2, "__index");
  lua_pop(lua, 2);

  PushView(lua, sandbox, HeaderField, 0);
  PushView(lua, sandbox, AttributeField, 0);
  PushView(lua, sandbox, RequestField, 2);
  lua_setfield(lua, -2, "request");
  Protect(lua);
}

}  // namespace weir::engine
