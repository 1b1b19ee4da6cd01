#include "management/rest/rollouts/candidates.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/log.h"
#include "config/source/record_kinds.h"
#include "management/rest/api.h"
#include "management/rest/bulk.h"
#include "management/rest/entities.h"
#include "management/rest/handlers.h"
#include "management/rest/record_body.h"
#include "management/rest/rollouts/approvals.h"
#include "management/rest/rollouts/rollouts.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostBody = std::size_t{16} << 20;
constexpr std::size_t kPage = 10'000;

}  // namespace

bool ChangesPolicy(const config::RecordWrite& write) { return config::EffectOf(write.id) == config::Effect::kPolicy; }

bool IsPolicyRecord(const config::RecordWrite& write) {
  return write.id.kind != config::kOverrides && ChangesPolicy(write);
}

Result<std::vector<config::RecordWrite>> WritesOfCandidate(config::ConfigStore& store, std::uint64_t number) {
  const auto revision = store.GetRevision(number);
  if (!revision) return std::unexpected(revision.error());
  using State = config::RevisionState;
  if (revision->state == State::kInForce || revision->state == State::kRolledBack) {
    return Fail(ErrorCode::kFailedPrecondition, "revision " + std::to_string(number) + " is not a candidate");
  }
  std::vector<config::RecordWrite> writes;
  config::RecordId after;
  while (true) {
    auto page = store.Changes(number, after, kPage);
    if (!page) return std::unexpected(page.error());
    for (config::RecordChange& change : page->changes) {
      writes.push_back({.id = std::move(change.id), .body = std::move(change.after)});
    }
    if (!page->next) return writes;
    after = page->next->id;
  }
}

std::expected<std::vector<config::RecordWrite>, Problem> ReadCandidate(Api& api, Context& context,
                                                                       const json::object& body) {
  const json::value* const changes = body.if_contains("changes");
  const json::value* const document = body.if_contains("document");
  if ((changes == nullptr) == (document == nullptr)) {
    return std::unexpected(InvalidBody({{.path = "changes", .message = "either changes or document is needed"}}));
  }
  if (!api.options().live->policy_in_store()) {
    return std::unexpected(
        Problem{.status = 409,
                .code = "policy_is_a_file",
                .detail = "the policy comes from " + api.options().policy_file + ": change it there"});
  }
  if (document != nullptr && !Allowed(context.principal, Verb::kUpdate, Resource::kConfig, "")) {
    return std::unexpected(
        Problem{.status = 403,
                .code = "forbidden",
                .detail = MissingPermission(context.principal, Verb::kUpdate, Resource::kConfig, "")});
  }
  const std::string whole = document != nullptr ? json::serialize(*document) : "";
  // Reading it compiles it, and so its scripts.
  if (auto refused = RefuseHostAccess(whole)) return std::unexpected(std::move(*refused));
  auto writes = changes != nullptr ? ReadChanges(api, context, *changes)
                                   : ReadDocumentChanges(api, whole, config::Entities::kKeep);
  if (!writes) return std::unexpected(std::move(writes.error()));
  if (!std::ranges::all_of(*writes, IsPolicyRecord)) {
    return std::unexpected(InvalidBody(
        {{.path = "changes", .message = "only the policy can be tried first; users and tenants are changed at once"}}));
  }
  if (writes->empty()) {
    return std::unexpected(Problem{.status = 409, .code = "no_change", .detail = "everything is so already"});
  }
  if (auto refused = TryPolicy(api, *writes)) return std::unexpected(std::move(*refused));
  return writes;
}

Result<Promotion> PromoteCandidate(config::ConfigStore& store, LiveConfig& live, std::uint64_t number,
                                   const config::Origin& origin) {
  const auto promoted = store.Promote(number, origin);
  if (!promoted) return std::unexpected(promoted.error());
  Promotion promotion{.revision = promoted->revision.number};
  const auto caught = live.CatchUp(promotion.revision);
  if (caught) return promotion;
  promotion.why = caught.error().message;
  promotion.outcome = caught.error().code == ErrorCode::kFailedPrecondition ? Promotion::Outcome::kRefused
                                                                            : Promotion::Outcome::kPending;
  if (promotion.outcome == Promotion::Outcome::kPending) return promotion;
  const auto back = TakeBack(store, live, promotion.revision,
                             {.author = "weir", .method = origin.method, .reason = promotion.why, .source = "api"});
  if (!back) {
    log::Error("taking back a change that the engine refuses has failed",
               {{"revision", std::to_string(promotion.revision)}, {"why", back.error().message}});
  }
  return promotion;
}

Result<std::uint64_t> TakeBack(config::ConfigStore& store, LiveConfig& live, std::uint64_t revision,
                               config::Origin origin) {
  config::Draft draft{.origin = std::move(origin)};
  config::RecordId after;
  while (true) {
    auto page = store.Changes(revision, after, kPage);
    if (!page) return std::unexpected(page.error());
    for (config::RecordChange& change : page->changes) {
      draft.writes.push_back(
          {.id = std::move(change.id), .body = std::move(change.before), .if_version = change.after ? revision : 0});
    }
    if (!page->next) break;
    after = page->next->id;
  }
  const auto appended = store.Append(std::move(draft));
  if (!appended) return std::unexpected(appended.error());
  if (auto caught = live.CatchUp(appended->revision.number); !caught) return std::unexpected(caught.error());
  return appended->revision.number;
}

Result<std::unique_ptr<Comparison>> TryOut(const TrialParts& parts, std::uint64_t number) {
  const auto writes = WritesOfCandidate(*parts.store, number);
  if (!writes) return std::unexpected(writes.error());
  const auto candidate = parts.live->loader().Policy(*writes);
  if (!candidate) return std::unexpected(candidate.error());
  if (!candidate->ok()) return std::unexpected(candidate->ToError());
  const auto snapshot = parts.engine->snapshot();
  auto comparison = Comparison::Create(snapshot->document(), candidate->policy, parts.make_store);
  if (comparison && parts.recorder != nullptr) (*comparison)->Follow(*parts.recorder, *snapshot);
  return comparison;
}

json::object DryRunJson(const TrialParts& parts, const Comparison& comparison) {
  json::object out = comparison.ToJson();
  json::object sample{{"recording", parts.recorder != nullptr}};
  if (parts.recorder != nullptr) {
    const analytics::RecorderStats stats = parts.recorder->Stats();
    sample["share_of_subjects"] = stats.share;
    sample["kept"] = stats.kept;
    sample["outside"] = stats.outside;
    sample["left_out"] = stats.left_out;
    if (stats.oldest > 0) sample["since"] = TimestampText(stats.oldest);
  }
  out["sample"] = std::move(sample);
  return out;
}

TrialParts PartsOf(const Api& api) {
  const ApiOptions& options = api.options();
  return {.store = options.store,
          .live = options.live,
          .engine = options.engine,
          .recorder = options.recorder,
          .make_store = options.make_store};
}

namespace {

Answer Create(Api& api, Context& context) {
  const auto body = ReadObject(context.request.body, {"changes", "document", "reason"});
  if (!body) return std::unexpected(body.error());
  if (const auto reason = TextOf(*body, "reason")) context.reason = *reason;
  auto writes = ReadCandidate(api, context, *body);
  if (!writes) return std::unexpected(std::move(writes.error()));
  context.after = json::serialize(json::object{{"changes", writes->size()}});
  const auto proposed = api.Propose(context, {.writes = std::move(*writes)});
  if (!proposed) return std::unexpected(proposed.error());
  ApiResponse response = JsonResponse(201, json::serialize(ToJsonObject(proposed->revision)));
  response.headers.emplace_back("Location",
                                std::string(kPrefix) + "/revisions/" + std::to_string(proposed->revision.number));
  return response;
}

Answer DryRun(Api& api, Context& context) {
  const auto number = RevisionNumber(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  if (const auto body = ReadObject(context.request.body, {}); !body) return std::unexpected(body.error());
  const TrialParts parts = PartsOf(api);
  const auto comparison = TryOut(parts, *number);
  if (!comparison) {
    Problem problem = ProblemOf(comparison.error());
    if (problem.status == 409) problem.code = "not_a_candidate";
    return std::unexpected(std::move(problem));
  }
  json::object out = DryRunJson(parts, **comparison);
  out["revision"] = *number;
  return JsonResponse(200, json::serialize(out));
}

Answer Withdraw(Api& api, Context& context) {
  const auto number = RevisionNumber(context.parameters.front());
  if (!number) return std::unexpected(number.error());
  const auto body = ReadObject(context.request.body, {"reason"});
  if (!body) return std::unexpected(body.error());
  if (const auto reason = TextOf(*body, "reason")) context.reason = *reason;
  if (const auto writes = WritesOfCandidate(*api.options().store, *number); !writes) {
    return std::unexpected(ProblemOf(writes.error()));
  }
  const auto rollout = api.options().rollouts->Get(*number);
  if (rollout && rollout->active()) {
    return std::unexpected(
        Problem{.status = 409, .code = "rollout_running", .detail = "it is being rolled out: abort that"});
  }
  if (auto refused = api.AuditChange(context)) return std::unexpected(std::move(*refused));
  const auto withdrawn =
      api.options().rollouts->GiveUp(*number, "withdrawn" + (context.reason.empty() ? "" : ": " + context.reason));
  if (!withdrawn) return std::unexpected(ProblemOf(withdrawn.error()));
  // From here on nothing can bring it into force: what waited for it is told, so that it does not wait for ever.
  const auto told =
      CloseApproval(*api.options().documents, *number,
                    {.what = "withdrawn", .by = context.principal.name, .because = context.reason, .at = context.now});
  if (!told) log::Warn("a withdrawal is not noted at its approval", {{"why", told.error().message}});
  return JsonResponse(200, json::serialize(ToJsonObject(*withdrawn)));
}

}  // namespace

void AddCandidateRoutes(std::vector<Route>& routes) {
  routes.push_back({.method = "POST",
                    .path = "/revisions",
                    .operation = "proposeRevision",
                    .summary = "Keep a change of the policy as a candidate, which does not hold yet.",
                    .verb = Verb::kCreate,
                    .resource = Resource::kRevisions,
                    .handler = Create,
                    .body = BodyKind::kJson,
                    .max_body = kMostBody,
                    .request_schema = "Candidate",
                    .success = 201,
                    .idempotent = true,
                    .heavy = true});
  routes.push_back({.method = "POST",
                    .path = "/revisions/{number}/dry-run",
                    .operation = "dryRun",
                    .summary = "Replay the last hour's recorded decisions: who would be denied by the candidate and is "
                               "not now, and the reverse.",
                    .verb = Verb::kRun,
                    .resource = Resource::kSimulate,
                    .handler = DryRun,
                    .body = BodyKind::kJson,
                    .max_body = 1 << 10,
                    .request_schema = "Nothing",
                    .response_schema = "DryRun",
                    .heavy = true,
                    .asks_only = true});
  routes.push_back({.method = "POST",
                    .path = "/revisions/{number}/withdraw",
                    .operation = "withdrawRevision",
                    .summary = "Give a candidate up.",
                    .verb = Verb::kUpdate,
                    .resource = Resource::kRevisions,
                    .handler = Withdraw,
                    .body = BodyKind::kJson,
                    .max_body = 16 << 10,
                    .request_schema = "Reason"});
}

}  // namespace weir::management::rest
