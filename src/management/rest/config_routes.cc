// The document as a whole: read, validate, replace, export and import.
#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "config/document/document.h"
#include "config/document/migrate.h"
#include "config/document/node.h"
#include "config/document/types.h"
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

// What was read of a body: files that it names are not read.
config::LoadedDocument AsLoaded(ParsedConfig parsed) {
  config::LoadedDocument loaded{.config = std::move(parsed.config), .faults = {}, .files = {}};
  if (!loaded.config.envoy.files.empty()) {
    parsed.faults.push_back({.path = "envoy.files", .message = "files cannot be named here"});
  }
  for (Fault& fault : parsed.faults) loaded.faults.push_back({.file = "", .fault = std::move(fault)});
  return loaded;
}

// The whole document of a body, with every fault that it has.
config::LoadedDocument ReadWhole(const std::string& text) {
  config::LoadedDocument loaded = AsLoaded(ParseConfig(text));
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

constexpr std::array<std::string_view, 3> kHostMembers = {"server", "storage", "jwt"};

// What an export shows of a document's settings of the host: without secrets, and without what is as by default.
json::object HostShown(const EnterpriseRateLimitConfig& config) {
  EnterpriseRateLimitConfig host;
  host.server = config.server;
  host.storage = config.storage;
  host.jwt = config.jwt;
  json::object shown;
  boost::system::error_code fault;
  const json::value whole = json::parse(audit::RedactJson(ToJson(host)), fault);
  if (fault || !whole.is_object()) return shown;
  for (const std::string_view name : kHostMembers) {
    if (const json::value* member = whole.get_object().if_contains(name)) shown[name] = *member;
  }
  return shown;
}

bool IsShown(const config::Node& member, const json::object& shown) {
  if (!shown.contains(member.key)) return false;
  config::Node alone = config::Node::Map();
  alone.Add(member.key, member);
  boost::system::error_code fault;
  const json::value written = json::parse(audit::RedactJson(config::ToJsonText(alone)), fault);
  return !fault && written == json::value(json::object{{member.key, shown.at(member.key)}});
}

// The document without what an export shows of the host. That is not to be read: where a secret was, there is now a
// text that may be none.
ParsedConfig ParseWithout(const json::object& shown, const std::string& text) {
  const std::string_view body =
      std::string_view(text).starts_with("\xEF\xBB\xBF") ? std::string_view(text).substr(3) : text;
  const std::size_t first = body.find_first_not_of(" \t\r\n");
  const bool is_json = first != std::string_view::npos && body[first] == '{';
  config::ParsedTree tree = is_json ? config::ParseJsonTree(text) : config::ParseYamlTree(text);
  ParsedConfig parsed;
  parsed.faults = std::move(tree.faults);
  if (!parsed.faults.empty() || !config::BringUpToDate(tree.root, parsed.faults)) return parsed;
  std::erase_if(tree.root.children, [&](const config::Node& member) { return IsShown(member, shown); });
  ParsedConfig read = config::ReadAndValidate(tree.root, text);
  read.faults.insert(read.faults.begin(), parsed.faults.begin(), parsed.faults.end());
  return read;
}

// What decides about the host that weir runs on is the operator's: no API token may point it at other files, stores or
// ports, or have it run scripts. It may be there as it is: in the document in force, or in the store's policy, which
// does not have what a file says. Compared as it is shown: nobody tries out what a secret may be, and none is written.
std::optional<Problem> RefuseHostSettings(const EnterpriseRateLimitConfig& config, const json::object& in_force,
                                          const EnterpriseRateLimitConfig& kept) {
  const json::object submitted = HostShown(config), own = HostShown(kept);
  const auto same = [&](const json::object& other, const auto& member) {
    const json::value* const known = other.if_contains(member.key());
    return known != nullptr && *known == member.value();
  };
  if (std::ranges::all_of(submitted, [&](const auto& one) { return same(in_force, one) || same(own, one); })) {
    return std::nullopt;
  }
  return Problem{.status = 403,
                 .code = "host_settings",
                 .detail = "server, storage and jwt cannot be changed over the API: leave them out"};
}

// An export has a mark where a secret is, as a key that is exempt. What is as it was but for that stays so, and the
// mark itself is never written: it would be the secret from then on.
std::optional<Problem> KeepHidden(config::ConfigStore& store, std::vector<config::RecordWrite>& writes) {
  std::vector<BodyFault> faults;
  std::erase_if(writes, [&](const config::RecordWrite& write) {
    if (!write.body || !write.body->value.contains(audit::kRedacted)) return false;
    const auto now = store.Get(write.id);
    if (now && audit::RedactJson(now->body.value) == audit::RedactJson(write.body->value)) return true;
    faults.push_back({.path = write.id.kind + "." + write.id.key,
                      .message = "has [redacted] where a secret was: write what is meant"});
    return false;
  });
  return faults.empty() ? std::nullopt : std::optional(InvalidBody(std::move(faults)));
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
  const json::object shown = HostShown(api.options().engine->snapshot()->document());
  config::LoadedDocument loaded = AsLoaded(ParseWithout(shown, text));
  if (!loaded.ok()) return std::unexpected(Invalid(FaultsOf(loaded)));
  const auto now = api.options().live->loader().Policy();
  if (!now) return std::unexpected(ProblemOf(now.error()));
  if (auto refused = RefuseHostSettings(loaded.config, shown, now->policy)) return std::unexpected(std::move(*refused));
  // Whatever was said of them: as the store has them.
  loaded.config.server = now->policy.server;
  loaded.config.storage = now->policy.storage;
  loaded.config.jwt = now->policy.jwt;
  engine::AddCompileFaults(text, "", loaded);
  if (!loaded.ok()) return std::unexpected(Invalid(FaultsOf(loaded)));
  auto writes = config::WritesToBecome(*api.options().store, loaded.config, entities);
  if (!writes) return std::unexpected(ProblemOf(writes.error()));
  if (auto refused = KeepHidden(*api.options().store, *writes)) return std::unexpected(std::move(*refused));
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
