// A few calls on their way through the engine together: questions become plans, plans go to the store as one batch, and
// what comes back becomes decisions.
//
//   Ask(call)...   exemptions, resolve, identify -> plans
//   Go()           store -> failure policy -> decide -> penalties -> observe
//
// Calls that are joined (Join) are resolved before any of them is asked, and those that are all-or-nothing share a
// plan, of which each has a stretch of items.
//
// A ban that a batch earns holds from the next batch on: all plans of one batch are asked together.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/arena.h"
#include "base/clock.h"
#include "base/publication.h"
#include "engine/batch/async_task.h"
#include "engine/batch/item_context.h"
#include "engine/batch/plan_set.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/resolve/resolve_call.h"
#include "engine/resolve/ruleset.h"

namespace weir::engine {

class Batch final : public AsyncTask {
 public:
  static constexpr std::size_t kMostCalls = 16;
  // Of a batch that begins with one: each is one item, and resolves nothing.
  static constexpr std::size_t kMostThrottles = 64;

  // What a Submit shares between its batches, on its stack.
  struct Trip {
    Core& core;
    const Published<Ruleset>::Pin& rules;
    const Ruleset* chosen;  // of the pinned rules: themselves, or their candidate
    Nanos now = 0;
    storage::Completion* done = nullptr;
    CompletionGroup* group = nullptr;  // made for the first batch that has to wait
  };

  // An idle one of this thread, or a new one. A batch is given back when it has finished.
  static Batch* Take(Trip& trip);
  static void GiveBack(Batch* batch);

  void Ask(Call& call);
  // The first, and the others joined to it.
  void AskJoined(std::span<Call> calls);

 private:
  friend std::default_delete<Batch>;
  static constexpr std::uint32_t kNoPlan = UINT32_MAX;
  enum class Stage : std::uint8_t { kCarry, kAsk, kDecide, kShare, kStrike, kFinish };

  // A call and where its items are.
  struct Question {
    Call* call = nullptr;
    std::uint32_t first_item = 0;
    std::uint32_t rules = 0;  // items of rules; those of ban boxes follow
    std::uint32_t items = 0;
    std::uint32_t kept = kNoPlan;  // where in kept_ it is how it was resolved
    std::uint32_t look = kNoPlan;  // a peek at what its adaptive rules have learned, for its trace
    std::uint32_t plan = kNoPlan;  // settlements: the first of one a charge; kAllOrNothing: several have the same
    bool charges = true;           // whether anything is charged: not if a call joined to this one was refused already
    bool admitted = true;          // and so it was
    bool shares = false;           // its plan's answer is given by an earlier ask (NamedPlan)
    const config::Rule* unidentified = nullptr;  // a rule with on_missing deny that found nobody: denied
    std::uint64_t id = 0;                        // kCheck, kReserve: of its reservation or slot, if there is to be one
    Reason failed = Reason::kOk;
    std::optional<Reservation> settled;            // kCommit, kCancel, kExtend
    std::uint32_t again = kNoPlan;                 // kExtend: of again_, asking for less
    std::unique_ptr<storage::StateCopy[]> copies;  // of `look`
  };

  // A plan of calls with a request_id.
  struct NamedPlan {
    std::uint32_t plan = 0;
    std::uint32_t first_question = 0, questions = 0;  // that share it
    std::uint32_t ordinal = 0;                        // tells plans of calls that are joined from each other
    std::string_view request_id;
    Key key;
    std::shared_ptr<OpenAsk> ask;
    bool first = false;                 // decided here; the others wait for whoever decides it
    storage::Once once;                 // for a store that remembers by itself
    std::vector<std::uint64_t> tokens;  // of `once`
  };

  Batch() = default;
  ~Batch() = default;

  // ask.cc
  void Keep(Question& question, Resolved& resolved);
  Question& Begin(Call& call);
  bool Resolve(Call& call, Resolved& to, bool domain_counted);
  void AskThrottle(Question& question);
  void AskRules(Question& question, const Resolved& resolved);
  bool DeniesUnidentified(Question& question, const Resolved& resolved, class Identify& identify);
  void AskSettlement(Question& question);
  void SettleLocally(std::vector<Charge>& charges, const Call& call);
  void AddRule(Question& question, const RuleUse& use, const Resolution& resolution, class Identify& identify,
               storage::Op op);
  void CarryOver(const config::PreviousRule* previous, storage::Item& item);
  void CarryAlong(const config::PreviousRule& previous, std::string_view subject);
  void AddBans(Question& question);
  void LookAtLearned(Question& question);
  bool TakeReservation(Question& question);
  bool TakeReservations(std::span<Question> group);

  const RuleUse* ToPresentRule(const Charge& charge, storage::Item& item) const;

  // extend.cc
  void AskExtension(Question& question);
  void AddMore(const Charge& charge, std::uint64_t cost, storage::Item& item);
  void AnswerExtension(Question& question);
  void AnswerAgain(Question& question);
  void TakeExtension(Question& question, const storage::Plan& plan, bool enforced);
  void KeepExtended(Question& question);

  // join.cc
  void DropReplaced();
  void CloseGroup(std::span<Question> group);
  void Refuse(std::span<Question> group);

  // batch.cc
  Step Next() override;
  void BeforeWaiting() override;
  void OnFinished() noexcept override;
  bool AskStore(PlanSet& set);
  void SeeStore();

  // repeat.cc
  void NamePlan(std::span<Question> group, std::uint32_t ordinal);
  void FindRepeated();
  Key DigestOf(const NamedPlan& named) const;
  void GiveUpReservations(std::span<Question> group);
  void TakeRepeatedByStore(NamedPlan& named);
  void TellAnswers();
  bool TakeAnswers();
  void TakeAnswer(const NamedPlan& named, const RepeatedAnswer& answer);
  std::span<Question> QuestionsOf(const NamedPlan& named) {
    return std::span(questions_).subspan(named.first_question, named.questions);
  }

  // answer.cc
  void Answer(Question& question);
  void AnswerChange(Question& question);
  std::uint32_t RulesUpdatedBy(const Question& question, const storage::Plan& plan) const;
  void ExplainAnswer(const Question& question, const storage::Plan& plan);
  void AnswerSettlement(Question& question);
  void AnswerByPolicy(Question& question, storage::Plan& whole);
  storage::Plan StretchOf(const Question& question, const storage::Plan& whole) const;
  void KeepReservation(Question& question, const storage::Plan& plan);
  std::span<const storage::Item> ItemsOf(const Question& question) const;
  void Finish(Question& question);
  std::span<const ItemContext> ContextsOf(const Question& question) const {
    return std::span(contexts_).subspan(question.first_item, question.items);
  }

  // penalties.cc
  void AddStrikes(std::uint32_t number);
  void TakeStrikes();
  void TakeStrike(const Question& question, std::uint32_t rule, const storage::Plan& ban);

  Core* core_ = nullptr;
  Trip* trip_ = nullptr;  // nullptr once the submitter has left
  const Ruleset* rules_ = nullptr;
  std::shared_ptr<const Ruleset> held_;  // while waiting
  CompletionGroup* completion_group_ = nullptr;
  Nanos now_ = 0;
  Stage stage_ = Stage::kCarry;
  Reason failed_ = Reason::kOk;  // how the failure policy decided the latest plan that it was asked about
  Arena arena_;
  std::vector<Question> questions_;
  std::vector<Resolved> kept_;         // for observers, when there are any
  std::vector<Resolved> resolved_;     // of calls that are joined, while they are asked
  std::uint32_t open_plan_ = kNoPlan;  // to which items go
  PlanSet carries_;                    // asked before plans_: what previous forms of previous forms of rules still hold
  PlanSet plans_;
  std::vector<ItemContext> contexts_;  // beside the items of plans_
  std::vector<NamedPlan> named_;
  std::size_t taken_ = 0;  // of named_: how many of the first have been answered by others
  PlanSet again_;          // extensions that were denied, asking for as much as there is
  PlanSet strikes_;        // pairs of plans: a strike, and what the ban box says then
  struct Strike {
    std::uint32_t question = 0;
    std::uint32_t rule = 0;  // its item in the question
  };
  std::vector<Strike> struck_;
};

}  // namespace weir::engine
