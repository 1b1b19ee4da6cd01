// The order in which sessions are called when they leave work for after OnInput.
#include <gtest/gtest.h>

#include <latch>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/heap_in_use.h"
#include "net/server_fixture.h"

namespace weir::net {
namespace {

// Takes one line at a time, and answers it in OnAnswer.
class PhasedSession final : public Session {
 public:
  struct Log {
    void Add(std::string entry) {
      const std::lock_guard lock(mutex);
      entries.push_back(std::move(entry));
    }
    std::vector<std::string> Taken() {
      const std::lock_guard lock(mutex);
      return std::exchange(entries, {});
    }
    std::mutex mutex;
    std::vector<std::string> entries;
  };

  PhasedSession(Connection& connection, Log& log, Stage& stage) : connection_(connection), log_(log), stage_(stage) {}

  std::size_t OnInput(std::string_view input) override {
    const std::size_t end = input.find('\n');
    if (end == std::string_view::npos) return 0;
    line_.assign(input.substr(0, end));
    log_.Add("in");
    if (line_ == "share") stage_.Share({connection_.Share(), nullptr});
    return end + 1;
  }
  void OnAsk() override {
    if (line_.empty()) return;
    if (line_ == "throw") throw std::runtime_error("as asked");
    log_.Add("ask");
  }
  void OnAnswer() override {
    if (line_.empty()) return;
    log_.Add("answer");
    std::size_t size = 0;
    if (line_ == "big") size = 1 << 20;
    if (line_ == "half") size = 500'000;
    if (line_ == "two") size = 2'000;
    connection_.output().append(size > 0 ? std::string(size, 'x') : line_).append("\n");
    line_.clear();
  }
  void OnDrain() override { connection_.CloseAfterFlush(); }

 private:
  Connection& connection_;
  Log& log_;
  Stage& stage_;
  std::string line_;
};

class Phases : public ServerTest {
 protected:
  void StartPhased() {
    ListenerOptions listener = Listener("127.0.0.1:0");
    listener.sessions = [this](Connection& connection) {
      return std::make_unique<PhasedSession>(connection, log_, stage_);
    };
    Start(std::move(listener));
  }
  // Of `count` in turn.
  static std::vector<std::string> Each(std::size_t count) {
    std::vector<std::string> all;
    for (const char* const phase : {"in", "ask", "answer"}) all.insert(all.end(), count, phase);
    return all;
  }
  PhasedSession::Log log_;
};

TEST_F(Phases, AreOverBeforeASessionIsShownMore) {
  StartPhased();
  TestClient client = Client();
  client.Send("a\nb\n");
  EXPECT_EQ(client.ReceiveLine(), "a\n");
  EXPECT_EQ(client.ReceiveLine(), "b\n");
  std::vector<std::string> twice = Each(1);
  for (const std::string& phase : Each(1)) twice.push_back(phase);
  EXPECT_EQ(log_.Taken(), twice);
}

TEST_F(Phases, AreThoseOfAllThatAreReadTogether) {
  StartPhased();
  std::vector<TestClient> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(Client());
  for (TestClient& client : clients) {
    client.Send("x\n");
    EXPECT_EQ(client.ReceiveLine(), "x\n");
  }
  clients[0].Send("share\n");
  EXPECT_EQ(clients[0].ReceiveLine(), "share\n");
  std::latch held(1), go(1);
  stage_.WaitForShared(0).connection->Post([&] {
    held.count_down();
    go.wait();
  });
  held.wait();
  log_.Taken();
  for (TestClient& client : clients) client.Send("y\n");
  go.count_down();
  for (TestClient& client : clients) EXPECT_EQ(client.ReceiveLine(), "y\n");
  EXPECT_EQ(log_.Taken(), Each(5));
}

// More connections than are read together, with more bytes than a round takes; and tasks that come while some wait.
TEST_F(Phases, WhatIsReadTogetherStaysApart) {
  StartPhased();
  constexpr std::size_t kClients = 24;
  std::vector<TestClient> clients;
  for (std::size_t i = 0; i < kClients; ++i) clients.push_back(Client());
  for (std::size_t i = 0; i < kClients; ++i) {
    clients[i].Send("share\n");
    EXPECT_EQ(clients[i].ReceiveLine(), "share\n");
    stage_.WaitForShared(i);
  }
  for (int round = 0; round < 5; ++round) {
    std::latch held(1), go(1);
    stage_.WaitForShared(0).connection->Post([&] {
      held.count_down();
      go.wait();
    });
    held.wait();
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < kClients; ++i) {
      const std::size_t size = 1 + (i * 7'919 + static_cast<std::size_t>(round) * 104'729) % 30'000;
      lines.push_back(std::string(size, static_cast<char>('a' + i)) + "\n");
      clients[i].Send(lines.back());
      // Each turns to its connection in the same turn of the loop.
      if (i % 3 == 0) stage_.WaitForShared(i).connection->Post([] {});
    }
    go.count_down();
    for (std::size_t i = 0; i < kClients; ++i) EXPECT_EQ(clients[i].Receive(lines[i].size()), lines[i]);
  }
}

TEST_F(Phases, OneThatClosesBeforeItIsShownInputConcernsNoOther) {
  StartPhased();
  TestClient closes = Client(), other = Client();
  closes.Send("share\n");
  EXPECT_EQ(closes.ReceiveLine(), "share\n");
  const auto connection = stage_.WaitForShared(0).connection;
  std::latch held(1), go(1);
  connection->Post([&] {
    held.count_down();
    go.wait();
  });
  held.wait();
  closes.Send("x\n");
  other.Send("y\n");
  connection->Post([connection] { connection->CloseAfterFlush(); });
  go.count_down();
  EXPECT_EQ(other.ReceiveLine(), "y\n");
  const std::string last = closes.ReceiveLine();
  EXPECT_TRUE(last.empty() || last == "x\n") << last;
}

TEST_F(Phases, LeaveNoBufferWithAnIdleConnection) {
  StartPhased();
  std::vector<TestClient> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(Client());
  const auto all = [&](std::string_view line, std::size_t size) {
    for (TestClient& client : clients) client.Send(line);
    for (TestClient& client : clients) EXPECT_EQ(client.Receive(size).size(), size);
  };
  all("x\n", 2);
  clients[0].Send("share\n");
  EXPECT_EQ(clients[0].ReceiveLine(), "share\n");
  const std::size_t before = HeapInUse();
  std::latch go(1);
  stage_.WaitForShared(0).connection->Post([&go] { go.wait(); });
  for (TestClient& client : clients) client.Send("two\n");
  go.count_down();
  for (TestClient& client : clients) EXPECT_EQ(client.Receive(2'001).size(), 2'001U);
  EXPECT_LT(HeapInUse(), before + (std::size_t{100} << 10)) << "those of the loop itself";
}

TEST_F(Phases, ALargeBufferDoesNotStayWithWhoSaysNothing) {
  StartPhased();
  TestClient large = Client();
  std::vector<TestClient> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(Client());
  const auto ask = [&] {
    large.Send("half\n");
    EXPECT_EQ(large.Receive(500'001).size(), 500'001U);
  };
  ask();
  const std::size_t before = HeapInUse();
  for (TestClient& client : clients) {
    client.Send("p");  // no line yet
    ask();
  }
  EXPECT_LT(HeapInUse(), before + (std::size_t{4} << 20));
}

TEST_F(Phases, AFaultInOneConcernsNoOther) {
  StartPhased();
  TestClient other = Client(), faulty = Client();
  faulty.Send("throw\n");
  EXPECT_TRUE(faulty.AtEnd());
  other.Send("x\n");
  EXPECT_EQ(other.ReceiveLine(), "x\n");
}

TEST_F(Phases, StopForAPeerThatDoesNotRead) {
  StartPhased();
  TestClient client = Client();
  std::string lines;
  for (int i = 0; i < 64; ++i) lines += "big\n";
  client.Send(lines);
  // What is unsent holds back the next line, so that no more than some of it is ever waiting.
  std::size_t received = 0;
  for (int i = 0; i < 64; ++i) received += client.Receive((1 << 20) + 1).size();
  EXPECT_EQ(received, 64U * ((1 << 20) + 1));
  EXPECT_EQ(server_->Stats().overflow_closed, 0U);
}

}  // namespace
}  // namespace weir::net
