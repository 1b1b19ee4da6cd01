// A JSON Schema validator for tests: the keywords that ConfigJsonSchema() uses, and no others (an unknown keyword
// throws, so that none is overlooked).
#pragma once

#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "config/document/node.h"

namespace weir::config {

class JsonSchemaEvaluator {
 public:
  explicit JsonSchemaEvaluator(Node schema) : schema_(std::move(schema)) {}
  bool Accepts(const Node& value) { return Accepts(schema_, value); }

 private:
  // Wide enough to tell 2^53 from 2^53 + 1.
  static long double Number(const Node& node) { return std::strtold(node.text.c_str(), nullptr); }

  static bool IsType(const Node& value, std::string_view type) {
    switch (value.kind) {
      case Node::Kind::kNull:
        return type == "null";
      case Node::Kind::kBool:
        return type == "boolean";
      case Node::Kind::kNumber:
        return type == "number" || (type == "integer" && Number(value) == std::floor(Number(value)));
      case Node::Kind::kString:
      case Node::Kind::kPlain:
        return type == "string";
      case Node::Kind::kSequence:
        return type == "array";
      case Node::Kind::kMap:
        return type == "object";
    }
    return false;
  }

  static bool Equals(const Node& a, const Node& b) { return a.kind == b.kind && a.text == b.text; }

  bool Matches(const std::string& pattern, std::string_view text) {
    auto& compiled = patterns_[pattern];
    if (!compiled) compiled = std::make_unique<RE2>(pattern);
    return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *compiled);
  }

  bool Accepts(const Node& schema, const Node& value) {
    if (schema.kind == Node::Kind::kBool) return schema.text == "true";
    return std::ranges::all_of(schema.children, [&](const Node& keyword) { return Holds(schema, keyword, value); });
  }

  bool Holds(const Node& schema, const Node& keyword, const Node& value) {
    const std::string& name = keyword.key;
    const bool map = value.kind == Node::Kind::kMap;
    const bool number = value.kind == Node::Kind::kNumber;
    const auto any = [&](const auto& predicate) { return std::ranges::any_of(keyword.children, predicate); };
    const auto all = [&](const auto& predicate) { return std::ranges::all_of(keyword.children, predicate); };
    if (name == "$schema" || name == "$defs" || name == "title" || name == "description" || name == "default" ||
        name == "writeOnly")
      return true;
    if (name == "$ref") return Accepts(Resolve(keyword.text), value);
    if (name == "type") {
      if (keyword.kind == Node::Kind::kString) return IsType(value, keyword.text);
      return any([&](const Node& type) { return IsType(value, type.text); });
    }
    if (name == "enum") return any([&](const Node& one) { return Equals(one, value); });
    if (name == "anyOf") return any([&](const Node& one) { return Accepts(one, value); });
    if (name == "allOf") return all([&](const Node& one) { return Accepts(one, value); });
    if (name == "not") return !Accepts(keyword, value);
    if (name == "required") return !map || all([&](const Node& one) { return value.Find(one.text) != nullptr; });
    if (name == "properties") {
      return !map || all([&](const Node& one) {
        const Node* found = value.Find(one.key);
        return found == nullptr || Accepts(one, *found);
      });
    }
    if (name == "additionalProperties") {
      const Node* known = schema.Find("properties");
      return !map || std::ranges::all_of(value.children, [&](const Node& child) {
        return (known != nullptr && known->Find(child.key) != nullptr) || Accepts(keyword, child);
      });
    }
    if (name == "propertyNames") {
      return !map || std::ranges::all_of(value.children,
                                         [&](const Node& child) { return Accepts(keyword, Node::String(child.key)); });
    }
    if (name == "minProperties") return !map || static_cast<long double>(value.children.size()) >= Number(keyword);
    if (name == "maxProperties") return !map || static_cast<long double>(value.children.size()) <= Number(keyword);
    if (name == "items") {
      return value.kind != Node::Kind::kSequence ||
             std::ranges::all_of(value.children, [&](const Node& child) { return Accepts(keyword, child); });
    }
    if (name == "minItems") {
      return value.kind != Node::Kind::kSequence || static_cast<long double>(value.children.size()) >= Number(keyword);
    }
    if (name == "pattern") return value.kind != Node::Kind::kString || Matches(keyword.text, value.text);
    if (name == "minimum") return !number || Number(value) >= Number(keyword);
    if (name == "exclusiveMinimum") return !number || Number(value) > Number(keyword);
    if (name == "maximum") return !number || Number(value) <= Number(keyword);
    throw std::logic_error("unknown keyword " + name);
  }

  const Node& Resolve(std::string_view reference) const {
    constexpr std::string_view kPrefix = "#/$defs/";
    const Node* found =
        reference.starts_with(kPrefix) ? schema_.Find("$defs")->Find(reference.substr(kPrefix.size())) : nullptr;
    if (found == nullptr) throw std::logic_error("unknown definition " + std::string(reference));
    return *found;
  }

  Node schema_;
  std::map<std::string, std::unique_ptr<RE2>> patterns_;
};

}  // namespace weir::config
