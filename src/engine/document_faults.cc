#include "engine/document_faults.h"

#include <cstdint>

#include "config/snapshot/snapshot.h"
#include "engine/identify/extractors.h"

namespace weir::engine {

void AddCompileFaults(std::string_view text, const std::string& file, config::LoadedDocument& loaded) {
  if (!loaded.ok()) return;
  const auto add = [&](const char* path, std::uint32_t line, const Error& error) {
    loaded.faults.push_back(
        {file, {.severity = Severity::kError, .path = path, .line = line, .message = error.message}});
  };
  const auto compiled = config::Snapshot::Compile(loaded.config, nullptr, 0);
  if (!compiled) return add("", 0, compiled.error());
  if (const auto made = Extractors::Create({}, loaded.config.jwt, {}); !made)
    add("jwt", config::LineWith(text, "rs256_public_key_pem"), made.error());
  for (const std::string& spec : (*compiled)->extractors()) {
    const auto made = Extractors::Create({&spec, 1}, {}, {});
    // By the first line of its text: several rules may share it.
    if (!made) add("identifier.extractor", config::LineWith(text, spec.substr(0, spec.find('\n'))), made.error());
  }
}

}  // namespace weir::engine
