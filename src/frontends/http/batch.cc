#include "frontends/http/batch.h"

#include <cstring>
#include <utility>

#include "engine/decide/decide.h"

namespace weir::http {
namespace {

// More free batches than this are not kept; one is enough for a store that completes inline.
constexpr std::size_t kPooled = 4;

std::vector<std::shared_ptr<Batch>>& Pool() {
  thread_local std::vector<std::shared_ptr<Batch>> pool;
  return pool;
}

}  // namespace

std::shared_ptr<Batch> Batch::Acquire() {
  auto& pool = Pool();
  if (pool.empty()) return std::make_shared<Batch>();
  std::shared_ptr<Batch> batch = std::move(pool.back());
  pool.pop_back();
  return batch;
}

void Batch::Release(std::shared_ptr<Batch> batch) {
  batch->Clear();
  auto& pool = Pool();
  if (pool.size() < kPooled) pool.push_back(std::move(batch));
}

void Batch::Clear() {
  arena_.Clear();
  pairs_.clear();
  scratch_.clear();
  call_count_ = 0;
  pending_.clear();
  traces_.clear();
  owner_ = nullptr;
  connection_.reset();
}

char* Batch::CopyText(std::string_view text) {
  char* const copy = arena_.Take(text.size() + 1);
  if (!text.empty()) std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  return copy;
}

engine::Call& Batch::AddCall(engine::CallKind kind) {
  if (call_count_ == calls_.size()) {
    calls_.emplace_back();
    extras_.emplace_back();
  }
  engine::Call& call = calls_[call_count_];
  extras_[call_count_++] = {};
  call.kind = kind;
  call.request = {};
  call.reservation = call.actual_cost = 0;
  call.life = 0;
  call.partial = false;
  call.trace = nullptr;
  call.status = {};
  engine::ClearDecision(call.decision);
  return call;
}

engine::Call& Batch::AddCall(engine::CallKind kind, const ParsedRequest& parsed) {
  engine::Call& call = AddCall(kind);
  call.request = parsed.request;
  extras_[call_count_ - 1] = {parsed.headers, parsed.attributes, parsed.answer};
  if (parsed.answer.explain) call.trace = &traces_.emplace_back();
  return call;
}

bool Batch::Submit(engine::Engine& engine, net::Connection& connection, BatchOwner* owner) {
  for (std::size_t i = 0; i < call_count_; ++i) {
    const Extra& extra = extras_[i];
    if (extra.headers.count > 0) calls_[i].request.headers = {pairs_.data() + extra.headers.begin, extra.headers.count};
    if (extra.attributes.count > 0) {
      calls_[i].request.attributes = {pairs_.data() + extra.attributes.begin, extra.attributes.count};
    }
  }
  if (call_count_ == 0) return true;
  owner_ = owner;
  connection_ = connection.Share();
  self_ = shared_from_this();
  if (!engine.Submit({calls_.data(), call_count_}, this)) return false;
  self_.reset();
  connection_.reset();
  return true;
}

void Batch::Done() noexcept {
  std::shared_ptr<Batch> self = std::move(self_);
  // Posting is the last use of the batch here: from then on the loop owns it.
  const std::shared_ptr<net::Connection> connection = std::move(connection_);
  connection->Post([self = std::move(self)] {
    if (self->owner_ != nullptr) std::exchange(self->owner_, nullptr)->OnCompleted();
  });
}

}  // namespace weir::http
