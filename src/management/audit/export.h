// Records in the forms that other systems read. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "management/audit/record.h"

namespace weir::management::audit {

enum class ExportFormat : std::uint8_t {
  kNdjson,  // the lines as they are in the log: they can be verified elsewhere
  kCsv,     // RFC 4180, with a head; cells that a spreadsheet would compute begin with an apostrophe
  kOcsf,    // Open Cybersecurity Schema Framework 1.3: API Activity (class 6003), a JSON object a line
};
std::optional<ExportFormat> ExportFormatNamed(std::string_view name);  // "ndjson", "csv", "ocsf"
std::string_view ContentTypeOf(ExportFormat format);

// What comes before the first record; empty for most.
std::string ExportHead(ExportFormat format);
// One record with its line end. `line` is its line in the log.
std::string ExportRecord(ExportFormat format, const Record& record, std::string_view line);

// A syslog message (RFC 5424) without framing: facility 13 (log audit), severity 6 (done), 5 (denied) or 4 (failed),
// the record's members as structured data, and the whole line as the message with a byte order mark, as the standard
// has it for UTF-8. `enterprise`: the IANA private enterprise number of whoever runs weir; 32473 is the one for
// examples.
struct SyslogOptions {
  std::string host{};  // empty: the record's node
  std::string process = "-";
  std::uint32_t enterprise = 32'473;
};
std::string SyslogMessage(const Record& record, std::string_view line, const SyslogOptions& options);
// The same behind its length, as TCP and TLS transports want it (RFC 6587, 3.4.1; RFC 5425).
std::string SyslogFrame(std::string_view message);

}  // namespace weir::management::audit
