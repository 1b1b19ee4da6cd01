// The second half of a batch: from decisions to messages.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <iterator>
#include <limits>
#include <span>
#include <utility>

#include "engine/decide/decide.h"
#include "frontends/rls/envoy/descriptor_batch.h"
#include "headers/denial.h"
#include "headers/rate_limit_headers.h"

namespace weir::rls {
namespace {

constexpr std::uint32_t kUnlimited = std::numeric_limits<std::uint32_t>::max();

std::uint32_t Clamped(std::uint64_t count) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(count, std::numeric_limits<std::uint32_t>::max()));
}

Code CodeOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return Code::kInvalidArgument;
    case ErrorCode::kNotFound:
      return Code::kNotFound;
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kFailedPrecondition:
      return Code::kFailedPrecondition;
    case ErrorCode::kResourceExhausted:
      return Code::kResourceExhausted;
    case ErrorCode::kUnavailable:
      return Code::kUnavailable;
    case ErrorCode::kDeadlineExceeded:
      return Code::kDeadlineExceeded;
    case ErrorCode::kDataLoss:
    case ErrorCode::kInternal:
      break;
  }
  return Code::kInternal;
}

// What Reserve gives out where there was nothing to hold: a reservation of no amount, or of what no rule limits.
bool NamesNothingHeld(std::string_view reservation_id) {
  return !reservation_id.empty() && reservation_id.size() % kReservationDigits == 0 &&
         reservation_id.find_first_not_of('0') == std::string_view::npos;
}

// The rule that a status tells of: the deciding one, else one that only tells (shadow, quota mode).
const RuleOutcome* RuleToldOf(const Decision& decision) {
  if (const RuleOutcome* const decider = decision.decider()) return decider;
  return decision.rule_count > 0 ? decision.rules() : nullptr;
}

// Decided by a failure policy: what the rules would have said is not known.
bool WithoutStore(const Decision& decision) {
  return decision.reason == Reason::kStoreAllowed || decision.reason == Reason::kStoreDenied ||
         (decision.reason == Reason::kStoreFull && !decision.allowed);
}

bool HasQuota(const Decision& decision) {
  const std::span rules(decision.rules(), decision.rule_count);
  return std::ranges::any_of(rules, [](const RuleOutcome& rule) { return rule.quota; });
}

// Whether an enforced rule, or one in quota mode, has been charged more than its limit: what a look that costs nothing
// is told of as OVER_LIMIT.
bool Overdrawn(const Decision& decision, bool quota) {
  const std::span rules(decision.rules(), decision.rule_count);
  return std::ranges::any_of(rules, [quota](const RuleOutcome& rule) {
    return (quota ? rule.quota : !rule.shadow) && rule.outcome.used > rule.outcome.limit;
  });
}

// Whether a rule in quota mode is over, for a question that costs something or `looks` only.
bool QuotaIsOver(const Decision& decision, bool looks) {
  const std::span rules(decision.rules(), decision.rule_count);
  return std::ranges::any_of(
             rules, [](const RuleOutcome& rule) { return rule.quota && rule.outcome.verdict != Verdict::kAllowed; }) ||
         (looks && Overdrawn(decision, true));
}

// What `to` does not say yet; objects in it are merged likewise.
void MergeMissing(const boost::json::object& from, boost::json::object& to) {
  for (const auto& [name, value] : from) {
    boost::json::value* const known = to.if_contains(name);
    if (known == nullptr) {
      to.emplace(name, value);
    } else if (known->is_object() && value.is_object()) {
      MergeMissing(value.get_object(), known->get_object());
    }
  }
}

}  // namespace

void DescriptorBatch::Answer() {
  for (const Question& question : questions_) {
    if (Failed(question)) continue;
    switch (question.form) {
      case Form::kShouldRateLimit:
      case Form::kCheckRateLimit:
      case Form::kReport:
        AnswerDescriptors(question);
        break;
      case Form::kReserve:
        AnswerReserve(question);
        break;
      case Form::kCommit:
      case Form::kLateCommit:
        AnswerCommit(question);
        break;
      case Form::kGiveBack:  // answered before
        break;
    }
  }
}

bool DescriptorBatch::Failed(const Question& question) {
  if (question.form == Form::kGiveBack) return false;
  for (std::uint32_t i = question.first_call; i < question.first_call + question.calls; ++i) {
    const Result<>& status = calls_[i].status;
    if (status || (question.form == Form::kCommit && status.error().code == ErrorCode::kNotFound)) continue;
    Refuse(*question.unary, CodeOf(status.error().code), status.error().message);
    return true;
  }
  return false;
}

DescriptorStatus DescriptorBatch::StatusOf(const DescriptorMessage& descriptor, const Decision& decision) {
  DescriptorStatus status;
  status.code = decision.allowed ? rls::Answer::kOk : rls::Answer::kOverLimit;
  const RuleOutcome* const rule = RuleToldOf(decision);
  if (rule == nullptr) {
    const bool unlimited = decision.reason == Reason::kUnlimited || decision.reason == Reason::kExempt;
    if (unlimited) status.limit_remaining = kUnlimited;
    return status;
  }
  if (WithoutStore(decision)) return status;
  const Outcome& outcome = rule->outcome;
  status.has_limit = true;
  status.requests_per_unit = Clamped(outcome.limit);
  status.unit = UnitOf(rule->window_seconds);
  if (descriptor.limit && descriptor.limit->unit_multiplier != 1) status.unit = Unit::kUnknown;
  if (rule->policy != rule->rule) status.name = rule->policy;
  status.limit_remaining = Clamped(outcome.remaining);
  status.seconds_until_reset = headers::CeilSeconds(std::max(outcome.reset_after_ns, outcome.retry_after_ns));
  return status;
}

void DescriptorBatch::AnswerDescriptors(const Question& question) {
  const RequestMessage& request = question.request;
  std::string& out = question.unary->response;
  out.clear();
  out.reserve(24 + std::size_t{request.descriptors} * 48 + (settings_->response_headers ? 160 : 0));
  ResponseWriter writer(out);
  violations_.clear();
  passed_.clear();
  bool over = false;
  std::uint32_t quotas = 0;
  std::bitset<kMostDescriptors> charged;
  for (std::uint32_t i = 0; i < request.descriptors; ++i) {
    const DescriptorMessage& descriptor = storage_.descriptors[request.first_descriptor + i];
    const Decision& decision = DecisionOn(question, i);
    DescriptorStatus status = StatusOf(descriptor, decision);
    const bool looks = descriptor.hits_addend == 0;
    if (looks && status.has_limit && Overdrawn(decision, false)) status.code = rls::Answer::kOverLimit;
    if (descriptor.is_negative_hits) status.code = rls::Answer::kOk;
    over |= status.code == rls::Answer::kOverLimit;
    if (HasQuota(decision)) {
      ++quotas;
      if (QuotaIsOver(decision, looks) && !descriptor.is_negative_hits) {
        violations_.push_back(i);
        status.code = rls::Answer::kOverLimit;
      }
    } else if (!looks && !descriptor.is_negative_hits) {
      charged.set(i);
    }
    if (status.code != rls::Answer::kOverLimit) passed_.push_back(i);
    writer.AddStatus(status);
  }
  // Where all that is in quota mode is over there is nowhere to go, and the request is over as well. Then it consumes
  // nothing, as any that is denied.
  if (!over && quotas > 0 && violations_.size() == quotas) {
    over = true;
    const bool was_charged = question.form == Form::kShouldRateLimit && !settings_->count_all && charged.any();
    if (was_charged) {
      late_.push_back({.unary = question.unary,
                       .form = Form::kGiveBack,
                       .give_back = charged,
                       .charged_at = calls_[question.first_call].decided_at});
    }
  }
  // A report is never refused; its statuses tell what a question would have been told.
  over &= question.form != Form::kReport;
  if (question.form == Form::kShouldRateLimit) {
    if (const Decision* const told = ToldOf(question)) AddHeaders(*told, over, writer);
    if (settings_->dynamic_metadata) AddMetadata(question, quotas > 0, writer);
  }
  writer.Finish(over ? rls::Answer::kOverLimit : rls::Answer::kOk);
  counts_.over_limit += over ? 1U : 0U;
}

void DescriptorBatch::AddMetadata(const Question& question, bool quota_mode, ResponseWriter& writer) {
  boost::json::object merged;
  for (const std::uint32_t descriptor : passed_) {
    if (settings_->metadata.empty()) break;
    const Decision& decision = DecisionOn(question, descriptor);
    for (std::uint32_t r = 0; r < decision.rule_count; ++r) {
      const auto found = settings_->metadata.find(decision.rules()[r].rule);
      if (found == settings_->metadata.end()) continue;
      MergeMissing(found->second, merged);
      break;  // the other rules of the descriptor have the same
    }
  }
  writer.SetDynamicMetadata({.request = question.request,
                             .storage = storage_,
                             .violations = violations_,
                             .quota_mode = quota_mode,
                             .metadata = &merged});
}

const Decision* DescriptorBatch::ToldOf(const Question& question) {
  const RequestMessage& request = question.request;
  const Decision* told = nullptr;
  for (std::uint32_t i = 0; i < request.descriptors; ++i) {
    const DescriptorMessage& descriptor = storage_.descriptors[request.first_descriptor + i];
    if (descriptor.is_negative_hits) continue;
    const Decision& decision = DecisionOn(question, i);
    if (descriptor.hits_addend == 0 && Overdrawn(decision, false)) {
      Decision denied = decision;
      if (engine::DenyOverdrawn(denied) && (told == nullptr || engine::Outranks(denied, *told))) {
        overdrawn_ = std::move(denied);
        told = &overdrawn_;
      }
      continue;
    }
    if (told == nullptr || engine::Outranks(decision, *told)) told = &decision;
  }
  return told;
}

// Envoy answers the status that its filter has; what else a rule says of denials it takes from here.
void DescriptorBatch::AddHeaders(const Decision& told, bool over, ResponseWriter& writer) {
  headers_.clear();
  if (settings_->response_headers) {
    const RuleOutcome* const rule = told.decider();
    if (now_ == 0 && rule != nullptr && rule->headers.reset_as_epoch) now_ = core_->engine().clock().Wall();
    headers::AppendRateLimitHeaders(told, now_, &headers_);
  }
  headers::AppendActionHeaders(told, &headers_);
  headers::AppendDenialHeaders(told, &headers_);
  const bool has_body = over && !told.allowed && told.style() != nullptr && told.style()->denial;
  if (has_body) {
    headers_.append("Content-Type: ").append(headers::ContentTypeOf(headers::BodyOf(told))).append("\r\n");
  }
  headers::ForEachHeader(
      headers_, [&writer](std::string_view name, std::string_view value) { writer.AddResponseHeader(name, value); });
  if (!has_body) return;
  headers_.clear();
  headers::AppendDenialBody(told, headers::StatusOfDenial(told), {}, &headers_);
  writer.SetRawBody(headers_);
}

void DescriptorBatch::AnswerReserve(const Question& question) {
  bool over = false;
  std::string name;
  for (std::uint32_t i = 0; i < question.request.descriptors; ++i) {
    const Decision& decision = DecisionOn(question, i);
    over |= !decision.allowed;
    fmt::format_to(std::back_inserter(name), "{:016x}", decision.reservation);
  }
  if (over) {
    ++counts_.over_limit;
    name.clear();
  }
  question.unary->response.clear();
  AppendReserveResponse(over ? rls::Answer::kOverLimit : rls::Answer::kOk, name, question.unary->response);
}

void DescriptorBatch::AnswerCommit(const Question& question) {
  bool released = false;
  if (question.form == Form::kCommit) {
    for (std::uint32_t i = question.first_call; i < question.first_call + question.calls; ++i) {
      released |= calls_[i].status.has_value();
    }
    if (!released) return late_.push_back({.unary = question.unary});
  } else {
    released = NamesNothingHeld(question.request.reservation_id);
  }
  question.unary->response.clear();
  AppendCommitResponse(released, question.unary->response);
}

}  // namespace weir::rls
