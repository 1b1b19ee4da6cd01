// get, set, delete: one record, or a list.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <string>

#include "cli/admin/commands.h"
#include "cli/admin/input.h"
#include "cli/admin/kinds.h"
#include "cli/admin/values.h"
#include "cli/terminal.h"

namespace weir::cli::admin {

namespace json = boost::json;

namespace {

Outcome<> GetOne(AdminServer& server, const GetOptions& options, const Target& target) {
  const auto answer = server.Get(target.path());
  if (!answer) return std::unexpected(answer.error());
  switch (options.form.value_or(options.common.json ? Form::kJson : Form::kYaml)) {
    case Form::kJson:
      fmt::print("{}", PrettyJson(answer->value));
      break;
    case Form::kYaml:
      fmt::print("{}", Yaml(answer->value));
      break;
    case Form::kTable: {
      const json::array items{json::object{{"name", target.name}, {"value", answer->value}}};
      PrintTable(RowsOf(*target.kind, items), "");
      break;
    }
  }
  return {};
}

Outcome<> GetList(AdminServer& server, const GetOptions& options, const Kind& kind) {
  Query query;
  if (!options.prefix.empty()) query.emplace_back("prefix", options.prefix);
  if (!options.tenant.empty()) query.emplace_back("tenant", options.tenant);
  for (const std::string& label : options.labels) query.emplace_back("label", label);
  const bool paged = kind.records || kind.name == "revisions" || kind.name == "approvals" || kind.name == "rollouts";
  if (!paged && !query.empty()) return Misused(fmt::format("{} take no filters", kind.name));
  json::object all;
  if (paged) {
    auto found = server.GetAll("/" + std::string(kind.name), query, options.most);
    if (!found) return std::unexpected(found.error());
    all = std::move(*found);
  } else {
    auto answer = server.Get("/" + std::string(kind.name));
    if (!answer) return std::unexpected(answer.error());
    if (!answer->value.is_object()) return std::unexpected(Complaint{kRefused, "the server's answer is no list"});
    all = std::move(answer->value.get_object());
  }
  const json::array none;
  const json::value* const items = all.if_contains("items");
  const json::array& list = items != nullptr && items->is_array() ? items->get_array() : none;
  switch (options.form.value_or(options.common.json ? Form::kJson : Form::kTable)) {
    case Form::kJson:
      fmt::print("{}", PrettyJson(all));
      break;
    case Form::kTable:
      PrintTable(RowsOf(kind, list), fmt::format("no {}", kind.name));
      TellTruncated(all);
      break;
    case Form::kYaml: {
      if (!kind.records) {
        fmt::print("{}", Yaml(all));
        break;
      }
      json::object records;  // as `apply` reads them
      for (const json::value& item : list) {
        const json::value* const value = At(item, "value");
        records[TextAt(item, "name")] = value == nullptr ? json::value(nullptr) : *value;
      }
      fmt::print("{}", Yaml(json::object{{kind.name, std::move(records)}}));
      TellTruncated(all);
      break;
    }
  }
  return {};
}

// What is to be written: the whole record of a file, or changes to it.
struct Change {
  bool whole = false;
  json::object body;
};

Outcome<Change> ChangeOf(const SetOptions& options) {
  Change change;
  if (!options.file.empty()) {
    if (!options.assignments.empty()) return Misused("a file is the whole record: it takes no assignments beside it");
    auto value = ReadValue(options.file);
    if (!value) return std::unexpected(value.error());
    if (!value->is_object()) return Misused("'" + options.file + "' is no record");
    change = {.whole = true, .body = std::move(value->get_object())};
  } else {
    auto patch = PatchOf(options.assignments);
    if (!patch) return std::unexpected(patch.error());
    change.body = std::move(*patch);
  }
  if (!options.labels.empty()) {
    auto labels = LabelsOf(options.labels);
    if (!labels) return std::unexpected(labels.error());
    change.body["labels"] = std::move(*labels);
  }
  if (!options.expires.empty()) {
    auto expires = ExpiryOf(options.expires, SystemClock().Wall());
    if (!expires) return std::unexpected(expires.error());
    change.body["expires"] = *expires;
  }
  if (!options.note.empty()) change.body["note"] = options.note;
  if (change.body.empty() && !change.whole) {
    return Misused("what is to be set? For example: weir admin set users/alice rule.max_requests=500");
  }
  return change;
}

// Removes what a merge patch would remove, so that a record that is not there yet can be made of one.
void DropNulls(json::object& object) {
  for (auto it = object.begin(); it != object.end();) {
    if (it->value().is_null()) {
      it = object.erase(it);
      continue;
    }
    if (it->value().is_object()) DropNulls(it->value().get_object());
    ++it;
  }
}

Outcome<> Set(const SetOptions& options) {
  const auto target = RecordOf(options.what, "");
  if (!target) return std::unexpected(target.error());
  auto change = ChangeOf(options);
  if (!change) return std::unexpected(change.error());
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  const auto before = server->GetIfThere(target->path());
  if (!before) return std::unexpected(before.error());
  const bool there = before->status != 404;
  std::vector<io::HttpHeader> headers;
  std::string method = "PUT";
  // Only what was looked at is changed: whoever was faster is not overwritten.
  if (!options.if_match.empty()) {
    headers.push_back({"If-Match", options.if_match});
  } else if (there) {
    headers.push_back({"If-Match", before->etag});
  } else {
    headers.push_back({"If-None-Match", "*"});
  }
  if (!change->whole && there) {
    method = "PATCH";
    headers.push_back({"Content-Type", "application/merge-patch+json"});
  } else if (!change->whole) {
    DropNulls(change->body);
  }
  const auto answer = server->Send(method, target->path(), json::serialize(change->body), std::move(headers));
  if (!answer) return std::unexpected(answer.error());
  if (TellWaiting(*answer, options.common.json)) return {};
  if (options.common.json) {
    fmt::print("{}", PrettyJson(answer->value));
    return {};
  }
  const std::string lines = DifferenceText(there ? before->value : json::value(nullptr), answer->value);
  fmt::print("{}{}\n{}", target->text(), there ? (lines.empty() ? ": as it was" : "") : ": made", lines);
  return {};
}

Outcome<> Delete(const DeleteOptions& options) {
  const auto target = RecordOf(options.what, options.name);
  if (!target) return std::unexpected(target.error());
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  const auto before = server->Get(target->path());
  if (!before) return std::unexpected(before.error());
  if (auto agreed = Confirm("Delete " + target->text() + " on " + server->url(), options.common.yes); !agreed)
    return agreed;
  const auto answer = server->Send("DELETE", target->path(), "", {{"If-Match", before->etag}});
  if (!answer) return std::unexpected(answer.error());
  if (TellWaiting(*answer, options.common.json)) return {};
  if (!options.common.json) fmt::print("{}: deleted\n", target->text());
  return {};
}

Outcome<> Get(const GetOptions& options) {
  const auto target = TargetOf(options.what, options.name);
  if (!target) return std::unexpected(target.error());
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  return target->name.empty() ? GetList(*server, options, *target->kind) : GetOne(*server, options, *target);
}

}  // namespace

int RunGet(const GetOptions& options) { return ExitCode(Get(options), options.common.json); }
int RunSet(const SetOptions& options) { return ExitCode(Set(options), options.common.json); }
int RunDelete(const DeleteOptions& options) { return ExitCode(Delete(options), options.common.json); }

}  // namespace weir::cli::admin
