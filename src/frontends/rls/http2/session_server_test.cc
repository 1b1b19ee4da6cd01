// Sessions on real sockets and loops, with a service that answers on a thread of its own.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "frontends/rls/http2/session_fixture.h"
#include "net/server.h"
#include "net/test_client.h"

namespace weir::rls {
namespace {

class OtherThread final : public Service {
 public:
  OtherThread() : worker_([this](const std::stop_token& stop) { Work(stop); }) {}

  std::string_view name() const override { return "test.Echo"; }
  const std::vector<Method>& methods() const override { return methods_; }
  bool Answer(std::span<UnaryCall> calls, storage::Completion* done) override {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({calls, done});
    changed_.notify_all();
    return false;
  }
  void Hold(bool hold) {
    const std::lock_guard lock(mutex_);
    hold_ = hold;
    changed_.notify_all();
  }
  void WaitForWaiting() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !waiting_.empty(); });
  }
  void WaitForIdle() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.empty() && !working_; });
  }

 private:
  struct Batch {
    std::span<UnaryCall> calls;
    storage::Completion* done;
  };
  void Work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return !waiting_.empty() && !hold_; })) {
      const Batch batch = waiting_.front();
      waiting_.pop_front();
      working_ = true;
      lock.unlock();
      for (UnaryCall& call : batch.calls) call.response = std::string(call.peer) + " " + std::string(call.request);
      batch.done->Done();
      lock.lock();
      working_ = false;
      changed_.notify_all();
    }
  }

  const std::vector<Method> methods_ = {{"/test.Echo/Say", 0, {}}};
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Batch> waiting_;
  bool hold_ = false, working_ = false;
  std::jthread worker_;
};

class OnSockets : public ::testing::Test {
 protected:
  void Start(net::ServerOptions server_options = {}) {
    server_options.threads = 2;
    options.services = {&service};
    std::vector<net::ListenerOptions> listeners(1);
    listeners[0].name = "grpc";
    listeners[0].address = "127.0.0.1:0";
    listeners[0].sessions = [this](net::Connection& connection) { return MakeGrpcSession(connection, options); };
    auto started = net::Server::Start(server_options, std::move(listeners));
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }
  // Talks until `done`, or until the server closes.
  template <typename Done>
  static void Talk(net::TestClient& socket, Client& client, Done&& done) {
    std::array<char, 16'384> bytes{};
    for (;;) {
      const std::string up = client.Output();
      if (!up.empty() && !socket.Send(up)) return;
      if (done()) return;
      const ssize_t got = recv(socket.fd(), bytes.data(), bytes.size(), 0);
      if (got <= 0) return;
      client.Input({bytes.data(), static_cast<std::size_t>(got)});
    }
  }

  // The same for what the client is not told of: `done` is asked also while nothing comes.
  template <typename Done>
  static void TalkOrWait(net::TestClient& socket, Client& client, Done&& done) {
    std::array<char, 16'384> bytes{};
    std::string up;
    for (int i = 0; i < 20'000 && !done(); ++i) {
      // What the socket does not take now waits: the server may have closed.
      up += client.Output();
      const ssize_t sent = send(socket.fd(), up.data(), up.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) up.erase(0, static_cast<std::size_t>(sent));
      const ssize_t got = recv(socket.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (got > 0) client.Input({bytes.data(), static_cast<std::size_t>(got)});
      if (sent <= 0 && got <= 0) poll(nullptr, 0, 1);
    }
    socket.Send(up);
  }

  OtherThread service;
  GrpcOptions options;
  std::unique_ptr<net::Server> server;
};

TEST_F(OnSockets, AnswersThatComeOnAnotherThread) {
  Start();
  std::vector<std::jthread> clients;
  for (int which = 0; which < 4; ++which) {
    clients.emplace_back([this] {
      net::TestClient socket(server->addresses()[0]);
      Client client;
      for (int round = 0; round < 20; ++round) {
        std::vector<std::int32_t> streams;
        for (int i = 0; i < 25; ++i) streams.push_back(client.Call(std::to_string(i)));
        const auto all_closed = [&] {
          return std::all_of(streams.begin(), streams.end(), [&](std::int32_t s) { return client.replies[s].closed; });
        };
        Talk(socket, client, all_closed);
        for (int i = 0; i < 25; ++i) {
          EXPECT_EQ(client.replies[streams[static_cast<std::size_t>(i)]].Message(), "127.0.0.1 " + std::to_string(i));
        }
      }
    });
  }
  clients.clear();
  EXPECT_EQ(server->Drain(20'000), 0U);
}

TEST_F(OnSockets, AnswersForConnectionsThatHaveGone) {
  Start();
  service.Hold(true);
  for (int i = 0; i < 10; ++i) {
    net::TestClient socket(server->addresses()[0]);
    Client client;
    client.Call("gone");
    socket.Send(client.Output());
    service.WaitForWaiting();
  }
  service.Hold(false);
  service.WaitForIdle();
  net::TestClient socket(server->addresses()[0]);
  Client client;
  const std::int32_t stream = client.Call("here");
  Talk(socket, client, [&] { return client.replies[stream].closed; });
  EXPECT_EQ(client.replies[stream].Message(), "127.0.0.1 here");
}

TEST_F(OnSockets, WhatCallsHoldCountsAmongWhatAllConnectionsMayHold) {
  Start({.max_buffered_bytes = 1'000'000, .idle_timeout_ms = 0});
  service.Hold(true);
  const auto buffered = [&] { return server->Stats().buffered_bytes; };
  const std::string framed = Framed(std::string(600'000, 'm'));
  net::TestClient first(server->addresses()[0]), second(server->addresses()[0]);
  Client one, two;
  const std::int32_t stream = one.Request(Client::GrpcHeaders(), framed.substr(0, 400'000), false);
  TalkOrWait(first, one, [&] { return buffered() >= 400'000; });
  EXPECT_EQ(buffered(), 400'000U);
  // Also while it waits for its answer.
  one.Continue(stream, framed.substr(400'000), true);
  TalkOrWait(first, one, [&] { return buffered() >= framed.size(); });
  EXPECT_EQ(buffered(), framed.size());
  two.Request(Client::GrpcHeaders(), framed, false);
  TalkOrWait(second, two, [&] { return server->Stats().crowded_closed > 0; });
  EXPECT_EQ(server->Stats().crowded_closed, 1U);
  // It is counted, then closed.
  TalkOrWait(first, one, [&] { return buffered() == framed.size(); });
  EXPECT_EQ(buffered(), framed.size());
  service.Hold(false);
  TalkOrWait(first, one, [&] { return one.replies[stream].closed; });
  EXPECT_EQ(one.replies[stream].Message().size(), 600'000 + std::string_view("127.0.0.1 ").size());
  TalkOrWait(first, one, [&] { return buffered() == 0; });
  EXPECT_EQ(buffered(), 0U);
}

TEST_F(OnSockets, ADrainWaitsForAnswersThatAreOnTheirWay) {
  Start();
  service.Hold(true);
  net::TestClient socket(server->addresses()[0]);
  Client client;
  const std::int32_t stream = client.Call("last");
  socket.Send(client.Output());
  service.WaitForWaiting();
  std::jthread drain([this] { EXPECT_EQ(server->Drain(20'000), 0U); });
  // Both before the answer: nghttp2's client reads nothing more once its last call has ended.
  Talk(socket, client, [&] { return client.goaways.size() == 2; });
  EXPECT_EQ(client.goaways.size(), 2U);
  EXPECT_FALSE(client.replies[stream].closed);
  service.Hold(false);
  Talk(socket, client, [] { return false; });
  EXPECT_EQ(client.replies[stream].Message(), "127.0.0.1 last");
}

TEST_F(OnSockets, ACallThatIsNeverFinishedIsClosedByTheIdleTimeout) {
  Start({.idle_timeout_ms = 50});
  net::TestClient socket(server->addresses()[0]);
  Client client;
  client.Request(Client::GrpcHeaders(), Framed("hello").substr(0, 7), false);
  Talk(socket, client, [] { return false; });
  EXPECT_EQ(client.goaways.size(), 1U);
  EXPECT_TRUE(socket.AtEnd());
}

TEST_F(OnSockets, ADeadlineThatOnlyTheServerKeeps) {
  Start({.idle_timeout_ms = 0});
  service.Hold(true);
  net::TestClient socket(server->addresses()[0]);
  Client client;
  const std::int32_t stream = client.Call("late", "/test.Echo/Say", {{"grpc-timeout", "30m"}});
  Talk(socket, client, [&] { return client.replies[stream].closed; });
  EXPECT_EQ(client.replies[stream].status(), "4");
  service.Hold(false);
  service.WaitForIdle();
}

}  // namespace
}  // namespace weir::rls
