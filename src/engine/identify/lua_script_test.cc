#include "engine/identify/lua_script.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "engine/identify/lua_library.h"

namespace weir::engine {
namespace {

using Status = LuaScript::Status;

class LuaScriptTest : public testing::Test {
 protected:
  LuaScript::Answer Run(const std::string& source) {
    auto script = LuaScript::Create(source);
    EXPECT_TRUE(script) << source << ": " << script.error().message;
    if (!script) return {};
    return script->Run(request_, arena_);
  }
  // The value, or "(nil)", or "(failed)".
  std::string Value(const std::string& source) {
    const LuaScript::Answer answer = Run(source);
    if (answer.status == Status::kNone) return "(nil)";
    return answer.status == Status::kFailed ? "(failed)" : std::string(answer.text);
  }

  Attribute headers_[3] = {{"X-Tenant", "acme"}, {"X-Empty", ""}, {"x-tenant", "second"}};
  Attribute attributes_[1] = {{"plan", "gold"}};
  Request request_{.domain = "d",
                   .peer_ip = "192.0.2.1",
                   .user = "u",
                   .method = "GET",
                   .path = "/api/v1/items?page=2",
                   .headers = headers_,
                   .attributes = attributes_,
                   .cost = 7};
  Arena arena_;
};

TEST_F(LuaScriptTest, SeesTheRequest) {
  EXPECT_EQ(Value("return request.headers['x-TENANT']"), "acme");
  EXPECT_EQ(Value("request.headers['x-empty']"), "");
  EXPECT_EQ(Value("request.headers.absent"), "(nil)");
  EXPECT_EQ(Value("request.attributes.plan"), "gold");
  EXPECT_EQ(Value("request.attributes.Plan"), "(nil)");
  EXPECT_EQ(Value("request.domain .. request.ip .. request.user .. request.method"), "d192.0.2.1uGET");
  EXPECT_EQ(Value("request.path .. '|' .. request.query"), "/api/v1/items|page=2");
  EXPECT_EQ(Value("request.tenant"), "(nil)") << "not known is nil";
  EXPECT_EQ(Value("request.nonsense"), "(nil)");
  EXPECT_EQ(Value("request.cost"), "7");
  EXPECT_EQ(Value("local s = request.path:match('^/api/([^/]+)/') return s:upper()"), "V1");
  EXPECT_EQ(Value("local t = {} for w in ('a-b-c'):gmatch('%w') do t[#t+1] = w end return table.concat(t, '+')"),
            "a+b+c");
}

TEST_F(LuaScriptTest, WhatDoesNotCompileIsRefused) {
  for (const char* source : {"return return", "x y", "if", "\x1bLua"}) {
    const auto script = LuaScript::Create(source);
    ASSERT_FALSE(script) << source;
    EXPECT_EQ(script.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(LuaScript::Create(std::string(70'000, ' ')));
  EXPECT_FALSE(LuaScript::Create("return " + std::string(10'000, '(') + std::string(10'000, ')')));
}

TEST_F(LuaScriptTest, CannotReachAnythingElse) {
  for (const char* name :
       {"io",      "os",          "load",        "loadfile",       "loadstring",      "dofile",       "require",
        "package", "debug",       "coroutine",   "pcall",          "xpcall",          "getmetatable", "setmetatable",
        "rawset",  "rawget",      "rawequal",    "collectgarbage", "print",           "warn",         "_G",
        "utf8",    "string.dump", "string.pack", "math.random",    "math.randomseed", "table.move",   "('').dump",
        "_VERSION"}) {
    EXPECT_EQ(Value(std::string("return tostring(") + name + ")"), "nil") << name;
  }
}

TEST_F(LuaScriptTest, CannotLeaveAnythingBehind) {
  for (const char* source : {"x = 1", "request.user = 'other'", "request.headers.x = 'y'", "string.len = nil",
                             "math.pi = 3", "table.insert(request, 1)", "_ENV.x = 1", "function tostring() end"}) {
    EXPECT_EQ(Value(source), "(failed)") << source;
  }
  const auto script = LuaScript::Create("local n = (n or 0) + 1 return n");
  EXPECT_EQ(script->Run(request_, arena_).text, "1");
  EXPECT_EQ(script->Run(request_, arena_).text, "1");
}

TEST_F(LuaScriptTest, OtherValuesFail) {
  for (const char* source : {"return {}", "return true", "return request", "return string.len", "error('x')",
                             "error({})", "return nil .. 'x'", "local function f() return f() + 1 end return f()"}) {
    EXPECT_EQ(Value(source), "(failed)") << source;
  }
}

TEST_F(LuaScriptTest, EndlessWorkEnds) {
  for (const char* source :
       {"while true do end", "local function f() f() end f()", "for i = 1, 1e18 do end", "goto a ::a:: goto a",
        "local s = 'x' while true do s = s .. s end", "local t = {} for i = 1, 1e18 do t[i] = i end",
        "return string.rep('x', 1 << 40)", "return string.rep('', 1 << 60)", "return ('x'):rep(1e9, 'y')",
        "return ('a'):rep(5000):match('.-.-.-.-b')", "return ('a'):rep(5000):find(('a*'):rep(20) .. 'b')",
        "return ('x'):rep(200000):find(('x'):rep(100000) .. 'y', 1, true)",
        "local t = {} for i = 1, 1e6 do table.insert(t, 1, i) end", "return table.concat({}, 'x', 1, 1 << 50)",
        "return select('#', table.unpack({}, 1, 1 << 30))", "for s in ('x'):rep(9000):gmatch('.-.-.-y') do end",
        "return ('x'):rep(9000):gsub('.-.-.-y', '')", "return string.format('%99999s', 'x')"}) {
    EXPECT_EQ(Value(source), "(failed)") << source;
  }
}

TEST_F(LuaScriptTest, AScriptThatFailedRunsAgain) {
  const auto script = LuaScript::Create("if request.user == 'bad' then while true do end end return request.user");
  ASSERT_TRUE(script);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(script->Run({.user = "bad"}, arena_).status, Status::kFailed);
    EXPECT_EQ(script->Run({.user = "good"}, arena_).text, "good");
  }
}

TEST_F(LuaScriptTest, ALongValueOfTheRequestCannotExhaustIt) {
  const std::string path(2'000'000, 'x');
  const auto script = LuaScript::Create("return request.path");
  EXPECT_EQ(script->Run({.path = path}, arena_).status, Status::kFailed);
  EXPECT_EQ(script->Run({.path = "/ok"}, arena_).text, "/ok");
}

TEST_F(LuaScriptTest, ManyScriptsOnManyThreads) {
  std::vector<LuaScript> scripts;
  for (int i = 0; i < 40; ++i) {
    scripts.push_back(std::move(LuaScript::Create("return request.user .. '" + std::to_string(i) + "'").value()));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string user = "t" + std::to_string(t);
      for (int round = 0; round < 5; ++round) {
        for (std::size_t i = 0; i < scripts.size(); ++i) {
          Arena arena;
          if (scripts[i].Run({.user = user}, arena).text != user + std::to_string(i)) ++wrong;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(LuaLibrary, PatternStepsAreBoundedFromAbove) {
  EXPECT_LT(PatternSteps("^/api/([^/]+)/", 1000), 10'000U);
  EXPECT_LT(PatternSteps("https?://[%w-]+/", 200), 100'000U);
  EXPECT_GT(PatternSteps(".-.-.-b", 5000), 1'000'000'000U);
  EXPECT_GT(PatternSteps(std::string(1000, '*'), 1 << 20), 1'000'000'000U);
  EXPECT_GT(PatternSteps("", 0), 0U);
  for (const char* odd : {"[", "[^", "[]", "%", "[%", "[^]", "%b", "%f["}) EXPECT_GT(PatternSteps(odd, 10), 0U) << odd;
}

}  // namespace
}  // namespace weir::engine
