#include "engine/identify/lua_script.h"

#include <atomic>
#include <utility>
#include <vector>

#include "engine/identify/lua_sandbox.h"

namespace weir::engine {
namespace {

constexpr std::size_t kLongestSource = 64 * 1024;
constexpr std::size_t kStatesKept = 16;

// The Lua states of one thread, the one used last in front.
class ThreadStates {
 public:
  LuaSandbox* Find(std::uint64_t id, const std::string& source) {
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (states_[i].first != id) continue;
      for (; i > 0; --i) std::swap(states_[i], states_[i - 1]);
      return states_.front().second.get();
    }
    auto made = LuaSandbox::Create(source);
    if (!made) return nullptr;
    if (states_.size() == kStatesKept) states_.pop_back();
    states_.emplace(states_.begin(), id, std::move(*made));
    return states_.front().second.get();
  }
  void DropFirst() { states_.erase(states_.begin()); }

 private:
  std::vector<std::pair<std::uint64_t, std::unique_ptr<LuaSandbox>>> states_;
};

thread_local ThreadStates states;

}  // namespace

Result<LuaScript> LuaScript::Create(std::string source) {
  static std::atomic<std::uint64_t> next_id{1};
  if (source.size() > kLongestSource) return Fail(ErrorCode::kInvalidArgument, "script is longer than 64 KiB");
  if (auto compiled = LuaSandbox::Create(source); !compiled) return std::unexpected(compiled.error());
  return LuaScript(std::move(source), next_id.fetch_add(1, std::memory_order_relaxed));
}

LuaScript::Answer LuaScript::Run(const Request& request, Arena& arena) const {
  LuaSandbox* const sandbox = states.Find(id_, source_);
  if (sandbox == nullptr) return {.status = Status::kFailed, .text = "no memory for a Lua state"};
  std::string_view text;
  switch (sandbox->Run(request, text)) {
    case LuaSandbox::End::kNil:
      return {.status = Status::kNone, .text = {}};
    case LuaSandbox::End::kString:
      return {.status = Status::kSubject, .text = arena.Copy(text)};
    case LuaSandbox::End::kError:
      break;
  }
  const Answer failed{.status = Status::kFailed, .text = arena.Copy(text)};
  states.DropFirst();  // it may be full of garbage
  return failed;
}

}  // namespace weir::engine
