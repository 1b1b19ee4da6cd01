// For tests: endpoint patterns read slowly, straight from their text, by backtracking.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace weir::config::oracle {

// The segments of "/a/b" and "/a/b/".
inline std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    text.remove_prefix(1);
    const std::size_t end = std::min(text.find('/'), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  if (!parts.empty() && parts.back().empty()) parts.pop_back();
  return parts;
}

// The wildcards of a segment as '*', one for a run of them.
inline std::string Stars(std::string segment) {
  while (segment.find('{') != std::string::npos) {
    const std::size_t open = segment.find('{');
    segment.replace(open, segment.find('}') - open + 1, "*");
  }
  segment.erase(std::unique(segment.begin(), segment.end(), [](char a, char b) { return a == '*' && b == '*'; }),
                segment.end());
  return segment;
}

inline bool SlowGlob(std::string_view glob, std::string_view text) {
  if (glob.empty()) return text.empty();
  if (glob[0] != '*') return !text.empty() && glob[0] == text[0] && SlowGlob(glob.substr(1), text.substr(1));
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (SlowGlob(glob.substr(1), text.substr(i))) return true;
  }
  return false;
}

inline bool IsRest(std::string_view pattern) { return pattern.ends_with("/*") || pattern.ends_with("/**"); }

inline std::vector<std::string> SlowSegments(const std::string& pattern) {
  std::vector<std::string> segments = Split(pattern);
  if (IsRest(pattern)) segments.pop_back();
  for (std::string& segment : segments) segment = Stars(segment);
  return segments;
}

inline bool SlowMatch(const std::string& pattern, const std::string& path) {
  const auto segments = SlowSegments(pattern);
  const auto parts = Split(path);
  if (parts.size() < segments.size() || (!IsRest(pattern) && parts.size() > segments.size())) return false;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (!SlowGlob(segments[i], parts[i])) return false;
  }
  return true;
}

// Smaller is more specific. {class, -fixed characters, -beginning, -end}.
inline std::tuple<int, int, int, int> SegmentRank(const std::string& segment) {
  if (segment.find('*') == std::string::npos) return {0, 0, 0, 0};
  if (segment == "*") return {2, 0, 0, 0};
  const int stars = static_cast<int>(std::ranges::count(segment, '*'));
  const int begins = static_cast<int>(segment.find('*'));
  const int ends = static_cast<int>(segment.size() - segment.rfind('*')) - 1;
  return {1, stars - static_cast<int>(segment.size()), -begins, -ends};
}

// -1, 1, or 0 when neither is more specific. What heeds case goes before what ignores it, in a segment that has letters
// to heed.
inline int SlowCompare(const std::string& a, const std::string& b, bool a_any_case = false, bool b_any_case = false) {
  const auto x = SlowSegments(a);
  const auto y = SlowSegments(b);
  for (std::size_t i = 0; i < std::max(x.size(), y.size()); ++i) {
    // Where one has no segment any more it takes the rest, or it would not match what the other matches.
    if (i >= x.size()) return 1;
    if (i >= y.size()) return -1;
    if (x[i] == y[i] && (a_any_case == b_any_case || x[i] == "*")) continue;
    const auto left = SegmentRank(x[i]);
    const auto right = SegmentRank(y[i]);
    if (left != right) return left < right ? -1 : 1;
    return a_any_case == b_any_case ? 0 : a_any_case ? 1 : -1;
  }
  if (IsRest(a) != IsRest(b)) return IsRest(a) ? 1 : -1;
  return 0;
}

}  // namespace weir::config::oracle
