#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "management/rest/api.h"
#include "management/rest/handlers.h"
#include "management/rest/revisions.h"
#include "management/rest/rollouts/approvals.h"
#include "management/rest/rollouts/candidates.h"
#include "management/rest/rollouts/rollouts.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostBody = std::size_t{16} << 20;

Problem NotRunning(const Error& error) {
  Problem problem = ProblemOf(error);
  if (problem.status == 409) problem.code = "rollout_state";
  return problem;
}

Answer Shown(const Result<Rollout>& rollout, int status) {
  if (!rollout) return std::unexpected(NotRunning(rollout.error()));
  ApiResponse response = JsonResponse(status, json::serialize(ToJsonObject(*rollout)));
  const std::uint64_t revision = std::max(rollout->promoted_as, rollout->taken_back_by);
  if (revision > 0) response.headers.emplace_back("Weir-Revision", std::to_string(revision));
  return response;
}

struct Proposed {
  std::uint64_t number = 0;
  std::vector<config::RecordWrite> writes;
};

// The candidate that the body names, or one that is made of what it says.
std::expected<Proposed, Problem> CandidateOf(Api& api, Context& context, const json::object& body) {
  const json::value* const named = body.if_contains("revision");
  if (named == nullptr) {
    auto writes = ReadCandidate(api, context, body);
    if (!writes) return std::unexpected(std::move(writes.error()));
    const auto proposed = api.Propose(context, {.writes = *writes});
    if (!proposed) return std::unexpected(proposed.error());
    return Proposed{proposed->revision.number, std::move(*writes)};
  }
  if (body.contains("changes") || body.contains("document")) {
    return std::unexpected(
        InvalidBody({{.path = "revision", .message = "is there beside changes or a document: one of them"}}));
  }
  boost::system::error_code fault;
  const auto number = named->to_number<std::uint64_t>(fault);
  if (fault || number == 0) return std::unexpected(InvalidBody({{.path = "revision", .message = "must be a number"}}));
  auto writes = WritesOfCandidate(*api.options().store, number);
  if (!writes) {
    Problem problem = ProblemOf(writes.error());
    if (problem.status == 409) problem.code = "not_a_candidate";
    return std::unexpected(std::move(problem));
  }
  if (!std::ranges::all_of(*writes, IsPolicyRecord) || !api.options().live->policy_in_store()) {
    return std::unexpected(InvalidBody({{.path = "revision", .message = "only a change of the policy is rolled out"}}));
  }
  if (const auto rollout = api.options().rollouts->Get(number); rollout && rollout->state == Rollout::State::kWaiting) {
    // Whoever approves it has looked at these stages, and at no others.
    return std::unexpected(
        Problem{.status = 409, .code = "rollout_state", .detail = "its rollout waits for an approval already"});
  }
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  return Proposed{number, std::move(*writes)};
}

// Who has a part in it, and whether it waits for an approval that was asked for when it was proposed.
struct Parties {
  std::vector<std::string> persons;
  bool asked = false;
};
std::expected<Parties, Problem> PartiesOf(Api& api, const Context& context, std::uint64_t number) {
  Parties parties{.persons = NamesOfPerson(context.principal)};
  const auto add = [&](const std::string& person) {
    if (!person.empty() && std::ranges::find(parties.persons, person) == parties.persons.end()) {
      parties.persons.push_back(person);
    }
  };
  const auto proposer = api.options().documents->Get(kCandidateKind, number);
  if (!proposer && proposer.error().code != ErrorCode::kNotFound) return std::unexpected(ProblemOf(proposer.error()));
  const auto approval = FindApproval(*api.options().documents, number);
  if (!approval) return std::unexpected(ProblemOf(approval.error()));
  // One is written right behind each candidate: somebody else's request is between the two.
  if (!proposer && !*approval) {
    return std::unexpected(
        Problem{.status = 409, .code = "not_a_candidate", .detail = "it is not known who proposed this revision"});
  }
  if (proposer) {
    for (const std::string& person : ReadProposer(*proposer)) add(person);
  }
  if (*approval) {
    for (const std::string& person : (*approval)->persons) add(person);
    parties.asked = (*approval)->decision.empty();
  }
  return parties;
}

Answer Create(Api& api, Context& context) {
  const auto body = ReadObject(context.request.body, {"revision", "changes", "document", "stages", "guards", "reason"});
  if (!body) return std::unexpected(body.error());
  if (const auto reason = TextOf(*body, "reason")) context.reason = *reason;
  auto stages = ReadStages(body->if_contains("stages"));
  if (!stages) return std::unexpected(std::move(stages.error()));
  const auto guards = ReadGuards(body->if_contains("guards"));
  if (!guards) return std::unexpected(guards.error());
  if (api.options().rollouts->Busy()) {
    return std::unexpected(
        Problem{.status = 409, .code = "rollout_running", .detail = "another rollout is running: it ends first"});
  }
  json::object told;
  if (const json::value* revision = body->if_contains("revision")) told["revision"] = *revision;
  told["stages"] = stages->size();
  context.after = json::serialize(told);
  const auto proposed = CandidateOf(api, context, *body);
  if (!proposed) return std::unexpected(proposed.error());
  auto parties = PartiesOf(api, context, proposed->number);
  if (!parties) return std::unexpected(std::move(parties.error()));
  const ApiOptions& options = api.options();
  const TrialParts trial = PartsOf(api);
  auto compared = TryOut(trial, proposed->number);
  if (!compared) return std::unexpected(ProblemOf(compared.error()));
  Rollout rollout{.number = proposed->number,
                  .state = Rollout::State::kRunning,
                  .author = context.principal.name,
                  .reason = context.reason,
                  .created = context.now,
                  .stages = std::move(*stages),
                  .guards = *guards,
                  .dry_run = json::serialize(DryRunJson(trial, **compared))};
  // What waits for an approval waits for it in stages too, whatever it changes: a rollback, for one.
  const bool waits = parties->asked || NeedApproval(options.engine->snapshot()->document().approvals, proposed->writes);
  if (waits) {
    rollout.state = Rollout::State::kWaiting;
    const auto asked = AskForApproval(*options.documents,
                                      {.number = proposed->number,
                                       .author = context.principal.name,
                                       .persons = std::move(parties->persons),
                                       .reason = context.reason,
                                       .asked = context.now,
                                       .rollout = true},
                                      *options.store);
    if (!asked) return std::unexpected(ProblemOf(asked.error()));
  }
  const auto added = options.rollouts->Add(std::move(rollout), std::move(*compared));
  if (added && added->state == Rollout::State::kReturned) {
    return std::unexpected(Problem{.status = 409, .code = "refused", .detail = added->why});
  }
  auto answer = Shown(added, waits ? 202 : 201);
  if (answer) {
    answer->headers.emplace_back("Location", std::string(kPrefix) + "/rollouts/" + std::to_string(proposed->number));
  }
  return answer;
}

Answer List(Api& api, Context& context) {
  const auto page = NumberedPageOf(api, context);
  if (!page) return std::unexpected(page.error());
  const auto listed = api.options().rollouts->List(page->before, page->most);
  if (!listed) return std::unexpected(ProblemOf(listed.error()));
  json::array items;
  for (const Rollout& rollout : listed->rollouts) items.push_back(ToJsonObject(rollout));
  return JsonResponse(200, json::serialize(NumberedList(api, context, std::move(items), listed->next)));
}

Answer Get(Api& api, Context& context) {
  const auto number = RevisionNumber(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  return Shown(api.options().rollouts->Get(*number), 200);
}

// What is done by hand: recorded before it is done.
template <typename Change>
Answer ByHand(Api& api, Context& context, Change change) {
  const auto number = RevisionNumber(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  const auto body = ReadObject(context.request.body, {"reason"});
  if (!body) return std::unexpected(body.error());
  if (const auto reason = TextOf(*body, "reason")) context.reason = *reason;
  const auto before = api.options().rollouts->Get(*number);
  if (!before) return std::unexpected(ProblemOf(before.error()));
  context.before = json::serialize(json::object{{"state", NameOf(before->state)}, {"stage", before->stage}});
  context.after = json::serialize(json::object{{"asked", context.route.operation}});
  if (!before->active()) {
    return std::unexpected(Problem{.status = 409, .code = "rollout_state", .detail = "this rollout is not running"});
  }
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  return Shown(change(*api.options().rollouts, *number), 200);
}

Answer Pause(Api& api, Context& context) {
  return ByHand(api, context, [&](Rollouts& all, std::uint64_t number) { return all.Pause(number, context.reason); });
}
Answer Resume(Api& api, Context& context) {
  return ByHand(api, context, [](Rollouts& all, std::uint64_t number) { return all.Resume(number); });
}
Answer Advance(Api& api, Context& context) {
  return ByHand(api, context, [](Rollouts& all, std::uint64_t number) { return all.Advance(number); });
}
Answer Promote(Api& api, Context& context) {
  return ByHand(api, context, [](Rollouts& all, std::uint64_t number) { return all.Promote(number); });
}
Answer Abort(Api& api, Context& context) {
  return ByHand(api, context, [&](Rollouts& all, std::uint64_t number) {
    return all.Abort(number, context.principal.name, context.reason);
  });
}

}  // namespace

void AddRolloutRoutes(std::vector<Route>& routes) {
  routes.push_back({.method = "GET",
                    .path = "/rollouts",
                    .operation = "listRollouts",
                    .summary = "Rollouts, the newest first.",
                    .verb = Verb::kRead,
                    .resource = Resource::kRollouts,
                    .handler = List,
                    .response_schema = "List",
                    .query = {{"limit", "how many, 1 to 1000 (100)"}, {"cursor", "`next` of the page before"}}});
  routes.push_back({.method = "GET",
                    .path = "/rollouts/{number}",
                    .operation = "getRollout",
                    .summary = "One of them, with what was measured of each stage.",
                    .verb = Verb::kRead,
                    .resource = Resource::kRollouts,
                    .handler = Get,
                    .response_schema = "Rollout"});
  routes.push_back({.method = "POST",
                    .path = "/rollouts",
                    .operation = "createRollout",
                    .summary = "Bring a candidate into force in stages: dry run, shadow, shares of the subjects, all.",
                    .verb = Verb::kCreate,
                    .resource = Resource::kRollouts,
                    .handler = Create,
                    .body = BodyKind::kJson,
                    .max_body = kMostBody,
                    .request_schema = "RolloutSpec",
                    .response_schema = "Rollout",
                    .success = 201,
                    .idempotent = true,
                    .heavy = true});
  const auto by_hand = [&](const std::string& what, std::string summary, Handler handler) {
    routes.push_back({.method = "POST",
                      .path = "/rollouts/{number}/" + what,
                      .operation = what + "Rollout",
                      .summary = std::move(summary),
                      .verb = Verb::kUpdate,
                      .resource = Resource::kRollouts,
                      .handler = handler,
                      .body = BodyKind::kJson,
                      .max_body = 16 << 10,
                      .request_schema = "Reason",
                      .response_schema = "Rollout",
                      .heavy = true});
  };
  by_hand("pause", "Stay at the stage; guards go on.", Pause);
  by_hand("resume", "Go on.", Resume);
  by_hand("advance", "Begin the next stage now.", Advance);
  by_hand("promote", "Bring it into force for all now.", Promote);
  by_hand("abort", "Give it up: all is as before.", Abort);
}

}  // namespace weir::management::rest
