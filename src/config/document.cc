#include "config/document.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "config/schema.h"

namespace weir {

bool ParsedConfig::ok() const {
  return std::ranges::none_of(faults, [](const Fault& fault) { return fault.severity == Severity::kError; });
}

std::string Describe(const Fault& fault, std::string_view file) {
  std::string text;
  if (!file.empty()) {
    text += std::string(file) + ':';
    if (fault.line > 0) text += std::to_string(fault.line) + ':';
    text += ' ';
  } else if (fault.line > 0) {
    text += "line " + std::to_string(fault.line) + ": ";
  }
  if (fault.severity == Severity::kWarning) text += "warning: ";
  if (!fault.path.empty()) text += fault.path + ": ";
  text += fault.message;
  if (!fault.hint.empty()) text += " (" + fault.hint + ")";
  return text;
}

namespace {

bool IsAtOrBelow(std::string_view path, std::string_view above) {
  return path.starts_with(above) && (path.size() == above.size() || path[above.size()] == '.');
}

// Whether a fault of meaning may be there only because a part of the document could not be read.
bool MayFollow(const Fault& meaning, const Fault& structure) {
  if (structure.path.empty()) return IsAtOrBelow(meaning.path, "global") && meaning.message.ends_with("missing");
  if (IsAtOrBelow(structure.path, meaning.path)) return true;
  if (structure.message.ends_with("is missing") && IsAtOrBelow(meaning.path, structure.path)) return true;
  const bool inherited = IsAtOrBelow(structure.path, "global") || IsAtOrBelow(structure.path, "templates");
  return inherited && meaning.message.ends_with("missing");
}

}  // namespace

ParsedConfig ParseConfig(std::string_view text, DocumentFormat format) {
  ParsedConfig parsed;
  if (format == DocumentFormat::kAuto) {
    const std::string_view body = text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text;
    const std::size_t first = body.find_first_not_of(" \t\r\n");
    format = first != std::string_view::npos && body[first] == '{' ? DocumentFormat::kJson : DocumentFormat::kYaml;
  }
  config::ParsedTree tree = format == DocumentFormat::kJson ? config::ParseJsonTree(text) : config::ParseYamlTree(text);
  if (!tree.faults.empty()) {
    parsed.faults = std::move(tree.faults);
    return parsed;
  }
  parsed.faults = config::ReadDocument(tree.root, parsed.config);
  // Meaning is judged also of a document with faults: all that can be told is told at once.
  std::vector<Fault> meaning = config::CheckMeaning(parsed.config, tree.root);
  std::erase_if(meaning, [&](const Fault& one) {
    return std::ranges::any_of(parsed.faults, [&](const Fault& structure) { return MayFollow(one, structure); });
  });
  std::ranges::move(meaning, std::back_inserter(parsed.faults));
  std::ranges::stable_sort(parsed.faults, {}, &Fault::line);
  return parsed;
}

std::vector<Fault> ValidateConfig(const EnterpriseRateLimitConfig& config) {
  EnterpriseRateLimitConfig read_back;
  std::vector<Fault> faults = config::ReadDocument(config::WriteDocument(config), read_back);
  std::vector<Fault> meaning = config::CheckMeaning(config, config::Node::Map());
  std::ranges::move(meaning, std::back_inserter(faults));
  return faults;
}

Result<EnterpriseRateLimitConfig> LoadConfigFile(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return Fail(ErrorCode::kNotFound, "there is no file '" + path + "'");
  if (std::filesystem::is_directory(status)) return Fail(ErrorCode::kInvalidArgument, "'" + path + "' is a directory");
  std::ifstream file(path, std::ios::binary);
  if (!file) return Fail(ErrorCode::kNotFound, "cannot open '" + path + "'");
  // One byte more than is allowed, so that a larger file is seen to be larger without being read whole.
  std::string text(config::kMaxDocumentBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return Fail(ErrorCode::kUnavailable, "cannot read '" + path + "'");

  ParsedConfig parsed = ParseConfig(text);
  if (parsed.ok()) return std::move(parsed.config);
  std::string message;
  for (const Fault& fault : parsed.faults) {
    if (!message.empty()) message += '\n';
    message += Describe(fault, path);
  }
  return Fail(ErrorCode::kInvalidArgument, std::move(message));
}

std::string ToYaml(const EnterpriseRateLimitConfig& config) { return config::EmitYaml(config::WriteDocument(config)); }
std::string ToJson(const EnterpriseRateLimitConfig& config) { return config::EmitJson(config::WriteDocument(config)); }

std::string ConfigJsonSchema() {
  using config::Node;
  config::SchemaBuilder builder;
  const Node reference = config::DocumentType()->Schema(builder);
  Node schema = Node::Map();
  schema.Add("$schema", Node::String("https://json-schema.org/draft/2020-12/schema"));
  schema.Add("title", Node::String("weir configuration"));
  schema.Add("$ref", Node::String(reference.Find("$ref")->text));
  schema.Add("$defs", std::move(builder.definitions));
  return config::EmitJson(schema);
}

std::string ConfigReferenceMarkdown() {
  using config::Section;
  std::string markdown =
      "# The configuration document\n\n"
      "<!-- Generated by `weir schema --markdown` from the field tables; do not edit. -->\n\n"
      "One document in YAML or JSON configures everything. Both have the same fields; JSON is recognised by its first "
      "`{`. Names are `snake_case`; names of choices may also be written in `PascalCase` (`{\"TokenBucket\": {...}}`). "
      "What is not written has the default named here. Durations are in the unit that their name ends in, or in "
      "seconds.\n\n"
      "`weir validate FILE` reports every fault at once, with its path and line. `weir schema` prints the JSON Schema "
      "that "
      "editors understand. YAML anchors, aliases and merge keys (`<<`) work. A document may have up to 16 MiB, 64 "
      "levels "
      "and 2,000,000 values.\n\n"
      "## How levels combine\n\n"
      "The base rule of a request is its user's, else its tenant's, else its tier's. A more specific level inherits "
      "every "
      "field that it does not write; when it writes other numbers and inherits an algorithm with numbers of its own, "
      "those "
      "are scaled along. An endpoint's rule replaces the base rule or, with `combine: stack`, holds beside it. "
      "Aggregates, "
      "quotas and ip rules always hold beside the others. A request passes only if every rule passes, and a denied "
      "request "
      "consumes nothing.\n";
  std::vector<const Section*> queue;
  config::DocumentType()->AddSections(queue);
  std::vector<std::string_view> done;
  for (std::size_t i = 0; i < queue.size(); ++i) {
    const Section* section = queue[i];
    if (std::ranges::find(done, section->name()) != done.end()) continue;
    done.push_back(section->name());
    markdown += "\n## " + section->name() + "\n\n";
    section->Describe(markdown);
    section->AddParts(queue);
  }
  return markdown;
}

namespace config {

std::vector<Fault> ReadDocument(const Node& root, EnterpriseRateLimitConfig& config) {
  std::vector<Fault> faults;
  Reader reader(faults);
  DocumentType()->Read(root, &config, reader);
  return faults;
}

Node WriteDocument(const EnterpriseRateLimitConfig& config) { return DocumentType()->Write(&config); }

}  // namespace config
}  // namespace weir
