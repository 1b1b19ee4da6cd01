// Finds parts of a request: headers, query parameters, cookies, attributes. Views borrow from the request unless a text
// had to be decoded, then from the arena.
#pragma once

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

// The path without its query, and the query without its '?' (empty when there is none).
std::string_view PathOf(std::string_view path_and_query);
std::string_view QueryOf(std::string_view path_and_query);

// The first header of that name, as sent. Present and empty differs from absent (nullopt).
std::optional<std::string_view> FindHeader(const Request& request, std::string_view name);
// The first attribute of exactly that name.
std::optional<std::string_view> FindAttribute(const Request& request, std::string_view name);
// The first query parameter whose decoded name is `name`, decoded: %XX and '+'. A bad escape stands for itself.
std::optional<std::string_view> FindQuery(const Request& request, std::string_view name, Arena& arena);
// The first cookie of that name in any Cookie header; surrounding double quotes are dropped.
std::optional<std::string_view> FindCookie(const Request& request, std::string_view name);
// The token of `Authorization: Bearer`.
std::optional<std::string_view> FindBearerToken(const Request& request);

// What a request adds to a rule that counts this attribute (CountedUnit): its decimal number, however many digits it
// has; 1 when it is not there or is no number.
std::uint64_t CountOfAttribute(const Request& request, std::string_view name);

// A decimal number and nothing else; nullopt when it is not one or exceeds 64 bits.
std::optional<std::uint64_t> ParseCount(std::string_view text);

}  // namespace weir::engine
