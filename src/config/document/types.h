// The field tables' machinery: a Type knows how one C++ type is read from a tree, written to one, described as JSON
// Schema and described in the reference. The tables themselves are in the schema_*.cc files; nothing else in weir names
// a field of the document.
//
// Types are immutable and shared; thread-safe.
#pragma once

#include <cmath>
#include <concepts>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/document/node.h"
#include "config/document/reader.h"

namespace re2 {
class RE2;
}

namespace weir::config {

// Gathers the named definitions of a JSON Schema while it is built.
struct SchemaBuilder {
  std::set<std::string> begun;
  Node definitions = Node::Map();
};

class Section;

class Type {
 public:
  Type() = default;
  Type(const Type&) = delete;
  Type& operator=(const Type&) = delete;
  virtual ~Type() = default;

  // Into `value`, which holds the default. On a fault, tells the reader and leaves something valid behind.
  virtual void Read(const Node& node, void* value, Reader& reader) const = 0;
  virtual Node Write(const void* value) const = 0;
  virtual bool Equal(const void* a, const void* b) const = 0;
  virtual Node Schema(SchemaBuilder& builder) const = 0;
  // "whole number, 1 to 60", in Markdown.
  virtual std::string Words() const = 0;
  // The parts of the reference that this type needs.
  virtual void AddSections(std::vector<const Section*>& sections) const { static_cast<void>(sections); }
  // For hints: the names of the fields, if it has any.
  virtual std::vector<std::string_view> FieldNames() const { return {}; }
  // Whether a secret stands here or may stand somewhere below: faults never repeat what was written in such a place.
  // (No type that is defined in terms of itself holds one: those say no without looking.)
  virtual bool MayHoldSecret() const { return false; }
  // Whether it is one itself, also where it may be missing or there are several.
  virtual bool IsSecret() const { return false; }

 protected:
  // Found(node), but for what must not be repeated.
  std::string Shown(const Node& node) const { return MayHoldSecret() ? KindOf(node) : Found(node); }
};

template <typename T>
class TypeOf : public Type {
 public:
  bool Equal(const void* a, const void* b) const final {
    return *static_cast<const T*>(a) == *static_cast<const T*>(b);
  }
  void Read(const Node& node, void* value, Reader& reader) const final { Load(node, *static_cast<T*>(value), reader); }
  Node Write(const void* value) const final { return Save(*static_cast<const T*>(value)); }

 protected:
  virtual void Load(const Node& node, T& value, Reader& reader) const = 0;
  virtual Node Save(const T& value) const = 0;
};
template <typename T>
using Ref = std::shared_ptr<const TypeOf<T>>;

// ---- scalars --------------------------------------------------------------------------------------------------------

Ref<bool> Bool();

struct Range {
  std::uint64_t min = 0;
  std::uint64_t max = std::uint64_t{1} << 53;
};
Ref<std::uint64_t> Count(Range range = {});
Ref<std::uint32_t> Count32(Range range);

struct RealRange {
  double min = 0;
  double max = 1e12;
  bool above_min = false;  // min itself is not allowed
};
Ref<double> Real(RealRange range);

// Text that matches `pattern` (understood alike by RE2 and by JSON Schema; empty = any). `shape` says in words what the
// pattern wants: "must be " + shape. `words` is for the reference.
struct TextRule {
  std::string pattern;
  std::string shape;
  std::string words = "text";
  // A password, a key or what holds one: no fault repeats it, and the JSON Schema says `writeOnly`.
  bool secret = false;
  // No secret itself, but one may be written here by mistake: not repeated either.
  bool near_secret = false;
};
Ref<std::string> Text(TextRule rule = {});
// Any mapping, held as the text of a JSON object; an empty one as "".
Ref<std::string> JsonObject();
// A tree as compact JSON. Unquoted YAML is what YAML 1.2 takes it for: a number, true or false, else text.
std::string ToJsonText(const Node& node);
// One of these words, held as text.
Ref<std::string> Word(std::vector<std::string> words);

// `snake_case` and, as an equal, `SnakeCase`.
std::string PascalCase(std::string_view snake);

class EnumBase {
 public:
  explicit EnumBase(std::vector<std::string> names) : names_(std::move(names)) {}

 protected:
  // -1 after a fault.
  int Choose(const Node& node, Reader& reader) const;
  Node SchemaOfNames() const;
  std::string WordsOfNames() const;
  std::vector<std::string> names_;
};

template <typename E>
class Enum final : public TypeOf<E>, private EnumBase {
 public:
  explicit Enum(std::vector<std::pair<E, std::string>> values)
      : EnumBase(NamesOf(values)), values_(std::move(values)) {}
  Node Schema(SchemaBuilder&) const override { return SchemaOfNames(); }
  std::string Words() const override { return WordsOfNames(); }

 protected:
  void Load(const Node& node, E& value, Reader& reader) const override {
    if (const int index = Choose(node, reader); index >= 0) value = values_[static_cast<std::size_t>(index)].first;
  }
  Node Save(const E& value) const override {
    for (const auto& [one, name] : values_) {
      if (one == value) return Node::String(name);
    }
    return Node::String("?");  // not an enumerator: refused when it is read back
  }

 private:
  static std::vector<std::string> NamesOf(const std::vector<std::pair<E, std::string>>& values) {
    std::vector<std::string> names;
    for (const auto& value : values) names.push_back(value.second);
    return names;
  }
  std::vector<std::pair<E, std::string>> values_;
};

// ---- containers -----------------------------------------------------------------------------------------------------

Node NullableSchema(Node schema);
Node ListSchema(Node items, std::size_t min_items);
Node MapSchema(Node values, const TextRule& keys);
// The rule that the keys of a map keep.
class KeyCheck {
 public:
  explicit KeyCheck(TextRule rule);
  // Tells faults of the key itself and of a key that is there twice; false: skip the child.
  bool Accepts(const Node& child, std::set<std::string_view>& seen, Reader& reader) const;
  const TextRule& rule() const { return rule_; }
  // The key in the path of a fault.
  std::string_view Shown(std::string_view key) const { return rule_.secret ? kSecretSegment : key; }

 private:
  TextRule rule_;
  std::shared_ptr<const re2::RE2> pattern_;
};

template <typename T>
class Optional final : public TypeOf<std::optional<T>> {
 public:
  explicit Optional(Ref<T> inner) : inner_(std::move(inner)) {}
  Node Schema(SchemaBuilder& builder) const override { return NullableSchema(inner_->Schema(builder)); }
  std::string Words() const override { return inner_->Words(); }
  void AddSections(std::vector<const Section*>& sections) const override { inner_->AddSections(sections); }
  std::vector<std::string_view> FieldNames() const override { return inner_->FieldNames(); }
  bool MayHoldSecret() const override { return inner_->MayHoldSecret(); }
  bool IsSecret() const override { return inner_->IsSecret(); }

 protected:
  void Load(const Node& node, std::optional<T>& value, Reader& reader) const override {
    value.reset();
    if (node.kind != Node::Kind::kNull) inner_->Read(node, &value.emplace(), reader);
  }
  Node Save(const std::optional<T>& value) const override { return value ? inner_->Write(&*value) : Node::Null(); }

 private:
  Ref<T> inner_;
};

template <typename T>
class List final : public TypeOf<std::vector<T>> {
 public:
  List(Ref<T> inner, std::size_t min_items) : inner_(std::move(inner)), min_items_(min_items) {}
  Node Schema(SchemaBuilder& builder) const override { return ListSchema(inner_->Schema(builder), min_items_); }
  std::string Words() const override { return "list of " + inner_->Words(); }
  void AddSections(std::vector<const Section*>& sections) const override { inner_->AddSections(sections); }
  bool MayHoldSecret() const override { return inner_->MayHoldSecret(); }
  bool IsSecret() const override { return inner_->IsSecret(); }

 protected:
  void Load(const Node& node, std::vector<T>& value, Reader& reader) const override {
    if (node.kind != Node::Kind::kSequence && (node.kind != Node::Kind::kNull || min_items_ > 0)) {
      const std::string entry = this->MayHoldSecret() ? "..." : node.text.substr(0, 40);
      return reader.Error(node, "must be a list, not " + this->Shown(node),
                          node.IsText() ? "write it as [" + entry + "]" : "");
    }
    if (node.children.size() < min_items_) return reader.Error(node, "must have at least one entry");
    value.clear();
    value.reserve(node.children.size());
    for (const Node& child : node.children) {
      const Reader::Scope scope(reader, std::to_string(value.size()));
      inner_->Read(child, &value.emplace_back(), reader);
    }
  }
  Node Save(const std::vector<T>& value) const override {
    Node node = Node::Sequence();
    for (const T& one : value) node.Add(inner_->Write(&one));
    return node;
  }

 private:
  Ref<T> inner_;
  std::size_t min_items_;
};

template <typename T>
class Map final : public TypeOf<std::map<std::string, T>> {
 public:
  Map(Ref<T> inner, TextRule keys) : inner_(std::move(inner)), keys_(std::move(keys)) {}
  Node Schema(SchemaBuilder& builder) const override { return MapSchema(inner_->Schema(builder), keys_.rule()); }
  std::string Words() const override { return "map of " + inner_->Words() + " by " + keys_.rule().words; }
  void AddSections(std::vector<const Section*>& sections) const override { inner_->AddSections(sections); }
  bool MayHoldSecret() const override { return keys_.rule().secret || inner_->MayHoldSecret(); }

 protected:
  void Load(const Node& node, std::map<std::string, T>& value, Reader& reader) const override {
    if (node.kind != Node::Kind::kMap && node.kind != Node::Kind::kNull) {
      return reader.Error(node, "must be a mapping, not " + this->Shown(node));
    }
    value.clear();
    std::set<std::string_view> seen;
    for (const Node& child : node.children) {
      if (!keys_.Accepts(child, seen, reader)) continue;
      const Reader::Scope scope(reader, keys_.Shown(child.key));
      inner_->Read(child, &value[child.key], reader);
    }
  }
  Node Save(const std::map<std::string, T>& value) const override {
    Node node = Node::Map();
    for (const auto& [key, one] : value) node.Add(key, inner_->Write(&one));
    return node;
  }

 private:
  Ref<T> inner_;
  KeyCheck keys_;
};

// A type that is defined later, or in terms of itself.
template <typename T>
class Later final : public TypeOf<std::shared_ptr<const T>> {
 public:
  explicit Later(Ref<T> (*inner)()) : inner_(inner) {}
  Node Schema(SchemaBuilder& builder) const override { return inner_()->Schema(builder); }
  std::string Words() const override { return inner_()->Words(); }

 protected:
  void Load(const Node& node, std::shared_ptr<const T>& value, Reader& reader) const override {
    auto loaded = std::make_shared<T>();
    inner_()->Read(node, loaded.get(), reader);
    value = std::move(loaded);
  }
  Node Save(const std::shared_ptr<const T>& value) const override {
    return value ? inner_()->Write(value.get()) : Node::Null();
  }

 private:
  Ref<T> (*inner_)();
};

// The same by value, for lists and maps of what they are in.
template <typename T>
class Deferred final : public TypeOf<T> {
 public:
  explicit Deferred(Ref<T> (*inner)()) : inner_(inner) {}
  Node Schema(SchemaBuilder& builder) const override { return inner_()->Schema(builder); }
  std::string Words() const override { return inner_()->Words(); }

 protected:
  void Load(const Node& node, T& value, Reader& reader) const override { inner_()->Read(node, &value, reader); }
  Node Save(const T& value) const override { return inner_()->Write(&value); }

 private:
  Ref<T> (*inner_)();
};

template <typename T>
Ref<std::optional<T>> Opt(Ref<T> inner) {
  return std::make_shared<Optional<T>>(std::move(inner));
}
template <typename T>
Ref<std::vector<T>> ListOf(Ref<T> inner, std::size_t min_items = 0) {
  return std::make_shared<List<T>>(std::move(inner), min_items);
}
template <typename T>
Ref<std::map<std::string, T>> MapOf(Ref<T> inner, TextRule keys) {
  return std::make_shared<Map<T>>(std::move(inner), std::move(keys));
}
template <typename E>
Ref<E> EnumOf(std::vector<std::pair<E, std::string>> values) {
  return std::make_shared<Enum<E>>(std::move(values));
}

}  // namespace weir::config
