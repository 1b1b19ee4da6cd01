#include "cli/commands.h"
#include "server/daemon/daemon.h"

namespace weir::cli {

int RunServe(const ServeOptions& options) {
  return server::RunDaemon({.config_file = options.config_file,
                            .envoy_files = options.envoy_files,
                            .http = options.http,
                            .resp = options.resp,
                            .grpc = options.grpc,
                            .admin = options.admin,
                            .state_dir = options.state_dir,
                            .clock = nullptr});
}

}  // namespace weir::cli
