// The neutral form between text and document: what YAML and JSON have in common, with the place of every value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weir/config.h"

namespace weir::config {

inline constexpr std::size_t kMaxDocumentBytes = 16 << 20;
inline constexpr std::size_t kMaxDocumentDepth = 64;
// Values after aliases were expanded; bounds the memory that a small text can ask for.
inline constexpr std::size_t kMaxDocumentNodes = 2'000'000;
inline constexpr std::size_t kMaxExpandedBytes = 64 << 20;

// Plain value type. Lines and columns are 1-based; 0 = unknown (a tree that was not read from text).
struct Node {
  enum class Kind : std::uint8_t {
    kNull,
    kBool,    // text is "true" or "false"
    kNumber,  // text is the number as written
    kString,  // JSON string, quoted YAML scalar
    kPlain,   // unquoted YAML scalar: what it is, the reader's field decides
    kSequence,
    kMap,  // children carry keys, in document order; a repeated key is kept twice
  };
  Kind kind = Kind::kNull;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::uint32_t key_line = 0;
  std::uint32_t key_column = 0;
  std::string key;
  std::string text;
  std::vector<Node> children;

  static Node Null() { return {}; }
  static Node Bool(bool value);
  static Node Number(std::string text);
  static Node Number(std::uint64_t value);
  static Node String(std::string_view text);
  static Node Sequence();
  static Node Map();

  bool IsScalar() const { return kind != Kind::kSequence && kind != Kind::kMap; }
  bool IsText() const { return kind == Kind::kString || kind == Kind::kPlain; }
  // The first child of that key; nullptr when there is none.
  const Node* Find(std::string_view child_key) const;
  Node& Add(std::string_view child_key, Node value);
  Node& Add(Node value);
};

// Text to tree. On a fault of syntax (or a bound that is exceeded) `fault` is set and `root` is meaningless.
// No exception leaves. Input must be at most kMaxDocumentBytes (checked) and UTF-8 (checked).
struct ParsedTree {
  Node root;
  std::vector<Fault> faults;      // at most one
  std::uint32_t second_line = 0;  // ParseFirstYamlTree: where a second document begins; 0: there is none
};
ParsedTree ParseYamlTree(std::string_view text);
// Of a text of several documents, which ParseYamlTree refuses, the first.
ParsedTree ParseFirstYamlTree(std::string_view text);
ParsedTree ParseJsonTree(std::string_view text);

// Tree to text. Both end with a newline and read back to an equal tree.
std::string EmitYaml(const Node& root);
std::string EmitJson(const Node& root);
// On one line, without a newline: for messages and the reference.
std::string EmitCompactJson(const Node& root);

}  // namespace weir::config
