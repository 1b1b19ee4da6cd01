#include "config/compile/condition.h"

#include <absl/strings/string_view.h>
#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/ascii.h"

namespace weir::config {
namespace {

// A text that may stand for its lower case.
struct Spelled {
  std::string_view text;
  bool lower = false;
  char at(std::size_t i) const { return lower ? AsciiLower(text[i]) : text[i]; }
};

bool SameAt(const Spelled& a, std::size_t from, const Spelled& b) {
  if (!a.lower && !b.lower) return a.text.substr(from, b.text.size()) == b.text;
  for (std::size_t i = 0; i < b.text.size(); ++i) {
    if (a.at(from + i) != b.at(i)) return false;
  }
  return true;
}

bool StartsWith(const Spelled& a, const Spelled& b) { return a.text.size() >= b.text.size() && SameAt(a, 0, b); }
bool EndsWith(const Spelled& a, const Spelled& b) {
  return a.text.size() >= b.text.size() && SameAt(a, a.text.size() - b.text.size(), b);
}
bool Contains(const Spelled& a, const Spelled& b) {
  if (!a.lower && !b.lower) return a.text.find(b.text) != std::string_view::npos;
  for (std::size_t from = 0; from + b.text.size() <= a.text.size(); ++from) {
    if (SameAt(a, from, b)) return true;
  }
  return false;
}
bool Equal(const Spelled& a, const Spelled& b) { return a.text.size() == b.text.size() && SameAt(a, 0, b); }
bool Less(const Spelled& a, const Spelled& b) {
  const std::size_t shared = std::min(a.text.size(), b.text.size());
  for (std::size_t i = 0; i < shared; ++i) {
    const auto x = static_cast<unsigned char>(a.at(i)), y = static_cast<unsigned char>(b.at(i));
    if (x != y) return x < y;
  }
  return a.text.size() < b.text.size();
}

// Unicode's characters, as in CEL: bytes that begin one.
std::int64_t Size(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

template <typename T>
bool ReadNumber(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Condition::Condition() = default;
Condition::~Condition() = default;
Condition::Condition(Condition&&) noexcept = default;
Condition& Condition::operator=(Condition&&) noexcept = default;

bool Condition::Reads(ConditionInput::Map map) const {
  return std::ranges::any_of(
      nodes_, [&](const Node& node) { return (node.op == Op::kLookUp || node.op == Op::kHasKey) && node.map == map; });
}

bool Condition::Reads(ConditionInput::Text field) const {
  return std::ranges::any_of(nodes_, [&](const Node& node) { return node.op == Op::kField && node.field == field; });
}

Condition::Answer Condition::Evaluate(const ConditionInput& input) const {
  const Value value = Run(nodes_.back(), input);
  return value.failed ? Answer::kFailed : value.boolean ? Answer::kTrue : Answer::kFalse;
}

Condition::Value Condition::ValueOf(const Constant& constant) const {
  Value value{.type = constant.type};
  if (constant.type == Type::kBool) value.boolean = constant.integer != 0;
  if (constant.type == Type::kInt) value.integer = constant.integer;
  if (constant.type == Type::kDouble) value.real = constant.real;
  value.text = constant.text;
  return value;
}

// Goes as deep as the parser let the text go.
Condition::Value Condition::Run(const Node& node, const ConditionInput& input) const {
  const auto child = [&](std::uint16_t index) { return Run(nodes_[index], input); };
  const auto truth = [](bool is) {
    Value value{.type = Type::kBool};
    value.boolean = is;
    return value;
  };
  const auto failure = [](Type type) { return Value{.type = type, .failed = true}; };
  const auto spelled = [](const Value& value) { return Spelled{.text = value.text, .lower = value.lower}; };
  const auto real = [](const Value& value) {
    return value.type == Type::kInt ? static_cast<double>(value.integer) : value.real;
  };
  const auto equal = [&](const Value& a, const Value& b) {
    if (a.type == Type::kText) return weir::config::Equal(spelled(a), spelled(b));
    if (a.type == Type::kBool) return a.boolean == b.boolean;
    if (a.type == Type::kInt && b.type == Type::kInt) return a.integer == b.integer;
    return real(a) == real(b);
  };
  switch (node.op) {
    case Op::kConstant:
      return ValueOf(constants_[node.first]);
    case Op::kField: {
      Value value{.type = Type::kText};
      value.text = input.Get(node.field);
      return value;
    }
    case Op::kCost: {
      Value value{.type = Type::kInt};
      value.integer = static_cast<std::int64_t>(std::min<std::uint64_t>(input.cost(), INT64_MAX));
      return value;
    }
    case Op::kLookUp: {
      Value value{.type = Type::kText};
      value.text = input.Find(node.map, constants_[node.first].text).value_or(std::string_view());
      return value;
    }
    case Op::kHasKey:
      return truth(input.Find(node.map, constants_[node.first].text).has_value());
    case Op::kNot: {
      Value value = child(node.a);
      if (!value.failed) value.boolean = !value.boolean;
      return value;
    }
    case Op::kNegate: {
      Value value = child(node.a);
      if (value.failed) return value;
      if (value.type == Type::kDouble) {
        value.real = -value.real;
      } else if (value.integer == INT64_MIN) {
        return failure(Type::kInt);
      } else {
        value.integer = -value.integer;
      }
      return value;
    }
    case Op::kAnd:
    case Op::kOr: {
      // What decides alone, wherever it stands.
      const bool decides = node.op == Op::kOr;
      const Value a = child(node.a);
      if (!a.failed && a.boolean == decides) return a;
      const Value b = child(node.b);
      if (!b.failed && b.boolean == decides) return b;
      return a.failed ? a : b;
    }
    case Op::kChoose: {
      const Value choice = child(node.a);
      if (choice.failed) return failure(node.type);
      return child(choice.boolean ? node.b : node.c);
    }
    case Op::kEqual:
    case Op::kLess: {
      const Value a = child(node.a);
      const Value b = child(node.b);
      if (a.failed || b.failed) return failure(Type::kBool);
      if (node.op == Op::kEqual) return truth(equal(a, b));
      if (a.type == Type::kText) return truth(weir::config::Less(spelled(a), spelled(b)));
      if (a.type == Type::kInt && b.type == Type::kInt) return truth(a.integer < b.integer);
      return truth(real(a) < real(b));
    }
    case Op::kInList: {
      const Value a = child(node.a);
      if (a.failed) return failure(Type::kBool);
      for (std::uint16_t i = 0; i < node.count; ++i) {
        if (equal(a, ValueOf(constants_[node.first + i]))) return truth(true);
      }
      return truth(false);
    }
    case Op::kStartsWith:
    case Op::kEndsWith:
    case Op::kContains: {
      const Value a = child(node.a);
      const Value b = child(node.b);
      if (a.failed || b.failed) return failure(Type::kBool);
      if (node.op == Op::kStartsWith) return truth(StartsWith(spelled(a), spelled(b)));
      if (node.op == Op::kEndsWith) return truth(EndsWith(spelled(a), spelled(b)));
      return truth(Contains(spelled(a), spelled(b)));
    }
    case Op::kMatches: {
      const Value a = child(node.a);
      if (a.failed) return failure(Type::kBool);
      return truth(RE2::PartialMatch(re2::StringPiece(a.text.data(), a.text.size()), *patterns_[node.first]));
    }
    case Op::kLower: {
      Value value = child(node.a);
      value.lower = true;
      return value;
    }
    case Op::kSize: {
      const Value a = child(node.a);
      if (a.failed) return failure(Type::kInt);
      Value value{.type = Type::kInt};
      value.integer = Size(a.text);
      return value;
    }
    case Op::kToInt: {
      const Value a = child(node.a);
      Value value{.type = Type::kInt};
      if (a.failed) return failure(Type::kInt);
      if (a.type == Type::kText) {
        value.failed = !ReadNumber(a.text, value.integer);
      } else if (a.type == Type::kDouble) {
        value.failed = !(a.real > -9.2e18 && a.real < 9.2e18);
        if (!value.failed) value.integer = static_cast<std::int64_t>(a.real);
      } else {
        value.integer = a.integer;
      }
      return value;
    }
    case Op::kToDouble: {
      const Value a = child(node.a);
      Value value{.type = Type::kDouble};
      if (a.failed) return failure(Type::kDouble);
      value.real = 0;
      if (a.type == Type::kText) {
        value.failed = !ReadNumber(a.text, value.real) || !std::isfinite(value.real);
      } else {
        value.real = real(a);
      }
      return value;
    }
  }
  return failure(node.type);
}

}  // namespace weir::config
