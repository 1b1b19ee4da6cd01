#include "engine/identify/request_fields.h"

#include <charconv>

namespace weir::engine {
namespace {

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool NeedsDecoding(std::string_view text) { return text.find_first_of("%+") != std::string_view::npos; }

std::string_view Decode(std::string_view text, Arena& arena) {
  char* const start = arena.Take(text.size());
  char* at = start;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      *at++ = static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      *at++ = text[i] == '+' ? ' ' : text[i];
    }
  }
  return {start, static_cast<std::size_t>(at - start)};
}

// Whether `raw`, decoded, is `name`; decodes as it compares.
bool DecodesTo(std::string_view raw, std::string_view name) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < raw.size(); ++i, ++n) {
    char c = raw[i] == '+' ? ' ' : raw[i];
    if (c == '%' && i + 2 < raw.size() && HexDigit(raw[i + 1]) >= 0 && HexDigit(raw[i + 2]) >= 0) {
      c = static_cast<char>(HexDigit(raw[i + 1]) * 16 + HexDigit(raw[i + 2]));
      i += 2;
    }
    if (n >= name.size() || c != name[n]) return false;
  }
  return n == name.size();
}

// Cuts the next part off `rest`, up to `separator`.
std::string_view NextPart(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

}  // namespace

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

std::string_view TrimBlank(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view PathOf(std::string_view path_and_query) { return path_and_query.substr(0, path_and_query.find('?')); }

std::string_view QueryOf(std::string_view path_and_query) {
  const std::size_t mark = path_and_query.find('?');
  return mark == std::string_view::npos ? std::string_view() : path_and_query.substr(mark + 1);
}

std::optional<std::string_view> FindHeader(const Request& request, std::string_view name) {
  for (const Attribute& header : request.headers) {
    if (EqualsIgnoringCase(header.name, name)) return header.value;
  }
  return std::nullopt;
}

std::optional<std::string_view> FindAttribute(const Request& request, std::string_view name) {
  for (const Attribute& attribute : request.attributes) {
    if (attribute.name == name) return attribute.value;
  }
  return std::nullopt;
}

std::optional<std::string_view> FindQuery(const Request& request, std::string_view name, Arena& arena) {
  std::string_view rest = QueryOf(request.path);
  rest = rest.substr(0, rest.find('#'));
  while (!rest.empty()) {
    const std::string_view pair = NextPart(rest, '&');
    const std::size_t equals = pair.find('=');
    if (!DecodesTo(pair.substr(0, equals), name) || pair.empty()) continue;
    const std::string_view raw = equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    return NeedsDecoding(raw) ? Decode(raw, arena) : raw;
  }
  return std::nullopt;
}

std::optional<std::string_view> FindCookie(const Request& request, std::string_view name) {
  for (const Attribute& header : request.headers) {
    if (!EqualsIgnoringCase(header.name, "cookie")) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      const std::string_view pair = TrimBlank(NextPart(rest, ';'));
      const std::size_t equals = pair.find('=');
      if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
      std::string_view value = pair.substr(equals + 1);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      return value;
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> FindBearerToken(const Request& request) {
  const auto value = FindHeader(request, "authorization");
  if (!value || value->size() < 8 || !EqualsIgnoringCase(value->substr(0, 7), "bearer ")) return std::nullopt;
  const std::string_view token = TrimBlank(value->substr(7));
  if (token.empty()) return std::nullopt;
  return token;
}

std::uint64_t CountOfAttribute(const Request& request, std::string_view name) {
  const auto text = FindAttribute(request, name);
  if (!text || text->empty() || text->find_first_not_of("0123456789") != std::string_view::npos) return 1;
  return ParseCount(*text).value_or(UINT64_MAX);
}

std::optional<std::uint64_t> ParseCount(std::string_view text) {
  std::uint64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, count);
  if (text.empty() || error != std::errc() || at != end) return std::nullopt;
  return count;
}

}  // namespace weir::engine
