#include "management/rest/revisions.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "management/audit/redact.h"
#include "management/rest/api.h"
#include "management/rest/entities.h"
#include "management/rest/handlers.h"
#include "management/rest/rollouts/approvals.h"
#include "management/rest/rollouts/candidates.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostDiff = 1'000;
constexpr std::size_t kMostRolledBack = 100'000;

json::value Shown(const std::optional<config::RecordBody>& body) {
  if (!body) return nullptr;
  boost::system::error_code fault;
  json::value value = json::parse(audit::RedactJson(WriteRecordBody(*body)), fault);
  return fault ? json::value(nullptr) : value;
}

json::array ToJsonArray(const std::vector<config::RecordChange>& changes) {
  json::array items;
  for (const config::RecordChange& change : changes) {
    json::object one;
    one["kind"] = change.id.kind;
    one["key"] = change.id.key;
    one["before"] = Shown(change.before);
    one["after"] = Shown(change.after);
    items.push_back(std::move(one));
  }
  return items;
}

Answer List(Api& api, Context& context) {
  const auto page = NumberedPageOf(api, context);
  if (!page) return std::unexpected(page.error());
  config::RevisionQuery query{.before = page->before, .most = page->most};
  if (const std::string* author = context.Query("author")) query.author = *author;
  auto found = api.options().store->ListRevisions(query);
  if (!found) return std::unexpected(ProblemOf(found.error()));
  json::array items;
  for (const config::Revision& revision : found->revisions) items.push_back(ToJsonObject(revision));
  json::object body = NumberedList(api, context, std::move(items), found->next);
  body["in_force"] = api.options().live->in_force();
  return JsonResponse(200, json::serialize(body));
}

Answer Get(Api& api, Context& context) {
  const auto number = RevisionNumber(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  const auto revision = api.options().store->GetRevision(*number);
  if (!revision) return std::unexpected(ProblemOf(revision.error()));
  const auto notes = api.options().store->Annotations(*number);
  if (!notes) return std::unexpected(ProblemOf(notes.error()));
  json::object body = ToJsonObject(*revision);
  json::array annotations;
  for (const config::Annotation& note : *notes) {
    annotations.push_back(
        json::object{{"time", TimestampText(note.time)}, {"author", note.author}, {"text", note.text}});
  }
  body["annotations"] = std::move(annotations);
  return JsonResponse(200, json::serialize(body));
}

// The first kMostDiff records that differ; `truncated` says that there are more.
Answer Diff(Api& api, Context& context) {
  const auto number = RevisionNumber(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  Result<config::ChangePage> page = [&]() -> Result<config::ChangePage> {
    if (const std::string* against = context.Query("against")) {
      const auto from = RevisionNumber(*against);
      if (!from) return Fail(ErrorCode::kNotFound, "there is no such revision");
      return api.options().store->Diff(*from, *number, {}, kMostDiff);
    }
    return api.options().store->Changes(*number, {}, kMostDiff);
  }();
  if (!page) return std::unexpected(ProblemOf(page.error()));
  json::object body;
  body["items"] = ToJsonArray(page->changes);
  body["truncated"] = page->next.has_value();
  return JsonResponse(200, json::serialize(body));
}

Answer Annotate(Api& api, Context& context) {
  const auto number = RevisionNumber(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  const auto body = ReadObject(context.request.body, {"text"});
  if (!body) return std::unexpected(body.error());
  const auto text = TextOf(*body, "text");
  if (!text || text->empty()) return std::unexpected(InvalidBody({{.path = "text", .message = "must be text"}}));
  if (const auto known = api.options().store->GetRevision(*number); !known) {
    return std::unexpected(ProblemOf(known.error()));
  }
  context.after = json::serialize(json::object{{"text", *text}});
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const auto done = api.options().store->Annotate(*number, context.principal.name, *text);
  if (!done) return std::unexpected(ProblemOf(done.error()));
  return JsonResponse(201, context.after);
}

// What a rollback would write: at most kMostRolledBack records, and one more when there are more.
std::expected<std::vector<config::RecordWrite>, Problem> WritesOfRollback(Api& api, std::uint64_t number) {
  const auto head = api.options().store->Head();
  if (!head) return std::unexpected(ProblemOf(head.error()));
  std::vector<config::RecordWrite> writes;
  config::RecordId after;
  while (true) {
    auto page = api.options().store->Diff(head->number, number, after, 10'000);
    if (!page) return std::unexpected(ProblemOf(page.error()));
    for (config::RecordChange& change : page->changes) writes.push_back({change.id, std::move(change.after), {}});
    if (!page->next || writes.size() > kMostRolledBack) return writes;
    after = page->next->id;
  }
}

// A rollback to a policy that would be refused today is refused before it is kept.
std::optional<Problem> TryRollback(Api& api, std::span<const config::RecordWrite> writes) {
  if (!api.options().live->policy_in_store() || std::ranges::none_of(writes, ChangesPolicy)) return std::nullopt;
  return TryPolicy(api, writes);
}

// Also when it would switch approvals off.
bool NeedsTwo(const Api& api, const std::vector<config::RecordWrite>& writes) {
  const auto snapshot = api.options().engine->snapshot();
  const ApprovalsConfig& approvals = snapshot->document().approvals;
  const ApprovalsConfig any{.required_for = {ApprovalScope::kRollbacks}};
  return NeedApproval(approvals, ApprovalScope::kRollbacks) ||
         (!approvals.required_for.empty() && NeedApproval(any, writes));
}

// It is kept as a candidate, until a second person has approved it.
Problem AskForRollback(Api& api, Context& context, std::vector<config::RecordWrite> writes) {
  if (writes.size() > kMostRolledBack) {
    return {.status = 413, .code = "too_many_changes", .detail = "that is too much to be approved as one change"};
  }
  return api.AskForApproval(context, {.writes = std::move(writes)});
}

Answer Rollback(Api& api, Context& context) {
  const auto number = RevisionNumber(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  const auto body = ReadObject(context.request.body, {"reason"});
  if (!body) return std::unexpected(body.error());
  if (const auto reason = TextOf(*body, "reason")) context.reason = *reason;
  if (context.reason.empty()) {
    return std::unexpected(InvalidBody({{.path = "reason", .message = "is missing: why it is rolled back"}}));
  }
  if (const auto known = api.options().store->GetRevision(*number); !known) {
    return std::unexpected(ProblemOf(known.error()));
  }
  auto writes = WritesOfRollback(api, *number);
  if (!writes) return std::unexpected(std::move(writes.error()));
  if (auto refused = TryRollback(api, *writes)) return std::unexpected(std::move(*refused));
  context.after = json::serialize(json::object{{"rollback_to", *number}});
  if (NeedsTwo(api, *writes)) {
    context.reason = "rollback to " + std::to_string(*number) + ": " + context.reason;
    return std::unexpected(AskForRollback(api, context, std::move(*writes)));
  }
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const auto appended = api.options().store->Rollback(*number, api.OriginOf(context));
  if (!appended) return std::unexpected(ProblemOf(appended.error()));
  if (const auto caught = api.options().live->CatchUp(appended->revision.number); !caught) {
    return std::unexpected(ProblemOf(caught.error()));
  }
  if (api.options().rolled_back) api.options().rolled_back();
  json::object out = ToJsonObject(appended->revision);
  out["changed"] = appended->changed;
  return JsonResponse(200, json::serialize(out));
}

}  // namespace

std::expected<NumberedPage, Problem> NumberedPageOf(const Api& api, const Context& context) {
  const auto page = api.PageOf(context);
  if (!page) return std::unexpected(page.error());
  if (page->position.empty()) return NumberedPage{.most = page->limit};
  const auto before = RevisionNumber(page->position);
  if (!before) return std::unexpected(before.error());
  return NumberedPage{.before = *before, .most = page->limit};
}

json::object NumberedList(const Api& api, const Context& context, json::array items, std::uint64_t before) {
  json::object body;
  body["items"] = std::move(items);
  if (before > 0) body["next"] = api.NextCursor(context, std::to_string(before));
  return body;
}

std::string_view NameOfState(config::RevisionState state) {
  switch (state) {
    case config::RevisionState::kCandidate:
      return "candidate";
    case config::RevisionState::kShadow:
      return "shadow";
    case config::RevisionState::kRollingOut:
      return "rolling_out";
    case config::RevisionState::kInForce:
      return "in_force";
    case config::RevisionState::kRolledBack:
      return "rolled_back";
  }
  return "in_force";
}

json::object ToJsonObject(const config::Revision& revision) {
  json::object out;
  out["number"] = revision.number;
  out["parent"] = revision.parent;
  out["author"] = revision.author;
  out["method"] = revision.method;
  out["reason"] = revision.reason;
  out["source"] = revision.source;
  out["time"] = TimestampText(revision.time);
  out["state"] = NameOfState(revision.state);
  out["changes"] = revision.change_count;
  if (revision.rollback_to > 0) out["rollback_to"] = revision.rollback_to;
  if (revision.promotes > 0) out["promotes"] = revision.promotes;
  if (revision.promoted_as > 0) out["promoted_as"] = revision.promoted_as;
  return out;
}

std::expected<std::uint64_t, Problem> RevisionNumber(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size() || number == 0) {
    return std::unexpected(NotFound("there is no such revision"));
  }
  return number;
}

void AddRevisionRoutes(std::vector<Route>& routes) {
  routes.push_back({.method = "GET",
                    .path = "/revisions",
                    .operation = "listRevisions",
                    .summary = "The accepted changes, the newest first.",
                    .verb = Verb::kRead,
                    .resource = Resource::kRevisions,
                    .handler = List,
                    .response_schema = "List",
                    .query = {{"limit", "how many, 1 to 1000 (100)"},
                              {"cursor", "`next` of the page before"},
                              {"author", "only by this one"}}});
  routes.push_back({.method = "GET",
                    .path = "/revisions/{number}",
                    .operation = "getRevision",
                    .summary = "One change: who, when, why, from where.",
                    .verb = Verb::kRead,
                    .resource = Resource::kRevisions,
                    .handler = Get});
  routes.push_back({.method = "GET",
                    .path = "/revisions/{number}/diff",
                    .operation = "diffRevision",
                    .summary = "What it changed; with `against`, what differs from that revision.",
                    .verb = Verb::kRead,
                    .resource = Resource::kRevisions,
                    .handler = Diff,
                    .query = {{"against", "the number of the revision to compare with"}}});
  routes.push_back({.method = "POST",
                    .path = "/revisions/{number}/annotations",
                    .operation = "annotateRevision",
                    .summary = "Add a remark.",
                    .verb = Verb::kUpdate,
                    .resource = Resource::kRevisions,
                    .handler = Annotate,
                    .body = BodyKind::kJson,
                    .max_body = 16 << 10,
                    .request_schema = "Annotation",
                    .success = 201,
                    .idempotent = true});
  routes.push_back({.method = "POST",
                    .path = "/revisions/{number}/rollback",
                    .operation = "rollback",
                    .summary = "Make everything as it was at that revision, as a new revision.",
                    .verb = Verb::kRollback,
                    .resource = Resource::kRevisions,
                    .handler = Rollback,
                    .body = BodyKind::kJson,
                    .max_body = 16 << 10,
                    .request_schema = "Rollback",
                    .idempotent = true,
                    .heavy = true});
}

}  // namespace weir::management::rest
