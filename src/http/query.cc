#include "http/query.h"

namespace weir::http {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A bad escape stands for itself.
void Decode(std::string_view text, std::string* out) {
  out->clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      out->push_back(static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2])));
      i += 2;
    } else {
      out->push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
}

}  // namespace

std::string_view TargetPath(std::string_view target) { return target.substr(0, target.find('?')); }

std::string_view TargetQuery(std::string_view target) {
  const std::size_t mark = target.find('?');
  return mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
}

bool NextParameter(std::string_view* query, std::string* name, std::string* value) {
  while (query->starts_with('&')) query->remove_prefix(1);
  if (query->empty()) return false;
  const std::string_view pair = query->substr(0, query->find('&'));
  query->remove_prefix(pair.size());
  const std::size_t equals = pair.find('=');
  Decode(pair.substr(0, equals), name);
  Decode(equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1), value);
  return true;
}

}  // namespace weir::http
