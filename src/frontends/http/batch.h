// The questions of one read, asked of the engine at once, and what to answer to each.
//
// Texts are copied into the batch, because a remote store answers when the input is long gone, and because JSON is read
// in place. A batch that completes inline is reused by the next session of the thread, so the usual request allocates
// nothing and an idle connection holds none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/arena.h"
#include "engine/engine.h"
#include "frontends/http/check_body.h"
#include "net/session.h"

namespace weir::http {

class Batch;

// Who asked.
class BatchOwner {
 public:
  // On the connection's loop, when a batch that did not complete inline has completed.
  virtual void OnCompleted() = 0;

 protected:
  ~BatchOwner() = default;
};

enum class AnswerForm : std::uint8_t {
  kDecision,  // 200 or 429, with headers
  kPeek,      // always 200
  kBatch,     // always 200, one object per call
  kAuth,      // forward auth
  kSettled,   // commit, cancel, refund, reset: done or why not
  kExtended,  // extend: how much was added; 429 when nothing was
  kFeedback,  // feedback: how many rules were told, or why none could be
};

// The answer to one HTTP request: which calls it asked and how to write it.
struct Pending {
  AnswerForm form = AnswerForm::kDecision;
  bool close = false;  // after this answer
  int minor_version = 1;
  int deny_status = 429;  // kAuth
  bool head_only = false;
  std::string_view done;  // kSettled: "committed"; static
  std::size_t first_call = 0;
  std::size_t call_count = 0;
};

// Used on one loop's thread, but for Done().
class Batch final : public storage::Completion, public std::enable_shared_from_this<Batch> {
 public:
  // From the thread's pool, empty.
  static std::shared_ptr<Batch> Acquire();
  // Back into it. The batch must be complete.
  static void Release(std::shared_ptr<Batch> batch);

  Arena& arena() { return arena_; }
  std::vector<Attribute>& pairs() { return pairs_; }
  std::vector<ParsedRequest>& scratch() { return scratch_; }
  // A copy of `text` that may be changed, with a '\0' behind it.
  char* CopyText(std::string_view text);

  bool empty() const { return pending_.empty(); }
  std::size_t call_count() const { return call_count_; }
  // The next call, as new. Valid until the next AddCall.
  engine::Call& AddCall(engine::CallKind kind);
  // The next call, to ask about `parsed`, whose ranges are ranges of pairs().
  engine::Call& AddCall(engine::CallKind kind, const ParsedRequest& parsed);
  void AddPending(const Pending& pending) { pending_.push_back(pending); }
  // The last answer says that the connection closes.
  void CloseAfterLast() { pending_.back().close = true; }

  // Asks. True: complete. False: `owner` is told later, unless it forgot the batch (Orphan) or the connection is gone.
  bool Submit(engine::Engine& engine, net::Connection& connection, BatchOwner* owner);
  void Orphan() { owner_ = nullptr; }

  const std::vector<Pending>& pending() const { return pending_; }
  const engine::Call& call(std::size_t index) const { return calls_[index]; }
  const AnswerOptions& options(std::size_t index) const { return extras_[index].options; }

  void Done() noexcept override;

 private:
  // What belongs to a call and is not the engine's.
  struct Extra {
    PairRange headers, attributes;
    AnswerOptions options;
  };
  void Clear();

  Arena arena_;
  std::vector<Attribute> pairs_;
  std::vector<ParsedRequest> scratch_;
  std::vector<engine::Call> calls_;  // only the first call_count_ are in use: constructing them is not free
  std::vector<Extra> extras_;
  std::size_t call_count_ = 0;
  std::vector<Pending> pending_;
  std::deque<std::vector<ExplainStep>> traces_;

  // In flight.
  BatchOwner* owner_ = nullptr;                  // read and written on the loop only
  std::shared_ptr<net::Connection> connection_;  // to post to
  std::shared_ptr<Batch> self_;                  // keeps the calls alive until Done
};

}  // namespace weir::http
