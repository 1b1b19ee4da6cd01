#include "management/rest/keys.h"

#include <boost/json.hpp>

#include "config/snapshot/key_name.h"
#include "management/auth/secret_token.h"
#include "management/rest/api.h"
#include "management/rest/collections.h"
#include "management/rest/entities.h"
#include "management/rest/etag.h"
#include "management/rest/handlers.h"
#include "management/rest/record_body.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

constexpr std::string_view kRecordPrefix = "sha256:";
constexpr std::string_view kIdPrefix = "key_";
constexpr std::size_t kDigits = 32;
constexpr std::string_view kShownLabel = "weir.shown";
constexpr std::string_view kReplacesLabel = "weir.replaces";
constexpr Nanos kMostOverlap = 365 * kDay;

const Collection& Keys() { return *CollectionOfKind("api_keys"); }

struct NewKey {
  std::string secret;
  std::string record_key;
};

NewKey MakeKey() {
  NewKey made{.secret = MakeSecret(kKeyPrefix), .record_key = {}};
  const config::KeyDigest digest = config::DigestOfKey(made.secret);
  made.record_key = config::KeyNameOfDigest({digest.data(), digest.size()});
  return made;
}

Answer Issued(Api& api, Context& context, NewKey made, const config::RecordBody& body,
              std::vector<config::RecordWrite> more) {
  context.object.id = IdOfRecordKey(made.record_key);
  if (auto refused = AuthoriseRecord(api, context, Keys(), made.record_key, body))
    return std::unexpected(std::move(*refused));
  std::vector<config::RecordWrite> writes = std::move(more);
  writes.push_back({.id = {.kind = "api_keys", .key = made.record_key}, .body = body, .if_version = 0});
  if (auto refused = TryEntities(api, writes)) return std::unexpected(std::move(*refused));
  context.after = WriteRecordBody(body);
  context.secret = made.secret;
  const auto appended = api.Append(context, {.writes = std::move(writes)});
  if (!appended) return std::unexpected(appended.error());
  json::object out{
      {"id", IdOfRecordKey(made.record_key)}, {"key", made.secret}, {"value", json::parse(WriteRecordBody(body))}};
  ApiResponse response = JsonResponse(201, json::serialize(out));
  response.headers.emplace_back("ETag", EntityTag(appended->revision.number));
  response.headers.emplace_back("Weir-Revision", std::to_string(appended->revision.number));
  return response;
}

Answer Issue(Api& api, Context& context) {
  NewKey made = MakeKey();
  const auto snapshot = api.options().engine->snapshot();
  const std::string text = context.request.body.empty() ? "{}" : context.request.body;
  auto body = ReadRecordBody(Keys(), made.record_key, text, config::SurroundingsOf(*snapshot));
  if (!body) {
    if (auto refused = context.Authorise("")) return std::unexpected(std::move(*refused));
    return std::unexpected(InvalidBody(std::move(body.error())));
  }
  if (body->expires && *body->expires <= context.now) {
    return std::unexpected(InvalidBody({{.path = "expires", .message = "is in the past"}}));
  }
  body->labels.insert_or_assign(std::string(kShownLabel), std::string(ShownPart(made.secret)));
  return Issued(api, context, std::move(made), *body, {});
}

// Another secret with the same limits; the old one holds on for the overlap.
Answer Rotate(Api& api, Context& context) {
  const auto old_key = RecordKeyOfKey(context.parameters.front());
  if (!old_key) return std::unexpected(NotFound("there is no such key"));
  auto found = FindRecord(api, Keys(), *old_key);
  if (!found) return std::unexpected(std::move(found.error()));
  const auto refused = *found ? AuthoriseRecord(api, context, Keys(), *old_key, (*found)->body) : context.Authorise("");
  if (refused) return std::unexpected(*refused);
  if (!*found || (*found)->version == 0) return std::unexpected(NotFound("there is no such key"));
  const auto body = ReadObject(context.request.body, {"overlap_seconds"});
  if (!body) return std::unexpected(body.error());
  Nanos overlap = 0;
  if (const json::value* seconds = body->if_contains("overlap_seconds")) {
    boost::system::error_code fault;
    const auto number = seconds->to_number<std::uint32_t>(fault);
    if (fault || number * kSecond > kMostOverlap) {
      return std::unexpected(InvalidBody({{.path = "overlap_seconds", .message = "must be a number up to 31536000"}}));
    }
    overlap = number * kSecond;
  }
  NewKey made = MakeKey();
  config::RecordBody next = (*found)->body;
  next.labels.insert_or_assign(std::string(kShownLabel), std::string(ShownPart(made.secret)));
  next.labels.insert_or_assign(std::string(kReplacesLabel), IdOfRecordKey(*old_key));
  config::RecordWrite ending{.id = {.kind = "api_keys", .key = *old_key}, .if_version = (*found)->version};
  if (overlap > 0) {
    ending.body = (*found)->body;
    const Nanos end = context.now + overlap;
    ending.body->expires = ending.body->expires ? std::min(*ending.body->expires, end) : end;
  }
  return Issued(api, context, std::move(made), next, {std::move(ending)});
}

}  // namespace

std::optional<std::string> RecordKeyOfKey(const std::string& id) {
  if (!id.starts_with(kIdPrefix) || id.size() != kIdPrefix.size() + kDigits) return std::nullopt;
  const std::string digits = id.substr(kIdPrefix.size());
  if (digits.find_first_not_of("0123456789abcdef") != std::string::npos) return std::nullopt;
  return std::string(kRecordPrefix) + digits;
}

std::string IdOfRecordKey(const std::string& key) {
  if (!key.starts_with(kRecordPrefix)) return "key_?";
  return std::string(kIdPrefix) + key.substr(kRecordPrefix.size(), kDigits);
}

std::optional<std::string> TenantOfUserOf(const Api& api, const config::RecordBody& key) {
  boost::system::error_code fault;
  const json::value value = json::parse(key.value, fault);
  if (fault || !value.is_object()) return std::nullopt;
  const auto user = TextOf(value.get_object(), "user");
  if (!user) return std::nullopt;
  return TenantOfUser(api, *user).value_or("");
}

void KeepKeyLabels(const config::RecordBody& from, config::RecordBody& to) {
  for (const std::string_view label : {kShownLabel, kReplacesLabel}) {
    to.labels.erase(std::string(label));
    if (const auto found = from.labels.find(std::string(label)); found != from.labels.end()) to.labels.insert(*found);
  }
}

void AddKeyRoutes(std::vector<Route>& routes) {
  const auto add = [&](std::string path, std::string operation, std::string summary, Verb verb, std::string schema,
                       Handler handler) {
    routes.push_back({.method = "POST",
                      .path = std::move(path),
                      .operation = std::move(operation),
                      .summary = std::move(summary),
                      .verb = verb,
                      .resource = Resource::kKeys,
                      .handler = handler,
                      .scope = Scope::kWithin,
                      .body = BodyKind::kJson,
                      .max_body = 64 << 10,
                      .request_schema = std::move(schema),
                      .success = 201});
  };
  add("/keys", "issueKey", "Make an API key: `key` is shown this once.", Verb::kCreate, "api_key_limits", Issue);
  add("/keys/{name}/rotate", "rotateKey",
      "Exchange the secret: another key with the same limits; the old one holds on for `overlap_seconds`.",
      Verb::kRotate, "Rotate", Rotate);
}

}  // namespace weir::management::rest
