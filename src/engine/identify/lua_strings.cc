#include "engine/identify/lua_strings.h"

#include <lua.hpp>
#include <string_view>
#include <type_traits>

#include "engine/identify/lua_pattern.h"
#include "engine/identify/lua_sandbox.h"

namespace weir::engine {
namespace {

static_assert(std::is_trivially_destructible_v<PatternMatcher>);  // errors leave by longjmp

using End = PatternMatcher::End;

constexpr const char* kTooMuch = "too much work for the string and table functions";

std::uint64_t& StepsOf(lua_State* lua) {
  return static_cast<LuaSandbox*>(lua_touserdata(lua, lua_upvalueindex(1)))->steps_left();
}

void Spend(lua_State* lua, std::uint64_t count) {
  if (!static_cast<LuaSandbox*>(lua_touserdata(lua, lua_upvalueindex(1)))->Spend(count)) luaL_error(lua, kTooMuch);
}

std::string_view TextAt(lua_State* lua, int index) {
  std::size_t size = 0;
  const char* const text = luaL_checklstring(lua, index, &size);
  return {text, size};
}

// Whether there is a match at `start`; what else may come of it is an error.
bool Matches(lua_State* lua, PatternMatcher& matcher, std::size_t start) {
  switch (matcher.MatchAt(start)) {
    case End::kMatch:
      return true;
    case End::kNone:
      return false;
    case End::kBroken:
      luaL_error(lua, "%s", matcher.broken());
      break;
    case End::kTooMuch:
      luaL_error(lua, kTooMuch);
      break;
  }
  return false;
}

void PushCapture(lua_State* lua, std::string_view text, const PatternCapture& capture) {
  if (capture.is_position) {
    lua_pushinteger(lua, static_cast<lua_Integer>(capture.start) + 1);
  } else {
    lua_pushlstring(lua, text.data() + capture.start, capture.length);
  }
}

// The whole match stands for the captures that a pattern does not have, where `or_whole`.
int PushCaptures(lua_State* lua, std::string_view text, const PatternMatcher& matcher, std::size_t start,
                 bool or_whole) {
  const std::size_t count = matcher.captures();
  luaL_checkstack(lua, static_cast<int>(count) + 1, "too many captures");
  if (count == 0 && or_whole) {
    lua_pushlstring(lua, text.data() + start, matcher.end() - start);
    return 1;
  }
  for (std::size_t i = 0; i < count; ++i) PushCapture(lua, text, matcher.capture(i));
  return static_cast<int>(count);
}

// Where argument `index` lets a search begin; npos: behind the end.
std::size_t StartArgument(lua_State* lua, int index, std::size_t size) {
  const lua_Integer written = luaL_optinteger(lua, index, 1);
  const auto length = static_cast<lua_Integer>(size);
  if (written > length + 1) return std::string_view::npos;
  if (written > 0) return static_cast<std::size_t>(written - 1);
  return written == 0 || written < -length ? 0 : static_cast<std::size_t>(length + written);
}

bool TakeAnchor(std::string_view& pattern) {
  const bool anchored = pattern.starts_with('^');
  if (anchored) pattern.remove_prefix(1);
  return anchored;
}

int FindOrMatch(lua_State* lua, bool find) {
  const std::string_view text = TextAt(lua, 1);
  std::string_view pattern = TextAt(lua, 2);
  const std::size_t start = StartArgument(lua, 3, text.size());
  if (start == std::string_view::npos) return lua_pushnil(lua), 1;
  Spend(lua, 1 + pattern.size() / 16);
  if (find && (lua_toboolean(lua, 4) != 0 || pattern.find_first_of("^$*+?.([%-") == std::string_view::npos)) {
    std::uint64_t& steps = StepsOf(lua);
    const std::size_t at = FindPlain(text, pattern, start, steps);
    if (at == std::string_view::npos && steps == 0) return luaL_error(lua, kTooMuch);
    if (at == std::string_view::npos) return lua_pushnil(lua), 1;
    lua_pushinteger(lua, static_cast<lua_Integer>(at) + 1);
    const auto end = static_cast<lua_Integer>(at) + static_cast<lua_Integer>(pattern.size());
    lua_pushinteger(lua, end);
    return 2;
  }
  const bool anchored = TakeAnchor(pattern);
  PatternMatcher matcher(text, pattern, StepsOf(lua));
  for (std::size_t at = start; at <= text.size(); ++at) {
    if (Matches(lua, matcher, at)) {
      if (!find) return PushCaptures(lua, text, matcher, at, true);
      lua_pushinteger(lua, static_cast<lua_Integer>(at) + 1);
      lua_pushinteger(lua, static_cast<lua_Integer>(matcher.end()));
      return 2 + PushCaptures(lua, text, matcher, at, false);
    }
    if (anchored) break;
    Spend(lua, 1);
  }
  lua_pushnil(lua);
  return 1;
}

// Upvalues: the sandbox, the text, the pattern, where to go on, where the last match ended (-1: there was none).
int NextMatch(lua_State* lua) {
  const std::string_view text = TextAt(lua, lua_upvalueindex(2));
  const std::string_view pattern = TextAt(lua, lua_upvalueindex(3));
  const auto start = static_cast<std::size_t>(lua_tointeger(lua, lua_upvalueindex(4)));
  const auto last = static_cast<std::size_t>(lua_tointeger(lua, lua_upvalueindex(5)));
  PatternMatcher matcher(text, pattern, StepsOf(lua));
  for (std::size_t at = start; at <= text.size(); ++at) {
    Spend(lua, 1);
    if (!Matches(lua, matcher, at) || matcher.end() == last) continue;
    for (const int upvalue : {4, 5}) {
      lua_pushinteger(lua, static_cast<lua_Integer>(matcher.end()));
      lua_replace(lua, lua_upvalueindex(upvalue));
    }
    return PushCaptures(lua, text, matcher, at, true);
  }
  return 0;
}

// ---- gsub -----------------------------------------------------------------------------------------------------------

struct Substitution {
  lua_State* lua;
  std::string_view text;
  luaL_Buffer* out;
  int replacement;  // its type: of argument 3
};

void AddPattern(const Substitution& sub, const PatternMatcher& matcher, std::size_t start) {
  std::size_t size = 0;
  const char* const replacement = lua_tolstring(sub.lua, 3, &size);
  Spend(sub.lua, 1 + size);
  for (std::size_t i = 0; i < size; ++i) {
    const char c = replacement[i];
    if (c != '%') {
      luaL_addchar(sub.out, c);
      continue;
    }
    const char next = ++i < size ? replacement[i] : '\0';
    if (next == '%') {
      luaL_addchar(sub.out, '%');
      continue;
    }
    if (next < '0' || next > '9') luaL_error(sub.lua, "invalid use of '%%' in replacement string");
    const auto index = static_cast<std::size_t>(next - '0');
    if (index == 0 || (index == 1 && matcher.captures() == 0)) {
      luaL_addlstring(sub.out, sub.text.data() + start, matcher.end() - start);
    } else if (index > matcher.captures()) {
      luaL_error(sub.lua, "invalid capture index %%%d in replacement string", static_cast<int>(index));
    } else {
      PushCapture(sub.lua, sub.text, matcher.capture(index - 1));
      luaL_tolstring(sub.lua, -1, nullptr);
      lua_remove(sub.lua, -2);
      luaL_addvalue(sub.out);
    }
  }
}

// True: something else than the match itself was put there.
bool AddReplacement(const Substitution& sub, const PatternMatcher& matcher, std::size_t start) {
  lua_State* const lua = sub.lua;
  if (sub.replacement == LUA_TFUNCTION) {
    lua_pushvalue(lua, 3);
    lua_call(lua, PushCaptures(lua, sub.text, matcher, start, true), 1);
  } else if (sub.replacement == LUA_TTABLE) {
    if (matcher.captures() == 0) {
      lua_pushlstring(lua, sub.text.data() + start, matcher.end() - start);
    } else {
      PushCapture(lua, sub.text, matcher.capture(0));
    }
    lua_gettable(lua, 3);
  } else {
    AddPattern(sub, matcher, start);
    return true;
  }
  if (lua_toboolean(lua, -1) == 0) {
    lua_pop(lua, 1);
    luaL_addlstring(sub.out, sub.text.data() + start, matcher.end() - start);
    return false;
  }
  if (lua_isstring(lua, -1) == 0) {
    luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
  }
  luaL_addvalue(sub.out);
  return true;
}

}  // namespace

int LuaFind(lua_State* lua) { return FindOrMatch(lua, true); }
int LuaMatch(lua_State* lua) { return FindOrMatch(lua, false); }

int LuaGmatch(lua_State* lua) {
  const std::size_t size = TextAt(lua, 1).size();
  TextAt(lua, 2);
  std::size_t start = StartArgument(lua, 3, size);
  if (start == std::string_view::npos) start = size + 1;
  lua_settop(lua, 2);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_pushinteger(lua, static_cast<lua_Integer>(start));
  lua_pushinteger(lua, -1);
  lua_pushcclosure(lua, NextMatch, 5);
  return 1;
}

int LuaGsub(lua_State* lua) {
  const std::string_view text = TextAt(lua, 1);
  std::string_view pattern = TextAt(lua, 2);
  const int type = lua_type(lua, 3);
  const bool usable = type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE;
  if (!usable) return luaL_typeerror(lua, 3, "string/function/table");
  const lua_Integer most = luaL_optinteger(lua, 4, static_cast<lua_Integer>(text.size()) + 1);
  const bool anchored = TakeAnchor(pattern);
  luaL_Buffer out;
  luaL_buffinit(lua, &out);
  const Substitution sub{.lua = lua, .text = text, .out = &out, .replacement = type};
  PatternMatcher matcher(text, pattern, StepsOf(lua));
  std::size_t at = 0, last = std::string_view::npos;
  lua_Integer count = 0;
  bool changed = false;
  while (count < most) {
    Spend(lua, 1);
    if (Matches(lua, matcher, at) && matcher.end() != last) {
      ++count;
      changed |= AddReplacement(sub, matcher, at);
      at = last = matcher.end();
    } else if (at < text.size()) {
      luaL_addchar(&out, text[at]);
      ++at;
    } else {
      break;
    }
    if (anchored) break;
  }
  if (changed) {
    luaL_addlstring(&out, text.data() + at, text.size() - at);
    luaL_pushresult(&out);
  } else {
    lua_pushvalue(lua, 1);
  }
  lua_pushinteger(lua, count);
  return 2;
}

}  // namespace weir::engine
