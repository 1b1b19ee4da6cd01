#include "config/document/scalar_place.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace weir::config {
namespace {

constexpr std::size_t kNowhere = std::string_view::npos;

// The byte at a line and column; kNowhere when the document has no such place.
std::size_t ByteAt(std::string_view source, std::uint32_t line, std::uint32_t column) {
  std::size_t begin = 0;
  for (std::uint32_t one = 1; one < line; ++one) {
    begin = source.find('\n', begin);
    if (begin == kNowhere) return kNowhere;
    ++begin;
  }
  const std::size_t at = begin + column - 1;
  return at < source.size() ? at : kNowhere;
}

TextPlace PlaceOfByte(std::string_view source, std::size_t at) {
  const std::string_view before = source.substr(0, at);
  const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 = 0
  return {.line = static_cast<std::uint32_t>(std::ranges::count(before, '\n') + 1),
          .column = static_cast<std::uint32_t>(at - line_begin + 1)};
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::size_t Utf8Length(std::uint32_t code) { return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4; }

// Walks over what is written, as long as it says less than `offset` bytes.
class Walk {
 public:
  Walk(std::string_view source, std::size_t at, std::size_t offset) : source_(source), at_(at), left_(offset) {}

  std::size_t Quoted() {
    const char quote = source_[at_++];
    while (!AtEnd() && left_ > 0) {
      const char c = source_[at_];
      if (c == quote && (quote == '"' || Second() != quote)) break;
      if (c == quote) {
        Said(2, 1);
      } else if (c == '\\' && quote == '"') {
        Escape();
      } else {
        Character();
      }
    }
    return at_;
  }

  std::size_t Plain() {
    while (!AtEnd() && left_ > 0) Character();
    return at_;
  }

  // `parent`: the indentation of what the block belongs to.
  std::size_t Block(std::size_t parent) {
    const bool folded = source_[at_] == '>';
    const std::size_t header_end = std::min(source_.find('\n', at_), source_.size());
    const std::string_view header = source_.substr(at_, header_end - at_);
    at_ = std::min(header_end + 1, source_.size());
    std::size_t indentation = FirstIndentation();
    if (const std::size_t digit = header.substr(0, 3).find_first_of("123456789"); digit != kNowhere) {
      indentation = parent + static_cast<std::size_t>(header[digit] - '0');
    }
    bool text_above = false;  // a line that folds with the next
    SkipIndentation(indentation);
    while (!AtEnd() && left_ > 0) {
      if (source_[at_] != '\n') {
        text_above = text_above || !IsBlank(source_[at_]);
        Said(1, source_[at_] == '\r' ? 0 : 1);
        continue;
      }
      std::size_t breaks = 0;
      while (!AtEnd() && source_[at_] == '\n') {
        ++breaks;
        ++at_;
        SkipIndentation(indentation);
      }
      const bool folds = folded && text_above && !AtEnd() && !IsBlank(source_[at_]);
      Spend(folds && breaks > 1 ? breaks - 1 : breaks);
      text_above = false;
    }
    return at_;
  }

 private:
  bool AtEnd() const { return at_ >= source_.size(); }
  char Second() const { return at_ + 1 < source_.size() ? source_[at_ + 1] : '\0'; }
  void Spend(std::size_t said) { left_ -= std::min(left_, said); }
  void Said(std::size_t written, std::size_t said) {
    at_ = std::min(at_ + written, source_.size());
    Spend(said);
  }

  std::uint32_t Hex(std::size_t from, std::size_t digits) const {
    const std::string_view text = source_.substr(std::min(from, source_.size()), digits);
    std::uint32_t code = 0;
    std::from_chars(text.data(), text.data() + text.size(), code, 16);
    return code;
  }

  void Escape() {
    const char kind = Second();
    if (kind == '\n') {
      // Goes on in the next line as if there were none.
      at_ += 2;
      while (!AtEnd() && IsBlank(source_[at_])) ++at_;
      return;
    }
    const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits == 0) return Said(2, kind == 'N' || kind == '_' ? 2 : kind == 'L' || kind == 'P' ? 3 : 1);
    const std::uint32_t code = Hex(at_ + 2, digits);
    // JSON writes what is beyond 16 bits as two of them.
    const bool pair = digits == 4 && code >= 0xd800 && code < 0xdc00 && source_.substr(at_ + 6).starts_with("\\u");
    return pair ? Said(12, 4) : Said(2 + digits, Utf8Length(code));
  }

  // Of a scalar that is no block: line breaks and the blanks around them are one blank, or as many breaks as there are
  // empty lines.
  void Character() {
    std::size_t end = at_;
    while (end < source_.size() && IsBlank(source_[end])) ++end;
    if (end >= source_.size() || source_[end] != '\n') return Said(1, 1);
    std::size_t breaks = 0;
    while (end < source_.size() && (IsBlank(source_[end]) || source_[end] == '\n')) {
      breaks += source_[end] == '\n' ? 1U : 0U;
      ++end;
    }
    Said(end - at_, breaks > 1 ? breaks - 1 : 1);
  }

  // Of the first line that is not empty.
  std::size_t FirstIndentation() const {
    std::size_t begin = at_;
    while (begin < source_.size()) {
      const std::size_t text = std::min(source_.find_first_not_of(' ', begin), source_.size());
      if (text < source_.size() && source_[text] != '\n' && source_[text] != '\r') return text - begin;
      begin = std::min(source_.find('\n', text), source_.size() - 1) + 1;
    }
    return 0;
  }
  void SkipIndentation(std::size_t most) {
    for (std::size_t i = 0; i < most && !AtEnd() && source_[at_] == ' '; ++i) ++at_;
  }

  const std::string_view source_;
  std::size_t at_;
  std::size_t left_;
};

}  // namespace

std::optional<TextPlace> PlaceInScalar(std::string_view source, const Node& scalar, std::size_t offset) {
  if (!scalar.IsScalar() || scalar.line == 0 || scalar.column == 0) return std::nullopt;
  std::size_t at = ByteAt(source, scalar.line, scalar.column);
  if (at == kNowhere) return std::nullopt;
  // An anchor or a tag may stand before it.
  while (source[at] == '&' || source[at] == '!') {
    at = std::min(source.find_first_of(" \t\n", at), source.size());
    at = std::min(source.find_first_not_of(" \t\r\n", at), source.size());
    if (at >= source.size()) return std::nullopt;
  }
  Walk walk(source, at, offset);
  const char first = source[at];
  const std::size_t found = first == '"' || first == '\'' ? walk.Quoted()
                            : first == '|' || first == '>'
                                ? walk.Block(scalar.key_column > 0 ? scalar.key_column - 1 : 0)
                                : walk.Plain();
  return PlaceOfByte(source, found);
}

}  // namespace weir::config
