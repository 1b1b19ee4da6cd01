// backup and restore: of the state directory of this machine, not over the network.
#include "management/backup/backup.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/admin/commands.h"
#include "cli/admin/values.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace weir::cli::admin {
namespace {

Outcome<> Tell(const Result<management::BackupSummary>& summary, const std::string& what, bool as_json) {
  if (!summary) {
    const bool damaged = summary.error().code == ErrorCode::kDataLoss;
    return std::unexpected(
        Complaint{.exit_code = damaged ? kRefused : kUsage, .text = Printable(summary.error().message)});
  }
  if (as_json) {
    fmt::print("{}", PrettyJson(boost::json::object{{"file", what},
                                                    {"made", summary->made},
                                                    {"version", summary->version},
                                                    {"parts", summary->parts},
                                                    {"bytes", summary->bytes},
                                                    {"audit_records", summary->audit_records}}));
  } else {
    fmt::print("{}: {} parts, {} bytes, {} audit records, of {}\n", what, Count(summary->parts), Count(summary->bytes),
               Count(summary->audit_records), summary->made);
  }
  return {};
}

std::string StateDirOf(const BackupOptions& options) {
  return options.state_dir.empty() ? DefaultStateDir() : options.state_dir;
}

}  // namespace

int RunBackup(const BackupOptions& options) {
  const auto summary = management::MakeBackup(StateDirOf(options), options.file, WEIR_VERSION, SystemClock().Wall());
  return ExitCode(Tell(summary, options.file, options.common.json), options.common.json);
}

int RunRestore(const BackupOptions& options) {
  const std::string directory = StateDirOf(options);
  if (const auto agreed = Confirm("Restore " + options.file + " into " + directory, options.common.yes); !agreed) {
    return ExitCode(agreed, options.common.json);
  }
  return ExitCode(Tell(management::RestoreBackup(options.file, directory), directory, options.common.json),
                  options.common.json);
}

}  // namespace weir::cli::admin
