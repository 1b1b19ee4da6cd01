// Paths that are exempt: exact ones, and prefixes written with a final '*'. As the basic limiter reads them: case
// matters, only the last '*' is stripped ("/a**" is the prefix "/a*"), a '*' elsewhere is itself, "/api/*" is not
// "/api".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/snapshot/string_map.h"

namespace weir::config {

// Patterns are client_limit to normal form (base/path.h) as the paths are that they are compared with. Thread-safe once
// built.
class ExemptPaths {
 public:
  explicit ExemptPaths(const std::vector<std::string>& patterns);
  ExemptPaths() = default;
  bool Contains(std::string_view normal_path) const;

 private:
  StringMap exact_;
  std::vector<std::string> prefixes_;  // sorted; none begins with another
};

}  // namespace weir::config
