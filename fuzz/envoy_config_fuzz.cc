// A configuration of envoyproxy/ratelimit. Whatever is accepted must be a valid document, survive being written, and
// compile.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "config/import/import_envoy.h"
#include "config/snapshot/snapshot.h"
#include "config/source/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace config = weir::config;
  const std::string text(reinterpret_cast<const char*>(data), size);
  config::ImportedDomains imported = config::ImportEnvoy(std::vector<config::SourceText>{{"fuzz", text}}, true);
  for (const config::FileFault& fault : imported.faults) {
    if (config::Describe(fault).empty()) std::abort();
  }
  if (!imported.ok()) return 0;
  weir::EnterpriseRateLimitConfig document = config::EnvoyOnlyDocument();
  document.domains = std::move(imported.domains);
  const weir::ParsedConfig again = weir::ParseConfig(weir::ToYaml(document));
  if (!again.ok() || again.config != document) std::abort();
  if (!config::Snapshot::Compile(document, nullptr, 0)) std::abort();
  return 0;
}
