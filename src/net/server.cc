#include "net/server.h"

#include <absl/cleanup/cleanup.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "net/acceptor.h"
#include "net/listen_address.h"
#include "net/listen_socket.h"
#include "net/loop.h"
#include "net/tls.h"

namespace weir::net {
namespace {

unsigned UsableCores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return std::max(1U, std::thread::hardware_concurrency());
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&cores)));
}

// Signals are for the main thread.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

Result<ListenSockets> Open(const ListenerOptions& listener, unsigned loops) {
  if (!listener.inherited_fds.empty()) return Inherit(listener.inherited_fds);
  auto address = ParseListenAddress(listener.address);
  if (!address) return std::unexpected(address.error());
  return Bind(*address, loops, listener.mode);
}

}  // namespace

struct Server::Parts {
  explicit Parts(const ServerOptions& options) : shared(options) {}
  ~Parts();

  Result<> OpenListeners(std::vector<ListenerOptions> listeners);
  Result<> StartLoops();
  // From the listener's files, if it has any.
  static Result<> ReadTls(ListenerState& state);
  void RemoveUnixFiles();
  // Runs `task(loop index)` on every loop, and returns when all have done so.
  void OnEveryLoop(const std::function<void(unsigned)>& task);

  SharedState shared;
  std::vector<std::unique_ptr<Loop>> loops;
  std::vector<ListenSockets> sockets;
  std::vector<std::shared_ptr<ListenerState>> listener_states;
  std::vector<std::vector<std::unique_ptr<Acceptor>>> acceptors;  // by loop
  std::vector<std::string> addresses;
  std::vector<std::thread> threads;
};

Server::Parts::~Parts() {
  RemoveUnixFiles();
  for (const auto& loop : loops) loop->Stop();
  for (std::thread& thread : threads) thread.join();
  acceptors.clear();
  loops.clear();
}

Result<> Server::Parts::OpenListeners(std::vector<ListenerOptions> listeners) {
  const auto count = static_cast<unsigned>(loops.size());
  unsigned next_shared = 0;
  for (ListenerOptions& options : listeners) {
    auto state = std::make_shared<ListenerState>();
    state->name = options.name;
    state->sessions = std::move(options.sessions);
    state->reserve = options.reserve;
    state->tls_options = std::move(options.tls);
    if (auto read = ReadTls(*state); !read) return read;
    listener_states.push_back(state);
    auto opened = Open(options, count);
    if (!opened) return Fail(opened.error().code, "listener '" + options.name + "': " + opened.error().message);

    const bool inherited = !options.inherited_fds.empty();
    for (unsigned i = 0; i < opened->per_loop.size(); ++i) {
      Loop& loop = *loops[i];
      acceptors[i].push_back(
          std::make_unique<Acceptor>(loop, std::move(opened->per_loop[i]), inherited, state->name,
                                     [&loop, state](Descriptor fd) { loop.Adopt(std::move(fd), state); }));
    }
    for (Descriptor& fd : opened->shared) {
      const unsigned home = next_shared++ % count;
      acceptors[home].push_back(std::make_unique<Acceptor>(
          *loops[home], std::move(fd), inherited, state->name,
          [this, state, home, next = home](Descriptor accepted) mutable {
            Loop& loop = *loops[next];
            const bool is_home = next == home;
            next = (next + 1) % static_cast<unsigned>(loops.size());
            if (is_home) return loop.Adopt(std::move(accepted), state);
            // In a shared pointer because a task is copyable; dropped with it, the descriptor closes.
            auto handed = std::make_shared<Descriptor>(std::move(accepted));
            loop.mailbox().Push([&loop, state, handed] { loop.Adopt(std::move(*handed), state); });
          }));
    }
    opened->per_loop.clear();
    opened->shared.clear();
    addresses.push_back(opened->address);
    sockets.push_back(std::move(*opened));
  }
  return {};
}

Result<> Server::Parts::ReadTls(ListenerState& state) {
  if (state.tls_options == nullptr) return {};
  auto tls = TlsContext::Create(*state.tls_options);
  if (!tls) return Fail(tls.error().code, "listener '" + state.name + "': " + tls.error().message);
  state.SetTls(std::move(*tls));
  return {};
}

Result<> Server::Parts::StartLoops() {
  for (auto& of_loop : acceptors) {
    for (auto& acceptor : of_loop) acceptor->Start();
  }
  const SignalsBlocked blocked;
  try {
    for (auto& loop : loops) threads.emplace_back([&loop] { loop->Run(); });
  } catch (const std::system_error& error) {
    return Fail(ErrorCode::kResourceExhausted, std::string("cannot start an event loop: ") + error.what());
  }
  return {};
}

void Server::Parts::RemoveUnixFiles() {
  for (ListenSockets& listener : sockets) {
    RemoveUnixFile(listener);
    listener.unix_path.clear();
  }
}

void Server::Parts::OnEveryLoop(const std::function<void(unsigned)>& task) {
  std::latch done(static_cast<std::ptrdiff_t>(loops.size()));
  for (unsigned i = 0; i < loops.size(); ++i) {
    loops[i]->mailbox().Push([&, i] {
      const absl::Cleanup counts = [&done] { done.count_down(); };
      task(i);
    });
  }
  done.wait();
}

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, std::vector<ListenerOptions> listeners) {
  if (options.threads == 0) options.threads = UsableCores();
  try {
    auto parts = std::make_unique<Parts>(options);
    for (unsigned i = 0; i < options.threads; ++i) parts->loops.push_back(std::make_unique<Loop>(parts->shared, i));
    parts->acceptors.resize(options.threads);
    if (auto opened = parts->OpenListeners(std::move(listeners)); !opened) return std::unexpected(opened.error());
    if (auto started = parts->StartLoops(); !started) return std::unexpected(started.error());
    return std::unique_ptr<Server>(new Server(std::move(parts)));
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kResourceExhausted, std::string("cannot start the server: ") + error.what());
  }
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Server::~Server() = default;

const std::vector<std::string>& Server::addresses() const { return parts_->addresses; }

std::uint64_t Server::Drain(std::uint32_t timeout_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  Parts& parts = *parts_;
  // While we still listen, so that the file is surely ours.
  parts.RemoveUnixFiles();
  parts.OnEveryLoop([&parts](unsigned i) {
    for (auto& acceptor : parts.acceptors[i]) acceptor->Stop();
  });
  parts.shared.draining = true;
  // In a round of its own: the last that one loop accepted for another is there by then.
  parts.OnEveryLoop([&parts](unsigned i) { parts.loops[i]->StartDrain(); });
  std::unique_lock lock(parts.shared.mutex);
  parts.shared.all_closed.wait_until(lock, end, [&parts] { return parts.shared.open.load() == 0; });
  lock.unlock();
  const std::uint64_t remaining = parts.shared.open.load();
  if (remaining != 0) parts.OnEveryLoop([&parts](unsigned i) { parts.loops[i]->CloseAll(); });
  return remaining;
}

ServerStats Server::Stats() const {
  ServerStats stats;
  stats.open = parts_->shared.open.load();
  stats.buffered_bytes = parts_->shared.buffered.load(std::memory_order_relaxed);
  for (const auto& loop : parts_->loops) {
    const LoopCounters& counters = loop->counters();
    stats.accepted += counters.accepted.value();
    stats.refused += counters.refused.value();
    stats.idle_closed += counters.idle_closed.value();
    stats.slow_closed += counters.slow_closed.value();
    stats.crowded_closed += counters.crowded_closed.value();
    stats.room_refused += counters.room_refused.value();
    stats.overflow_closed += counters.overflow_closed.value();
    stats.bytes_in += counters.bytes_in.value();
    stats.bytes_out += counters.bytes_out.value();
  }
  return stats;
}

Result<> Server::ReloadTls() {
  Error faults{.code = ErrorCode::kInvalidArgument, .message = {}};
  for (const auto& state : parts_->listener_states) {
    const auto read = Parts::ReadTls(*state);
    if (read) continue;
    if (!faults.message.empty()) faults.message += '\n';
    faults.message += read.error().message;
  }
  if (!faults.message.empty()) return std::unexpected(std::move(faults));
  return {};
}

}  // namespace weir::net
