// The servers that this user has logged in to: $XDG_CONFIG_HOME/weir/contexts.yaml, for the user alone (0600), since it
// holds their tokens.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "weir/result.h"

namespace weir::cli::admin {

struct ServerContext {
  std::string url = {};    // "https://weir.example:8089", "unix:/run/weir/admin.sock"
  std::string token = {};  // never printed
  std::string ca_file = {}, certificate_file = {}, key_file = {};  // PEM; empty: none
  friend bool operator==(const ServerContext&, const ServerContext&) = default;
};

struct Contexts {
  std::string current = {};  // empty: none
  std::map<std::string, ServerContext> servers = {};
  friend bool operator==(const Contexts&, const Contexts&) = default;

  // nullptr: there is none of that name.
  const ServerContext* Find(const std::string& name) const;
};

// $XDG_CONFIG_HOME/weir/contexts.yaml, else ~/.config/weir/contexts.yaml; empty: neither is set.
std::string ContextsPath();

// A file that is not there is one without contexts. kFailedPrecondition: others may read it. kInvalidArgument: it is
// malformed; the message repeats nothing of it.
Result<Contexts> LoadContexts(const std::string& path);
// Makes the directory (0700) if need be.
Result<> SaveContexts(const std::string& path, const Contexts& contexts);

// 1 to 64 letters, digits, '.', '_' and '-', the first none of the marks.
Result<> CheckContextName(std::string_view name);

}  // namespace weir::cli::admin
