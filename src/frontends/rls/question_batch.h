// The unary calls that one read brought for one service, asked together. Keeps alive what the calls point to until they
// are answered, also when the connection has gone meanwhile.
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

class QuestionBatch;

// Told on the connection's loop that a batch which did not complete inline has its answers.
class BatchOwner {
 public:
  virtual void OnAnswered(QuestionBatch& batch) = 0;

 protected:
  ~BatchOwner() = default;
};

// Pooled per thread; lives on one loop, but for Done().
class QuestionBatch final : public storage::Completion, public std::enable_shared_from_this<QuestionBatch> {
 public:
  // Of the call with the same position in calls().
  struct Origin {
    std::int32_t stream = 0;
    std::uint32_t method = 0;  // CallCounters' index
    Nanos deadline = 0;        // 0: none
  };

  static std::shared_ptr<QuestionBatch> Acquire();
  // Once it is answered, or was never asked.
  static void Release(std::shared_ptr<QuestionBatch> batch);

  // `buffer` is exchanged for an empty one; the message is what follows its first `prefix` bytes.
  void Add(const Origin& origin, std::uint32_t method, std::string& buffer, std::size_t prefix);
  // True: answered. False: the owner is told OnAnswered later, unless it disowned the batch.
  bool Ask(Service& service, net::Connection& connection, BatchOwner* owner);
  void Disown() { owner_ = nullptr; }

  std::size_t size() const { return origins_.size(); }
  const Origin& origin(std::size_t i) const { return origins_[i]; }
  UnaryCall& call(std::size_t i) { return calls_[i]; }
  // Of all messages.
  std::size_t bytes() const { return bytes_; }

  void Done() noexcept override;

 private:
  void Clear();

  std::vector<Origin> origins_;
  // These two are reused: the first origins_.size() of them are in use.
  std::vector<UnaryCall> calls_;
  std::vector<std::string> buffers_;
  std::vector<std::size_t> prefixes_;
  std::size_t bytes_ = 0;
  std::string peer_;
  BatchOwner* owner_ = nullptr;
  std::shared_ptr<net::Connection> connection_;
  std::shared_ptr<QuestionBatch> self_;  // while the service holds it
};

}  // namespace weir::rls
