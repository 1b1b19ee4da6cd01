// revisions, diff, rollback, and the decisions of a second person.
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

Outcome<> Revisions(const RevisionListOptions& options) {
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  Query query;
  if (!options.author.empty()) query.emplace_back("author", options.author);
  const auto all = server->GetAll("/revisions", query, options.most);
  if (!all) return std::unexpected(all.error());
  if (options.common.json) {
    fmt::print("{}", PrettyJson(*all));
    return {};
  }
  PrintTable(RowsOf(**KindNamed("revisions"), all->at("items").get_array()), "no revisions");
  TellTruncated(*all);
  return {};
}

void PrintChanges(const json::value& body) {
  const json::value* const items = At(body, "items");
  if (items == nullptr || !items->is_array() || items->get_array().empty()) {
    fmt::print("no difference\n");
    return;
  }
  for (const json::value& item : items->get_array()) {
    const json::value* const before = At(item, "before");
    const json::value* const after = At(item, "after");
    const bool was = before != nullptr && !before->is_null(), is = after != nullptr && !after->is_null();
    fmt::print("{}/{}{}\n{}", Printable(TextAt(item, "kind")), Printable(TextAt(item, "key")),
               !was  ? ": new"
               : !is ? ": deleted"
                     : "",
               DifferenceText(was ? *before : json::value(nullptr), is ? *after : json::value(nullptr)));
  }
  if (TextAt(body, "truncated") == "true") fmt::print("and more: the server tells the first 1,000\n");
}

Outcome<> Diff(const DiffOptions& options) {
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  Query query;
  if (options.to != 0) query.emplace_back("against", std::to_string(options.from));
  const std::uint64_t number = options.to == 0 ? options.from : options.to;
  const auto answer = server->Get(fmt::format("/revisions/{}/diff", number), query);
  if (!answer) return std::unexpected(answer.error());
  if (options.common.json) {
    fmt::print("{}", PrettyJson(answer->value));
  } else {
    PrintChanges(answer->value);
  }
  return {};
}

Outcome<> Rollback(const RollbackOptions& options) {
  if (options.common.reason.empty()) return Misused("a rollback needs --reason: it is the first thing that others ask");
  auto server = AdminServer::Connect(options.common, 5 * kMinute);
  if (!server) return std::unexpected(server.error());
  if (!options.common.yes) {  // what will change is shown before it is asked about
    const auto revisions = server->GetAll("/revisions", {}, 1);
    if (!revisions) return std::unexpected(revisions.error());
    const auto head = revisions->at("items").get_array();
    const std::string newest = head.empty() ? "" : TextAt(head.front(), "number");
    if (!newest.empty() && newest != std::to_string(options.number)) {
      const auto changes = server->Get(fmt::format("/revisions/{}/diff", options.number), {{"against", newest}});
      if (!changes) return std::unexpected(changes.error());
      PrintChanges(changes->value);
    }
  }
  const std::string question =
      fmt::format("Make everything on {} as it was at revision {}", server->url(), options.number);
  if (auto agreed = Confirm(question, options.common.yes); !agreed) return agreed;
  const auto answer = server->Send("POST", fmt::format("/revisions/{}/rollback", options.number),
                                   json::serialize(json::object{{"reason", options.common.reason}}));
  if (!answer) return std::unexpected(answer.error());
  if (TellWaiting(*answer, options.common.json)) return {};
  if (options.common.json) {
    fmt::print("{}", PrettyJson(answer->value));
  } else if (TextAt(answer->value, "changed") == "false") {
    fmt::print("everything was as at revision {} already\n", options.number);
  } else {
    fmt::print("as at revision {}, by {}\n", options.number, RevisionText(answer->value));
  }
  return {};
}

Outcome<> Decide(const DecideOptions& options) {
  if (!options.approve && options.common.reason.empty()) return Misused("a rejection needs --reason");
  auto server = AdminServer::Connect(options.common);
  if (!server) return std::unexpected(server.error());
  const std::string path = "/approvals/" + Encoded(options.id);
  const std::string question =
      fmt::format("{} {} on {}", options.approve ? "Approve" : "Reject", Printable(options.id), server->url());
  if (auto agreed = Confirm(question, options.common.yes); !agreed) return agreed;
  json::object body;
  if (!options.common.reason.empty()) body["reason"] = options.common.reason;
  const auto answer = server->Send("POST", path + (options.approve ? "/approve" : "/reject"), json::serialize(body));
  if (!answer) return std::unexpected(answer.error());
  if (options.common.json) {
    fmt::print("{}", PrettyJson(answer->value));
  } else {
    fmt::print("{}: {}\n", Printable(options.id), options.approve ? "approved" : "rejected");
  }
  return {};
}

}  // namespace

int RunRevisions(const RevisionListOptions& options) { return ExitCode(Revisions(options), options.common.json); }
int RunDiff(const DiffOptions& options) { return ExitCode(Diff(options), options.common.json); }
int RunRollback(const RollbackOptions& options) { return ExitCode(Rollback(options), options.common.json); }
int RunDecide(const DecideOptions& options) { return ExitCode(Decide(options), options.common.json); }

}  // namespace weir::cli::admin
