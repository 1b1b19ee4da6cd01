// A pull reader of JSON (RFC 8259) over text that it may change: escapes are undone in place, so that a string costs no
// allocation. Strict: no comments, no trailing commas, no leading zeros, no control characters, no ill-formed UTF-8 and
// no lone surrogates. It has no recursion: depth is what the caller descends, at most kMaxDepth.
//
// Every call returns whether it succeeded; after the first failure error() tells what and where ("$.cost: must be
// ..."), and further calls fail.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::http {

class JsonReader {
 public:
  static constexpr std::size_t kMaxDepth = 8;

  enum class Kind : std::uint8_t { kObject, kArray, kString, kNumber, kTrue, kFalse, kNull, kInvalid };

  // text[size] must be readable and '\0'; the text must outlive what is read from it.
  JsonReader(char* text, std::size_t size) : begin_(text), at_(text), end_(text + size) { SkipSpace(); }

  // What comes next, told by its first character.
  Kind Peek() const;

  // An object is read so:  for (bool more = reader.EnterObject(&key); more; more = reader.NextMember(&key)) ...
  // with exactly one value read after each key; after the loop failed() must be asked. Keys are borrowed from the text.
  bool EnterObject(std::string_view* key);
  bool NextMember(std::string_view* key);
  // The same for an array.
  bool EnterArray();
  bool NextElement();

  bool ReadString(std::string_view* value);
  // A JSON number that is an integer of 0 to 2^64-1.
  bool ReadUnsigned(std::uint64_t* value);
  // A JSON number >= 0, with or without a fraction or an exponent, that a double can hold.
  bool ReadNonNegative(double* value);
  bool ReadBool(bool* value);
  bool ReadNull();
  // A string, a number or a boolean, as text.
  bool ReadScalar(std::string_view* value);
  // Nothing but white space follows.
  bool ReadEnd();

  // Fails at the current place: "must be an integer >= 0". kShow adds ", got -1" from what is at hand.
  enum class Got : std::uint8_t { kShow, kOmit };
  bool Fail(std::string_view message, Got got = Got::kShow);

  bool failed() const { return failed_; }
  const std::string& error() const { return error_; }
  // "$.requests[2].cost": the value that is read now.
  std::string Path() const;

 private:
  struct Segment {
    std::string_view key;    // of an object's member
    std::int64_t index = 0;  // of an array's element; -1: an object's member
  };

  void SkipSpace() {
    while (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t') ++at_;
  }
  bool Syntax(std::string_view expected);
  bool ReadKey(std::string_view* key);
  void SkipPlain();
  bool ReadQuoted(std::string_view* value);
  bool ReadEscape(char*& out);
  bool ReadHex4(std::uint32_t* value);
  bool SkipNumber(std::string_view* text);
  bool SkipWord(std::string_view word);
  std::string DescribeHere() const;

  const char* const begin_;
  char* at_;
  char* const end_;
  std::array<Segment, kMaxDepth> path_;
  std::size_t depth_ = 0;
  bool failed_ = false;
  std::string error_;
};

// How many bytes (1 to 4) of `text` are one well-formed UTF-8 sequence at its start; 0: ill-formed, or empty.
std::size_t Utf8Length(std::string_view text);

}  // namespace weir::http
