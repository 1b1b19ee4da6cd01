// Commands out of bytes: arrays of bulk strings, as every client sends them, and inline commands, as people type them.
// Pure; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::resp {

struct ParserLimits {
  std::uint32_t max_arguments = 1'024;
  std::uint32_t max_bulk_bytes = 64 << 10;
  std::uint32_t max_inline_bytes = 64 << 10;
  std::uint32_t max_command_bytes = 1 << 20;  // below the connection's own bound
};

// Reads one command at a time, and goes on where it stopped: no byte is looked at twice, however the bytes arrive.
class CommandParser {
 public:
  explicit CommandParser(const ParserLimits& limits) : limits_(limits) {}

  enum class Status : std::uint8_t {
    kCommand,  // arguments() has at least one
    kEmpty,    // an empty line or array: consumed, nothing to answer
    kMore,     // show the same bytes again, with more behind them
    kBroken,   // error() says why; nothing after it can be understood
  };
  // `input` begins with the command's first byte.
  Status Parse(std::string_view input);

  // How many bytes the command took; after kCommand and kEmpty.
  std::size_t consumed() const { return consumed_; }
  // Borrowed from `input`, or for inline commands from this parser; until the next Parse.
  std::span<const std::string_view> arguments() const { return arguments_; }
  // "Protocol error: invalid bulk length"
  std::string_view error() const { return error_; }
  // Part of a command has been seen.
  bool in_command() const { return position_ > 0; }

  void set_limits(const ParserLimits& limits) { limits_ = limits; }

 private:
  struct Range {
    std::uint32_t begin;
    std::uint32_t size;
  };
  enum class Number : std::uint8_t { kRead, kMore, kBad };

  static Number ReadNumber(std::string_view input, std::size_t* position, std::int64_t* value);
  static Number ReadAnyNumber(std::string_view input, std::size_t* position, std::int64_t* value);
  Status ParseArray(std::string_view input);
  Status ParseInline(std::string_view input);
  bool SplitLine(std::string_view line);
  Status Broken(std::string_view why);
  Status Finish(Status status, std::size_t consumed);

  ParserLimits limits_;
  std::size_t position_ = 0;     // bytes of the current command that are understood
  std::size_t expected_ = 0;     // arguments of the current array; 0 = its header is not read yet
  std::int64_t bulk_size_ = -1;  // of the argument whose bytes are next; -1 = its header is next
  std::size_t read_ = 0;         // arguments understood so far: the first of ranges_
  std::vector<Range> ranges_;
  std::size_t consumed_ = 0;
  std::vector<std::string_view> arguments_;
  std::string line_;  // inline: the arguments without quotes and escapes
  std::string error_;
};

}  // namespace weir::resp
