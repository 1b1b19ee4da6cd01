#include "config/document/types.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "config/document/record.h"

namespace weir::config {
namespace {

// The pattern of a whole-number text, or of one like 100.0, which JSON holds to be whole too.
std::optional<std::uint64_t> WholeNumber(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  if (const auto [last, error] = std::from_chars(text.data(), end, value); error == std::errc() && last == end)
    return value;
  double real = 0;
  const auto [last, error] = std::from_chars(text.data(), end, real);
  if (error != std::errc() || last != end || !(real >= 0) || real > 9007199254740992.0) return std::nullopt;
  if (real != std::floor(real)) return std::nullopt;
  return static_cast<std::uint64_t>(real);
}

std::optional<double> RealNumber(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || last != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool MayBeNumber(const Node& node) { return node.kind == Node::Kind::kNumber || node.kind == Node::Kind::kPlain; }

std::string QuotesHint(const Node& node) {
  return node.kind == Node::Kind::kString && RealNumber(node.text) ? "write it without quotes" : "";
}

std::string Decimal(double value) {
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return error == std::errc() ? std::string(buffer, end) : "0";
}

void ReadWhole(const Node& node, const Range& range, std::uint64_t& value, Reader& reader) {
  const auto number = MayBeNumber(node) ? WholeNumber(node.text) : std::nullopt;
  if (!number) {
    const auto real = MayBeNumber(node) ? RealNumber(node.text) : std::nullopt;
    if (real && *real < 0) return reader.Error(node, "must be at least " + std::to_string(range.min));
    if (real && *real > 9007199254740992.0) return reader.Error(node, "must be at most " + std::to_string(range.max));
    return reader.Error(node, "must be a whole number, not " + Found(node), QuotesHint(node));
  }
  if (*number < range.min) return reader.Error(node, "must be at least " + std::to_string(range.min));
  if (*number > range.max) return reader.Error(node, "must be at most " + std::to_string(range.max));
  value = *number;
}

Node WholeSchema(const Range& range) {
  Node schema = Node::Map();
  schema.Add("type", Node::String("integer"));
  schema.Add("minimum", Node::Number(range.min));
  schema.Add("maximum", Node::Number(range.max));
  return schema;
}

std::string WholeWords(const Range& range) {
  if (range.max >= std::uint64_t{1} << 53) {
    return range.min == 0 ? "whole number" : "whole number, at least " + std::to_string(range.min);
  }
  return "whole number, " + std::to_string(range.min) + " to " + std::to_string(range.max);
}

template <std::unsigned_integral T>
class Whole final : public TypeOf<T> {
 public:
  explicit Whole(Range range) : range_(range) {}
  Node Schema(SchemaBuilder&) const override { return WholeSchema(range_); }
  std::string Words() const override { return WholeWords(range_); }

 protected:
  void Load(const Node& node, T& value, Reader& reader) const override {
    std::uint64_t wide = value;
    ReadWhole(node, range_, wide, reader);
    value = static_cast<T>(wide);
  }
  Node Save(const T& value) const override { return Node::Number(static_cast<std::uint64_t>(value)); }

 private:
  Range range_;
};

class RealType final : public TypeOf<double> {
 public:
  explicit RealType(RealRange range) : range_(range) {}
  Node Schema(SchemaBuilder&) const override {
    Node schema = Node::Map();
    schema.Add("type", Node::String("number"));
    schema.Add(range_.above_min ? "exclusiveMinimum" : "minimum", Node::Number(Decimal(range_.min)));
    schema.Add("maximum", Node::Number(Decimal(range_.max)));
    return schema;
  }
  std::string Words() const override {
    return (range_.above_min ? "number above " : "number, at least ") + Decimal(range_.min);
  }

 protected:
  void Load(const Node& node, double& value, Reader& reader) const override {
    const auto number = MayBeNumber(node) ? RealNumber(node.text) : std::nullopt;
    if (!number) return reader.Error(node, "must be a number, not " + Found(node), QuotesHint(node));
    if (range_.above_min && *number <= range_.min) return reader.Error(node, "must be above " + Decimal(range_.min));
    if (*number < range_.min) return reader.Error(node, "must be at least " + Decimal(range_.min));
    if (*number > range_.max) return reader.Error(node, "must be at most " + Decimal(range_.max));
    value = *number;
  }
  Node Save(const double& value) const override { return Node::Number(Decimal(value)); }

 private:
  RealRange range_;
};

class BoolType final : public TypeOf<bool> {
 public:
  Node Schema(SchemaBuilder&) const override {
    Node schema = Node::Map();
    schema.Add("type", Node::String("boolean"));
    return schema;
  }
  std::string Words() const override { return "true or false"; }

 protected:
  void Load(const Node& node, bool& value, Reader& reader) const override {
    if (node.kind == Node::Kind::kBool || node.kind == Node::Kind::kPlain) {
      if (node.text == "true" || node.text == "True" || node.text == "TRUE") return void(value = true);
      if (node.text == "false" || node.text == "False" || node.text == "FALSE") return void(value = false);
    }
    const bool yes = node.text == "yes" || node.text == "on";
    const bool no = node.text == "no" || node.text == "off";
    const bool quoted = node.text == "true" || node.text == "false";
    reader.Error(node, "must be true or false, not " + Found(node),
                 yes      ? "write true"
                 : no     ? "write false"
                 : quoted ? "write it without quotes"
                          : "");
  }
  Node Save(const bool& value) const override { return Node::Bool(value); }
};

bool Matches(const std::shared_ptr<const RE2>& pattern, std::string_view text) {
  return pattern == nullptr || RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *pattern);
}

class TextType final : public TypeOf<std::string> {
 public:
  explicit TextType(TextRule rule) : rule_(std::move(rule)) {
    if (!rule_.pattern.empty()) pattern_ = std::make_shared<const RE2>(rule_.pattern);
  }
  Node Schema(SchemaBuilder&) const override {
    Node schema = Node::Map();
    schema.Add("type", Node::String("string"));
    if (!rule_.pattern.empty()) schema.Add("pattern", Node::String(rule_.pattern));
    if (rule_.secret) schema.Add("writeOnly", Node::Bool(true));
    return schema;
  }
  std::string Words() const override { return rule_.words; }
  bool MayHoldSecret() const override { return rule_.secret || rule_.near_secret; }
  bool IsSecret() const override { return rule_.secret; }

 protected:
  void Load(const Node& node, std::string& value, Reader& reader) const override {
    if (!node.IsText()) {
      const bool scalar = node.kind == Node::Kind::kNumber || node.kind == Node::Kind::kBool;
      return reader.Error(node, "must be text, not " + Shown(node), scalar ? "put it in quotes" : "");
    }
    if (FindInvalidUtf8(node.text) != std::string_view::npos) return reader.Error(node, "must be UTF-8 text");
    if (!Matches(pattern_, node.text))
      return reader.Error(node, "must be " + rule_.shape + (MayHoldSecret() ? "" : ", not " + Quoted(node.text)));
    value = node.text;
  }
  Node Save(const std::string& value) const override { return Node::String(value); }

 private:
  TextRule rule_;
  std::shared_ptr<const RE2> pattern_;
};

Node AsJson(const Node& node) {
  Node json = node;
  if (node.kind == Node::Kind::kPlain) {
    const bool is_bool = node.text == "true" || node.text == "false";
    const auto whole = WholeNumber(node.text);
    const auto real = RealNumber(node.text);
    json = is_bool ? Node::Bool(node.text == "true")
           : whole ? Node::Number(*whole)
           : real  ? Node::Number(Decimal(*real))
                   : Node::String(node.text);
    json.key = node.key;
  }
  for (Node& child : json.children) child = AsJson(child);
  return json;
}

class JsonObjectType final : public TypeOf<std::string> {
 public:
  Node Schema(SchemaBuilder&) const override {
    Node types = Node::Sequence();
    types.Add(Node::String("object"));
    types.Add(Node::String("null"));
    Node schema = Node::Map();
    schema.Add("type", std::move(types));
    return schema;
  }
  std::string Words() const override { return "any mapping"; }

 protected:
  void Load(const Node& node, std::string& value, Reader& reader) const override {
    if (node.kind != Node::Kind::kMap && node.kind != Node::Kind::kNull) {
      return reader.Error(node, "must be a mapping, not " + Found(node));
    }
    value = node.children.empty() ? "" : ToJsonText(node);
  }
  Node Save(const std::string& value) const override {
    ParsedTree tree = ParseJsonTree(value);
    return tree.faults.empty() && tree.root.kind == Node::Kind::kMap ? std::move(tree.root) : Node::Map();
  }
};

class WordType final : public TypeOf<std::string>, private EnumBase {
 public:
  explicit WordType(std::vector<std::string> words) : EnumBase(std::move(words)) {}
  Node Schema(SchemaBuilder&) const override { return SchemaOfNames(); }
  std::string Words() const override { return WordsOfNames(); }

 protected:
  void Load(const Node& node, std::string& value, Reader& reader) const override {
    if (const int index = Choose(node, reader); index >= 0) value = names_[static_cast<std::size_t>(index)];
  }
  Node Save(const std::string& value) const override { return Node::String(value); }
};

}  // namespace

Ref<bool> Bool() {
  static const Ref<bool> type = std::make_shared<BoolType>();
  return type;
}
Ref<std::uint64_t> Count(Range range) { return std::make_shared<Whole<std::uint64_t>>(range); }
Ref<std::uint32_t> Count32(Range range) {
  range.max = std::min<std::uint64_t>(range.max, std::numeric_limits<std::uint32_t>::max());
  return std::make_shared<Whole<std::uint32_t>>(range);
}
Ref<double> Real(RealRange range) { return std::make_shared<RealType>(range); }
Ref<std::string> Text(TextRule rule) { return std::make_shared<TextType>(std::move(rule)); }
Ref<std::string> JsonObject() {
  static const Ref<std::string> type = std::make_shared<JsonObjectType>();
  return type;
}
std::string ToJsonText(const Node& node) { return EmitCompactJson(AsJson(node)); }
Ref<std::string> Word(std::vector<std::string> words) { return std::make_shared<WordType>(std::move(words)); }

std::string PascalCase(std::string_view snake) {
  std::string pascal;
  bool upper = true;
  for (const char c : snake) {
    if (c == '_') {
      upper = true;
      continue;
    }
    pascal += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return pascal;
}

int EnumBase::Choose(const Node& node, Reader& reader) const {
  for (std::size_t i = 0; node.IsText() && i < names_.size(); ++i) {
    if (node.text == names_[i] || node.text == PascalCase(names_[i])) return static_cast<int>(i);
  }
  if (reader.full()) return -1;
  std::string message = "must be ";
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (i > 0) message += i + 1 == names_.size() ? " or " : ", ";
    message += names_[i];
    names.push_back(names_[i]);
  }
  reader.Error(node, message + ", not " + Found(node), node.IsText() ? DidYouMean(node.text, names) : "");
  return -1;
}

Node EnumBase::SchemaOfNames() const {
  Node names = Node::Sequence();
  for (const std::string& name : names_) {
    names.Add(Node::String(name));
    if (PascalCase(name) != name) names.Add(Node::String(PascalCase(name)));
  }
  Node schema = Node::Map();
  schema.Add("enum", std::move(names));
  return schema;
}

std::string EnumBase::WordsOfNames() const {
  std::string words;
  for (const std::string& name : names_) words += (words.empty() ? "`" : ", `") + name + "`";
  return words;
}

Node NullableSchema(Node schema) {
  Node null = Node::Map();
  null.Add("type", Node::String("null"));
  Node choices = Node::Sequence();
  choices.Add(std::move(schema));
  choices.Add(std::move(null));
  Node either = Node::Map();
  either.Add("anyOf", std::move(choices));
  return either;
}

Node ListSchema(Node items, std::size_t min_items) {
  Node schema = Node::Map();
  Node types = Node::Sequence();
  types.Add(Node::String("array"));
  if (min_items == 0) types.Add(Node::String("null"));
  schema.Add("type", std::move(types));
  schema.Add("items", std::move(items));
  if (min_items > 0) schema.Add("minItems", Node::Number(min_items));
  return schema;
}

Node MapSchema(Node values, const TextRule& keys) {
  Node schema = Node::Map();
  Node types = Node::Sequence();
  types.Add(Node::String("object"));
  types.Add(Node::String("null"));
  schema.Add("type", std::move(types));
  schema.Add("additionalProperties", std::move(values));
  Node names = Node::Map();
  names.Add("pattern", Node::String(keys.pattern));
  schema.Add("propertyNames", std::move(names));
  return schema;
}

KeyCheck::KeyCheck(TextRule rule) : rule_(std::move(rule)), pattern_(std::make_shared<const RE2>(rule_.pattern)) {}

bool KeyCheck::Accepts(const Node& child, std::set<std::string_view>& seen, Reader& reader) const {
  if (!seen.insert(child.key).second) {
    reader.ErrorAtKey(child, (rule_.secret ? "a key" : Quoted(child.key)) + " is written twice");
    return false;
  }
  if (FindInvalidUtf8(child.key) != std::string_view::npos || !Matches(pattern_, child.key)) {
    reader.ErrorAtKey(child, "a key must be " + rule_.shape + (rule_.secret ? "" : ", not " + Quoted(child.key)));
    return false;
  }
  return true;
}

}  // namespace weir::config
