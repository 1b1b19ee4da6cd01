#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "management/audit/redact.h"
#include "management/rest/api.h"
#include "management/rest/entities.h"
#include "management/rest/handlers.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostDiff = 1'000;
constexpr std::size_t kMostRolledBack = 100'000;

std::expected<std::uint64_t, Problem> NumberOf(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size() || number == 0) {
    return std::unexpected(NotFound("there is no such revision"));
  }
  return number;
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
  const auto page = api.PageOf(context);
  if (!page) return std::unexpected(page.error());
  config::RevisionQuery query{.most = page->limit};
  if (!page->position.empty()) {
    const auto before = NumberOf(page->position);
    if (!before) return std::unexpected(before.error());
    query.before = *before;
  }
  if (const std::string* author = context.Query("author")) query.author = *author;
  auto found = api.options().store->ListRevisions(query);
  if (!found) return std::unexpected(ProblemOf(found.error()));
  json::array items;
  for (const config::Revision& revision : found->revisions) items.push_back(ToJsonObject(revision));
  json::object body;
  body["items"] = std::move(items);
  body["in_force"] = api.options().live->in_force();
  if (found->next > 0) body["next"] = api.NextCursor(context, std::to_string(found->next));
  return JsonResponse(200, json::serialize(body));
}

Answer Get(Api& api, Context& context) {
  const auto number = NumberOf(context.parameters.front());
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
  const auto number = NumberOf(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  Result<config::ChangePage> page = [&]() -> Result<config::ChangePage> {
    if (const std::string* against = context.Query("against")) {
      const auto from = NumberOf(*against);
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
  const auto number = NumberOf(context.parameters.front());
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

// A rollback to a policy that would be refused today is refused before it is kept.
std::optional<Problem> TryRollback(Api& api, std::uint64_t number) {
  const auto head = api.options().store->Head();
  if (!head) return ProblemOf(head.error());
  std::vector<config::RecordWrite> writes;
  bool policy = false;
  config::RecordId after;
  while (true) {
    auto page = api.options().store->Diff(head->number, number, after, 10'000);
    if (!page) return ProblemOf(page.error());
    for (config::RecordChange& change : page->changes) {
      policy |= config::EffectOf(change.id) == config::Effect::kPolicy;
      if (config::EffectOf(change.id) == config::Effect::kPolicy)
        writes.push_back({change.id, std::move(change.after), {}});
    }
    if (!page->next || writes.size() > kMostRolledBack) break;
    after = page->next->id;
  }
  if (!policy || !api.options().live->policy_in_store()) return std::nullopt;
  return TryPolicy(api, writes);
}

Answer Rollback(Api& api, Context& context) {
  const auto number = NumberOf(context.parameters.front());
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
  if (auto refused = TryRollback(api, *number)) return std::unexpected(std::move(*refused));
  context.after = json::serialize(json::object{{"rollback_to", *number}});
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
