// Lines of an audit log that somebody may have written: read or refused. What is read can be written again, verified,
// and exported, and stays one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "management/audit/chain.h"
#include "management/audit/export.h"
#include "management/audit/record.h"
#include "management/audit/signing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::management::audit;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Link link;
  const Link before = link;
  if (!Follow(text, &link) && link != before) std::abort();
  if (CheckSigned(text, std::string(32, '\1'))) std::abort();
  const auto record = ParseRecord(text);
  if (!record) return 0;
  Link chain;
  std::string line;
  AppendLinked(EncodeBody(*record), &chain, &line);
  if (line.find('\n') != line.size() - 1) std::abort();
  line.pop_back();
  Link again;
  if (!Follow(line, &again) || again != chain) std::abort();
  const auto copy = ParseRecord(line);
  if (line.size() <= kMostRecord && (!copy || copy->time != record->time || copy->outcome != record->outcome))
    std::abort();
  const std::string ocsf = ExportRecord(ExportFormat::kOcsf, *record, line);
  if (ocsf.find('\n') != ocsf.size() - 1) std::abort();
  (void)ExportRecord(ExportFormat::kCsv, *record, line);
  if (SyslogMessage(*record, line, {}).find('\n') != std::string::npos) std::abort();
  return 0;
}
