#include "engine/identify/lua_script.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

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

TEST_F(LuaScriptTest, EveryFunctionMeansWhatItMeansToLua) {
  EXPECT_EQ(Value("local i, j, k = ('key = value'):find('(%w+)', 6) return i .. j .. k"), "711value");
  EXPECT_EQ(Value("return (('a.b.c'):gsub('%.', '%%'))"), "a%b%c");
  EXPECT_EQ(Value("return (('hello world'):gsub('(%w+)', '<%1>', 1))"), "<hello> world");
  EXPECT_EQ(Value("return (('hello'):gsub('', '-'))"), "-h-e-l-l-o-");
  EXPECT_EQ(Value("return (('$a $b'):gsub('%$(%w)', {a = 1, b = false}))"), "1 $b");
  EXPECT_EQ(Value("return (('abc'):gsub('%w', function(c) if c ~= 'b' then return c:upper() end end))"), "AbC");
  EXPECT_EQ(Value("return (('abc'):gsub('()', '%1'))"), "1a2b3c4");
  EXPECT_EQ(Value("local n = select(2, ('aaa'):gsub('^a', '')) return n"), "1");
  EXPECT_EQ(Value("local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t+1] = k .. v end "
                  "return table.concat(t, ',')"),
            "a1,b2");
  EXPECT_EQ(Value("local t = {} for w in ('^a^b'):gmatch('^%w') do t[#t+1] = w end return table.concat(t)"), "^a^b")
      << "gmatch does not anchor";
  EXPECT_EQ(Value("local t = {} for w in ('abc'):gmatch('', 3) do t[#t+1] = 'x' end return #t"), "2");
  EXPECT_EQ(Value("local t = {3, 1, 2} table.sort(t) return table.concat(t)"), "123");
  EXPECT_EQ(Value("local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return table.concat(t)"), "321");
  EXPECT_EQ(Value("local t = {'b', 'a'} table.sort(t) table.insert(t, 'c') table.insert(t, 1, 'd') table.remove(t, 2) "
                  "return table.concat(t) .. table.remove(t)"),
            "dbcc");
  EXPECT_EQ(Value("return ('x'):byte() .. ('abc'):sub(-2) .. string.char(65, 66) .. ('abc'):sub(2, 2)"), "120bcABb");
  EXPECT_EQ(Value("return ('a.b'):find('.', 1, true)"), "2");
  EXPECT_EQ(Value("return tostring(('abc'):find('b', 10))"), "nil");
  EXPECT_EQ(Value("return tonumber('0x10') + tonumber('11', 2)"), "19");
  for (const char* broken :
       {"('x'):find('[')", "('x'):match('%')", "('x'):find('(')", "('x'):match('%1')", "('x'):gsub('x', '%9')",
        "('x'):gsub('x', '%z')", "('x'):find('%f')", "('x'):find('%b')", "('x'):gsub('x', true)",
        "table.sort({1, 2}, 3)", "('x'):gsub('x', function() return {} end)"}) {
    EXPECT_EQ(Value(std::string("return ") + broken), "(failed)") << broken;
  }
}

// Whatever a header holds, a script ends soon: by the count of steps, or where Lua itself does the work, by time.
TEST_F(LuaScriptTest, HostileTextsEndToo) {
  const std::string carets(40'000, '^'), letters(40'000, 'a');
  Attribute headers[2] = {{"c", carets}, {"a", letters}};
  request_.headers = headers;
  for (const char* source : {
           "for w in request.headers.c:gmatch('^(.-)/') do return w end return 'none'",
           "return request.headers.a:match('^(a*)*b')  or request.headers.a:match('a-a-a-b')",
           "return (request.headers.a:gsub('a*b', ''))",
           "return request.headers.a:find('a*a*b')",
           "return request.headers.c:find('%b^x%b^y', 1) or request.headers.a:find(('a?'):rep(40) .. ('a'):rep(40) .. "
           "'b')",
           "local s = request.headers.a for i = 1, 1e9 do if tonumber(s) then return s end end",
           "local a, b = request.headers.a .. 'x', request.headers.a .. 'y' while a ~= b do end",
           "local t = {} for i = 1, 9000 do t[i] = request.headers.a end table.sort(t) return #t",
           "local t = {} for i = 1, 9000 do t[i] = i end for i = 1, 1e9 do table.sort(t, math.ult) end",
           "while true do table.unpack({}, 1, 9000) end",
           "while true do request.headers.a:byte(1, 9000) end",
           "local function f(...) while true do select('#', ...) end end f(table.unpack({}, 1, 9000))",
           "while true do string.format('%.3s', request.headers.a) end",
           "local t = {} for i = 1, 9000 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end",
           "return table.unpack({}, math.mininteger, math.maxinteger)",
           "return request.headers.a:rep(1000)",
       }) {
    const LuaScript::Answer answer = Run(source);
    EXPECT_TRUE(answer.status == Status::kFailed || answer.status == Status::kSubject) << source;
    if (answer.status == Status::kFailed) {
      EXPECT_FALSE(answer.text.empty()) << source;
    }
  }
  EXPECT_EQ(Value("return #request.headers.a"), "40000");
  EXPECT_EQ(Value("return request.headers.c:find('/', 1, true) or 'none'"), "none");
  EXPECT_EQ(Value("return request.headers.a:match('^a+$') and 'all'"), "all") << "long and linear is no abuse";
}

}  // namespace
}  // namespace weir::engine
