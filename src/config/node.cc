#include "config/node.h"

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

std::size_t FindInvalidUtf8(std::string_view text) {
  std::size_t i = 0;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  while (i < text.size()) {
    const unsigned char lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                               : lead >= 0xE0 && lead < 0xF0 ? 3
                               : lead >= 0xF0 && lead < 0xF5 ? 4
                                                             : 0;
    if (length == 0 || text.size() - i < length) return i;
    for (std::size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return i;
    }
    const unsigned char second = byte(i + 1);
    const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
    const bool surrogate = lead == 0xED && second >= 0xA0;
    const bool beyond = lead == 0xF4 && second >= 0x90;
    if (overlong || surrogate || beyond) return i;
    i += length;
  }
  return std::string_view::npos;
}

}  // namespace weir::config
