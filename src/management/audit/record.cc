#include "management/audit/record.h"

#include <absl/time/time.h>

#include <array>
#include <boost/json.hpp>

#include "base/crypto/encoding.h"
#include "base/utf8.h"
#include "http/json_writer.h"
#include "management/audit/redact.h"
#include "management/auth/crypto.h"

namespace weir::management::audit {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 3> kOutcomes = {"success", "denied", "error"};

// At most kMostText bytes, whole characters.
std::string Bounded(std::string_view text) {
  std::string clean = RedactText(text);
  if (clean.size() <= kMostText) return clean;
  std::size_t end = kMostText - 3;
  while (end > 0 && (static_cast<unsigned char>(clean[end]) & 0xC0) == 0x80) --end;
  clean.resize(end);
  return clean + "...";
}

void Member(std::string_view name, std::string_view text, std::string* out) {
  const char last = out->back();
  if (last != '{') *out += ',';
  http::AppendJsonString(name, out);
  *out += ':';
  http::AppendJsonString(Bounded(text), out);
}

void Document(std::string_view name, std::string_view text, std::string* out) {
  if (text.empty()) return;
  out->append(",\"").append(name).append("\":");
  const std::string clean = text.size() <= 8 * kMostDocument ? RedactJson(text) : std::string();
  if (!clean.empty() && clean.size() <= kMostDocument) {
    *out += clean;
  } else {
    // The hash is of the redacted text, so that nobody can try secrets on it.
    const std::string& hashed = clean;
    *out += "{\"omitted_bytes\":" + std::to_string(text.size());
    if (!hashed.empty()) *out += ",\"sha256\":\"" + Hex(Sha256(hashed)) + "\"";
    *out += "}";
  }
}

// Reading back.
std::string_view TextAt(const json::object& object, std::string_view name) {
  const json::value* const found = object.if_contains(json::string_view(name.data(), name.size()));
  if (found == nullptr || !found->is_string()) return {};
  const json::string& text = found->get_string();
  return {text.data(), text.size()};
}

const json::object& ObjectAt(const json::object& object, std::string_view name) {
  static const json::object kEmpty;
  const json::value* const found = object.if_contains(json::string_view(name.data(), name.size()));
  return found == nullptr || !found->is_object() ? kEmpty : found->get_object();
}

std::string DocumentAt(const json::object& object, std::string_view name) {
  const json::value* const found = object.if_contains(json::string_view(name.data(), name.size()));
  return found == nullptr ? std::string() : json::serialize(*found);
}

std::uint64_t NumberAt(const json::object& object, std::string_view name) {
  const json::value* const found = object.if_contains(json::string_view(name.data(), name.size()));
  if (found == nullptr) return 0;
  boost::system::error_code fault;
  const auto number = found->to_number<std::uint64_t>(fault);
  return fault ? 0 : number;
}

}  // namespace

std::string_view NameOf(Outcome outcome) { return kOutcomes.at(static_cast<std::size_t>(outcome)); }

std::string TimeText(Nanos time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", absl::FromUnixNanos(time), absl::UTCTimeZone());
}

Result<Nanos> ParseTime(std::string_view text) {
  absl::Time time;
  std::string error;
  if (text.size() > 64 ||
      !absl::ParseTime(absl::RFC3339_full, absl::string_view(text.data(), text.size()), &time, &error)) {
    return Fail(ErrorCode::kInvalidArgument, "a time must be like 2027-01-15T08:00:00Z");
  }
  return absl::ToUnixNanos(time);
}

std::string EncodeBody(const Record& record) {
  std::string out = "{";
  Member("time", TimeText(record.time), &out);
  Member("node", record.node, &out);
  Member("version", record.version, &out);
  out += ",\"actor\":{";
  Member("name", record.actor.name, &out);
  Member("kind", record.actor.kind, &out);
  out += ",\"roles\":[";
  constexpr std::size_t kMostRoles = 16;
  for (std::size_t i = 0; i < record.actor.roles.size() && i < kMostRoles; ++i) {
    if (i > 0) out += ',';
    http::AppendJsonString(Bounded(record.actor.roles[i]), &out);
  }
  out += ']';
  Member("tenant", record.actor.tenant, &out);
  Member("method", record.actor.method, &out);
  Member("credential", record.actor.credential, &out);
  out += '}';
  Member("action", record.action, &out);
  out += ",\"object\":{";
  Member("kind", record.object.kind, &out);
  Member("id", record.object.id, &out);
  Member("tenant", record.object.tenant, &out);
  out += '}';
  Document("before", record.before, &out);
  Document("after", record.after, &out);
  out += ",\"source\":{";
  Member("address", record.address, &out);
  Member("user_agent", record.user_agent, &out);
  out += '}';
  Member("request_id", record.request_id, &out);
  Member("outcome", NameOf(record.outcome), &out);
  out += ",\"status\":" + std::to_string(record.status);
  Member("reason", record.reason, &out);
  return out;
}

Result<Record> ParseRecord(std::string_view line) {
  const auto damaged = [](const char* why) {
    return Fail(ErrorCode::kDataLoss, std::string("this is no record: ") + why);
  };
  if (line.size() > kMostRecord) return damaged("it is too long");
  boost::system::error_code fault;
  const json::value value = json::parse(json::string_view(line.data(), line.size()), fault);
  if (fault || !value.is_object()) return damaged("it is no JSON object");
  const json::object& top = value.get_object();
  Record record;
  const auto time = ParseTime(TextAt(top, "time"));
  if (!time) return damaged("it has no time");
  record.time = *time;
  record.node = TextAt(top, "node");
  record.version = TextAt(top, "version");
  const json::object& actor = ObjectAt(top, "actor");
  record.actor.name = TextAt(actor, "name");
  record.actor.kind = TextAt(actor, "kind");
  if (const json::value* roles = actor.if_contains("roles"); roles != nullptr && roles->is_array()) {
    for (const json::value& role : roles->get_array()) {
      if (role.is_string()) record.actor.roles.emplace_back(role.get_string().c_str());
    }
  }
  record.actor.tenant = TextAt(actor, "tenant");
  record.actor.method = TextAt(actor, "method");
  record.actor.credential = TextAt(actor, "credential");
  record.action = TextAt(top, "action");
  const json::object& object = ObjectAt(top, "object");
  record.object = {.kind = std::string(TextAt(object, "kind")),
                   .id = std::string(TextAt(object, "id")),
                   .tenant = std::string(TextAt(object, "tenant"))};
  record.before = DocumentAt(top, "before");
  record.after = DocumentAt(top, "after");
  const json::object& source = ObjectAt(top, "source");
  record.address = TextAt(source, "address");
  record.user_agent = TextAt(source, "user_agent");
  record.request_id = TextAt(top, "request_id");
  const std::string_view outcome = TextAt(top, "outcome");
  for (std::size_t i = 0; i < kOutcomes.size(); ++i) {
    if (kOutcomes[i] == outcome) record.outcome = static_cast<Outcome>(i);
  }
  record.status = static_cast<std::uint16_t>(NumberAt(top, "status"));
  record.reason = TextAt(top, "reason");
  record.seq = NumberAt(top, "seq");
  record.previous = TextAt(top, "prev");
  record.hash = TextAt(top, "hash");
  return record;
}

}  // namespace weir::management::audit
