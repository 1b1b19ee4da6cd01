// Replies in RESP2 or RESP3, appended to a string.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::resp {

enum class Protocol : std::uint8_t { kResp2 = 2, kResp3 = 3 };

class ReplyWriter {
 public:
  ReplyWriter(std::string& out, Protocol protocol) : out_(out), protocol_(protocol) {}

  void Simple(std::string_view text);  // one line
  // With its code first: "ERR unknown command"; line breaks become blanks.
  void Error(std::string_view text);
  void Integer(std::int64_t value);
  void Bulk(std::string_view bytes);
  void Text(std::string_view text);  // RESP3: verbatim; for people
  void Null();
  void Boolean(bool value);  // RESP2: 1 or 0
  // What follows: `count` replies, or 2 * `count` in turns (RESP2: a flat array of them).
  void Array(std::size_t count);
  void Set(std::size_t count);  // RESP2: an array
  void Map(std::size_t count);

  Protocol protocol() const { return protocol_; }

 private:
  void Header(char type, std::int64_t value);

  std::string& out_;
  const Protocol protocol_;
};

}  // namespace weir::resp
