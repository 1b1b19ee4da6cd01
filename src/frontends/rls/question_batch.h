// The unary calls that were read together for one service, asked together: those of the connections of one loop whose
// input was read at a time (net::Session::OnAsk). Keeps alive what the calls point to until they are answered, also
// when a connection has gone meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "frontends/rls/service.h"
#include "net/session.h"

namespace weir::rls {

class BatchOwner;

// Lives on one loop's thread, but for Done(). Those that were answered within AskGathered() are used again.
class QuestionBatch final : public storage::Completion, public std::enable_shared_from_this<QuestionBatch> {
 public:
  // Of the call with the same position in calls().
  struct Origin {
    std::int32_t stream = 0;
    std::uint32_t method = 0;  // CallCounters' index
    Nanos deadline = 0;        // 0: none
  };
  // The calls [first, end) are of one connection.
  struct Part {
    BatchOwner* owner = nullptr;  // nullptr: it has gone
    std::shared_ptr<net::Connection> connection;
    std::string peer;
    std::size_t first = 0, end = 0;
    std::size_t bytes = 0;  // of its messages
  };

  // Where this thread gathers a call for `service`, until AskGathered(): another batch once one is full. The service
  // outlives the owners of the calls in it.
  static QuestionBatch& Gathered(Service& service);
  // Asks all that this thread has gathered, and tells the owners. Those whose answers come later are told then, in a
  // task of their connection's; a connection that has gone is told nothing.
  static void AskGathered();

  // `buffer` is exchanged for an empty one; the message is what follows its first `prefix` bytes. True: a part begins
  // with it, of which the owner will be told.
  bool Add(BatchOwner& owner, net::Connection& connection, const Origin& origin, std::uint32_t method,
           std::string& buffer, std::size_t prefix);
  // The owner ends: it is told nothing.
  void Disown(const BatchOwner& owner);

  const Origin& origin(std::size_t i) const { return origins_[i]; }
  UnaryCall& call(std::size_t i) { return calls_[i]; }

  void Done() noexcept override;

  // Forgets everything but some memory.
  void Clear();

 private:
  bool IsOwned() const;
  bool Ask(Service& service);

  std::vector<Origin> origins_;
  // These are reused: the first origins_.size() of them are in use, and part_count_ of the parts.
  std::vector<UnaryCall> calls_;
  std::vector<std::string> buffers_;
  std::vector<std::size_t> prefixes_;
  std::vector<Part> parts_;
  std::size_t part_count_ = 0;
  std::shared_ptr<QuestionBatch> self_;  // while the service holds it
};

// Told on the connection's loop that its part of a batch has its answers: within AskGathered(), or later by itself.
class BatchOwner {
 public:
  virtual void OnAnswered(QuestionBatch& batch, const QuestionBatch::Part& part) = 0;
  virtual void OnAnsweredLater(QuestionBatch& batch, const QuestionBatch::Part& part) = 0;

 protected:
  ~BatchOwner() = default;
};

}  // namespace weir::rls
