#include "config/document/reader.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace weir::config {
namespace {

constexpr std::size_t kShownSegment = 120;
constexpr std::size_t kShownText = 60;
constexpr std::size_t kLongestWord = 64;

// Cuts at a character's start.
std::string_view Shortened(std::string_view text, std::size_t bound) {
  if (text.size() <= bound) return text;
  while (bound > 0 && (static_cast<unsigned char>(text[bound]) & 0xC0) == 0x80) --bound;
  return text.substr(0, bound);
}

// "redis://user:password@host" as "redis://***@host". A password may hold anything, also another '@' or a '/'.
std::string WithoutCredentials(std::string_view text) {
  const std::size_t scheme = text.find("://");
  const std::size_t at = text.rfind('@');
  if (scheme == std::string_view::npos || at == std::string_view::npos || at < scheme + 3) return std::string(text);
  return std::string(text.substr(0, scheme + 3)) + "***" + std::string(text.substr(at));
}

char Folded(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '-' || c == ' ' ? '_' : c;
}

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::array<std::array<std::size_t, kLongestWord + 1>, 3> rows;
  std::iota(rows[1].begin(), rows[1].end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[2];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = Folded(a[i - 1]) == Folded(b[j - 1]);
      row[j] = std::min({rows[1][j] + 1, row[j - 1] + 1, rows[1][j - 1] + (same ? 0U : 1U)});
      const bool swapped =
          i > 1 && j > 1 && Folded(a[i - 1]) == Folded(b[j - 2]) && Folded(a[i - 2]) == Folded(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], rows[0][j - 2] + 1);
    }
    rows[0] = rows[1];
    rows[1] = rows[2];
  }
  return rows[1][b.size()];
}

}  // namespace

Reader::Scope::Scope(Reader& reader, std::string_view segment) : reader_(reader), length_(reader.path_.size()) {
  if (!reader.path_.empty()) reader.path_ += '.';
  const std::string_view shown = Shortened(segment, kShownSegment);
  reader.path_ += shown;
  if (shown.size() < segment.size()) reader.path_ += "...";
}

void Reader::Add(TextPlace place, std::string message, std::string hint) {
  if (faults_.size() > kMaxFaults) return;
  Fault fault;
  if (faults_.size() == kMaxFaults) {
    fault.message = "there are more faults; the first " + std::to_string(kMaxFaults) + " are shown";
  } else {
    fault.path = path_;
    fault.line = place.line;
    fault.column = place.column;
    fault.message = std::move(message);
    fault.hint = std::move(hint);
  }
  faults_.push_back(std::move(fault));
}

TextPlace PlaceOf(const Node& node) {
  const bool on_line = node.IsScalar() && node.kind != Node::Kind::kNull;
  return on_line || node.key_line == 0 ? TextPlace{node.line, node.column} : TextPlace{node.key_line, node.key_column};
}

std::string Quoted(std::string_view whole) {
  const std::string masked = WithoutCredentials(whole);
  const std::string_view text = masked;
  const std::string_view shown = Shortened(text, kShownText);
  std::string result = "'";
  for (const char c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      constexpr std::string_view kHex = "0123456789abcdef";
      result += "\\x";
      result += kHex[static_cast<unsigned char>(c) >> 4];
      result += kHex[static_cast<unsigned char>(c) & 15];
    } else {
      result += c;
    }
  }
  if (shown.size() < text.size()) result += "...";
  return result + "'";
}

std::string Found(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMap:
      return "a mapping";
    case Node::Kind::kBool:
    case Node::Kind::kNumber:
      return std::string(Shortened(node.text, kShownText));
    case Node::Kind::kString:
    case Node::Kind::kPlain:
      return Quoted(node.text);
  }
  return "nothing";
}

std::string KindOf(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kBool:
      return "true or false";
    case Node::Kind::kNumber:
      return "a number";
    case Node::Kind::kString:
    case Node::Kind::kPlain:
      return "text";
    default:
      return Found(node);
  }
}

std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (word.empty() || word.size() > kLongestWord) return {};
  std::string_view nearest;
  // A third of the letters may be wrong, but never all of a short word.
  std::size_t best = std::min(word.size() - 1, std::max<std::size_t>(1, word.size() / 3)) + 1;
  for (const std::string_view candidate : candidates) {
    if (candidate.empty() || candidate.size() > kLongestWord) continue;
    const std::size_t distance = EditDistance(word, candidate);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates) {
  const std::string_view nearest = Nearest(word, candidates);
  return nearest.empty() ? std::string() : "did you mean '" + std::string(nearest) + "'?";
}

}  // namespace weir::config
