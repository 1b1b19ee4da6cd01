#include "management/rest/route.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"

namespace weir::management::rest {
namespace {

std::vector<std::string> Split(std::string_view path) {
  std::vector<std::string> parts;
  while (path.starts_with('/')) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    parts.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return parts;
}

bool IsParameter(std::string_view part) { return part.starts_with('{'); }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool DecodeSegment(std::string_view raw, std::string* decoded) {
  decoded->clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    char c = raw[i];
    if (c == '%') {
      if (i + 2 >= raw.size()) return false;
      const int high = HexDigit(raw[i + 1]), low = HexDigit(raw[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
    decoded->push_back(c);
  }
  return !decoded->empty() && FindInvalidUtf8(*decoded) == std::string_view::npos;
}

RouteTable::RouteTable(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (const Route& route : routes_) segments_.push_back({Split(route.path)});
}

RouteTable::Match RouteTable::Find(std::string_view method, std::string_view path) const {
  Match match;
  if (!path.starts_with(kPrefix)) return match;
  const std::vector<std::string> parts = Split(path.substr(kPrefix.size()));
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  std::optional<std::size_t> literal_count;
  std::vector<std::string_view> methods;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    const std::vector<std::string>& pattern = segments_[i].parts;
    if (pattern.size() != parts.size()) continue;
    std::vector<std::string> parameters;
    std::size_t literals = 0;
    bool fits = true;
    for (std::size_t at = 0; fits && at < parts.size(); ++at) {
      if (IsParameter(pattern[at])) {
        fits = DecodeSegment(parts[at], &parameters.emplace_back());
      } else {
        fits = parts[at] == pattern[at];
        ++literals;
      }
    }
    if (!fits || (literal_count && literals < *literal_count)) continue;
    if (!literal_count || literals > *literal_count) {
      literal_count = literals;
      match = {};
      methods.clear();
    }
    methods.push_back(routes_[i].method);
    if (routes_[i].method == wanted) {
      match.route = &routes_[i];
      match.parameters = std::move(parameters);
    }
  }
  if (methods.empty()) return match;
  for (const std::string_view one : methods) {
    match.allow.append(one).append(", ");
    if (one == "GET") match.allow.append("HEAD, ");
  }
  match.allow += "OPTIONS";
  return match;
}

}  // namespace weir::management::rest
