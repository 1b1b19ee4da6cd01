// Sessions whose input is read together are asked together (net::Session::OnAsk, question_batch.h).
#include <gtest/gtest.h>

#include "frontends/rls/session_fixture.h"

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
  const Reply& Heard() {
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
  EXPECT_EQ(one.Heard().Message(), "cba");
  EXPECT_EQ(two.Heard().Message(), "fed");
  EXPECT_EQ(three.Heard().Message(), "ihg");
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
  one.Heard();
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

TEST_F(Gathered, OneThatEndsBeforeItIsAskedLeavesTheOthersAlone) {
  Caller one = MakeCaller(), two = MakeCaller();
  one.Say("abc");
  two.Say("def");
  one.connection->Ask();
  two.connection->Ask();
  one.End();
  two.connection->Answer();
  EXPECT_EQ(two.Heard().Message(), "fed");
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
  EXPECT_EQ(two.Heard().Message(), "fed");
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
  EXPECT_TRUE(one.Heard().headers.empty());
  EXPECT_EQ(one.session->held(), held);
  two.End();
  service.Release();
  EXPECT_EQ(one.connection->RunPosted(), 1U);
  EXPECT_EQ(three.connection->RunPosted(), 1U);
  EXPECT_EQ(one.Heard().Message(), "cba");
  EXPECT_EQ(three.Heard().Message(), "cba");
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
  EXPECT_EQ(two.Heard().Message(), "cba");
}

TEST_F(Gathered, ATurnInBetweenAsksForAllAndAnswersOnce) {
  Caller one = MakeCaller(), two = MakeCaller();
  one.Say("abc");
  two.Say("def");
  one.connection->Ask();
  two.connection->Ask();
  one.connection->StartDrain();
  EXPECT_EQ(service.batches, Batches{2});
  EXPECT_EQ(one.Heard().Message(), "cba");
  one.connection->Answer();
  two.connection->Answer();
  EXPECT_EQ(service.batches, Batches{2});
  EXPECT_EQ(one.Heard().Messages().size(), 1U);
  EXPECT_EQ(two.Heard().Message(), "fed");
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
  EXPECT_EQ(one.Heard().status(), "4");
  EXPECT_EQ(two.Heard().Message(), "fed");
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
  EXPECT_EQ(one.Heard().status(), "13");
  EXPECT_EQ(two.Heard().status(), "13");
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
    one.Heard();
  }
  two.Say("def");
  two.connection->Answer();
  EXPECT_EQ(service.batches, (Batches{1, 1, 1}));
  EXPECT_EQ(Counted("/test.Echo/Say", Code::kUnavailable), 1U);
}

}  // namespace
}  // namespace weir::rls
