// How one connection behaves: back pressure, pausing, closing, posting.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "net/server_fixture.h"

namespace weir::net {
namespace {

using ConnectionTest = ServerTest;

TEST_F(ConnectionTest, SendsAnswersThatAreLargerThanTheSocketsBuffer) {
  Start();
  TestClient client = Client();
  client.Send("big 10000000\nbig 3\n");
  EXPECT_EQ(client.Receive(10'000'003), std::string(10'000'003, 'x'));
}

TEST_F(ConnectionTest, DoesNotReadFromAPeerThatDoesNotRead) {
  Start();
  TestClient client = Client();
  const int flags = fcntl(client.fd(), F_GETFL);
  fcntl(client.fd(), F_SETFL, flags | O_NONBLOCK);
  // Each line costs the server 100 bytes of output; it must stop reading long before its bound of 16 MB.
  constexpr std::string_view kLine = "big 100\n";
  std::string lines;
  for (int i = 0; i < 1'000; ++i) lines += kLine;
  std::size_t sent = 0;
  for (;;) {
    const std::size_t offset = sent % kLine.size();
    const ssize_t n = send(client.fd(), lines.data() + offset, lines.size() - offset, MSG_NOSIGNAL);
    if (n <= 0) break;
    sent += static_cast<std::size_t>(n);
    if (sent > (std::size_t{256} << 20)) break;
  }
  ASSERT_LT(sent, std::size_t{256} << 20) << "the server reads without end";
  EXPECT_EQ(server_->Stats().overflow_closed, 0U);
  fcntl(client.fd(), F_SETFL, flags);
  client.ShutdownWrite();
  std::size_t received = 0;
  for (std::string part = client.Receive(1 << 20); !part.empty(); part = client.Receive(1 << 20))
    received += part.size();
  EXPECT_EQ(received, sent / kLine.size() * 100);
}

TEST_F(ConnectionTest, ClosesAReaderThatIsTooSlow) {
  options_.max_output_bytes = 1 << 20;
  Start();
  TestClient client = Client();
  client.Send("big 20000000\n");
  // A reader that begins before might keep up.
  while (server_->Stats().overflow_closed == 0) std::this_thread::yield();
  EXPECT_LT(client.ReceiveAll().size(), 20'000'000U);
  EXPECT_EQ(server_->Stats().overflow_closed, 1U);
}

TEST_F(ConnectionTest, ClosesWhenInputIsNeverConsumed) {
  options_.max_input_bytes = 100'000;
  Start();
  TestClient client = Client();
  client.Send(std::string(200'000, 'a'));
  EXPECT_TRUE(client.AtEnd());
  EXPECT_EQ(server_->Stats().overflow_closed, 1U);
}

// For about so long, while the server goes on.
void Rest(int ms) { poll(nullptr, 0, ms); }

TEST_F(ConnectionTest, ClosesAReaderThatTakesItsAnswersInDrops) {
  options_.idle_timeout_ms = 100;
  Start("unix:" + Path("s.sock"));  // where what is read makes room at once
  TestClient client = Client();
  client.Send("big 16000000\n");
  // Never silent for as long as the timeout; all of it would take 5 s.
  std::size_t received = 0;
  for (;;) {
    const std::size_t got = client.Receive(32'000).size();
    received += got;
    if (got < 32'000) break;
    Rest(10);
  }
  EXPECT_LT(received, 16'000'000U);
  EXPECT_EQ(server_->Stats().slow_closed, 1U);
  EXPECT_EQ(server_->Stats().idle_closed, 0U);
}

TEST_F(ConnectionTest, AnAnswerThatTookLongToMakeIsNotIdle) {
  options_.idle_timeout_ms = 100;
  Start("unix:" + Path("s.sock"));
  TestClient client = Client();
  client.Send("take long\n");
  client.Receive(10 + 1'000'000);
  EXPECT_EQ(server_->Stats().idle_closed, 0U);
}

TEST_F(ConnectionTest, LeavesAReaderAloneThatIsAlwaysBehindButSteady) {
  options_.idle_timeout_ms = 500;
  Start("unix:" + Path("s.sock"));
  TestClient client = Client();
  // Five answers of which about one fits the socket: something is always unsent.
  constexpr std::string_view kAsk = "big 150000\n";
  for (int i = 0; i < 5; ++i) client.Send(kAsk);
  for (int i = 0; i < 150; ++i) {
    ASSERT_EQ(client.Receive(150'000).size(), 150'000U) << i;
    client.Send(kAsk);
    Rest(10);
  }
  EXPECT_EQ(server_->Stats().slow_closed, 0U);
}

TEST_F(ConnectionTest, AllConnectionsTogetherHoldNoMoreThanTheirBound) {
  constexpr std::size_t kSome = 300'000;  // in a buffer of up to twice as much
  options_.threads = 2;
  options_.max_output_bytes = 64 << 20;
  options_.max_buffered_bytes = 1'500'000;
  Start();
  const auto wait_for = [&](auto condition) {
    for (int i = 0; i < 2'000 && !condition(server_->Stats()); ++i) Rest(10);
    EXPECT_TRUE(condition(server_->Stats()));
  };
  TestClient first = Client(), second = Client();
  first.Send(std::string(kSome, 'a'));
  second.Send(std::string(kSome, 'b'));
  wait_for([](const ServerStats& stats) { return stats.buffered_bytes >= 2 * kSome; });
  EXPECT_EQ(server_->Stats().crowded_closed, 0U);
  // Whoever would hold more is closed, whether by what it sends or by what it does not take; who holds little is
  // served.
  TestClient sender = Client(), reader = Client(), small = Client();
  sender.Send(std::string(1'000'000, 'c'));
  EXPECT_TRUE(sender.AtEnd());
  EXPECT_EQ(server_->Stats().crowded_closed, 1U);
  reader.Send("big 50000000\n");
  wait_for([](const ServerStats& stats) { return stats.crowded_closed == 2; });
  small.Send("x\n");
  EXPECT_EQ(small.ReceiveLine(), "x\n");
  // And whoever was there first is, too.
  first.Send("\n");
  EXPECT_EQ(first.Receive(kSome + 1), std::string(kSome, 'a') + "\n");
  second.Close();
  wait_for([](const ServerStats& stats) { return stats.buffered_bytes == 0; });
}

TEST_F(ConnectionTest, WhatSessionsHoldCountsAmongIt) {
  options_.max_buffered_bytes = 1'500'000;
  Start();
  const auto wait_for = [&](std::uint64_t bytes) {
    for (int i = 0; i < 2'000 && server_->Stats().buffered_bytes != bytes; ++i) Rest(10);
    EXPECT_EQ(server_->Stats().buffered_bytes, bytes);
  };
  TestClient first = Client(), second = Client();
  first.Send("hold 700000\n");
  EXPECT_EQ(first.ReceiveLine(), "hold 700000\n");
  wait_for(700'000);
  second.Send("hold 900000\n");
  EXPECT_EQ(second.ReceiveLine(), "hold 900000\n");
  EXPECT_TRUE(second.AtEnd());
  EXPECT_EQ(server_->Stats().crowded_closed, 1U);
  first.Send("hold 1400000\n");
  EXPECT_EQ(first.ReceiveLine(), "hold 1400000\n");
  wait_for(1'400'000);
  first.Send("hold 0\n");
  EXPECT_EQ(first.ReceiveLine(), "hold 0\n");
  wait_for(0);
  first.Send("hold 1000000\n");
  wait_for(1'000'000);
  first.Close();
  wait_for(0);
}

// What a session is about to make counts before it exists, so those that are read together are refused together.
TEST_F(ConnectionTest, RoomIsTakenBeforeWhatItIsFor) {
  options_.max_buffered_bytes = 1'500'000;
  Start();
  std::vector<TestClient> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(Client());
  for (TestClient& client : clients) client.Send("room 2000000\nhi\n");
  for (TestClient& client : clients) EXPECT_EQ(client.Receive(24), "room 2000000\nno room\nhi\n");
  const ServerStats refused = server_->Stats();
  EXPECT_EQ(refused.room_refused, 4U);
  EXPECT_EQ(refused.crowded_closed, 0U);
  EXPECT_EQ(refused.buffered_bytes, 0U) << "what is refused does not count";
  // What was taken is given back at the end of the turn, and what there is then counts instead.
  for (int i = 0; i < 20; ++i) {
    clients[0].Send("room 1000000\n");
    EXPECT_EQ(clients[0].Receive(13 + 1'000'001).size(), 13U + 1'000'001U);
  }
  EXPECT_EQ(server_->Stats().room_refused, 4U);
  for (int i = 0; i < 2'000 && server_->Stats().buffered_bytes != 0; ++i) Rest(10);
  EXPECT_EQ(server_->Stats().buffered_bytes, 0U);
}

TEST_F(ConnectionTest, ASessionThatYieldsIsShownTheRestInALaterTurn) {
  Start();
  TestClient client = Client();
  client.Send("1\nyield\n2\nyield\nyield\n3\n");
  EXPECT_EQ(client.Receive(24), "1\nyield\n2\nyield\nyield\n3\n");
  client.Send("yield\n4\nunfinished");
  client.ShutdownWrite();
  EXPECT_EQ(client.ReceiveAll(), "yield\n4\n");
}

// However many ask for long work, whoever comes new is served between two of them.
TEST_F(ConnectionTest, ALongTurnEndsForThoseWhoComeNew) {
  constexpr int kBusy = 40;
  Start();
  std::vector<TestClient> busy;
  for (int i = 0; i < kBusy; ++i) {
    busy.push_back(Client());
    busy.back().Send("hello\n");
    EXPECT_EQ(busy.back().ReceiveLine(), "hello\n");
  }
  TestClient late = Client();
  late.Send("hello\n");
  EXPECT_EQ(late.ReceiveLine(), "hello\n");
  // Large enough that each is answered before the next is read.
  const std::string long_work = std::string(20'000, '-') + "\nburn 30\n";
  for (TestClient& client : busy) client.Send(long_work);
  late.Send("burnt\n");
  EXPECT_EQ(late.ReceiveLine(), "burnt\n");
  EXPECT_LT(std::stoi(late.ReceiveLine()), kBusy / 2);
  for (TestClient& client : busy) EXPECT_EQ(client.Receive(long_work.size()).size(), long_work.size());
  EXPECT_EQ(stage_.burnt, kBusy);
}

TEST_F(ConnectionTest, DeliversNothingWhilePausedAndEverythingAfterwards) {
  Start();
  TestClient client = Client();
  client.Send("1\npause\n2\n3\n");
  EXPECT_EQ(client.Receive(8), "1\npause\n");
  const Stage::Shared paused = stage_.WaitForShared(0);
  client.Send("4\n");
  paused.connection->Post([&paused] { paused.session->Continue("resumed\n"); });
  EXPECT_EQ(client.Receive(14), "resumed\n2\n3\n4\n");
}

TEST_F(ConnectionTest, AnswersEverythingToAPeerThatClosedItsHalf) {
  Start();
  TestClient client = Client();
  client.Send("1\npause\n2\nunfinished");
  client.ShutdownWrite();
  EXPECT_EQ(client.Receive(8), "1\npause\n");
  const Stage::Shared paused = stage_.WaitForShared(0);
  paused.connection->Post([&paused] { paused.session->Continue("resumed\n"); });
  EXPECT_EQ(client.ReceiveAll(), "resumed\n2\n");
  EXPECT_FALSE(client.was_reset());
}

TEST_F(ConnectionTest, TheLastAnswerArrivesThoughThePeerStillSends) {
  Start();
  TestClient client = Client();
  // More than the server will read: a plain close would reset the connection and lose the answer.
  auto sender = std::async(std::launch::async, [&] {
    client.Send("close\n");
    for (int i = 0; i < 50 && client.Send(std::string(100'000, 'a')); ++i) {
    }
    client.ShutdownWrite();
  });
  EXPECT_EQ(client.ReceiveAll(), "close\n");
  EXPECT_FALSE(client.was_reset());
  sender.get();
}

TEST_F(ConnectionTest, NothingIsDeliveredAfterCloseAfterFlush) {
  Start();
  TestClient client = Client();
  client.Send("1\nclose\n2\n3\n");
  EXPECT_EQ(client.ReceiveAll(), "1\nclose\n");
}

TEST_F(ConnectionTest, APeerThatNeverClosesIsNotWaitedForLong) {
  Start();
  TestClient client = Client();
  client.Send("close\n");
  EXPECT_EQ(client.ReceiveAll(), "close\n");
  // Its own end stays open: the server lets go of its end all the same.
  stage_.WaitForDestroyed(1);
  EXPECT_TRUE(client.connected());
}

TEST_F(ConnectionTest, ASessionThatThrowsLosesOnlyItsOwnConnection) {
  Start();
  TestClient bystander = Client(), client = Client();
  client.Send("throw\n");
  EXPECT_TRUE(client.AtEnd());
  bystander.Send("fine\n");
  EXPECT_EQ(bystander.ReceiveLine(), "fine\n");
}

TEST_F(ConnectionTest, PostedTasksRunOnTheLoopAndAreDroppedOnceItIsClosed) {
  Start();
  TestClient client = Client();
  client.Send("share\n");
  EXPECT_EQ(client.ReceiveLine(), "share\n");
  const Stage::Shared shared = stage_.WaitForShared(0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&shared] {
      for (int k = 0; k < 100; ++k) {
        shared.connection->Post([&shared] {
          shared.connection->output() += "p\n";
          shared.connection->Flush();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::string all;
  for (int i = 0; i < 400; ++i) all += "p\n";
  EXPECT_EQ(client.Receive(800), all);

  client.Close();
  stage_.WaitForDestroyed(1);
  auto token = std::make_shared<int>(0);
  shared.connection->Post([token] { FAIL() << "ran on a closed connection"; });
  // A second connection's task runs after the first one's was dropped.
  TestClient other = Client();
  other.Send("share\n");
  EXPECT_EQ(other.ReceiveLine(), "share\n");
  std::promise<void> ran;
  stage_.WaitForShared(1).connection->Post([&ran] { ran.set_value(); });
  ran.get_future().get();
  server_.reset();
  shared.connection->Post([token] { FAIL() << "ran without a server"; });
  EXPECT_EQ(token.use_count(), 1) << "what is dropped is destroyed";
}

TEST_F(ConnectionTest, AConnectionMayOutliveItsServerAsAShell) {
  Start();
  TestClient client = Client();
  client.Send("pause\n");
  EXPECT_EQ(client.ReceiveLine(), "pause\n");
  Stage::Shared shared = stage_.WaitForShared(0);
  server_.reset();
  stage_.WaitForDestroyed(1);
  EXPECT_EQ(shared.connection->peer_address(), "127.0.0.1");
  shared.connection->Post([] { FAIL(); });
}

}  // namespace
}  // namespace weir::net
