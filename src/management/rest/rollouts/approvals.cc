#include "management/rest/rollouts/approvals.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/log.h"
#include "config/source/record_kinds.h"
#include "management/rest/api.h"
#include "management/rest/entities.h"
#include "management/rest/handlers.h"
#include "management/rest/record_body.h"
#include "management/rest/revisions.h"
#include "management/rest/rollouts/candidates.h"
#include "management/rest/rollouts/rollouts.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostBody = 16 << 10;
constexpr std::size_t kPage = 1'000;

std::optional<ApprovalScope> ScopeOf(const config::RecordId& id) {
  if (id.kind == config::kOverrides) return ApprovalScope::kOverrides;
  if (id.kind == "api_keys") return ApprovalScope::kKeys;
  switch (config::EffectOf(id)) {
    case config::Effect::kPolicy:
      return ApprovalScope::kPolicy;
    case config::Effect::kEntity:
      return ApprovalScope::kEntities;
    case config::Effect::kNone:
      break;
  }
  return std::nullopt;
}

bool IsApprovals(const config::RecordId& id) { return id.kind == "settings" && id.key == "approvals"; }

std::string TextIn(const json::object& object, std::string_view member) {
  return TextOf(object, member).value_or(std::string());
}

Nanos TimeIn(const json::object& object, std::string_view member) {
  const json::value* const value = object.if_contains(member);
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

}  // namespace

std::string WriteProposer(const Principal& principal) {
  std::string text;
  for (const std::string& name : NamesOfPerson(principal)) text.append(text.empty() ? "" : "\n").append(name);
  return text;
}

std::vector<std::string> ReadProposer(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    names.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return names;
}

std::string WriteApproval(const Approval& approval) {
  json::array persons;
  for (const std::string& one : approval.persons) persons.push_back(json::string(one));
  return json::serialize(json::object{{"number", approval.number},
                                      {"author", approval.author},
                                      {"persons", std::move(persons)},
                                      {"reason", approval.reason},
                                      {"asked", approval.asked},
                                      {"rollout", approval.rollout},
                                      {"decision", approval.decision},
                                      {"decided_by", approval.decided_by},
                                      {"decided_because", approval.decided_because},
                                      {"decided", approval.decided}});
}

Result<Approval> ReadApproval(std::string_view text) {
  boost::system::error_code fault;
  const json::value value = json::parse(text, fault);
  if (fault || !value.is_object()) return Fail(ErrorCode::kDataLoss, "an approval is damaged");
  const json::object& object = value.get_object();
  Approval approval;
  if (const json::value* number = object.if_contains("number")) {
    approval.number = number->to_number<std::uint64_t>(fault);
  }
  approval.author = TextIn(object, "author");
  if (const json::value* persons = object.if_contains("persons"); persons != nullptr && persons->is_array()) {
    for (const json::value& one : persons->get_array()) {
      if (one.is_string()) approval.persons.emplace_back(one.get_string());
    }
  }
  approval.reason = TextIn(object, "reason");
  approval.asked = TimeIn(object, "asked");
  const json::value* const rollout = object.if_contains("rollout");
  approval.rollout = rollout != nullptr && rollout->is_bool() && rollout->get_bool();
  approval.decision = TextIn(object, "decision");
  approval.decided_by = TextIn(object, "decided_by");
  approval.decided_because = TextIn(object, "decided_because");
  approval.decided = TimeIn(object, "decided");
  // Without its persons nobody could tell who is the second.
  if (approval.number == 0 || approval.persons.empty()) return Fail(ErrorCode::kDataLoss, "an approval is damaged");
  return approval;
}

bool NeedApproval(const ApprovalsConfig& config, ApprovalScope scope) {
  return std::ranges::find(config.required_for, scope) != config.required_for.end();
}

bool NeedApproval(const ApprovalsConfig& config, std::span<const config::RecordWrite> writes) {
  if (config.required_for.empty()) return false;
  return std::ranges::any_of(writes, [&](const config::RecordWrite& write) {
    const auto scope = ScopeOf(write.id);
    // Who could switch approvals off alone would need none.
    return IsApprovals(write.id) || (scope && NeedApproval(config, *scope));
  });
}

bool IsWaiting(const Approval& approval, config::RevisionState candidate) {
  // Also where the process ended before the decision was written down: a candidate that has left this state was
  // approved, or given up.
  return approval.decision.empty() && candidate == config::RevisionState::kCandidate;
}

namespace {

// Of what is not known it is assumed that it waits.
config::RevisionState StateIn(config::ConfigStore& store, std::uint64_t number) {
  const auto revision = store.GetRevision(number);
  return revision ? revision->state : config::RevisionState::kCandidate;
}

}  // namespace

Result<> AskForApproval(Documents& documents, const Approval& approval, config::ConfigStore& store) {
  std::size_t waiting = 0, looked = 0, needed = 0;
  for (std::uint64_t before = 0;;) {
    const auto page = documents.List(kApprovalKind, before, kPage);
    if (!page) return std::unexpected(page.error());
    for (const auto& [number, text] : *page) {
      before = number;
      ++looked;
      if (number >= approval.number) needed = looked;
      const auto one = ReadApproval(text);
      if (!one) continue;
      if (number == approval.number && !one->decision.empty()) {
        return Fail(ErrorCode::kFailedPrecondition, "this change has been decided about meanwhile");
      }
      if (!one->decision.empty() || number == approval.number || !IsWaiting(*one, StateIn(store, number))) continue;
      ++waiting;
      needed = looked;
    }
    if (page->size() < kPage) break;
  }
  if (waiting >= kMostWaiting) {
    return Fail(ErrorCode::kResourceExhausted, "too many changes wait for an approval: approve or reject some");
  }
  if (auto put = documents.Put(kApprovalKind, approval.number, WriteApproval(approval)); !put) return put;
  // Only the oldest can be forgotten, and so none that is newer than one that waits; nor those that others add now.
  const std::size_t kept = needed + 1 + kMostDecidedKept;
  if (looked + 1 <= kept) return {};
  if (const auto trimmed = documents.Trim(kApprovalKind, kept); !trimmed) {
    log::Warn("old approvals are not forgotten", {{"why", trimmed.error().message}});
  }
  return {};
}

Result<std::optional<Approval>> FindApproval(Documents& documents, std::uint64_t number) {
  const auto text = documents.Get(kApprovalKind, number);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::nullopt;
  if (!text) return std::unexpected(text.error());
  return ReadApproval(*text);
}

Result<> CloseApproval(Documents& documents, std::uint64_t number, const Decision& decision) {
  auto approval = FindApproval(documents, number);
  if (!approval) return std::unexpected(approval.error());
  if (!*approval || !(*approval)->decision.empty()) return {};
  (*approval)->decision = decision.what;
  (*approval)->decided_by = decision.by;
  (*approval)->decided_because = decision.because;
  (*approval)->decided = decision.at;
  return documents.Put(kApprovalKind, number, WriteApproval(**approval));
}

bool IsSecondPerson(const Principal& principal, const Approval& approval) {
  return std::ranges::none_of(
      approval.persons, [&](const std::string& one) { return one == PersonOf(principal) || one == principal.name; });
}

namespace {

struct Waiting {
  Approval approval;
  config::Revision revision;
};

bool IsWaiting(const Waiting& one) { return IsWaiting(one.approval, one.revision.state); }

std::string_view StateOf(const Waiting& one) {
  if (!one.approval.decision.empty()) return one.approval.decision;
  if (IsWaiting(one)) return "waiting";
  return one.revision.state == config::RevisionState::kRolledBack ? "withdrawn" : "approved";
}

json::object ToJsonObject(const Waiting& one) {
  json::object out;
  out["number"] = one.approval.number;
  out["author"] = one.approval.author;
  json::array persons;
  for (const std::string& person : one.approval.persons) persons.push_back(json::string(person));
  out["persons"] = std::move(persons);
  out["reason"] = one.approval.reason;
  out["time"] = TimestampText(one.approval.asked);
  out["rollout"] = one.approval.rollout;
  out["changes"] = one.revision.change_count;
  out["state"] = StateOf(one);
  if (!one.approval.decision.empty()) {
    out["decided_by"] = one.approval.decided_by;
    out["decided_because"] = one.approval.decided_because;
    out["decided"] = TimestampText(one.approval.decided);
  }
  if (one.revision.promoted_as > 0) out["revision"] = one.revision.promoted_as;
  return out;
}

std::expected<Waiting, Problem> FindWaiting(Api& api, std::uint64_t number) {
  auto approval = FindApproval(*api.options().documents, number);
  if (!approval) return std::unexpected(ProblemOf(approval.error()));
  if (!*approval) return std::unexpected(NotFound("no approval was asked for"));
  auto revision = api.options().store->GetRevision(number);
  if (!revision) return std::unexpected(ProblemOf(revision.error()));
  return Waiting{std::move(**approval), std::move(*revision)};
}

Answer List(Api& api, Context& context) {
  const auto page = NumberedPageOf(api, context);
  if (!page) return std::unexpected(page.error());
  const std::string* const state = context.Query("state");
  if (state != nullptr && *state != "waiting") {
    return std::unexpected(BadRequest("invalid_state", "state can be waiting"));
  }
  const auto listed = api.options().documents->List(kApprovalKind, page->before, page->most);
  if (!listed) return std::unexpected(ProblemOf(listed.error()));
  json::array items;
  for (const auto& [number, text] : *listed) {
    const auto one = FindWaiting(api, number);
    if (!one || (state != nullptr && !IsWaiting(*one))) continue;
    items.push_back(ToJsonObject(*one));
  }
  const std::uint64_t next = listed->size() == page->most ? listed->back().first : 0;
  return JsonResponse(200, json::serialize(NumberedList(api, context, std::move(items), next)));
}

Answer Get(Api& api, Context& context) {
  const auto number = RevisionNumber(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  const auto one = FindWaiting(api, *number);
  if (!one) return std::unexpected(one.error());
  return JsonResponse(200, json::serialize(ToJsonObject(*one)));
}

// What both decisions begin with: what waits, and why it is decided.
std::expected<Waiting, Problem> BeginDecision(Api& api, Context& context) {
  const auto number = RevisionNumber(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  const auto body = ReadObject(context.request.body, {"reason"});
  if (!body) return std::unexpected(body.error());
  if (const auto reason = TextOf(*body, "reason")) context.reason = *reason;
  auto one = FindWaiting(api, *number);
  if (!one) return one;
  if (!IsWaiting(*one)) {
    return std::unexpected(
        Problem{.status = 409, .code = "not_waiting", .detail = "this change does not wait for an approval"});
  }
  return one;
}

// What it decides has been done by then: that it could not be noted does not undo it.
void Decide(Api& api, const Context& context, std::uint64_t number, std::string_view decision,
            std::string_view because) {
  const auto kept = CloseApproval(*api.options().documents, number,
                                  {.what = std::string(decision),
                                   .by = context.principal.name,
                                   .because = std::string(because),
                                   .at = context.now});
  if (!kept) log::Warn("a decision is not noted at its approval", {{"why", kept.error().message}});
}

void Note(Api& api, std::uint64_t number, std::string_view author, const std::string& text) {
  if (const auto noted = api.options().store->Annotate(number, author, text); !noted) {
    log::Warn("a decision is not noted at its revision", {{"why", noted.error().message}});
  }
}

std::string WithReason(std::string_view what, const Context& context) {
  return std::string(what) + (context.reason.empty() ? "" : ": " + context.reason);
}

std::optional<Problem> TryWrites(Api& api, std::span<const config::RecordWrite> writes) {
  std::vector<config::RecordWrite> policy, entities;
  for (const config::RecordWrite& write : writes) {
    const auto scope = ScopeOf(write.id);
    if (!scope) continue;
    (*scope == ApprovalScope::kPolicy ? policy : entities).push_back(write);
  }
  if (!policy.empty() && api.options().live->policy_in_store()) {
    if (auto refused = TryPolicy(api, policy)) return refused;
  }
  // Entities that use a tier of this very change are judged when it is in force.
  return !entities.empty() && policy.empty() ? TryEntities(api, entities) : std::nullopt;
}

Answer BringIntoForce(Api& api, Context& context, const Waiting& one) {
  const auto writes = WritesOfCandidate(*api.options().store, one.approval.number);
  if (!writes) return std::unexpected(ProblemOf(writes.error()));
  if (auto refused = TryWrites(api, *writes)) return std::unexpected(std::move(*refused));
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const config::Revision& proposed = one.revision;
  const std::uint64_t number = one.approval.number;
  const auto promoted = PromoteCandidate(
      *api.options().store, *api.options().live, number,
      {.author = proposed.author, .method = proposed.method, .reason = proposed.reason, .source = proposed.source});
  if (!promoted) {
    Problem problem = ProblemOf(promoted.error());
    if (problem.status == 409) problem.code = "changed_meanwhile";
    return std::unexpected(std::move(problem));
  }
  // It holds at once, also where somebody has asked for stages since it was looked at.
  api.options().rollouts->Settle(number);
  const std::uint64_t revision = promoted->revision;
  for (const std::uint64_t noted : {number, revision}) {
    Note(api, noted, context.principal.name, WithReason("approved", context));
  }
  switch (promoted->outcome) {
    case Promotion::Outcome::kInForce:
      break;
    case Promotion::Outcome::kPending:
      return std::unexpected(Problem{.status = 503,
                                     .code = "not_in_force_yet",
                                     .detail = "revision " + std::to_string(revision) +
                                               " is approved and kept, and not in force yet: " + promoted->why});
    case Promotion::Outcome::kRefused:
      Note(api, number, "weir", "not in force: " + promoted->why);
      Decide(api, context, number, "refused", promoted->why);
      return std::unexpected(
          Problem{.status = 409, .code = "refused", .detail = "it is approved, and not in force: " + promoted->why});
  }
  Decide(api, context, number, "approved", context.reason);
  ApiResponse response = JsonResponse(
      200, json::serialize(json::object{{"number", number}, {"state", "approved"}, {"revision", revision}}));
  response.headers.emplace_back("Weir-Revision", std::to_string(revision));
  return response;
}

Answer BeginRollout(Api& api, Context& context, const Waiting& one) {
  if (api.options().rollouts->Busy()) {
    return std::unexpected(
        Problem{.status = 409, .code = "rollout_running", .detail = "another rollout is running: it ends first"});
  }
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const std::uint64_t number = one.approval.number;
  const auto begun = api.options().rollouts->Begin(number);
  if (!begun) return std::unexpected(ProblemOf(begun.error()));
  Note(api, number, context.principal.name, WithReason("rollout approved", context));
  if (begun->state == Rollout::State::kReturned) {
    Decide(api, context, number, "refused", begun->why);
    return std::unexpected(Problem{.status = 409, .code = "refused", .detail = "it is approved, but " + begun->why});
  }
  Decide(api, context, number, "approved", context.reason);
  return JsonResponse(200,
                      json::serialize(json::object{{"number", number}, {"state", "approved"}, {"rollout", number}}));
}

Answer Approve(Api& api, Context& context) {
  const auto one = BeginDecision(api, context);
  if (!one) return std::unexpected(one.error());
  if (!IsSecondPerson(context.principal, one->approval)) {
    return std::unexpected(
        Problem{.status = 403,
                .code = "own_change",
                .detail = "a change is approved by somebody else than who made it; all tokens that a person has made "
                          "are that person"});
  }
  return one->approval.rollout ? BeginRollout(api, context, *one) : BringIntoForce(api, context, *one);
}

// Who made the change may take it back in this way, too.
Answer Reject(Api& api, Context& context) {
  const auto one = BeginDecision(api, context);
  if (!one) return std::unexpected(one.error());
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const std::uint64_t number = one->approval.number;
  const std::string note = WithReason("rejected", context);
  if (const auto done = api.options().rollouts->GiveUp(number, note); !done) {
    Problem problem = ProblemOf(done.error());
    if (problem.status == 409) problem.code = "not_waiting";  // any more: somebody else has decided
    return std::unexpected(std::move(problem));
  }
  Note(api, number, context.principal.name, note);
  Decide(api, context, number, "rejected", context.reason);
  return JsonResponse(200, json::serialize(json::object{{"number", number}, {"state", "rejected"}}));
}

}  // namespace

void AddApprovalRoutes(std::vector<Route>& routes) {
  routes.push_back({.method = "GET",
                    .path = "/approvals",
                    .operation = "listApprovals",
                    .summary = "Changes that a second person has to approve, the newest first.",
                    .verb = Verb::kRead,
                    .resource = Resource::kApprovals,
                    .handler = List,
                    .response_schema = "List",
                    .query = {{"limit", "how many, 1 to 1000 (100)"},
                              {"cursor", "`next` of the page before"},
                              {"state", "waiting: only those that wait"}}});
  routes.push_back({.method = "GET",
                    .path = "/approvals/{number}",
                    .operation = "getApproval",
                    .summary = "One of them; what it would change is at /revisions/{number}/diff.",
                    .verb = Verb::kRead,
                    .resource = Resource::kApprovals,
                    .handler = Get});
  const auto decides = [&](std::string path, std::string operation, std::string summary, Handler handler) {
    routes.push_back({.method = "POST",
                      .path = std::move(path),
                      .operation = std::move(operation),
                      .summary = std::move(summary),
                      .verb = Verb::kApprove,
                      .resource = Resource::kApprovals,
                      .handler = handler,
                      .body = BodyKind::kJson,
                      .max_body = kMostBody,
                      .request_schema = "Reason",
                      .idempotent = true,
                      .heavy = true});
  };
  decides("/approvals/{number}/approve", "approve",
          "Approve somebody else's change: it comes into force, or its rollout begins.", Approve);
  decides("/approvals/{number}/reject", "reject", "Reject a change, or take back one's own.", Reject);
}

}  // namespace weir::management::rest
