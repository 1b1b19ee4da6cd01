#include "config/compile/condition_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "config/document/reader.h"

namespace weir::config {
namespace {

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

void ConditionLexer::Wrong(std::size_t at, std::string why) {
  if (!ok()) return;
  fault_ = std::move(why);
  fault_at_ = at;
}

void ConditionLexer::SkipBlank() {
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

std::string ConditionLexer::Here() {
  if (AtEnd()) return "the end";
  std::size_t end = at_ + 1;
  if (IsNameStart(text_[at_])) end = at_ + NameLength();
  return Quoted(text_.substr(at_, end - at_));
}

std::size_t ConditionLexer::NameLength() const {
  std::size_t end = at_;
  while (end < text_.size() && (IsNameStart(text_[end]) || IsDigit(text_[end]))) ++end;
  return end - at_;
}

bool ConditionLexer::Take(std::string_view sign) {
  if (AtEnd() || !text_.substr(at_).starts_with(sign)) return false;
  if ((sign == "<" || sign == ">" || sign == "!") && text_.substr(at_ + 1).starts_with("=")) return false;
  at_ += sign.size();
  return true;
}

bool ConditionLexer::TakeWord(std::string_view word) {
  if (AtEnd() || !IsNameStart(text_[at_]) || text_.substr(at_, NameLength()) != word) return false;
  at_ += word.size();
  return true;
}

bool ConditionLexer::Expect(std::string_view sign) {
  if (!ok()) return false;
  if (Take(sign)) return true;
  Wrong(Next(), fmt::format("expected '{}', not {}", sign, Here()));
  return false;
}

std::string_view ConditionLexer::Name() {
  if (AtEnd() || !IsNameStart(text_[at_])) {
    Wrong(at_, fmt::format("expected a name, not {}", Here()));
    return {};
  }
  const std::string_view name = text_.substr(at_, NameLength());
  at_ += name.size();
  return name;
}

bool ConditionLexer::TakeNumber(Number& number) {
  const std::size_t at = Next();
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
  number.is_real = real;
  const char* const last = digits.data() + digits.size();
  std::from_chars_result read{};
  if (hex) {
    const bool negative = digits[0] == '-';
    std::uint64_t value = 0;
    read = std::from_chars(digits.data() + (negative ? 3 : 2), last, value, 16);
    if (value > INT64_MAX) read.ec = std::errc::result_out_of_range;
    number.integer = negative ? -static_cast<std::int64_t>(value) : static_cast<std::int64_t>(value);
  } else if (real) {
    read = std::from_chars(digits.data(), last, number.real);
    if (!std::isfinite(number.real)) read.ec = std::errc::result_out_of_range;
  } else {
    read = std::from_chars(digits.data(), last, number.integer);
  }
  if (read.ec == std::errc() && read.ptr == last) return true;
  Wrong(at, fmt::format("{} is not a number that fits", Quoted(digits)));
  return false;
}

bool ConditionLexer::AtText() {
  const char first = Peek(), second = PeekSecond();
  return first == '"' || first == '\'' || ((first == 'r' || first == 'R') && (second == '"' || second == '\''));
}

bool ConditionLexer::TakeText(std::string& out) {
  if (!AtText()) return false;
  const std::size_t start = at_;
  std::size_t at = at_;
  const bool raw = text_[at] == 'r' || text_[at] == 'R';
  if (raw) ++at;
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

bool ConditionLexer::TakeEscape(std::size_t& at, std::string& out) {
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

}  // namespace weir::config
