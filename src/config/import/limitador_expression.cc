#include "config/import/limitador_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "config/document/node.h"
#include "config/document/reader.h"

namespace weir::config {
namespace {

constexpr std::size_t kMostDepth = 16;  // of parentheses

struct Token {
  enum class Kind : std::uint8_t { kEnd, kName, kText, kNumber, kSign };
  Kind kind = Kind::kEnd;
  std::string text = {};  // a text's without its quotes
};

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void AppendUtf8(std::uint32_t code, std::string& out) {
  const auto byte = [&](std::uint32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0 | code >> 6);
    byte(0x80 | (code & 63));
  } else if (code < 0x10000) {
    byte(0xE0 | code >> 12);
    byte(0x80 | (code >> 6 & 63));
    byte(0x80 | (code & 63));
  } else {
    byte(0xF0 | code >> 18);
    byte(0x80 | (code >> 12 & 63));
    byte(0x80 | (code >> 6 & 63));
    byte(0x80 | (code & 63));
  }
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Result<Token> Next() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
    if (at_ == text_.size()) return Token{};
    const char c = text_[at_];
    if (c == '\'' || c == '"') return Text(c);
    if (IsNameStart(c)) return While(Token::Kind::kName, [](char d) { return IsNameStart(d) || IsDigit(d); });
    if (IsDigit(c)) return While(Token::Kind::kNumber, IsDigit);
    for (const std::string_view sign : {"==", "!=", "<=", ">=", "&&", "||"}) {
      if (!text_.substr(at_).starts_with(sign)) continue;
      at_ += sign.size();
      return Token{Token::Kind::kSign, std::string(sign)};
    }
    ++at_;
    return Token{Token::Kind::kSign, std::string(1, c)};
  }

 private:
  Token While(Token::Kind kind, auto holds) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && holds(text_[at_])) ++at_;
    return {kind, std::string(text_.substr(begin, at_ - begin))};
  }

  Result<Token> Text(char quote) {
    Token token{Token::Kind::kText, {}};
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] != '\\') {
        token.text += text_[at_];
        continue;
      }
      if (auto escaped = Escape(token.text); !escaped) return std::unexpected(escaped.error());
    }
    if (at_ == text_.size()) return Fail(ErrorCode::kInvalidArgument, "a text has no closing quote");
    ++at_;
    return token;
  }

  // https://github.com/google/cel-spec/blob/master/doc/langdef.md#string-and-bytes-values; leaves at_ on its last
  // character.
  Result<> Escape(std::string& out) {
    constexpr std::string_view kNames = "abfnrtv\\?\"'`";
    constexpr std::string_view kValues = "\a\b\f\n\r\t\v\\?\"'`";
    const char c = ++at_ < text_.size() ? text_[at_] : '\0';
    if (const std::size_t known = kNames.find(c); c != '\0' && known != std::string_view::npos) {
      out += kValues[known];
      return {};
    }
    const std::size_t digits = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    std::uint32_t code = 0;
    std::size_t read = 0;
    while (read < digits && at_ + 1 < text_.size()) {
      const char digit = text_[at_ + 1];
      const char lower = digit >= 'A' && digit <= 'F' ? static_cast<char>(digit - 'A' + 'a') : digit;
      if (!IsDigit(lower) && !(lower >= 'a' && lower <= 'f')) break;
      code = code << 4 | static_cast<std::uint32_t>(IsDigit(lower) ? lower - '0' : lower - 'a' + 10);
      ++at_;
      ++read;
    }
    const bool is_character = code != 0 && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    if (digits == 0 || read < digits || !is_character) {
      return Fail(ErrorCode::kInvalidArgument, "a text has an escape that is not known");
    }
    AppendUtf8(code, out);
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

constexpr std::string_view kSubset =
    "weir's descriptors can say KEY == 'VALUE', KEY != 'VALUE', KEY.startsWith('PREFIX'), 'KEY' in descriptors[0], and "
    "these joined by &&";

class Parser {
 public:
  static Result<Parser> Create(std::string_view text) {
    Parser parser;
    Scanner scanner(text);
    do {
      auto token = scanner.Next();
      if (!token) return std::unexpected(token.error());
      parser.tokens_.push_back(std::move(*token));
    } while (parser.tokens_.back().kind != Token::Kind::kEnd);
    return parser;
  }

  Result<std::vector<EntryTest>> Condition() {
    std::vector<EntryTest> tests;
    if (auto read = Conjunction(tests, 0); !read) return std::unexpected(read.error());
    if (!AtEnd()) return Unexpected();
    return tests;
  }

  Result<std::string> Variable() {
    std::size_t open = 0;
    while (Take("(")) ++open;
    auto key = Reference();
    if (!key) return key;
    if (called_) return Unexpected();
    if (own_) return Fail(ErrorCode::kInvalidArgument, "it is the same for every request, so it counts nothing apart");
    for (; open > 0; --open) {
      if (!Take(")")) return Unexpected();
    }
    if (!AtEnd()) return Unexpected();
    return key;
  }

 private:
  Result<> Conjunction(std::vector<EntryTest>& tests, std::size_t depth) {
    if (depth == kMostDepth) return Fail(ErrorCode::kInvalidArgument, "parentheses are nested too deep");
    do {
      if (Take("(")) {
        if (auto read = Conjunction(tests, depth + 1); !read) return read;
        if (!Take(")")) return Unexpected();
        continue;
      }
      auto test = Test();
      if (!test) return std::unexpected(test.error());
      tests.push_back(std::move(*test));
    } while (Take("&&"));
    return {};
  }

  Result<EntryTest> Test() {
    if (Now().kind == Token::Kind::kText) return TextFirst();
    if (Now().kind == Token::Kind::kName && Now().text == "has" && Peek(1).text == "(") {
      at_ += 2;
      auto key = Reference();
      if (!key) return std::unexpected(key.error());
      if (called_ || !Take(")")) return Unexpected();
      return EntryTest{EntryTest::Kind::kPresent, std::move(*key), {}, std::exchange(own_, false)};
    }
    auto key = Reference();
    if (!key) return std::unexpected(key.error());
    if (called_) {
      called_ = false;
      const bool own = std::exchange(own_, false);
      if (!Take("(") || Now().kind != Token::Kind::kText) return Unexpected();
      std::string prefix = Now().text;
      ++at_;
      if (!Take(")")) return Unexpected();
      return EntryTest{EntryTest::Kind::kStartsWith, std::move(*key), std::move(prefix), own};
    }
    const bool own = std::exchange(own_, false);
    const auto compared = Comparison();
    if (!compared) return Unexpected();
    if (Now().kind != Token::Kind::kText) {
      return Fail(ErrorCode::kInvalidArgument,
                  fmt::format("a value must be a text in quotes, not {}", Quoted(Now().text)));
    }
    std::string value = Now().text;
    ++at_;
    return EntryTest{*compared, std::move(*key), std::move(value), own};
  }

  std::optional<EntryTest::Kind> Comparison() {
    if (Take("==")) return EntryTest::Kind::kEquals;
    if (Take("!=")) return EntryTest::Kind::kDiffers;
    return std::nullopt;
  }

  // 'VALUE' == reference, 'VALUE' != reference, 'KEY' in descriptors[0]
  Result<EntryTest> TextFirst() {
    std::string text = Now().text;
    ++at_;
    if (Now().kind == Token::Kind::kName && Now().text == "in") {
      ++at_;
      if (auto first = FirstDescriptor(); !first) return std::unexpected(first.error());
      return EntryTest{EntryTest::Kind::kPresent, std::move(text), {}, false};
    }
    const auto compared = Comparison();
    if (!compared) return Unexpected();
    auto key = Reference();
    if (!key) return std::unexpected(key.error());
    if (called_) return Unexpected();
    return EntryTest{*compared, std::move(*key), std::move(text), std::exchange(own_, false)};
  }

  // Past "descriptors[0]".
  Result<> FirstDescriptor() {
    if (Now().text != "descriptors" || Now().kind != Token::Kind::kName) return Unexpected();
    ++at_;
    if (!Take("[")) return Unexpected();
    if (Now().kind != Token::Kind::kNumber) return Unexpected();
    if (Now().text != "0") {
      return Fail(
          ErrorCode::kInvalidArgument,
          fmt::format("descriptors[{}] is another descriptor: a limit of weir holds for one; have Envoy send the "
                      "entries of both in one descriptor",
                      Now().text));
    }
    ++at_;
    if (!Take("]")) return Unexpected();
    return {};
  }

  // Sets called_ when ".startsWith" follows; it is then past that.
  Result<std::string> Reference() {
    if (Now().kind != Token::Kind::kName) return Unexpected();
    if (Now().text != "descriptors" || Peek(1).text != "[") return Dotted();
    if (auto first = FirstDescriptor(); !first) return std::unexpected(first.error());
    std::string key;
    if (Take("[")) {
      if (Now().kind != Token::Kind::kText) return Unexpected();
      key = Now().text;
      ++at_;
      if (!Take("]")) return Unexpected();
    } else if (Take(".") && Now().kind == Token::Kind::kName) {
      key = Now().text;
      ++at_;
    } else {
      return Unexpected();
    }
    if (Now().text == "." && Now().kind == Token::Kind::kSign) {
      if (Peek(1).text == "startsWith" && Peek(2).text == "(") {
        at_ += 2;
        called_ = true;
      } else {
        return Unexpected();
      }
    }
    return key;
  }

  // The form of older versions: the key itself, whose dots are part of it.
  Result<std::string> Dotted() {
    std::string key = Now().text;
    ++at_;
    while (Now().kind == Token::Kind::kSign && Now().text == "." && Peek(1).kind == Token::Kind::kName) {
      if (Peek(1).text == "startsWith" && Peek(2).text == "(") {
        at_ += 2;
        called_ = true;
        break;
      }
      key += '.' + Peek(1).text;
      at_ += 2;
    }
    own_ = key == "limit.name" || key == "limit.id";
    return key;
  }

  const Token& Now() const { return tokens_[at_]; }
  const Token& Peek(std::size_t ahead) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  bool AtEnd() const { return Now().kind == Token::Kind::kEnd; }
  bool Take(std::string_view sign) {
    if (Now().kind != Token::Kind::kSign || Now().text != sign) return false;
    ++at_;
    return true;
  }
  std::unexpected<Error> Unexpected() const {
    if (AtEnd()) return Fail(ErrorCode::kInvalidArgument, fmt::format("it ends too early; {}", kSubset));
    if (Now().text == "||" && Now().kind == Token::Kind::kSign) {
      return Fail(ErrorCode::kInvalidArgument,
                  "'||' is two limits that share a count: have Envoy send an entry of one value for all that it joins, "
                  "and ask for that");
    }
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} cannot be said here; {}", Quoted(Now().text), kSubset));
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  bool called_ = false;
  bool own_ = false;  // the last reference was to the limit itself
};

}  // namespace

Result<std::vector<EntryTest>> ParseCondition(std::string_view text) {
  auto parser = Parser::Create(text);
  if (!parser) return std::unexpected(parser.error());
  return parser->Condition();
}

Result<std::string> ParseVariable(std::string_view text) {
  auto parser = Parser::Create(text);
  if (!parser) return std::unexpected(parser.error());
  return parser->Variable();
}

}  // namespace weir::config
