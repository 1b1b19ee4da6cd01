// A configuration document, YAML or JSON. Whatever is accepted must survive being written in both languages.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "weir/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const weir::DocumentFormat format :
       {weir::DocumentFormat::kAuto, weir::DocumentFormat::kYaml, weir::DocumentFormat::kJson}) {
    const weir::ParsedConfig parsed = weir::ParseConfig(text, format);
    for (const weir::Fault& fault : parsed.faults) {
      if (weir::Describe(fault, "fuzz").empty()) std::abort();
    }
    if (!parsed.ok()) continue;
    const weir::ParsedConfig yaml = weir::ParseConfig(weir::ToYaml(parsed.config), weir::DocumentFormat::kYaml);
    const weir::ParsedConfig json = weir::ParseConfig(weir::ToJson(parsed.config), weir::DocumentFormat::kJson);
    if (!yaml.ok() || !json.ok() || yaml.config != parsed.config || json.config != parsed.config) std::abort();
  }
  return 0;
}
