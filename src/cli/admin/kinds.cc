#include "cli/admin/kinds.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "cli/admin/server.h"
#include "cli/admin/values.h"
#include "cli/terminal.h"
#include "config/document/reader.h"

namespace weir::cli::admin {

namespace json = boost::json;

namespace {

constexpr Column kUserColumns[] = {{"user", "name"},       {"tenant", "value.tenant"}, {"tier", "value.tier"},
                                   {"limit", "#limit"},    {"labels", "#labels"},      {"expires", "value.expires"},
                                   {"note", "value.note"}, {"from", "source"}};
constexpr Column kTenantColumns[] = {{"tenant", "name"},    {"tier", "value.tier"}, {"limit", "#limit"},
                                     {"labels", "#labels"}, {"note", "value.note"}, {"from", "source"}};
constexpr Column kRuleColumns[] = {
    {"name", "name"}, {"limit", "#limit"}, {"algorithm", "#algorithm"}, {"note", "value.note"}, {"from", "source"}};
constexpr Column kIpColumns[] = {
    {"name", "name"}, {"action", "value.action"}, {"limit", "#limit"}, {"note", "value.note"}, {"from", "source"}};
constexpr Column kPlainColumns[] = {{"name", "name"}, {"note", "value.note"}, {"from", "source"}};
constexpr Column kKeyColumns[] = {
    {"key", "name"},        {"shown", "#shown"},          {"plan", "value.plan"}, {"tenant", "value.tenant"},
    {"user", "value.user"}, {"expires", "value.expires"}, {"note", "value.note"}};
constexpr Column kOverrideColumns[] = {
    {"override", "name"}, {"limit", "#limit"}, {"expires", "value.expires"}, {"note", "value.note"}};
constexpr Column kRevisionColumns[] = {{"revision", "number"}, {"time", "time"},       {"author", "author"},
                                       {"state", "state"},     {"changes", "changes"}, {"reason", "reason"}};
constexpr Column kApprovalColumns[] = {{"approval", "number"}, {"time", "time"},       {"author", "author"},
                                       {"state", "state"},     {"changes", "changes"}, {"decided by", "decided_by"},
                                       {"reason", "reason"}};
constexpr Column kTokenColumns[] = {
    {"id", "id"},           {"name", "name"},           {"roles", "#roles"},    {"tenant", "tenant"},
    {"expires", "expires"}, {"last used", "last_used"}, {"revoked", "revoked"}, {"created by", "created_by"}};
constexpr Column kRoleColumns[] = {{"role", "role"}, {"permissions", "#permissions"}};
constexpr Column kAccountColumns[] = {{"account", "name"},
                                      {"roles", "#roles"},
                                      {"tenant", "tenant"},
                                      {"disabled", "disabled"},
                                      {"last login", "last_login"}};
constexpr Column kInstanceColumns[] = {
    {"node", "node"}, {"version", "version"}, {"started", "started"}, {"revision", "revision"}, {"policy", "policy"}};
constexpr Column kStoreColumns[] = {{"store", "name"},
                                    {"health", "health"},
                                    {"entries", "entries"},
                                    {"capacity", "capacity"},
                                    {"failures", "failures"}};
// What is shown of lists whose columns are not known here: every member that is not a list or an object.
constexpr std::span<const Column> kAsTheyAre = {};

constexpr Kind kKinds[] = {{"tiers", true, true, kRuleColumns},           {"tenants", true, true, kTenantColumns},
                           {"users", true, true, kUserColumns},           {"endpoints", true, true, kRuleColumns},
                           {"ip-rules", true, true, kIpColumns},          {"templates", true, true, kRuleColumns},
                           {"exemptions", true, true, kPlainColumns},     {"penalties", true, true, kPlainColumns},
                           {"domains", true, true, kPlainColumns},        {"keys", true, false, kKeyColumns},
                           {"overrides", true, false, kOverrideColumns},  {"revisions", false, false, kRevisionColumns},
                           {"tokens", false, false, kTokenColumns},       {"roles", false, false, kRoleColumns},
                           {"accounts", false, false, kAccountColumns},   {"sessions", false, false, kAsTheyAre},
                           {"approvals", false, false, kApprovalColumns}, {"rollouts", false, false, kAsTheyAre},
                           {"instances", false, false, kInstanceColumns}, {"stores", false, false, kStoreColumns}};

std::string Joined(const json::value* list, std::string_view between) {
  std::string out;
  if (list == nullptr || !list->is_array()) return out;
  for (const json::value& one : list->get_array()) {
    if (!out.empty()) out += between;
    if (one.is_object()) {  // a role, perhaps within a tenant
      const std::string tenant = TextAt(one, "tenant");
      out += TextAt(one, "role") + (tenant.empty() ? "" : "@" + tenant);
    } else {
      out += TextAt(one, "");
    }
  }
  return out;
}

std::string CellOf(const json::value& item, std::string_view path) {
  if (path == "#limit") {
    const json::value* const value = At(item, "value");
    return value == nullptr ? "" : LimitText(*value);
  }
  if (path == "#algorithm") {
    for (const std::string_view place : {"value.algorithm", "value.rule.algorithm"}) {
      const json::value* const found = At(item, place);
      if (found == nullptr) continue;
      if (found->is_string()) return std::string(found->get_string());
      if (found->is_object() && !found->get_object().empty()) return std::string(found->get_object().begin()->key());
    }
    return {};
  }
  if (path == "#labels") {
    std::string out;
    const json::value* const labels = At(item, "value.labels");
    if (labels == nullptr || !labels->is_object()) return out;
    for (const auto& [name, value] : labels->get_object()) {
      out += (out.empty() ? "" : " ") + std::string(name) + "=" + TextAt(value, "");
    }
    return out;
  }
  if (path == "#shown") {
    const json::value* const labels = At(item, "value.labels");
    const json::value* const shown =
        labels != nullptr && labels->is_object() ? labels->get_object().if_contains("weir.shown") : nullptr;
    return shown == nullptr ? "" : TextAt(*shown, "");
  }
  if (path == "#roles") return Joined(At(item, "roles"), " ");
  if (path == "#permissions") return Joined(At(item, "permissions"), " ");
  return TextAt(item, path);
}

std::vector<std::vector<std::string>> AsTheyAre(const json::array& items) {
  std::vector<std::string> head;
  for (const json::value& item : items) {
    if (!item.is_object()) continue;
    for (const auto& [name, value] : item.get_object()) {
      const bool plain = !value.is_object() && !value.is_array();
      if (plain && std::ranges::find(head, std::string_view(name)) == head.end()) head.emplace_back(name);
    }
  }
  std::vector<std::vector<std::string>> rows{head};
  for (const json::value& item : items) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const std::string& name : head) row.push_back(TextAt(item, name));
  }
  return rows;
}

}  // namespace

std::span<const Kind> Kinds() { return kKinds; }

Outcome<const Kind*> KindNamed(std::string_view name) {
  std::set<std::string_view> names;
  for (const Kind& kind : kKinds) {
    names.insert(kind.name);
    const std::string_view one = kind.name;
    const bool singular = name == one.substr(0, one.size() - 1) || (one.ends_with("ies") && name == "penalty");
    if (name == one || singular) return &kind;
  }
  const std::string meant = config::DidYouMean(name, {names.begin(), names.end()});
  std::string all;
  for (const Kind& kind : kKinds) all += (all.empty() ? "" : ", ") + std::string(kind.name);
  return Misused(
      fmt::format("there is no kind '{}'{}", Printable(name), meant.empty() ? ": there are " + all : ": " + meant));
}

std::string Target::path() const {
  std::string base = "/" + std::string(kind->name);
  if (name.empty()) return base;
  const std::size_t slash = name.find('/');
  if (kind->name != "overrides" || slash == std::string::npos) return base + "/" + Encoded(name);
  return base + "/" + Encoded(name.substr(0, slash)) + "/" + Encoded(name.substr(slash + 1));
}

std::string Target::text() const { return std::string(kind->name) + (name.empty() ? "" : "/" + Printable(name)); }

Outcome<Target> TargetOf(const std::string& first, const std::string& second) {
  const std::size_t slash = first.find('/');
  const auto kind = KindNamed(first.substr(0, slash));
  if (!kind) return std::unexpected(kind.error());
  Target target{.kind = *kind};
  if (slash != std::string::npos) target.name = first.substr(slash + 1);
  if (!second.empty()) {
    if (!target.name.empty()) return Misused("the name is there twice: '" + Printable(second) + "'");
    target.name = second;
  }
  return target;
}

Outcome<Target> RecordOf(const std::string& first, const std::string& second) {
  auto target = TargetOf(first, second);
  if (!target) return target;
  if (!target->kind->records) {
    return Misused(fmt::format("{} cannot be set; they have commands of their own", target->kind->name));
  }
  if (target->name.empty()) {
    return Misused(fmt::format("which of the {}? Name it: {}/NAME", target->kind->name, target->kind->name));
  }
  return target;
}

std::vector<std::vector<std::string>> RowsOf(const Kind& kind, const json::array& items) {
  if (kind.columns.empty()) return AsTheyAre(items);
  std::vector<std::vector<std::string>> rows(1);
  for (const Column& column : kind.columns) rows[0].emplace_back(column.head);
  for (const json::value& item : items) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const Column& column : kind.columns) row.push_back(CellOf(item, column.path));
  }
  // A column in which nobody has anything tells nothing.
  for (std::size_t column = rows[0].size(); items.size() > 0 && column-- > 1;) {
    const bool empty =
        std::ranges::all_of(rows.begin() + 1, rows.end(), [&](const auto& row) { return row[column].empty(); });
    if (!empty) continue;
    for (auto& row : rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
  }
  return rows;
}

std::string LimitText(const json::value& value) {
  for (const std::string_view place : {"", "rule", "aggregate"}) {
    const json::value* const rule = At(value, place);
    if (rule == nullptr || !rule->is_object()) continue;
    const std::string most = TextAt(*rule, "max_requests"), window = TextAt(*rule, "window_seconds");
    if (most.empty()) continue;
    return most + (window.empty() ? "" : " / " + window + " s") + (place == "aggregate" ? " together" : "");
  }
  return TextAt(value, "exempt") == "true" ? "exempt" : "";
}

}  // namespace weir::cli::admin
