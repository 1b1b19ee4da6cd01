#include "config/snapshot/path_trie.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/ascii.h"
#include "base/hash.h"

namespace weir::config {
namespace {

// Up to this many literal children are compared one by one: that is faster than hashing the segment.
constexpr std::uint32_t kFewLiterals = 4;

std::uint32_t TagOf(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

}  // namespace

bool PathTrie::HasText(const Node& node, std::string_view text) const {
  return node.text.count == text.size() && std::memcmp(texts_.data() + node.text.first, text.data(), text.size()) == 0;
}

const PathTrie::Node* PathTrie::FindLiteral(const Node& node, std::string_view segment) const {
  return node.literals.count == 0 ? nullptr : FindAmong(node, node.literals, segment);
}

const PathTrie::Node* PathTrie::FindCaseless(const Node& node, std::string_view segment) const {
  if (node.caseless.count == 0 || segment.size() > longest_caseless_) [[likely]]
    return nullptr;
  std::array<char, kMostPatternBytes> lower;
  std::ranges::transform(segment, lower.begin(), [](char c) { return AsciiLower(c); });
  return FindAmong(node, node.caseless, {lower.data(), segment.size()});
}

std::uint64_t PathTrie::HashOf(const Node& node, const Range& children, std::string_view segment) const {
  const auto index = static_cast<std::uint64_t>(&node - nodes_.data());
  return Hash64(segment, 2 * index + (&children == &node.caseless ? 1 : 0));
}

// `children`: the node's literals or caseless ones.
const PathTrie::Node* PathTrie::FindAmong(const Node& node, const Range& children, std::string_view segment) const {
  if (children.count <= kFewLiterals) {
    for (std::uint32_t i = 0; i < children.count; ++i) {
      const Node& child = nodes_[children.first + i];
      if (HasText(child, segment)) return &child;
    }
    return nullptr;
  }
  const std::uint64_t hash = HashOf(node, children, segment);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask; slots_[i].node != kNone; i = (i + 1) & mask) {
    if (slots_[i].tag != TagOf(hash)) continue;
    const std::uint32_t child = slots_[i].node;
    if (child - children.first < children.count && HasText(nodes_[child], segment)) return &nodes_[child];
  }
  return nullptr;
}

void PathTrie::IndexLiterals() {
  std::size_t many = 0;
  const auto indexed = [](const Range& children) { return children.count > kFewLiterals ? children.count : 0; };
  for (const Node& node : nodes_) many += indexed(node.literals) + indexed(node.caseless);
  if (many == 0) return;
  slots_.assign(std::bit_ceil(many * 2), {});
  const std::size_t mask = slots_.size() - 1;
  for (const Node& node : nodes_) {
    for (const Range* const children : {&node.literals, &node.caseless}) {
      for (std::uint32_t child = children->first; child < children->first + indexed(*children); ++child) {
        const Range text = nodes_[child].text;
        const std::uint64_t hash = HashOf(node, *children, std::string_view(texts_).substr(text.first, text.count));
        std::size_t i = hash & mask;
        while (slots_[i].node != kNone) i = (i + 1) & mask;
        slots_[i] = {.tag = TagOf(hash), .node = child};
      }
    }
  }
}

bool PathTrie::Offer(const Range& values, absl::FunctionRef<bool(std::uint32_t)> visit) const {
  for (std::uint32_t i = 0; i < values.count; ++i) {
    if (visit(values_[values.first + i])) return true;
  }
  return false;
}

bool PathTrie::Visit(std::string_view path, absl::FunctionRef<bool(std::uint32_t)> visit) const {
  if (path.empty()) return false;
  if (path.front() == '/') path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  return VisitFrom(nodes_[0], path, visit);
}

// Goes no deeper than the deepest pattern, which ParsePathPattern bounds.
bool PathTrie::VisitFrom(const Node& node, std::string_view path, absl::FunctionRef<bool(std::uint32_t)> visit) const {
  if (path.empty()) return Offer(node.here, visit) || Offer(node.rest, visit);
  if (node.literals.count != 0 || node.caseless.count != 0 || node.any != kNone || node.globs.count != 0) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    const std::string_view behind = path.substr(std::min(end + 1, path.size()));
    const Node* const literal = FindLiteral(node, segment);
    if (literal != nullptr && VisitFrom(*literal, behind, visit)) return true;
    const Node* const caseless = FindCaseless(node, segment);
    if (caseless != nullptr && VisitFrom(*caseless, behind, visit)) return true;
    for (std::uint32_t i = 0; i < node.globs.count; ++i) {
      const GlobChild& child = globs_[node.globs.first + i];
      if (child.glob.Matches(segment) && VisitFrom(nodes_[child.node], behind, visit)) return true;
    }
    if (node.any != kNone && VisitFrom(nodes_[node.any], behind, visit)) return true;
  }
  return Offer(node.rest, visit);
}

}  // namespace weir::config
