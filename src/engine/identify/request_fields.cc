#include "engine/identify/request_fields.h"

#include <algorithm>
#include <charconv>

#include "base/path.h"

namespace weir::engine {
namespace {

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte at `at`, decoded, which `length` bytes of the text stand for.
char DecodedAt(std::string_view text, std::size_t at, std::size_t& length) {
  length = 1;
  if (text[at] == '+') return ' ';
  if (text[at] != '%' || at + 2 >= text.size()) return text[at];
  const int high = HexDigit(text[at + 1]);
  const int low = HexDigit(text[at + 2]);
  if (high < 0 || low < 0) return '%';
  length = 3;
  const char c = static_cast<char>(high * 16 + low);
  // Some servers leave a '+' as it is: the two spellings of it must not differ.
  return c == '+' ? ' ' : c;
}

std::string_view Decoded(std::string_view text, Arena& arena) {
  if (text.find_first_of("%+") == std::string_view::npos) return text;
  char* const start = arena.Take(text.size());
  char* end = start;
  std::size_t length = 0;
  for (std::size_t i = 0; i < text.size(); i += length) *end++ = DecodedAt(text, i, length);
  return {start, static_cast<std::size_t>(end - start)};
}

// PHP makes these one name: its variables could not have the others. A '+' was decoded.
bool SameInNames(char sent, char named) {
  return sent == named || (named == '_' && (sent == '.' || sent == ' ' || sent == '[')) ||
         (named == '+' && sent == ' ');
}

// Whether `raw`, decoded, is `name`.
bool DecodesTo(std::string_view raw, std::string_view name) {
  std::size_t n = 0;
  std::size_t length = 0;
  for (std::size_t i = 0; i < raw.size(); i += length) {
    const char c = DecodedAt(raw, i, length);
    if (n == 0 && c == ' ' && !name.starts_with(' ')) continue;
    if (n >= name.size() || !SameInNames(c, name[n])) return false;
    ++n;
  }
  return n == name.size();
}

// What servers strip around names and values of cookies: white space, also Latin-1's, as Python and JavaScript have it.
bool IsCookieBlank(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == ' ' || (byte >= 0x09 && byte <= 0x0d) || (byte >= 0x1c && byte <= 0x1f) || byte == 0x85 ||
         byte == 0xa0;
}

std::string_view TrimCookie(std::string_view text) {
  while (!text.empty() && IsCookieBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsCookieBlank(text.back())) text.remove_suffix(1);
  return text;
}

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

// What is within quotes: "\"" is '"', "\101" is 'A'.
std::string_view Unescaped(std::string_view text, Arena& arena) {
  if (text.find('\\') == std::string_view::npos) return text;
  char* const start = arena.Take(text.size());
  char* end = start;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      *end++ = text[i];
    } else if (i + 3 < text.size() && text[i + 1] <= '3' && IsOctal(text[i + 1]) && IsOctal(text[i + 2]) &&
               IsOctal(text[i + 3])) {
      *end++ = static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      *end++ = text[++i];
    }
  }
  return {start, static_cast<std::size_t>(end - start)};
}

// Cuts the next part off `rest`, up to one of `separators`.
std::string_view NextPart(std::string_view& rest, std::string_view separators) {
  const std::size_t end = rest.find_first_of(separators);
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

void Values::Add(std::string_view text) {
  if (std::find(texts.begin(), texts.begin() + count, text) != texts.begin() + count) return;
  if (count == kMost) {
    ambiguous = true;
  } else {
    texts[count++] = text;
  }
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

Values FindHeaderValues(const Request& request, std::string_view name) {
  Values values;
  for (const Attribute& header : request.headers) {
    if (EqualsIgnoringCase(header.name, name)) values.Add(TrimBlank(header.value));
  }
  return values;
}

Values FindQueryValues(const Request& request, std::string_view name, Arena& arena) {
  Values values;
  std::string_view rest = QueryOfTarget(request.path);
  while (!rest.empty()) {
    // What is behind a '#' is dropped by some servers and read by others.
    const std::string_view pair = NextPart(rest, "&;#");
    const std::size_t equals = pair.find('=');
    if (pair.empty() || !DecodesTo(pair.substr(0, equals), name)) continue;
    values.Add(Decoded(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), arena));
  }
  return values;
}

Values FindCookieValues(const Request& request, std::string_view name, Arena& arena) {
  Values values;
  for (const Attribute& header : request.headers) {
    if (!EqualsIgnoringCase(header.name, "cookie")) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      const std::string_view pair = NextPart(rest, ";");
      const std::size_t equals = pair.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view sent = TrimCookie(pair.substr(0, equals));
      if (!std::equal(sent.begin(), sent.end(), name.begin(), name.end(), SameInNames)) continue;
      std::string_view value = TrimCookie(pair.substr(equals + 1));
      if (value.starts_with('"')) {
        if (value.size() < 2 || !value.ends_with('"')) {
          values.ambiguous = true;
          continue;
        }
        value = Unescaped(value.substr(1, value.size() - 2), arena);
      }
      values.Add(Decoded(value, arena));
    }
  }
  return values;
}

std::optional<std::string_view> FindBearerToken(const Request& request) {
  const auto value = FindHeader(request, "authorization");
  if (!value || value->size() < 8 || !EqualsIgnoringCase(value->substr(0, 6), "bearer")) return std::nullopt;
  if ((*value)[6] != ' ' && (*value)[6] != '\t') return std::nullopt;
  const std::string_view token = TrimBlank(value->substr(7));
  if (token.empty()) return std::nullopt;
  return token;
}

std::optional<std::uint64_t> ParseCount(std::string_view text) {
  std::uint64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, count);
  if (text.empty() || error != std::errc() || at != end) return std::nullopt;
  return count;
}

}  // namespace weir::engine
