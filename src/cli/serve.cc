#include "cli/commands.h"
#include "server/daemon.h"

namespace weir::cli {

int RunServe(const ServeOptions& options) {
  return server::RunDaemon({.config_file = options.config_file,
                            .envoy_files = options.envoy_files,
                            .http = options.http,
                            .resp = options.resp,
                            .grpc = options.grpc,
                            .admin = options.admin,
                            .clock = nullptr});
}

}  // namespace weir::cli
