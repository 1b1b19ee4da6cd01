// What tests need that start a server of their own: a port for it, and its process. For tests only.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <fstream>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace weir::storage {

// A free port of 127.0.0.1, kept while the object lives, also while its server is down: bound, but not listened on. A
// server that sets SO_REUSEADDR may listen on it; the kernel gives it to no other socket that asks for any port, nor to
// a client as its own.
class HeldPort {
 public:
  HeldPort() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (fd_ < 0 || setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no free port");
    }
    number_ = ntohs(address.sin_port);
  }
  ~HeldPort() { close(fd_); }
  HeldPort(const HeldPort&) = delete;
  HeldPort& operator=(const HeldPort&) = delete;
  int number() const { return number_; }

 private:
  const int fd_;
  int number_ = 0;
};

// Does things in a thread that lasts as long as the program. A child process that asks for a signal at its parent's
// death gets it when the thread that forked it ends, so a thread that may end before must not fork it.
class LastingThread {
 public:
  static LastingThread& Get() {
    static LastingThread& thread = *new LastingThread;
    return thread;
  }
  // Waits for it. In a child that `task` forks it must not return.
  pid_t Do(const std::function<pid_t()>& task) {
    std::packaged_task<pid_t()> packaged(task);
    std::future<pid_t> done = packaged.get_future();
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(packaged));
    }
    wake_.notify_one();
    return done.get();
  }

 private:
  LastingThread() {
    std::thread([this] { Run(); }).detach();
  }
  void Run() {
    while (true) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !tasks_.empty(); });
      std::packaged_task<pid_t()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::packaged_task<pid_t()>> tasks_;
};

// Starts a program, found as a shell would, which ends when this one does; what it says goes to `log`. `as`: the user
// and group that it runs as; nullopt: whoever runs this.
inline pid_t Spawn(std::vector<std::string> words, const std::string& log, std::optional<uid_t> as = std::nullopt) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  return LastingThread::Get().Do([&]() -> pid_t {
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child != 0) return child;
    if (as && (setgroups(0, nullptr) != 0 || setgid(*as) != 0 || setuid(*as) != 0)) _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int nowhere = open("/dev/null", O_RDONLY);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(nowhere, 0);
    dup2(out, 1);
    dup2(out, 2);
    execvp(arguments[0], arguments.data());
    _exit(127);
  });
}

// To wait for the end of a process that need not be a child of ours. Made while it is there.
class ProcessEnd {
 public:
  explicit ProcessEnd(pid_t process) : fd_(static_cast<int>(syscall(SYS_pidfd_open, process, 0))) {}
  ~ProcessEnd() {
    if (fd_ >= 0) close(fd_);
  }
  ProcessEnd(ProcessEnd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ProcessEnd& operator=(ProcessEnd&&) = delete;
  // Its memory, shared and own, is given back then. At most a minute.
  void Wait() const {
    pollfd ended{.fd = fd_, .events = POLLIN, .revents = 0};
    while (fd_ >= 0 && poll(&ended, 1, 60'000) < 0 && errno == EINTR) {
    }
  }

 private:
  int fd_;
};

// Stops a process from running, and returns when it does not run any more.
inline void Halt(pid_t process) {
  kill(process, SIGSTOP);
  while (true) {
    std::string stat;
    std::getline(std::ifstream("/proc/" + std::to_string(process) + "/stat"), stat);
    const std::size_t state = stat.rfind(')') + 2;
    if (state >= stat.size() || stat[state] == 'T' || stat[state] == 'Z') return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace weir::storage
