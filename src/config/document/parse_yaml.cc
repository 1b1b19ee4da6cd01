// YAML text to a tree, through yaml-cpp's events. Aliases and merge keys (`<<`) are expanded, within bounds.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "base/utf8.h"
#include "config/document/node.h"

namespace weir::config {
namespace {

struct Refused {
  std::uint32_t line;
  std::string message;
};

std::uint32_t LineOf(const YAML::Mark& mark) { return mark.line < 0 ? 0 : static_cast<std::uint32_t>(mark.line) + 1; }

// yaml-cpp writes the escapes `\N` and `\_` as the Latin-1 bytes 85 and A0. The source is UTF-8, so a byte that is not
// can only come from there.
std::string WholeUtf8(std::string_view value) {
  std::string whole;
  std::size_t invalid = FindInvalidUtf8(value);
  while (invalid != std::string_view::npos) {
    whole.append(value.substr(0, invalid));
    whole += '\xC2';
    whole += value[invalid];
    value.remove_prefix(invalid + 1);
    invalid = FindInvalidUtf8(value);
  }
  whole.append(value);
  return whole;
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  Node TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { Put(At(mark, Node::Kind::kNull), anchor); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Refused{LineOf(mark), "an alias may not stand inside the value that it names"};
    Count(found->second.nodes, found->second.bytes, LineOf(mark));
    if (open_.size() + found->second.depth > kMaxDocumentDepth) TooDeep(LineOf(mark));
    if (!open_.empty()) open_.back().depth = std::max(open_.back().depth, found->second.depth + 1);
    Put(Node(found->second.node), 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = At(mark, tag == "?" ? Node::Kind::kPlain : Node::Kind::kString);
    if (tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:str") {
      // Not shown: a password that begins with '!' and has no quotes is a tag to YAML.
      throw Refused{node.line, "tags are not supported (a value that begins with '!' needs quotes)"};
    }
    Count(1, value.size(), node.line);
    node.text = WholeUtf8(value);
    Put(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(At(mark, Node::Kind::kSequence), anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(At(mark, Node::Kind::kMap), anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Container {
    Node node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    bool key_merges = false;
    std::string key;
    std::uint32_t key_line = 0, key_column = 0;
    std::vector<Node> merges;
    std::size_t nodes_before = 0, bytes_before = 0;
    std::size_t depth = 1;  // levels from here down
  };
  struct Anchored {
    Node node;
    std::size_t nodes = 0, bytes = 0, depth = 0;
  };

  static Node At(const YAML::Mark& mark, Node::Kind kind) {
    Node node;
    node.kind = kind;
    node.line = LineOf(mark);
    node.column = mark.column < 0 ? 0 : static_cast<std::uint32_t>(mark.column) + 1;
    return node;
  }

  [[noreturn]] static void TooDeep(std::uint32_t line) {
    throw Refused{line, "nested deeper than " + std::to_string(kMaxDocumentDepth) + " levels"};
  }

  void Count(std::size_t nodes, std::size_t bytes, std::uint32_t line) {
    nodes_ += nodes;
    bytes_ += bytes;
    if (nodes_ > kMaxDocumentNodes || bytes_ > kMaxExpandedBytes) {
      throw Refused{line, "too many values (more than " + std::to_string(kMaxDocumentNodes) + ", aliases expanded)"};
    }
  }

  void Open(Node node, YAML::anchor_t anchor) {
    if (open_.size() >= kMaxDocumentDepth) TooDeep(node.line);
    if (ExpectsKey()) throw Refused{node.line, "a key must be text"};
    Container container;
    container.anchor = anchor;
    container.nodes_before = nodes_;
    container.bytes_before = bytes_;
    Count(1, 0, node.line);
    container.node = std::move(node);
    open_.push_back(std::move(container));
  }

  void Close() {
    Container done = std::move(open_.back());
    open_.pop_back();
    Merge(done);
    if (!open_.empty()) open_.back().depth = std::max(open_.back().depth, done.depth + 1);
    if (done.anchor != 0) {
      anchors_[done.anchor] = {done.node, nodes_ - done.nodes_before, bytes_ - done.bytes_before, done.depth};
      Count(nodes_ - done.nodes_before, bytes_ - done.bytes_before, done.node.line);  // the kept copy
    }
    Attach(std::move(done.node));
  }

  // `<<: *base`: what the map does not write itself. An earlier merge wins over a later one.
  static void Merge(Container& container) {
    if (container.merges.empty()) return;
    std::vector<Node>& children = container.node.children;
    std::unordered_set<std::string> keys;
    for (const Node& child : children) keys.insert(child.key);
    for (Node& merged : container.merges) {
      for (Node& child : merged.children) {
        if (keys.insert(child.key).second) children.push_back(std::move(child));
      }
    }
  }

  bool ExpectsKey() const {
    return !open_.empty() && open_.back().node.kind == Node::Kind::kMap && !open_.back().has_key;
  }

  void Put(Node node, YAML::anchor_t anchor) {
    if (node.kind == Node::Kind::kNull) Count(1, 0, node.line);
    if (anchor != 0) {
      Count(1, node.text.size(), node.line);
      anchors_[anchor] = {node, 1, node.text.size(), 0};
    }
    if (ExpectsKey()) {
      if (!node.IsText()) throw Refused{node.line, "a key must be text"};
      Container& map = open_.back();
      map.has_key = true;
      map.key_merges = node.kind == Node::Kind::kPlain && node.text == "<<";  // quoted, it is a key like any other
      map.key = std::move(node.text);
      map.key_line = node.line;
      map.key_column = node.column;
      return;
    }
    Attach(std::move(node));
  }

  void Attach(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Container& parent = open_.back();
    if (parent.node.kind == Node::Kind::kSequence) {
      parent.node.children.push_back(std::move(node));
      return;
    }
    parent.has_key = false;
    if (parent.key_merges) return AddMerge(parent, std::move(node));
    node.key = std::move(parent.key);
    node.key_line = parent.key_line;
    node.key_column = parent.key_column;
    parent.node.children.push_back(std::move(node));
  }

  static void AddMerge(Container& map, Node node) {
    if (node.kind == Node::Kind::kMap) {
      map.merges.push_back(std::move(node));
      return;
    }
    const bool maps = node.kind == Node::Kind::kSequence &&
                      std::ranges::all_of(node.children, [](const Node& one) { return one.kind == Node::Kind::kMap; });
    if (!maps) throw Refused{map.key_line, "'<<' merges a mapping, or a list of mappings"};
    for (Node& one : node.children) map.merges.push_back(std::move(one));
  }

  Node root_;
  std::vector<Container> open_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
  std::size_t nodes_ = 0;
  std::size_t bytes_ = 0;
};

std::uint32_t LineAt(std::string_view text, std::size_t offset) {
  return static_cast<std::uint32_t>(
             std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n')) +
         1;
}

Fault SyntaxFault(std::uint32_t line, std::string message, std::uint32_t column = 0) {
  Fault fault;
  fault.line = line;
  fault.column = column;
  fault.message = std::move(message);
  return fault;
}

// Of what the library says only its own words: the rest, as the name of an anchor that is not there, is the document's.
std::string OwnWords(const std::string& message) { return message.substr(0, message.find(':')); }

// The line of that number, without its end; empty when there is none.
std::string_view LineNumbered(std::string_view text, std::uint32_t number) {
  for (std::uint32_t line = 1; line < number; ++line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

// What yaml-cpp says of a line indented by a tab is about the mapping that then does not fit: the tab is told instead.
// It may be on the line where the parser gave up, or on the one before.
Fault NotYaml(std::string_view text, const YAML::Mark& mark, const std::string& message) {
  const std::uint32_t line = LineOf(mark);
  for (std::uint32_t at = line; at > 0 && at + 1 >= line; --at) {
    const std::string_view shown = LineNumbered(text, at);
    const std::size_t indentation = std::min(shown.find_first_not_of(" \t"), shown.size());
    const std::size_t tab = shown.substr(0, indentation).find('\t');
    if (tab == std::string_view::npos) continue;
    Fault fault = SyntaxFault(at, "not YAML: a tab is used for indentation", static_cast<std::uint32_t>(tab) + 1);
    fault.hint = "indent with spaces";
    return fault;
  }
  return SyntaxFault(line, "not YAML: " + OwnWords(message),
                     mark.column < 0 ? 0 : static_cast<std::uint32_t>(mark.column) + 1);
}

ParsedTree ParseYaml(std::string_view text, bool several) {
  ParsedTree parsed;
  if (text.size() > kMaxDocumentBytes) {
    parsed.faults.push_back(SyntaxFault(0, "the document is larger than 16 MiB"));
    return parsed;
  }
  const std::size_t invalid = std::min(FindInvalidUtf8(text), text.find('\0'));
  if (invalid != std::string_view::npos) {
    parsed.faults.push_back(SyntaxFault(LineAt(text, invalid), "the document is not UTF-8 text"));
    return parsed;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    parser.HandleNextDocument(builder);
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      parsed.second_line = std::max<std::uint32_t>(second.TakeRoot().line, 1);
      if (!several) {
        parsed.faults.push_back(SyntaxFault(parsed.second_line, "one document is expected, and here a second begins"));
      }
    }
    parsed.root = builder.TakeRoot();
    if (parsed.root.line == 0) parsed.root.line = 1;
  } catch (const Refused& refused) {
    parsed.faults.push_back(SyntaxFault(refused.line, refused.message));
  } catch (const YAML::Exception& error) {
    parsed.faults.push_back(NotYaml(text, error.mark, error.msg));
  } catch (const std::exception& error) {
    parsed.faults.push_back(SyntaxFault(0, std::string("not YAML: ") + error.what()));
  }
  return parsed;
}

}  // namespace

ParsedTree ParseYamlTree(std::string_view text) { return ParseYaml(text, false); }
ParsedTree ParseFirstYamlTree(std::string_view text) { return ParseYaml(text, true); }

}  // namespace weir::config
