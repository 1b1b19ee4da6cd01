// JSON text to a tree. Boost.JSON judges the grammar; a cursor that walks along with its events knows the places.
#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>

#include "config/document/node.h"

namespace weir::config {
namespace {

namespace json = boost::json;

// Told of each event in the order of the text, and only of text that is valid so far: so from one event to the next the
// cursor has only blanks, ',' and ':' to skip.
class TreeBuilder {
 public:
  static constexpr std::size_t max_array_size = kMaxDocumentNodes;
  static constexpr std::size_t max_object_size = kMaxDocumentNodes;
  static constexpr std::size_t max_string_size = kMaxDocumentBytes;
  static constexpr std::size_t max_key_size = kMaxDocumentBytes;

  explicit TreeBuilder(std::string_view text) : text_(text) {}

  Node TakeRoot() { return std::move(root_); }
  bool too_many() const { return nodes_ > kMaxDocumentNodes; }
  std::uint32_t line() const { return line_; }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code& ec) { return Open(Node::Kind::kMap, ec); }
  bool on_object_end(std::size_t, json::error_code&) { return Close(); }
  bool on_array_begin(json::error_code& ec) { return Open(Node::Kind::kSequence, ec); }
  bool on_array_end(std::size_t, json::error_code&) { return Close(); }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    pending_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    pending_.append(part.data(), part.size());
    Skip();
    key_line_ = line_;
    key_column_ = static_cast<std::uint32_t>(cursor_ - line_start_) + 1;
    key_ = std::move(pending_);
    pending_.clear();
    PassString();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    pending_.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view part, std::size_t, json::error_code& ec) {
    pending_.append(part.data(), part.size());
    Node node = Begin(Node::Kind::kString);
    node.text = std::move(pending_);
    pending_.clear();
    PassString();
    return Attach(std::move(node), ec);
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, json::error_code& ec) { return PutNumber(ec); }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code& ec) { return PutNumber(ec); }
  bool on_double(double, json::string_view, json::error_code& ec) { return PutNumber(ec); }
  bool on_bool(bool value, json::error_code& ec) {
    Node node = Begin(Node::Kind::kBool);
    node.text = value ? "true" : "false";
    Advance(node.text.size());
    return Attach(std::move(node), ec);
  }
  bool on_null(json::error_code& ec) {
    Node node = Begin(Node::Kind::kNull);
    Advance(4);
    return Attach(std::move(node), ec);
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  void Advance(std::size_t count) {
    for (; count > 0 && cursor_ < text_.size(); --count, ++cursor_) {
      if (text_[cursor_] == '\n') {
        ++line_;
        line_start_ = cursor_ + 1;
      }
    }
  }
  void Skip() {
    while (cursor_ < text_.size() && std::string_view(" \t\r\n,:").find(text_[cursor_]) != std::string_view::npos) {
      Advance(1);
    }
  }
  void PassString() {
    Advance(1);
    while (cursor_ < text_.size() && text_[cursor_] != '"') Advance(text_[cursor_] == '\\' ? 2 : 1);
    Advance(1);
  }
  Node Begin(Node::Kind kind) {
    Skip();
    Node node;
    node.kind = kind;
    node.line = line_;
    node.column = static_cast<std::uint32_t>(cursor_ - line_start_) + 1;
    return node;
  }
  bool PutNumber(json::error_code& ec) {
    Node node = Begin(Node::Kind::kNumber);
    const std::size_t end = std::min(text_.find_first_not_of("+-.0123456789eE", cursor_), text_.size());
    node.text = text_.substr(cursor_, end - cursor_);
    Advance(end - cursor_);
    return Attach(std::move(node), ec);
  }
  bool Open(Node::Kind kind, json::error_code& ec) {
    Node node = Begin(kind);
    Advance(1);
    node.key = std::move(key_);
    node.key_line = key_line_;
    node.key_column = key_column_;
    key_.clear();
    open_.push_back(std::move(node));
    return Bounded(ec);
  }
  bool Close() {
    Skip();
    Advance(1);
    Node done = std::move(open_.back());
    open_.pop_back();
    (open_.empty() ? root_ : open_.back().children.emplace_back()) = std::move(done);
    return true;
  }
  bool Attach(Node node, json::error_code& ec) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else {
      node.key = std::move(key_);
      node.key_line = key_line_;
      node.key_column = key_column_;
      key_.clear();
      open_.back().children.push_back(std::move(node));
    }
    return Bounded(ec);
  }
  bool Bounded(json::error_code& ec) {
    if (++nodes_ <= kMaxDocumentNodes) return true;
    ec = json::make_error_code(json::error::array_too_large);
    return false;
  }

  std::string_view text_;
  std::size_t cursor_ = 0;
  std::size_t line_start_ = 0;
  std::uint32_t line_ = 1;
  std::uint32_t key_line_ = 0, key_column_ = 0;
  std::string key_;
  std::string pending_;
  Node root_;
  std::vector<Node> open_;
  std::size_t nodes_ = 0;
};

}  // namespace

ParsedTree ParseJsonTree(std::string_view text) {
  ParsedTree parsed;
  const auto refuse = [&](std::uint32_t line, std::string message, std::uint32_t column = 0) {
    Fault fault;
    fault.line = line;
    fault.column = column;
    fault.message = std::move(message);
    parsed.faults.push_back(std::move(fault));
  };
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.size() > kMaxDocumentBytes) {
    refuse(0, "the document is larger than 16 MiB");
    return parsed;
  }
  try {
    json::parse_options options;
    options.max_depth = kMaxDocumentDepth;
    json::basic_parser<TreeBuilder> parser(options, text);
    json::error_code ec;
    const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
    if (!ec && used < text.size()) ec = json::make_error_code(json::error::extra_data);
    if (ec) {
      const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(used, text.size()));
      const auto line = static_cast<std::uint32_t>(std::count(text.begin(), end, '\n')) + 1;
      const std::size_t line_start = text.substr(0, std::min(used, text.size())).rfind('\n') + 1;  // npos + 1 is 0
      const auto column = static_cast<std::uint32_t>(std::min(used, text.size()) - line_start) + 1;
      const bool too_deep = ec == json::make_error_code(json::error::too_deep);
      if (parser.handler().too_many()) {
        refuse(line, "too many values (more than " + std::to_string(kMaxDocumentNodes) + ")", column);
      } else if (too_deep) {
        refuse(line, "nested deeper than " + std::to_string(kMaxDocumentDepth) + " levels", column);
      } else {
        refuse(line, "not JSON: " + ec.message(), column);
      }
      return parsed;
    }
    parsed.root = parser.handler().TakeRoot();
  } catch (const std::exception& error) {
    refuse(0, std::string("not JSON: ") + error.what());
  }
  return parsed;
}

}  // namespace weir::config
