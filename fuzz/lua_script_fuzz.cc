// Scripts and patterns of any form, on any text: a run ends within its bounds, and a pattern matches as Lua's own
// matcher says wherever that one is quick enough to be asked.
//
// Input: the text of a header, a NUL, then a script; and both again as a text and a pattern.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <lua.hpp>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "engine/identify/lua_pattern.h"
#include "engine/identify/lua_script.h"

namespace {

using weir::engine::PatternMatcher;

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void Require(bool holds) {
  if (!holds) std::abort();
}

void RunScript(std::string_view text, std::string_view source) {
  const auto script = weir::engine::LuaScript::Create(std::string(source));
  if (!script) return;
  // Long enough that a pattern could take its time.
  std::string header;
  while (!text.empty() && header.size() < 20'000) header += text;
  const weir::Attribute headers[] = {{"x", header}};
  weir::Arena arena;
  const double before = ThreadSeconds();
  script->Run({.path = "/a/b?c=d", .headers = headers}, arena);
  Require(ThreadSeconds() - before < 3);  // 20 ms and what sanitizers make of it
}

// string.find of a first place alone, as Lua has it: the pattern anchored.
void MatchBoth(std::string_view text, std::string_view pattern) {
  static lua_State* const lua = [] {
    lua_State* const made = luaL_newstate();
    luaL_openlibs(made);
    return made;
  }();
  if (text.size() > 64 || pattern.size() > 64) return;
  if (pattern.find_first_of("^$*+?.([%-") == std::string_view::npos) return;  // string.find looks for it as it is
  std::uint64_t steps = 20'000;
  PatternMatcher matcher(text, pattern, steps);
  const PatternMatcher::End end = matcher.MatchAt(0);
  if (end == PatternMatcher::End::kTooMuch) return;
  lua_settop(lua, 0);
  lua_getglobal(lua, "string");
  lua_getfield(lua, -1, "find");
  const std::string anchored = '^' + std::string(pattern);
  lua_pushlstring(lua, text.data(), text.size());
  lua_pushlstring(lua, anchored.data(), anchored.size());
  const bool failed = lua_pcall(lua, 2, LUA_MULTRET, 0) != LUA_OK;
  Require(failed == (end == PatternMatcher::End::kBroken));
  if (failed) return;
  Require(lua_isnil(lua, 2) == (end == PatternMatcher::End::kNone));
  if (end == PatternMatcher::End::kNone) return;
  Require(static_cast<std::size_t>(lua_tointeger(lua, 3)) == matcher.end());
  Require(static_cast<std::size_t>(lua_gettop(lua)) == matcher.captures() + 3);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = std::min(input.find('\0'), input.size());
  const std::string_view text = input.substr(0, split);
  const std::string_view source = input.substr(std::min(split + 1, input.size()));
  RunScript(text, source);
  MatchBoth(text, source);
  return 0;
}
