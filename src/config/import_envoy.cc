#include "config/import_envoy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <set>

#include "config/domain_table.h"
#include "config/reader.h"

namespace weir::config {
namespace {

constexpr std::size_t kLongestName = 200;      // of a domain or a rule: what the document allows
constexpr std::size_t kLongestText = 1 << 20;  // of a key or a value

struct Unit {
  std::string_view name;
  std::uint32_t seconds;
};
constexpr std::array<Unit, 7> kUnits = {{{"second", 1},
                                         {"minute", 60},
                                         {"hour", 3'600},
                                         {"day", 86'400},
                                         {"week", 7 * 86'400},
                                         {"month", 30 * 86'400},
                                         {"year", 365 * 86'400}}};

std::optional<std::uint32_t> SecondsOf(std::string_view unit) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b; };
  const auto found =
      std::ranges::find_if(kUnits, [&](const Unit& one) { return std::ranges::equal(unit, one.name, same); });
  return found == kUnits.end() ? std::nullopt : std::optional(found->seconds);
}

// Where each key of that format has a meaning.
constexpr std::string_view kRootKeys[] = {"domain", "descriptors"};
constexpr std::string_view kDescriptorKeys[] = {
    "key",        "value",           "rate_limit",      "descriptors",     "shadow_mode",
    "quota_mode", "detailed_metric", "value_to_metric", "share_threshold", "metadata"};
constexpr std::string_view kLimitKeys[] = {"unit", "requests_per_unit", "unlimited", "name", "replaces"};
constexpr std::string_view kReplacesKeys[] = {"name"};

bool Contains(std::span<const std::string_view> keys, std::string_view key) {
  return std::ranges::find(keys, key) != keys.end();
}

std::string_view HomeOf(std::string_view key) {
  if (Contains(kLimitKeys, key)) return "a rate_limit";
  if (Contains(kDescriptorKeys, key)) return "a descriptor";
  return Contains(kRootKeys, key) ? "the top of the file" : std::string_view();
}

class EnvoyReader {
 public:
  EnvoyReader(std::string file, std::vector<FileFault>& faults) : reader_(std::move(file), faults) {}

  // `seen`: the file in which each domain is.
  void Read(const Node& root, std::map<std::string, DomainLimits>& domains, std::map<std::string, std::string>& seen) {
    if (root.kind != Node::Kind::kMap) {
      return reader_.Error(root, "must be a mapping with `domain` and `descriptors`, not " + Found(root));
    }
    CheckKeys(root, kRootKeys);
    std::string domain;
    const Node* name = root.Find("domain");
    if (name != nullptr) {
      const ImportReader::Scope scope(reader_, "domain");
      if (!reader_.ReadName(*name, domain, kLongestName)) return;
    }
    if (domain.empty()) reader_.Error(name != nullptr ? *name : root, "the domain is empty", "write domain: NAME");
    DomainLimits limits;
    limits.hierarchy = false;
    if (const Node* descriptors = root.Find("descriptors")) ReadLevel(*descriptors, domain, 0, limits.descriptors);
    CheckReplaces();
    if (domain.empty()) return;
    if (const auto [known, is_new] = seen.emplace(domain, reader_.file()); !is_new) {
      return reader_.Error(*name, fmt::format("the domain {} is in '{}' already", Quoted(domain), known->second),
                           "put all of a domain in one file");
    }
    domains.emplace(domain, std::move(limits));
  }

 private:
  // Told of: unknown keys, keys that mean nothing here, keys that are there twice.
  void CheckKeys(const Node& map, std::span<const std::string_view> allowed) {
    std::set<std::string_view> seen;
    for (const Node& child : map.children) {
      if (!seen.insert(child.key).second) {
        reader_.Error(AtKey(child), fmt::format("the key {} is written twice", Quoted(child.key)));
      } else if (Contains(allowed, child.key)) {
        continue;
      } else if (const std::string_view home = HomeOf(child.key); !home.empty()) {
        reader_.Warn(AtKey(child), fmt::format("{} has no effect here: it belongs in {}", child.key, home));
      } else {
        reader_.Error(AtKey(child), fmt::format("unknown key {}", Quoted(child.key)),
                      DidYouMean(child.key, std::vector<std::string_view>(allowed.begin(), allowed.end())));
      }
    }
  }

  // A node on the line of the child's key.
  static Node AtKey(const Node& child) {
    Node at;
    at.line = at.key_line = child.key_line;
    return at;
  }

  void ReadLevel(const Node& list, const std::string& above, std::size_t depth, std::vector<DescriptorLimits>& level) {
    const ImportReader::Scope scope(reader_, "descriptors");
    if (list.kind == Node::Kind::kNull) return;
    if (list.kind != Node::Kind::kSequence) return reader_.Error(list, "must be a list, not " + Found(list));
    if (depth == kMostDescriptorDepth) {
      return reader_.Error(list, fmt::format("descriptors are nested more than {} deep", kMostDescriptorDepth));
    }
    std::map<std::string, std::uint32_t> composites;  // with their lines
    for (const Node& child : list.children) {
      const ImportReader::Scope index(reader_, std::to_string(level.size()));
      DescriptorLimits& limits = level.emplace_back();
      if (child.kind != Node::Kind::kMap) {
        reader_.Error(child, "must be a mapping, not " + Found(child));
        continue;
      }
      CheckKeys(child, kDescriptorKeys);
      ReadEntry(child, limits);
      const std::string composite = limits.value.empty() ? limits.key : limits.key + '_' + limits.value;
      const std::string whole = above + '.' + composite;
      if (const auto [known, is_new] = composites.emplace(composite, child.line); !is_new && !limits.key.empty()) {
        reader_.Error(child, fmt::format("duplicate descriptor composite key {}: line {} has it too", Quoted(whole),
                                         known->second));
      }
      ReadLimit(child, limits);
      if (const Node* nested = child.Find("descriptors")) ReadLevel(*nested, whole, depth + 1, limits.descriptors);
    }
  }

  void ReadEntry(const Node& node, DescriptorLimits& limits) {
    bool readable = true;
    Read(node, "key", [&](const Node& key) { readable = reader_.ReadName(key, limits.key, kLongestText); });
    Read(node, "value", [&](const Node& value) { reader_.ReadName(value, limits.value, kLongestText); });
    if (limits.key.empty() && readable) reader_.Error(node, "the descriptor has an empty key");
    if (limits.value.empty() && limits.key.ends_with('*')) {
      reader_.Error(node, fmt::format("the key {} ends in '*' and has no value: only values may", Quoted(limits.key)),
                    "write the keys that it stands for, one descriptor each");
    }
    ReadFlag(node, "quota_mode", limits.quota_mode);
    ReadFlag(node, "detailed_metric", limits.detailed_metric);
    ReadFlag(node, "value_to_metric", limits.value_to_metric);
    ReadFlag(node, "share_threshold", limits.share_threshold);
    if (limits.share_threshold && !limits.value.ends_with('*')) {
      reader_.Error(*node.Find("share_threshold"), "share_threshold is only for a value that ends in '*'");
    }
    if (const Node* metadata = node.Find("metadata")) {
      const ImportReader::Scope scope(reader_, "metadata");
      reader_.Warn(AtKey(*metadata), "is left out: weir keeps no metadata of a descriptor");
    }
  }

  void ReadLimit(const Node& node, DescriptorLimits& limits) {
    bool shadow = false;
    ReadFlag(node, "shadow_mode", shadow);
    const Node* limit = node.Find("rate_limit");
    if (limit == nullptr || limit->kind == Node::Kind::kNull) {
      for (const std::string_view flag : {"shadow_mode", "quota_mode", "detailed_metric"}) {
        const Node* written = node.Find(flag);
        const bool is_set = flag == "shadow_mode"  ? shadow
                            : flag == "quota_mode" ? limits.quota_mode
                                                   : limits.detailed_metric;
        if (is_set) reader_.Warn(*written, fmt::format("{} has no effect without a rate_limit", flag));
      }
      limits.quota_mode = limits.detailed_metric = false;
      return;
    }
    const ImportReader::Scope scope(reader_, "rate_limit");
    if (limit->kind != Node::Kind::kMap) return reader_.Error(*limit, "must be a mapping, not " + Found(*limit));
    CheckKeys(*limit, kLimitKeys);
    RateLimitRule& rule = limits.rule.emplace();
    if (shadow) rule.mode = RuleMode::kShadow;
    std::string name;
    Read(*limit, "name", [&](const Node& text) { reader_.ReadName(text, name, kLongestName); });
    const auto printable = [](char c) { return c >= 0x20 && c < 0x7f; };
    if (!std::ranges::all_of(name, printable)) {
      reader_.Error(*limit->Find("name"), fmt::format("{} is not ASCII: headers tell the name", Quoted(name)));
    }
    if (!name.empty()) rule.name = name;
    ReadNumbers(*limit, rule);
    Read(*limit, "replaces", [&](const Node& replaces) { ReadReplaces(replaces, name, limits.replaces); });
    if (!name.empty()) names_.insert(name);
  }

  void ReadNumbers(const Node& limit, RateLimitRule& rule) {
    bool unlimited = false;
    ReadFlag(limit, "unlimited", unlimited);
    std::string unit;
    Read(limit, "unit", [&](const Node& text) { reader_.ReadText(text, unit); });
    const std::optional<std::uint32_t> seconds = SecondsOf(unit);
    const Node* requests = limit.Find("requests_per_unit");
    std::uint64_t count = 0;
    if (requests != nullptr) {
      const ImportReader::Scope scope(reader_, "requests_per_unit");
      reader_.ReadWhole(*requests, UINT32_MAX, count);
    }
    if (unlimited) {
      rule.unlimited = true;
      if (seconds) reader_.Error(*limit.Find("unit"), "an unlimited rate limit has no unit");
      if (!seconds && !unit.empty()) reader_.Warn(*limit.Find("unit"), "the unit has no effect beside unlimited");
      if (requests != nullptr) reader_.Warn(*requests, "requests_per_unit has no effect beside unlimited");
      return;
    }
    if (!seconds) {
      const Node* written = limit.Find("unit");
      std::vector<std::string_view> known;
      for (const Unit& one : kUnits) known.push_back(one.name);
      reader_.Error(
          written != nullptr ? *written : limit, fmt::format("invalid rate limit unit {}", Quoted(unit)),
          unit.empty() ? "write one of second, minute, hour, day, week, month, year" : DidYouMean(unit, known));
    }
    if (requests == nullptr) {
      reader_.Warn(limit, "requests_per_unit is missing and so 0, which denies every request");
    }
    rule.max_requests = count;
    rule.window_seconds = seconds.value_or(1);
  }

  void ReadReplaces(const Node& list, const std::string& own, std::vector<std::string>& replaces) {
    if (list.kind == Node::Kind::kNull) return;
    if (list.kind != Node::Kind::kSequence) return reader_.Error(list, "must be a list, not " + Found(list));
    for (std::size_t i = 0; i < list.children.size(); ++i) {
      const Node& child = list.children[i];
      const ImportReader::Scope index(reader_, std::to_string(i));
      if (child.kind != Node::Kind::kMap) {
        reader_.Error(child, "must be a mapping, not " + Found(child), "write - name: NAME");
        continue;
      }
      CheckKeys(child, kReplacesKeys);
      std::string name;
      const Node* written = child.Find("name");
      if (written != nullptr && !reader_.ReadName(*written, name, kLongestName)) continue;
      if (name.empty()) {
        reader_.Error(child, "an entry of replaces is empty");
      } else if (name == own) {
        reader_.Error(child, fmt::format("{} is the name of the same descriptor", Quoted(name)));
      } else {
        references_.push_back({name, child.line});
        replaces.push_back(std::move(name));
      }
    }
  }

  void CheckReplaces() {
    for (const Reference& one : references_) {
      if (names_.contains(one.name)) continue;
      std::vector<std::string_view> known;
      if (names_.size() <= 1000) known.assign(names_.begin(), names_.end());
      reader_.WarnAtLine(one.line, fmt::format("no rate limit of this domain is named {}", Quoted(one.name)),
                         DidYouMean(one.name, known));
    }
  }

  void Read(const Node& map, std::string_view key, auto read) {
    const Node* found = map.Find(key);
    if (found == nullptr) return;
    const ImportReader::Scope scope(reader_, key);
    read(*found);
  }
  void ReadFlag(const Node& map, std::string_view key, bool& value) {
    Read(map, key, [&](const Node& node) { reader_.ReadFlag(node, value); });
  }

  struct Reference {
    std::string name;
    std::uint32_t line;
  };
  ImportReader reader_;
  std::set<std::string> names_;
  std::vector<Reference> references_;
};

}  // namespace

ImportedDomains ImportEnvoy(std::span<const SourceText> sources) {
  ImportedDomains imported;
  std::map<std::string, std::string> seen;
  for (const SourceText& source : sources) {
    std::vector<FileFault> faults;
    Node root;
    if (ParseSource(source, root, faults)) EnvoyReader(source.file, faults).Read(root, imported.domains, seen);
    std::ranges::stable_sort(faults, {}, [](const FileFault& one) { return one.fault.line; });
    std::ranges::move(faults, std::back_inserter(imported.faults));
  }
  return imported;
}

}  // namespace weir::config
