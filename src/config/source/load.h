// Documents from disk, with what they name: a document's `envoy.files` become domains of it.
//
// A file that is named is read as envoyproxy/ratelimit's YAML (import_envoy.h); of a directory every file, also in the
// directories below it (at most 16 deep and 10,000 files; links to directories are not followed), whose name and whose
// directories' names do not begin with '.'. Relative names are meant from the document's directory. Afterwards
// `envoy.files` is empty and the document stands for itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/import/import_reader.h"
#include "weir/config.h"

namespace weir::config {

// A regular file (base/file.h); never waits. One that is longer than kMaxDocumentBytes: one byte more than that.
Result<std::string> ReadTextFile(const std::string& path);

// The line, from 1, on which `what` first begins; 0: it is not there. For faults of what a document holds, found after
// it was read.
std::uint32_t LineWith(std::string_view text, std::string_view what);

// `name` as seen from the document's directory.
std::string FromDirectoryOf(const std::string& document, const std::string& name);

// The texts of the files and directories, in their order; what cannot be read is in `faults`.
std::vector<SourceText> ReadEnvoyFiles(const std::vector<std::string>& names, std::vector<FileFault>& faults);

// Loads `config.envoy.files` (as seen from `document`, a path or "") into `config.domains`. Faults, and warnings, are
// added; with an error among them the configuration is as it was.
void MergeEnvoyFiles(const std::string& document, EnterpriseRateLimitConfig& config, std::vector<FileFault>& faults);

struct LoadedDocument {
  EnterpriseRateLimitConfig config;  // meaningful only without errors
  std::vector<FileFault> faults;
  // What it names and is not in it, also when that could not be read: for a watch.
  std::vector<std::string> files;
  bool ok() const { return !HasError(faults); }
  // Every error, a line each.
  Error ToError() const;
};

// `file`: its name for messages, and what relative names are seen from. `more_envoy_files` (relative to the working
// directory) are loaded as if the document named them.
LoadedDocument LoadDocument(std::string_view text, const std::string& file,
                            const std::vector<std::string>& more_envoy_files = {});

// A document for those who have nothing but such files: everything outside their domains is unlimited.
EnterpriseRateLimitConfig EnvoyOnlyDocument();

}  // namespace weir::config
