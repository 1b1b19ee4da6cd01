// The state directory: what management must not lose. config.db (records and revisions), auth.db (tokens), audit/, and,
// where counts live in memory, their snapshot.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "config/source/config_store.h"
#include "management/audit/audit_log.h"
#include "management/auth/accounts.h"
#include "management/auth/authenticator.h"
#include "management/auth/database.h"
#include "management/auth/external_identity.h"
#include "management/auth/sessions.h"
#include "management/auth/token_store.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::server {

struct StateDirectory {
  std::string path;           // empty: there is none
  bool chosen = false;        // somebody named it (a flag, the document, systemd); false: it is the user's default
  std::string why_none = {};  // when there is none
};

// The flag, else the document, else the environment.
StateDirectory FindStateDirectory(const std::optional<std::string>& flag, const ServerConfig& server);

// Counts in memory outlive the process in a directory that somebody chose, unless `storage` names a file itself.
void PersistCounts(const StateDirectory& directory, StorageConfig& storage);

struct State {
  std::string directory;
  std::string node, version;
  std::unique_ptr<config::ConfigStore> store = {};
  std::unique_ptr<management::Database> database = {};
  std::unique_ptr<management::TokenStore> tokens = {};
  std::unique_ptr<management::Sessions> sessions = {};
  std::unique_ptr<management::Accounts> accounts = {};
  std::unique_ptr<management::ExternalIdentity> external = {};
  std::unique_ptr<management::Authenticator> auth = {};
  std::unique_ptr<management::audit::AuditLog> audit = {};
};

// Makes what is missing. An error: management has to stay off, and why. `clock` outlives it.
Result<State> OpenState(const std::string& directory, const Clock& clock);

// The name of this machine.
std::string NodeName();

}  // namespace weir::server
