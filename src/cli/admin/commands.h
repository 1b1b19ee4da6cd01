// The commands that ask a running server: `weir login`, `weir top` and `weir admin ...`. Each is a function from its
// options to an exit code (outcome.h).
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/admin/server.h"

namespace weir::cli::admin {

// Adds them to the command line. The options live as long as the callbacks in `app`.
void AddCommands(CLI::App& app, std::function<int()>& run);

// ---- contexts ----
struct LoginOptions {
  std::string url = {}, name = {};
  std::string ca_file = {}, certificate_file = {}, key_file = {};
  bool allow_plaintext = false;
};
// The token comes from WEIR_ADMIN_TOKEN, else from the terminal, else from standard input: never from the command line,
// which other users can see.
int RunLogin(const LoginOptions& options);
int RunContextList(bool json);
int RunContextUse(const std::string& name);
int RunContextRemove(const std::string& name);

// ---- records ----
enum class Form : std::uint8_t { kTable, kYaml, kJson };
struct GetOptions {
  CommonOptions common = {};
  std::string what = {}, name = {};  // "users", "users/alice", "users alice"
  std::optional<Form> form = {};     // nullopt: a table of many, YAML of one
  std::vector<std::string> labels = {};
  std::string prefix = {}, tenant = {};
  std::size_t most = 10'000;
};
int RunGet(const GetOptions& options);

struct SetOptions {
  CommonOptions common = {};
  std::string what = {};
  std::vector<std::string> assignments = {};
  std::string file = {};  // the whole record, YAML or JSON; "-": standard input
  std::vector<std::string> labels = {};
  std::string expires = {}, note = {};
  std::string if_match = {};
};
int RunSet(const SetOptions& options);

struct DeleteOptions {
  CommonOptions common = {};
  std::string what = {}, name = {};
};
int RunDelete(const DeleteOptions& options);

struct ApplyOptions {
  CommonOptions common = {};
  std::string file = {};
  bool dry_run = false;
};
int RunApply(const ApplyOptions& options);

// ---- revisions ----
struct RevisionListOptions {
  CommonOptions common = {};
  std::string author = {};
  std::size_t most = 20;
};
int RunRevisions(const RevisionListOptions& options);
struct DiffOptions {
  CommonOptions common = {};
  std::uint64_t from = 0;
  std::uint64_t to = 0;  // 0: what `from` changed
};
int RunDiff(const DiffOptions& options);
struct RollbackOptions {
  CommonOptions common = {};
  std::uint64_t number = 0;
};
int RunRollback(const RollbackOptions& options);
struct DecideOptions {
  CommonOptions common = {};
  std::string id = {};
  bool approve = true;
};
int RunDecide(const DecideOptions& options);

// ---- credentials ----
struct KeyOptions {
  CommonOptions common = {};
  std::string id = {};
  std::string plan = {}, tenant = {}, user = {}, expires = {}, note = {}, file = {};
  std::vector<std::string> quotas = {}, scopes = {}, labels = {};
  std::string overlap = "0s";
};
int RunKeyCreate(const KeyOptions& options);
int RunKeyRotate(const KeyOptions& options);
int RunKeyRevoke(const KeyOptions& options);
struct TokenOptions {
  CommonOptions common = {};
  std::string id = {}, tenant = {}, expires = {};
  std::vector<std::string> roles = {};
};
int RunTokenCreate(const TokenOptions& options);
int RunTokenRevoke(const TokenOptions& options);

// ---- what happened, and what happens ----
struct AuditOptions {
  CommonOptions common = {};
  Query filters = {};
  std::string from = {}, to = {};
  std::size_t most = 50;
};
int RunAudit(const AuditOptions& options);
struct WatchOptions {
  CommonOptions common = {};
  std::uint32_t count = 0;  // events; 0: until it is stopped
};
int RunWatch(const WatchOptions& options);
struct TopOptions {
  CommonOptions common = {};
  bool once = false;
};
int RunTop(const TopOptions& options);

// ---- everything at once ----
struct DocumentOptions {
  CommonOptions common = {};
  std::string file = {};  // "-" or empty: standard input or output
  bool as_json = false;
};
int RunExport(const DocumentOptions& options);
int RunImport(const DocumentOptions& options);
struct BackupOptions {
  CommonOptions common = {};
  std::string file = {}, state_dir = {};
};
int RunBackup(const BackupOptions& options);
int RunRestore(const BackupOptions& options);

}  // namespace weir::cli::admin
