// Trees to text, by the libraries that read it.
#include <yaml-cpp/emitter.h>
#include <yaml-cpp/emittermanip.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <string>

#include "config/document/node.h"

namespace weir::config {
namespace {

// YAML bounds the length of a key in front of a ':'; a longer one is announced by '?'.
constexpr std::size_t kLongestSimpleKey = 900;

bool IsReserved(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  constexpr std::string_view kWords[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
  return std::ranges::find(kWords, lower) != std::end(kWords);
}

// Text that every YAML reader takes for just this string without quotes; the library asks for less.
bool IsPlain(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || text.size() > 200 || IsReserved(text)) return false;
  if (!letter(text.front()) && text.front() != '/') return false;
  return std::ranges::all_of(
      text, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '-'; });
}

// Whether the text has one of the 66 noncharacters, as U+FFFE, which the library replaces by U+FFFD.
bool HasNoncharacter(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (byte(i) == 0xBF && byte(i + 1) >= 0xBE) return true;                         // U+xxFFFE, U+xxFFFF
    if (byte(i - 1) == 0xEF && byte(i) == 0xB7 && byte(i + 1) >= 0x90) return true;  // U+FDD0 to U+FDEF
  }
  return false;
}

// Text that is YAML already: the library writes it as it writes numbers.
struct Verbatim {
  std::string text;
  operator double() const {
    return 0;
  }  // NOLINT(google-explicit-constructor): WriteStreamable asks, and never calls it
  friend std::ostream& operator<<(std::ostream& out, const Verbatim& verbatim) { return out << verbatim.text; }
};

void EmitText(YAML::Emitter& out, const std::string& text) {
  if (HasNoncharacter(text)) {
    // A JSON string is a YAML one too.
    out.WriteStreamable(Verbatim{boost::json::serialize(boost::json::string_view(text))});
    return;
  }
  // Some readers take characters of these blocks (U+2028, U+FEFF) for a line break, or drop them.
  if (text.find('\xE2') != std::string::npos || text.find('\xEF') != std::string::npos) out << YAML::EscapeNonAscii;
  if (!IsPlain(text)) out << YAML::DoubleQuoted;
  out << text;
}

void EmitNode(YAML::Emitter& out, const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      out << YAML::Null;
      return;
    case Node::Kind::kBool:
    case Node::Kind::kNumber:
      out << node.text;
      return;
    case Node::Kind::kString:
    case Node::Kind::kPlain:
      return EmitText(out, node.text);
    case Node::Kind::kSequence:
      out << YAML::BeginSeq;
      for (const Node& child : node.children) EmitNode(out, child);
      out << YAML::EndSeq;
      return;
    case Node::Kind::kMap:
      out << YAML::BeginMap;
      for (const Node& child : node.children) {
        if (child.key.size() > kLongestSimpleKey) out << YAML::LongKey;
        out << YAML::Key;
        EmitText(out, child.key);
        out << YAML::Value;
        EmitNode(out, child);
      }
      out << YAML::EndMap;
      return;
  }
}

void AppendText(const std::string& text, std::string& out) {
  out += boost::json::serialize(boost::json::string_view(text));
}

// Numbers stay as they are written, which no value of the library would keep; and it does not indent.
void AppendJson(const Node& node, std::size_t indent, bool compact, std::string& out) {
  if (node.kind == Node::Kind::kNull) {
    out += "null";
    return;
  }
  if (node.IsText()) return AppendText(node.text, out);
  if (node.IsScalar()) {
    out += node.text;
    return;
  }
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
      AppendText(child.key, out);
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
  YAML::Emitter out;
  out.SetNullFormat(YAML::LowerNull);
  EmitNode(out, root);
  return std::string(out.c_str(), out.size()) + '\n';
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
