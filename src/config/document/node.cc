#include "config/document/node.h"

#include <charconv>

namespace weir::config {

Node Node::Bool(bool value) {
  Node node;
  node.kind = Kind::kBool;
  node.text = value ? "true" : "false";
  return node;
}

Node Node::Number(std::string text) {
  Node node;
  node.kind = Kind::kNumber;
  node.text = std::move(text);
  return node;
}

Node Node::Number(std::uint64_t value) { return Number(std::to_string(value)); }

Node Node::String(std::string_view text) {
  Node node;
  node.kind = Kind::kString;
  node.text = text;
  return node;
}

Node Node::Sequence() {
  Node node;
  node.kind = Kind::kSequence;
  return node;
}

Node Node::Map() {
  Node node;
  node.kind = Kind::kMap;
  return node;
}

const Node* Node::Find(std::string_view child_key) const {
  if (kind != Kind::kMap) return nullptr;
  for (const Node& child : children) {
    if (child.key == child_key) return &child;
  }
  return nullptr;
}

Node& Node::Add(std::string_view child_key, Node value) {
  value.key = child_key;
  children.push_back(std::move(value));
  return children.back();
}

Node& Node::Add(Node value) {
  children.push_back(std::move(value));
  return children.back();
}

}  // namespace weir::config
