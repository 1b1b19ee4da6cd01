#include "config/compile/condition.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace weir::config {
namespace {

using Text = ConditionInput::Text;
using Map = ConditionInput::Map;
using Answer = Condition::Answer;

class Input final : public ConditionInput {
 public:
  std::string_view Get(Text field) const override {
    const auto found = fields.find(field);
    return found == fields.end() ? std::string_view() : std::string_view(found->second);
  }
  std::optional<std::string_view> Find(Map map, std::string_view key) const override {
    const auto found = maps.find({map, std::string(key)});
    if (found == maps.end()) return std::nullopt;
    return found->second;
  }
  std::uint64_t cost() const override { return price; }

  std::map<Text, std::string> fields;
  std::map<std::pair<Map, std::string>, std::string> maps;
  std::uint64_t price = 1;
};

Input Example() {
  Input input;
  input.fields = {{Text::kMethod, "POST"},  {Text::kPath, "/v1/Items"}, {Text::kUser, "alice"},
                  {Text::kTenant, "acme"},  {Text::kCountry, "DE"},     {Text::kHost, "api.example"},
                  {Text::kIp, "192.0.2.1"}, {Text::kTier, "pro"}};
  input.maps = {{{Map::kHeaders, "x-plan"}, "Gold"},  {{Map::kClaims, "sub"}, "u-17"},
                {{Map::kAttributes, "size"}, "2048"}, {{Map::kAttributes, "ratio"}, "0.5"},
                {{Map::kAttributes, "word"}, "many"}, {{Map::kQuery, "q"}, "caf\xc3\xa9"},
                {{Map::kCookies, "session"}, "abc"},  {{Map::kHeaders, "empty"}, ""}};
  input.price = 40;
  return input;
}

std::string Ask(std::string_view text, const Input& input = Example()) {
  const auto condition = Condition::Parse(text);
  if (!condition) return condition.error().message;
  switch (condition->Evaluate(input)) {
    case Answer::kTrue:
      return "true";
    case Answer::kFalse:
      return "false";
    case Answer::kFailed:
      break;
  }
  return "failed";
}

TEST(Condition, WhatItSays) {
  const std::vector<std::pair<std::string_view, std::string_view>> cases = {
      {"true", "true"},
      {"!true", "false"},
      {"request.method == 'POST'", "true"},
      {"request.method != \"POST\"", "false"},
      {"request.country == 'DE' && request.user == 'bob'", "false"},
      {"request.country == 'DE' || request.user == 'bob'", "true"},
      {"facts.country in ['AT', 'DE', 'CH']", "true"},
      {"request.country in []", "false"},
      {"request.cost > 39 && request.cost >= 40 && request.cost < 41 && request.cost <= 40", "true"},
      {"request.cost in [1, 40.0]", "true"},
      {"request.cost == 0x28", "true"},
      {"-request.cost < -39", "true"},
      {"headers['x-plan'] == 'Gold' && headers[\"x-plan\"].lowerAscii() == 'gold'", "true"},
      {"request.headers['x-plan'].startsWith('Go')", "true"},
      {"request.path.lowerAscii().startsWith('/v1/items')", "true"},
      {"request.path.lowerAscii().contains('ITEM'.lowerAscii())", "true"},
      {"request.path.endsWith('Items') && !request.path.endsWith('items')", "true"},
      {"request.path.matches('^/v[0-9]+/')", "true"},
      {"request.path.matches(r'\\d/i')", "false"},
      {"claims.sub == 'u-17'", "true"},
      {"attributes.size == '2048' && int(attributes.size) > 2000 && double(attributes.ratio) < 0.75", "true"},
      {"int(1.9) == 1 && double(2) == 2 && int(-1.5) == -1", "true"},
      {"size(query.q) == 4 && query.q.size() == 4", "true"},
      {"query.q == 'caf\\u00e9'", "true"},
      {"'x-plan' in headers && !('x-other' in headers)", "true"},
      {"has(headers.empty) && headers.empty == ''", "true"},
      {"has(headers.missing) || headers.missing != ''", "false"},
      {"has(request.user) && !has(request.api_key)", "true"},
      {"request.user < 'bob' && 'b' > 'a' && 'a' < 'aa'", "true"},
      {"request.cost > 100 ? false : request.tier == 'pro'", "true"},
      {"(request.cost > 100 ? 'a' : 'b') == 'b'", "true"},
      {"true == (1 < 2)", "true"},
      {"1 < 2 == true", "true"},
      {"cookies.session != '' // a comment\n && request.host == 'api.example'", "true"},
      {"true || false && false", "true"},
      {"request.ip == '192.0.2.1'", "true"},
      // what is no number fails, unless it does not matter
      {"int(attributes.word) > 1", "failed"},
      {"int(attributes.missing) > 1", "failed"},
      {"double('inf') > 1.0", "failed"},
      {"int(1e300) > 1", "failed"},
      {"-int('-9223372036854775808') > 1", "failed"},
      {"int(attributes.word) > 1 || true", "true"},
      {"true || int(attributes.word) > 1", "true"},
      {"int(attributes.word) > 1 && false", "false"},
      {"int(attributes.word) > 1 && true", "failed"},
      {"!(int(attributes.word) > 1)", "failed"},
      {"int(attributes.word) > 1 ? true : true", "failed"},
      {"int(attributes.word) in [1]", "failed"},
  };
  for (const auto& [text, answer] : cases) EXPECT_EQ(Ask(text), answer) << text;
}

TEST(Condition, FaultsSayWhereAndWhat) {
  const std::vector<std::pair<std::string, std::string_view>> cases = {
      {"", "column 1: expected a value, not the end"},
      {"  ", "column 3: expected a value, not the end"},
      {"request.user", "column 1: the condition must be a bool, not a string"},
      {"1", "column 1: the condition must be a bool, not an int"},
      {"request", "column 1: the condition must be a bool, not the whole request"},
      {"request.usr == 'x'", "column 9: a request has no 'usr' (did you mean 'user'?)"},
      {"method == 'GET'", "column 1: there is no 'method' (did you mean 'request.method'?)"},
      {"header.x == ''", "column 1: there is no 'header' (did you mean 'headers'?)"},
      {"facts.bot", "column 7: there is no fact 'bot'; there is country"},
      {"request.user == 1", "column 14: a string and an int cannot be compared"},
      {"true < false", "column 6: a bool and a bool cannot be compared by order"},
      {"request.user && true", "column 1: what stands beside '&&' must be a bool, not a string"},
      {"true && ", "column 9: expected a value, not the end"},
      {"(true", "column 6: expected ')', not the end"},
      {"true)", "column 5: expected an operator or the end, not ')'"},
      {"true true", "column 6: expected an operator or the end, not 'true'"},
      {"request.user = 'x'", "column 14: expected an operator or the end, not '='"},
      {"'abc", "column 1: this string does not end"},
      {"'a\\q'", "column 3: there is no such escape"},
      {"'\\ud800' == ''", "column 2: there is no such escape"},
      {"request.path.matches('(')", "column 22: is not a regular expression: missing ): ("},
      {"request.path.matches(request.user)", "column 22: matches() needs a string constant"},
      {"request.path.startWith('x')", "column 14: a string has no 'startWith' (did you mean 'startsWith'?)"},
      {"request.user in 'abc'", "column 17: 'in' needs a list or a map, not a string"},
      {"request.user in [1]", "column 14: a list of int holds no string"},
      {"request.user in ['a', 1]", "column 23: a list holds constants of one type"},
      {"request.user in headers", "column 1: what is looked for in a map must be a string constant"},
      {"headers[1] == ''", "column 9: a key is a string constant"},
      {"headers == ''", "column 1: a whole map is no value here"},
      {"has(1 == 1)", "column 5: has() needs a field, such as headers.x or request.user"},
      {"99999999999999999999 > 1", "column 1: '99999999999999999999' is not a number that fits"},
      {"1x > 1", "column 1: '1x' is not a number that fits"},
      {"int(true) > 0", "column 5: a bool is no number"},
      {"request.cost > 1 ? 1 : 'a'", "column 24: both sides of ':' must be of one type, not an int and a string"},
      {"-request.user == ''", "column 2: a string has no negative"},
      {"request.user.lowerAscii().matches('a')", "column 35: write (?i) in the pattern instead of lowerAscii()"},
  };
  for (const auto& [text, fault] : cases) EXPECT_EQ(Ask(text), fault) << text;
}

TEST(Condition, IsBounded) {
  const auto repeat = [](std::string_view piece, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += piece;
    return text;
  };
  EXPECT_EQ(Ask(repeat(" ", 4093) + "true"), "is longer than 4096 bytes");
  EXPECT_NE(Ask(repeat("(", 2000)).find("nested more than 32 deep"), std::string::npos);
  EXPECT_NE(Ask(repeat("!", 2000) + "true").find("nested more than 32 deep"), std::string::npos);
  EXPECT_NE(Ask(repeat("true ? ", 500) + "true").find("nested"), std::string::npos);
  EXPECT_NE(Ask("true" + repeat(" || true", 300)).find("in a row"), std::string::npos);
  EXPECT_NE(Ask("'a'" + repeat(".lowerAscii()", 100) + " == ''").find("in a row"), std::string::npos);
  EXPECT_NE(Ask("1 in [1" + repeat(",1", 400) + "]").find("at most 256 constants"), std::string::npos);
  const std::string wide = "(true" + repeat("&&true", 30) + ")";
  EXPECT_NE(Ask(wide + repeat("||" + wide, 20)).find("at most 256 parts"), std::string::npos);
  EXPECT_EQ(Ask(repeat("(", 15) + "true" + repeat(")", 15)), "true");
}

// ---- against a naive evaluator: a random tree of closures, and the text that says the same ----

struct Failure {};                                       // thrown by the naive evaluator
using Naive = std::function<std::string(const Input&)>;  // "true", "17", "text"; bools and ints as text
struct Piece {
  std::string text;
  Naive value;
};

class Writer {
 public:
  explicit Writer(unsigned seed) : random_(seed) {}
  int Below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }

  Piece Bool(int depth) {
    if (depth == 0) {
      const bool is = Below(2) == 0;
      return {is ? "true" : "false", [is](const Input&) { return std::string(is ? "true" : "false"); }};
    }
    switch (Below(7)) {
      case 0: {
        Piece a = Bool(depth - 1);
        return {"!(" + a.text + ")",
                [a](const Input& in) { return std::string(a.value(in) == "true" ? "false" : "true"); }};
      }
      case 1:
      case 2: {
        const bool either = Below(2) == 0;
        Piece a = Bool(depth - 1), b = Bool(depth - 1);
        return {"(" + a.text + (either ? " || " : " && ") + b.text + ")", [a, b, either](const Input& in) {
                  const std::string decides = either ? "true" : "false";
                  bool failed = false;
                  for (const Piece& one : {a, b}) {
                    try {
                      if (one.value(in) == decides) return decides;
                    } catch (const Failure&) {
                      failed = true;
                    }
                  }
                  if (failed) throw Failure();
                  return std::string(either ? "false" : "true");
                }};
      }
      case 3: {
        Piece a = Int(depth - 1), b = Int(depth - 1);
        static const std::vector<std::string> kSigns = {"<", "<=", ">", ">=", "==", "!="};
        const auto sign = static_cast<std::size_t>(Below(6));
        return {"(" + a.text + " " + kSigns[sign] + " " + b.text + ")", [a, b, sign](const Input& in) {
                  const long long x = std::stoll(a.value(in)), y = std::stoll(b.value(in));
                  const bool holds[] = {x<y, x <= y, x> y, x >= y, x == y, x != y};
                  return std::string(holds[sign] ? "true" : "false");
                }};
      }
      case 4: {
        Piece a = String(depth - 1), b = String(depth - 1);
        const int kind = Below(4);
        static const std::vector<std::string> kNames = {"startsWith", "endsWith", "contains", "=="};
        const std::string text = kind == 3 ? "(" + a.text + " == " + b.text + ")"
                                           : a.text + "." + kNames[static_cast<std::size_t>(kind)] + "(" + b.text + ")";
        return {text, [a, b, kind](const Input& in) {
                  const std::string x = a.value(in), y = b.value(in);
                  const bool holds[] = {x.starts_with(y), x.ends_with(y), x.find(y) != std::string::npos, x == y};
                  return std::string(holds[kind] ? "true" : "false");
                }};
      }
      case 5: {
        Piece a = String(depth - 1);
        const bool none = Below(5) == 0;
        return {"(" + a.text + (none ? " in [])" : " in ['a', 'alice', ''])"), [a, none](const Input& in) {
                  const std::string x = a.value(in);
                  return std::string(!none && (x == "a" || x == "alice" || x.empty()) ? "true" : "false");
                }};
      }
      default: {
        Piece a = Bool(depth - 1), b = Bool(depth - 1), c = Bool(depth - 1);
        return {"(" + a.text + " ? " + b.text + " : " + c.text + ")",
                [a, b, c](const Input& in) { return a.value(in) == "true" ? b.value(in) : c.value(in); }};
      }
    }
  }

  Piece Int(int depth) {
    if (depth == 0 || Below(3) == 0) {
      const int number = Below(100) - 50;
      const std::string text = std::to_string(number);
      return {text, [text](const Input&) { return text; }};
    }
    if (Below(3) == 0) return {"request.cost", [](const Input& in) { return std::to_string(in.cost()); }};
    Piece a = String(depth - 1);
    if (Below(2) == 0) {
      return {"size(" + a.text + ")", [a](const Input& in) { return std::to_string(a.value(in).size()); }};
    }
    return {"int(" + a.text + ")", [a](const Input& in) -> std::string {
              const std::string text = a.value(in);
              const bool number = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
              if (!number) throw Failure();
              return text;
            }};
  }

  Piece String(int depth) {
    if (depth > 0 && Below(4) == 0) {
      Piece a = String(depth - 1);
      return {a.text + ".lowerAscii()", [a](const Input& in) {
                std::string text = a.value(in);
                for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
                return text;
              }};
    }
    switch (Below(4)) {
      case 0:
        return {"request.user", [](const Input& in) { return std::string(in.Get(Text::kUser)); }};
      case 1:
        return {"headers['k']", [](const Input& in) { return std::string(in.Find(Map::kHeaders, "k").value_or("")); }};
      default: {
        static const std::vector<std::string> kTexts = {"a", "A", "alice", "", "17", "li", "Al"};
        const std::string text = kTexts[static_cast<std::size_t>(Below(7))];
        return {"'" + text + "'", [text](const Input&) { return text; }};
      }
    }
  }

 private:
  std::mt19937 random_;
};

TEST(Condition, AgreesWithANaiveEvaluator) {
  std::map<std::string, int> answers;
  for (unsigned seed = 0; seed < 5'000; ++seed) {
    Writer writer(seed);
    const Piece whole = writer.Bool(1 + writer.Below(5));
    Input input;
    static const std::vector<std::string> kTexts = {"", "alice", "ALICE", "17", "a", "x"};
    input.fields[Text::kUser] = kTexts[static_cast<std::size_t>(writer.Below(6))];
    if (writer.Below(2) == 0) input.maps[{Map::kHeaders, "k"}] = kTexts[static_cast<std::size_t>(writer.Below(6))];
    input.price = static_cast<std::uint64_t>(writer.Below(60));
    std::string expected;
    try {
      expected = whole.value(input);
    } catch (const Failure&) {
      expected = "failed";
    }
    const std::string answer = Ask(whole.text, input);
    if (answer.find("at most") != std::string::npos || answer.find("longer than") != std::string::npos) continue;
    ASSERT_EQ(answer, expected) << whole.text << "\nuser '" << input.fields[Text::kUser] << "'";
    ++answers[answer];
  }
  EXPECT_GT(answers["true"], 500);
  EXPECT_GT(answers["false"], 500);
  EXPECT_GT(answers["failed"], 100);
}

TEST(Condition, SaysWhatItReads) {
  EXPECT_TRUE(Condition::Parse("claims.sub == 'a'")->Reads(Map::kClaims));
  EXPECT_TRUE(Condition::Parse("'sub' in claims")->Reads(Map::kClaims));
  EXPECT_FALSE(Condition::Parse("headers.sub == 'a'")->Reads(Map::kClaims));
}

}  // namespace
}  // namespace weir::config
