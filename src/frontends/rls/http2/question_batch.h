// Unary calls that were read together and are asked together: for one service, and of all the connections of one loop
// whose input was read at a time (net::Session::OnAsk). Keeps alive what the calls point to until they are answered,
// also when a connection has gone meanwhile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "frontends/rls/http2/service.h"
#include "net/session.h"

namespace weir::rls {

class BatchOwner;

// Lives on one loop's thread, but for Done(), and for its end where nobody waits any more.
class QuestionBatch final : public storage::Completion, public std::enable_shared_from_this<QuestionBatch> {
 public:
  // Enough to keep the caches warm, and little enough that no caller waits long for what others ask: a message of some
  // bytes may ask for a hundred descriptors. One message alone may be larger.
  static constexpr std::size_t kMostCalls = 64, kMostBytes = 4 << 10;

  // Where the call came from.
  struct Origin {
    std::int32_t stream = 0;
    std::uint32_t method = 0;  // CallCounters' index
    Nanos deadline = 0;        // 0: none
  };
  // The calls [first, end) are of one connection.
  struct Segment {
    BatchOwner* owner = nullptr;  // nullptr: it has gone
    std::shared_ptr<net::Connection> connection;
    std::string peer;
    std::size_t first = 0, end = 0;
    std::size_t bytes = 0;  // of its messages
  };

  // Where this thread gathers a call for `service` with a message of `bytes`, until AskGathered(). The service outlives
  // the owners of the calls in it. Has room for one call.
  static QuestionBatch& Gathered(Service& service, std::size_t bytes);
  // Asks all that this thread has gathered, and tells the owners. Those whose answers come later are told then, in a
  // task of their connection's; a connection that has gone is told nothing. What a service or an owner throws is
  // caught.
  static void AskGathered();

  // `buffer` and `request_id` are exchanged for empty ones; the message is what follows the buffer's first `prefix`
  // bytes. True: a segment begins with it, of which the owner will be told. When it throws it has done nothing.
  bool Add(BatchOwner& owner, net::Connection& connection, const Origin& origin, std::uint32_t method,
           std::string& buffer, std::size_t prefix, std::string& request_id);
  // The owner ends: it is told nothing.
  void Disown(const BatchOwner& owner);

  const Origin& origin(std::size_t i) const { return origins_[i]; }
  UnaryCall& call(std::size_t i) { return calls_[i]; }

  void Done() noexcept override;

  // Forgets everything but some memory.
  void Clear();

 private:
  bool HasRoomFor(std::size_t bytes) const {
    return size_ == 0 || (size_ < kMostCalls && bytes_ + bytes <= kMostBytes);
  }
  bool IsOwned() const;
  bool Ask(Service& service);
  void TellLater(std::size_t segment);

  std::size_t size_ = 0, segment_count_ = 0;  // so many of those below are in use
  std::size_t bytes_ = 0;                     // of all messages
  std::size_t told_ = 0;                      // parts whose tasks have run
  std::array<Origin, kMostCalls> origins_;
  std::array<UnaryCall, kMostCalls> calls_;
  std::array<std::string, kMostCalls> buffers_;
  std::array<std::string, kMostCalls> request_ids_;
  std::array<std::size_t, kMostCalls> prefixes_;
  std::array<Segment, kMostCalls> segments_;
  std::shared_ptr<QuestionBatch> self_;  // while the service holds it
};

// Told on the connection's loop that its segment of a batch has its answers: within AskGathered(), or later by itself.
class BatchOwner {
 public:
  virtual void OnAnswered(QuestionBatch& batch, const QuestionBatch::Segment& segment) = 0;
  virtual void OnAnsweredLater(QuestionBatch& batch, const QuestionBatch::Segment& segment) = 0;
  // OnAnswered() threw, perhaps on another connection's turn: nothing more can be said on this one.
  virtual void OnBroken() noexcept = 0;

 protected:
  ~BatchOwner() = default;
};

}  // namespace weir::rls
