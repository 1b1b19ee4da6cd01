#include "management/audit/export.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

namespace weir::management::audit {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 3> kFormats = {"ndjson", "csv", "ocsf"};
constexpr std::array<std::string_view, 20> kColumns = {
    "seq",          "time",   "node",       "version", "actor",      "actor_kind", "roles",
    "actor_tenant", "method", "credential", "action",  "object",     "object_id",  "tenant",
    "outcome",      "status", "reason",     "address", "request_id", "hash"};

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : " ").append(word);
  return text;
}

// A spreadsheet computes what begins so, and a formula can send data away.
bool IsFormula(std::string_view text) {
  return !text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos;
}

std::string Cell(std::string_view text) {
  const bool formula = IsFormula(text);
  if (!formula && text.find_first_of("\",\r\n") == std::string_view::npos) return std::string(text);
  std::string cell = formula ? "\"'" : "\"";
  for (const char c : text) {
    if (c == '"') cell += '"';
    cell += c;
  }
  return cell + "\"";
}

std::string CsvRow(const Record& record) {
  const std::array<std::string, kColumns.size()> cells = {std::to_string(record.seq),
                                                          TimeText(record.time),
                                                          record.node,
                                                          record.version,
                                                          record.actor.name,
                                                          record.actor.kind,
                                                          Joined(record.actor.roles),
                                                          record.actor.tenant,
                                                          record.actor.method,
                                                          record.actor.credential,
                                                          record.action,
                                                          record.object.kind,
                                                          record.object.id,
                                                          record.object.tenant,
                                                          std::string(NameOf(record.outcome)),
                                                          std::to_string(record.status),
                                                          record.reason,
                                                          record.address,
                                                          record.request_id,
                                                          record.hash};
  std::string row;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) row += ',';
    row += Cell(cells[i]);
  }
  return row + "\r\n";
}

json::string Text(std::string_view text) { return json::string(text.data(), text.size()); }

struct Activity {
  int id;
  const char* name;
};
// By the verb of the permission that it took.
Activity ActivityOf(std::string_view action) {
  const std::string_view verb = action.substr(0, action.find(':'));
  if (verb == "create") return {1, "Create"};
  if (verb == "read" || verb == "export") return {2, "Read"};
  if (verb == "update" || verb == "rotate" || verb == "reset" || verb == "rollback" || verb == "approve") {
    return {3, "Update"};
  }
  if (verb == "delete") return {4, "Delete"};
  return {99, "Other"};
}

json::object Ocsf(const Record& record) {
  constexpr int kClass = 6'003;
  const Activity activity = ActivityOf(record.action);
  const bool done = record.outcome == Outcome::kSuccess;
  json::object actor{{"user", json::object{{"name", Text(record.actor.name)},
                                           {"type", record.actor.kind == "service" ? "Service" : "User"},
                                           {"type_id", record.actor.kind == "service" ? 4 : 1}}}};
  if (!record.actor.credential.empty()) actor["session"] = json::object{{"uid", Text(record.actor.credential)}};
  json::object resource{{"type", Text(record.object.kind)}, {"uid", Text(record.object.id)}};
  if (!record.object.tenant.empty()) resource["group"] = json::object{{"name", Text(record.object.tenant)}};
  json::object unmapped{{"method", Text(record.actor.method)},
                        {"roles", Text(Joined(record.actor.roles))},
                        {"node", Text(record.node)},
                        {"hash", Text(record.hash)},
                        {"previous_hash", Text(record.previous)}};
  const auto document = [&](const char* name, const std::string& text) {
    boost::system::error_code fault;
    if (text.empty()) return;
    if (json::value value = json::parse(text, fault); !fault) unmapped[name] = std::move(value);
  };
  document("before", record.before);
  document("after", record.after);
  json::object event{
      {"category_uid", 6},
      {"category_name", "Application Activity"},
      {"class_uid", kClass},
      {"class_name", "API Activity"},
      {"activity_id", activity.id},
      {"activity_name", activity.name},
      {"type_uid", kClass * 100 + activity.id},
      {"type_name", std::string("API Activity: ") + activity.name},
      {"time", record.time / kMillisecond},
      // Informational, or low: somebody was refused, or something failed.
      {"severity_id", done ? 1 : 2},
      {"severity", done ? "Informational" : "Low"},
      {"status_id", done ? 1 : 2},
      {"status", done ? "Success" : "Failure"},
      {"status_code", std::to_string(record.status)},
      {"actor", std::move(actor)},
      {"api", json::object{{"operation", Text(record.action)},
                           {"request", json::object{{"uid", Text(record.request_id)}}},
                           {"response", json::object{{"code", record.status}}},
                           {"service", json::object{{"name", "weir"}}}}},
      {"resources", json::array{std::move(resource)}},
      {"src_endpoint", json::object{{"ip", Text(record.address)}}},
      {"http_request", json::object{{"user_agent", Text(record.user_agent)}, {"uid", Text(record.request_id)}}},
      {"metadata",
       json::object{
           {"version", "1.3.0"},
           {"uid", Text(record.node + "-" + std::to_string(record.seq))},
           {"sequence", record.seq},
           {"log_name", "audit"},
           {"product", json::object{{"name", "weir"}, {"vendor_name", "weir"}, {"version", Text(record.version)}}}}},
      {"unmapped", std::move(unmapped)}};
  if (!record.reason.empty()) event["status_detail"] = Text(record.reason);
  return event;
}

// PRINTUSASCII without what separates; cut to what the field may have.
std::string Word(std::string_view text, std::size_t most) {
  std::string word;
  for (const char c : text.substr(0, most)) word += c > ' ' && c <= '~' ? c : '_';
  return word.empty() ? "-" : word;
}

void Parameter(std::string_view name, std::string_view value, std::string* out) {
  if (value.empty()) return;
  out->append(" ").append(name).append("=\"");
  for (const char c : value) {
    if (c == '"' || c == '\\' || c == ']') *out += '\\';
    *out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '_' : c;
  }
  *out += '"';
}

}  // namespace

std::optional<ExportFormat> ExportFormatNamed(std::string_view name) {
  const auto found = std::ranges::find(kFormats, name);
  if (found == kFormats.end()) return std::nullopt;
  return static_cast<ExportFormat>(found - kFormats.begin());
}

std::string_view ContentTypeOf(ExportFormat format) {
  return format == ExportFormat::kCsv ? "text/csv; charset=utf-8; header=present" : "application/x-ndjson";
}

std::string ExportHead(ExportFormat format) {
  std::string head;
  if (format != ExportFormat::kCsv) return head;
  for (const std::string_view column : kColumns) head.append(head.empty() ? "" : ",").append(column);
  return head + "\r\n";
}

std::string ExportRecord(ExportFormat format, const Record& record, std::string_view line) {
  switch (format) {
    case ExportFormat::kNdjson:
      return std::string(line) + "\n";
    case ExportFormat::kCsv:
      return CsvRow(record);
    case ExportFormat::kOcsf:
      return json::serialize(Ocsf(record)) + "\n";
  }
  return "";
}

std::string SyslogMessage(const Record& record, std::string_view line, const SyslogOptions& options) {
  constexpr int kLogAudit = 13;
  const int severity = record.outcome == Outcome::kSuccess ? 6 : record.outcome == Outcome::kDenied ? 5 : 4;
  // RFC 5424 has microseconds at most.
  std::string time = TimeText(record.time);
  time.erase(time.size() - 4, 3);
  std::string message = "<" + std::to_string(kLogAudit * 8 + severity) + ">1 " + time + " " +
                        Word(options.host.empty() ? record.node : options.host, 255) + " weir " +
                        Word(options.process, 128) + " " + Word(record.action, 32) + " [weir@" +
                        std::to_string(options.enterprise);
  Parameter("seq", std::to_string(record.seq), &message);
  Parameter("actor", record.actor.name, &message);
  Parameter("method", record.actor.method, &message);
  Parameter("object", record.object.kind, &message);
  Parameter("id", record.object.id, &message);
  Parameter("tenant", record.object.tenant, &message);
  Parameter("outcome", NameOf(record.outcome), &message);
  Parameter("address", record.address, &message);
  Parameter("request", record.request_id, &message);
  Parameter("hash", record.hash, &message);
  return message.append("] \xEF\xBB\xBF").append(line);
}

std::string SyslogFrame(std::string_view message) { return std::to_string(message.size()).append(" ").append(message); }

}  // namespace weir::management::audit
