#include "engine/identify/lua_sandbox.h"

#include <cstdlib>
#include <ctime>
#include <lua.hpp>

#include "engine/identify/lua_library.h"

namespace weir::engine {
namespace {

constexpr std::size_t kMostLiveBytes = 512 * 1024;
constexpr std::size_t kMostAllocated = 4 * 1024 * 1024;
constexpr std::uint64_t kMostInstructions = 50'000;
constexpr std::uint64_t kMostSteps = 1'000'000;
// An instruction can compare two strings of all the memory that there is: so many between two looks at the clock.
constexpr int kHookEvery = 50;
constexpr Nanos kMostTime = 20 * kMillisecond;

// Of this thread alone: a busy machine makes no script fail.
Nanos ThreadTime() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

LuaSandbox* SandboxOf(lua_State* lua) {
  void* self = nullptr;
  lua_getallocf(lua, &self);
  return static_cast<LuaSandbox*>(self);
}

void CountInstructions(lua_State* lua, lua_Debug*) {
  if (!SandboxOf(lua)->SpendInstructions(kHookEvery)) luaL_error(lua, "too many instructions, or too slow ones");
}

// Leaves the compiled script under this key of the registry.
const char kScriptKey = 0;

struct Source {
  LuaSandbox* sandbox;
  const std::string* text;
};

void Load(lua_State* lua, std::string_view text) {
  if (luaL_loadbufferx(lua, text.data(), text.size(), "=lua", "t") != LUA_OK) lua_error(lua);
}

// Protected: every step here may run out of memory, which Lua tells by longjmp.
int Compile(lua_State* lua) {
  const auto* const source = static_cast<const Source*>(lua_touserdata(lua, 1));
  // One expression may go without 'return'; told from a chunk as the interactive interpreter does.
  lua_pushliteral(lua, "return ");
  lua_pushlstring(lua, source->text->data(), source->text->size());
  lua_concat(lua, 2);
  std::size_t size = 0;
  const char* const expression = lua_tolstring(lua, -1, &size);
  if (luaL_loadbufferx(lua, expression, size, "=lua", "t") != LUA_OK) {
    lua_pop(lua, 1);
    Load(lua, *source->text);
  }
  PushEnvironment(lua, source->sandbox);
  lua_setupvalue(lua, -2, 1);
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &kScriptKey);
  return 0;
}

int CallScript(lua_State* lua) {
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &kScriptKey);
  lua_call(lua, 0, 1);
  if (lua_type(lua, -1) == LUA_TNUMBER) lua_tolstring(lua, -1, nullptr);
  if (lua_type(lua, -1) != LUA_TSTRING && lua_type(lua, -1) != LUA_TNIL) {
    return luaL_error(lua, "returned a %s, not a string or nil", luaL_typename(lua, -1));
  }
  return 1;
}

// Without conversion, which could need memory outside of a protected call.
std::string_view TextOnTop(lua_State* lua) {
  if (lua_type(lua, -1) != LUA_TSTRING) return "error without a message";
  std::size_t size = 0;
  const char* const text = lua_tolstring(lua, -1, &size);
  return {text, size};
}

}  // namespace

void* LuaSandbox::Allocate(void* self, void* block, std::size_t old_size, std::size_t new_size) {
  auto* const sandbox = static_cast<LuaSandbox*>(self);
  if (block == nullptr) old_size = 0;  // Lua passes a type tag there
  if (new_size > old_size) {
    const std::size_t more = new_size - old_size;
    if (more > kMostLiveBytes - sandbox->live_bytes_ || more > kMostAllocated - sandbox->allocated_) return nullptr;
  }
  if (new_size == 0) {
    std::free(block);
    sandbox->live_bytes_ -= old_size;
    return nullptr;
  }
  void* const moved = std::realloc(block, new_size);
  if (moved == nullptr) return nullptr;
  if (new_size > old_size) sandbox->allocated_ += new_size - old_size;
  sandbox->live_bytes_ = sandbox->live_bytes_ - old_size + new_size;
  return moved;
}

Result<std::unique_ptr<LuaSandbox>> LuaSandbox::Create(const std::string& source) {
  std::unique_ptr<LuaSandbox> sandbox(new LuaSandbox);
  sandbox->Refill();
  sandbox->lua_ = lua_newstate(&LuaSandbox::Allocate, sandbox.get());
  if (sandbox->lua_ == nullptr) return Fail(ErrorCode::kInternal, "no memory for a Lua state");
  lua_State* const lua = sandbox->lua_;
  Source what{.sandbox = sandbox.get(), .text = &source};
  lua_pushcfunction(lua, Compile);
  lua_pushlightuserdata(lua, &what);
  if (lua_pcall(lua, 1, 0, 0) != LUA_OK) return Fail(ErrorCode::kInvalidArgument, std::string(TextOnTop(lua)));
  lua_sethook(lua, CountInstructions, LUA_MASKCOUNT, kHookEvery);
  return sandbox;
}

LuaSandbox::~LuaSandbox() {
  if (lua_ != nullptr) lua_close(lua_);
}

LuaSandbox::End LuaSandbox::Run(const Request& request, std::string_view& text) {
  Refill();
  request_ = &request;
  lua_settop(lua_, 0);
  lua_pushcfunction(lua_, CallScript);
  const bool failed = lua_pcall(lua_, 0, 1, 0) != LUA_OK;
  request_ = nullptr;
  if (!failed && lua_type(lua_, -1) == LUA_TNIL) return End::kNil;
  text = TextOnTop(lua_);
  return failed ? End::kError : End::kString;
}

bool LuaSandbox::Spend(std::uint64_t steps) {
  const bool enough = steps <= steps_left_;
  steps_left_ = enough ? steps_left_ - steps : 0;
  return enough;
}

bool LuaSandbox::SpendInstructions(std::uint64_t count) {
  const bool enough = count <= instructions_left_;
  instructions_left_ = enough ? instructions_left_ - count : 0;
  if (!enough) return false;
  const Nanos now = ThreadTime();
  // Counted from the first look on: most scripts end before it and never ask.
  if (time_up_ == 0) time_up_ = now + kMostTime;
  return now < time_up_;
}

void LuaSandbox::Refill() {
  allocated_ = 0;
  instructions_left_ = kMostInstructions;
  steps_left_ = kMostSteps;
  time_up_ = 0;
}

}  // namespace weir::engine
