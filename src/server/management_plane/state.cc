#include "server/management_plane/state.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "config/source/sqlite/sqlite_config_store.h"

namespace weir::server {
namespace {

namespace fs = std::filesystem;

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

StateDirectory FindStateDirectory(const std::optional<std::string>& flag, const ServerConfig& server) {
  if (flag) return {.path = *flag, .chosen = true, .why_none = "--state-dir is empty"};
  if (server.state_dir) return {.path = *server.state_dir, .chosen = true, .why_none = "server.state_dir is empty"};
  // systemd may name several, with a colon between them.
  if (std::string given = Environment("STATE_DIRECTORY"); !given.empty()) {
    return {.path = given.substr(0, given.find(':')), .chosen = true, .why_none = ""};
  }
  if (const std::string home = Environment("XDG_STATE_HOME"); !home.empty()) return {.path = home + "/weir"};
  if (const std::string home = Environment("HOME"); !home.empty()) return {.path = home + "/.local/state/weir"};
  return {.path = "", .chosen = false, .why_none = "neither STATE_DIRECTORY nor XDG_STATE_HOME nor HOME is set"};
}

void PersistCounts(const StateDirectory& directory, StorageConfig& storage) {
  auto* const memory = std::get_if<MemoryStorage>(&storage.kind);
  if (memory == nullptr || memory->persist_to_disk || !directory.chosen || directory.path.empty()) return;
  memory->persist_to_disk = directory.path + "/counts.snapshot";
}

std::string NodeName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

Result<State> OpenState(const std::string& directory, const Clock& clock) {
  std::error_code fault;
  const bool made = fs::create_directories(directory, fault);
  if (fault) return Fail(ErrorCode::kUnavailable, "cannot make '" + directory + "': " + fault.message());
  if (made) fs::permissions(directory, fs::perms::owner_all, fault);
  if (!fs::is_directory(directory, fault)) {
    return Fail(ErrorCode::kInvalidArgument, "'" + directory + "' is not a directory");
  }
  State state{.directory = directory, .node = NodeName(), .version = WEIR_VERSION};
  // First: it is locked, so that a second weir finds out here.
  auto database = management::Database::Open(directory + "/auth.db");
  if (!database) return std::unexpected(database.error());
  state.database = std::move(*database);
  auto tokens = management::TokenStore::Open(*state.database);
  if (!tokens) return std::unexpected(tokens.error());
  state.tokens = std::move(*tokens);
  auto sessions = management::Sessions::Open(*state.database, {});
  if (!sessions) return std::unexpected(sessions.error());
  state.sessions = std::move(*sessions);
  auto accounts = management::Accounts::Open(*state.database);
  if (!accounts) return std::unexpected(accounts.error());
  state.accounts = std::move(*accounts);
  auto seal_key = state.database->SecretOf("oidc logins", 32);
  if (!seal_key) return std::unexpected(seal_key.error());
  state.external = std::make_unique<management::ExternalIdentity>(clock, std::move(*seal_key));
  state.auth = std::make_unique<management::Authenticator>(*state.tokens, state.sessions.get(), state.accounts.get(),
                                                           state.external.get());
  auto store = config::OpenSqliteConfigStore({.path = directory + "/config.db", .clock = &clock});
  if (!store) return std::unexpected(store.error());
  state.store = std::move(*store);
  auto audit = management::audit::AuditLog::Open(
      {.directory = directory + "/audit", .node = state.node, .version = state.version}, clock.Wall());
  if (!audit) return std::unexpected(audit.error());
  state.audit = std::move(*audit);
  return state;
}

}  // namespace weir::server
