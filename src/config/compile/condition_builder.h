// The program of a condition, node by node: each is typed as it is made, and what does not fit together is a fault.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "config/compile/condition.h"
#include "config/compile/condition_lexer.h"

namespace weir::config {

class ConditionBuilder {
 public:
  using Type = Condition::Type;
  using Op = Condition::Op;
  using Node = Condition::Node;
  using Constant = Condition::Constant;

  // What has been read: a node, or a name that is not a value by itself.
  struct Operand {
    enum class Kind : std::uint8_t { kValue, kRequest, kFacts, kMap, kList } kind = Kind::kValue;
    std::uint16_t node = 0;
    Type type = Type::kBool;
    ConditionInput::Map map{};
    std::uint16_t first = 0, count = 0;  // kList: among the constants
    std::size_t at = 0;                  // where it begins
  };

  // Faults go to the lexer. After one, what is made means nothing.
  explicit ConditionBuilder(ConditionLexer& lexer) : lexer_(lexer) {}

  Operand Wrong(std::size_t at, std::string why) {
    lexer_.Wrong(at, std::move(why));
    return {};
  }
  bool WantValue(const Operand& operand);
  bool Want(const Operand& operand, Type type, std::string_view what);

  Operand Make(Node node, std::size_t at);
  Operand Text(std::string text, std::size_t at);
  Operand Bool(bool value, std::size_t at);
  Operand Number(const ConditionLexer::Number& number, std::size_t at);

  // `name` as a value, a map or the request; what takes arguments is read by the parser.
  Operand Named(std::string_view name, std::size_t at);
  Operand Choose(const Operand& condition, const Operand& yes, const Operand& no);
  // && and ||.
  Operand Both(std::string_view sign, Op op, const Operand& left, const Operand& right);
  Operand Not(const Operand& operand, std::size_t at);
  Operand Negative(const Operand& operand, std::size_t at);
  // ==, !=, <, <=, >, >=, which stands at `at`.
  Operand Compare(const Operand& left, const Operand& right, std::string_view sign, std::size_t at);
  Operand In(const Operand& left, const Operand& right, std::size_t at);
  // A field, a fact or a key of `of`; not a value's, which has methods.
  Operand Field(const Operand& of, std::string_view name, std::size_t at);
  Operand LookUp(const Operand& of, std::string key, std::size_t at);
  Operand Matches(const Operand& of, const std::string& pattern, std::size_t at);
  // size(x), int(x), double(x).
  Operand Convert(std::string_view name, const Operand& argument, std::size_t at);
  // has(headers.x), has(request.user)
  Operand Has(const Operand& argument, std::size_t at);

  Operand BeginList(std::size_t at) const;
  // Constants of one type (numbers may be mixed).
  bool AddToList(Operand& list, Constant constant, std::size_t at);

  static std::string NameOf(const Operand& operand);

  Condition Finish(const Operand& whole, std::string_view text);

 private:
  Operand RequestField(std::string_view name, std::size_t at, std::size_t name_at);
  std::uint16_t Keep(Constant constant, std::size_t at);
  Operand MakeConstant(Constant constant, std::size_t at);

  ConditionLexer& lexer_;
  Condition program_;
};

}  // namespace weir::config
