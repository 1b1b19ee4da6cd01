// Entity tags: the number of the revision that made a record what it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::management::rest {

// "\"r17\""; of something without a record of its own (it is the file's) "\"r0\"".
std::string EntityTag(std::uint64_t version);

// What an If-Match or If-None-Match field says.
struct TagCondition {
  bool any = false;  // "*"
  std::vector<std::uint64_t> versions;
  bool malformed = false;
};
// Unknown tags are none of ours: they match nothing. Weak tags never match (RFC 9110, 13.1.1).
TagCondition ParseTags(std::string_view field);
bool Matches(const TagCondition& condition, std::optional<std::uint64_t> version);

}  // namespace weir::management::rest
