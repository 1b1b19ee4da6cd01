// The commands of one read, as questions to the engine and replies in order.
//
// What the engine is shown lives in the batch, because a remote store answers when the input is long gone. A batch that
// is complete goes back to the pool of its thread: in steady state a command allocates nothing, and an idle connection
// holds no batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "engine/engine.h"
#include "frontends/resp/reply.h"
#include "frontends/resp/throttle.h"
#include "net/session.h"

namespace weir::resp {

// Who asked; told on the connection's loop.
class BatchOwner {
 public:
  virtual void OnCompleted() = 0;

 protected:
  ~BatchOwner() = default;
};

enum class CallForm : std::uint8_t { kDecision, kStatus, kFeedback };

// Used on one loop's thread, but for Done(). Built with the Add functions, then Submit() once, then Render().
class Batch final : public storage::Completion, public std::enable_shared_from_this<Batch> {
 public:
  static std::shared_ptr<Batch> Acquire();
  // The batch must be complete or never submitted.
  static void Release(std::shared_ptr<Batch> batch);

  // Room for another command of any kind.
  bool HasRoom() const;
  bool empty() const { return replies_.empty(); }

  // A reply that is known already: what is written to this string until the next Add.
  std::string& AddText();
  void AddThrottle(ThrottleForm form, const ThrottleAsk& ask, std::string_view key);
  // A fresh call; `headers` and `attributes`: how many of the last ones in headers() and attributes() are its own.
  engine::Call& AddCall(engine::CallKind kind, CallForm form, Protocol protocol);
  void BindPairs(std::size_t first_header, std::size_t first_attribute);
  void TraceCall();

  Arena& arena() { return arena_; }
  std::vector<Attribute>& headers() { return headers_; }
  std::vector<Attribute>& attributes() { return attributes_; }

  // Asks the engine everything, in order. True: complete. False: owner->OnCompleted() follows on the connection's loop,
  // unless the connection ends first.
  bool Submit(engine::Engine& engine, net::Connection& connection, BatchOwner* owner);
  // The owner is gone: nobody will be told, and what was not asked yet is dropped.
  void Disown() { owner_ = nullptr; }
  void Render(std::string* out) const;

  void Done() noexcept override;

 private:
  enum class Kind : std::uint8_t { kText, kThrottle, kCall };
  struct Reply {
    Kind kind;
    ThrottleForm throttle_form;
    CallForm call_form;
    Protocol protocol;
    std::uint32_t begin;  // in text_; or index of the call
    std::int64_t limit;   // throttle: to report; text: end in text_, once something follows it
  };
  struct Pairs {
    std::uint32_t first_header = 0, headers = 0, first_attribute = 0, attributes = 0;
  };

  // A call that is as new, for a question that follows what was written so far.
  engine::Call& NextCall();
  void Clear();

  Arena arena_;
  std::string text_;
  std::vector<Reply> replies_;
  // Reused: so many of them are in use.
  std::vector<engine::Call> calls_;
  std::size_t call_count_ = 0;
  std::vector<Pairs> pairs_;                // beside the calls
  std::deque<algorithms::Limit> limits_;  // of throttles; they stay where they are. Reused: so many are in use
  std::size_t limit_count_ = 0;
  std::size_t weight_ = 0;  // of all calls
  std::vector<Attribute> headers_, attributes_;
  std::deque<std::vector<ExplainStep>> traces_;

  BatchOwner* owner_ = nullptr;
  std::shared_ptr<net::Connection> connection_;
  std::shared_ptr<Batch> self_;  // while the engine holds it
};

}  // namespace weir::resp
