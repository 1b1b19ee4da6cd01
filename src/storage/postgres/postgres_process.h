// A PostgreSQL server of a test's own, and a PgBouncer before one: in a temporary directory, on a free loopback port
// and a Unix socket; killed when the object goes, and when the test program dies. The server refuses to run as root:
// then it runs as nobody. For tests only.
#pragma once

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/postgres/session.h"
#include "io/steady.h"
#include "storage/test_process.h"

namespace weir::storage::postgres {

// Whom servers run as: whoever runs the test, or nobody in the place of root.
inline constexpr uid_t kNobody = 65534;
inline bool IsRoot() { return geteuid() == 0; }

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "weir-pg-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = name;
    if (IsRoot() && chown(path_.c_str(), kNobody, kNobody) != 0) throw std::runtime_error("no directory for nobody");
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Starts a program as whom servers run as; what it says goes to `log`.
inline pid_t SpawnServer(std::vector<std::string> words, const std::string& log) {
  return Spawn(std::move(words), log, IsRoot() ? std::optional(kNobody) : std::nullopt);
}

inline bool EventuallyIs(const std::function<bool()>& condition, int seconds = 30) {
  for (int i = 0; i < seconds * 100; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// Where Debian keeps a version's programs; the newest that is there.
inline std::string PostgresProgram(const std::string& name) {
  for (int version = 17; version >= 13; --version) {
    const std::string path = "/usr/lib/postgresql/" + std::to_string(version) + "/bin/" + name;
    if (std::filesystem::exists(path)) return path;
  }
  throw std::runtime_error("PostgreSQL is not installed");
}

class PostgresProcess {
 public:
  // `settings`: further lines of postgresql.conf, "name = value".
  explicit PostgresProcess(const std::vector<std::string>& settings = {}) {
    const int made = Run({PostgresProgram("initdb"), "-D", data(), "-U", "weir", "--auth=trust", "--no-sync",
                          "--locale=C", "--encoding=UTF8"});
    if (made != 0) throw std::runtime_error("initdb fails: " + Log());
    std::ofstream config(data() + "/postgresql.conf", std::ios::app);
    config << "port = " << port() << "\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '"
           << directory_.path()
           << "'\nfsync = off\nshared_buffers = 32MB\nmax_connections = 60\nautovacuum_naptime = 1h\n";
    for (const std::string& line : settings) config << line << "\n";
    config.close();
    Start();
  }
  ~PostgresProcess() { Kill(); }
  PostgresProcess(const PostgresProcess&) = delete;
  PostgresProcess& operator=(const PostgresProcess&) = delete;

  // Starts it (again), on the same port, and waits until it answers.
  void Start() {
    process_ = SpawnServer({PostgresProgram("postgres"), "-D", data()}, log());
    bool ended = false;
    const bool answers = EventuallyIs(
        [&] {
          ended = waitpid(process_, nullptr, WNOHANG) != 0;
          return ended || Query("SELECT 1").has_value();
        },
        60);
    if (ended) process_ = -1;
    if (ended || !answers) throw std::runtime_error("postgres does not start: " + Log());
  }
  // As kill -9 of every process of it does, mid-sentence. All have ended then: a server does not start while one of an
  // earlier one holds the shared memory.
  void Kill() {
    if (process_ <= 0) return;
    Halt(process_);  // so that it starts no more
    std::vector<ProcessEnd> ends;
    for (const pid_t child : Children()) {
      ends.emplace_back(child);
      kill(child, SIGKILL);
    }
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    for (const ProcessEnd& end : ends) end.Wait();
    process_ = -1;
    std::error_code ignored;
    std::filesystem::remove(data() + "/postmaster.pid", ignored);
  }
  // As a restart by the system does: connections are told.
  void StopFast() {
    kill(process_, SIGINT);
    waitpid(process_, nullptr, 0);
    process_ = -1;
  }
  // Stops it from running, without closing anything: a machine that hangs.
  void Freeze() {
    Halt(process_);
    for (const pid_t child : Children()) kill(child, SIGSTOP);
  }
  void Thaw() {
    for (const pid_t child : Children()) kill(child, SIGCONT);
    kill(process_, SIGCONT);
  }

  int port() const { return port_.number(); }
  const std::string& socket_directory() const { return directory_.path(); }
  std::string data() const { return directory_.path() + "/data"; }
  std::string url(const std::string& user = "weir") const {
    return "postgresql://" + user + "@127.0.0.1:" + std::to_string(port()) + "/postgres";
  }
  std::string unix_url(const std::string& attributes = "read-write") const {
    return "postgresql:///postgres?user=weir&host=" + directory_.path() + "&port=" + std::to_string(port()) +
           "&target_session_attrs=" + attributes;
  }

  // One statement on a connection of its own; nullopt when it cannot be asked or is refused.
  std::optional<io::postgres::Rows> Query(const std::string& text) const {
    const io::postgres::Cancel cancel;
    const auto session =
        io::postgres::Session::Connect({.url = unix_url("any"), .connect_timeout = 5 * kSecond}, cancel);
    if (!session) return std::nullopt;
    auto rows = (*session)->Run({text, {}}, io::SteadyNow() + 20 * kSecond);
    return rows ? std::optional(*rows) : std::nullopt;
  }
  // The first column of the first row, a bigint; -1000 when there is none.
  std::int64_t Number(const std::string& text) const {
    const auto rows = Query(text);
    return rows && rows->size() > 0 && !rows->IsNull(0, 0) ? rows->Int(0, 0) : -1000;
  }

 private:
  std::string log() const { return directory_.path() + "/log"; }
  std::string Log() const {
    std::ifstream in(log());
    return {std::istreambuf_iterator<char>(in), {}};
  }
  int Run(std::vector<std::string> words) const {
    const pid_t child = SpawnServer(std::move(words), log());
    int status = -1;
    waitpid(child, &status, 0);
    return status;
  }
  std::vector<pid_t> Children() const {
    std::ifstream in("/proc/" + std::to_string(process_) + "/task/" + std::to_string(process_) + "/children");
    std::vector<pid_t> children;
    for (pid_t child = 0; in >> child;) children.push_back(child);
    return children;
  }

  TemporaryDirectory directory_;
  const HeldPort port_;
  pid_t process_ = -1;
};

// PgBouncer in transaction mode before a server.
class BouncerProcess {
 public:
  explicit BouncerProcess(const PostgresProcess& server) : server_(server) {
    std::ofstream config(file());
    config << "[databases]\npostgres = host=" << server.socket_directory() << " port=" << server.port()
           << " user=weir\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " << port()
           << "\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n"
              "max_client_conn = 100\nserver_reset_query =\n";
    config.close();
    Start();
  }
  ~BouncerProcess() { Kill(); }
  BouncerProcess(const BouncerProcess&) = delete;
  BouncerProcess& operator=(const BouncerProcess&) = delete;

  void Start() {
    process_ = SpawnServer({"/usr/sbin/pgbouncer", "-q", file()}, directory_.path() + "/log");
    const io::postgres::Cancel cancel;
    const bool answers = EventuallyIs(
        [&] { return io::postgres::Session::Connect({.url = url(), .connect_timeout = kSecond}, cancel).has_value(); });
    if (!answers) throw std::runtime_error("pgbouncer does not start");
  }
  void Kill() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    process_ = -1;
  }
  std::string url() const { return "postgresql://weir@127.0.0.1:" + std::to_string(port()) + "/postgres"; }

 private:
  int port() const { return port_.number(); }
  std::string file() const { return directory_.path() + "/pgbouncer.ini"; }

  const PostgresProcess& server_;
  TemporaryDirectory directory_;
  const HeldPort port_;
  pid_t process_ = -1;
};

}  // namespace weir::storage::postgres
