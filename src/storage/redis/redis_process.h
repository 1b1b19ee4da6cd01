// A redis-server of a test's own: in a temporary directory, on a free loopback port and a Unix socket, without
// persistence; killed when the object goes, and when the test program dies. For tests only.
#pragma once

#include <hiredis/hiredis.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "storage/test_process.h"

namespace weir::storage::redis {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "weir-redis-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = name;
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

class RedisProcess {
 public:
  // `more`: further arguments of redis-server.
  explicit RedisProcess(std::vector<std::string> more = {}) : more_(std::move(more)) { Start(); }
  ~RedisProcess() { Kill(); }
  RedisProcess(const RedisProcess&) = delete;
  RedisProcess& operator=(const RedisProcess&) = delete;

  // Starts it (again), on the same port, and waits until it answers.
  void Start() {
    std::vector<std::string> words = {
        "redis-server", "--port", std::to_string(port()), "--bind", "127.0.0.1", "--unixsocket",    socket_path(),
        "--save",       "",       "--appendonly",         "no",     "--dir",     directory_.path(), "--loglevel",
        "warning"};
    words.insert(words.end(), more_.begin(), more_.end());
    process_ = Spawn(std::move(words), log());
    for (int i = 0; i < 2000; ++i) {
      if (Answers()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    throw std::runtime_error("redis-server does not start: " + Log());
  }

  // As kill -9 does, mid-sentence.
  void Kill() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    process_ = -1;
    std::error_code ignored;
    std::filesystem::remove(socket_path(), ignored);
  }

  // Stops it from running, without closing anything: a machine that hangs.
  void Freeze() { kill(process_, SIGSTOP); }
  void Thaw() { kill(process_, SIGCONT); }

  int port() const { return port_.number(); }
  std::string socket_path() const { return directory_.path() + "/redis.sock"; }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port()); }
  std::string unix_url() const { return "unix://" + socket_path(); }

  struct FreeReply {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
  };
  using ReplyPtr = std::unique_ptr<redisReply, FreeReply>;

  // One command on a connection of its own; nullptr when it cannot be asked.
  ReplyPtr Do(const std::vector<std::string>& words) const {
    const std::unique_ptr<redisContext, decltype(&redisFree)> context(redisConnectUnix(socket_path().c_str()),
                                                                      redisFree);
    if (!context || context->err != 0) return nullptr;
    std::vector<const char*> texts;
    std::vector<std::size_t> lengths;
    for (const std::string& word : words) {
      texts.push_back(word.data());
      lengths.push_back(word.size());
    }
    return ReplyPtr(static_cast<redisReply*>(
        redisCommandArgv(context.get(), static_cast<int>(texts.size()), texts.data(), lengths.data())));
  }

  std::vector<std::string> Keys(const std::string& pattern = "*") const {
    std::vector<std::string> keys;
    const ReplyPtr reply = Do({"KEYS", pattern});
    for (std::size_t i = 0; reply && i < reply->elements; ++i)
      keys.emplace_back(reply->element[i]->str, reply->element[i]->len);
    return keys;
  }
  long long Integer(const std::vector<std::string>& words) const {
    const ReplyPtr reply = Do(words);
    return reply ? reply->integer : -1000;
  }

 private:
  std::string log() const { return directory_.path() + "/log"; }
  std::string Log() const {
    std::ifstream in(log());
    return {std::istreambuf_iterator<char>(in), {}};
  }
  bool Answers() const {
    const ReplyPtr reply = Do({"PING"});
    // Also one that wants a password is there.
    return reply && std::string_view(reply->str, reply->len).find("LOADING") == std::string_view::npos;
  }

  TemporaryDirectory directory_;
  const HeldPort port_;
  const std::vector<std::string> more_;
  pid_t process_ = -1;
};

}  // namespace weir::storage::redis
