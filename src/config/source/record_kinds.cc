#include "config/source/record_kinds.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>

#include "config/document/document.h"
#include "config/document/merge_patch.h"
#include "config/document/reader.h"
#include "config/document/record.h"
#include "config/document/types.h"

namespace weir::config {
namespace {

// Kinds whose key is a key of a mapping in the document.
struct Mapping {
  std::string_view kind;
  std::string_view section;
  std::string_view below;  // of the section; empty: the section itself
};
constexpr std::array<Mapping, 8> kMappings = {{{"tiers", "global", "tiers"},
                                               {"quotas", "global", "quotas"},
                                               {"endpoints", "endpoints", ""},
                                               {"templates", "templates", ""},
                                               {"domains", "domains", ""},
                                               {"users", "users", ""},
                                               {"tenants", "tenants", ""},
                                               {"api_keys", "api_keys", ""}}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kBuiltInTiers = {
    {{"free", "free_tier"}, {"pro", "pro_tier"}, {"enterprise", "enterprise_tier"}}};
constexpr std::string_view kDefault = "default";
constexpr std::string_view kGlobalPrefix = "global.";

bool Has(std::span<const std::string> kinds, std::string_view kind) {
  return std::ranges::find(kinds, kind) != kinds.end();
}

// ---- a document to records ----

class Cutter {
 public:
  void Cut(const Node& document) {
    for (const Node& section : document.children) CutSection(section);
  }
  std::vector<RecordValue> Take() { return std::move(records_); }

 private:
  void Add(std::string_view kind, std::string_view key, const Node& value) {
    records_.push_back({.id = {.kind = std::string(kind), .key = std::string(key)}, .value = value});
  }
  bool CutMapping(const Node& part, std::string_view section, std::string_view below) {
    for (const Mapping& mapping : kMappings) {
      if (mapping.section != section || mapping.below != below) continue;
      for (const Node& child : part.children) Add(mapping.kind, child.key, child);
      return true;
    }
    return false;
  }
  void CutSection(const Node& section) {
    if (section.key == "global") {
      for (const Node& part : section.children) CutGlobal(part);
    } else if (section.key == "ip_rules") {
      CutIpRules(section);
    } else if (section.key == "exemptions") {
      Add("exemptions", kDefault, section);
    } else if (!CutMapping(section, section.key, "")) {
      Add("settings", section.key, section);
    }
  }
  void CutGlobal(const Node& part) {
    for (const auto& [tier, field] : kBuiltInTiers) {
      if (part.key == field) return Add("tiers", tier, part);
    }
    if (part.key == "penalties") return Add("penalties", kDefault, part);
    if (!CutMapping(part, "global", part.key)) Add("settings", std::string(kGlobalPrefix) + part.key, part);
  }
  void CutIpRules(const Node& section) {
    Node settings = section;
    std::erase_if(settings.children, [](const Node& child) { return child.key == "rules"; });
    Node order = Node::Sequence();
    if (const Node* const rules = section.Find("rules"); rules != nullptr) {
      for (const Node& rule : rules->children) {
        const Node* const name = rule.Find("name");
        if (name == nullptr) continue;  // no document has that
        order.Add(Node::String(name->text));
        Node value = rule;
        std::erase_if(value.children, [](const Node& child) { return child.key == "name"; });
        Add("ip_rules", name->text, value);
      }
    }
    if (!std::ranges::is_sorted(order.children, {}, &Node::text)) settings.Add("order", std::move(order));
    if (!settings.children.empty()) Add("settings", "ip_rules", settings);
  }

  std::vector<RecordValue> records_;
};

// ---- records to a document ----

// The child of that key, a mapping unless it is there as something else; made when it is missing.
Node& Child(Node& node, std::string_view key) {
  for (Node& child : node.children) {
    if (child.key == key) return child;
  }
  return node.Add(key, Node::Map());
}

class Builder {
 public:
  explicit Builder(std::vector<Fault>& faults) : faults_(faults) {}

  void Add(RecordValue record) {
    const RecordId& id = record.id;
    if (id.kind == "tiers") return AddTier(std::move(record));
    for (const Mapping& mapping : kMappings) {
      if (mapping.kind != id.kind) continue;
      Node& section = Child(document_, mapping.section);
      (mapping.below.empty() ? section : Child(section, mapping.below)).Add(id.key, std::move(record.value));
      return;
    }
    if (id.kind == "ip_rules") {
      ip_rules_.emplace(id.key, std::move(record.value));
    } else if (id.kind == "exemptions") {
      AddExemptions(record.value);
    } else if (id.kind == "settings") {
      AddSettings(std::move(record));
    } else if (id.kind == "penalties") {
      if (id.key != kDefault) return AddFault("penalties." + id.key, "there is only `default`");
      Child(document_, "global").Add("penalties", std::move(record.value));
    }
  }

  Node Finish() {
    AddIpRules();
    return std::move(document_);
  }

 private:
  void AddFault(std::string path, std::string message) {
    faults_.push_back({.path = std::move(path), .message = std::move(message)});
  }

  void AddTier(RecordValue record) {
    Node& global = Child(document_, "global");
    for (const auto& [tier, field] : kBuiltInTiers) {
      if (record.id.key != tier) continue;
      global.Add(field, std::move(record.value));
      return;
    }
    Child(global, "tiers").Add(record.id.key, std::move(record.value));
  }

  // What all of them list, each once.
  void AddExemptions(const Node& value) {
    Node& exemptions = Child(document_, "exemptions");
    if (value.kind != Node::Kind::kMap) {
      exemptions.Add("", value);  // the reader says what is wrong
      return;
    }
    for (const Node& list : value.children) {
      const bool known = exemptions.Find(list.key) != nullptr;
      if (!known || list.kind != Node::Kind::kSequence) {
        exemptions.children.push_back(list);
        continue;
      }
      Node& whole = Child(exemptions, list.key);
      for (const Node& one : list.children) {
        const bool twice = std::ranges::any_of(whole.children, [&](const Node& other) {
          return one.IsScalar() && other.IsScalar() && other.text == one.text;
        });
        if (!twice) whole.children.push_back(one);
      }
    }
  }

  void AddSettings(RecordValue record) {
    std::string_view key = record.id.key;
    if (key.starts_with(kGlobalPrefix)) {
      key.remove_prefix(kGlobalPrefix.size());
      Child(document_, "global").Add(key, std::move(record.value));
      return;
    }
    const bool own_kind =
        key == "global" || key == "exemptions" ||
        std::ranges::any_of(kMappings, [&](const Mapping& m) { return m.below.empty() && m.section == key; });
    if (own_kind) return AddFault(std::string(key), "is no section of settings: its parts are records of their own");
    if (key != "ip_rules") {
      document_.Add(key, std::move(record.value));
      return;
    }
    if (const Node* const order = record.value.Find("order"); order != nullptr) {
      for (const Node& name : order->children) order_.push_back(name.text);
      std::erase_if(record.value.children, [](const Node& child) { return child.key == "order"; });
    }
    if (record.value.Find("rules") != nullptr) AddFault("ip_rules.rules", "are records of kind ip_rules");
    Child(document_, "ip_rules") = std::move(record.value);
    document_.children.back().key = "ip_rules";
  }

  void AddIpRules() {
    if (ip_rules_.empty()) return;
    Node rules = Node::Sequence();
    const auto add = [&](const std::string& name, Node value) {
      if (value.kind == Node::Kind::kMap) {
        const Node* const written = value.Find("name");
        if (written != nullptr && written->text != name) {
          AddFault("ip_rules.rules." + name, "names itself otherwise than its key");
        }
        if (written == nullptr) value.Add("name", Node::String(name));
      }
      rules.Add(std::move(value));
    };
    for (const std::string& name : order_) {
      if (auto rule = ip_rules_.extract(name); !rule.empty()) add(name, std::move(rule.mapped()));
    }
    for (auto& [name, rule] : ip_rules_) add(name, std::move(rule));
    Child(document_, "ip_rules").Add("rules", std::move(rules));
  }

  std::vector<Fault>& faults_;
  Node document_ = Node::Map();
  std::map<std::string, Node> ip_rules_;
  std::vector<std::string> order_;
};

// Whether presets stand in values of the kind.
bool HasRules(std::string_view kind) {
  return kind == "ip_rules" ||
         (kind != "quotas" && std::ranges::find(kMappings, kind, &Mapping::kind) != kMappings.end());
}

// With presets written out.
Node InFull(const RecordId& id, Node value) {
  if (!HasRules(id.kind)) return value;
  std::vector<RecordValue> alone;
  alone.push_back({.id = id, .value = value});
  std::vector<Fault> faults;
  EnterpriseRateLimitConfig config;
  std::ranges::move(ReadDocument(ToDocument(std::move(alone), faults), config), std::back_inserter(faults));
  // Also a tier is read alone, without the one that every document has: only the record's own faults are looked at.
  if (!faults.empty()) return value;
  const PresetsInFull in_full;
  Cutter cutter;
  cutter.Cut(WriteDocument(config));
  for (RecordValue& record : cutter.Take()) {
    if (record.id == id) return std::move(record.value);
  }
  return value;
}

}  // namespace

std::span<const std::string> PolicyKinds() {
  static const std::array<std::string, 9> kinds = {"domains", "endpoints", "exemptions", "ip_rules", "penalties",
                                                   "quotas",  "settings",  "templates",  "tiers"};
  return kinds;
}

std::span<const std::string> EntityKinds() {
  static const std::array<std::string, 3> kinds = {"api_keys", "tenants", "users"};
  return kinds;
}

Effect EffectOf(const RecordId& id) {
  if (Has(EntityKinds(), id.kind)) return Effect::kEntity;
  if (Has(PolicyKinds(), id.kind)) return Effect::kPolicy;
  if (id.kind != kOverrides) return Effect::kNone;
  const auto target = TargetOfOverride(id.key);
  return target ? EffectOf(*target) : Effect::kNone;
}

std::optional<RecordId> TargetOfOverride(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos || slash + 1 == key.size()) return std::nullopt;
  const std::string_view kind = key.substr(0, slash);
  if (!Has(EntityKinds(), kind) && !Has(PolicyKinds(), kind)) return std::nullopt;
  return RecordId{.kind = std::string(kind), .key = std::string(key.substr(slash + 1))};
}

std::string OverrideKey(const RecordId& target) { return target.kind + '/' + target.key; }

std::vector<std::pair<RecordId, std::string>> ToRecords(const EnterpriseRateLimitConfig& config) {
  Cutter cutter;
  cutter.Cut(WriteDocument(config));
  std::vector<std::pair<RecordId, std::string>> records;
  for (RecordValue& record : cutter.Take()) records.emplace_back(std::move(record.id), ToJsonText(record.value));
  return records;
}

Node ToDocument(std::vector<RecordValue> records, std::vector<Fault>& faults) {
  Builder builder(faults);
  for (RecordValue& record : records) builder.Add(std::move(record));
  return builder.Finish();
}

Node PatchValue(const RecordId& id, Node value, const Node& patch) {
  return MergePatch(InFull(id, std::move(value)), patch);
}

}  // namespace weir::config
