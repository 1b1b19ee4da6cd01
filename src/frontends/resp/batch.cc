#include "frontends/resp/batch.h"

#include <algorithm>
#include <utility>

#include "frontends/resp/check.h"

namespace weir::resp {
namespace {

// Bounds of one batch; what is beyond them is asked in the next. A throttle takes about 200 bytes, a call about 1,500.
constexpr std::size_t kMostThrottles = 256;
constexpr std::size_t kMostCalls = 64;
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
  runs_.clear();
  throttle_count_ = 0;
  pairs_.clear();
  call_count_ = 0;
  headers_.clear();
  attributes_.clear();
  traces_.clear();
  next_run_ = 0;
  owner_ = nullptr;
  connection_.reset();
}

bool Batch::HasRoom() const {
  return throttle_count_ < kMostThrottles && call_count_ < kMostCalls && replies_.size() < kMostReplies &&
         text_.size() < kMostText;
}

std::string& Batch::AddText() {
  if (replies_.empty() || replies_.back().kind != Kind::kText) {
    replies_.push_back({Kind::kText, {}, {}, Protocol::kResp2, static_cast<std::uint32_t>(text_.size()), 0});
  }
  return text_;
}

void Batch::AddThrottle(ThrottleForm form, const ThrottleAsk& ask, std::string_view key) {
  AddRun(Kind::kThrottle, throttle_count_);
  replies_.push_back(
      {Kind::kThrottle, form, {}, Protocol::kResp2, static_cast<std::uint32_t>(throttle_count_), ask.reported_limit});
  if (throttle_count_ == throttles_.size()) throttles_.emplace_back();
  engine::Throttle& throttle = throttles_[throttle_count_++];
  throttle.key = arena_.Copy(key);
  throttle.limit = *ask.limit;
  throttle.op = ask.op;
  throttle.cost = ask.cost;
  throttle.status = storage::PlanStatus::kOk;
}

engine::Call& Batch::AddCall(engine::CallKind kind, CallForm form, Protocol protocol) {
  AddRun(Kind::kCall, call_count_);
  replies_.push_back({Kind::kCall, {}, form, protocol, static_cast<std::uint32_t>(call_count_), 0});
  if (call_count_ == calls_.size()) calls_.emplace_back();
  pairs_.emplace_back();
  engine::Call& call = calls_[call_count_++];
  call.kind = kind;
  call.request = {};
  call.reservation = call.actual_cost = 0;
  call.life = 0;
  call.partial = false;
  call.trace = nullptr;
  call.status = {};
  call.decision.allowed = true;
  call.decision.reason = Reason::kNoLimit;
  call.decision.deciding = -1;
  call.decision.reservation = 0;
  call.decision.rule_count = 0;
  call.decision.spilled_rules.clear();
  return call;
}

void Batch::BindPairs(std::size_t first_header, std::size_t first_attribute) {
  pairs_.back() = {static_cast<std::uint32_t>(first_header), static_cast<std::uint32_t>(headers_.size() - first_header),
                   static_cast<std::uint32_t>(first_attribute),
                   static_cast<std::uint32_t>(attributes_.size() - first_attribute)};
}

void Batch::TraceCall() { calls_[call_count_ - 1].trace = &traces_.emplace_back(); }

void Batch::AddRun(Kind kind, std::size_t index) {
  if (!replies_.empty() && replies_.back().kind == Kind::kText) {
    replies_.back().limit = static_cast<std::int64_t>(text_.size());
  }
  if (runs_.empty() || runs_.back().kind != kind) {
    runs_.push_back({kind, static_cast<std::uint32_t>(index), 0});
  }
  ++runs_.back().count;
}

bool Batch::Submit(engine::Engine& engine, net::Connection& connection, BatchOwner* owner) {
  if (runs_.empty()) return true;
  for (std::size_t i = 0; i < call_count_; ++i) {
    calls_[i].request.headers = {headers_.data() + pairs_[i].first_header, pairs_[i].headers};
    calls_[i].request.attributes = {attributes_.data() + pairs_[i].first_attribute, pairs_[i].attributes};
  }
  engine_ = &engine;
  owner_ = owner;
  connection_ = connection.Share();
  return SubmitRest();
}

bool Batch::SubmitRest() {
  while (next_run_ < runs_.size()) {
    const Run run = runs_[next_run_++];
    self_ = shared_from_this();
    const bool complete = run.kind == Kind::kThrottle
                              ? engine_->Submit(std::span(throttles_).subspan(run.begin, run.count), this)
                              : engine_->Submit(std::span(calls_).subspan(run.begin, run.count), this);
    // Not complete: Done() may be at work on another thread already.
    if (!complete) return false;
    self_.reset();
  }
  connection_.reset();
  return true;
}

void Batch::Done() noexcept {
  std::shared_ptr<Batch> self = std::move(self_);
  // A copy: the loop owns the batch as soon as it is posted.
  const std::shared_ptr<net::Connection> connection = connection_;
  connection->Post([self = std::move(self)] {
    if (self->owner_ != nullptr && self->SubmitRest()) self->owner_->OnCompleted();
  });
}

void Batch::Render(std::string* out) const {
  for (std::size_t i = 0; i < replies_.size(); ++i) {
    const Reply& reply = replies_[i];
    switch (reply.kind) {
      case Kind::kThrottle:
        AppendThrottleReply(throttles_[reply.begin], reply.throttle_form, reply.limit, out);
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
