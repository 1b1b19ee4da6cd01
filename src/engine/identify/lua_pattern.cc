#include "engine/identify/lua_pattern.h"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace weir::engine {
namespace {

constexpr char kEscape = '%';

// A letter behind '%', as %a or %S. The daemon runs in the "C" locale.
bool ClassMatches(unsigned char c, unsigned char letter) {
  bool is = false;
  switch (letter | 0x20) {
    case 'a':
      is = std::isalpha(c) != 0;
      break;
    case 'c':
      is = std::iscntrl(c) != 0;
      break;
    case 'd':
      is = std::isdigit(c) != 0;
      break;
    case 'g':
      is = std::isgraph(c) != 0;
      break;
    case 'l':
      is = std::islower(c) != 0;
      break;
    case 'p':
      is = std::ispunct(c) != 0;
      break;
    case 's':
      is = std::isspace(c) != 0;
      break;
    case 'u':
      is = std::isupper(c) != 0;
      break;
    case 'w':
      is = std::isalnum(c) != 0;
      break;
    case 'x':
      is = std::isxdigit(c) != 0;
      break;
    default:
      return letter == c;  // not a class: the character itself
  }
  if (std::isalpha(letter) == 0) return letter == c;
  return std::isupper(letter) != 0 ? !is : is;
}

}  // namespace

PatternMatcher::End PatternMatcher::MatchAt(std::size_t start) {
  level_ = 0;
  const std::size_t end = Match(start, 0, kDeepest);
  if (broken_ == nullptr && !too_much_ && end != kNoMatch) {
    for (std::size_t i = 0; i < level_; ++i) {
      if (captures_[i].length == kOpen) Break("unfinished capture");
    }
  }
  if (broken_ != nullptr) return End::kBroken;
  if (too_much_) return End::kTooMuch;
  if (end == kNoMatch) return End::kNone;
  end_ = end;
  return End::kMatch;
}

PatternCapture PatternMatcher::capture(std::size_t index) const {
  const Capture& capture = captures_[index];
  if (capture.length == kPosition) return {.start = capture.start, .length = 0, .is_position = true};
  return {.start = capture.start, .length = capture.length, .is_position = false};
}

bool PatternMatcher::Step(std::uint64_t count) {
  if (steps_ < count) {
    steps_ = 0;
    too_much_ = true;
    return false;
  }
  steps_ -= count;
  return true;
}

std::size_t PatternMatcher::Break(const char* why) {
  if (broken_ == nullptr) broken_ = why;
  return kNoMatch;
}

// After every failure below, too_much_ and broken_ make all that is above fail too: none goes on with another way.
std::size_t PatternMatcher::Match(std::size_t at, std::size_t p, int depth) {
  if (depth == 0) return Break("pattern too complex");
  while (p < pattern_.size()) {
    if (broken_ != nullptr || !Step()) return kNoMatch;
    const char c = pattern_[p];
    if (c == '(') {
      const bool place = p + 1 < pattern_.size() && pattern_[p + 1] == ')';
      return place ? OpenCapture(at, p + 2, kPosition, depth) : OpenCapture(at, p + 1, kOpen, depth);
    }
    if (c == ')') return CloseCapture(at, p + 1, depth);
    if (c == '$' && p + 1 == pattern_.size()) return at == text_.size() ? at : kNoMatch;
    if (c == kEscape && p + 1 < pattern_.size()) {
      const char next = pattern_[p + 1];
      if (next == 'b') {
        at = MatchBalance(at, p + 2);
        if (at == kNoMatch) return kNoMatch;
        p += 4;
        continue;
      }
      if (next == 'f') {
        p = PassFrontier(at, p + 2);
        if (p == kNoMatch) return kNoMatch;
        continue;
      }
      if (next >= '0' && next <= '9') {
        at = MatchCapture(at, next);
        if (at == kNoMatch) return kNoMatch;
        p += 2;
        continue;
      }
    }
    const std::size_t item_end = ItemEnd(p);
    if (item_end == kNoMatch) return kNoMatch;
    const char suffix = item_end < pattern_.size() ? pattern_[item_end] : '\0';
    const bool may_be_none = suffix == '*' || suffix == '-' || suffix == '?';
    if (!SingleMatches(at, p, item_end)) {
      if (!may_be_none) return kNoMatch;
      p = item_end + 1;
      continue;
    }
    if (suffix == '*') return MatchMost(at, p, item_end, depth);
    if (suffix == '+') return MatchMost(at + 1, p, item_end, depth);
    if (suffix == '-') return MatchFewest(at, p, item_end, depth);
    if (suffix == '?') {
      const std::size_t end = Match(at + 1, item_end + 1, depth - 1);
      if (end != kNoMatch || broken_ != nullptr || too_much_) return end;
      p = item_end + 1;
      continue;
    }
    ++at;
    p = item_end;
  }
  return at;
}

// Behind the single character, class or set at `p`.
std::size_t PatternMatcher::ItemEnd(std::size_t p) {
  const char c = pattern_[p++];
  if (c == kEscape) return p == pattern_.size() ? Break("malformed pattern (ends with '%')") : p + 1;
  if (c != '[') return p;
  if (p < pattern_.size() && pattern_[p] == '^') ++p;
  do {  // a ']' right at the start is one of the set
    if (p == pattern_.size()) return Break("malformed pattern (missing ']')");
    if (!Step()) return kNoMatch;
    if (pattern_[p++] == kEscape && p < pattern_.size()) ++p;
  } while (p == pattern_.size() || pattern_[p] != ']');
  return p + 1;
}

bool PatternMatcher::SingleMatches(std::size_t at, std::size_t p, std::size_t item_end) {
  if (at >= text_.size()) return false;
  const auto c = static_cast<unsigned char>(text_[at]);
  switch (pattern_[p]) {
    case '.':
      return true;
    case kEscape:
      return ClassMatches(c, static_cast<unsigned char>(pattern_[p + 1]));
    case '[':
      return InSet(c, p, item_end - 1);
    default:
      return static_cast<unsigned char>(pattern_[p]) == c;
  }
}

// `p` at the '[', `last` at the ']'.
bool PatternMatcher::InSet(unsigned char c, std::size_t p, std::size_t last) {
  if (!Step((last - p) / 4 + 1)) return false;
  bool in = true;
  if (pattern_[p + 1] == '^') {
    in = false;
    ++p;
  }
  while (++p < last) {
    if (pattern_[p] == kEscape) {
      ++p;
      if (ClassMatches(c, static_cast<unsigned char>(pattern_[p]))) return in;
    } else if (pattern_[p + 1] == '-' && p + 2 < last) {
      if (static_cast<unsigned char>(pattern_[p]) <= c && c <= static_cast<unsigned char>(pattern_[p + 2])) return in;
      p += 2;
    } else if (static_cast<unsigned char>(pattern_[p]) == c) {
      return in;
    }
  }
  return !in;
}

std::size_t PatternMatcher::MatchBalance(std::size_t at, std::size_t p) {
  if (p + 1 >= pattern_.size()) return Break("malformed pattern (missing arguments to '%b')");
  if (at >= text_.size() || text_[at] != pattern_[p]) return kNoMatch;
  const char begin = pattern_[p], end = pattern_[p + 1];
  std::size_t open = 1;
  for (std::size_t i = at + 1; i < text_.size(); ++i) {
    if (!Step()) return kNoMatch;
    if (text_[i] == end) {
      if (--open == 0) return i + 1;
    } else if (text_[i] == begin) {
      ++open;
    }
  }
  return kNoMatch;
}

// Behind the set at `p` when the place is where what the set holds begins.
std::size_t PatternMatcher::PassFrontier(std::size_t at, std::size_t p) {
  if (p >= pattern_.size() || pattern_[p] != '[') return Break("missing '[' after '%f' in pattern");
  const std::size_t item_end = ItemEnd(p);
  if (item_end == kNoMatch) return kNoMatch;
  const auto before = at == 0 ? '\0' : text_[at - 1];
  const auto here = at < text_.size() ? text_[at] : '\0';
  const bool is = !InSet(static_cast<unsigned char>(before), p, item_end - 1) &&
                  InSet(static_cast<unsigned char>(here), p, item_end - 1);
  return is && !too_much_ ? item_end : kNoMatch;
}

std::size_t PatternMatcher::MatchMost(std::size_t at, std::size_t p, std::size_t item_end, int depth) {
  std::size_t count = 0;
  while (SingleMatches(at + count, p, item_end)) {
    if (!Step()) return kNoMatch;
    ++count;
  }
  for (std::size_t left = count + 1; left-- > 0;) {
    if (too_much_ || !Step()) return kNoMatch;
    const std::size_t end = Match(at + left, item_end + 1, depth - 1);
    if (end != kNoMatch || broken_ != nullptr || too_much_) return end;
  }
  return kNoMatch;
}

std::size_t PatternMatcher::MatchFewest(std::size_t at, std::size_t p, std::size_t item_end, int depth) {
  for (;;) {
    if (!Step()) return kNoMatch;
    const std::size_t end = Match(at, item_end + 1, depth - 1);
    if (end != kNoMatch || broken_ != nullptr || too_much_) return end;
    if (!SingleMatches(at, p, item_end)) return kNoMatch;
    ++at;
  }
}

std::size_t PatternMatcher::OpenCapture(std::size_t at, std::size_t p, std::size_t kind, int depth) {
  if (level_ >= kMostCaptures) return Break("too many captures");
  captures_[level_] = {.start = at, .length = kind};
  ++level_;
  const std::size_t end = Match(at, p, depth - 1);
  if (end == kNoMatch) --level_;
  return end;
}

std::size_t PatternMatcher::CloseCapture(std::size_t at, std::size_t p, int depth) {
  std::size_t open = level_;
  while (open > 0 && captures_[open - 1].length != kOpen) --open;
  if (open == 0) return Break("invalid pattern capture");
  captures_[open - 1].length = at - captures_[open - 1].start;
  const std::size_t end = Match(at, p, depth - 1);
  if (end == kNoMatch) captures_[open - 1].length = kOpen;
  return end;
}

// A back reference, as %1.
std::size_t PatternMatcher::MatchCapture(std::size_t at, char digit) {
  const auto index = static_cast<std::size_t>(digit - '1');  // '0' becomes the largest
  if (index >= level_ || captures_[index].length == kOpen) return Break("invalid capture index");
  // Lua takes a place for a text that is longer than any.
  const std::size_t length = captures_[index].length;
  if (length > text_.size() - at) return kNoMatch;
  if (!Step(1 + length / 16)) return kNoMatch;
  return std::memcmp(text_.data() + captures_[index].start, text_.data() + at, length) == 0 ? at + length : kNoMatch;
}

std::size_t FindPlain(std::string_view text, std::string_view what, std::size_t start, std::uint64_t& steps) {
  const auto spend = [&steps](std::uint64_t count) {
    const bool enough = count < steps;
    steps = enough ? steps - count : 0;
    return enough;
  };
  if (what.empty()) return start;
  while (start < text.size() && what.size() <= text.size() - start) {
    const std::size_t at = text.find(what.front(), start);
    if (!spend(1 + ((at == std::string_view::npos ? text.size() : at) - start) / 16)) return std::string_view::npos;
    if (at == std::string_view::npos || what.size() > text.size() - at) return std::string_view::npos;
    if (!spend(1 + what.size() / 16)) return std::string_view::npos;
    if (std::memcmp(text.data() + at, what.data(), what.size()) == 0) return at;
    start = at + 1;
  }
  return std::string_view::npos;
}

}  // namespace weir::engine
