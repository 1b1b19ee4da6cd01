// The audit log, and everything as one document.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <iterator>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/admin/commands.h"
#include "cli/admin/input.h"
#include "cli/admin/values.h"
#include "cli/terminal.h"
#include "config/document/node.h"

namespace weir::cli::admin {

namespace json = boost::json;

namespace {

std::string ObjectText(const json::value& record) {
  const std::string kind = TextAt(record, "object.kind"), id = TextAt(record, "object.id");
  return id.empty() ? kind : kind + "/" + id;
}

Outcome<> Audit(const AuditOptions& options) {
  Query query;
  for (const auto& [name, value] : options.filters) {
    if (!value.empty()) query.emplace_back(name, value);
  }
  for (const auto& [name, value] :
       {std::pair<const char*, const std::string&>{"from", options.from}, {"to", options.to}}) {
    if (value.empty()) continue;
    auto time = PastOf(value, SystemClock().Wall());
    if (!time) return std::unexpected(time.error());
    query.emplace_back(name, std::move(*time));
  }
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  const auto all = server->GetAll("/audit", query, options.most);
  if (!all) return std::unexpected(all.error());
  const json::array& records = all->at("items").get_array();
  if (options.common.json) {  // a line each, as the log has them
    for (const json::value& record : records) fmt::print("{}\n", json::serialize(record));
    return {};
  }
  std::vector<std::vector<std::string>> rows{
      {"number", "time", "actor", "action", "object", "outcome", "from", "reason"}};
  for (const json::value& record : records) {
    rows.push_back({TextAt(record, "seq"), TextAt(record, "time"), TextAt(record, "actor.name"),
                    TextAt(record, "action"), ObjectText(record), TextAt(record, "outcome"), TextAt(record, "address"),
                    TextAt(record, "reason")});
  }
  PrintTable(rows, "no records");
  TellTruncated(*all);
  return {};
}

Outcome<> Export(const DocumentOptions& options) {
  auto server = AdminServer::Connect(options.common, 5 * kMinute);
  if (!server) return std::unexpected(server.error());
  const auto answer = server->Get("/export", {{"format", options.as_json ? "json" : "yaml"}});
  if (!answer) return std::unexpected(answer.error());
  if (options.file.empty() || options.file == "-") {
    fmt::print("{}{}", answer->body, answer->body.ends_with('\n') ? "" : "\n");
    return {};
  }
  if (const auto written = ReplaceFile(options.file, answer->body); !written) return Misused(written.error());
  fmt::print(stderr, "{}: everything but secrets\n", options.file);
  return {};
}

// What decides about the host that weir runs on is its operator's, and the API takes none of it: an export of one host
// can be imported on another.
std::string WithoutHost(const std::string& text) {
  const config::ParsedTree tree = config::ParseYamlTree(text);
  if (!tree.faults.empty()) return text;
  const auto is_host = [](const config::Node& child) {
    return child.key == "server" || child.key == "storage" || child.key == "jwt";
  };
  const std::vector<config::Node>& sections = tree.root.children;
  if (std::ranges::none_of(sections, is_host)) return text;
  fmt::print(stderr, "server, storage and jwt stay as they are: they are in the files of the host\n");
  // JSON, or YAML in one line: written anew.
  if (std::ranges::any_of(sections, [](const config::Node& child) { return child.key_column != 1; })) {
    config::Node kept = tree.root;
    std::erase_if(kept.children, is_host);
    return PrettyJson(ToJson(kept));
  }
  // Lines of a section become empty ones, so that faults are told with the places of the file.
  std::string out;
  std::uint32_t line = 1;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const auto next = std::ranges::find_if(sections, [&](const config::Node& child) { return child.key_line > line; });
    const bool host = next != sections.begin() && is_host(*std::prev(next));
    if (!host) out.append(text, at, end - at);
    out += '\n';
    at = end + 1;
  }
  return out;
}

Outcome<> Import(const DocumentOptions& options) {
  auto text = ReadInput(options.file);
  if (!text) return std::unexpected(text.error());
  auto server = AdminServer::Connect(options.common, 5 * kMinute);
  if (!server) return std::unexpected(server.error());
  // Every fault is told before anybody is asked, and by its place in the file.
  const std::vector<io::HttpHeader> type{{"Content-Type", "application/yaml"}};  // JSON is YAML
  const auto checked = server->Send("POST", "/config/validate", *text, type);
  if (!checked) return std::unexpected(checked.error());
  if (TextAt(checked->value, "valid") != "true") {
    Complaint complaint{.exit_code = kRefused, .text = options.file + " is not valid"};
    const json::value* const errors = At(checked->value, "errors");
    for (const json::value& one : errors != nullptr && errors->is_array() ? errors->get_array() : json::array()) {
      complaint.text += fmt::format("\n  {}:{}:{}: {}: {}", options.file, TextAt(one, "line"), TextAt(one, "column"),
                                    Printable(TextAt(one, "path")), Printable(TextAt(one, "message")));
    }
    return std::unexpected(std::move(complaint));
  }
  const std::string question =
      fmt::format("Replace everything on {}, users, tenants and keys included, by {}", server->url(), options.file);
  if (auto agreed = Confirm(question, options.common.yes); !agreed) return agreed;
  const auto answer = server->Send("POST", "/import", WithoutHost(*text), type);
  if (!answer) return std::unexpected(answer.error());
  if (TellWaiting(*answer, options.common.json)) return {};
  if (options.common.json) {
    fmt::print("{}", PrettyJson(answer->value));
  } else if (TextAt(answer->value, "changed") == "false") {
    fmt::print("everything was so already\n");
  } else {
    fmt::print("{} changes in {}\n", TextAt(answer->value, "changes"), RevisionText(answer->value));
  }
  return {};
}

}  // namespace

int RunAudit(const AuditOptions& options) { return ExitCode(Audit(options), options.common.json); }
int RunExport(const DocumentOptions& options) { return ExitCode(Export(options), options.common.json); }
int RunImport(const DocumentOptions& options) { return ExitCode(Import(options), options.common.json); }

}  // namespace weir::cli::admin
