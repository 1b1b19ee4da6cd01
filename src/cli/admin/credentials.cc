// API keys and tokens. Secrets are printed once, on standard output and nowhere else.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/admin/commands.h"
#include "cli/admin/input.h"
#include "cli/admin/kinds.h"
#include "cli/admin/values.h"
#include "cli/terminal.h"

namespace weir::cli::admin {

namespace json = boost::json;

namespace {

// "10000/day", "500/hour/rolling" as a quota of the document.
Outcome<json::object> QuotaOf(const std::string& text) {
  const std::size_t slash = text.find('/');
  const std::string most = text.substr(0, slash);
  const std::string period = slash == std::string::npos ? "" : text.substr(slash + 1);
  const bool number = !most.empty() && most.size() < 19 && most.find_first_not_of("0123456789") == std::string::npos;
  if (!number || period.empty())
    return Misused("a quota is NUMBER/PERIOD, such as 10000/day: '" + Printable(text) + "'");
  return json::object{{"max_requests", std::stoll(most)}, {"period", period}};
}

Outcome<json::object> KeyBody(const KeyOptions& options) {
  json::object body;
  if (!options.file.empty()) {
    auto value = ReadValue(options.file);
    if (!value) return std::unexpected(value.error());
    if (!value->is_object()) return Misused("'" + options.file + "' is no record");
    body = std::move(value->get_object());
  }
  if (!options.plan.empty()) body["plan"] = options.plan;
  if (!options.tenant.empty()) body["tenant"] = options.tenant;
  if (!options.user.empty()) body["user"] = options.user;
  if (!options.note.empty()) body["note"] = options.note;
  if (!options.expires.empty()) {
    auto expires = ExpiryOf(options.expires, SystemClock().Wall());
    if (!expires) return std::unexpected(expires.error());
    body["expires"] = *expires;
  }
  if (!options.labels.empty()) {
    auto labels = LabelsOf(options.labels);
    if (!labels) return std::unexpected(labels.error());
    body["labels"] = std::move(*labels);
  }
  json::array quotas, scopes;
  for (const std::string& text : options.quotas) {
    auto quota = QuotaOf(text);
    if (!quota) return std::unexpected(quota.error());
    quotas.push_back(std::move(*quota));
  }
  for (const std::string& scope : options.scopes) scopes.push_back(json::string(scope));
  if (!quotas.empty()) body["quotas"] = std::move(quotas);
  if (!scopes.empty()) body["scopes"] = std::move(scopes);
  return body;
}

// The secret is the one line of standard output, so that it can be piped to where it belongs.
void PrintSecret(const ServerAnswer& answer, std::string_view member, std::string_view what, bool as_json) {
  if (as_json) {
    fmt::print("{}", PrettyJson(answer.value));
    return;
  }
  // One that has to be approved first has a secret already, and no id yet.
  if (!TellWaiting(answer, false)) fmt::print(stderr, "{} {}\n", what, Printable(TextAt(answer.value, "id")));
  fmt::print(stderr, "its secret is shown this once:\n");
  fmt::print("{}\n", Printable(TextAt(answer.value, member)));
}

Outcome<> KeyCreate(const KeyOptions& options) {
  auto body = KeyBody(options);
  if (!body) return std::unexpected(body.error());
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  const auto answer = server->Send("POST", "/keys", json::serialize(*body));
  if (!answer) return std::unexpected(answer.error());
  PrintSecret(*answer, "key", "key", options.common.json);
  return {};
}

Outcome<> KeyRotate(const KeyOptions& options) {
  const auto overlap = DurationOf(options.overlap);
  if (!overlap || *overlap > 365 * kDay) return Misused("--overlap is a time of at most a year: 90m, 24h, 7d");
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  if (*overlap == 0) {
    const std::string question = fmt::format("Replace {} at once (--overlap lets it hold on)", Printable(options.id));
    if (auto agreed = Confirm(question, options.common.yes); !agreed) return agreed;
  }
  const auto answer = server->Send("POST", "/keys/" + Encoded(options.id) + "/rotate",
                                   json::serialize(json::object{{"overlap_seconds", *overlap / kSecond}}));
  if (!answer) return std::unexpected(answer.error());
  PrintSecret(*answer, "key", "key", options.common.json);
  return {};
}

Outcome<> Revoke(const CommonOptions& common, std::string_view kind, const std::string& id) {
  auto server = AdminServer::Connect(common);
  if (!server) return std::unexpected(server.error());
  const std::string path = fmt::format("/{}s/{}", kind, Encoded(id));
  if (const auto known = server->Get(path); !known) return std::unexpected(known.error());
  const std::string question = fmt::format("Revoke the {} {} on {}", kind, Printable(id), server->url());
  if (auto agreed = Confirm(question, common.yes); !agreed) return agreed;
  const auto answer = server->Send("DELETE", path, "");
  if (!answer) return std::unexpected(answer.error());
  if (TellWaiting(*answer, common.json)) return {};
  if (!common.json) fmt::print("{} {}: revoked\n", kind, Printable(id));
  return {};
}

Outcome<> TokenCreate(const TokenOptions& options) {
  json::object body{{"name", options.id}};
  json::array roles;
  for (const std::string& role : options.roles) roles.push_back(json::string(role));
  body["roles"] = std::move(roles);
  if (!options.tenant.empty()) body["tenant"] = options.tenant;
  if (!options.expires.empty()) {
    auto expires = ExpiryOf(options.expires, SystemClock().Wall());
    if (!expires) return std::unexpected(expires.error());
    body["expires"] = *expires;
  }
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  const auto answer = server->Send("POST", "/tokens", json::serialize(body));
  if (!answer) return std::unexpected(answer.error());
  PrintSecret(*answer, "token", "token", options.common.json);
  return {};
}

}  // namespace

int RunKeyCreate(const KeyOptions& options) { return ExitCode(KeyCreate(options), options.common.json); }
int RunKeyRotate(const KeyOptions& options) { return ExitCode(KeyRotate(options), options.common.json); }
int RunKeyRevoke(const KeyOptions& options) {
  return ExitCode(Revoke(options.common, "key", options.id), options.common.json);
}
int RunTokenCreate(const TokenOptions& options) { return ExitCode(TokenCreate(options), options.common.json); }
int RunTokenRevoke(const TokenOptions& options) {
  return ExitCode(Revoke(options.common, "token", options.id), options.common.json);
}

}  // namespace weir::cli::admin
