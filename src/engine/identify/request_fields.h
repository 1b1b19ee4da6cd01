// Finds parts of a request: headers, query parameters, cookies, attributes. Views borrow from the request unless a text
// had to be decoded, then from the arena. How a request's path is read: base/path.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/arena.h"
#include "weir/request.h"

namespace weir::engine {

// ASCII only; what HTTP asks for names.
bool EqualsIgnoringCase(std::string_view a, std::string_view b);
// Without spaces and tabs at both ends.
std::string_view TrimBlank(std::string_view text);

// The different values that a request gives one name. Servers disagree about a name that comes twice: some take the
// first, some the last. A client that could choose which one is counted would be a new subject with each request, so
// every value is counted, and none of them is of use when one is spent.
struct Values {
  static constexpr std::uint32_t kMost = 2;
  std::array<std::string_view, kMost> texts;
  std::uint32_t count = 0;
  bool ambiguous = false;  // more than kMost values, or one that servers read in too many ways

  void Add(std::string_view text);
};

// The first header of that name, as sent. Present and empty differs from absent (nullopt).
std::optional<std::string_view> FindHeader(const Request& request, std::string_view name);
// The first attribute of exactly that name.
std::optional<std::string_view> FindAttribute(const Request& request, std::string_view name);
// The header's values, without blanks around them.
Values FindHeaderValues(const Request& request, std::string_view name);
// The query's parameters whose decoded name is `name`, decoded: %XX, and '+' is a space. A bad escape stands for
// itself. Parameters end at '&', and, as older servers have it, at ';'. PHP's spellings of a name are the same name
// (blanks before it, '.', ' ' or '[' for '_').
Values FindQueryValues(const Request& request, std::string_view name, Arena& arena);
// The cookies of that name in all Cookie headers, read so that what is one cookie to RFC 6265bis or to a common server
// library (of Django, Express, Go, PHP, Rack, Python) is one value here: blanks around the name and the value are
// dropped, quotes around the value too, with the backslashes in them; %XX is decoded, and '+' is a space. Ambiguous: a
// quote without an end.
Values FindCookieValues(const Request& request, std::string_view name, Arena& arena);
// The token of the first `Authorization: Bearer`.
std::optional<std::string_view> FindBearerToken(const Request& request);

// A decimal number and nothing else; nullopt when it is not one or exceeds 64 bits.
std::optional<std::uint64_t> ParseCount(std::string_view text);

}  // namespace weir::engine
