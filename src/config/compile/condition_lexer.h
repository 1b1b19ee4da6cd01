// The characters of a condition: blanks, signs, names and constants. The first fault is kept, with its place.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::config {

class ConditionLexer {
 public:
  explicit ConditionLexer(std::string_view text) : text_(text) {}

  bool ok() const { return fault_.empty(); }
  const std::string& fault() const { return fault_; }
  std::size_t fault_at() const { return fault_at_; }
  // Kept when it is the first.
  void Wrong(std::size_t at, std::string why);

  std::string_view text() const { return text_; }
  // Where the next sign, name or constant begins.
  std::size_t Next() {
    SkipBlank();
    return at_;
  }
  bool AtEnd() { return Next() == text_.size(); }
  char Peek() { return AtEnd() ? '\0' : text_[at_]; }
  char PeekSecond() { return Next() + 1 < text_.size() ? text_[at_ + 1] : '\0'; }
  // For messages: 'name', 'c' or the end.
  std::string Here();

  // Takes the sign when it is there; "<" is not the beginning of "<=".
  bool Take(std::string_view sign);
  bool TakeWord(std::string_view word);
  // The same; that it is not there is a fault.
  bool Expect(std::string_view sign);
  std::string_view Name();

  struct Number {
    bool is_real = false;
    std::int64_t integer = 0;
    double real = 0;
  };
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }
  static bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
  // Whether a number, a string constant begins here.
  bool AtNumber() { return IsDigit(Peek()) || Peek() == '-' || Peek() == '.'; }
  bool AtText();
  // False after a fault. Only AtNumber().
  bool TakeNumber(Number& number);
  // '...' or "...", with r before it raw. False: there is none, or it is faulty.
  bool TakeText(std::string& out);

 private:
  void SkipBlank();
  std::size_t NameLength() const;
  bool TakeEscape(std::size_t& at, std::string& out);

  const std::string_view text_;
  std::size_t at_ = 0;
  std::string fault_;
  std::size_t fault_at_ = 0;
};

}  // namespace weir::config
