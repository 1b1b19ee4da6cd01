#include "config/import/import_limitador.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "config/document/reader.h"
#include "config/document/schema.h"
#include "config/import/limitador_expression.h"
#include "config/snapshot/domain_table.h"

namespace weir::config {
namespace {

constexpr std::size_t kLongestName = kLongestLongName;  // of a domain or a rule: what the document allows
constexpr std::size_t kLongestExpression = 10'000;

// What a limit is called: what limit.name and limit.id in its conditions are.
struct Own {
  std::string name, id;
  bool holds = true;  // what the conditions ask of them
};

// What a limit asks of one entry.
struct Step {
  enum class Kind : std::uint8_t { kAny, kPrefix, kValue };
  Kind kind = Kind::kAny;
  std::string key = {};
  std::string text = {};           // kPrefix, kValue
  std::set<std::string> but = {};  // kAny, kPrefix: not these values
  bool counted = false;            // by a variable: each value for itself
};

struct Limit {
  const Node* node = nullptr;
  std::vector<Step> steps;
  RateLimitRule rule;
};

// Limits that hold together.
struct Stack {
  std::vector<RateLimitRule> rules;
  std::vector<std::uint32_t> lines;

  // The line of the one that limitador takes for the same limit.
  std::optional<std::uint32_t> Add(const Limit& limit) {
    const auto same = std::ranges::find(rules, limit.rule.window_seconds, &RateLimitRule::window_seconds);
    if (same != rules.end()) return lines[static_cast<std::size_t>(same - rules.begin())];
    rules.push_back(limit.rule);
    lines.push_back(limit.node->line);
    return std::nullopt;
  }
};

// The tree of a namespace while it grows. At every level the entries of one key are equal or disjoint, so that no limit
// hides another.
class Tree {
 public:
  struct Conflict {
    std::uint32_t line = 0;  // of the other limit
    std::string key = {};    // empty: both limit the same in the same time
    bool full = false;       // too many hold together
  };

  std::optional<Conflict> Insert(const Limit& limit) {
    Branch* branch = &root_;
    for (const Step& step : limit.steps) {
      Group& group = branch->groups[step.key];
      Branch* next = Find(group, step);
      if (next == nullptr) {
        if (const Branch* other = Overlapping(group, step)) return Conflict{other->line, step.key};
        next = AddChild(*branch, step, limit.node->line);
        // They go before what begins so, and have no rule unless another limit gives them one.
        for (const std::string& value : step.but) {
          const Step exactly{.kind = Step::Kind::kValue, .key = step.key, .text = value};
          if (Find(group, exactly) == nullptr) AddChild(*branch, exactly, limit.node->line);
        }
      } else if (step.kind != Step::Kind::kValue && (next->counted != step.counted || next->but != step.but)) {
        return Conflict{next->line, step.key};
      }
      branch = next;
    }
    if (branch->stack.rules.size() == kMostRulesOfDescriptor) return Conflict{branch->line, {}, true};
    if (const auto same = branch->stack.Add(limit)) return Conflict{*same, {}};
    if (branch->stack.rules.size() == 1) branch->line = limit.node->line;
    return std::nullopt;
  }

  std::vector<DescriptorLimits> Take() { return TakeChildren(root_); }

 private:
  struct Branch;
  struct Group {
    Branch* any = nullptr;
    std::map<std::string, Branch*, std::less<>> values, prefixes;
  };
  struct Branch {
    std::uint32_t line = 0;  // of the limit that made it
    bool counted = false;
    std::set<std::string> but;
    DescriptorLimits limits;
    Stack stack;
    std::map<std::string, Group> groups;
    std::vector<std::unique_ptr<Branch>> children;
  };

  static Branch* Find(const Group& group, const Step& step) {
    if (step.kind == Step::Kind::kAny) return group.any;
    const auto& map = step.kind == Step::Kind::kValue ? group.values : group.prefixes;
    const auto found = map.find(step.text);
    return found == map.end() ? nullptr : found->second;
  }
  static void Enter(Group& group, const Step& step, Branch* branch) {
    if (step.kind == Step::Kind::kAny) {
      group.any = branch;
    } else {
      (step.kind == Step::Kind::kValue ? group.values : group.prefixes).emplace(step.text, branch);
    }
  }

  static Branch* AddChild(Branch& branch, const Step& step, std::uint32_t line) {
    Branch* const child = branch.children.emplace_back(std::make_unique<Branch>()).get();
    Begin(*child, step, line);
    Enter(branch.groups[step.key], step, child);
    return child;
  }

  // One that some value leads to as well; `step` itself is not there.
  static const Branch* Overlapping(const Group& group, const Step& step) {
    const bool is_value = step.kind == Step::Kind::kValue;
    const auto takes = [&](const Branch* branch) { return !is_value || !branch->but.contains(step.text); };
    if (group.any != nullptr && takes(group.any)) return group.any;
    const auto below = [&](const auto& map) -> const Branch* {
      for (auto one = map.lower_bound(step.text); one != map.end() && one->first.starts_with(step.text); ++one) {
        if (!step.but.contains(one->first) || &map == &group.prefixes) return one->second;
      }
      return nullptr;
    };
    if (!is_value) {
      if (const Branch* found = below(group.values)) return found;
      if (const Branch* found = below(group.prefixes)) return found;
    }
    if (step.kind == Step::Kind::kAny || group.prefixes.empty()) return nullptr;
    for (std::size_t length = 0; length <= step.text.size(); ++length) {
      const auto found = group.prefixes.find(std::string_view(step.text).substr(0, length));
      if (found != group.prefixes.end() && takes(found->second)) return found->second;
    }
    return nullptr;
  }

  static void Begin(Branch& branch, const Step& step, std::uint32_t line) {
    branch.line = line;
    branch.counted = step.counted;
    branch.but = step.but;
    branch.limits.key = step.key;
    if (step.kind == Step::Kind::kValue) branch.limits.value = step.text;
    if (step.kind == Step::Kind::kPrefix || (step.kind == Step::Kind::kAny && !step.counted)) {
      branch.limits.value = step.text + '*';
      branch.limits.share_threshold = !step.counted;
    }
  }

  static std::vector<DescriptorLimits> TakeChildren(Branch& branch) {
    std::vector<DescriptorLimits> descriptors;
    for (const auto& child : branch.children) {
      child->limits.descriptors = TakeChildren(*child);
      std::vector<RateLimitRule>& rules = child->stack.rules;
      if (rules.size() == 1) {
        child->limits.rule = std::move(rules.front());
      } else {
        child->limits.rules = std::move(rules);
      }
      descriptors.push_back(std::move(child->limits));
    }
    return descriptors;
  }

  Branch root_;
};

struct Namespace {
  Tree tree;
  Stack rules;                         // for all of it
  std::uint32_t line = 0, column = 0;  // of its first limit
  bool has_chains = false;

  bool empty() const { return !has_chains && rules.rules.empty(); }
};

class LimitadorReader {
 public:
  LimitadorReader(std::string file, std::vector<FileFault>& faults) : reader_(std::move(file), faults) {}

  void Read(const Node& root, std::map<std::string, Namespace>& namespaces) {
    if (root.kind == Node::Kind::kNull) return reader_.Warn(root, "there are no limits");
    if (root.kind != Node::Kind::kSequence) {
      return reader_.Error(root, "must be a list of limits, not " + Found(root),
                           root.Find("limits") != nullptr ? "write the list under 'limits' alone" : "");
    }
    for (std::size_t i = 0; i < root.children.size(); ++i) {
      const ImportReader::Scope scope(reader_, std::to_string(i));
      ReadLimit(root.children[i], namespaces);
    }
  }

 private:
  void ReadLimit(const Node& node, std::map<std::string, Namespace>& namespaces) {
    if (node.kind != Node::Kind::kMap) return reader_.Error(node, "must be a mapping, not " + Found(node));
    Limit limit{.node = &node, .steps = {}, .rule = {}};
    std::string name;
    Own own;
    // One after another, so that every fault is told.
    bool good = CheckFields(node);
    good = ReadNamespace(node, name) && good;
    good = ReadNumbers(node, limit.rule) && good;
    good = ReadRuleName(node, limit.rule, own) && good;
    good = ReadExpressions(node, limit.steps, own) && good;
    if (!good) return;
    if (!own.holds) {
      return reader_.Warn(node,
                          "is left out: its conditions ask for another name or id than its own, so it never holds");
    }
    if (limit.steps.size() > kMostDescriptorDepth) {
      return reader_.Error(node, fmt::format("asks for more than {} entries", kMostDescriptorDepth));
    }
    Namespace& into = namespaces[name];
    if (into.line == 0) {
      into.line = node.line;
      into.column = node.column;
    }
    if (limit.steps.empty()) {
      if (into.rules.rules.size() == kMostRulesOfDescriptor) return Refuse(node, {into.line, {}, true});
      if (const auto same = into.rules.Add(limit)) Refuse(node, {*same, {}});
      return;
    }
    if (const auto conflict = into.tree.Insert(limit)) return Refuse(node, *conflict);
    into.has_chains = true;
  }

  void Refuse(const Node& node, const Tree::Conflict& conflict) {
    if (conflict.full) {
      return reader_.Error(node,
                           fmt::format("is beyond the {} limits that hold for the same requests as that on line {}",
                                       kMostRulesOfDescriptor, conflict.line));
    }
    if (conflict.key.empty()) {
      return reader_.Error(
          node,
          fmt::format("is for the same requests and seconds as the limit on line {}: limitador takes one "
                      "of them",
                      conflict.line),
          "keep the one that is meant");
    }
    reader_.Error(node,
                  fmt::format("overlaps the limit on line {} in {}: of two rules that match, weir takes one and "
                              "limitador both",
                              conflict.line, Quoted(conflict.key)),
                  "have Envoy send a second descriptor with an entry of another key for one of them");
  }

  bool CheckFields(const Node& node) {
    constexpr std::string_view kFields[] = {"id",   "namespace",  "max_value", "seconds",
                                            "name", "conditions", "variables"};
    bool good = true;
    for (std::size_t i = 0; i < node.children.size(); ++i) {
      const Node& child = node.children[i];
      if (std::ranges::find(kFields, child.key) == std::end(kFields)) {
        reader_.Error(child, fmt::format("unknown field {}", Quoted(child.key)),
                      DidYouMean(child.key, std::vector<std::string_view>(std::begin(kFields), std::end(kFields))));
        good = false;
      } else if (node.Find(child.key) != &child) {
        reader_.Error(child, fmt::format("the field {} is written twice", Quoted(child.key)));
        good = false;
      }
    }
    return good;
  }

  bool ReadNamespace(const Node& node, std::string& name) {
    const Node* written = node.Find("namespace");
    if (written != nullptr && !reader_.ReadName(*written, name, kLongestName)) return false;
    if (name.empty()) reader_.Error(written != nullptr ? *written : node, "the namespace is missing");
    return !name.empty();
  }

  bool ReadNumber(const Node& node, std::string_view field, std::uint64_t most, std::uint64_t& value) {
    const Node* written = node.Find(field);
    if (written == nullptr || written->kind == Node::Kind::kNull) {
      reader_.Error(node, fmt::format("{} is missing", field));
      return false;
    }
    const ImportReader::Scope scope(reader_, field);
    return reader_.ReadWhole(*written, most, value);
  }

  bool ReadNumbers(const Node& node, RateLimitRule& rule) {
    std::uint64_t most = 0;
    std::uint64_t seconds = 0;
    bool good = ReadNumber(node, "max_value", std::uint64_t{1} << 53, most);
    good = ReadNumber(node, "seconds", kMostSeconds, seconds) && good;
    if (good && seconds == 0) {
      const ImportReader::Scope scope(reader_, "seconds");
      reader_.Error(*node.Find("seconds"), "must be at least 1");
      return false;
    }
    rule.max_requests = most;
    rule.window_seconds = static_cast<std::uint32_t>(seconds);
    rule.algorithm = FixedWindow{};
    return good;
  }

  bool ReadRuleName(const Node& node, RateLimitRule& rule, Own& own) {
    const Node* name = node.Find("name");
    const Node* id = node.Find("id");
    if (name != nullptr) own.name = name->text;
    if (id != nullptr) own.id = id->text;
    const Node* kept = name != nullptr && name->kind != Node::Kind::kNull ? name : id;
    if (kept == nullptr || kept->kind == Node::Kind::kNull) return true;
    std::string text;
    if (!reader_.ReadName(*kept, text, kLongestName)) return false;
    if (text.empty()) return true;
    if (kept == name && id != nullptr && id->kind != Node::Kind::kNull && id->text != text) {
      reader_.Warn(*id, fmt::format("the id {} is left out: a rule has one name", Quoted(id->text)));
    }
    rule.name = text;
    return true;
  }

  // Whether what a limit is called is what a condition asks for; one that has no such name has none to compare.
  static bool HoldsOfOwn(const EntryTest& test, const Own& own) {
    const std::string& value = test.key == "limit.name" ? own.name : own.id;
    switch (test.kind) {
      case EntryTest::Kind::kEquals:
        return value == test.value;
      case EntryTest::Kind::kDiffers:
        return value != test.value;
      case EntryTest::Kind::kStartsWith:
        return value.starts_with(test.value);
      case EntryTest::Kind::kPresent:
        break;
    }
    return !value.empty();
  }

  bool ReadExpressions(const Node& node, std::vector<Step>& steps, Own& own) {
    bool good = ReadList(node, "conditions", [&](const Node& one, const std::string& text) {
      const auto tests = ParseCondition(text);
      if (!tests) return Complain(one, "condition", text, tests.error());
      return std::ranges::all_of(*tests, [&](const EntryTest& test) {
        if (!test.own) return AddTest(one, test, steps);
        own.holds = own.holds && HoldsOfOwn(test, own);
        return true;
      });
    });
    good = ReadList(node, "variables",
                    [&](const Node& one, const std::string& text) {
                      const auto key = ParseVariable(text);
                      if (!key) return Complain(one, "variable", text, key.error());
                      return AddTest(one, {.kind = EntryTest::Kind::kPresent, .key = *key, .value = {}}, steps, true);
                    }) &&
           good;
    return good;
  }

  bool ReadList(const Node& node, std::string_view field, auto read) {
    const Node* list = node.Find(field);
    if (list == nullptr || list->kind == Node::Kind::kNull) return true;
    const ImportReader::Scope scope(reader_, field);
    if (list->kind != Node::Kind::kSequence) {
      reader_.Error(*list, "must be a list, not " + Found(*list));
      return false;
    }
    bool good = true;
    for (std::size_t i = 0; i < list->children.size(); ++i) {
      const ImportReader::Scope index(reader_, std::to_string(i));
      std::string text;
      good = reader_.ReadName(list->children[i], text, kLongestExpression) && read(list->children[i], text) && good;
    }
    return good;
  }

  bool Complain(const Node& node, std::string_view what, const std::string& text, const Error& why) {
    reader_.Error(node, fmt::format("the {} {} is no descriptor of weir: {}", what, Quoted(text), why.message));
    return false;
  }

  // Joins it to what is asked of the same entry already.
  bool AddTest(const Node& node, const EntryTest& test, std::vector<Step>& steps, bool counted = false) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (test.key.empty() || std::ranges::any_of(test.key, is_control) || std::ranges::any_of(test.value, is_control)) {
      reader_.Error(node, test.key.empty() ? "a key is empty" : "a text has control characters");
      return false;
    }
    const bool exact = test.kind == EntryTest::Kind::kEquals || test.kind == EntryTest::Kind::kDiffers;
    const bool starred = test.value.contains('*');
    if (!exact && starred) {
      reader_.Error(node,
                    fmt::format("the prefix {} has a '*', which stands for anything in weir", Quoted(test.value)));
      return false;
    }
    if (exact && (test.value.empty() || starred)) {
      reader_.Error(node, test.value.empty() ? "an empty value cannot be asked for"
                                             : fmt::format("the value {} has a '*', which stands for anything in weir",
                                                           Quoted(test.value)));
      return false;
    }
    auto step = std::ranges::find(steps, test.key, &Step::key);
    if (step == steps.end()) step = steps.insert(steps.end(), {.key = test.key});
    step->counted = step->counted || counted;
    const bool equals = test.kind == EntryTest::Kind::kEquals;
    const bool differs = test.kind == EntryTest::Kind::kDiffers;
    if (test.kind == EntryTest::Kind::kPresent || test.value.empty()) return true;
    const bool holds = !differs && !Contradicts(*step, equals, test.value);
    if (differs) {
      step->but.insert(test.value);
    } else if (holds && step->kind != Step::Kind::kValue) {
      if (equals || test.value.size() > step->text.size()) step->text = test.value;
      step->kind = equals ? Step::Kind::kValue : Step::Kind::kPrefix;
    }
    const bool denied = step->kind == Step::Kind::kValue && step->but.contains(step->text);
    if (denied || (!differs && !holds)) {
      reader_.Error(node, fmt::format("two conditions on {} cannot both hold", Quoted(test.key)));
      return false;
    }
    // What cannot be there is not to be left out.
    std::erase_if(step->but, [&](const std::string& value) { return Contradicts(*step, true, value); });
    return true;
  }

  static bool Contradicts(const Step& step, bool equals, const std::string& text) {
    if (step.kind == Step::Kind::kAny) return false;
    if (step.kind == Step::Kind::kValue) return equals ? step.text != text : !step.text.starts_with(text);
    return !text.starts_with(step.text) && (equals || !step.text.starts_with(text));
  }

  ImportReader reader_;
};

}  // namespace

ImportedDomains ImportLimitador(std::span<const SourceText> sources) {
  ImportedDomains imported;
  std::map<std::string, std::string> files;  // by namespace
  for (const SourceText& source : sources) {
    std::vector<FileFault> faults;
    Node root;
    std::map<std::string, Namespace> namespaces;
    if (ParseSource(source, root, faults)) {
      LimitadorReader reader(source.file, faults);
      reader.Read(root, namespaces);
      std::erase_if(namespaces, [](const auto& one) { return one.second.empty(); });
    }
    for (auto& [name, one] : namespaces) {
      if (const auto [known, is_new] = files.emplace(name, source.file); !is_new) {
        Node at;
        at.line = one.line;
        at.column = one.column;
        ImportReader(source.file, faults)
            .Error(at, fmt::format("the namespace {} is in '{}' already", Quoted(name), known->second),
                   "put all of a namespace in one file");
        continue;
      }
      DomainLimits& domain = imported.domains[name];
      domain.hierarchy = false;
      if (one.has_chains) domain.match = DescriptorMatch::kContained;
      domain.rules = std::move(one.rules.rules);
      domain.descriptors = one.tree.Take();
    }
    std::ranges::stable_sort(faults, {}, [](const FileFault& one) { return one.fault.line; });
    std::ranges::move(faults, std::back_inserter(imported.faults));
  }
  return imported;
}

}  // namespace weir::config
