// apply: many records as one revision.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <vector>

#include "cli/admin/commands.h"
#include "cli/admin/input.h"
#include "cli/admin/kinds.h"
#include "cli/admin/values.h"
#include "cli/terminal.h"

namespace weir::cli::admin {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostItems = 10'000;
constexpr std::size_t kMostShown = 1'000;

struct Item {
  Target target;
  json::value value;  // null: to be deleted
};

Outcome<> AddRecords(const Kind& kind, const json::value& records, std::vector<Item>& items) {
  if (!records.is_object()) return Misused(fmt::format("{}: must be records by their names", kind.name));
  for (const auto& [name, value] : records.get_object()) {
    const Target target{.kind = &kind, .name = std::string(name)};
    if (!value.is_object()) {
      return Misused(target.text() + ": must be a record; {} is one without fields, and `delete` lists what is to go");
    }
    items.push_back({target, value});
  }
  return {};
}

Outcome<> AddDeletions(const json::value& names, std::vector<Item>& items) {
  if (!names.is_array()) return Misused("delete: must be a list such as [users/alice]");
  for (const json::value& name : names.get_array()) {
    if (!name.is_string()) return Misused("delete: must be a list such as [users/alice]");
    const auto target = RecordOf(std::string(name.get_string()), "");
    if (!target) return std::unexpected(target.error());
    if (!target->kind->bulk) return Misused(target->text() + " cannot be deleted together with others");
    items.push_back({*target, nullptr});
  }
  return {};
}

Outcome<std::vector<Item>> ItemsOf(const json::value& document) {
  if (!document.is_object()) return Misused("it must have kinds with their records: users: {alice: {...}}");
  std::vector<Item> items;
  for (const auto& [name, value] : document.get_object()) {
    Outcome<> added;
    if (name == "delete") {
      added = AddDeletions(value, items);
    } else {
      const auto kind = KindNamed(name);
      if (!kind) return std::unexpected(kind.error());
      if (!(*kind)->bulk) {
        return Misused(fmt::format("{} cannot be applied with others: weir admin {}", (*kind)->name,
                                   (*kind)->name == "keys" ? "keys" : "set"));
      }
      added = AddRecords(**kind, value, items);
    }
    if (!added) return std::unexpected(added.error());
  }
  if (items.empty()) return Misused("there is nothing in it");
  if (items.size() > kMostItems) return Misused("it has more than 10,000 records: apply it in parts");
  return items;
}

std::string BulkBody(const std::vector<Item>& items, const ApplyOptions& options) {
  json::array list;
  for (const Item& item : items) {
    json::object one{{"method", item.value.is_null() ? "DELETE" : "PUT"},
                     {"collection", item.target.kind->name},
                     {"name", item.target.name}};
    if (!item.value.is_null()) one["value"] = item.value;
    list.push_back(std::move(one));
  }
  json::object body{{"items", std::move(list)}};
  if (options.dry_run) body["dry_run"] = true;
  if (!options.common.reason.empty()) body["reason"] = options.common.reason;
  return json::serialize(body);
}

// What each record would become; returns how many would change.
Outcome<std::size_t> ShowChanges(AdminServer& server, const std::vector<Item>& items) {
  std::size_t changed = 0, same = 0;
  for (const Item& item : items) {
    if (changed == kMostShown) break;
    const auto before = server.GetIfThere(item.target.path());
    if (!before) return std::unexpected(before.error());
    const bool there = before->status != 404;
    const std::string lines = DifferenceText(there ? before->value : json::value(nullptr), item.value);
    // A new record without fields has no lines.
    if (lines.empty() && there == !item.value.is_null()) {
      ++same;
      continue;
    }
    ++changed;
    fmt::print("{}{}\n{}", item.target.text(), !there ? ": new" : item.value.is_null() ? ": deleted" : "", lines);
  }
  fmt::print("{} {} would change", Count(changed), changed == 1 ? "record" : "records");
  if (changed == kMostShown) fmt::print(", and perhaps more");
  fmt::print(", {} as they are\n", Count(same));
  return changed;
}

Outcome<> Apply(const ApplyOptions& options) {
  const auto document = ReadValue(options.file);
  if (!document) return std::unexpected(document.error());
  const auto items = ItemsOf(*document);
  if (!items) return std::unexpected(items.error());
  auto server = AdminServer::Connect(options.common, 5 * kMinute);
  if (!server) return std::unexpected(server.error());
  const auto deleted = std::ranges::count_if(*items, [](const Item& item) { return item.value.is_null(); });
  if (deleted > 0 && !options.dry_run) {
    const std::string question =
        fmt::format("Delete {} {} on {}", deleted, deleted == 1 ? "record" : "records", server->url());
    if (auto agreed = Confirm(question, options.common.yes); !agreed) return agreed;
  }
  const auto answer = server->Send("POST", "/bulk", BulkBody(*items, options));
  if (!answer) {
    Complaint complaint = answer.error();
    // The server counts; people know names.
    for (std::size_t i = items->size(); i-- > 0;) {
      const std::string place = "items." + std::to_string(i);
      for (std::size_t at = complaint.text.find(place); at != std::string::npos; at = complaint.text.find(place, at)) {
        const char next = complaint.text.size() > at + place.size() ? complaint.text[at + place.size()] : ' ';
        if (next >= '0' && next <= '9') {
          ++at;
        } else {
          std::size_t length = place.size();
          if (complaint.text.compare(at + length, 7, ".value.") == 0) length += 6;
          complaint.text.replace(at, length, (*items)[i].target.text());
        }
      }
    }
    return std::unexpected(std::move(complaint));
  }
  if (TellWaiting(*answer, options.common.json)) return {};
  if (options.common.json) {
    fmt::print("{}", PrettyJson(answer->value));
    return {};
  }
  if (options.dry_run) {
    const auto changed = ShowChanges(*server, *items);
    return changed ? Outcome<>() : std::unexpected(changed.error());
  }
  if (TextAt(answer->value, "changed") == "false") {
    fmt::print("everything was so already\n");
  } else {
    fmt::print("{} records in {}\n", Count(items->size()), RevisionText(answer->value));
  }
  return {};
}

}  // namespace

int RunApply(const ApplyOptions& options) { return ExitCode(Apply(options), options.common.json); }

}  // namespace weir::cli::admin
