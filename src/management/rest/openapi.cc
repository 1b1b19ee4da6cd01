#include "management/rest/openapi.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "weir/config.h"

namespace weir::management::rest {

namespace json = boost::json;

namespace {

// Schemas that are the API's own; the others are the document's.
constexpr std::string_view kOwnSchemas = R"json({
  "List": {"type": "object", "required": ["items"], "properties": {
    "items": {"type": "array", "items": {"type": "object"}},
    "next": {"type": "string", "description": "`cursor` of the next page; missing: this is the last."}}},
  "MergePatch": {"type": "object", "description": "RFC 7396: members replace, null removes."},
  "override": {"type": "object", "description": "A merge patch that holds over the entity while it lives, with `expires`."},
  "Annotation": {"type": "object", "required": ["text"], "additionalProperties": false, "properties": {
    "text": {"type": "string", "minLength": 1, "maxLength": 4096}}},
  "RolloutSpec": {"type": "object", "additionalProperties": false,
    "description": "One of revision (a candidate), changes and document.", "properties": {
    "revision": {"type": "integer", "minimum": 1},
    "changes": {"type": "array", "minItems": 1, "maxItems": 10000, "items": {"$ref": "#/components/schemas/Change"}},
    "document": {"$ref": "#/components/schemas/document"},
    "stages": {"type": "array", "minItems": 1, "maxItems": 16, "items": {"type": "object",
      "additionalProperties": false, "required": ["stage"], "properties": {
        "stage": {"type": "string", "enum": ["shadow", "percent", "all"]},
        "percent": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
        "seconds": {"type": "number", "minimum": 1, "maximum": 7776000,
          "description": "How long it lasts; missing: until somebody advances it, and `all` is then the end."}}}},
    "guards": {"type": "object", "additionalProperties": false, "properties": {
      "denial_rate": {"type": "number", "minimum": 0, "maximum": 1},
      "error_rate": {"type": "number", "minimum": 0, "maximum": 1},
      "latency_p99_us": {"type": "number", "minimum": 1},
      "least_decisions": {"type": "integer", "minimum": 1, "default": 100},
      "window_seconds": {"type": "number", "minimum": 1, "maximum": 3600, "default": 60}}},
    "reason": {"type": "string"}}},
  "Rollout": {"type": "object", "required": ["revision", "state", "stage", "stages", "guards"], "properties": {
    "revision": {"type": "integer", "description": "of its candidate"},
    "state": {"type": "string", "enum": ["waiting", "running", "paused", "completed", "returned", "aborted"]},
    "author": {"type": "string"}, "reason": {"type": "string"}, "created": {"type": "string", "format": "date-time"},
    "ended": {"type": "string", "format": "date-time"}, "stage": {"type": "integer", "minimum": 0},
    "stages": {"type": "array", "items": {"type": "object"}}, "guards": {"type": "object"},
    "why": {"type": "string", "description": "It ended, or is paused."},
    "promoted_as": {"type": "integer"}, "taken_back_by": {"type": "integer", "description": "the revision that set back what it changed"}, "dry_run": {"$ref": "#/components/schemas/DryRun"}}},
  "Nothing": {"type": "object", "additionalProperties": false},
  "Reason": {"type": "object", "additionalProperties": false, "properties": {"reason": {"type": "string"}}},
  "Candidate": {"type": "object", "additionalProperties": false, "description": "Either changes or document.",
    "properties": {
      "changes": {"type": "array", "minItems": 1, "maxItems": 10000, "items": {"$ref": "#/components/schemas/Change"}},
      "document": {"$ref": "#/components/schemas/document"}, "reason": {"type": "string"}}},
  "Change": {"type": "object", "additionalProperties": false, "required": ["method", "collection", "name"],
    "properties": {"method": {"type": "string", "enum": ["PUT", "DELETE"]}, "collection": {"type": "string"},
      "name": {"type": "string"}, "value": {}}},
  "DryRun": {"type": "object", "properties": {
    "decisions": {"type": "integer", "description": "that were replayed"},
    "denied_in_force": {"type": "integer"}, "denied": {"type": "integer"},
    "newly_denied": {"type": "integer"}, "newly_allowed": {"type": "integer"},
    "replayed_otherwise": {"type": "integer",
      "description": "What is in force, replayed, says another thing than was said then."},
    "newly_denied_by_rule": {"type": "object"}, "newly_allowed_by_rule": {"type": "object"},
    "newly_denied_subjects": {"type": "array", "maxItems": 100, "items": {"type": "object"}},
    "newly_allowed_subjects": {"type": "array", "maxItems": 100, "items": {"type": "object"}},
    "sample": {"type": "object"}}},
  "Rollback": {"type": "object", "additionalProperties": false, "required": ["reason"], "properties": {
    "reason": {"type": "string", "minLength": 1}}},
  "TokenSpec": {"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
    "name": {"type": "string", "minLength": 1, "maxLength": 128},
    "role": {"$ref": "#/components/schemas/Role"},
    "roles": {"type": "array", "maxItems": 16, "items": {"$ref": "#/components/schemas/Role"}},
    "tenant": {"type": "string"},
    "expires": {"type": "string", "format": "date-time"}}},
  "Role": {"type": "string", "enum": ["viewer", "operator", "editor", "security", "admin", "auditor"]},
  "Account": {"type": "object", "additionalProperties": false, "required": ["roles"], "properties": {
    "roles": {"type": "array", "minItems": 1, "maxItems": 16, "items": {"$ref": "#/components/schemas/Role"}},
    "tenant": {"type": "string"}, "disabled": {"type": "boolean"},
    "password": {"type": "string", "minLength": 12, "maxLength": 1024, "writeOnly": true}}},
  "Login": {"type": "object", "additionalProperties": false, "required": ["account", "password"], "properties": {
    "account": {"type": "string"}, "password": {"type": "string", "writeOnly": true}}},
  "Rotate": {"type": "object", "additionalProperties": false, "properties": {
    "overlap_seconds": {"type": "integer", "minimum": 0, "maximum": 31536000}}},
  "Request": {"type": "object", "additionalProperties": false, "properties": {
    "domain": {"type": ["string", "null"]}, "ip": {"type": ["string", "null"]}, "user": {"type": ["string", "null"]}, "tenant": {"type": ["string", "null"]},
    "tier": {"type": ["string", "null"]}, "api_key": {"type": ["string", "null"]}, "country": {"type": ["string", "null"]},
    "method": {"type": ["string", "null"]}, "path": {"type": ["string", "null"]},
    "headers": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
    "attributes": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
    "cost": {"type": ["integer", "null"], "minimum": 0}}},
  "CounterRequest": {"type": "object", "additionalProperties": false, "required": ["request"], "properties": {
    "request": {"$ref": "#/components/schemas/Request"}, "reason": {"type": "string"}}},
  "CounterRefund": {"type": "object", "additionalProperties": false, "required": ["request", "cost"], "properties": {
    "request": {"$ref": "#/components/schemas/Request"}, "reason": {"type": "string"},
    "cost": {"type": "integer", "minimum": 0}}},
  "CounterSet": {"type": "object", "additionalProperties": false, "required": ["request", "used"], "properties": {
    "request": {"$ref": "#/components/schemas/Request"}, "reason": {"type": "string"},
    "used": {"type": "integer", "minimum": 0}}},
  "Counters": {"type": "object", "required": ["allowed", "reason", "rules"], "properties": {
    "allowed": {"type": "boolean"}, "reason": {"type": "string"},
    "rules": {"type": "array", "items": {"type": "object"}},
    "explain": {"type": "array", "items": {"type": "object"}}}},
  "Bulk": {"type": "object", "additionalProperties": false, "required": ["items"], "properties": {
    "atomic": {"type": "boolean", "default": true}, "reason": {"type": "string"},
    "dry_run": {"type": "boolean", "default": false, "description": "Every check is made, and nothing is changed."},
    "items": {"type": "array", "minItems": 1, "maxItems": 10000, "items": {"type": "object", "additionalProperties": false,
      "required": ["method", "collection", "name"], "properties": {
        "method": {"type": "string", "enum": ["PUT", "DELETE"]}, "collection": {"type": "string"},
        "name": {"type": "string"}, "value": {}}}}}},
  "Simulation": {"type": "object", "additionalProperties": false, "required": ["document", "requests"], "properties": {
    "document": {"$ref": "#/components/schemas/document"},
    "requests": {"type": "array", "maxItems": 10000, "items": {"type": "object",
      "description": "A Request, with `at`: seconds from the start."}}}},
  "Validation": {"type": "object", "required": ["valid", "errors", "warnings"], "properties": {
    "valid": {"type": "boolean"},
    "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
    "warnings": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}}}},
  "Fault": {"type": "object", "required": ["path", "message"], "properties": {
    "path": {"type": "string"}, "line": {"type": "integer"}, "column": {"type": "integer"},
    "message": {"type": "string"}, "hint": {"type": "string"}}},
  "Problem": {"type": "object", "required": ["type", "title", "status", "code", "detail", "request_id"], "properties": {
    "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
    "code": {"type": "string", "description": "Stable: for programs."}, "detail": {"type": "string"},
    "request_id": {"type": "string"},
    "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}}}}
})json";

// "#/$defs/rule" -> "#/components/schemas/rule", everywhere.
void MoveReferences(json::value& value) {
  if (value.is_array()) {
    for (json::value& one : value.get_array()) MoveReferences(one);
  } else if (value.is_object()) {
    for (auto& member : value.get_object()) {
      constexpr std::string_view kFrom = "#/$defs/";
      if (member.key() == "$ref" && member.value().is_string() &&
          std::string_view(member.value().get_string()).starts_with(kFrom)) {
        member.value() =
            "#/components/schemas/" + std::string(std::string_view(member.value().get_string()).substr(kFrom.size()));
      } else {
        MoveReferences(member.value());
      }
    }
  }
}

json::object Schemas() {
  json::value document = json::parse(ConfigJsonSchema());
  MoveReferences(document);
  json::object schemas = document.get_object()["$defs"].get_object();
  const json::value own_value = json::parse(kOwnSchemas);
  for (const auto& [name, schema] : own_value.get_object()) schemas[name] = schema;
  return schemas;
}

json::object Reference(const std::string& schema) { return {{"$ref", "#/components/schemas/" + schema}}; }

json::object Content(std::string_view type, json::object schema) {
  return {{type, json::object{{"schema", std::move(schema)}}}};
}

// By the parameter's name, which means the same everywhere.
json::object QuerySchema(std::string_view name) {
  if (name == "limit") return {{"type", "integer"}, {"minimum", 1}, {"maximum", 1000}, {"default", 100}};
  if (name == "label") return {{"type", "array"}, {"items", json::object{{"type", "string"}}}};
  if (name == "cursor") return {{"type", "string"}, {"minLength", 1}};
  if (name == "format") return {{"type", "string"}, {"enum", json::array{"json", "yaml"}}};
  if (name == "sort") return {{"type", "string"}, {"enum", json::array{"name", "-name"}}};
  if (name == "outcome") return {{"type", "string"}, {"enum", json::array{"success", "denied", "error"}}};
  if (name == "from" || name == "to") return {{"type", "string"}, {"format", "date-time"}};
  if (name == "against") return {{"type", "integer"}, {"minimum", 0}};
  return {{"type", "string"}};
}

json::array Parameters(const Route& route) {
  json::array parameters;
  for (std::size_t at = route.path.find('{'); at != std::string::npos; at = route.path.find('{', at + 1)) {
    parameters.push_back(json::object{{"name", route.path.substr(at + 1, route.path.find('}', at) - at - 1)},
                                      {"in", "path"},
                                      {"required", true},
                                      {"schema", json::object{{"type", "string"}, {"minLength", 1}}}});
  }
  for (const Parameter& one : route.query) {
    parameters.push_back(json::object{
        {"name", one.name}, {"in", "query"}, {"description", one.description}, {"schema", QuerySchema(one.name)}});
  }
  const auto header = [&](std::string_view name, std::string_view description) {
    parameters.push_back(json::object{
        {"name", name}, {"in", "header"}, {"description", description}, {"schema", json::object{{"type", "string"}}}});
  };
  if (route.conditional) header("If-Match", "Only if it still is what this ETag names (412).");
  if (route.idempotent) header("Idempotency-Key", "Sent again, it is done once and answered alike, for 24 hours.");
  return parameters;
}

json::object RequestBody(const Route& route) {
  json::object schema = route.request_schema.empty() ? json::object() : Reference(route.request_schema);
  if (route.body == BodyKind::kForm) {
    return {{"required", true}, {"content", Content("application/x-www-form-urlencoded", schema)}};
  }
  json::object content = Content("application/json", schema);
  if (route.body == BodyKind::kMergePatch) content["application/merge-patch+json"] = json::object{{"schema", schema}};
  if (route.body == BodyKind::kDocument) content["application/yaml"] = json::object{{"schema", schema}};
  if (route.body == BodyKind::kNdjsonOrJson) {
    content["application/x-ndjson"] = json::object{{"schema", json::object{{"type", "string"}}}};
  }
  return {{"required", true}, {"content", std::move(content)}};
}

json::object Operation(const Route& route) {
  json::object operation;
  operation["operationId"] = route.operation;
  operation["summary"] = route.summary;
  operation["tags"] = json::array{NameOf(route.resource)};
  if (route.scope == Scope::kPublic) {
    operation["description"] = "Needs no credentials.";
    operation["security"] = json::array();
  } else if (route.scope == Scope::kAny) {
    operation["description"] = "Every principal may.";
  } else {
    operation["description"] = "Permission: " + PermissionText(route.verb, route.resource) + ".";
  }
  if (json::array parameters = Parameters(route); !parameters.empty()) operation["parameters"] = std::move(parameters);
  if (route.body != BodyKind::kNone) operation["requestBody"] = RequestBody(route);
  json::object responses;
  json::object success{{"description", "Done."}};
  if (route.success != 204) {
    json::object schema = route.response_schema.empty() ? json::object() : Reference(route.response_schema);
    const bool stream = route.path.ends_with("/stream");
    const bool in_yaml = std::ranges::any_of(route.query, [](const Parameter& one) { return one.name == "format"; });
    json::object content = Content(stream ? "text/event-stream" : "application/json", schema);
    if (in_yaml) content["application/yaml"] = json::object{{"schema", std::move(schema)}};
    success["content"] = std::move(content);
  }
  if (route.method == "PUT" && route.success == 200) responses["201"] = success;
  responses[std::to_string(route.success)] = std::move(success);
  const auto refer = [&](std::string_view status) {
    responses[status] = json::object{{"$ref", "#/components/responses/Problem"}};
  };
  if (route.writes() && route.success != 204) {
    responses["202"] = json::object{{"description", "A second person has to approve it: `approval` names it."},
                                    {"content", Content("application/json", json::object{{"type", "object"}})}};
  }
  for (const std::string_view status : {"400", "401", "403", "404", "409", "421", "429", "503"}) refer(status);
  if (route.body != BodyKind::kNone) {
    for (const std::string_view status : {"413", "415", "422"}) refer(status);
  }
  if (route.conditional) refer("412");
  operation["responses"] = std::move(responses);
  return operation;
}

}  // namespace

std::string OpenApiDocument(std::span<const Route> routes) {
  json::object paths;
  for (const Route& route : routes) {
    json::value& path = paths[std::string(kPrefix) + route.path];
    if (!path.is_object()) path = json::object();
    std::string method = route.method;
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    path.get_object()[method] = Operation(route);
  }
  json::object document;
  document["openapi"] = "3.1.0";
  document["info"] =
      json::object{{"title", "weir management"},
                   {"version", "1"},
                   {"description", "Limits, keys, revisions and the audit log of a running weir."},
                   {"license", json::object{{"name", "see the distribution"}, {"identifier", "LicenseRef-weir"}}}};
  document["servers"] = json::array{json::object{{"url", "/"}}};
  document["security"] = json::array{json::object{{"bearer", json::array()}}};
  document["paths"] = std::move(paths);
  document["components"] =
      json::object{{"schemas", Schemas()},
                   {"securitySchemes", json::object{{"bearer", json::object{{"type", "http"}, {"scheme", "bearer"}}}}},
                   {"responses", json::object{{"Problem", json::object{{"description", "Why not."},
                                                                       {"content", Content("application/problem+json",
                                                                                           Reference("Problem"))}}}}}};
  return json::serialize(document);
}

}  // namespace weir::management::rest
