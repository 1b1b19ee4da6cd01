// The file of entities that were applied (library/entity_journal.h). The checksum is made right first, or no random
// text would get beyond it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "library/entity_journal.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using weir::library::ReadEntityRecords;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)ReadEntityRecords(text);
  // One record of a put: the text is its name, a blank, and its limits.
  const std::size_t blank = std::min(text.find(' '), size);
  const std::string name(text.substr(0, blank)), json(text.substr(std::min(blank + 1, size)));
  const std::string body = fmt::format("{} {}\n", name, json);
  for (const char kind : {'t', 'u', 'k'}) {
    const std::string whole = fmt::format("weirENTITIES 1\n7 {} + {} {} {:016x}\n{}", kind, name.size(), json.size(),
                                          weir::Hash64(body), body);
    const auto read = ReadEntityRecords(whole);
    if (read.damaged || read.records.size() + read.unreadable != 1) std::abort();
    if (read.records.empty() || kind == 'k') continue;
    // What was read is written back as the same.
    const auto again = ReadEntityRecords(weir::library::WriteEntityRecords(read.records));
    if (again.records.size() != 1 || again.records[0].change.name != name) std::abort();
    if (!(again.records[0].change.limits == read.records[0].change.limits)) std::abort();
  }
  return 0;
}
