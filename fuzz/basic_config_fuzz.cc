// A basic limiter's document. Whatever is accepted must convert to a valid configuration.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "weir/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto basic = weir::ParseBasicConfig({reinterpret_cast<const char*>(data), size});
  if (!basic) return basic.error().message.empty() ? (std::abort(), 0) : 0;
  const weir::EnterpriseRateLimitConfig config = weir::EnterpriseRateLimitConfig::FromBasic(*basic);
  for (const weir::Fault& fault : weir::ValidateConfig(config)) {
    if (fault.severity == weir::Severity::kError) std::abort();
  }
  if (weir::ParseConfig(weir::ToJson(config)).config != config) std::abort();
  return 0;
}
