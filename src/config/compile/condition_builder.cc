#include "config/compile/condition_builder.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <array>
#include <memory>
#include <vector>

#include "config/document/reader.h"

namespace weir::config {
namespace {

using Field = ConditionInput::Text;
using Map = ConditionInput::Map;
using Type = ConditionBuilder::Type;

constexpr std::array<std::pair<std::string_view, Field>, 10> kFields = {{{"method", Field::kMethod},
                                                                         {"path", Field::kPath},
                                                                         {"host", Field::kHost},
                                                                         {"user", Field::kUser},
                                                                         {"tenant", Field::kTenant},
                                                                         {"tier", Field::kTier},
                                                                         {"api_key", Field::kApiKey},
                                                                         {"ip", Field::kIp},
                                                                         {"country", Field::kCountry},
                                                                         {"domain", Field::kDomain}}};
constexpr std::array<std::pair<std::string_view, Map>, 6> kMaps = {{{"headers", Map::kHeaders},
                                                                    {"query", Map::kQuery},
                                                                    {"cookies", Map::kCookies},
                                                                    {"claims", Map::kClaims},
                                                                    {"attributes", Map::kAttributes},
                                                                    {"scopes", Map::kScopes}}};

template <typename Table>
auto Find(const Table& table, std::string_view name) -> const typename Table::value_type* {
  for (const auto& one : table) {
    if (one.first == name) return &one;
  }
  return nullptr;
}

std::string InParentheses(const std::string& hint) { return hint.empty() ? "" : " (" + hint + ")"; }

bool IsNumber(Type type) { return type == Type::kInt || type == Type::kDouble; }
bool Comparable(Type a, Type b) { return a == b || (IsNumber(a) && IsNumber(b)); }

std::string_view NameOfType(Type type) {
  switch (type) {
    case Type::kBool:
      return "a bool";
    case Type::kInt:
      return "an int";
    case Type::kDouble:
      return "a double";
    case Type::kText:
      return "a string";
  }
  return "a value";
}

}  // namespace

std::string ConditionBuilder::NameOf(const Operand& operand) {
  switch (operand.kind) {
    case Operand::Kind::kRequest:
      return "the whole request";
    case Operand::Kind::kFacts:
      return "all facts";
    case Operand::Kind::kMap:
      return "a whole map";
    case Operand::Kind::kList:
      return "a list";
    case Operand::Kind::kValue:
      break;
  }
  return std::string(NameOfType(operand.type));
}

bool ConditionBuilder::WantValue(const Operand& operand) {
  if (!lexer_.ok()) return false;
  if (operand.kind == Operand::Kind::kValue) return true;
  Wrong(operand.at, fmt::format("{} is no value here", NameOf(operand)));
  return false;
}

bool ConditionBuilder::Want(const Operand& operand, Type type, std::string_view what) {
  if (!lexer_.ok()) return false;
  if (operand.kind == Operand::Kind::kValue && operand.type == type) return true;
  Wrong(operand.at, fmt::format("{} must be {}, not {}", what, NameOfType(type), NameOf(operand)));
  return false;
}

ConditionBuilder::Operand ConditionBuilder::Make(Node node, std::size_t at) {
  if (!lexer_.ok()) return {};
  if (program_.nodes_.size() >= Condition::kMostNodes) {
    return Wrong(at, fmt::format("a condition has at most {} parts", Condition::kMostNodes));
  }
  program_.nodes_.push_back(node);
  return {.node = static_cast<std::uint16_t>(program_.nodes_.size() - 1), .type = node.type, .at = at};
}

std::uint16_t ConditionBuilder::Keep(Constant constant, std::size_t at) {
  if (program_.constants_.size() >= Condition::kMostNodes) {
    Wrong(at, fmt::format("a condition has at most {} constants", Condition::kMostNodes));
    return 0;
  }
  program_.constants_.push_back(std::move(constant));
  return static_cast<std::uint16_t>(program_.constants_.size() - 1);
}

ConditionBuilder::Operand ConditionBuilder::MakeConstant(Constant constant, std::size_t at) {
  const Type type = constant.type;
  const std::uint16_t kept = Keep(std::move(constant), at);
  return Make({.op = Op::kConstant, .type = type, .first = kept}, at);
}

ConditionBuilder::Operand ConditionBuilder::Text(std::string text, std::size_t at) {
  return MakeConstant({.type = Type::kText, .text = std::move(text)}, at);
}
ConditionBuilder::Operand ConditionBuilder::Bool(bool value, std::size_t at) {
  return MakeConstant({.type = Type::kBool, .integer = value ? 1 : 0}, at);
}
ConditionBuilder::Operand ConditionBuilder::Number(const ConditionLexer::Number& number, std::size_t at) {
  return MakeConstant(
      {.type = number.is_real ? Type::kDouble : Type::kInt, .integer = number.integer, .real = number.real}, at);
}

ConditionBuilder::Operand ConditionBuilder::Named(std::string_view name, std::size_t at) {
  if (name == "true" || name == "false") return Bool(name == "true", at);
  if (name == "request") return {.kind = Operand::Kind::kRequest, .at = at};
  if (name == "facts") return {.kind = Operand::Kind::kFacts, .at = at};
  if (const auto* map = Find(kMaps, name)) return {.kind = Operand::Kind::kMap, .map = map->second, .at = at};
  std::string hint = DidYouMean(name, {"request", "headers", "query", "cookies", "claims", "attributes", "scopes",
                                       "facts", "has", "size", "int", "double", "true", "false"});
  if (Find(kFields, name) != nullptr) hint = fmt::format("did you mean 'request.{}'?", name);
  return Wrong(at, fmt::format("there is no {}{}", Quoted(name), InParentheses(hint)));
}

ConditionBuilder::Operand ConditionBuilder::Choose(const Operand& condition, const Operand& yes, const Operand& no) {
  if (!WantValue(yes) || !WantValue(no)) return {};
  if (yes.type != no.type) {
    return Wrong(no.at, fmt::format("both sides of ':' must be of one type, not {} and {}", NameOf(yes), NameOf(no)));
  }
  return Make({.op = Op::kChoose, .type = yes.type, .a = condition.node, .b = yes.node, .c = no.node}, condition.at);
}

ConditionBuilder::Operand ConditionBuilder::Both(std::string_view sign, Op op, const Operand& left,
                                                 const Operand& right) {
  const std::string what = fmt::format("what stands beside '{}'", sign);
  if (!Want(left, Type::kBool, what) || !Want(right, Type::kBool, what)) return {};
  return Make({.op = op, .type = Type::kBool, .a = left.node, .b = right.node}, left.at);
}

ConditionBuilder::Operand ConditionBuilder::Not(const Operand& operand, std::size_t at) {
  if (!Want(operand, Type::kBool, "what stands behind '!'")) return {};
  return Make({.op = Op::kNot, .type = Type::kBool, .a = operand.node}, at);
}

ConditionBuilder::Operand ConditionBuilder::Negative(const Operand& operand, std::size_t at) {
  if (!WantValue(operand)) return {};
  if (!IsNumber(operand.type)) return Wrong(operand.at, fmt::format("{} has no negative", NameOf(operand)));
  return Make({.op = Op::kNegate, .type = operand.type, .a = operand.node}, at);
}

// a <= b is !(b < a). (Numbers that are none do not come in: int() and double() refuse them.)
ConditionBuilder::Operand ConditionBuilder::Compare(const Operand& left, const Operand& right, std::string_view sign,
                                                    std::size_t at) {
  if (!WantValue(left) || !WantValue(right)) return {};
  const bool ordered = sign != "==" && sign != "!=";
  if (!Comparable(left.type, right.type) || (ordered && left.type == Type::kBool)) {
    return Wrong(
        at, fmt::format("{} and {} cannot be compared{}", NameOf(left), NameOf(right), ordered ? " by order" : ""));
  }
  const bool swapped = sign == ">" || sign == "<=", negated = sign == "!=" || sign == "<=" || sign == ">=";
  const Operand result = Make({.op = ordered ? Op::kLess : Op::kEqual,
                               .type = Type::kBool,
                               .a = swapped ? right.node : left.node,
                               .b = swapped ? left.node : right.node},
                              left.at);
  return negated ? Make({.op = Op::kNot, .type = Type::kBool, .a = result.node}, left.at) : result;
}

ConditionBuilder::Operand ConditionBuilder::In(const Operand& left, const Operand& right, std::size_t at) {
  if (!lexer_.ok()) return {};
  if (right.kind == Operand::Kind::kMap) {
    const bool constant = left.kind == Operand::Kind::kValue && left.type == Type::kText &&
                          program_.nodes_[left.node].op == Op::kConstant;
    if (!constant) return Wrong(left.at, "what is looked for in a map must be a string constant");
    return Make({.op = Op::kHasKey, .type = Type::kBool, .map = right.map, .first = program_.nodes_[left.node].first},
                left.at);
  }
  if (right.kind != Operand::Kind::kList) {
    return Wrong(right.at, fmt::format("'in' needs a list or a map, not {}", NameOf(right)));
  }
  if (!WantValue(left)) return {};
  if (right.count > 0 && !Comparable(left.type, program_.constants_[right.first].type)) {
    const auto bare = [](std::string_view name) { return name.substr(name.find(' ') + 1); };
    return Wrong(at, fmt::format("a list of {} holds no {}", bare(NameOfType(program_.constants_[right.first].type)),
                                 bare(NameOfType(left.type))));
  }
  return Make({.op = Op::kInList, .type = Type::kBool, .a = left.node, .first = right.first, .count = right.count},
              left.at);
}

ConditionBuilder::Operand ConditionBuilder::Field(const Operand& of, std::string_view name, std::size_t at) {
  switch (of.kind) {
    case Operand::Kind::kRequest:
      return RequestField(name, of.at, at);
    case Operand::Kind::kFacts:
      if (name == "country")
        return Make({.op = Op::kField, .type = Type::kText, .field = ConditionInput::Text::kCountry}, of.at);
      return Wrong(at, fmt::format("there is no fact {}; there is country", Quoted(name)));
    case Operand::Kind::kMap:
      return LookUp(of, std::string(name), at);
    case Operand::Kind::kList:
      return Wrong(at, "a list has no fields");
    case Operand::Kind::kValue:
      break;
  }
  const std::string hint = DidYouMean(name, {"startsWith", "endsWith", "contains", "matches", "lowerAscii", "size"});
  return Wrong(at, fmt::format("{} has no {}{}", NameOf(of), Quoted(name), InParentheses(hint)));
}

ConditionBuilder::Operand ConditionBuilder::RequestField(std::string_view name, std::size_t at, std::size_t name_at) {
  if (const auto* field = Find(kFields, name)) {
    return Make({.op = Op::kField, .type = Type::kText, .field = field->second}, at);
  }
  if (name == "cost") return Make({.op = Op::kCost, .type = Type::kInt}, at);
  if (const auto* map = Find(kMaps, name)) return {.kind = Operand::Kind::kMap, .map = map->second, .at = at};
  std::vector<std::string_view> names = {"cost"};
  for (const auto& field : kFields) names.push_back(field.first);
  for (const auto& map : kMaps) names.push_back(map.first);
  return Wrong(name_at, fmt::format("a request has no {}{}", Quoted(name), InParentheses(DidYouMean(name, names))));
}

ConditionBuilder::Operand ConditionBuilder::LookUp(const Operand& of, std::string key, std::size_t at) {
  if (key.empty()) return Wrong(at, "an empty key names nothing");
  const std::uint16_t constant = Keep({.type = Type::kText, .text = std::move(key)}, at);
  return Make({.op = Op::kLookUp, .type = Type::kText, .map = of.map, .first = constant}, of.at);
}

ConditionBuilder::Operand ConditionBuilder::Matches(const Operand& of, const std::string& pattern, std::size_t at) {
  if (program_.nodes_[of.node].op == Op::kLower) return Wrong(at, "write (?i) in the pattern instead of lowerAscii()");
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  auto regex = std::make_unique<const RE2>(pattern, options);
  if (!regex->ok()) return Wrong(at, "is not a regular expression: " + regex->error());
  program_.patterns_.push_back(std::move(regex));
  const auto number = static_cast<std::uint16_t>(program_.patterns_.size() - 1);
  return Make({.op = Op::kMatches, .type = Type::kBool, .a = of.node, .first = number}, of.at);
}

ConditionBuilder::Operand ConditionBuilder::Convert(std::string_view name, const Operand& argument, std::size_t at) {
  if (name == "size") {
    if (!Want(argument, Type::kText, "the argument")) return {};
    return Make({.op = Op::kSize, .type = Type::kInt, .a = argument.node}, at);
  }
  if (argument.type == Type::kBool) return Wrong(argument.at, "a bool is no number");
  const bool whole = name == "int";
  return Make(
      {.op = whole ? Op::kToInt : Op::kToDouble, .type = whole ? Type::kInt : Type::kDouble, .a = argument.node}, at);
}

ConditionBuilder::Operand ConditionBuilder::Has(const Operand& argument, std::size_t at) {
  Node& node = program_.nodes_[argument.node];
  if (node.op == Op::kLookUp) {
    node.op = Op::kHasKey;
    node.type = Type::kBool;
    return {.node = argument.node, .type = Type::kBool, .at = at};
  }
  if (node.op != Op::kField) return Wrong(argument.at, "has() needs a field, such as headers.x or request.user");
  return Compare(argument, Text({}, at), "!=", at);
}

ConditionBuilder::Operand ConditionBuilder::BeginList(std::size_t at) const {
  return {.kind = Operand::Kind::kList, .first = static_cast<std::uint16_t>(program_.constants_.size()), .at = at};
}

bool ConditionBuilder::AddToList(Operand& list, Constant constant, std::size_t at) {
  if (list.count > 0 && !Comparable(program_.constants_[list.first].type, constant.type)) {
    Wrong(at, "a list holds constants of one type");
    return false;
  }
  Keep(std::move(constant), at);
  ++list.count;
  return true;
}

Condition ConditionBuilder::Finish(const Operand& whole, std::string_view text) {
  // Evaluation begins at the last node.
  if (whole.node + 1u != program_.nodes_.size()) {
    const Node root = program_.nodes_[whole.node];
    program_.nodes_.push_back(root);
  }
  program_.text_ = text;
  return std::move(program_);
}

}  // namespace weir::config
