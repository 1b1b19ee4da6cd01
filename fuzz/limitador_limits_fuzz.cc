// Limits of limitador, and its expressions by themselves. Whatever is accepted must be a valid document, survive being
// written, and compile.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "config/import/import_limitador.h"
#include "config/import/limitador_expression.h"
#include "config/snapshot/snapshot.h"
#include "config/source/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace config = weir::config;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto tests = config::ParseCondition(text); tests && tests->empty()) std::abort();
  if (const auto key = config::ParseVariable(text); !key && key.error().message.empty()) std::abort();
  config::ImportedDomains imported = config::ImportLimitador(std::vector<config::SourceText>{{"fuzz", text}});
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
