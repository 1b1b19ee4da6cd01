#include "config/source/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "config/document/node.h"
#include "config/document/reader.h"
#include "config/import/import_envoy.h"

namespace weir::config {
namespace {

namespace fs = std::filesystem;

// Every file, as envoyproxy/ratelimit takes them: one that is meant to limit is not missed for its name. Hidden ones
// are a ConfigMap's own.
bool IsSource(const fs::path& path) { return !path.filename().string().starts_with('.'); }

constexpr int kDeepestDirectory = 16;
constexpr std::size_t kMostFiles = 10'000;

void AddFault(const std::string& file, std::string message, std::vector<FileFault>& faults) {
  faults.push_back({.file = file, .fault = {.message = std::move(message)}});
}

// Its files and those of the directories below, in that server's order; a fault when it has none: a limit that is meant
// to be there is not silently missed.
std::vector<std::string> FilesIn(const std::string& directory, std::vector<FileFault>& faults) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator one(directory, error), end; !error && one != end; one.increment(error)) {
    std::error_code ignored;
    const bool is_directory = one->is_directory(ignored);  // also a link to one, which is not followed
    if (is_directory && (!IsSource(one->path()) || one.depth() >= kDeepestDirectory)) one.disable_recursion_pending();
    if (!is_directory && IsSource(one->path())) files.push_back(one->path().string());
    if (files.size() > kMostFiles) {
      AddFault(directory, fmt::format("the directory has more than {} files", kMostFiles), faults);
      return {};
    }
  }
  if (error) {
    AddFault(directory, "cannot read the directory: " + error.message(), faults);
  } else if (files.empty()) {
    AddFault(directory, "the directory has no file", faults);
  }
  // It names what it finds by its path, with '.' for '/'.
  std::ranges::sort(files, {}, [](std::string name) {
    std::ranges::replace(name, '/', '.');
    return name;
  });
  return files;
}

}  // namespace

Result<std::string> ReadTextFile(const std::string& path) { return ReadRegularFile(path, kMaxDocumentBytes); }

std::uint32_t LineWith(std::string_view text, std::string_view what) {
  const std::size_t at = text.find(what);
  if (at == std::string_view::npos) return 0;
  return static_cast<std::uint32_t>(1 + std::ranges::count(text.substr(0, at), '\n'));
}

std::string FromDirectoryOf(const std::string& document, const std::string& name) {
  const fs::path path(name);
  return path.is_absolute() ? name : (fs::path(document).parent_path() / path).string();
}

std::vector<SourceText> ReadEnvoyFiles(const std::vector<std::string>& names, std::vector<FileFault>& faults) {
  std::vector<std::string> files;
  for (const std::string& name : names) {
    std::error_code error;
    if (fs::is_directory(name, error)) {
      std::ranges::move(FilesIn(name, faults), std::back_inserter(files));
    } else {
      files.push_back(name);
    }
  }
  std::vector<SourceText> sources;
  for (const std::string& file : files) {
    auto text = ReadTextFile(file);
    if (text) {
      sources.push_back({.file = file, .text = std::move(*text)});
    } else {
      AddFault(file, text.error().message, faults);
    }
  }
  return sources;
}

void MergeEnvoyFiles(const std::string& document, EnterpriseRateLimitConfig& config, std::vector<FileFault>& faults) {
  std::vector<std::string> names;
  for (const std::string& name : config.envoy.files) names.push_back(FromDirectoryOf(document, name));
  std::vector<FileFault> found;
  ImportedDomains imported = ImportEnvoy(ReadEnvoyFiles(names, found), config.envoy.merge_domains);
  std::ranges::move(imported.faults, std::back_inserter(found));
  for (const auto& [name, limits] : imported.domains) {
    if (!config.domains.contains(name)) continue;
    AddFault(document, fmt::format("the domain {} is in `domains` and in a file of `envoy.files`", Quoted(name)),
             found);
  }
  if (!HasError(found)) {
    config.domains.merge(imported.domains);
    config.envoy.files.clear();
  }
  std::ranges::move(found, std::back_inserter(faults));
}

Error LoadedDocument::ToError() const {
  Error error{.code = ErrorCode::kInvalidArgument, .message = {}};
  for (const FileFault& one : faults) {
    if (one.fault.severity == Severity::kWarning) continue;
    if (!error.message.empty()) error.message += '\n';
    error.message += Describe(one);
  }
  return error;
}

LoadedDocument LoadDocument(std::string_view text, const std::string& file,
                            const std::vector<std::string>& more_envoy_files) {
  LoadedDocument loaded;
  ParsedConfig parsed = ParseConfig(text);
  for (Fault& fault : parsed.faults) loaded.faults.push_back({.file = file, .fault = std::move(fault)});
  loaded.config = std::move(parsed.config);
  std::vector<std::string>& names = loaded.config.envoy.files;
  for (const std::string& name : names) loaded.files.push_back(FromDirectoryOf(file, name));
  for (const std::string& name : more_envoy_files) {
    loaded.files.push_back(name);
    std::error_code error;
    const fs::path whole = fs::absolute(name, error);
    names.push_back(error ? name : whole.string());
  }
  // Files are looked at also when the document has faults: all that can be told is told at once.
  if (!names.empty()) {
    // The document alone may enforce nothing; with its files it does.
    std::erase_if(loaded.faults,
                  [](const FileFault& one) { return one.fault.message.ends_with("nothing is enforced"); });
    MergeEnvoyFiles(file, loaded.config, loaded.faults);
  }
  return loaded;
}

EnterpriseRateLimitConfig EnvoyOnlyDocument() {
  EnterpriseRateLimitConfig config;
  config.global.free_tier = RateLimitRule::Unlimited();
  return config;
}

}  // namespace weir::config
