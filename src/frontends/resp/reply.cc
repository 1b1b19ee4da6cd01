#include "frontends/resp/reply.h"

#include <array>
#include <charconv>

namespace weir::resp {

void ReplyWriter::Header(char type, std::int64_t value) {
  std::array<char, 24> line;
  line[0] = type;
  char* end = std::to_chars(line.data() + 1, line.data() + 22, value).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out_.append(line.data(), static_cast<std::size_t>(end - line.data()));
}

void ReplyWriter::Simple(std::string_view text) {
  out_ += '+';
  out_ += text;
  out_ += "\r\n";
}

void ReplyWriter::Error(std::string_view text) {
  out_ += '-';
  for (const char c : text) out_ += c == '\r' || c == '\n' ? ' ' : c;
  out_ += "\r\n";
}

void ReplyWriter::Integer(std::int64_t value) { Header(':', value); }

void ReplyWriter::Bulk(std::string_view bytes) {
  Header('$', static_cast<std::int64_t>(bytes.size()));
  out_ += bytes;
  out_ += "\r\n";
}

void ReplyWriter::Text(std::string_view text) {
  if (protocol_ == Protocol::kResp2) return Bulk(text);
  Header('=', static_cast<std::int64_t>(text.size() + 4));
  out_ += "txt:";
  out_ += text;
  out_ += "\r\n";
}

void ReplyWriter::Null() { out_ += protocol_ == Protocol::kResp2 ? "$-1\r\n" : "_\r\n"; }

void ReplyWriter::Boolean(bool value) {
  if (protocol_ == Protocol::kResp2) return Integer(value ? 1 : 0);
  out_ += value ? "#t\r\n" : "#f\r\n";
}

void ReplyWriter::Array(std::size_t count) { Header('*', static_cast<std::int64_t>(count)); }

void ReplyWriter::Set(std::size_t count) {
  Header(protocol_ == Protocol::kResp2 ? '*' : '~', static_cast<std::int64_t>(count));
}

void ReplyWriter::Map(std::size_t count) {
  if (protocol_ == Protocol::kResp2) return Array(2 * count);
  Header('%', static_cast<std::int64_t>(count));
}

}  // namespace weir::resp
