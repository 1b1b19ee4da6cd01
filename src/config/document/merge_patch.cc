#include "config/document/merge_patch.h"

#include <utility>

namespace weir::config {

Node MergePatch(Node target, const Node& patch) {
  if (patch.kind != Node::Kind::kMap) {
    Node replaced = patch;
    replaced.key = std::move(target.key);
    return replaced;
  }
  if (target.kind != Node::Kind::kMap) {
    Node empty = Node::Map();
    empty.key = std::move(target.key);
    target = std::move(empty);
  }
  for (const Node& change : patch.children) {
    const auto is_it = [&](const Node& child) { return child.key == change.key; };
    if (change.kind == Node::Kind::kNull) {
      std::erase_if(target.children, is_it);
      continue;
    }
    Node before;
    if (const Node* const found = target.Find(change.key); found != nullptr) before = *found;
    before.key = change.key;
    Node after = MergePatch(std::move(before), change);
    if (target.Find(change.key) == nullptr) {
      target.children.push_back(std::move(after));
      continue;
    }
    for (Node& child : target.children) {
      if (is_it(child)) child = after;
    }
  }
  return target;
}

}  // namespace weir::config
