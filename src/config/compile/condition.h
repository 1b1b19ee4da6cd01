// `when`: whether a rule applies to a request, in a subset of CEL (docs/conditions.md). Parsed, typed and compiled when
// the configuration is loaded; evaluated for each request in which its rule could apply.
//
//   values    bool, int (64 bits), double, string; lists of constants behind `in`
//   reads     request.FIELD (Text and request.cost); the maps headers, query, cookies, claims and attributes, by
//             NAME["key"] or NAME.key, also as request.headers and so on; facts.country
//   operators ?: || && == != < <= > >= in ! - and parentheses
//   calls     TEXT.startsWith(TEXT), endsWith, contains, matches("REGEX"), lowerAscii(); size(TEXT), int(TEXT or
//   double),
//             double(TEXT or int), has(MAP.key), has(request.FIELD)
//
// What is not there reads as the empty text. Everything is typed before it runs, so only int() and double() can fail,
// of what is no number; a failure goes through `&&` and `||` as in CEL (false && failure is false), and a condition
// that fails as a whole holds: what a client sends must not be able to switch its rule off.
//
// Bounds: 4,096 bytes, 256 nodes, 32 levels. Thread-safe; evaluation takes no lock and allocates nothing, but for
// matches(), where RE2 may.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/result.h"

namespace re2 {
class RE2;
}

namespace weir::config {

// What a condition reads. Views must live until Evaluate returns.
class ConditionInput {
 public:
  enum class Text : std::uint8_t { kMethod, kPath, kHost, kUser, kTenant, kTier, kApiKey, kIp, kCountry, kDomain };
  enum class Map : std::uint8_t { kHeaders, kQuery, kCookies, kClaims, kAttributes, kScopes };

  virtual std::string_view Get(Text field) const = 0;  // empty: unknown
  virtual std::optional<std::string_view> Find(Map map, std::string_view key) const = 0;
  virtual std::uint64_t cost() const = 0;

 protected:
  ~ConditionInput() = default;
};

// What is wrong with a text, and at which of its bytes.
struct ConditionFault {
  std::size_t at = 0;
  std::string message = {};
};

class Condition {
 public:
  static constexpr std::size_t kMostBytes = 4096;
  static constexpr std::size_t kMostNodes = 256;
  static constexpr int kMostDepth = 32;

  // kInvalidArgument: "column N: what is wrong there", N counted in bytes from 1. `fault`: the same, taken apart.
  static Result<Condition> Parse(std::string_view text, ConditionFault* fault = nullptr);
  ~Condition();
  Condition(Condition&&) noexcept;
  Condition& operator=(Condition&&) noexcept;

  enum class Answer : std::uint8_t { kFalse, kTrue, kFailed };
  Answer Evaluate(const ConditionInput& input) const;

  const std::string& text() const { return text_; }
  // Whether it reads the map: claims want a key to verify them by.
  bool Reads(ConditionInput::Map map) const;
  bool Reads(ConditionInput::Text field) const;

 private:
  friend class ConditionBuilder;

  enum class Type : std::uint8_t { kBool, kInt, kDouble, kText };
  enum class Op : std::uint8_t {
    kConstant,
    kField,
    kCost,
    kLookUp,  // in `map`, of constants[first] or (operand) child a
    kHasKey,
    kNot,
    kNegate,
    kAnd,
    kOr,
    kChoose,
    kEqual,
    kLess,  // a < b; the other orders by swapping and negating
    kInList,
    kStartsWith,
    kEndsWith,
    kContains,
    kMatches,
    kLower,
    kSize,
    kToInt,
    kToDouble,
  };
  // A text stands for its lower case when `lower`: compared as if it were.
  struct Value {
    Type type = Type::kBool;
    bool lower = false;
    bool failed = false;
    union {
      bool boolean;
      std::int64_t integer = 0;
      double real;
    };
    std::string_view text{};
  };
  // A constant owns its text.
  struct Constant {
    Type type = Type::kBool;
    std::int64_t integer = 0;  // also bool
    double real = 0;
    std::string text{};
  };
  struct Node {
    Op op = Op::kConstant;
    Type type = Type::kBool;
    ConditionInput::Text field{};
    ConditionInput::Map map{};
    std::uint16_t a = 0, b = 0, c = 0;   // children
    std::uint16_t first = 0, count = 0;  // in constants_ (kInList: a list), patterns_
  };

  Condition();
  Value Run(const Node& node, const ConditionInput& input) const;
  Value ValueOf(const Constant& constant) const;

  std::string text_;
  std::vector<Node> nodes_;  // the last one is the whole
  std::vector<Constant> constants_;
  std::vector<std::unique_ptr<const re2::RE2>> patterns_;
};

}  // namespace weir::config
