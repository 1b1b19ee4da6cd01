// JSON values as people write and read them on a command line.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cli/admin/outcome.h"
#include "config/document/node.h"

namespace weir::cli::admin {

// The value at "a.b.c"; nullptr: there is none.
const boost::json::value* At(const boost::json::value& value, std::string_view path);
// Text as it is, numbers and flags as JSON writes them, null and what is not there as "".
std::string TextAt(const boost::json::value& value, std::string_view path);

// A JSON merge patch of assignments such as "rule.max_requests=500", "note=until Friday", "quotas=[...]",
// "expires=null". What is JSON is taken as JSON, everything else as text; a part of a path that is assigned twice is an
// error.
Outcome<boost::json::object> PatchOf(const std::vector<std::string>& assignments);

// "90m", "12h", "3d", "2w", at most 100 years; nullopt: it is none.
std::optional<Nanos> DurationOf(std::string_view text);

// RFC 3339, or so long from `now`: "90m", "12h", "3d", "2w". The time in RFC 3339, to the second.
Outcome<std::string> ExpiryOf(std::string_view text, Nanos now);

// The same of a time in the past: so long before `now`.
Outcome<std::string> PastOf(std::string_view text, Nanos now);

// What YAML 1.2 (core schema) takes unquoted scalars for: null, true, false, numbers, else text.
boost::json::value ToJson(const config::Node& node);
// On several lines, ending with a newline.
std::string PrettyJson(const boost::json::value& value);
std::string Yaml(const boost::json::value& value);

// What differs between two values, a line each, by path: "- rule.max_requests: 5", "+ rule.max_requests: 500"; in
// colours on a terminal. null stands for nothing.
std::string DifferenceText(const boost::json::value& before, const boost::json::value& after,
                           std::string_view indent = "  ");

}  // namespace weir::cli::admin
