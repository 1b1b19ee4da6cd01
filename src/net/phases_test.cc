// The order in which sessions are called when they leave work for after OnInput.
#include <gtest/gtest.h>

#include <functional>
#include <latch>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
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
    std::function<void()> hold;
  };

  PhasedSession(Connection& connection, Log& log, Stage& stage) : connection_(connection), log_(log), stage_(stage) {}

  std::size_t OnInput(std::string_view input) override {
    const std::size_t end = input.find('\n');
    if (end == std::string_view::npos) return 0;
    line_.assign(input.substr(0, end));
    log_.Add("in");
    if (line_ == "hold") log_.hold();
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
  // Runs `meanwhile` while the loop is inside the session of `holder`: what comes then is all there in its next turn,
  // in the order in which it came.
  template <typename Call>
  void Held(TestClient& holder, Call&& meanwhile) {
    std::latch held(1), go(1);
    log_.hold = [&] {
      held.count_down();
      go.wait();
    };
    holder.Send("hold\n");
    held.wait();
    meanwhile();
    go.count_down();
    EXPECT_EQ(holder.ReceiveLine(), "hold\n");
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

// More connections than are read together, with more bytes than a round takes; and tasks that come when some are read
// and not shown yet.
TEST_F(Phases, WhatIsReadTogetherStaysApart) {
  StartPhased();
  constexpr std::size_t kClients = 24;
  TestClient holder = Client();
  std::vector<TestClient> clients;
  for (std::size_t i = 0; i < kClients; ++i) clients.push_back(Client());
  for (std::size_t i = 0; i < kClients; ++i) {
    clients[i].Send("share\n");
    EXPECT_EQ(clients[i].ReceiveLine(), "share\n");
    stage_.WaitForShared(i);
  }
  for (std::size_t round = 0; round < 8; ++round) {
    std::vector<std::string> lines;
    Held(holder, [&] {
      for (std::size_t i = 0; i < kClients; ++i) {
        const std::size_t most = i % 8 == round ? 30'000 : 800;
        lines.push_back(std::string(1 + (i * 7'919 + round * 104'729) % most, static_cast<char>('a' + i)) + "\n");
        clients[i].Send(lines.back());
      }
      for (std::size_t i = 0; i < kClients; i += 3) stage_.WaitForShared(i).connection->Post([] {});
    });
    for (std::size_t i = 0; i < kClients; ++i) EXPECT_EQ(clients[i].Receive(lines[i].size()), lines[i]);
  }
}

TEST_F(Phases, OneThatClosesBeforeItIsShownInputConcernsNoOther) {
  StartPhased();
  TestClient holder = Client(), closes = Client(), other = Client();
  for (TestClient* const client : {&closes, &other}) {
    client->Send("share\n");
    EXPECT_EQ(client->ReceiveLine(), "share\n");
  }
  const auto connection = stage_.WaitForShared(0).connection;
  Held(holder, [&] {
    closes.Send("x\n");
    other.Send("y\n");
    // It finds x read, and not shown.
    connection->Post([connection] { connection->CloseAfterFlush(); });
  });
  EXPECT_EQ(other.ReceiveLine(), "y\n");
  EXPECT_EQ(closes.ReceiveLine(), "");
}

TEST_F(Phases, ADrainAnswersWhatWasReadAndNotShown) {
  StartPhased();
  TestClient holder = Client(), client = Client();
  client.Send("x\n");
  EXPECT_EQ(client.ReceiveLine(), "x\n");
  std::jthread drain;
  Held(holder, [&] {
    client.Send("y\n");
    drain = std::jthread([this] { server_->Drain(10'000); });
  });
  EXPECT_EQ(client.ReceiveLine(), "y\n");
  EXPECT_TRUE(client.AtEnd());
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
