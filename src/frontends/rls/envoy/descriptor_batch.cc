#include "frontends/rls/envoy/descriptor_batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "engine/batch/reservations.h"

namespace weir::rls {
namespace {

using engine::Call;
using engine::CallKind;
using engine::Join;

// Of the engine, asked together. There may be more; they are asked one such number after the other.
constexpr std::size_t kMostCalls = 256;
// Of all messages asked together, but for the last: a commit's descriptors are read and bring no calls.
constexpr std::size_t kMostRoom = 4096;
// More free batches than this are not kept; one is enough for a store that completes inline.
constexpr std::size_t kPooled = 2;

std::vector<std::unique_ptr<DescriptorBatch>>& Pool() {
  thread_local std::vector<std::unique_ptr<DescriptorBatch>> pool;
  return pool;
}

RequestKind KindOf(Form form) {
  switch (form) {
    case Form::kReserve:
      return RequestKind::kReserve;
    case Form::kCommit:
    case Form::kLateCommit:
      return RequestKind::kCommit;
    default:
      return RequestKind::kRateLimit;
  }
}

CallKind CallKindOf(Form form) {
  switch (form) {
    case Form::kCheckRateLimit:
      return CallKind::kPeek;
    case Form::kReserve:
      return CallKind::kReserve;
    case Form::kReport:
    case Form::kLateCommit:
      return CallKind::kCharge;
    case Form::kCommit:
      return CallKind::kCommit;
    case Form::kShouldRateLimit:
    case Form::kGiveBack:  // asked as a refund: AskGiveBack()
      break;
  }
  return CallKind::kCheck;
}

// What a descriptor costs.
std::uint64_t CostOf(Form form, const RequestMessage& request, const DescriptorMessage& descriptor) {
  if (form == Form::kReserve || form == Form::kLateCommit) return request.amount;
  return descriptor.hits_addend.value_or(std::max<std::uint64_t>(request.hits_addend, 1));
}

// Windows of the unit, laid end to end from 1970 on: what the reference server counts in.
algorithms::Limit LimitOf(const OverrideMessage& written, bool count_denied) {
  constexpr std::uint64_t kMostSeconds = 10ULL * 365 * 86'400;
  const std::uint64_t seconds = SecondsOf(static_cast<Unit>(written.unit)) * written.unit_multiplier;
  algorithms::Limit limit;
  limit.kind = algorithms::Kind::kFixedWindow;
  limit.calendar = algorithms::Calendar::kEpoch;
  limit.capacity = written.requests_per_unit;
  limit.window = static_cast<Nanos>(std::min(seconds, kMostSeconds)) * kSecond;
  limit.count_denied = count_denied;
  return algorithms::Sanitize(limit);
}

}  // namespace

bool DescriptorBatch::Run(DescriptorCore& core, std::span<UnaryCall> calls, storage::Completion* done) {
  auto& pool = Pool();
  std::unique_ptr<DescriptorBatch> taken;
  if (pool.empty()) {
    taken = std::make_unique<DescriptorBatch>();
  } else {
    taken = std::move(pool.back());
    pool.pop_back();
  }
  DescriptorBatch* const batch = taken.release();
  if (batch->settings_of_ != core.id() || batch->settings_->version != core.engine().version()) {
    batch->settings_ = core.CurrentSettings();
    batch->settings_of_ = core.id();
  }
  batch->core_ = &core;
  batch->unary_ = calls;
  batch->done_ = done;
  batch->next_ = 0;
  batch->counts_ = {};
  if (!batch->Go()) return false;
  batch->Release();
  return true;
}

void DescriptorBatch::Release() {
  Clear();
  late_.clear();
  // What a rare message needed is not kept.
  if (storage_.entries.capacity() > kMostRoom) storage_.entries = {};
  if (storage_.descriptors.capacity() > kMostRoom) storage_.descriptors = {};
  std::unique_ptr<DescriptorBatch> self(this);
  // On a store's thread the pool fills without being used; it is small.
  if (auto& pool = Pool(); pool.size() < kPooled) pool.push_back(std::move(self));
}

// True: all are answered. False: Done() follows on another thread; until then the batch must not be touched.
bool DescriptorBatch::Go() {
  while (next_ < unary_.size() || !late_.empty()) {
    Prepare();
    if (call_count_ > 0 && !core_->engine().Submit(std::span(calls_).first(call_count_), this)) return false;
    Answer();
  }
  counts_.ok = unary_.size() - counts_.over_limit - counts_.errors;
  core_->Count(counts_);
  return true;
}

void DescriptorBatch::Done() noexcept {
  Answer();
  if (!Go()) return;
  storage::Completion* const done = done_;
  Release();
  done->Done();
}

void DescriptorBatch::Clear() {
  storage_.entries.clear();
  storage_.descriptors.clear();
  tells_.clear();
  client_limit_.clear();
  questions_.clear();
  call_count_ = 0;
  extras_.clear();
  limits_.clear();
  now_ = 0;
}

bool DescriptorBatch::HasRoom() const {
  return call_count_ < kMostCalls && storage_.entries.size() < kMostRoom && storage_.descriptors.size() < kMostRoom;
}

void DescriptorBatch::Prepare() {
  Clear();
  while (HasRoom() && !late_.empty()) {
    const Late late = late_.back();
    late_.pop_back();
    Ask(late);
  }
  while (HasRoom() && next_ < unary_.size()) {
    UnaryCall& unary = unary_[next_++];
    Ask({.unary = &unary, .form = static_cast<Form>(unary.method)});
  }
  Bind();
}

void DescriptorBatch::Refuse(UnaryCall& unary, Code code, std::string message) {
  ++counts_.errors;
  unary.status = {code, std::move(message)};
}

void DescriptorBatch::Ask(const Late& call) {
  UnaryCall& unary = *call.unary;
  const Form form = call.form;
  Question question{.unary = &unary, .form = form, .request = {}};
  const auto request = ReadRequest(KindOf(form), unary.request, storage_);
  if (!request) return Refuse(unary, Code::kInvalidArgument, request.error().message);
  tells_.resize(storage_.descriptors.size());
  client_limit_.resize(storage_.descriptors.size(), kNone);
  // The words and the code of envoyproxy/ratelimit.
  if (request->domain.empty()) return Refuse(unary, Code::kUnknown, "rate limit domain must not be empty");
  if (request->descriptors == 0) return Refuse(unary, Code::kUnknown, "rate limit descriptor list must not be empty");
  question.request = *request;
  question.first_call = static_cast<std::uint32_t>(call_count_);
  if (form == Form::kCommit) {
    AskCommit(question);
  } else if (form == Form::kGiveBack) {
    if (!AskGiveBack(question, call)) return;
  } else if (!AskDescriptors(question)) {
    return;
  }
  question.calls = static_cast<std::uint32_t>(call_count_) - question.first_call;
  questions_.push_back(question);
}

bool DescriptorBatch::AddLimits(const Question& question) {
  const RequestMessage& request = question.request;
  for (std::uint32_t i = 0; i < request.descriptors; ++i) {
    const DescriptorMessage& descriptor = storage_.descriptors[request.first_descriptor + i];
    if (!descriptor.limit) continue;
    const std::uint32_t unit = descriptor.limit->unit;
    if (unit == 0 || unit > static_cast<std::uint32_t>(Unit::kWeek)) {
      Refuse(*question.unary, Code::kInvalidArgument,
             fmt::format("descriptors[{}].limit.unit: no unit is {}", i, unit));
      return false;
    }
    if (descriptor.limit->unit_multiplier == 0) {
      Refuse(*question.unary, Code::kInvalidArgument,
             fmt::format("descriptors[{}].limit.unit_multiplier: must be at least 1", i));
      return false;
    }
    client_limit_[request.first_descriptor + i] = static_cast<std::uint32_t>(limits_.size());
    limits_.push_back(LimitOf(*descriptor.limit, settings_->count_all));
  }
  return true;
}

// Those that count come first and are joined; what gives hits back follows, each with a look at what is left then.
bool DescriptorBatch::AskDescriptors(const Question& question) {
  if (!AddLimits(question)) return false;
  const RequestMessage& request = question.request;
  const CallKind kind = CallKindOf(question.form);
  const bool together = kind == CallKind::kReserve || (kind == CallKind::kCheck && !settings_->count_all);
  const Join join = together ? Join::kAllOrNothing : Join::kSameRequest;
  const bool gives_back = question.form != Form::kReserve && question.form != Form::kLateCommit;
  const std::uint32_t end = request.first_descriptor + request.descriptors;
  bool first = true, any_negative = false;
  for (std::uint32_t i = request.first_descriptor; i < end; ++i) {
    const DescriptorMessage& descriptor = storage_.descriptors[i];
    if (descriptor.is_negative_hits && gives_back) {
      any_negative = true;
      continue;
    }
    tells_[i] = static_cast<std::uint32_t>(call_count_);
    Call& call = AddCall(kind, question, descriptor, client_limit_[i]);
    call.request.cost = CostOf(question.form, request, descriptor);
    call.join = first ? Join::kNone : join;
    if (kind == CallKind::kReserve) call.life = request.ttl > 0 ? request.ttl : engine::Reservations::kLongestHold;
    first = false;
  }
  for (std::uint32_t i = request.first_descriptor; any_negative && i < end; ++i) {
    const DescriptorMessage& descriptor = storage_.descriptors[i];
    if (!descriptor.is_negative_hits) continue;
    if (question.form != Form::kCheckRateLimit) {
      Call& refund = AddCall(CallKind::kRefund, question, descriptor, client_limit_[i]);
      refund.request.cost = CostOf(question.form, request, descriptor);
      refund.join = first ? Join::kNone : Join::kSameRequest;
      first = false;
    }
    tells_[i] = static_cast<std::uint32_t>(call_count_);
    Call& left = AddCall(CallKind::kPeek, question, descriptor, client_limit_[i]);
    left.request.cost = 0;
    left.join = first ? Join::kNone : Join::kSameRequest;
    first = false;
  }
  return true;
}

// Not in one step with what was charged: the store's plans do not know that all quotas over is a denial. So for the
// time in between others can be denied for these hits; and as each names its charge, nobody is ever admitted for them.
bool DescriptorBatch::AskGiveBack(const Question& question, const Late& late) {
  if (!AddLimits(question)) return false;
  const RequestMessage& request = question.request;
  Join join = Join::kNone;
  for (std::uint32_t i = 0; i < request.descriptors; ++i) {
    if (!late.give_back[i]) continue;
    const DescriptorMessage& descriptor = storage_.descriptors[request.first_descriptor + i];
    Call& refund = AddCall(CallKind::kRefund, question, descriptor, client_limit_[request.first_descriptor + i]);
    refund.request.cost = CostOf(question.form, request, descriptor);
    refund.charged_at = late.charged_at;
    refund.join = std::exchange(join, Join::kSameRequest);
  }
  return true;
}

// A reservation's name holds that of the engine's reservation for each descriptor: 16 digits, zeros for none.
void DescriptorBatch::AskCommit(const Question& question) {
  std::string_view name = question.request.reservation_id;
  while (name.size() >= kReservationDigits) {
    std::uint64_t id = 0;
    const char* const end = name.data() + kReservationDigits;
    if (const auto [at, fault] = std::from_chars(name.data(), end, id, 16); fault != std::errc() || at != end) id = 0;
    name.remove_prefix(kReservationDigits);
    if (id == 0) continue;
    Call& call = AddCall(CallKind::kCommit);
    call.reservation = id;
    call.actual_cost = question.request.amount;
    if (call_count_ - question.first_call == kMostDescriptors) break;
  }
}

Call& DescriptorBatch::AddCall(CallKind kind) {
  if (call_count_ == calls_.size()) calls_.emplace_back();
  Call& call = calls_[call_count_++];
  call.kind = kind;
  call.request = {};
  call.reservation = call.actual_cost = 0;
  call.life = call.charged_at = 0;
  call.descriptor = false;
  call.join = Join::kNone;
  call.client_limit = nullptr;
  call.trace = nullptr;
  extras_.emplace_back();
  return call;
}

Call& DescriptorBatch::AddCall(CallKind kind, const Question& question, const DescriptorMessage& descriptor,
                               std::uint32_t limit) {
  Call& call = AddCall(kind);
  call.descriptor = true;
  call.request.domain = question.request.domain;
  call.request.request_id = question.unary->request_id;
  extras_.back() = {.first_entry = descriptor.first_entry, .entries = descriptor.entries, .limit = limit};
  return call;
}

void DescriptorBatch::Bind() {
  for (std::size_t i = 0; i < call_count_; ++i) {
    Call& call = calls_[i];
    if (!call.descriptor) continue;
    const Extra& extra = extras_[i];
    call.request.attributes = std::span(storage_.entries).subspan(extra.first_entry, extra.entries);
    settings_->attributes.Fill(call.request.attributes, call.request);
    if (extra.limit != kNone) call.client_limit = &limits_[extra.limit];
  }
}

}  // namespace weir::rls
