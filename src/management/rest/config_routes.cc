// The document as a whole: read, validate, replace, export and import.
#include <algorithm>
#include <boost/json.hpp>

#include "config/document/node.h"
#include "config/source/loader.h"
#include "engine/document_faults.h"
#include "management/audit/redact.h"
#include "management/rest/api.h"
#include "management/rest/etag.h"
#include "management/rest/handlers.h"
#include "management/rest/record_body.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostDocument = config::kMaxDocumentBytes;

json::array ToJsonArray(const std::vector<Fault>& faults, Severity severity) {
  json::array out;
  for (const Fault& fault : faults) {
    if (fault.severity != severity) continue;
    json::object one{{"path", fault.path}, {"message", fault.message}};
    if (fault.line > 0) one["line"] = fault.line;
    if (fault.column > 0) one["column"] = fault.column;
    if (!fault.hint.empty()) one["hint"] = fault.hint;
    out.push_back(std::move(one));
  }
  return out;
}

// The whole document of a body, with every fault that it has. Files that it names are not read.
config::LoadedDocument ReadWhole(const std::string& text) {
  ParsedConfig parsed = ParseConfig(text);
  config::LoadedDocument loaded{.config = std::move(parsed.config), .faults = {}, .files = {}};
  if (!loaded.config.envoy.files.empty()) {
    parsed.faults.push_back({.path = "envoy.files", .message = "files cannot be named here"});
  }
  for (Fault& fault : parsed.faults) loaded.faults.push_back({.file = "", .fault = std::move(fault)});
  if (loaded.ok()) engine::AddCompileFaults(text, "", loaded);
  return loaded;
}

std::vector<Fault> FaultsOf(const config::LoadedDocument& loaded) {
  std::vector<Fault> faults;
  for (const config::FileFault& one : loaded.faults) faults.push_back(one.fault);
  return faults;
}

Problem Invalid(const std::vector<Fault>& faults) {
  std::vector<BodyFault> errors;
  for (const Fault& fault : faults) {
    if (fault.severity != Severity::kError) continue;
    errors.push_back({fault.path, fault.line, fault.column, fault.message, fault.hint});
  }
  return InvalidBody(std::move(errors));
}

Answer Validate(Api& /*api*/, Context& context) {
  const std::vector<Fault> faults = FaultsOf(ReadWhole(context.request.body));
  json::object out;
  json::array errors = ToJsonArray(faults, Severity::kError);
  out["valid"] = errors.empty();
  out["errors"] = std::move(errors);
  out["warnings"] = ToJsonArray(faults, Severity::kWarning);
  return JsonResponse(200, json::serialize(out));
}

// What is in force, without secrets.
Answer Export(Api& api, Context& context) {
  const std::string text = audit::RedactJson(ToJson(api.options().engine->snapshot()->Written()));
  ApiResponse response = JsonResponse(200, text);
  if (const std::string* format = context.Query("format"); format != nullptr && *format != "json") {
    if (*format != "yaml") return std::unexpected(BadRequest("invalid_format", "format must be yaml or json"));
    const config::ParsedTree tree = config::ParseJsonTree(text);
    response.body = config::EmitYaml(tree.root);
    response.content_type = "application/yaml";
  }
  response.headers.emplace_back("ETag", EntityTag(api.options().live->in_force()));
  return response;
}

// What decides about the host that weir runs on is the operator's: no API token may point it at other files, stores or
// ports, or have it run scripts.
std::optional<Problem> RefuseHostSettings(const EnterpriseRateLimitConfig& config,
                                          const EnterpriseRateLimitConfig& now) {
  const bool same = config.server == now.server && config.storage == now.storage && config.jwt == now.jwt;
  if (same) return std::nullopt;
  return Problem{.status = 403,
                 .code = "host_settings",
                 .detail = "server, storage and jwt cannot be changed over the API: leave them out"};
}

}  // namespace

std::expected<std::vector<config::RecordWrite>, Problem> ReadDocumentChanges(Api& api, const std::string& text,
                                                                             config::Entities entities) {
  if (!api.options().live->policy_in_store()) {
    return std::unexpected(
        Problem{.status = 409,
                .code = "policy_is_a_file",
                .detail = "the policy comes from " + api.options().policy_file + ": change it there"});
  }
  config::LoadedDocument loaded = ReadWhole(text);
  if (!loaded.ok()) return std::unexpected(Invalid(FaultsOf(loaded)));
  const auto now = api.options().live->loader().Policy();
  if (!now) return std::unexpected(ProblemOf(now.error()));
  // Left out: as they are.
  const EnterpriseRateLimitConfig plain;
  if (loaded.config.server == plain.server) loaded.config.server = now->policy.server;
  if (loaded.config.storage == plain.storage) loaded.config.storage = now->policy.storage;
  if (loaded.config.jwt == plain.jwt) loaded.config.jwt = now->policy.jwt;
  if (auto refused = RefuseHostSettings(loaded.config, now->policy)) return std::unexpected(std::move(*refused));
  auto writes = config::WritesToBecome(*api.options().store, loaded.config, entities);
  if (!writes) return std::unexpected(ProblemOf(writes.error()));
  if (writes->size() > config::kMostWrites) {
    return std::unexpected(
        Problem{.status = 413, .code = "too_many_changes", .detail = "that is too much for one change"});
  }
  return std::move(*writes);
}

namespace {

Answer Replace(Api& api, Context& context, config::Entities entities) {
  auto writes = ReadDocumentChanges(api, context.request.body, entities);
  if (!writes) return std::unexpected(std::move(writes.error()));
  config::Draft draft{.writes = std::move(*writes)};
  if (const std::string& tag = context.request.headers.if_match; !tag.empty()) {
    const TagCondition condition = ParseTags(tag);
    const std::uint64_t head = api.options().live->in_force();
    if (condition.malformed) return std::unexpected(BadRequest("invalid_if_match", "If-Match is malformed"));
    if (!Matches(condition, head)) {
      return std::unexpected(
          Problem{.status = 412, .code = "precondition_failed", .detail = "it is not what If-Match names any more"});
    }
    draft.if_parent = head;
  }
  context.after = json::serialize(json::object{{"changes", draft.writes.size()}});
  const auto appended = api.Append(context, std::move(draft));
  if (!appended) return std::unexpected(appended.error());
  ApiResponse response = JsonResponse(
      200, json::serialize(json::object{{"revision", appended->revision.number},
                                        {"changed", appended->changed},
                                        {"changes", appended->changed ? appended->revision.change_count : 0}}));
  response.headers.emplace_back("ETag", EntityTag(appended->revision.number));
  response.headers.emplace_back("Weir-Revision", std::to_string(appended->revision.number));
  return response;
}

Answer PutConfig(Api& api, Context& context) { return Replace(api, context, config::Entities::kKeep); }
Answer Import(Api& api, Context& context) { return Replace(api, context, config::Entities::kReplace); }

}  // namespace

void AddConfigRoutes(std::vector<Route>& routes) {
  const auto add = [&](std::string method, std::string path, std::string operation, std::string summary, Verb verb,
                       Handler handler) -> Route& {
    return routes.emplace_back(Route{.method = std::move(method),
                                     .path = std::move(path),
                                     .operation = std::move(operation),
                                     .summary = std::move(summary),
                                     .verb = verb,
                                     .resource = Resource::kConfig,
                                     .handler = handler,
                                     .heavy = true});
  };
  const auto takes_document = [](Route& route) {
    route.body = BodyKind::kDocument;
    route.max_body = kMostDocument;
    route.request_schema = "document";
  };
  Route& get =
      add("GET", "/config", "getConfig", "What is in force, as one document, without secrets.", Verb::kRead, Export);
  get.query = {{"format", "json (default) or yaml"}};
  get.response_schema = "document";
  get.sensitive = true;
  Route& put =
      add("PUT", "/config", "putConfig", "Replace the policy; users, tenants and keys stay.", Verb::kUpdate, PutConfig);
  takes_document(put);
  put.conditional = true;
  Route& validate = add("POST", "/config/validate", "validateConfig", "Every fault of a document, with its place.",
                        Verb::kRun, Validate);
  takes_document(validate);
  validate.response_schema = "Validation";
  validate.asks_only = true;
  Route& exported =
      add("GET", "/export", "export", "Everything as one document, without secrets.", Verb::kExport, Export);
  exported.query = {{"format", "json (default) or yaml"}};
  exported.response_schema = "document";
  exported.sensitive = true;
  Route& import = add("POST", "/import", "import", "Replace everything by a document.", Verb::kCreate, Import);
  takes_document(import);
  import.conditional = true;
  import.idempotent = true;
}

}  // namespace weir::management::rest
