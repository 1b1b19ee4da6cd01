#include "http/json_reader.h"

#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>

namespace weir::http {
namespace {

// Characters that end the plain run of a string: the quote, the backslash, controls and everything beyond ASCII.
constexpr std::array<bool, 256> MakeSpecialTable() {
  std::array<bool, 256> table{};
  for (std::size_t c = 0; c < 256; ++c) table[c] = c < 0x20 || c == '"' || c == '\\' || c >= 0x80;
  return table;
}
constexpr auto kSpecial = MakeSpecialTable();

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

char* EncodeUtf8(std::uint32_t code, char* out) {
  const auto put = [&out](std::uint32_t byte) { *out++ = static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
  return out;
}

}  // namespace

std::size_t Utf8Length(std::string_view text) {
  const auto byte = [&text](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto tail = [&byte](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  if (text.empty()) return 0;
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return tail(1) ? 2 : 0;
  if (lead < 0xf0) {
    if (!tail(1) || !tail(2)) return 0;
    if (lead == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
    if (lead == 0xed && byte(1) > 0x9f) return 0;  // surrogates
    return 3;
  }
  if (lead > 0xf4 || !tail(1) || !tail(2) || !tail(3)) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return 4;
}

JsonReader::Kind JsonReader::Peek() const {
  switch (*at_) {
    case '{':
      return Kind::kObject;
    case '[':
      return Kind::kArray;
    case '"':
      return Kind::kString;
    case 't':
      return Kind::kTrue;
    case 'f':
      return Kind::kFalse;
    case 'n':
      return Kind::kNull;
    case '-':
      return Kind::kNumber;
    default:
      return IsDigit(*at_) ? Kind::kNumber : Kind::kInvalid;
  }
}

std::string JsonReader::Path() const {
  std::string path = "$";
  for (std::size_t i = 0; i < depth_; ++i) {
    const Segment& segment = path_[i];
    if (segment.index >= 0) {
      path += '[';
      path += std::to_string(segment.index);
      path += ']';
    } else {
      path += '.';
      path += segment.key.substr(0, 64);
    }
  }
  return path;
}

std::string JsonReader::DescribeHere() const {
  switch (Peek()) {
    case Kind::kObject:
      return "an object";
    case Kind::kArray:
      return "an array";
    case Kind::kTrue:
      return "true";
    case Kind::kFalse:
      return "false";
    case Kind::kNull:
      return "null";
    case Kind::kString:
    case Kind::kNumber: {
      // As it was sent, cut short. Only plain ASCII is repeated.
      std::string text;
      const bool quoted = *at_ == '"';
      for (const char* c = at_; c < end_ && text.size() < 32; ++c) {
        if (*c < ' ' || *c > '~' || (!quoted && (*c == ',' || *c == '}' || *c == ']' || *c == ' '))) break;
        text += *c;
        if (quoted && c != at_ && *c == '"') return text;
      }
      return quoted ? "a string" : text;
    }
    case Kind::kInvalid:
      break;
  }
  return at_ == end_ ? "the end of the text" : "something that is no JSON value";
}

bool JsonReader::Fail(std::string_view message, Got got) {
  if (failed_) return false;
  failed_ = true;
  error_ = Path();
  error_ += ": ";
  error_ += message;
  if (got == Got::kShow) {
    error_ += ", got ";
    error_ += DescribeHere();
  }
  return false;
}

bool JsonReader::Syntax(std::string_view expected) {
  if (failed_) return false;
  failed_ = true;
  error_ = Path();
  error_ += ": not valid JSON at byte ";
  error_ += std::to_string(at_ - begin_);
  error_ += ": expected ";
  error_ += expected;
  if (at_ == end_) error_ += ", got the end of the text";
  return false;
}

bool JsonReader::EnterObject(std::string_view* key) {
  if (failed_) return false;
  if (*at_ != '{') return Fail("must be an object");
  if (depth_ == kMaxDepth) return Fail("is nested too deep", Got::kOmit);
  ++at_;
  SkipSpace();
  if (*at_ == '}') {
    ++at_;
    SkipSpace();
    return false;
  }
  path_[depth_++] = {{}, -1};
  return ReadKey(key);
}

bool JsonReader::NextMember(std::string_view* key) {
  if (failed_) return false;
  if (*at_ == '}') {
    ++at_;
    SkipSpace();
    --depth_;
    return false;
  }
  if (*at_ != ',') return Syntax("',' or '}'");
  ++at_;
  SkipSpace();
  return ReadKey(key);
}

bool JsonReader::ReadKey(std::string_view* key) {
  if (*at_ != '"') return Syntax("a quoted name");
  path_[depth_ - 1].key = {};
  if (!ReadQuoted(key)) return false;
  path_[depth_ - 1].key = *key;
  if (*at_ != ':') return Syntax("':'");
  ++at_;
  SkipSpace();
  return true;
}

bool JsonReader::EnterArray() {
  if (failed_) return false;
  if (*at_ != '[') return Fail("must be an array");
  if (depth_ == kMaxDepth) return Fail("is nested too deep", Got::kOmit);
  ++at_;
  SkipSpace();
  if (*at_ == ']') {
    ++at_;
    SkipSpace();
    return false;
  }
  path_[depth_++] = {{}, 0};
  return true;
}

bool JsonReader::NextElement() {
  if (failed_) return false;
  if (*at_ == ']') {
    ++at_;
    SkipSpace();
    --depth_;
    return false;
  }
  if (*at_ != ',') return Syntax("',' or ']'");
  ++at_;
  SkipSpace();
  ++path_[depth_ - 1].index;
  return true;
}

bool JsonReader::ReadString(std::string_view* value) {
  if (failed_) return false;
  if (*at_ != '"') return Fail("must be a string");
  return ReadQuoted(value);
}

// Up to the first byte of a string that is not plain: most of a body is plain text, so eight at a time.
void JsonReader::SkipPlain() {
  constexpr std::uint64_t kOnes = 0x0101010101010101, kHigh = kOnes << 7;
  while (end_ - at_ >= 8) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, at_, sizeof bytes);
    if constexpr (std::endian::native == std::endian::big) bytes = __builtin_bswap64(bytes);
    // The high bit of each byte that is ill; above the first of them also of others.
    const std::uint64_t quote = bytes ^ ('"' * kOnes), backslash = bytes ^ ('\\' * kOnes);
    const std::uint64_t control = (bytes - 0x20 * kOnes) & ~bytes;
    const std::uint64_t special =
        (bytes | control | ((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash)) & kHigh;
    if (special != 0) {
      at_ += std::countr_zero(special) / 8;
      return;
    }
    at_ += 8;
  }
  while (!kSpecial[static_cast<unsigned char>(*at_)]) ++at_;
}

bool JsonReader::ReadQuoted(std::string_view* value) {
  char* const start = ++at_;
  SkipPlain();
  char* out = at_;
  while (*at_ != '"') {
    const auto c = static_cast<unsigned char>(*at_);
    if (c < 0x20) return Syntax(at_ == end_ ? "'\"'" : "no control character in a string");
    if (c == '\\') {
      if (!ReadEscape(out)) return false;
      continue;
    }
    const std::size_t length = c < 0x80 ? 1 : Utf8Length({at_, static_cast<std::size_t>(end_ - at_)});
    if (length == 0) return Syntax("well-formed UTF-8");
    for (std::size_t i = 0; i < length; ++i) *out++ = *at_++;
  }
  *value = {start, static_cast<std::size_t>(out - start)};
  ++at_;
  SkipSpace();
  return true;
}

bool JsonReader::ReadEscape(char*& out) {
  ++at_;
  switch (*at_) {
    case '"':
    case '\\':
    case '/':
      *out++ = *at_++;
      return true;
    case 'b':
      *out++ = '\b';
      ++at_;
      return true;
    case 'f':
      *out++ = '\f';
      ++at_;
      return true;
    case 'n':
      *out++ = '\n';
      ++at_;
      return true;
    case 'r':
      *out++ = '\r';
      ++at_;
      return true;
    case 't':
      *out++ = '\t';
      ++at_;
      return true;
    case 'u':
      break;
    default:
      return Syntax("a known escape");
  }
  std::uint32_t code = 0;
  if (!ReadHex4(&code)) return false;
  if (code >= 0xdc00 && code <= 0xdfff) return Syntax("a high surrogate before a low one");
  if (code >= 0xd800 && code <= 0xdbff) {
    std::uint32_t low = 0;
    if (at_[0] != '\\' || at_[1] != 'u') return Syntax("a low surrogate after a high one");
    ++at_;
    if (!ReadHex4(&low)) return false;
    if (low < 0xdc00 || low > 0xdfff) return Syntax("a low surrogate after a high one");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  // An escape takes at least as many bytes as what it stands for, so `out` never passes at_.
  out = EncodeUtf8(code, out);
  return true;
}

bool JsonReader::ReadHex4(std::uint32_t* value) {
  ++at_;  // the 'u'
  *value = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const char c = *at_;
    std::uint32_t digit = 0;
    if (IsDigit(c)) {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<std::uint32_t>(c - 'A' + 10);
    } else {
      return Syntax("four hexadecimal digits");
    }
    *value = *value * 16 + digit;
  }
  return true;
}

// Reads over a number of any form.
bool JsonReader::SkipNumber(std::string_view* text) {
  const char* const start = at_;
  if (*at_ == '-') ++at_;
  if (!IsDigit(*at_)) return Syntax("a digit");
  if (*at_ == '0') {
    ++at_;
    if (IsDigit(*at_)) return Syntax("no digit after a leading zero");
  }
  while (IsDigit(*at_)) ++at_;
  if (*at_ == '.') {
    ++at_;
    if (!IsDigit(*at_)) return Syntax("a digit");
    while (IsDigit(*at_)) ++at_;
  }
  if (*at_ == 'e' || *at_ == 'E') {
    ++at_;
    if (*at_ == '+' || *at_ == '-') ++at_;
    if (!IsDigit(*at_)) return Syntax("a digit");
    while (IsDigit(*at_)) ++at_;
  }
  *text = {start, static_cast<std::size_t>(at_ - start)};
  SkipSpace();
  return true;
}

bool JsonReader::ReadUnsigned(std::uint64_t* value) {
  if (failed_) return false;
  if (Peek() != Kind::kNumber) return Fail("must be an integer >= 0");
  char* const start = at_;
  std::string_view text;
  if (!SkipNumber(&text)) return false;
  const auto [stop, fault] = std::from_chars(text.data(), text.data() + text.size(), *value);
  if (stop == text.data() + text.size() && fault == std::errc{}) return true;
  at_ = start;
  return Fail(fault == std::errc::result_out_of_range ? "must be at most 18446744073709551615"
                                                      : "must be an integer >= 0");
}

bool JsonReader::ReadNonNegative(double* value) {
  if (failed_) return false;
  if (Peek() != Kind::kNumber) return Fail("must be a number >= 0");
  char* const start = at_;
  std::string_view text;
  if (!SkipNumber(&text)) return false;
  const auto [stop, fault] = std::from_chars(text.data(), text.data() + text.size(), *value);
  if (stop == text.data() + text.size() && fault == std::errc{} && *value >= 0) return true;
  at_ = start;
  return Fail(fault == std::errc::result_out_of_range ? "must be a number that 64 bits can hold"
                                                      : "must be a number >= 0");
}

bool JsonReader::SkipWord(std::string_view word) {
  if (static_cast<std::size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0) {
    return Syntax(word);
  }
  at_ += word.size();
  SkipSpace();
  return true;
}

bool JsonReader::ReadBool(bool* value) {
  if (failed_) return false;
  const Kind kind = Peek();
  if (kind != Kind::kTrue && kind != Kind::kFalse) return Fail("must be true or false");
  *value = kind == Kind::kTrue;
  return SkipWord(*value ? "true" : "false");
}

bool JsonReader::ReadNull() {
  if (failed_) return false;
  return SkipWord("null");
}

bool JsonReader::ReadScalar(std::string_view* value) {
  if (failed_) return false;
  switch (Peek()) {
    case Kind::kString:
      return ReadQuoted(value);
    case Kind::kNumber:
      return SkipNumber(value);
    case Kind::kTrue:
      *value = "true";
      return SkipWord("true");
    case Kind::kFalse:
      *value = "false";
      return SkipWord("false");
    default:
      return Fail("must be a string, a number or a boolean");
  }
}

bool JsonReader::ReadEnd() {
  if (failed_) return false;
  return at_ == end_ || Syntax("nothing after the value");
}

}  // namespace weir::http
