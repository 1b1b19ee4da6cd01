// Any line gives an entry or an error, and an entry's views lie within the line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string_view>

#include "cli/access_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  weir::cli::AccessLogReader reader;
  (void)reader.Read(line);
  const auto entry = weir::cli::ParseAccessLogLine(line);
  if (!entry) return 0;
  for (const std::string_view field :
       {entry->address, entry->user, entry->method, entry->target, entry->referer, entry->user_agent}) {
    const bool inside = field.empty() || (std::greater_equal<>()(field.data(), line.data()) &&
                                          std::less_equal<>()(field.data() + field.size(), line.data() + line.size()));
    if (!inside) std::abort();
  }
  return 0;
}
