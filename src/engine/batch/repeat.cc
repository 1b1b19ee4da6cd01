// Asks with a request_id: each is decided once, here or by whoever asked first, and its answer given to the others.
//
// One that is known already stays in the batch as a peek, so that everything else about it is as usual; what the peek
// says is replaced by what was answered before. A batch tells its own answers before it waits for those of others, so
// two batches never wait for each other.
#include <algorithm>
#include <utility>

#include "engine/batch/batch.h"
#include "engine/counters/count.h"

namespace weir::engine {
namespace {

using storage::Op;
using storage::Plan;
using storage::PlanStatus;

}  // namespace

// Whose calls share a plan.
void Batch::NamePlan(std::span<Question> group, std::uint32_t ordinal) {
  const auto named =
      std::ranges::find_if(group, [](const Question& question) { return !question.call->request.request_id.empty(); });
  if (named == group.end()) [[likely]]
    return;
  const auto asked = std::ranges::find_if(group, [](const Question& question) { return question.plan != kNoPlan; });
  if (asked == group.end() || !IsDecision(asked->call->kind)) return;
  const bool charges = std::ranges::any_of(group, [](const Question& question) { return Counts(*question.call); });
  if (!charges || plans_.plan(asked->plan).op != Op::kCheck) return;
  // Whether such a request passes is found out by who asks, and what it was charged may be given back.
  const auto has_quota = [this](const Question& question) {
    return std::ranges::any_of(ContextsOf(question), [](const ItemContext& context) { return context.use->quota; });
  };
  if (std::ranges::any_of(group, has_quota)) return;
  named_.push_back({.plan = asked->plan,
                    .first_question = static_cast<std::uint32_t>(group.data() - questions_.data()),
                    .questions = static_cast<std::uint32_t>(group.size()),
                    .ordinal = ordinal,
                    .request_id = named->call->request.request_id,
                    .key = {},
                    .ask = nullptr,
                    .first = false,
                    .once = {},
                    .tokens = {}});
}

// What makes two asks the same. Rules by their names, so that a change of their limits does not make a retry anew.
Key Batch::DigestOf(const NamedPlan& named) const {
  AskDigest digest;
  digest.Add("weir request_id 1").Add(named.request_id).Add(named.ordinal).Add(named.questions);
  for (std::uint32_t q = 0; q < named.questions; ++q) {
    const Question& question = questions_[named.first_question + q];
    digest.Add(question.call->kind == CallKind::kReserve ? 1 : 0).Add(question.items);
    for (std::uint32_t i = 0; i < question.items; ++i) {
      const storage::Item& item = plans_.item(question.first_item + i);
      const ItemContext& context = contexts_[question.first_item + i];
      digest.Add(context.use->rule->path).Add(context.ban ? 1 : 0).Add(item.subject).Add(item.cost);
    }
  }
  return digest.Finish();
}

void Batch::FindRepeated() {
  for (NamedPlan& named : named_) {
    named.key = DigestOf(named);
    auto [ask, first] = core_->request_ids.Ask(named.key, now_);
    named.ask = std::move(ask);
    named.first = first;
    Plan& plan = plans_.plan(named.plan);
    if (first) {
      if (!core_->store->Remembers()) continue;
      for (const Question& question : QuestionsOf(named)) named.tokens.push_back(question.id);
      named.once = {.id = named.key, .life = core_->request_ids.life(), .tokens = named.tokens};
      plan.once = &named.once;
      continue;
    }
    plan.op = Op::kPeek;
    for (Question& question : QuestionsOf(named)) question.shares = true;
    GiveUpReservations(QuestionsOf(named));
  }
}

void Batch::GiveUpReservations(std::span<Question> group) {
  for (Question& question : group) {
    if (std::exchange(question.id, 0) != 0) core_->reservations.GiveUp();
  }
}

// Another instance was asked first.
void Batch::TakeRepeatedByStore(NamedPlan& named) {
  if (!named.first || !named.once.repeated) return;
  Plan& plan = plans_.plan(named.plan);
  if (plan.status != PlanStatus::kOk) return;
  plan.op = Op::kPeek;  // nothing is to be concluded from numbers of then
  const std::span<Question> group = QuestionsOf(named);
  GiveUpReservations(group);
  for (Question& question : group) question.shares = true;
  RepeatedAnswer answer{.outcomes = {plan.outcomes.begin(), plan.outcomes.end()},
                        .parts = {},
                        .status = PlanStatus::kOk,
                        .admitted = plan.admitted,
                        .untracked = plan.untracked,
                        .at = now_};
  for (const std::uint64_t token : named.tokens) answer.parts.push_back({.reservation = token});
  named.ask->Answer(std::move(answer));
}

// To everybody who asked the same meanwhile, and, if something was charged, to those who ask later.
void Batch::TellAnswers() {
  for (NamedPlan& named : named_) {
    if (!named.first || named.once.repeated) continue;
    const Plan& plan = plans_.plan(named.plan);
    RepeatedAnswer answer{.outcomes = {plan.outcomes.begin(), plan.outcomes.end()},
                          .parts = {},
                          .status = plan.status == PlanStatus::kFull ? PlanStatus::kFull : PlanStatus::kOk,
                          .admitted = plan.admitted,
                          .untracked = plan.untracked,
                          .at = now_};
    bool charged = plan.admitted && plan.status != PlanStatus::kFull;
    for (const Question& question : QuestionsOf(named)) {
      const bool decided = question.plan != kNoPlan;
      answer.parts.push_back(
          {.reservation = decided ? question.call->decision.reservation : 0, .failed = question.failed});
      charged = charged && (question.failed == Reason::kOk || question.failed == Reason::kStoreLocal);
    }
    if (!charged) core_->request_ids.Forget(named.key, *named.ask);
    named.ask->Answer(std::move(answer));
  }
}

// False: one of them is not there yet; the batch goes on when it is.
bool Batch::TakeAnswers() {
  for (; taken_ < named_.size(); ++taken_) {
    const NamedPlan& named = named_[taken_];
    if (!QuestionsOf(named).front().shares) continue;
    // With a store that completes inline, the other thread is answering right now and waits for nothing.
    const RepeatedAnswer* const answer =
        core_->store->CompletesInline() ? &named.ask->Wait() : named.ask->WaitFor(this);
    if (answer == nullptr) return false;
    TakeAnswer(named, *answer);
  }
  return true;
}

void Batch::TakeAnswer(const NamedPlan& named, const RepeatedAnswer& answer) {
  Plan& plan = plans_.plan(named.plan);
  const std::span<Question> group = QuestionsOf(named);
  // The same ask has the same plan: the digest says so.
  for (std::size_t i = 0; i < plan.outcomes.size(); ++i) {
    plan.outcomes[i] = storage::Aged(answer.outcomes[i], now_ - answer.at);
  }
  plan.status = answer.status;
  plan.admitted = answer.admitted;
  plan.untracked = answer.untracked;
  for (std::size_t i = 0; i < group.size(); ++i) {
    Question& question = group[i];
    question.failed = answer.parts[i].failed;
    if (question.plan != kNoPlan) {
      Answer(question);
      Call& call = *question.call;
      call.decision.reservation = answer.parts[i].reservation;
      if (call.trace != nullptr) {
        call.trace->push_back({"request_id", "asked before, and answered the same again; nothing is charged"});
      }
    }
  }
}

}  // namespace weir::engine
