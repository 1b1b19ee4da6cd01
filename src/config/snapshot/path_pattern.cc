#include "config/snapshot/path_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/ascii.h"
#include "base/path.h"

namespace weir::config {
namespace {

constexpr std::size_t kMostSegments = 64;

std::unexpected<Error> Wrong(std::string message) { return Fail(ErrorCode::kInvalidArgument, std::move(message)); }

// A fixed piece as it looks in a path in normal form. Pieces hold no '/', so nothing but escapes can change.
std::string DecodePiece(std::string_view piece) {
  if (piece.find('%') == std::string_view::npos) return std::string(piece);
  // Between two letters nothing reads as a dot segment.
  PathBuffer buffer;
  const std::string wrapped = fmt::format("x{}x", piece);
  std::string decoded(NormalizePath(wrapped, buffer).path);
  return decoded.substr(1, decoded.size() - 2);
}

struct Split {
  std::vector<std::string> pieces;
  bool whole_wildcard = false;  // nothing but one wildcard
};

// Cuts a segment at its wildcards.
Result<Split> SplitAtWildcards(std::string_view segment) {
  Split split;
  std::size_t start = 0;
  bool after_wildcard = false;
  for (std::size_t i = 0; i < segment.size();) {
    const char c = segment[i];
    if (c == '}') return Wrong(fmt::format("'}}' without '{{' in '{}'", segment));
    if (c != '*' && c != '{') {
      after_wildcard = false;
      ++i;
      continue;
    }
    std::size_t end = i + 1;
    if (c == '{') {
      const std::size_t close = segment.find('}', i);
      if (close == std::string_view::npos) return Wrong(fmt::format("'{{' without '}}' in '{}'", segment));
      const std::string_view name = segment.substr(i + 1, close - i - 1);
      if (name.empty() || name.find_first_of("{:*") != std::string_view::npos) {
        return Wrong(fmt::format("'{{{}}}' is not a parameter; write a plain name in braces, such as {{id}}", name));
      }
      end = close + 1;
    }
    if (!after_wildcard) split.pieces.push_back(DecodePiece(segment.substr(start, i - start)));
    after_wildcard = true;
    start = i = end;
  }
  split.pieces.push_back(DecodePiece(segment.substr(start)));
  split.whole_wildcard = split.pieces.size() == 2 && split.pieces[0].empty() && split.pieces[1].empty();
  return split;
}

Result<PathSegment> ParseSegment(std::string_view segment) {
  if (segment.find("**") != std::string_view::npos) return Wrong("'**' stands for the rest and can only end a pattern");
  auto split = SplitAtWildcards(segment);
  if (!split) return std::unexpected(split.error());
  PathSegment parsed;
  if (split->whole_wildcard) {
    parsed.kind = PathSegment::Kind::kAny;
  } else if (split->pieces.size() > 1) {
    parsed.kind = PathSegment::Kind::kGlob;
    parsed.glob.pieces = std::move(split->pieces);
  } else {
    parsed.literal = std::move(split->pieces[0]);
    if (parsed.literal == "." || parsed.literal == "..") {
      return Wrong("'.' and '..' segments are removed from a path before it is matched, so this can never match");
    }
  }
  return parsed;
}

auto SpecificityOf(const Glob& glob) {
  return std::tuple(glob.FixedSize(), glob.pieces.front().size(), glob.pieces.back().size(), !glob.ignore_case);
}

PathPattern InLowerCase(PathPattern pattern) {
  for (PathSegment& segment : pattern.segments) {
    if (segment.kind == PathSegment::Kind::kLiteral) {
      segment.literal = LowerCase(segment.literal);
      segment.ignore_case = true;
    } else if (segment.kind == PathSegment::Kind::kGlob) {
      for (std::string& piece : segment.glob.pieces) piece = LowerCase(piece);
      segment.glob.ignore_case = true;
    }
  }
  return pattern;
}

Glob InLowerCase(Glob glob) {
  for (std::string& piece : glob.pieces) piece = LowerCase(piece);
  glob.ignore_case = true;
  return glob;
}

// Whether some spelling of the literal matches.
bool LiteralOverlaps(const PathSegment& literal, const Glob& glob) {
  return literal.ignore_case ? InLowerCase(glob).Matches(literal.literal) : glob.Matches(literal.literal);
}

// The first place of `piece`, which is in lower case.
std::size_t FindIgnoringCase(std::string_view text, std::string_view piece) {
  for (std::size_t i = 0; i + piece.size() <= text.size(); ++i) {
    if (EqualsIgnoreCase(text.substr(i, piece.size()), piece)) return i;
  }
  return std::string_view::npos;
}

// Fixed characters and kStar for a wildcard.
constexpr int kStar = -1;
std::vector<int> Tokens(const Glob& glob, bool ignore_case) {
  std::vector<int> tokens;
  for (std::size_t i = 0; i < glob.pieces.size(); ++i) {
    if (i > 0) tokens.push_back(kStar);
    for (const char c : glob.pieces[i]) tokens.push_back(static_cast<unsigned char>(ignore_case ? AsciiLower(c) : c));
  }
  return tokens;
}

bool SegmentsOverlap(const PathSegment& a, const PathSegment& b) {
  using Kind = PathSegment::Kind;
  if (a.kind == Kind::kAny || b.kind == Kind::kAny) return true;
  if (a.kind == Kind::kLiteral && b.kind == Kind::kLiteral) {
    return a.ignore_case || b.ignore_case ? EqualsIgnoreCase(a.literal, b.literal) : a.literal == b.literal;
  }
  if (a.kind == Kind::kLiteral) return LiteralOverlaps(a, b.glob);
  if (b.kind == Kind::kLiteral) return LiteralOverlaps(b, a.glob);
  return Overlap(a.glob, b.glob);
}

}  // namespace

bool Glob::Matches(std::string_view segment) const {
  const std::string& head = pieces.front();
  const std::string& tail = pieces.back();
  if (segment.size() < head.size() + tail.size()) return false;
  if (ignore_case) {
    if (!EqualsIgnoreCase(segment.substr(0, head.size()), head)) return false;
    if (!EqualsIgnoreCase(segment.substr(segment.size() - tail.size()), tail)) return false;
  } else if (!segment.starts_with(head) || !segment.ends_with(tail)) {
    return false;
  }
  std::string_view middle = segment.substr(head.size(), segment.size() - head.size() - tail.size());
  for (std::size_t i = 1; i + 1 < pieces.size(); ++i) {
    const std::size_t found = ignore_case ? FindIgnoringCase(middle, pieces[i]) : middle.find(pieces[i]);
    if (found == std::string_view::npos) return false;
    middle.remove_prefix(found + pieces[i].size());
  }
  return true;
}

std::size_t Glob::FixedSize() const {
  std::size_t size = 0;
  for (const std::string& piece : pieces) size += piece.size();
  return size;
}

Result<PathPattern> ParsePathPattern(std::string_view text, bool ignore_case) {
  if (ignore_case) {
    auto pattern = ParsePathPattern(text);
    if (!pattern) return pattern;
    return InLowerCase(std::move(*pattern));
  }
  if (text.size() > kMostPatternBytes) {
    return Wrong(fmt::format("a pattern is at most {} bytes long", kMostPatternBytes));
  }
  PathPattern pattern;
  if (text == "*" || text == "**") {
    pattern.rest = true;
    return pattern;
  }
  if (!text.starts_with('/')) return Wrong("a pattern begins with '/'");
  if (text.find_first_of("?#") != std::string_view::npos) {
    return Wrong("a pattern is matched with the path alone; leave out '?' and '#' and what follows");
  }
  text.remove_prefix(1);
  if (text.ends_with('/') && text.size() > 1) text.remove_suffix(1);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('/'), text.size());
    const std::string_view segment = text.substr(0, end);
    const bool last = end == text.size();
    if (last && (segment == "*" || segment == "**")) {
      pattern.rest = true;
      return pattern;
    }
    if (segment.empty()) return Wrong("an empty segment ('//') can never match, since '//' in a path is read as '/'");
    if (pattern.segments.size() == kMostSegments) {
      return Wrong(fmt::format("a pattern has at most {} segments", kMostSegments));
    }
    auto parsed = ParseSegment(segment);
    if (!parsed) return std::unexpected(parsed.error());
    pattern.segments.push_back(std::move(*parsed));
    if (last) break;
    text.remove_prefix(end + 1);
    if (text.empty()) return Wrong("an empty segment ('//') can never match, since '//' in a path is read as '/'");
  }
  return pattern;
}

std::weak_ordering CompareSpecificity(const Glob& a, const Glob& b) { return SpecificityOf(b) <=> SpecificityOf(a); }

bool Overlap(const Glob& a, const Glob& b) {
  // reach[j]: the first i tokens of `a` and the first j of `b` can stand for the same text.
  const bool ignore_case = a.ignore_case || b.ignore_case;
  const std::vector<int> x = Tokens(a, ignore_case);
  const std::vector<int> y = Tokens(b, ignore_case);
  std::vector<bool> reach(y.size() + 1);
  reach[0] = true;
  for (std::size_t j = 0; j < y.size(); ++j) reach[j + 1] = reach[j] && y[j] == kStar;
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::vector<bool> next(y.size() + 1);
    next[0] = reach[0] && x[i] == kStar;
    for (std::size_t j = 0; j < y.size(); ++j) {
      if (x[i] == kStar || y[j] == kStar) {
        // Either a star stands for nothing here, or the one that ends its side takes what the other side adds.
        next[j + 1] = reach[j + 1] || next[j];
      } else {
        next[j + 1] = reach[j] && x[i] == y[j];
      }
    }
    reach = std::move(next);
  }
  return reach[y.size()];
}

bool Overlap(const PathPattern& a, const PathPattern& b) {
  const std::size_t shared = std::min(a.segments.size(), b.segments.size());
  for (std::size_t i = 0; i < shared; ++i) {
    if (!SegmentsOverlap(a.segments[i], b.segments[i])) return false;
  }
  return (a.segments.size() <= shared || b.rest) && (b.segments.size() <= shared || a.rest);
}

}  // namespace weir::config
