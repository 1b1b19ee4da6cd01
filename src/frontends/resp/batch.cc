#include "frontends/resp/batch.h"

#include <algorithm>
#include <utility>

#include "engine/decide/decide.h"
#include "frontends/resp/check.h"

namespace weir::resp {
namespace {

// Bounds of one batch; what is beyond them is asked in the next: 256 throttles, or 64 calls that consult rules.
constexpr std::size_t kMostWeight = 256;
constexpr std::size_t kThrottleWeight = 1;
constexpr std::size_t kCallWeight = 4;
constexpr std::size_t kMostReplies = 1'024;
constexpr std::size_t kMostText = 64 << 10;
// A pooled batch keeps no more text room than this.
constexpr std::size_t kKeptText = 64 << 10;
// One is enough for a store that completes inline.
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
  text_.clear();
  if (text_.capacity() > kKeptText) std::string().swap(text_);
  replies_.clear();
  pairs_.clear();
  call_count_ = limit_count_ = weight_ = 0;
  headers_.clear();
  attributes_.clear();
  traces_.clear();
  owner_ = nullptr;
  connection_.reset();
}

bool Batch::HasRoom() const {
  return weight_ < kMostWeight && replies_.size() < kMostReplies && text_.size() < kMostText;
}

std::string& Batch::AddText() {
  if (replies_.empty() || replies_.back().kind != Kind::kText) {
    replies_.push_back({Kind::kText, {}, {}, Protocol::kResp2, static_cast<std::uint32_t>(text_.size()), 0});
  }
  return text_;
}

void Batch::AddThrottle(ThrottleForm form, const ThrottleAsk& ask, std::string_view key) {
  engine::Call& call = NextCall();
  replies_.push_back(
      {Kind::kThrottle, form, {}, Protocol::kResp2, static_cast<std::uint32_t>(call_count_ - 1), ask.reported_limit});
  weight_ += kThrottleWeight;
  if (limit_count_ == 0 || !ask.same_limit) {
    if (limit_count_ == limits_.size()) limits_.emplace_back();
    limits_[limit_count_++] = *ask.limit;
  }
  call.kind = ask.kind;
  call.throttle = true;
  call.throttle_key = arena_.Copy(key);
  call.client_limit = &limits_[limit_count_ - 1];
  call.request.cost = ask.cost;
}

engine::Call& Batch::AddCall(engine::CallKind kind, CallForm form, Protocol protocol) {
  engine::Call& call = NextCall();
  replies_.push_back({Kind::kCall, {}, form, protocol, static_cast<std::uint32_t>(call_count_ - 1), 0});
  weight_ += kCallWeight;
  call.kind = kind;
  return call;
}

engine::Call& Batch::NextCall() {
  if (!replies_.empty() && replies_.back().kind == Kind::kText) {
    replies_.back().limit = static_cast<std::int64_t>(text_.size());
  }
  if (call_count_ == calls_.size()) calls_.emplace_back();
  pairs_.emplace_back();
  engine::Call& call = calls_[call_count_++];
  call.request = {};
  call.throttle = false;
  call.throttle_key = {};
  call.client_limit = nullptr;
  call.reservation = call.actual_cost = 0;
  call.life = 0;
  call.partial = false;
  call.trace = nullptr;
  call.status = {};
  engine::ClearDecision(call.decision);
  return call;
}

void Batch::BindPairs(std::size_t first_header, std::size_t first_attribute) {
  pairs_.back() = {static_cast<std::uint32_t>(first_header), static_cast<std::uint32_t>(headers_.size() - first_header),
                   static_cast<std::uint32_t>(first_attribute),
                   static_cast<std::uint32_t>(attributes_.size() - first_attribute)};
}

void Batch::TraceCall() { calls_[call_count_ - 1].trace = &traces_.emplace_back(); }

bool Batch::Submit(engine::Engine& engine, net::Connection& connection, BatchOwner* owner) {
  if (call_count_ == 0) return true;
  for (std::size_t i = 0; i < call_count_; ++i) {
    calls_[i].request.headers = {headers_.data() + pairs_[i].first_header, pairs_[i].headers};
    calls_[i].request.attributes = {attributes_.data() + pairs_[i].first_attribute, pairs_[i].attributes};
  }
  owner_ = owner;
  connection_ = connection.Share();
  self_ = shared_from_this();
  // Not complete: Done() may be at work on another thread already.
  if (!engine.Submit(std::span(calls_).first(call_count_), this)) return false;
  self_.reset();
  connection_.reset();
  return true;
}

void Batch::Done() noexcept {
  std::shared_ptr<Batch> self = std::move(self_);
  // A copy: the loop owns the batch as soon as it is posted.
  const std::shared_ptr<net::Connection> connection = connection_;
  connection->Post([self = std::move(self)] {
    if (self->owner_ != nullptr) self->owner_->OnCompleted();
  });
}

void Batch::Render(std::string* out) const {
  for (std::size_t i = 0; i < replies_.size(); ++i) {
    const Reply& reply = replies_[i];
    switch (reply.kind) {
      case Kind::kThrottle:
        AppendThrottleReply(calls_[reply.begin], reply.throttle_form, reply.limit, out);
        break;
      case Kind::kCall: {
        ReplyWriter writer(*out, reply.protocol);
        const engine::Call& call = calls_[reply.begin];
        if (reply.call_form == CallForm::kDecision) {
          AppendDecision(call.decision, call.trace, writer);
        } else if (reply.call_form == CallForm::kFeedback && call.status) {
          writer.Integer(call.rules_updated);
        } else if (reply.call_form == CallForm::kExtended && call.status) {
          writer.Integer(static_cast<std::int64_t>(std::min<std::uint64_t>(call.granted, INT64_MAX)));
        } else {
          AppendStatus(call.status, writer);
        }
        break;
      }
      case Kind::kText: {
        const bool last = i + 1 == replies_.size();
        const std::size_t end = last ? text_.size() : static_cast<std::size_t>(reply.limit);
        out->append(text_, reply.begin, end - reply.begin);
        break;
      }
    }
  }
}

}  // namespace weir::resp
