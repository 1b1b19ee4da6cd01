// The subcommands of `weir`, each a function from its options to an exit code:
// 0 done (check: allowed), 1 a negative answer (denied, invalid, nothing found), 2 wrong usage or a failure to run.
// Those that ask a running server are in admin/.
// They print results to standard output and complaints to standard error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir::cli {

struct ServeOptions {
  std::string config_file;               // empty: what the state directory keeps
  std::vector<std::string> envoy_files;  // envoyproxy/ratelimit's, or directories of them
  std::optional<std::string> http, resp, grpc, admin;
  std::optional<std::string> state_dir;
};
int RunServe(const ServeOptions& options);

// The attributes of one request, as flags.
struct RequestOptions {
  std::string config_file;  // empty: the built-in sample
  std::string domain, ip, user, tenant, tier, api_key, country, method = "GET", path = "/", request_id;
  std::vector<std::string> headers;     // "Name: value"
  std::vector<std::string> attributes;  // "name=value"
  std::vector<std::string> descriptor;  // "key=value": not empty: an entry each of one descriptor of `domain`
  std::uint64_t cost = 1;
  std::uint32_t count = 1;  // check: ask so often in a row
  bool json = false;
};
int RunCheck(const RequestOptions& options);
int RunExplain(const RequestOptions& options);

struct ValidateOptions {
  std::vector<std::string> files;
  bool json = false;
};
int RunValidate(const ValidateOptions& options);

struct SchemaOptions {
  bool markdown = false;
};
int RunSchema(const SchemaOptions& options);

// The statements that make what the PostgreSQL store needs.
struct StorageSchemaOptions {
  std::string config_file;  // empty: the defaults of storage.postgres
  std::string role;         // whom to grant its use; empty: nobody
};
int RunStorageSchema(const StorageSchemaOptions& options);

struct ConvertOptions {
  std::string from = "basic";      // basic, envoy-ratelimit, limitador
  std::vector<std::string> files;  // "-" = standard input; basic: one; envoy-ratelimit: also directories
  bool merge_domains = false;      // envoy-ratelimit: a domain may be in several files
  bool json = false;
};
int RunConvert(const ConvertOptions& options);

struct TemplateOptions {
  std::string name;  // empty: list them
  bool json = false;
};
int RunTemplate(const TemplateOptions& options);

struct BenchOptions {
  std::string config_file;  // empty: two token buckets a request
  std::uint64_t subjects = 1'000'000;
  std::uint32_t threads = 1;
  std::uint32_t seconds = 3;
  bool zipf = false;
  bool json = false;
};
int RunBench(const BenchOptions& options);

struct SimulateOptions {
  std::string config_file;
  std::vector<std::string> logs;  // "-" = standard input
  std::uint32_t top = 10;         // how many subjects to list
  bool json = false;
  bool progress = true;
};
int RunSimulate(const SimulateOptions& options);

// Where the daemon keeps its state when nothing else is said.
std::string DefaultStateDir();

struct AuditVerifyOptions {
  std::string state_dir{};        // empty: $STATE_DIRECTORY, $XDG_STATE_HOME/weir or ~/.local/state/weir
  std::string public_key_file{};  // empty: the one beside the log
  std::vector<std::string> checkpoint_files{};
  bool json = false;
};
// 0: the audit log is intact; 1: it is not, or there is none.
int RunAuditVerify(const AuditVerifyOptions& options);

struct VersionOptions {
  bool json = false;
};
int RunVersion(const VersionOptions& options);
// "weir 0.1.0 (compiler 12.2.0)"
std::string VersionText();

// Prints a completion script for "bash", "zsh" or "fish".
int RunCompletion(const std::string& shell);

// The whole command line: parses argv, runs the subcommand, returns its exit code.
int Main(int argc, const char* const* argv);

}  // namespace weir::cli
