#include "frontends/rls/question_batch.h"

#include <utility>

namespace weir::rls {
namespace {

// One is enough for a store that completes inline.
constexpr std::size_t kPooled = 4;
// Strings that grew beyond this, and calls beyond that many, are not kept.
constexpr std::size_t kKeptBytes = 4 << 10;
constexpr std::size_t kKeptCalls = 256;

std::vector<std::shared_ptr<QuestionBatch>>& Pool() {
  thread_local std::vector<std::shared_ptr<QuestionBatch>> pool;
  return pool;
}

void Empty(std::string& text) {
  text.clear();
  // To assign an empty string frees nothing.
  if (text.capacity() > kKeptBytes) text.shrink_to_fit();
}

}  // namespace

std::shared_ptr<QuestionBatch> QuestionBatch::Acquire() {
  auto& pool = Pool();
  if (pool.empty()) return std::make_shared<QuestionBatch>();
  std::shared_ptr<QuestionBatch> batch = std::move(pool.back());
  pool.pop_back();
  return batch;
}

void QuestionBatch::Release(std::shared_ptr<QuestionBatch> batch) {
  batch->Clear();
  auto& pool = Pool();
  if (pool.size() < kPooled) pool.push_back(std::move(batch));
}

void QuestionBatch::Clear() {
  if (calls_.size() > kKeptCalls) {
    calls_.resize(kKeptCalls);
    buffers_.resize(kKeptCalls);
  }
  for (std::size_t i = 0; i < calls_.size() && i < origins_.size(); ++i) {
    Empty(calls_[i].response);
    Empty(buffers_[i]);
  }
  origins_.clear();
  prefixes_.clear();
  bytes_ = 0;
  owner_ = nullptr;
  connection_.reset();
}

void QuestionBatch::Add(const Origin& origin, std::uint32_t method, std::string& buffer, std::size_t prefix) {
  const std::size_t i = origins_.size();
  if (i == calls_.size()) {
    calls_.emplace_back();
    buffers_.emplace_back();
  }
  origins_.push_back(origin);
  prefixes_.push_back(prefix);
  buffers_[i].swap(buffer);
  bytes_ += buffers_[i].size();
  calls_[i].method = method;
  calls_[i].status.code = Code::kOk;
  calls_[i].status.message.clear();
}

bool QuestionBatch::Ask(Service& service, net::Connection& connection, BatchOwner* owner) {
  // The connection can go before the answer comes.
  peer_.assign(connection.peer_address());
  for (std::size_t i = 0; i < origins_.size(); ++i) {
    calls_[i].request = std::string_view(buffers_[i]).substr(prefixes_[i]);
    calls_[i].peer = peer_;
  }
  owner_ = owner;
  connection_ = connection.Share();
  self_ = shared_from_this();
  // Not complete: Done() may be at work on another thread already.
  if (!service.Answer(std::span(calls_).first(origins_.size()), this)) return false;
  self_.reset();
  connection_.reset();
  return true;
}

void QuestionBatch::Done() noexcept {
  std::shared_ptr<QuestionBatch> self = std::move(self_);
  // A copy: the loop owns the batch as soon as it is posted.
  const std::shared_ptr<net::Connection> connection = connection_;
  connection->Post([self = std::move(self)] {
    if (self->owner_ != nullptr) self->owner_->OnAnswered(*self);
  });
}

}  // namespace weir::rls
