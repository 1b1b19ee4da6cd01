// From the text of a condition to its program: a recursive descent, which types each node as it is made.
#include <fmt/format.h>
#include <re2/re2.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "config/compile/condition.h"
#include "config/document/reader.h"

namespace weir::config {
namespace {

using Text = ConditionInput::Text;
using Map = ConditionInput::Map;

constexpr std::array<std::pair<std::string_view, Text>, 10> kFields = {{{"method", Text::kMethod},
                                                                        {"path", Text::kPath},
                                                                        {"host", Text::kHost},
                                                                        {"user", Text::kUser},
                                                                        {"tenant", Text::kTenant},
                                                                        {"tier", Text::kTier},
                                                                        {"api_key", Text::kApiKey},
                                                                        {"ip", Text::kIp},
                                                                        {"country", Text::kCountry},
                                                                        {"domain", Text::kDomain}}};
constexpr std::array<std::pair<std::string_view, Map>, 5> kMaps = {{{"headers", Map::kHeaders},
                                                                    {"query", Map::kQuery},
                                                                    {"cookies", Map::kCookies},
                                                                    {"claims", Map::kClaims},
                                                                    {"attributes", Map::kAttributes}}};

template <typename Table>
auto Find(const Table& table, std::string_view name) -> const typename Table::value_type* {
  for (const auto& one : table) {
    if (one.first == name) return &one;
  }
  return nullptr;
}

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void AppendUtf8(std::uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

}  // namespace

class ConditionParser {
 public:
  explicit ConditionParser(std::string_view text) : text_(text) {}

  Result<Condition> Run() {
    if (text_.size() > Condition::kMostBytes) {
      return Fail(ErrorCode::kInvalidArgument, fmt::format("is longer than {} bytes", Condition::kMostBytes));
    }
    Operand whole = Choice();
    if (ok() && !AtEnd()) Wrong(at_, fmt::format("expected an operator or the end, not {}", Here()));
    if (ok()) Want(whole, Type::kBool, "the condition");
    if (!ok()) return Fail(ErrorCode::kInvalidArgument, fmt::format("column {}: {}", fault_at_ + 1, fault_));
    // Evaluation begins at the last node.
    if (whole.node + 1u != program_.nodes_.size()) {
      const Condition::Node root = program_.nodes_[whole.node];
      program_.nodes_.push_back(root);
    }
    program_.text_ = text_;
    return std::move(program_);
  }

 private:
  using Type = Condition::Type;
  using Op = Condition::Op;
  // What has been read: a node, or a name that is not a value by itself.
  struct Operand {
    enum class Kind : std::uint8_t { kValue, kRequest, kFacts, kMap, kList } kind = Kind::kValue;
    std::uint16_t node = 0;
    Type type = Type::kBool;
    Map map{};
    std::uint16_t first = 0, count = 0;  // kList: in constants_
    std::size_t at = 0;                  // where it begins
  };

  bool ok() const { return fault_.empty(); }
  Operand Wrong(std::size_t at, std::string why) {
    if (ok()) {
      fault_ = std::move(why);
      fault_at_ = at;
    }
    return {};
  }

  // ---- characters
  void SkipBlank() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '/' && text_.substr(at_).starts_with("//")) {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
        ++at_;
      } else {
        return;
      }
    }
  }
  bool AtEnd() {
    SkipBlank();
    return at_ == text_.size();
  }
  char Peek() { return AtEnd() ? '\0' : text_[at_]; }
  std::string Here() {
    if (AtEnd()) return "the end";
    std::size_t end = at_ + 1;
    if (IsNameStart(text_[at_])) end = at_ + NameLength();
    return Quoted(text_.substr(at_, end - at_));
  }
  std::size_t NameLength() const {
    std::size_t end = at_;
    while (end < text_.size() && (IsNameStart(text_[end]) || IsDigit(text_[end]))) ++end;
    return end - at_;
  }
  // Takes the sign when it is there; "<" is not the beginning of "<=".
  bool Take(std::string_view sign) {
    if (AtEnd() || !text_.substr(at_).starts_with(sign)) return false;
    if ((sign == "<" || sign == ">" || sign == "!") && text_.substr(at_ + 1).starts_with("=")) return false;
    at_ += sign.size();
    return true;
  }
  bool TakeWord(std::string_view word) {
    if (AtEnd() || !IsNameStart(text_[at_]) || text_.substr(at_, NameLength()) != word) return false;
    at_ += word.size();
    return true;
  }
  bool Expect(std::string_view sign) {
    if (!ok()) return false;
    if (Take(sign)) return true;
    Wrong(at_, fmt::format("expected '{}', not {}", sign, Here()));
    return false;
  }
  std::string_view Name() {
    if (AtEnd() || !IsNameStart(text_[at_])) {
      Wrong(at_, fmt::format("expected a name, not {}", Here()));
      return {};
    }
    const std::string_view name = text_.substr(at_, NameLength());
    at_ += name.size();
    return name;
  }

  // ---- nodes
  Operand Make(Condition::Node node, std::size_t at) {
    if (!ok()) return {};
    if (program_.nodes_.size() >= Condition::kMostNodes) {
      return Wrong(at, fmt::format("a condition has at most {} parts", Condition::kMostNodes));
    }
    program_.nodes_.push_back(node);
    return {.node = static_cast<std::uint16_t>(program_.nodes_.size() - 1), .type = node.type, .at = at};
  }
  std::uint16_t Keep(Condition::Constant constant, std::size_t at) {
    if (program_.constants_.size() >= Condition::kMostNodes) {
      Wrong(at, fmt::format("a condition has at most {} constants", Condition::kMostNodes));
      return 0;
    }
    program_.constants_.push_back(std::move(constant));
    return static_cast<std::uint16_t>(program_.constants_.size() - 1);
  }
  static std::string_view NameOf(Type type) {
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
  static std::string NameOf(const Operand& operand) {
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
    return std::string(NameOf(operand.type));
  }
  bool WantValue(const Operand& operand) {
    if (!ok()) return false;
    if (operand.kind == Operand::Kind::kValue) return true;
    Wrong(operand.at, fmt::format("{} is no value here", NameOf(operand)));
    return false;
  }
  bool Want(const Operand& operand, Type type, std::string_view what) {
    if (!ok()) return false;
    if (operand.kind == Operand::Kind::kValue && operand.type == type) return true;
    Wrong(operand.at, fmt::format("{} must be {}, not {}", what, NameOf(type), NameOf(operand)));
    return false;
  }
  static bool IsNumber(Type type) { return type == Type::kInt || type == Type::kDouble; }
  static bool Comparable(Type a, Type b) { return a == b || (IsNumber(a) && IsNumber(b)); }

  // ---- grammar
  // While it lives, the text is one level deeper.
  class Level {
   public:
    explicit Level(ConditionParser& parser) : parser_(parser) {
      if (++parser_.depth_ > Condition::kMostDepth) {
        parser_.Wrong(parser_.at_, fmt::format("is nested more than {} deep", Condition::kMostDepth));
      }
    }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    ConditionParser& parser_;
  };

  Operand Choice() {
    const Level level(*this);
    if (!ok()) return {};
    const Operand condition = Either();
    if (!ok() || !Take("?")) return condition;
    Want(condition, Type::kBool, "what stands before '?'");
    const Operand yes = Choice();
    Expect(":");
    const Operand no = ok() ? Choice() : Operand{};
    if (!WantValue(yes) || !WantValue(no)) return {};
    if (yes.type != no.type) {
      return Wrong(no.at, fmt::format("both sides of ':' must be of one type, not {} and {}", NameOf(yes), NameOf(no)));
    }
    return Make({.op = Op::kChoose, .type = yes.type, .a = condition.node, .b = yes.node, .c = no.node}, condition.at);
  }

  Operand Either() {
    return Chain("||", Op::kOr, [this] { return Both(); });
  }
  Operand Both() {
    return Chain("&&", Op::kAnd, [this] { return Relation(); });
  }
  // As deep as it is long, when it is evaluated.
  template <typename Next>
  Operand Chain(std::string_view sign, Op op, Next next) {
    Operand left = next();
    int links = 0;
    while (ok() && Take(sign)) {
      const Operand right = next();
      if (!ok()) return {};
      if (++links > Condition::kMostDepth) {
        return Wrong(right.at,
                     fmt::format("more than {} '{}' in a row; use parentheses or 'in'", Condition::kMostDepth, sign));
      }
      const std::string what = fmt::format("what stands beside '{}'", sign);
      if (!Want(left, Type::kBool, what) || !Want(right, Type::kBool, what)) return {};
      left = Make({.op = op, .type = Type::kBool, .a = left.node, .b = right.node}, left.at);
    }
    return left;
  }

  Operand Relation() {
    Operand left = Unary();
    int links = 0;
    while (ok()) {
      const std::size_t at = (SkipBlank(), at_);
      if (++links > Condition::kMostDepth) return Wrong(at, "too many comparisons in a row");
      if (Take("==")) {
        left = Compare(left, Unary(), Op::kEqual, false, false, at);
      } else if (Take("!=")) {
        left = Compare(left, Unary(), Op::kEqual, true, false, at);
      } else if (Take("<=")) {
        left = Compare(left, Unary(), Op::kLess, true, true, at);
      } else if (Take(">=")) {
        left = Compare(left, Unary(), Op::kLess, true, false, at);
      } else if (Take("<")) {
        left = Compare(left, Unary(), Op::kLess, false, false, at);
      } else if (Take(">")) {
        left = Compare(left, Unary(), Op::kLess, false, true, at);
      } else if (TakeWord("in")) {
        left = In(left, Unary(), at);
      } else {
        return left;
      }
    }
    return {};
  }

  // a <= b is !(b < a). (Numbers that are none do not come in: int() and double() refuse them.)
  Operand Compare(const Operand& left, const Operand& right, Op op, bool negated, bool swapped, std::size_t at) {
    if (!WantValue(left) || !WantValue(right)) return {};
    const bool ordered = op == Op::kLess;
    if (!Comparable(left.type, right.type) || (ordered && left.type == Type::kBool)) {
      return Wrong(
          at, fmt::format("{} and {} cannot be compared{}", NameOf(left), NameOf(right), ordered ? " by order" : ""));
    }
    const Operand result = Make(
        {.op = op, .type = Type::kBool, .a = swapped ? right.node : left.node, .b = swapped ? left.node : right.node},
        left.at);
    return negated ? Make({.op = Op::kNot, .type = Type::kBool, .a = result.node}, left.at) : result;
  }

  Operand In(const Operand& left, const Operand& right, std::size_t at) {
    if (!ok()) return {};
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
      return Wrong(at, fmt::format("a list of {} holds no {}", bare(NameOf(program_.constants_[right.first].type)),
                                   bare(NameOf(left.type))));
    }
    return Make({.op = Op::kInList, .type = Type::kBool, .a = left.node, .first = right.first, .count = right.count},
                left.at);
  }

  Operand Unary() {
    const Level level(*this);
    if (!ok()) return {};
    const std::size_t at = (SkipBlank(), at_);
    if (Take("!")) {
      const Operand operand = Unary();
      if (!Want(operand, Type::kBool, "what stands behind '!'")) return {};
      return Make({.op = Op::kNot, .type = Type::kBool, .a = operand.node}, at);
    }
    if (Peek() == '-' && at_ + 1 < text_.size() && !IsDigit(text_[at_ + 1]) && Take("-")) {
      const Operand operand = Unary();
      if (!WantValue(operand)) return {};
      if (!IsNumber(operand.type)) return Wrong(operand.at, fmt::format("{} has no negative", NameOf(operand)));
      return Make({.op = Op::kNegate, .type = operand.type, .a = operand.node}, at);
    }
    return Member();
  }

  Operand Member() {
    Operand operand = Primary();
    int links = 0;
    while (ok()) {
      const std::size_t at = (SkipBlank(), at_);
      if (++links > Condition::kMostDepth) return Wrong(at, "too many calls in a row");
      if (Take(".")) {
        operand = Dot(operand);
      } else if (Take("[")) {
        operand = Index(operand, at);
      } else {
        return operand;
      }
    }
    return {};
  }

  Operand Dot(const Operand& of) {
    const std::size_t at = (SkipBlank(), at_);
    const std::string_view name = Name();
    if (!ok()) return {};
    switch (of.kind) {
      case Operand::Kind::kRequest:
        return RequestField(name, of.at, at);
      case Operand::Kind::kFacts:
        if (name == "country") return Make({.op = Op::kField, .type = Type::kText, .field = Text::kCountry}, of.at);
        return Wrong(at, fmt::format("there is no fact {}; there is country", Quoted(name)));
      case Operand::Kind::kMap:
        return LookUp(of, std::string(name), at);
      case Operand::Kind::kList:
        return Wrong(at, "a list has no fields");
      case Operand::Kind::kValue:
        break;
    }
    return Method(of, name, at);
  }

  Operand Index(const Operand& of, std::size_t at) {
    if (of.kind != Operand::Kind::kMap) return Wrong(at, fmt::format("{} has no keys", NameOf(of)));
    const std::size_t key_at = (SkipBlank(), at_);
    std::string key;
    if (!TakeText(key)) return Wrong(key_at, "a key is a string constant");
    if (!Expect("]")) return {};
    return LookUp(of, std::move(key), key_at);
  }

  Operand LookUp(const Operand& of, std::string key, std::size_t at) {
    if (key.empty()) return Wrong(at, "an empty key names nothing");
    const std::uint16_t constant = Keep({.type = Type::kText, .text = std::move(key)}, at);
    return Make({.op = Op::kLookUp, .type = Type::kText, .map = of.map, .first = constant}, of.at);
  }

  Operand RequestField(std::string_view name, std::size_t at, std::size_t name_at) {
    if (const auto* field = Find(kFields, name)) {
      return Make({.op = Op::kField, .type = Type::kText, .field = field->second}, at);
    }
    if (name == "cost") return Make({.op = Op::kCost, .type = Type::kInt}, at);
    if (const auto* map = Find(kMaps, name)) return {.kind = Operand::Kind::kMap, .map = map->second, .at = at};
    std::vector<std::string_view> names = {"cost"};
    for (const auto& field : kFields) names.push_back(field.first);
    for (const auto& map : kMaps) names.push_back(map.first);
    const std::string hint = DidYouMean(name, names);
    return Wrong(name_at, fmt::format("a request has no {}{}{}{}", Quoted(name), hint.empty() ? "" : " (", hint,
                                      hint.empty() ? "" : ")"));
  }

  Operand Method(const Operand& of, std::string_view name, std::size_t at) {
    constexpr std::array<std::pair<std::string_view, Op>, 3> kTests = {
        {{"startsWith", Op::kStartsWith}, {"endsWith", Op::kEndsWith}, {"contains", Op::kContains}}};
    const auto* test = Find(kTests, name);
    if (test == nullptr && name != "matches" && name != "lowerAscii" && name != "size") {
      const std::string hint =
          DidYouMean(name, {"startsWith", "endsWith", "contains", "matches", "lowerAscii", "size"});
      return Wrong(at, fmt::format("{} has no {}{}{}{}", NameOf(of), Quoted(name), hint.empty() ? "" : " (", hint,
                                   hint.empty() ? "" : ")"));
    }
    if (!Want(of, Type::kText, fmt::format("what has {}()", name)) || !Expect("(")) return {};
    if (name == "lowerAscii" || name == "size") {
      if (!Expect(")")) return {};
      const bool size = name == "size";
      return Make({.op = size ? Op::kSize : Op::kLower, .type = size ? Type::kInt : Type::kText, .a = of.node}, of.at);
    }
    if (test != nullptr) {
      const Operand argument = Choice();
      if (!Want(argument, Type::kText, "the argument") || !Expect(")")) return {};
      return Make({.op = test->second, .type = Type::kBool, .a = of.node, .b = argument.node}, of.at);
    }
    return Matches(of);
  }

  Operand Matches(const Operand& of) {
    const std::size_t at = (SkipBlank(), at_);
    std::string pattern;
    if (!TakeText(pattern)) return Wrong(at, "matches() needs a string constant");
    if (!Expect(")")) return {};
    if (program_.nodes_[of.node].op == Op::kLower)
      return Wrong(at, "write (?i) in the pattern instead of lowerAscii()");
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    auto regex = std::make_unique<const RE2>(pattern, options);
    if (!regex->ok()) return Wrong(at, "is not a regular expression: " + regex->error());
    program_.patterns_.push_back(std::move(regex));
    return Make({.op = Op::kMatches,
                 .type = Type::kBool,
                 .a = of.node,
                 .first = static_cast<std::uint16_t>(program_.patterns_.size() - 1)},
                of.at);
  }

  Operand Primary() {
    const std::size_t at = (SkipBlank(), at_);
    const char c = Peek();
    if (Take("(")) {
      Operand inner = Choice();
      if (!Expect(")")) return {};
      inner.at = at;
      return inner;
    }
    if (c == '[') return List();
    if (c == '"' || c == '\'' ||
        ((c == 'r' || c == 'R') && at_ + 1 < text_.size() && (text_[at_ + 1] == '"' || text_[at_ + 1] == '\''))) {
      std::string text;
      if (!TakeText(text)) return {};
      const std::uint16_t constant = Keep({.type = Type::kText, .text = std::move(text)}, at);
      return Make({.op = Op::kConstant, .type = Type::kText, .first = constant}, at);
    }
    if (IsDigit(c) || c == '-' || c == '.') {
      Condition::Constant number;
      if (!TakeNumber(number)) return {};
      const Type type = number.type;
      const std::uint16_t constant = Keep(std::move(number), at);
      return Make({.op = Op::kConstant, .type = type, .first = constant}, at);
    }
    if (!IsNameStart(c)) return Wrong(at, fmt::format("expected a value, not {}", Here()));
    return Named(Name(), at);
  }

  Operand Named(std::string_view name, std::size_t at) {
    if (name == "true" || name == "false") {
      const std::uint16_t constant = Keep({.type = Type::kBool, .integer = name == "true" ? 1 : 0}, at);
      return Make({.op = Op::kConstant, .type = Type::kBool, .first = constant}, at);
    }
    if (name == "request") return {.kind = Operand::Kind::kRequest, .at = at};
    if (name == "facts") return {.kind = Operand::Kind::kFacts, .at = at};
    if (const auto* map = Find(kMaps, name)) return {.kind = Operand::Kind::kMap, .map = map->second, .at = at};
    if (name == "has") return Has(at);
    if (name == "size" || name == "int" || name == "double") {
      if (!Expect("(")) return {};
      const Operand argument = Choice();
      if (!WantValue(argument) || !Expect(")")) return {};
      if (name == "size") {
        if (!Want(argument, Type::kText, "the argument")) return {};
        return Make({.op = Op::kSize, .type = Type::kInt, .a = argument.node}, at);
      }
      if (argument.type == Type::kBool) return Wrong(argument.at, "a bool is no number");
      const bool whole = name == "int";
      return Make(
          {.op = whole ? Op::kToInt : Op::kToDouble, .type = whole ? Type::kInt : Type::kDouble, .a = argument.node},
          at);
    }
    const std::string hint = DidYouMean(name, {"request", "headers", "query", "cookies", "claims", "attributes",
                                               "facts", "has", "size", "int", "double", "true", "false"});
    const std::string field = Find(kFields, name) != nullptr ? fmt::format(" (did you mean 'request.{}'?)", name)
                              : hint.empty()                 ? ""
                                                             : " (" + hint + ")";
    return Wrong(at, fmt::format("there is no {}{}", Quoted(name), field));
  }

  // has(headers.x), has(request.user)
  Operand Has(std::size_t at) {
    if (!Expect("(")) return {};
    const Operand argument = Choice();
    if (!WantValue(argument) || !Expect(")")) return {};
    Condition::Node& node = program_.nodes_[argument.node];
    if (node.op == Op::kLookUp) {
      node.op = Op::kHasKey;
      node.type = Type::kBool;
      return {.node = argument.node, .type = Type::kBool, .at = at};
    }
    if (node.op != Op::kField) return Wrong(argument.at, "has() needs a field, such as headers.x or request.user");
    const std::uint16_t empty = Keep({.type = Type::kText}, at);
    const Operand nothing = Make({.op = Op::kConstant, .type = Type::kText, .first = empty}, at);
    return Compare(argument, nothing, Op::kEqual, true, false, at);
  }

  // Constants of one type (numbers may be mixed).
  Operand List() {
    const std::size_t at = at_;
    Take("[");
    Operand list{
        .kind = Operand::Kind::kList, .first = static_cast<std::uint16_t>(program_.constants_.size()), .at = at};
    while (ok() && !Take("]")) {
      if (list.count > 0 && (!Expect(",") || Take("]"))) break;
      const std::size_t item_at = (SkipBlank(), at_);
      Condition::Constant item;
      const char c = Peek();
      if (IsDigit(c) || c == '-' || c == '.') {
        TakeNumber(item);
      } else if (TakeWord("true") || TakeWord("false")) {
        item.integer = text_[item_at] == 't' ? 1 : 0;
      } else {
        item.type = Type::kText;
        if (!TakeText(item.text)) return Wrong(item_at, fmt::format("a list holds constants, not {}", Here()));
      }
      if (!ok()) return {};
      if (list.count > 0 && !Comparable(program_.constants_[list.first].type, item.type)) {
        return Wrong(item_at, "a list holds constants of one type");
      }
      Keep(std::move(item), item_at);
      ++list.count;
    }
    return list;
  }

  bool TakeNumber(Condition::Constant& number) {
    const std::size_t at = at_;
    std::size_t end = at_ + (text_[at_] == '-' ? 1 : 0);
    const bool hex = text_.substr(end).starts_with("0x") || text_.substr(end).starts_with("0X");
    bool real = false;
    while (end < text_.size()) {
      const char c = text_[end];
      const bool sign = (c == '+' || c == '-') && !hex && (text_[end - 1] == 'e' || text_[end - 1] == 'E');
      if (!IsDigit(c) && !IsNameStart(c) && c != '.' && !sign) break;
      real |= !hex && (c == '.' || c == 'e' || c == 'E');
      ++end;
    }
    const std::string_view digits = text_.substr(at, end - at);
    at_ = end;
    const char* const last = digits.data() + digits.size();
    std::from_chars_result read{};
    if (hex) {
      const bool negative = digits[0] == '-';
      std::uint64_t value = 0;
      read = std::from_chars(digits.data() + (negative ? 3 : 2), last, value, 16);
      if (value > INT64_MAX) read.ec = std::errc::result_out_of_range;
      number.type = Type::kInt;
      number.integer = negative ? -static_cast<std::int64_t>(value) : static_cast<std::int64_t>(value);
    } else if (real) {
      number.type = Type::kDouble;
      read = std::from_chars(digits.data(), last, number.real);
      if (!std::isfinite(number.real)) read.ec = std::errc::result_out_of_range;
    } else {
      number.type = Type::kInt;
      read = std::from_chars(digits.data(), last, number.integer);
    }
    if (read.ec == std::errc() && read.ptr == last) return true;
    Wrong(at, fmt::format("{} is not a number that fits", Quoted(digits)));
    return false;
  }

  // A string constant: '...' or "...", with r before it raw. False: there is none, or it is faulty.
  bool TakeText(std::string& out) {
    SkipBlank();
    const std::size_t start = at_;
    std::size_t at = at_;
    const bool raw = at + 1 < text_.size() && (text_[at] == 'r' || text_[at] == 'R') &&
                     (text_[at + 1] == '"' || text_[at + 1] == '\'');
    if (raw) ++at;
    if (at >= text_.size() || (text_[at] != '"' && text_[at] != '\'')) return false;
    const char quote = text_[at++];
    while (at < text_.size() && text_[at] != quote && text_[at] != '\n') {
      if (raw || text_[at] != '\\') {
        out += text_[at++];
      } else if (!TakeEscape(at, out)) {
        return false;
      }
    }
    if (at >= text_.size() || text_[at] != quote) {
      Wrong(start, "this string does not end");
      return false;
    }
    at_ = at + 1;
    return true;
  }

  bool TakeEscape(std::size_t& at, std::string& out) {
    const std::size_t start = at;
    const char kind = at + 1 < text_.size() ? text_[at + 1] : '\0';
    at += 2;
    constexpr std::string_view kNamed = "abfnrtv\\\"'`?";
    constexpr std::string_view kMeant = "\a\b\f\n\r\t\v\\\"'`?";
    if (const std::size_t named = kNamed.find(kind); kind != '\0' && named != std::string_view::npos) {
      out += kMeant[named];
      return true;
    }
    const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 0;
    std::uint32_t code = 0;
    const std::string_view hex = text_.substr(std::min(at, text_.size()), digits);
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    if (digits == 0 || hex.size() != digits || error != std::errc() || end != hex.data() + digits ||
        (code >= 0xd800 && code < 0xe000)) {
      Wrong(start, "there is no such escape");
      return false;
    }
    at += digits;
    AppendUtf8(code, out);
    return true;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::string fault_;
  std::size_t fault_at_ = 0;
  Condition program_;
};

Result<Condition> Condition::Parse(std::string_view text) { return ConditionParser(text).Run(); }

}  // namespace weir::config
