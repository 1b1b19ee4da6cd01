#include "engine/identify/lua_pattern.h"

#include <gtest/gtest.h>

#include <lua.hpp>
#include <random>
#include <string>
#include <vector>

namespace weir::engine {
namespace {

// What string.find would return: "none", "broken", or places and captures.
std::string Ours(std::string_view text, std::string_view pattern, std::uint64_t steps = 1'000'000) {
  if (pattern.find_first_of("^$*+?.([%-") == std::string_view::npos) {
    const std::size_t at = FindPlain(text, pattern, 0, steps);
    if (at == std::string_view::npos) return steps == 0 ? "too much" : "none";
    return std::to_string(at + 1) + "-" + std::to_string(at + pattern.size());
  }
  const bool anchored = pattern.starts_with('^');
  PatternMatcher matcher(text, anchored ? pattern.substr(1) : pattern, steps);
  for (std::size_t at = 0; at <= text.size(); ++at) {
    switch (matcher.MatchAt(at)) {
      case PatternMatcher::End::kBroken:
        EXPECT_STRNE(matcher.broken(), "");
        return "broken";
      case PatternMatcher::End::kTooMuch:
        return "too much";
      case PatternMatcher::End::kNone:
        if (anchored) return "none";
        continue;
      case PatternMatcher::End::kMatch:
        break;
    }
    std::string result = std::to_string(at + 1) + "-" + std::to_string(matcher.end());
    for (std::size_t i = 0; i < matcher.captures(); ++i) {
      const PatternCapture one = matcher.capture(i);
      result +=
          one.is_position ? "@" + std::to_string(one.start + 1) : "=" + std::string(text.substr(one.start, one.length));
    }
    return result;
  }
  return "none";
}

class RealLua {
 public:
  RealLua() : lua_(luaL_newstate()) { luaL_openlibs(lua_); }
  ~RealLua() { lua_close(lua_); }
  RealLua(const RealLua&) = delete;
  RealLua& operator=(const RealLua&) = delete;

  std::string Find(const std::string& text, const std::string& pattern) {
    lua_settop(lua_, 0);
    lua_getglobal(lua_, "string");
    lua_getfield(lua_, -1, "find");
    lua_pushlstring(lua_, text.data(), text.size());
    lua_pushlstring(lua_, pattern.data(), pattern.size());
    if (lua_pcall(lua_, 2, LUA_MULTRET, 0) != LUA_OK) return "broken";
    if (lua_isnil(lua_, 2)) return "none";
    std::string result = std::to_string(lua_tointeger(lua_, 2)) + "-" + std::to_string(lua_tointeger(lua_, 3));
    for (int i = 4; i <= lua_gettop(lua_); ++i) {
      const bool place = lua_type(lua_, i) == LUA_TNUMBER;
      std::size_t size = 0;
      const char* const value = lua_tolstring(lua_, i, &size);
      result += (place ? "@" : "=") + std::string(value, size);
    }
    return result;
  }

 private:
  lua_State* lua_;
};

TEST(LuaPattern, MatchesAsLuaDoes) {
  RealLua real;
  const std::vector<std::string> texts = {"",      "a",    "aab",        "key = value", "f(a(b)c)d)", "THE (quick) fox",
                                          "[[x]]", "a\0b", "2024-01-02", "%d^$"};
  for (const std::string& text : texts) {
    for (const char* pattern : {"",
                                "a",
                                "^a",
                                "a$",
                                ".-",
                                ".*",
                                ".+b",
                                "a?b",
                                "(a*)b",
                                "()a()",
                                "%a+",
                                "%A+",
                                "%w+%s*=%s*%w+",
                                "%b()",
                                "%f[%a]%a+",
                                "%f[%A]",
                                "[%w_]+",
                                "[^%w]+",
                                "[a-f]+",
                                "[]]",
                                "[^]]",
                                "[a-]",
                                "[%a-z]",
                                "(%w)%1",
                                "(()a)",
                                "%d+-%d+",
                                "%%d",
                                "%.",
                                "[%]]",
                                "((a)(b))",
                                "(",
                                ")",
                                "[",
                                "[^",
                                "[]",
                                "%",
                                "[%",
                                "%b",
                                "%bx",
                                "%f",
                                "%f[",
                                "%0",
                                "%1",
                                "(%1)",
                                "a)",
                                "(a",
                                "[a",
                                "x*-"}) {
      EXPECT_EQ(Ours(text, pattern), real.Find(text, pattern)) << '\'' << text << "' '" << pattern << '\'';
    }
  }
}

TEST(LuaPattern, MatchesAsLuaDoesAtRandom) {
  RealLua real;
  std::mt19937 random(1);
  constexpr std::string_view kPieces[] = {"a", "b",  ".",  "%a",   "[ab]",  "[^a]", "*", "+", "-", "?", "(",
                                          ")", "()", "%1", "%b()", "%f[a]", "^",    "$", "[", "]", "%", "%2"};
  int matched = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text, pattern;
    for (auto n = random() % 10; n > 0; --n) text += "ab()"[random() % 4];
    for (auto n = random() % 8; n > 0; --n) pattern += kPieces[random() % std::size(kPieces)];
    const std::string ours = Ours(text, pattern);
    ASSERT_EQ(ours, real.Find(text, pattern)) << '\'' << text << "' '" << pattern << '\'';
    matched += ours[0] != 'n' && ours[0] != 'b';
  }
  EXPECT_GT(matched, 2'000);
}

TEST(LuaPattern, NestsAsDeepAsLua) {
  RealLua real;
  for (const std::size_t parts : {50U, 190U, 198U, 199U, 200U, 201U, 300U}) {
    std::string pattern;
    for (std::size_t i = 0; i < parts; ++i) pattern += "a?";
    EXPECT_EQ(Ours(std::string(400, 'a'), pattern), real.Find(std::string(400, 'a'), pattern)) << parts;
  }
  EXPECT_EQ(Ours("x", std::string(40, '(')), real.Find("x", std::string(40, '(')));
}

TEST(LuaPattern, WorkIsCounted) {
  const std::string long_text(40'000, '^');
  EXPECT_EQ(Ours(long_text, "(.-)/"), "too much");
  EXPECT_EQ(Ours(std::string(5'000, 'a'), "a-a-a-b"), "too much");
  EXPECT_EQ(Ours(std::string(30, 'a'), std::string(60, '[') + "]", 5), "too much");
  EXPECT_EQ(Ours("aaaa", "a", 0), "too much");
  std::uint64_t steps = 1'000'000;
  EXPECT_EQ(PatternMatcher(long_text, "%^+", steps).MatchAt(0), PatternMatcher::End::kMatch);
  EXPECT_GT(steps, 800'000U) << "a few steps a character";
  EXPECT_LT(steps, 960'000U) << "at least one";
}

TEST(LuaPattern, PlainSearchIsCounted) {
  std::uint64_t steps = 1'000;
  EXPECT_EQ(FindPlain("hello world", "o w", 0, steps), 4U);
  EXPECT_EQ(FindPlain("hello world", "o", 5, steps), 7U);
  EXPECT_EQ(FindPlain("hello", "", 3, steps), 3U);
  EXPECT_EQ(FindPlain("hello", "x", 0, steps), std::string_view::npos);
  EXPECT_EQ(FindPlain("", "x", 0, steps), std::string_view::npos);
  EXPECT_EQ(FindPlain("lo", "hello", 0, steps), std::string_view::npos);
  EXPECT_GT(steps, 0U);
  EXPECT_EQ(FindPlain(std::string(10'000, 'x'), std::string(5'000, 'x') + 'y', 0, steps), std::string_view::npos);
  EXPECT_EQ(steps, 0U);
}

}  // namespace
}  // namespace weir::engine
