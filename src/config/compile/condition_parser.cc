// The grammar of a condition: a recursive descent over the lexer, that hands what it reads to the builder.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "config/compile/condition.h"
#include "config/compile/condition_builder.h"
#include "config/compile/condition_lexer.h"

namespace weir::config {
namespace {

using Operand = ConditionBuilder::Operand;
using Type = ConditionBuilder::Type;
using Op = ConditionBuilder::Op;

class ConditionParser {
 public:
  explicit ConditionParser(std::string_view text) : lexer_(text), builder_(lexer_) {}

  Result<Condition> Run(ConditionFault* fault) {
    if (lexer_.text().size() > Condition::kMostBytes) {
      const std::string message = fmt::format("is longer than {} bytes", Condition::kMostBytes);
      if (fault != nullptr) *fault = {.at = 0, .message = message};
      return Fail(ErrorCode::kInvalidArgument, message);
    }
    const Operand whole = Choice();
    if (ok() && !lexer_.AtEnd()) {
      lexer_.Wrong(lexer_.Next(), fmt::format("expected an operator or the end, not {}", lexer_.Here()));
    }
    if (ok()) builder_.Want(whole, Type::kBool, "the condition");
    if (ok()) return builder_.Finish(whole, lexer_.text());
    if (fault != nullptr) *fault = {.at = lexer_.fault_at(), .message = lexer_.fault()};
    return Fail(ErrorCode::kInvalidArgument, fmt::format("column {}: {}", lexer_.fault_at() + 1, lexer_.fault()));
  }

 private:
  bool ok() const { return lexer_.ok(); }

  // While it lives, the text is one level deeper.
  class Level {
   public:
    explicit Level(ConditionParser& parser) : parser_(parser) {
      if (++parser_.depth_ > Condition::kMostDepth) {
        parser_.lexer_.Wrong(parser_.lexer_.Next(), fmt::format("is nested more than {} deep", Condition::kMostDepth));
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
    if (!ok() || !lexer_.Take("?")) return condition;
    builder_.Want(condition, Type::kBool, "what stands before '?'");
    const Operand yes = Choice();
    lexer_.Expect(":");
    const Operand no = ok() ? Choice() : Operand{};
    return builder_.Choose(condition, yes, no);
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
    while (ok() && lexer_.Take(sign)) {
      const Operand right = next();
      if (!ok()) return {};
      if (++links > Condition::kMostDepth) {
        return builder_.Wrong(
            right.at, fmt::format("more than {} '{}' in a row; use parentheses or 'in'", Condition::kMostDepth, sign));
      }
      left = builder_.Both(sign, op, left, right);
    }
    return left;
  }

  Operand Relation() {
    // The longer first.
    constexpr std::array<std::string_view, 6> kSigns = {"==", "!=", "<=", ">=", "<", ">"};
    Operand left = Unary();
    int links = 0;
    while (ok()) {
      const std::size_t at = lexer_.Next();
      if (++links > Condition::kMostDepth) return builder_.Wrong(at, "too many comparisons in a row");
      std::string_view sign;
      for (const std::string_view one : kSigns) {
        if (sign.empty() && lexer_.Take(one)) sign = one;
      }
      if (!sign.empty()) {
        left = builder_.Compare(left, Unary(), sign, at);
      } else if (lexer_.TakeWord("in")) {
        left = builder_.In(left, Unary(), at);
      } else {
        return left;
      }
    }
    return {};
  }

  Operand Unary() {
    const Level level(*this);
    if (!ok()) return {};
    const std::size_t at = lexer_.Next();
    if (lexer_.Take("!")) return builder_.Not(Unary(), at);
    // Before a digit it is a part of the number.
    const char second = lexer_.PeekSecond();
    if (lexer_.Peek() == '-' && second != '\0' && !ConditionLexer::IsDigit(second) && lexer_.Take("-")) {
      return builder_.Negative(Unary(), at);
    }
    return Member();
  }

  Operand Member() {
    Operand operand = Primary();
    int links = 0;
    while (ok()) {
      const std::size_t at = lexer_.Next();
      if (++links > Condition::kMostDepth) return builder_.Wrong(at, "too many calls in a row");
      if (lexer_.Take(".")) {
        operand = Dot(operand);
      } else if (lexer_.Take("[")) {
        operand = Index(operand, at);
      } else {
        return operand;
      }
    }
    return {};
  }

  Operand Dot(const Operand& of) {
    const std::size_t at = lexer_.Next();
    const std::string_view name = lexer_.Name();
    if (!ok()) return {};
    constexpr std::array<std::pair<std::string_view, Op>, 3> kTests = {
        {{"startsWith", Op::kStartsWith}, {"endsWith", Op::kEndsWith}, {"contains", Op::kContains}}};
    const bool of_none = name == "lowerAscii" || name == "size";
    const auto* test = std::ranges::find(kTests, name, &std::pair<std::string_view, Op>::first);
    const bool method = of_none || name == "matches" || test != kTests.end();
    if (of.kind != Operand::Kind::kValue || !method) return builder_.Field(of, name, at);
    if (!builder_.Want(of, Type::kText, fmt::format("what has {}()", name)) || !lexer_.Expect("(")) return {};
    if (of_none) {
      if (!lexer_.Expect(")")) return {};
      const bool size = name == "size";
      return builder_.Make({.op = size ? Op::kSize : Op::kLower, .type = size ? Type::kInt : Type::kText, .a = of.node},
                           of.at);
    }
    if (name == "matches") return Matches(of);
    const Operand argument = Choice();
    if (!builder_.Want(argument, Type::kText, "the argument") || !lexer_.Expect(")")) return {};
    return builder_.Make({.op = test->second, .type = Type::kBool, .a = of.node, .b = argument.node}, of.at);
  }

  Operand Index(const Operand& of, std::size_t at) {
    if (of.kind != Operand::Kind::kMap) {
      return builder_.Wrong(at, fmt::format("{} has no keys", ConditionBuilder::NameOf(of)));
    }
    const std::size_t key_at = lexer_.Next();
    std::string key;
    if (!lexer_.TakeText(key)) return builder_.Wrong(key_at, "a key is a string constant");
    if (!lexer_.Expect("]")) return {};
    return builder_.LookUp(of, std::move(key), key_at);
  }

  Operand Matches(const Operand& of) {
    const std::size_t at = lexer_.Next();
    std::string pattern;
    if (!lexer_.TakeText(pattern)) return builder_.Wrong(at, "matches() needs a string constant");
    if (!lexer_.Expect(")")) return {};
    return builder_.Matches(of, pattern, at);
  }

  Operand Primary() {
    const std::size_t at = lexer_.Next();
    if (lexer_.Take("(")) {
      Operand inner = Choice();
      if (!lexer_.Expect(")")) return {};
      inner.at = at;
      return inner;
    }
    if (lexer_.Peek() == '[') return List();
    if (lexer_.AtText()) {
      std::string text;
      if (!lexer_.TakeText(text)) return {};
      return builder_.Text(std::move(text), at);
    }
    if (lexer_.AtNumber()) {
      ConditionLexer::Number number;
      if (!lexer_.TakeNumber(number)) return {};
      return builder_.Number(number, at);
    }
    if (!ConditionLexer::IsNameStart(lexer_.Peek())) {
      return builder_.Wrong(at, fmt::format("expected a value, not {}", lexer_.Here()));
    }
    return Named(lexer_.Name(), at);
  }

  Operand Named(std::string_view name, std::size_t at) {
    const bool has = name == "has";
    if (!has && name != "size" && name != "int" && name != "double") return builder_.Named(name, at);
    if (!lexer_.Expect("(")) return {};
    const Operand argument = Choice();
    if (!builder_.WantValue(argument) || !lexer_.Expect(")")) return {};
    return has ? builder_.Has(argument, at) : builder_.Convert(name, argument, at);
  }

  Operand List() {
    Operand list = builder_.BeginList(lexer_.Next());
    lexer_.Take("[");
    while (ok() && !lexer_.Take("]")) {
      if (list.count > 0 && (!lexer_.Expect(",") || lexer_.Take("]"))) break;
      const std::size_t item_at = lexer_.Next();
      ConditionBuilder::Constant item;
      if (lexer_.AtNumber()) {
        ConditionLexer::Number number;
        lexer_.TakeNumber(number);
        item = {.type = number.is_real ? Type::kDouble : Type::kInt, .integer = number.integer, .real = number.real};
      } else if (lexer_.TakeWord("true")) {
        item.integer = 1;
      } else if (!lexer_.TakeWord("false")) {
        item.type = Type::kText;
        if (!lexer_.TakeText(item.text)) {
          return builder_.Wrong(item_at, fmt::format("a list holds constants, not {}", lexer_.Here()));
        }
      }
      if (!ok() || !builder_.AddToList(list, std::move(item), item_at)) return {};
    }
    return list;
  }

  ConditionLexer lexer_;
  ConditionBuilder builder_;
  int depth_ = 0;
};

}  // namespace

Result<Condition> Condition::Parse(std::string_view text, ConditionFault* fault) {
  return ConditionParser(text).Run(fault);
}

}  // namespace weir::config
