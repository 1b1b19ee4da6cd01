#include "http/json_writer.h"

#include <array>
#include <cstddef>

#include "http/json_reader.h"

namespace weir::http {
namespace {

// Characters that stand for themselves within a JSON string.
constexpr std::array<bool, 256> MakePlainTable() {
  std::array<bool, 256> table{};
  for (std::size_t c = 0x20; c < 0x7f; ++c) table[c] = c != '"' && c != '\\';
  return table;
}
constexpr auto kPlain = MakePlainTable();

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out->push_back('"');
  std::size_t plain = 0;  // start of the run that is copied as it is
  std::size_t at = 0;
  while (at < text.size()) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (kPlain[byte]) {
      ++at;
      continue;
    }
    if (byte >= 0x80) {
      if (const std::size_t length = Utf8Length(text.substr(at)); length > 0) {
        at += length;
        continue;
      }
    }
    out->append(text.substr(plain, at - plain));
    plain = ++at;
    if (byte == '"' || byte == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(byte));
    } else if (byte >= 0x80) {
      out->append("\xEF\xBF\xBD");
    } else {
      out->append("\\u00");
      out->push_back(kHex[byte >> 4]);
      out->push_back(kHex[byte & 15]);
    }
  }
  out->append(text.substr(plain));
  out->push_back('"');
}

}  // namespace weir::http
