// Trees to text.
#include <algorithm>
#include <string>

#include "config/document/node.h"

namespace weir::config {
namespace {

// As a JSON string; also a valid YAML double-quoted scalar, which is why more is escaped than JSON asks for: whatever a
// YAML reader may fold, strip or take for a line break.
void AppendQuoted(std::string_view text, std::string& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto escape = [&](unsigned code) {
    out += "\\u";
    for (const unsigned shift : {12U, 8U, 4U, 0U}) out += kHex[(code >> shift) & 15U];
  };
  out += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      escape(byte);
    } else if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA1) {
      escape(static_cast<unsigned char>(text[++i]));  // C1 controls, no-break space
    } else if ((byte == 0xE2 || byte == 0xEF) && i + 2 < text.size()) {
      const unsigned code = ((byte & 15U) << 12) | ((static_cast<unsigned char>(text[i + 1]) & 63U) << 6) |
                            (static_cast<unsigned char>(text[i + 2]) & 63U);
      if (code == 0x2028 || code == 0x2029 || code == 0xFEFF || code >= 0xFFFE) {
        escape(code);
        i += 2;
      } else {
        out += c;
      }
    } else {
      out += c;
    }
  }
  out += '"';
}

bool IsReserved(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  constexpr std::string_view kWords[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
  return std::ranges::find(kWords, lower) != std::end(kWords);
}

// Text that every YAML reader takes for just this string without quotes.
bool IsPlain(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || text.size() > 200 || IsReserved(text)) return false;
  if (!letter(text.front()) && text.front() != '/') return false;
  return std::ranges::all_of(
      text, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '-'; });
}

void AppendYamlText(std::string_view text, std::string& out) {
  if (IsPlain(text)) {
    out += text;
  } else {
    AppendQuoted(text, out);
  }
}

void AppendScalar(const Node& node, std::string& out) {
  switch (node.kind) {
    case Node::Kind::kNull:
      out += "null";
      break;
    case Node::Kind::kBool:
    case Node::Kind::kNumber:
      out += node.text;
      break;
    default:
      AppendQuoted(node.text, out);
      break;
  }
}

class YamlWriter {
 public:
  explicit YamlWriter(std::string& out) : out_(out) {}

  // After "key:" or "-"; ends the line.
  void Value(const Node& node, std::size_t indent) {
    if (node.IsScalar()) {
      out_ += ' ';
      if (node.IsText()) {
        AppendYamlText(node.text, out_);
      } else {
        AppendScalar(node, out_);
      }
      out_ += '\n';
    } else if (node.children.empty()) {
      out_ += node.kind == Node::Kind::kMap ? " {}\n" : " []\n";
    } else {
      out_ += '\n';
      Block(node, indent);
    }
  }

  void Block(const Node& node, std::size_t indent) {
    for (const Node& child : node.children) {
      out_.append(indent, ' ');
      if (node.kind == Node::Kind::kSequence) {
        out_ += '-';
      } else {
        Key(child.key, indent);
      }
      Value(child, indent + 2);
    }
  }

 private:
  void Key(std::string_view key, std::size_t indent) {
    const std::size_t start = out_.size();
    AppendYamlText(key, out_);
    // YAML bounds the length of a key in front of a ':'; a longer one is announced by '?'.
    if (out_.size() - start > 900) {
      out_.insert(start, "? ");
      out_ += '\n';
      out_.append(indent, ' ');
    }
    out_ += ':';
  }

  std::string& out_;
};

void AppendJson(const Node& node, std::size_t indent, bool compact, std::string& out) {
  if (node.IsScalar()) return AppendScalar(node, out);
  const bool map = node.kind == Node::Kind::kMap;
  out += map ? '{' : '[';
  bool first = true;
  for (const Node& child : node.children) {
    if (!first) out += compact ? ", " : ",";
    first = false;
    if (!compact) {
      out += '\n';
      out.append(indent + 2, ' ');
    }
    if (map) {
      AppendQuoted(child.key, out);
      out += ": ";
    }
    AppendJson(child, indent + 2, compact, out);
  }
  if (!compact && !node.children.empty()) {
    out += '\n';
    out.append(indent, ' ');
  }
  out += map ? '}' : ']';
}

}  // namespace

std::string EmitYaml(const Node& root) {
  std::string out;
  YamlWriter writer(out);
  if (root.IsScalar() || root.children.empty()) {
    writer.Value(root, 0);
    return out.substr(1);
  }
  writer.Block(root, 0);
  return out;
}

std::string EmitJson(const Node& root) {
  std::string out;
  AppendJson(root, 0, false, out);
  out += '\n';
  return out;
}

std::string EmitCompactJson(const Node& root) {
  std::string out;
  AppendJson(root, 0, true, out);
  return out;
}

}  // namespace weir::config
