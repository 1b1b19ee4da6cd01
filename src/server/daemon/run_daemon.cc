#include <fmt/format.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "base/log.h"
#include "server/daemon/daemon.h"
#include "server/daemon/file_watch.h"
#include "server/daemon/systemd.h"

namespace weir::server {
namespace {

// Signals arrive through a descriptor, so that they are handled between two waits and never inside other code. Must be
// blocked before any thread starts, so that every thread inherits the mask.
int BlockedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

void Reload(Daemon& daemon, FileWatch* watch) {
  NotifyReloading();
  // Reload logs why a document was refused; the old one goes on.
  Result<> reloaded = daemon.Reload();
  if (watch != nullptr && watch->paths() != daemon.Files()) {
    if (const auto followed = watch->Follow(daemon.Files()); !followed) {
      log::Warn("a configuration file is not watched; send SIGHUP to reload", {{"why", followed.error().message}});
    }
    // What it names now may have changed before it was watched.
    reloaded = daemon.Reload();
  }
  NotifyReady(reloaded ? daemon.Listening() : "configuration refused, the old one is in force");
}

// Returns when the process is asked to end.
void WaitForEnd(Daemon& daemon, int signals, FileWatch* watch) {
  while (true) {
    std::array<pollfd, 2> waiting = {{{signals, POLLIN, 0}, {watch != nullptr ? watch->fd() : -1, POLLIN, 0}}};
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
    if (waiting[0].revents != 0) {
      signalfd_siginfo got{};
      if (read(signals, &got, sizeof got) != sizeof got) continue;
      if (got.ssi_signo != SIGHUP) {
        log::Info("stopping", {{"signal", got.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT"}});
        return;
      }
      Reload(daemon, watch);
    }
    if (waiting[1].revents != 0 && watch->Changed()) Reload(daemon, watch);
  }
}

// Serves on until the load balancers have seen that it leaves, or a second signal says that nobody needs to.
void WaitForBalancers(Daemon& daemon, int signals) {
  using std::chrono::steady_clock;
  const std::uint32_t delay_ms = daemon.StartLeaving();
  if (delay_ms == 0) return;
  log::Info("not ready any more, still serving", {{"drain_delay_ms", std::to_string(delay_ms)}});
  const auto end = steady_clock::now() + std::chrono::milliseconds(delay_ms);
  while (steady_clock::now() < end) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - steady_clock::now());
    pollfd waiting = {signals, POLLIN, 0};
    if (poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0))) <= 0) continue;
    signalfd_siginfo got{};
    if (read(signals, &got, sizeof got) == sizeof got && got.ssi_signo != SIGHUP) return;
  }
}

}  // namespace

int RunDaemon(const DaemonOptions& options) {
  // What a large buffer took is the kernel's again as soon as it is freed, whatever else is in use. Without this the
  // allocator raises its bound with the largest that it has seen, and a flood of large answers stays with the process.
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  const int signals = BlockedSignals();
  std::unique_ptr<FileWatch> watch;
  if (!options.config_file.empty() || !options.envoy_files.empty()) {
    // Before the files are read, so that a change between reading and watching is not missed.
    auto created = FileWatch::Create(Daemon::FilesOf(options));
    if (created) {
      watch = std::move(*created);
    } else {
      log::Warn("configuration file is not watched; send SIGHUP to reload", {{"why", created.error().message}});
    }
  }
  auto daemon = Daemon::Start(options);
  if (!daemon) {
    fmt::print(stderr, "weir: {}\n", daemon.error().message);
    close(signals);
    return 2;
  }
  fmt::print("weir is ready: {}\n", (*daemon)->Listening());
  if (const std::string& token = (*daemon)->FirstToken(); !token.empty()) {
    fmt::print("first admin token, shown this once: {}\n", token);
  }
  std::fflush(stdout);
  NotifyReady((*daemon)->Listening());
  WaitForEnd(**daemon, signals, watch.get());
  NotifyStopping();
  WaitForBalancers(**daemon, signals);
  (*daemon)->Drain();
  daemon->reset();
  log::Info("stopped");
  close(signals);
  return 0;
}

}  // namespace weir::server
