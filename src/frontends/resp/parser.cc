#include "frontends/resp/parser.h"

#include <algorithm>
#include <utility>

namespace weir::resp {
namespace {

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0'; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char Unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Undoes one quoted part of `line` from `at`, which is behind the opening quote; appends it to `out`. False: it never
// ends, or something sticks to its end.
bool Unquote(std::string_view line, char quote, std::size_t* at, std::string* out) {
  for (std::size_t i = *at; i < line.size(); ++i) {
    const char c = line[i];
    if (c == quote) {
      *at = i + 1;
      return *at == line.size() || IsBlank(line[*at]);
    }
    if (c != '\\' || i + 1 == line.size()) {
      out->push_back(c);
    } else if (quote == '\'') {
      if (line[i + 1] == '\'') ++i;
      out->push_back(line[i]);
    } else if (line[i + 1] == 'x' && i + 3 < line.size() && HexDigit(line[i + 2]) >= 0 && HexDigit(line[i + 3]) >= 0) {
      out->push_back(static_cast<char>(HexDigit(line[i + 2]) * 16 + HexDigit(line[i + 3])));
      i += 3;
    } else {
      out->push_back(Unescape(line[++i]));
    }
  }
  return false;
}

}  // namespace

CommandParser::Status CommandParser::Parse(std::string_view input) {
  if (input.empty()) return Status::kMore;
  return input.front() == '*' ? ParseArray(input) : ParseInline(input);
}

// "123\r\n" from *position on, which is moved behind it.
inline CommandParser::Number CommandParser::ReadNumber(std::string_view input, std::size_t* position,
                                                       std::int64_t* value) {
  // Nearly every number of nearly every command has one digit or two.
  const std::size_t at = *position;
  const auto digit = [input](std::size_t i) { return static_cast<unsigned>(input[i] - '0'); };
  const auto ends = [input](std::size_t i) { return input[i] == '\r' && input[i + 1] == '\n'; };
  if (input.size() - at >= 4 && digit(at) <= 9) {
    if (ends(at + 1)) {
      *value = digit(at);
      *position = at + 3;
      return Number::kRead;
    }
    if (digit(at + 1) <= 9 && ends(at + 2)) {
      *value = digit(at) * 10 + digit(at + 1);
      *position = at + 4;
      return Number::kRead;
    }
  }
  return ReadAnyNumber(input, position, value);
}

CommandParser::Number CommandParser::ReadAnyNumber(std::string_view input, std::size_t* position, std::int64_t* value) {
  constexpr std::size_t kMostDigits = 10;  // more than any limit has
  std::size_t at = *position;
  const bool negative = at < input.size() && input[at] == '-';
  if (negative) ++at;
  const std::size_t first = at;
  std::int64_t number = 0;
  while (at < input.size() && input[at] >= '0' && input[at] <= '9') {
    if (at - first == kMostDigits) return Number::kBad;
    number = number * 10 + (input[at++] - '0');
  }
  if (at == input.size()) return Number::kMore;
  if (at == first || input[at] != '\r') return Number::kBad;
  if (at + 1 == input.size()) return Number::kMore;
  if (input[at + 1] != '\n') return Number::kBad;
  *position = at + 2;
  *value = negative ? -number : number;
  return Number::kRead;
}

CommandParser::Status CommandParser::ParseArray(std::string_view input) {
  if (expected_ == 0) {
    std::size_t at = 1;
    std::int64_t count = 0;
    const Number read = ReadNumber(input, &at, &count);
    if (read == Number::kMore) return Status::kMore;
    if (read == Number::kBad || count > limits_.max_arguments)
      return Broken("Protocol error: invalid multibulk length");
    if (count <= 0) return Finish(Status::kEmpty, at);
    expected_ = static_cast<std::size_t>(count);
    position_ = at;
    read_ = 0;
    if (ranges_.size() < expected_) ranges_.resize(expected_);
  }
  while (read_ < expected_) {
    if (bulk_size_ < 0) {
      if (position_ == input.size()) return Status::kMore;
      if (input[position_] != '$') {
        return Broken(std::string("Protocol error: expected '$', got '") + input[position_] + "'");
      }
      std::size_t at = position_ + 1;
      std::int64_t size = 0;
      const Number read = ReadNumber(input, &at, &size);
      if (read == Number::kMore) return Status::kMore;
      if (read == Number::kBad || size < 0 || size > limits_.max_bulk_bytes) {
        return Broken("Protocol error: invalid bulk length");
      }
      if (at + static_cast<std::size_t>(size) > limits_.max_command_bytes) {
        return Broken("Protocol error: too big command");
      }
      position_ = at;
      bulk_size_ = size;
    }
    const auto size = static_cast<std::size_t>(bulk_size_);
    if (input.size() - position_ < size + 2) return Status::kMore;
    if (input[position_ + size] != '\r' || input[position_ + size + 1] != '\n') {
      return Broken("Protocol error: a bulk string does not end with CRLF");
    }
    ranges_[read_++] = {static_cast<std::uint32_t>(position_), static_cast<std::uint32_t>(size)};
    position_ += size + 2;
    bulk_size_ = -1;
  }
  arguments_.resize(expected_);
  for (std::size_t i = 0; i < expected_; ++i) arguments_[i] = {input.data() + ranges_[i].begin, ranges_[i].size};
  return Finish(Status::kCommand, position_);
}

CommandParser::Status CommandParser::ParseInline(std::string_view input) {
  const std::size_t end = input.find('\n', position_);
  if (std::min(end, input.size()) > limits_.max_inline_bytes) return Broken("Protocol error: too big inline request");
  if (end == std::string_view::npos) {
    position_ = input.size();
    return Status::kMore;
  }
  const std::size_t size = end > 0 && input[end - 1] == '\r' ? end - 1 : end;
  if (!SplitLine(input.substr(0, size))) return Broken(error_);
  return Finish(arguments_.empty() ? Status::kEmpty : Status::kCommand, end + 1);
}

bool CommandParser::SplitLine(std::string_view line) {
  arguments_.clear();
  line_.clear();
  // Unquoted text is never longer than quoted: views into line_ stay where they are.
  line_.reserve(line.size());
  std::size_t at = 0;
  for (;;) {
    while (at < line.size() && IsBlank(line[at])) ++at;
    if (at == line.size()) return true;
    if (arguments_.size() == limits_.max_arguments) {
      error_ = "Protocol error: too many arguments";
      return false;
    }
    const std::size_t begin = line_.size();
    while (at < line.size() && !IsBlank(line[at])) {
      const char c = line[at++];
      if (c != '"' && c != '\'') {
        line_.push_back(c);
      } else if (!Unquote(line, c, &at, &line_)) {
        error_ = "Protocol error: unbalanced quotes in request";
        return false;
      }
    }
    arguments_.emplace_back(line_.data() + begin, line_.size() - begin);
  }
}

CommandParser::Status CommandParser::Broken(std::string_view why) {
  if (error_ != why) error_ = why;
  Finish(Status::kBroken, 0);
  return Status::kBroken;
}

CommandParser::Status CommandParser::Finish(Status status, std::size_t consumed) {
  consumed_ = consumed;
  position_ = 0;
  expected_ = 0;
  bulk_size_ = -1;
  return status;
}

}  // namespace weir::resp
