// Calls that belong together: several descriptors of one request.
#include <algorithm>

#include "engine/batch/batch.h"
#include "engine/decide/decide.h"

namespace weir::engine {
namespace {

bool IsSettlement(const Call& call) {
  return call.kind == CallKind::kCommit || call.kind == CallKind::kCancel || call.kind == CallKind::kExtend;
}

// What a request's rules replace, by name.
using Names = absl::InlinedVector<std::string_view, 16>;

void AddReplaced(const config::Rule& rule, Names& names) {
  if (rule.descriptor == nullptr) return;
  for (const std::string& name : rule.descriptor->replaces) {
    if (name != rule.policy) names.push_back(name);
  }
}

}  // namespace

void Batch::AskJoined(std::span<Call> calls) {
  const std::size_t first = questions_.size();
  resolved_.clear();
  bool counted = false;  // the domain's own rules, for which the request is one
  for (Call& call : calls) {
    Question& question = Begin(call);
    Resolved& resolved = resolved_.emplace_back();
    if (IsSettlement(call)) {
      call.kind == CallKind::kExtend ? AskExtension(question) : AskSettlement(question);
    } else if (Resolve(call, resolved, counted)) {
      // One that is exempt or blocked counts nothing, so they go to the next.
      counted = true;
    } else {
      resolved.resolution.rules.clear();
      resolved.resolution.domain_rules.clear();
    }
  }
  DropReplaced();

  const std::span<Question> questions = std::span(questions_).subspan(first);
  std::size_t start = 0;
  open_plan_ = kNoPlan;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const bool shares = i > 0 && calls[i].join == Join::kAllOrNothing && calls[i].kind == calls[i - 1].kind;
    if (!shares) {
      CloseGroup(questions.subspan(start, i - start));
      NamePlan(questions.subspan(start, i - start), static_cast<std::uint32_t>(start));
      start = i;
      open_plan_ = kNoPlan;
    }
    if (!IsSettlement(calls[i])) AskRules(questions[i], resolved_[i]);
  }
  CloseGroup(questions.subspan(start));
  NamePlan(questions.subspan(start), static_cast<std::uint32_t>(start));
  for (Question& question : questions) LookAtLearned(question);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (!IsSettlement(calls[i])) Keep(questions[i], resolved_[i]);
  }
}

// As the reference server has it: what is replaced still replaces, and so does a rule that is unlimited or in shadow.
void Batch::DropReplaced() {
  Names names;
  for (const Resolved& resolved : resolved_) {
    for (const config::Rule* const rule : resolved.resolution.domain_rules) AddReplaced(*rule, names);
  }
  if (names.empty()) return;
  std::ranges::sort(names);
  for (std::size_t i = 0; i < resolved_.size(); ++i) {
    Resolution& resolution = resolved_[i].resolution;
    for (const config::Rule* const rule : resolution.domain_rules) {
      const bool further = rule->descriptor != nullptr && !rule->descriptor->replaced_as.empty();
      const std::string_view name = further ? std::string_view(rule->descriptor->replaced_as) : rule->policy.view();
      if (!std::ranges::binary_search(names, name)) continue;
      const auto gone = std::ranges::remove(resolution.rules, rule);
      resolution.rules.erase(gone.begin(), gone.end());
    }
  }
}

// The calls that share a plan are asked.
void Batch::CloseGroup(std::span<Question> group) {
  if (open_plan_ == kNoPlan) return;
  const auto refused = [](const Question& question) { return !question.call->decision.allowed; };
  if (plans_.plan(open_plan_).op == storage::Op::kCheck && std::ranges::any_of(group, refused)) {
    // An ip rule blocks one of them: the others are only told how they stand.
    for (Question& question : group) question.charges = false;
    plans_.plan(open_plan_).op = storage::Op::kPeek;
    return;
  }
  if (!TakeReservations(group)) Refuse(group);
}

// Nothing may be charged that could not be settled later.
void Batch::Refuse(std::span<Question> group) {
  std::uint32_t first_item = UINT32_MAX;
  for (Question& question : group) {
    if (question.plan == kNoPlan) continue;
    Call& call = *question.call;
    call.status = Fail(ErrorCode::kResourceExhausted, "too many open reservations");
    DenyWithout(Reason::kStoreFull, Action::kDeny, rules_->snapshot().denial_style(), call.decision);
    question.plan = kNoPlan;
    first_item = std::min(first_item, question.first_item);
  }
  plans_.TakeBack(open_plan_);
  contexts_.resize(first_item);
  for (Question& question : group) {
    question.first_item = first_item;
    question.rules = question.items = 0;
  }
}

}  // namespace weir::engine
