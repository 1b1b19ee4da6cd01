// A Lua state in which a script can compute and nothing else: bounded memory, instructions, library work and time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "weir/request.h"
#include "weir/result.h"

struct lua_State;

namespace weir::engine {

// Used by one thread at a time.
class LuaSandbox {
 public:
  // kInvalidArgument with Lua's message when the source does not compile.
  static Result<std::unique_ptr<LuaSandbox>> Create(const std::string& source);
  ~LuaSandbox();
  LuaSandbox(const LuaSandbox&) = delete;
  LuaSandbox& operator=(const LuaSandbox&) = delete;

  enum class End : std::uint8_t { kString, kNil, kError };
  // Runs the script. `text` is its string, or the message of an error; valid until the next Run.
  End Run(const Request& request, std::string_view& text);

  // For the functions that the script calls.
  const Request* request() const { return request_; }
  // Takes from what the library may still work in this run; false when that is used up.
  bool Spend(std::uint64_t steps);
  // The same, for what counts by itself.
  std::uint64_t& steps_left() { return steps_left_; }
  // Of Lua's instructions, each of which may touch as much as the memory holds: they are bounded by number and, all
  // of a run together, by time. False when either is used up.
  bool SpendInstructions(std::uint64_t count);

 private:
  LuaSandbox() = default;
  static void* Allocate(void* self, void* block, std::size_t old_size, std::size_t new_size);
  void Refill();

  lua_State* lua_ = nullptr;
  const Request* request_ = nullptr;
  std::size_t live_bytes_ = 0;
  std::size_t allocated_ = 0;  // in this run
  std::uint64_t instructions_left_ = 0;
  std::uint64_t steps_left_ = 0;
  Nanos time_up_ = 0;  // of this thread's processor time; 0: not known yet
};

}  // namespace weir::engine
