#include "management/rest/record_body.h"

#include <absl/time/time.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "config/document/document.h"
#include "config/document/node.h"
#include "config/document/types.h"
#include "config/source/record_kinds.h"

namespace weir::management::rest {
namespace {

using config::Node;

BodyFault ToBodyFault(const Fault& fault) {
  return {.path = fault.path, .line = fault.line, .column = fault.column, .message = fault.message, .hint = fault.hint};
}

BodyFault At(const Node& node, std::string path, std::string message, std::string hint = {}) {
  const config::TextPlace place = config::PlaceOf(node);
  return {std::move(path), place.line, place.column, std::move(message), std::move(hint)};
}

constexpr std::size_t kMostLabels = 64;

// Takes what is no part of the value out of it.
void TakeMeta(Node& root, config::RecordBody& body, std::vector<BodyFault>& faults) {
  std::erase_if(root.children, [&](const Node& child) {
    if (child.key == "expires") {
      if (child.kind == Node::Kind::kNull) return true;
      const auto time = child.IsText() ? ParseTimestamp(child.text) : std::nullopt;
      if (!time || *time <= 0) {
        faults.push_back(At(child, "expires", "must be a time such as 2026-12-04T17:00:00Z"));
      } else {
        body.expires = time;
      }
      return true;
    }
    if (child.key == "note") {
      if (child.kind != Node::Kind::kNull && !child.IsText()) faults.push_back(At(child, "note", "must be text"));
      body.note = child.text;
      return true;
    }
    if (child.key == "labels") {
      if (child.kind == Node::Kind::kNull) return true;
      if (child.kind != Node::Kind::kMap || child.children.size() > kMostLabels) {
        faults.push_back(At(child, "labels", "must be a mapping of at most 64 names to texts"));
        return true;
      }
      for (const Node& label : child.children) {
        if (!label.IsScalar() || label.kind == Node::Kind::kNull) {
          faults.push_back(At(label, "labels." + label.key, "must be text"));
        } else if (!body.labels.emplace(label.key, label.text).second) {
          faults.push_back(At(label, "labels." + label.key, "is there twice"));
        }
      }
      return true;
    }
    return false;
  });
}

}  // namespace

std::string DocumentPath(const Collection& collection, const std::string& key) {
  if (collection.kind == "tiers") {
    if (key == "free" || key == "pro" || key == "enterprise") return "global." + key + "_tier";
    return "global.tiers." + key;
  }
  if (collection.kind == "penalties" || collection.kind == "exemptions") return std::string(collection.prefix);
  if (collection.kind == "ip_rules") return "ip_rules.rules.0";  // alone in its document
  return std::string(collection.prefix) + key;
}

std::vector<BodyFault> FaultsBelow(const Collection& collection, const std::string& key,
                                   const std::vector<Fault>& faults) {
  const std::string path = DocumentPath(collection, key);
  std::vector<BodyFault> below;
  for (const Fault& fault : faults) {
    if (fault.severity != Severity::kError || !fault.path.starts_with(path)) continue;
    if (fault.path.size() > path.size() && fault.path[path.size()] != '.') continue;
    BodyFault& one = below.emplace_back(ToBodyFault(fault));
    one.path.erase(0, std::min(one.path.size(), path.size() + 1));
  }
  return below;
}

std::expected<config::RecordBody, std::vector<BodyFault>> ReadRecordBody(const Collection& collection,
                                                                         const std::string& key, std::string_view text,
                                                                         const config::Surroundings& around) {
  config::ParsedTree tree = config::ParseJsonTree(text);
  std::vector<BodyFault> faults;
  if (!tree.faults.empty()) {
    std::ranges::transform(tree.faults, std::back_inserter(faults), ToBodyFault);
    return std::unexpected(std::move(faults));
  }
  config::RecordBody body;
  const bool list = collection.kind == "quotas";
  if (tree.root.kind != (list ? Node::Kind::kSequence : Node::Kind::kMap)) {
    faults.push_back(At(tree.root, "", list ? "must be a list" : "must be a JSON object"));
    return std::unexpected(std::move(faults));
  }
  if (!list) TakeMeta(tree.root, body, faults);
  body.value = config::ToJsonText(tree.root);
  if (collection.kind == config::kOverrides) {
    if (!faults.empty()) return std::unexpected(std::move(faults));
    return body;
  }
  std::vector<config::RecordValue> records;
  records.push_back({{.kind = std::string(collection.kind), .key = key}, std::move(tree.root)});
  std::vector<Fault> found;
  const Node document = config::ToDocument(std::move(records), found);
  for (const Fault& fault : found) faults.push_back(ToBodyFault(fault));
  EnterpriseRateLimitConfig read;
  std::ranges::move(FaultsBelow(collection, key, config::ReadDocument(document, read)), std::back_inserter(faults));
  // A key that the document does not take is told at the mapping, and not below the record.
  if (collection.entity && faults.empty()) {
    const EnterpriseRateLimitConfig judged = config::DocumentToJudge(std::move(read), around);
    std::ranges::move(FaultsBelow(collection, key, config::Validate(judged, document)), std::back_inserter(faults));
  }
  if (!faults.empty()) return std::unexpected(std::move(faults));
  return body;
}

std::string WriteRecordBody(const config::RecordBody& body) {
  namespace json = boost::json;
  boost::system::error_code fault;
  json::value value = json::parse(body.value, fault);
  if (fault || !value.is_object()) return body.value;
  json::object& object = value.get_object();
  if (body.expires) object["expires"] = TimestampText(*body.expires);
  if (!body.labels.empty()) {
    json::object labels;
    for (const auto& [name, label] : body.labels) labels[name] = label;
    object["labels"] = std::move(labels);
  }
  if (!body.note.empty()) object["note"] = body.note;
  return json::serialize(value);
}

std::optional<Nanos> ParseTimestamp(std::string_view text) {
  absl::Time time;
  std::string fault;
  if (!absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &fault)) return std::nullopt;
  if (time < absl::UnixEpoch() || time > absl::FromUnixSeconds(9'000'000'000)) return std::nullopt;
  return absl::ToUnixNanos(time);
}

std::string TimestampText(Nanos time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", absl::FromUnixNanos(time), absl::UTCTimeZone());
}

}  // namespace weir::management::rest
