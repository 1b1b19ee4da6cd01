#include "config/import/import_envoy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <iterator>
#include <optional>
#include <set>

#include "config/document/reader.h"
#include "config/document/schema.h"
#include "config/document/types.h"
#include "config/snapshot/domain_table.h"

namespace weir::config {
namespace {

constexpr std::size_t kLongestName = kLongestLongName;  // of a domain or a rule: what the document allows
constexpr std::size_t kLongestText = 1 << 20;           // of a key or a value

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

// A whole number as that server's reader of YAML takes it: 1000, 1_000, 0x3e8, 0b11, 0o17 and 017 are. Too large: the
// largest.
std::optional<std::uint64_t> ParseGoNumber(const Node& node) {
  if (node.kind != Node::Kind::kPlain && node.kind != Node::Kind::kNumber) return std::nullopt;
  std::string text = node.text;
  std::erase(text, '_');
  std::size_t at = text.starts_with('+') ? 1 : 0;
  int base = 10;
  if (text.size() > at + 1 && text[at] == '0') {
    const char mark = static_cast<char>(text[at + 1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    at += mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
  }
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data() + at, end, number, base);
  if (last != end || error == std::errc::invalid_argument) return std::nullopt;
  return error == std::errc() ? number : UINT64_MAX;
}

// Where the descriptors of one level are, by key and value as that server joins them.
struct Origin {
  std::string_view file;  // its reader's
  std::uint32_t line = 0;
};
using Composites = std::map<std::string, Origin>;

// What is known of a domain, over all files that it is in.
struct DomainSoFar {
  std::string file;  // the first
  std::set<std::string> names;
  Composites composites;  // of the first level
};

class EnvoyReader {
 public:
  EnvoyReader(std::string file, std::vector<FileFault>& faults) : reader_(std::move(file), faults) {}

  void Read(const Node& root, bool merge, std::map<std::string, DomainLimits>& domains,
            std::map<std::string, DomainSoFar>& seen) {
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
    const auto known = seen.find(domain);
    if (known != seen.end() && !merge) {
      reader_.Error(*name, fmt::format("the domain {} is in '{}' already", Quoted(domain), known->second.file),
                    "put all of a domain in one file, or write envoy: {merge_domains: true} (weir convert: "
                    "--merge-domains)");
    }
    const bool alone = domain.empty() || (known != seen.end() && !merge);
    domain_ = alone ? &refused_ : &seen.try_emplace(domain, DomainSoFar{reader_.file(), {}, {}}).first->second;
    std::vector<DescriptorLimits> descriptors;
    if (const Node* list = root.Find("descriptors")) ReadLevel(*list, domain, 0, domain_->composites, descriptors);
    if (alone) return;
    DomainLimits& limits = domains[domain];
    limits.hierarchy = false;
    std::ranges::move(descriptors, std::back_inserter(limits.descriptors));
  }

  // After all files were read.
  void CheckReplaces() {
    if (domain_ == nullptr) return;
    const std::set<std::string>& names = domain_->names;
    for (const Reference& one : references_) {
      if (names.contains(one.name)) continue;
      std::vector<std::string_view> known;
      if (names.size() <= 1000) known.assign(names.begin(), names.end());
      reader_.WarnAt(one.place, fmt::format("no rate limit of this domain is named {}", Quoted(one.name)),
                     DidYouMean(one.name, known));
    }
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

  // A node at the child's key.
  static Node AtKey(const Node& child) {
    Node at;
    at.line = at.key_line = child.key_line;
    at.column = at.key_column = child.key_column;
    return at;
  }

  // `composites`: of the level, so far.
  void ReadLevel(const Node& list, const std::string& above, std::size_t depth, Composites& composites,
                 std::vector<DescriptorLimits>& level) {
    const ImportReader::Scope scope(reader_, "descriptors");
    if (list.kind == Node::Kind::kNull) return;
    if (list.kind != Node::Kind::kSequence) return reader_.Error(list, "must be a list, not " + Found(list));
    if (depth == kMostDescriptorDepth) {
      return reader_.Error(list, fmt::format("descriptors are nested more than {} deep", kMostDescriptorDepth));
    }
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
      const auto [known, is_new] = composites.emplace(composite, Origin{reader_.file(), child.line});
      if (!is_new && !limits.key.empty()) {
        const Origin& other = known->second;
        const std::string file = other.file == reader_.file() ? "" : fmt::format(" of '{}'", other.file);
        reader_.Error(child, fmt::format("duplicate descriptor composite key {}: line {}{} has it too", Quoted(whole),
                                         other.line, file));
      }
      ReadLimit(child, limits);
      if (const Node* nested = child.Find("descriptors")) {
        Composites below;
        ReadLevel(*nested, whole, depth + 1, below, limits.descriptors);
      }
    }
  }

  void ReadEntry(const Node& node, DescriptorLimits& limits) {
    bool readable = true;
    Read(node, "key", [&](const Node& key) { readable = reader_.ReadName(key, limits.key, kLongestText); });
    Read(node, "value", [&](const Node& value) { reader_.ReadName(value, limits.value, kLongestText); });
    if (limits.key.empty() && readable) reader_.Error(node, "the descriptor has an empty key");
    if (limits.value.empty() && limits.key.ends_with('*')) SplitKey(node, limits);
    ReadFlag(node, "quota_mode", limits.quota_mode);
    ReadFlag(node, "detailed_metric", limits.detailed_metric);
    ReadFlag(node, "value_to_metric", limits.value_to_metric);
    ReadFlag(node, "share_threshold", limits.share_threshold);
    if (limits.share_threshold && !limits.value.contains('*')) {
      reader_.Error(*node.Find("share_threshold"), "share_threshold is only for a value with a '*'");
    }
    Read(node, "metadata", [&](const Node& metadata) { ReadMetadata(metadata, limits); });
  }

  void ReadMetadata(const Node& metadata, DescriptorLimits& limits) {
    if (metadata.kind == Node::Kind::kNull) return;
    if (metadata.kind != Node::Kind::kMap) return reader_.Error(metadata, "must be a mapping, not " + Found(metadata));
    if (!metadata.children.empty()) limits.metadata = ToJsonText(metadata);
  }

  // That server joins key and value by '_' before it looks for what begins as "client_*" does.
  void SplitKey(const Node& node, DescriptorLimits& limits) {
    const std::string written = limits.key;
    const std::size_t end = written.rfind('_');
    if (end == std::string::npos || end == 0) {
      return reader_.Error(
          node,
          fmt::format("the key {} ends in '*' and has no value: it stands for every key that begins so, "
                      "and only values may",
                      Quoted(written)),
          "write the keys that it stands for, one descriptor each");
    }
    limits.key = written.substr(0, end);
    limits.value = written.substr(end + 1);
    reader_.Warn(node,
                 fmt::format("the key {} is read as the key {} with the value {}; other keys that begin so, which it "
                             "stands for there, have no limit here",
                             Quoted(written), Quoted(limits.key), Quoted(limits.value)));
  }

  void ReadLimit(const Node& node, DescriptorLimits& limits) {
    bool shadow = false;
    ReadFlag(node, "shadow_mode", shadow);
    const Node* limit = node.Find("rate_limit");
    if (limit == nullptr || limit->kind == Node::Kind::kNull) {
      for (const std::string_view flag : {"metadata", "shadow_mode", "quota_mode", "detailed_metric"}) {
        const Node* written = node.Find(flag);
        const bool is_set = flag == "metadata"      ? !limits.metadata.empty()
                            : flag == "shadow_mode" ? shadow
                            : flag == "quota_mode"  ? limits.quota_mode
                                                    : limits.detailed_metric;
        if (is_set) reader_.Warn(AtKey(*written), fmt::format("{} has no effect without a rate_limit", flag));
      }
      limits.quota_mode = limits.detailed_metric = false;
      limits.metadata.clear();
      return;
    }
    const ImportReader::Scope scope(reader_, "rate_limit");
    if (limit->kind != Node::Kind::kMap) return reader_.Error(*limit, "must be a mapping, not " + Found(*limit));
    CheckKeys(*limit, kLimitKeys);
    RateLimitRule& rule = limits.rule.emplace();
    if (shadow) rule.mode = RuleMode::kShadow;
    std::string name;
    Read(*limit, "name", [&](const Node& text) { reader_.ReadName(text, name, kLongestName); });
    if (!name.empty()) rule.name = name;
    ReadNumbers(*limit, rule);
    Read(*limit, "replaces", [&](const Node& replaces) { ReadReplaces(replaces, name, limits.replaces); });
    if (!name.empty()) domain_->names.insert(name);
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
      const auto number = requests->kind == Node::Kind::kNull ? 0 : ParseGoNumber(*requests);
      if (!number) reader_.Error(*requests, "must be a whole number, not " + Found(*requests));
      if (number > UINT32_MAX) reader_.Error(*requests, fmt::format("must be at most {}", UINT32_MAX));
      count = number.value_or(0);
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
    if (requests == nullptr || requests->kind == Node::Kind::kNull) {
      reader_.Warn(requests == nullptr ? limit : AtKey(*requests),
                   fmt::format("requests_per_unit is {} and so 0, which denies every request",
                               requests == nullptr ? "missing" : "empty"));
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
        references_.push_back({name, PlaceOf(child)});
        replaces.push_back(std::move(name));
      }
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
    TextPlace place;
  };
  ImportReader reader_;
  DomainSoFar* domain_ = nullptr;
  DomainSoFar refused_;  // of a file whose domain is not taken: its faults are told all the same
  std::vector<Reference> references_;
};

}  // namespace

ImportedDomains ImportEnvoy(std::span<const SourceText> sources, bool merge_domains) {
  struct File {
    explicit File(const std::string& name) : reader(name, faults) {}
    std::vector<FileFault> faults;
    EnvoyReader reader;
  };
  ImportedDomains imported;
  std::map<std::string, DomainSoFar> seen;
  std::deque<File> files;
  for (const SourceText& source : sources) {
    File& file = files.emplace_back(source.file);
    Node root;
    if (ParseSource(source, root, file.faults, true)) file.reader.Read(root, merge_domains, imported.domains, seen);
  }
  for (File& file : files) {
    file.reader.CheckReplaces();
    std::ranges::stable_sort(file.faults, {}, [](const FileFault& one) { return one.fault.line; });
    std::ranges::move(file.faults, std::back_inserter(imported.faults));
  }
  return imported;
}

}  // namespace weir::config
