// What handlers do to make a change: write it down, keep it, bring it into force, or ask a second person.
#include <boost/json.hpp>
#include <utility>

#include "base/log.h"
#include "management/rest/api.h"
#include "management/rest/handlers.h"
#include "management/rest/rollouts/approvals.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

std::vector<std::string> RoleTexts(const Principal& principal) {
  std::vector<std::string> texts;
  for (const RoleGrant& grant : principal.roles) {
    texts.push_back(std::string(NameOf(grant.role)) + (grant.tenant.empty() ? "" : "@" + grant.tenant));
  }
  return texts;
}

audit::Record RecordOf(const Context& context, int status) {
  audit::Record record;
  record.time = context.now;
  record.actor = {.name = context.principal.name,
                  .kind = std::string(NameOf(context.principal.kind)),
                  .roles = RoleTexts(context.principal),
                  .tenant = context.principal.tenant,
                  .method = std::string(NameOf(context.principal.method)),
                  .credential = context.principal.credential};
  record.action = PermissionText(context.route.verb, context.route.resource);
  record.object = context.object;
  record.before = context.before;
  record.after = context.after;
  record.address = context.request.peer;
  record.user_agent = context.request.headers.user_agent;
  record.request_id = context.request.request_id;
  record.status = static_cast<std::uint16_t>(status);
  record.reason = context.reason;
  return record;
}

}  // namespace

void Api::AuditOutcome(Context& context, int status, const std::string& why) {
  audit::Record record = RecordOf(context, status);
  record.outcome = status < 400                     ? audit::Outcome::kSuccess
                   : status == 401 || status == 403 ? audit::Outcome::kDenied
                                                    : audit::Outcome::kError;
  if (!why.empty()) record.reason = why;
  if (const auto written = options_.audit->Append(record, context.now); !written) {
    log::Error("an audit record was not written", {{"why", written.error().message}});
  }
}

std::optional<Problem> Api::AuditChange(Context& context, int status) {
  context.audited = true;
  audit::Record record = RecordOf(context, status != 0 ? status : context.route.success);
  record.outcome = audit::Outcome::kSuccess;
  if (const auto written = options_.audit->Append(record, context.now); !written) {
    log::Error("an audit record was not written, so the change was refused", {{"why", written.error().message}});
    return Problem{.status = 503,
                   .code = "audit_unavailable",
                   .detail = "the change could not be written into the audit log, so it was not made",
                   .headers = {{"Retry-After", "5"}}};
  }
  return std::nullopt;
}

config::Origin Api::OriginOf(const Context& context) const {
  return {.author = context.principal.name,
          .method = std::string(NameOf(context.principal.method)),
          .reason = context.reason,
          .source = "api"};
}

namespace {

Problem NotKept(const Error& error) {
  Problem problem = ProblemOf(error);
  if (error.code == ErrorCode::kFailedPrecondition) {
    problem.status = 412;
    problem.code = "changed_meanwhile";
  }
  return problem;
}

std::optional<Problem> RefuseHostAccessOf(const config::Draft& draft) {
  for (const config::RecordWrite& write : draft.writes) {
    if (!write.body) continue;
    if (auto refused = RefuseHostAccess(write.body->value)) return refused;
  }
  return std::nullopt;
}

}  // namespace

std::expected<config::Appended, Problem> Api::Propose(Context& context, config::Draft draft) {
  if (auto refused = RefuseHostAccessOf(draft)) return std::unexpected(std::move(*refused));
  if (auto refused = AuditChange(context)) return std::unexpected(std::move(*refused));
  draft.origin = OriginOf(context);
  auto proposed = options_.store->Propose(std::move(draft));
  if (!proposed) return std::unexpected(NotKept(proposed.error()));
  if (!proposed->changed) {
    return std::unexpected(Problem{.status = 409, .code = "no_change", .detail = "everything is so already"});
  }
  // Who proposed it cannot approve it, whoever rolls it out.
  const std::uint64_t number = proposed->revision.number;
  if (const auto noted = options_.documents->Put(kCandidateKind, number, WriteProposer(context.principal)); !noted) {
    (void)options_.store->SetState(number, config::RevisionState::kRolledBack);
    return std::unexpected(ProblemOf(noted.error()));
  }
  return std::move(*proposed);
}

Problem Api::AskForApproval(Context& context, config::Draft draft) {
  if (auto refused = AuditChange(context, 202)) return std::move(*refused);
  draft.origin = OriginOf(context);
  const auto proposed = options_.store->Propose(std::move(draft));
  if (!proposed) return NotKept(proposed.error());
  if (!proposed->changed) return {.status = 409, .code = "no_change", .detail = "everything is so already"};
  const std::uint64_t number = proposed->revision.number;
  const auto asked = rest::AskForApproval(*options_.documents,
                                          {.number = number,
                                           .author = context.principal.name,
                                           .persons = NamesOfPerson(context.principal),
                                           .reason = context.reason,
                                           .asked = context.now},
                                          *options_.store);
  if (!asked) {
    (void)options_.store->SetState(number, config::RevisionState::kRolledBack);
    return ProblemOf(asked.error());
  }
  json::object body{{"approval", number}, {"state", "waiting"}};
  if (!context.secret.empty()) body["key"] = context.secret;
  context.deferred = JsonResponse(202, json::serialize(body));
  context.deferred->headers.emplace_back("Location", std::string(kPrefix) + "/approvals/" + std::to_string(number));
  return {.status = 202, .code = "approval_needed", .detail = "a second person has to approve it"};
}

std::expected<config::Appended, Problem> Api::Append(Context& context, config::Draft draft) {
  if (auto refused = RefuseHostAccessOf(draft)) return std::unexpected(std::move(*refused));
  if (NeedApproval(options_.engine->snapshot()->document().approvals, draft.writes)) {
    return std::unexpected(AskForApproval(context, std::move(draft)));
  }
  if (auto refused = AuditChange(context)) return std::unexpected(std::move(*refused));
  draft.origin = OriginOf(context);
  auto appended = options_.store->Append(std::move(draft));
  if (!appended) return std::unexpected(NotKept(appended.error()));
  if (const auto caught = options_.live->CatchUp(appended->revision.number); !caught) {
    return std::unexpected(Problem{.status = 503,
                                   .code = "not_in_force_yet",
                                   .detail = "revision " + std::to_string(appended->revision.number) +
                                             " is kept, and not in force yet: " + caught.error().message});
  }
  return std::move(*appended);
}

}  // namespace weir::management::rest
