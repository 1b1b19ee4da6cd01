// Sessions whose input is read together are asked together (net::Session::OnAsk, question_batch.h).
#include <gtest/gtest.h>

#include <array>
#include <new>
#include <random>
#include <thread>

#include "base/allocation_counter.h"
#include "frontends/rls/http2/question_batch.h"
#include "frontends/rls/http2/session_fixture.h"

namespace weir::rls {
namespace {

// A client, a connection and a session beside others on the same loop.
struct Caller {
  Caller(const GrpcOptions& options, const std::string& peer)
      : connection(std::make_unique<net::FakeConnection>(peer)), session(MakeGrpcSession(*connection, options)) {
    connection->Attach(session.get());
    connection->Receive(client.Output());
    client.Input(connection->TakeOutput());
    connection->ReadTogether();
  }
  // Its bytes have come in; neither asked nor answered.
  void Say(std::string_view message, const std::string& path = "/test.Echo/Say", const Headers& more = {}) {
    stream = client.Call(message, path, more);
    connection->Receive(client.Output());
  }
  const Reply& Received() {
    EXPECT_FALSE(connection->unflushed());
    client.Input(connection->TakeOutput());
    return client.replies[stream];
  }
  void End() {
    connection->Attach(nullptr);
    session.reset();
  }

  Client client;
  std::unique_ptr<net::FakeConnection> connection;
  std::unique_ptr<net::Session> session;
  std::int32_t stream = 0;
};

class Gathered : public SessionTest {
 protected:
  Gathered() {
    options.services.push_back(&other);
    options.clock = &clock;
    counters = std::make_unique<CallCounters>(options.services);
    options.counters = counters.get();
  }
  Caller MakeCaller(const std::string& peer = "192.0.2.1") const { return {options, peer}; }

  TestService other{"test.Reverb"};
};

using Batches = std::vector<std::size_t>;

TEST_F(Gathered, CallsOfSeveralConnectionsAreOneBatch) {
  Caller one = MakeCaller("192.0.2.1"), two = MakeCaller("192.0.2.2"), three = MakeCaller("192.0.2.3");
  one.Say("abc");
  two.Say("def");
  three.Say("ghi", "/test.Reverb/Say");
  for (Caller* const caller : {&one, &two, &three}) caller->connection->Ask();
  EXPECT_TRUE(service.batches.empty());
  for (Caller* const caller : {&one, &two, &three}) caller->connection->Answer();
  EXPECT_EQ(service.batches, Batches{2});
  EXPECT_EQ(other.batches, Batches{1});
  EXPECT_EQ(service.peers, (std::vector<std::string>{"192.0.2.1", "192.0.2.2"}));
  EXPECT_EQ(one.Received().Message(), "cba");
  EXPECT_EQ(two.Received().Message(), "fed");
  EXPECT_EQ(three.Received().Message(), "ihg");
  EXPECT_EQ(one.session->held(), 0U);
  EXPECT_EQ(Counted("/test.Echo/Say", Code::kOk), 2U);
}

TEST_F(Gathered, AConnectionsCallsStayTogetherWhateverServiceTheyAsk) {
  Caller one = MakeCaller();
  const std::int32_t first = one.client.Call("abc"), second = one.client.Call("def", "/test.Reverb/Say"),
                     third = one.client.Call("ghi");
  one.connection->Receive(one.client.Output());
  one.connection->Answer();
  EXPECT_EQ(service.batches, Batches{2});
  EXPECT_EQ(other.batches, Batches{1});
  one.Received();
  EXPECT_EQ(one.client.replies[first].Message(), "cba");
  EXPECT_EQ(one.client.replies[second].Message(), "fed");
  EXPECT_EQ(one.client.replies[third].Message(), "ihg");
}

TEST_F(Gathered, ManyCallsAreSeveralBatchesAndComeInTheirOrder) {
  Caller one = MakeCaller("192.0.2.1"), two = MakeCaller("192.0.2.2");
  for (Caller* const caller : {&one, &two}) {
    for (int i = 0; i < 50; ++i) caller->client.Call("call");
    caller->connection->Receive(caller->client.Output());
    caller->connection->Ask();
  }
  for (Caller* const caller : {&one, &two}) caller->connection->Answer();
  EXPECT_EQ(service.batches, (Batches{64, 36}));
  EXPECT_EQ(service.peers[49], "192.0.2.1");
  EXPECT_EQ(service.peers[50], "192.0.2.2");
  for (Caller* const caller : {&one, &two}) {
    caller->client.Input(caller->connection->TakeOutput());
    EXPECT_EQ(caller->client.replies.size(), 50U);
    for (const auto& [stream, reply] : caller->client.replies) EXPECT_EQ(reply.Message(), "llac");
    EXPECT_EQ(caller->session->held(), 0U);
  }
}

// They may ask for a hundred descriptors each.
TEST_F(Gathered, LargeMessagesDoNotHoldUpOthers) {
  Caller one = MakeCaller(), two = MakeCaller(), three = MakeCaller();
  one.Say(std::string(3'000, 'x'));
  two.Say(std::string(3'000, 'x'));
  three.Say("small");
  for (Caller* const caller : {&one, &two, &three}) caller->connection->Ask();
  for (Caller* const caller : {&one, &two, &three}) caller->connection->Answer();
  EXPECT_EQ(service.batches, (Batches{2, 1}));
  EXPECT_EQ(three.Received().Message(), "llams");
}

TEST_F(Gathered, OneThatEndsBeforeItIsAskedLeavesTheOthersAlone) {
  Caller one = MakeCaller(), two = MakeCaller();
  one.Say("abc");
  two.Say("def");
  one.connection->Ask();
  two.connection->Ask();
  one.End();
  two.connection->Answer();
  EXPECT_EQ(two.Received().Message(), "fed");
}

TEST_F(Gathered, NobodysCallsAreNotAsked) {
  auto service_of_another_server = std::make_unique<TestService>();
  GrpcOptions its_options = options;
  its_options.services = {service_of_another_server.get()};
  its_options.counters = nullptr;
  Caller one(its_options, "192.0.2.1");
  one.Say("abc");
  one.connection->Ask();
  one.End();
  service_of_another_server.reset();
  Caller two = MakeCaller();
  two.Say("def");
  two.connection->Answer();
  EXPECT_EQ(two.Received().Message(), "fed");
  EXPECT_EQ(service.batches, Batches{1});
}

TEST_F(Gathered, AnswersThatComeLaterReachThoseThatAreStillThere) {
  service.hold = true;
  Caller one = MakeCaller(), two = MakeCaller(), three = MakeCaller();
  std::size_t held = 0;
  for (Caller* const caller : {&one, &two, &three}) {
    caller->Say("abc");
    caller->connection->Ask();
    held = caller->session->held();
  }
  EXPECT_GT(held, 0U);
  for (Caller* const caller : {&one, &two, &three}) caller->connection->Answer();
  EXPECT_EQ(service.batches, Batches{3});
  EXPECT_TRUE(one.Received().headers.empty());
  EXPECT_EQ(one.session->held(), held);
  two.End();
  service.Release();
  EXPECT_EQ(one.connection->RunPosted(), 1U);
  EXPECT_EQ(three.connection->RunPosted(), 1U);
  EXPECT_EQ(one.Received().Message(), "cba");
  EXPECT_EQ(three.Received().Message(), "cba");
  EXPECT_EQ(one.session->held(), 0U);
}

TEST_F(Gathered, AConnectionThatGoesBeforeTheLateAnswerIsNotMissed) {
  service.hold = true;
  Caller one = MakeCaller(), two = MakeCaller();
  for (Caller* const caller : {&one, &two}) {
    caller->Say("abc");
    caller->connection->Ask();
  }
  one.connection->Answer();
  two.connection->Answer();
  one.End();
  one.connection.reset();
  service.Release();
  two.connection->RunPosted();
  EXPECT_EQ(two.Received().Message(), "cba");
}

TEST_F(Gathered, ATurnInBetweenAsksForAllAndAnswersOnce) {
  Caller one = MakeCaller(), two = MakeCaller();
  one.Say("abc");
  two.Say("def");
  one.connection->Ask();
  two.connection->Ask();
  one.connection->StartDrain();
  EXPECT_EQ(service.batches, Batches{2});
  EXPECT_EQ(one.Received().Message(), "cba");
  one.connection->Answer();
  two.connection->Answer();
  EXPECT_EQ(service.batches, Batches{2});
  EXPECT_EQ(one.Received().Messages().size(), 1U);
  EXPECT_EQ(two.Received().Message(), "fed");
}

TEST_F(Gathered, ADeadlineThatPassesBeforeTheAnswerIsTold) {
  service.hold = true;
  Caller one = MakeCaller(), two = MakeCaller();
  one.Say("abc", "/test.Echo/Say", {{"grpc-timeout", "10m"}});
  two.Say("def", "/test.Echo/Say", {{"grpc-timeout", "10S"}});
  one.connection->Answer();
  two.connection->Answer();
  clock.Advance(kSecond);
  service.Release();
  one.connection->RunPosted();
  two.connection->RunPosted();
  EXPECT_EQ(one.Received().status(), "4");
  EXPECT_EQ(two.Received().Message(), "fed");
}

TEST_F(Gathered, AFaultOfTheServiceIsToldToAllOfItsCallers) {
  service.fault = true;
  Caller one = MakeCaller(), two = MakeCaller();
  one.Say("abc");
  two.Say("def");
  one.connection->Ask();
  two.connection->Ask();
  one.connection->Answer();
  two.connection->Answer();
  EXPECT_EQ(one.Received().status(), "13");
  EXPECT_EQ(two.Received().status(), "13");
}

// A connection that may have two calls waiting, and has them.
TEST_F(Gathered, WhatWaitsIsBoundedPerConnection) {
  service.hold = true;
  options.max_concurrent_streams = 2;
  Caller one = MakeCaller(), two = MakeCaller();
  std::vector<std::int32_t> streams;
  for (int i = 0; i < 3; ++i) {
    streams.push_back(one.client.Call("abc"));
    one.connection->Receive(one.client.Output());
    one.connection->Answer();
    // Its client gives it up, which makes room for another stream.
    nghttp2_submit_rst_stream(one.client.h2, NGHTTP2_FLAG_NONE, streams.back(), NGHTTP2_CANCEL);
    one.connection->Receive(one.client.Output());
    one.connection->Answer();
    one.Received();
  }
  two.Say("def");
  two.connection->Answer();
  EXPECT_EQ(service.batches, (Batches{1, 1, 1}));
  EXPECT_EQ(Counted("/test.Echo/Say", Code::kUnavailable), 1U);
  service.Release();
}

// ---- memory that runs out -------------------------------------------------------------------------------------------

// Too long to be kept without memory of its own.
constexpr const char* kLongPeer = "2001:db8:1111:2222:3333:4444:5555:6666";

// Calls with a thread's pools still empty, and no memory for the allocation after `more` others. True: it threw.
template <typename Call>
bool WithoutMemory(std::int64_t more, Call&& call) {
  bool threw = false;
  FailAllocationAfter(more);
  try {
    call();
  } catch (const std::bad_alloc&) {
    threw = true;
  }
  FailAllocationAfter(-1);
  return threw;
}

TEST_F(Gathered, NoMemoryForOnesQuestionsIsNoFaultOfTheOthers) {
  int threw = 0;
  for (int more = 0; more < 30; ++more) {
    SCOPED_TRACE(more);
    std::thread([&] {
      Caller one = MakeCaller(kLongPeer), two = MakeCaller(kLongPeer);
      for (int i = 0; i < 5; ++i) one.client.Call("a question of more bytes than a string has inside");
      one.connection->Receive(one.client.Output());
      two.Say("another one, as long as the previous are, or longer");
      threw += WithoutMemory(more, [&] { one.session->OnAsk(); }) ? 1 : 0;
      // As a loop ends it.
      one.End();
      two.connection->Answer();
      EXPECT_EQ(two.Received().status(), "0");
    }).join();
  }
  EXPECT_GT(threw, 5);
}

TEST_F(Gathered, NoMemoryToTellOneIsNoFaultOfTheOthers) {
  int ended_one = 0;
  for (int more = 0; more < 40; ++more) {
    SCOPED_TRACE(more);
    std::thread([&] {
      Caller one = MakeCaller(), two = MakeCaller(), three = MakeCaller();
      const std::array<Caller*, 3> all = {&one, &two, &three};
      for (Caller* const caller : all) {
        caller->Say(std::string(1'000, 'x'));
        caller->connection->Ask();
      }
      EXPECT_FALSE(WithoutMemory(more, [] { QuestionBatch::AskGathered(); }));
      int ended = 0;
      for (Caller* const caller : all) {
        caller->connection->Answer();
        // 13: it was the service that had none.
        if (const std::string status = caller->Received().status(); status == "0" || status == "13") continue;
        ++ended;
        EXPECT_TRUE(caller->connection->closing());
        EXPECT_FALSE(caller->client.goaways.empty());
      }
      EXPECT_LE(ended, 1);
      ended_one += ended;
    }).join();
  }
  EXPECT_GT(ended_one, 0);
}

// ---- at random ------------------------------------------------------------------------------------------------------

// Whatever comes between the phases of whatever connections: each call is answered once, with its own answer.
TEST_F(Gathered, EveryCallIsAnsweredOnce) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&random](unsigned n) { return static_cast<unsigned>(random() % n); };
    std::vector<std::unique_ptr<Caller>> callers;
    std::vector<std::map<std::int32_t, std::string>> asked(6);
    for (std::size_t i = 0; i < asked.size(); ++i) {
      callers.push_back(std::make_unique<Caller>(options, "192.0.2." + std::to_string(i)));
    }
    for (int step = 0; step < 120; ++step) {
      const std::size_t number = below(6);
      Caller& caller = *callers[number];
      switch (below(8)) {
        case 0:
        case 1:
          if (caller.session == nullptr) break;
          for (unsigned i = below(below(4) == 0 ? 100 : 4); i > 0; --i) {
            const std::string message = std::to_string(seed) + "/" + std::to_string(step) + "/" + std::to_string(i);
            const bool echo = below(3) != 0;
            asked[number][caller.client.Call(message, echo ? "/test.Echo/Say" : "/test.Reverb/Say")] =
                std::string(message.rbegin(), message.rend());
          }
          caller.connection->Receive(caller.client.Output());
          break;
        case 2:
          caller.connection->Ask();
          break;
        case 3:
          caller.connection->Answer();
          break;
        case 4:
          caller.connection->RunPosted();
          break;
        case 5:
          (below(2) == 0 ? service : other).Release();
          break;
        case 6:
          (below(2) == 0 ? service : other).hold = below(2) == 0;
          break;
        default:
          if (below(20) == 0) caller.End();
      }
    }
    for (int round = 0; round < 20; ++round) {
      for (const auto& caller : callers) caller->connection->Answer();
      service.Release();
      other.Release();
      for (const auto& caller : callers) {
        caller->connection->RunPosted();
        caller->client.Input(caller->connection->TakeOutput());
        if (caller->session != nullptr) caller->connection->Receive(caller->client.Output());
      }
    }
    for (std::size_t i = 0; i < callers.size(); ++i) {
      if (callers[i]->session == nullptr) continue;
      for (const auto& [stream, answer] : asked[i]) EXPECT_EQ(callers[i]->client.replies[stream].Message(), answer);
      EXPECT_EQ(callers[i]->session->held(), 0U);
    }
  }
}

}  // namespace
}  // namespace weir::rls
