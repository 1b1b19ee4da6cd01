#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/file.h"
#include "cli/commands.h"
#include "management/audit/record.h"
#include "management/audit/signing.h"
#include "management/audit/verify.h"

namespace weir::cli {
namespace {

namespace audit = management::audit;

constexpr int kYes = 0, kNo = 1, kFailure = 2;
constexpr std::size_t kMostCheckpoints = 64U << 20U;

int Complain(const Error& error) {
  fmt::print(stderr, "weir: {}\n", error.message);
  return kFailure;
}

void AddLines(std::string_view text, std::vector<std::string>* lines) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) lines->emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void PrintJson(const audit::Report& report) {
  boost::json::value fault;
  if (report.fault) {
    fault = boost::json::object{{"file", report.fault->file},
                                {"line", report.fault->line},
                                {"seq", report.fault->seq},
                                {"what", report.fault->what}};
  }
  boost::json::value signed_at;
  if (report.signed_at != 0) signed_at = audit::TimeText(report.signed_at);
  const boost::json::object all{{"intact", !report.fault},
                                {"first", report.first},
                                {"last", report.last},
                                {"records", report.records},
                                {"files", report.files},
                                {"removed", report.removed},
                                {"checkpoints", report.checkpoints},
                                {"unsigned_records", report.unsigned_records},
                                {"unfinished_bytes", report.unfinished_bytes},
                                {"signed_at", signed_at},
                                {"fault", fault}};
  fmt::print("{}\n", boost::json::serialize(all));
}

void PrintText(const audit::Report& report) {
  if (report.fault) {
    const audit::Fault& found = *report.fault;
    fmt::print("NOT INTACT: {}", found.file);
    if (found.line != 0) fmt::print(", line {}", found.line);
    if (found.seq != 0) fmt::print(" (record {})", found.seq);
    fmt::print(": {}\n", found.what);
    if (report.last != 0) fmt::print("intact before: records {} to {}\n", report.first, report.last);
    return;
  }
  fmt::print("intact: ");
  if (report.records == 0) {
    fmt::print("no records");
  } else {
    fmt::print("records {} to {} in {} {}", report.first, report.last, report.files,
               report.files == 1 ? "file" : "files");
  }
  if (report.signed_at != 0) fmt::print(", end signed at {}", audit::TimeText(report.signed_at));
  fmt::print("\n");
  if (report.removed != 0) fmt::print("records up to {} were removed by retention, as was signed\n", report.removed);
  if (report.checkpoints != 0) fmt::print("passed {} signed checkpoints\n", report.checkpoints);
  if (report.unsigned_records != 0 || report.unfinished_bytes != 0) {
    fmt::print("behind the signed end: {} records and {} bytes that were being written\n", report.unsigned_records,
               report.unfinished_bytes);
  }
}

}  // namespace

std::string DefaultStateDir() {
  const auto environment = [](const char* name) {
    const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): there is one thread
    return std::string(value == nullptr ? "" : value);
  };
  if (std::string directory = environment("STATE_DIRECTORY"); !directory.empty()) return directory;
  if (const std::string state = environment("XDG_STATE_HOME"); !state.empty()) return state + "/weir";
  return environment("HOME") + "/.local/state/weir";
}

int RunAuditVerify(const AuditVerifyOptions& options) {
  audit::VerifyOptions verify;
  if (!options.public_key_file.empty()) {
    auto key = audit::ReadPublicKey(options.public_key_file);
    if (!key) return Complain(key.error());
    verify.public_key = std::move(*key);
  }
  for (const std::string& file : options.checkpoint_files) {
    const auto text = ReadRegularFile(file, kMostCheckpoints);
    if (!text) return Complain(text.error());
    AddLines(*text, &verify.checkpoints);
  }
  const auto report =
      audit::Verify((options.state_dir.empty() ? DefaultStateDir() : options.state_dir) + "/audit", verify);
  if (!report) {
    const int failure = Complain(report.error());
    // A log that is not there proves nothing, least of all that it is intact.
    return report.error().code == ErrorCode::kNotFound ? kNo : failure;
  }
  if (options.json) {
    PrintJson(*report);
  } else {
    PrintText(*report);
  }
  return report->fault ? kNo : kYes;
}

}  // namespace weir::cli
