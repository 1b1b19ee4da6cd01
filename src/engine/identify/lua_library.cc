// Functions here are called from Lua and may leave by longjmp (Lua's errors): they hold nothing that needs a
// destructor.
#include "engine/identify/lua_library.h"

#include <algorithm>
#include <array>
#include <lua.hpp>

#include "base/path.h"
#include "engine/identify/lua_sandbox.h"
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

int CallPattern(lua_State* lua) {
  const std::string_view text = TextArgument(lua, 1);
  const std::string_view pattern = TextArgument(lua, 2);
  Spend(lua, PatternSteps(pattern, text.size()));
  return CallOriginal(lua);
}

int CallFind(lua_State* lua) {
  const std::string_view text = TextArgument(lua, 1);
  const std::string_view pattern = TextArgument(lua, 2);
  const bool plain = lua_toboolean(lua, 4) != 0;
  Spend(lua, plain ? text.size() * std::max<std::size_t>(pattern.size(), 1) : PatternSteps(pattern, text.size()));
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
  const std::uint64_t length = lua_rawlen(lua, 1);
  Spend(lua, 1 + length * 4);
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
                                        {"tonumber", nullptr},
                                        {"tostring", nullptr},
                                        {"type", nullptr}}};
constexpr std::array<Guarded, 13> kString{{{"byte", nullptr},
                                           {"char", nullptr},
                                           {"find", CallFind},
                                           {"format", nullptr},
                                           {"gmatch", CallPattern},
                                           {"gsub", CallPattern},
                                           {"len", nullptr},
                                           {"lower", nullptr},
                                           {"match", CallPattern},
                                           {"rep", CallRep},
                                           {"reverse", nullptr},
                                           {"sub", nullptr},
                                           {"upper", nullptr}}};
constexpr std::array<Guarded, 5> kTable{{{"concat", CallOnTable},
                                         {"insert", CallOnTable},
                                         {"remove", CallOnTable},
                                         {"sort", CallOnTable},
                                         {"unpack", CallOnTable}}};
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

// n over k, saturating.
std::uint64_t Choose(std::uint64_t n, std::uint64_t k) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  std::uint64_t result = 1;
  for (std::uint64_t i = 1; i <= k; ++i) {
    if (result > kMost / (n - k + i)) return kMost;
    result = result * (n - k + i) / i;
  }
  return result;
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

std::uint64_t PatternSteps(std::string_view pattern, std::size_t text_length) {
  std::uint64_t loops = 1;     // over the places where a match may start
  std::uint64_t branches = 1;  // of '?', each at most two
  std::size_t i = 0;
  if (!pattern.empty() && pattern[0] == '^') {
    loops = 0;
    i = 1;
  }
  for (; i < pattern.size(); ++i) {
    switch (pattern[i]) {
      case '%':
        ++i;
        // %b and back references compare text of any length.
        if (i < pattern.size() && (pattern[i] == 'b' || (pattern[i] >= '0' && pattern[i] <= '9'))) ++loops;
        break;
      case '[':
        ++i;
        if (i < pattern.size() && pattern[i] == '^') ++i;
        // A ']' right at the start is one of the set.
        for (bool start = true; i < pattern.size() && (start || pattern[i] != ']'); ++i, start = false) {
          if (pattern[i] == '%') ++i;
        }
        break;
      case '*':
      case '+':
      case '-':
        ++loops;
        break;
      case '?':
        branches = std::min<std::uint64_t>(branches * 2, std::uint64_t{1} << 20);
        break;
      default:
        break;
    }
  }
  // The loops share the text: at most so many ways to divide n characters among k of them.
  return (Choose(text_length + loops, loops) + 1) * branches * (1 + pattern.size() / 16);
}

}  // namespace weir::engine
