#include "config/snapshot/exempt_paths.h"

#include <algorithm>
#include <utility>

#include "base/path.h"

namespace weir::config {
namespace {

// A prefix ends wherever it likes, so only what lies before its last '/' is whole segments. What follows is the
// beginning of one: "/." or "/a/.." there are not dot segments yet.
std::string NormalPrefix(std::string_view prefix) {
  const std::size_t slash = prefix.rfind('/');
  if (slash == std::string_view::npos) return std::string(prefix);
  PathBuffer buffer;
  std::string normal(NormalizePath(prefix.substr(0, slash + 1), buffer).path);
  const std::string_view begun = prefix.substr(slash + 1);
  if (begun.find('%') == std::string_view::npos) return normal.append(begun);
  const std::string wrapped = 'x' + std::string(begun);  // hides dots from being read as a segment
  return normal.append(NormalizePath(wrapped, buffer).path.substr(1));
}

}  // namespace

ExemptPaths::ExemptPaths(const std::vector<std::string>& patterns) : exact_(patterns.size()) {
  std::vector<std::string> prefixes;
  for (const std::string& pattern : patterns) {
    if (pattern.ends_with('*')) {
      prefixes.push_back(NormalPrefix(std::string_view(pattern).substr(0, pattern.size() - 1)));
    } else {
      PathBuffer buffer;
      const std::string_view path = NormalizePath(pattern, buffer).path;
      if (!path.empty()) exact_.Insert(path, 0);  // an empty path is an unknown one
    }
  }
  std::ranges::sort(prefixes);
  for (std::string& prefix : prefixes) {
    if (prefixes_.empty() || !prefix.starts_with(prefixes_.back())) prefixes_.push_back(std::move(prefix));
  }
}

bool ExemptPaths::Contains(std::string_view normal_path) const {
  if (exact_.Contains(normal_path)) return true;
  if (prefixes_.empty()) return false;
  // Since no prefix begins with another, only the last one that sorts before the path can begin it.
  const auto after = std::ranges::upper_bound(prefixes_, normal_path, std::less<>{});
  return after != prefixes_.begin() && normal_path.starts_with(*std::prev(after));
}

}  // namespace weir::config
