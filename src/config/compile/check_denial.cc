#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <string>

#include "base/ascii.h"
#include "config/compile/response_style.h"

namespace weir::config {
namespace {

constexpr std::size_t kMostHeaders = 16;

// What is of the connection (RFC 9110 7.6.1) or frames the message, and what weir writes itself: why a field cannot be
// set; empty: it can.
std::string_view WhyNot(std::string_view name) {
  constexpr std::array<std::string_view, 8> kConnection = {"Connection", "Keep-Alive", "Proxy-Connection",  "TE",
                                                           "Trailer",    "Upgrade",    "Transfer-Encoding", "Host"};
  constexpr std::array<std::string_view, 9> kOwn = {"Content-Length", "Content-Type",     "Content-Encoding",
                                                    "Date",           "Cache-Control",    "Retry-After",
                                                    "RateLimit",      "RateLimit-Policy", "Server-Timing"};
  const auto is = [name](std::string_view other) { return EqualsIgnoreCase(name, other); };
  if (std::ranges::any_of(kConnection, is)) return "is of the connection, not of the response";
  if (std::ranges::any_of(kOwn, is)) return "is written by weir itself";
  if (name.size() >= 7 && EqualsIgnoreCase(name.substr(0, 7), "X-Weir-")) return "is written by weir itself";
  return {};
}

bool IsNamePart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsPrintable(char c) { return c >= ' ' && c <= '~'; }

// What is not printable is left out: it would go to a terminal.
std::string Shown(std::string_view name) {
  std::string shown;
  std::ranges::copy_if(name.substr(0, 100), std::back_inserter(shown), IsPrintable);
  return shown;
}

}  // namespace

void CheckDenial(const DenialConfig& denial, absl::FunctionRef<void(std::string_view, std::string)> fault) {
  if (denial.status && *denial.status != 200 && (*denial.status < 400 || *denial.status > 599)) {
    fault("status", fmt::format("must be 400 to 599, or 200, not {}", *denial.status));
  }
  if (denial.message && denial.message->size() > 4000) fault("message", "is too long");
  if (denial.headers.size() > kMostHeaders) {
    return fault("headers", fmt::format("has {} fields, of at most {}", denial.headers.size(), kMostHeaders));
  }
  std::set<std::string> seen;
  for (const auto& [name, value] : denial.headers) {
    if (name.empty() || name.size() > 100 || !std::ranges::all_of(name, IsNamePart)) {
      fault("headers", fmt::format("'{}' is no name of a header field", Shown(name)));
    } else if (const std::string_view why = WhyNot(name); !why.empty()) {
      fault("headers", fmt::format("'{}' {}", name, why));
    } else if (!seen.insert(LowerCase(name)).second) {
      fault("headers", fmt::format("'{}' is written twice: names of header fields have no case", name));
    }
    if (value.size() > 1000 || !std::ranges::all_of(value, IsPrintable)) {
      fault("headers", fmt::format("the value of '{}' must be at most 1,000 printable ASCII characters", Shown(name)));
    } else if (value.starts_with(' ') || value.ends_with(' ')) {
      fault("headers", fmt::format("the value of '{}' begins or ends with a blank", Shown(name)));
    }
  }
}

}  // namespace weir::config
