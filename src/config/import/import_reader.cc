#include "config/import/import_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace weir::config {
namespace {

constexpr std::size_t kMostErrors = 1'000;
constexpr std::size_t kMostWarnings = 200;

}  // namespace

std::string Describe(const FileFault& fault) { return weir::Describe(fault.fault, fault.file); }

bool HasError(const std::vector<FileFault>& faults) {
  return std::ranges::any_of(faults, [](const FileFault& one) { return one.fault.severity == Severity::kError; });
}

ImportReader::Scope::Scope(ImportReader& reader, std::string_view segment)
    : reader_(reader), length_(reader.path_.size()) {
  if (!reader.path_.empty()) reader.path_ += '.';
  reader.path_ += segment;
}

void ImportReader::Add(Severity severity, const Node& at, std::string message, std::string hint) {
  AddAt(severity, PlaceOf(at), std::move(message), std::move(hint));
}

void ImportReader::AddAt(Severity severity, TextPlace place, std::string message, std::string hint) {
  const bool is_error = severity == Severity::kError;
  std::size_t& count = is_error ? errors_ : warnings_;
  const std::size_t most = is_error ? kMostErrors : kMostWarnings;
  if (++count > most + 1) return;
  Fault fault{.severity = severity,
              .path = path_,
              .line = place.line,
              .column = place.column,
              .message = std::move(message),
              .hint = std::move(hint)};
  if (count == most + 1) {
    fault.path.clear();
    fault.message = fmt::format("there are more {}; the first {} are shown", is_error ? "faults" : "warnings", most);
    fault.hint.clear();
  }
  faults_.push_back({.file = file_, .fault = std::move(fault)});
}

bool ImportReader::ReadText(const Node& node, std::string& value) {
  if (!node.IsScalar()) {
    Error(node, "must be text, not " + Found(node));
    return false;
  }
  value = node.text;
  return true;
}

bool ImportReader::ReadName(const Node& node, std::string& value, std::size_t longest) {
  std::string text;
  if (!ReadText(node, text)) return false;
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(text, is_control)) {
    Error(node, Quoted(text) + " has control characters");
    return false;
  }
  if (text.size() > longest) {
    Error(node, fmt::format("is longer than {} bytes", longest));
    return false;
  }
  value = std::move(text);
  return true;
}

bool ImportReader::ReadFlag(const Node& node, bool& value) {
  constexpr std::string_view kYes[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"};
  constexpr std::string_view kNo[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"};
  if (node.kind == Node::Kind::kNull) return value = false, true;
  if (node.kind == Node::Kind::kPlain || node.kind == Node::Kind::kBool) {
    if (std::ranges::find(kYes, node.text) != std::end(kYes)) return value = true, true;
    if (std::ranges::find(kNo, node.text) != std::end(kNo)) return value = false, true;
  }
  const bool quoted = node.text == "true" || node.text == "false";
  Error(node, "must be true or false, not " + Found(node), quoted ? "write it without quotes" : "");
  return false;
}

bool ImportReader::ReadWhole(const Node& node, std::uint64_t most, std::uint64_t& value) {
  if (node.kind == Node::Kind::kNull) return value = 0, true;
  std::uint64_t number = 0;
  const char* const end = node.text.data() + node.text.size();
  const bool may_be = node.kind == Node::Kind::kPlain || node.kind == Node::Kind::kNumber;
  const auto [last, error] = std::from_chars(node.text.data(), end, number);
  if (!may_be || last != end || (error != std::errc() && error != std::errc::result_out_of_range)) {
    Error(node, "must be a whole number, not " + Found(node));
    return false;
  }
  if (error == std::errc::result_out_of_range || number > most) {
    Error(node, fmt::format("must be at most {}", most));
    return false;
  }
  value = number;
  return true;
}

bool ParseSource(const SourceText& source, Node& root, std::vector<FileFault>& faults, bool first_of_several) {
  ParsedTree tree = first_of_several ? ParseFirstYamlTree(source.text) : ParseYamlTree(source.text);
  for (Fault& fault : tree.faults) faults.push_back({.file = source.file, .fault = std::move(fault)});
  if (!tree.faults.empty()) return false;
  if (first_of_several && tree.second_line > 0) {
    faults.push_back(
        {.file = source.file,
         .fault = {.severity = Severity::kWarning,
                   .line = tree.second_line,
                   .column = 1,
                   .message = "only the first document of a file is read, there as here: nothing from this "
                              "line on has an effect",
                   .hint = "put each document in a file of its own"}});
  }
  root = std::move(tree.root);
  return true;
}

}  // namespace weir::config
