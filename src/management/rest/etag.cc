#include "management/rest/etag.h"

#include <algorithm>
#include <charconv>

namespace weir::management::rest {
namespace {

constexpr std::size_t kMostTags = 32;

std::optional<std::uint64_t> VersionOf(std::string_view quoted) {
  if (quoted.size() < 2 || quoted.front() != 'r') return std::nullopt;
  std::uint64_t version = 0;
  const char* const end = quoted.data() + quoted.size();
  const auto [at, fault] = std::from_chars(quoted.data() + 1, end, version);
  if (fault != std::errc() || at != end || (quoted[1] == '0' && quoted.size() > 2)) return std::nullopt;
  return version;
}

}  // namespace

std::string EntityTag(std::uint64_t version) { return "\"r" + std::to_string(version) + '"'; }

TagCondition ParseTags(std::string_view field) {
  TagCondition condition;
  if (field == "*") {
    condition.any = true;
    return condition;
  }
  for (std::size_t count = 0; !field.empty(); ++count) {
    while (field.starts_with(' ') || field.starts_with('\t')) field.remove_prefix(1);
    const bool weak = field.starts_with("W/");
    if (weak) field.remove_prefix(2);
    const std::size_t end = field.starts_with('"') ? field.find('"', 1) : std::string_view::npos;
    if (end == std::string_view::npos || count == kMostTags) {
      condition.malformed = true;
      return condition;
    }
    if (const auto version = VersionOf(field.substr(1, end - 1)); version && !weak) {
      condition.versions.push_back(*version);
    }
    field.remove_prefix(end + 1);
    while (field.starts_with(' ') || field.starts_with('\t')) field.remove_prefix(1);
    if (field.empty()) break;
    if (!field.starts_with(',')) {
      condition.malformed = true;
      return condition;
    }
    field.remove_prefix(1);
  }
  return condition;
}

bool Matches(const TagCondition& condition, std::optional<std::uint64_t> version) {
  if (!version) return false;
  return condition.any || std::ranges::find(condition.versions, *version) != condition.versions.end();
}

}  // namespace weir::management::rest
