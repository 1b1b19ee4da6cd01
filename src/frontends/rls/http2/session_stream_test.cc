// Streaming calls, flow control, and how a connection ends.
#include <gtest/gtest.h>

#include <string>

#include "frontends/rls/http2/session_fixture.h"

namespace weir::rls {
namespace {

using Session = SessionTest;
using Told = std::vector<std::string>;

constexpr const char* kTalk = "/test.Echo/Talk";

TEST_F(Session, AStreamAnswersAsItGoes) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders(kTalk), Framed("one"), false);
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages(), Told{"re: one"});
  client->Continue(stream, Framed("two") + Framed("three"));
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages(), (Told{"re: one", "re: two", "re: three"}));
  EXPECT_FALSE(client->replies[stream].ended);
  client->Continue(stream, "", true);
  Exchange();
  EXPECT_EQ(client->replies[stream].status(), "0");
  EXPECT_TRUE(client->replies[stream].closed);
  EXPECT_EQ(service.told, (Told{"open", "message one", "message two", "message three", "half-close", "destroyed"}));
  EXPECT_EQ(Counted(kTalk, Code::kOk), 1U);
}

TEST_F(Session, MessagesOfAStreamMayComeInAnyPieces) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders(kTalk), "", false);
  for (const char byte : Framed("one") + Framed("") + Framed("two")) {
    client->Continue(stream, std::string_view(&byte, 1));
    Exchange();
  }
  EXPECT_EQ(client->replies[stream].Messages(), (Told{"re: one", "re: ", "re: two"}));
}

TEST_F(Session, ManyMessagesInOneFrame) {
  Connect();
  std::string body;
  for (int i = 0; i < 3'000; ++i) body += Framed("m");
  const std::int32_t stream = client->Request(Client::GrpcHeaders(kTalk), body);
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages().size(), 3'000U);
  EXPECT_EQ(client->replies[stream].status(), "0");
}

TEST_F(Session, AServiceMayEndAStreamBeforeItsClientDoes) {
  Connect();
  const std::int32_t stream =
      client->Request(Client::GrpcHeaders(kTalk), Framed("one") + Framed("finish") + Framed("more"), false);
  Exchange();
  const Reply& reply = client->replies[stream];
  EXPECT_EQ(reply.Messages(), Told{"re: one"});
  EXPECT_EQ(reply.status(), "5");
  EXPECT_EQ(reply.Trailer("grpc-message"), "as asked");
  EXPECT_TRUE(reply.closed);
  EXPECT_EQ(reply.error, 0U);
  EXPECT_EQ(service.told, (Told{"open", "message one", "message finish", "destroyed"}));
  EXPECT_EQ(Ask("next").Message(), "txen");
}

TEST_F(Session, AStreamEndedBeforeItsFirstMessageIsTrailersOnly) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders(kTalk), Framed("finish"), false);
  Exchange();
  EXPECT_TRUE(client->replies[stream].trailers.empty());
  EXPECT_EQ(client->replies[stream].status(), "5");
  EXPECT_EQ(service.told, (Told{"open", "message finish", "destroyed"}));
}

TEST_F(Session, ACancelledStreamIsToldOnce) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders(kTalk), Framed("one"), false);
  Exchange();
  nghttp2_submit_rst_stream(client->h2, 0, stream, NGHTTP2_CANCEL);
  Exchange();
  EXPECT_EQ(service.told, (Told{"open", "message one", "close", "destroyed"}));
  EXPECT_EQ(Counted(kTalk, Code::kCancelled), 1U);
  session.reset();
  EXPECT_EQ(service.told.size(), 4U);
}

TEST_F(Session, ADeadlineEndsAStream) {
  Connect();
  const std::int32_t stream =
      client->Request(Client::GrpcHeaders(kTalk, {{"grpc-timeout", "1S"}}), Framed("one"), false);
  Exchange();
  clock.Advance(kSecond);
  EXPECT_TRUE(connection->Wake());
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages(), Told{"re: one"});
  EXPECT_EQ(client->replies[stream].status(), "4");
  EXPECT_EQ(service.told, (Told{"open", "message one", "close", "destroyed"}));
  EXPECT_FALSE(connection->wake_after());
}

TEST_F(Session, StreamsAreToldWhenTheConnectionGoes) {
  Connect();
  client->Request(Client::GrpcHeaders(kTalk), Framed("one"), false);
  Exchange();
  session.reset();
  EXPECT_EQ(service.told, (Told{"open", "message one", "close", "destroyed"}));
}

TEST_F(Session, BadMessagesEndAStream) {
  options.max_message_bytes = 100;
  Connect();
  const auto ask = [&](const std::string& body, bool end) {
    const std::int32_t stream = client->Request(Client::GrpcHeaders(kTalk), body, end);
    Exchange();
    return client->replies[stream].status();
  };
  EXPECT_EQ(ask(Framed(std::string(101, 'x')), false), "8");
  EXPECT_EQ(ask(Framed("ok") + Framed("x", 1), false), "13");
  EXPECT_EQ(ask(Framed("ok") + std::string(2, '\0'), true), "13");
  EXPECT_EQ(ask(Framed("ok") + Framed("cut").substr(0, 6), true), "13");
  EXPECT_EQ(std::count(service.told.begin(), service.told.end(), "close"), 4);
  EXPECT_EQ(std::count(service.told.begin(), service.told.end(), "destroyed"), 4);
}

TEST_F(Session, ATaskOfAnotherThreadCanSend) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders(kTalk), Framed("quiet"), false);
  Exchange();
  Stream* const open = service.streams.at(0);
  const auto shared = open->connection().Share();
  for (const char* text : {"news", "more news"}) {
    shared->Post([open, text] { open->Send(text); });
  }
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages(), (Told{"news", "more news"}));
  EXPECT_EQ(connection->flushes(), 1U);  // both in one write
  shared->Post([open] { open->Finish({Code::kUnavailable, "gone"}); });
  Exchange();
  EXPECT_EQ(client->replies[stream].status(), "14");
  EXPECT_EQ(service.told.back(), "destroyed");
}

// ---- flow control ---------------------------------------------------------------------------------------------------

TEST_F(Session, LargeMessagesFitThroughSmallWindows) {
  Connect();
  const std::string large(1'000'000, 'x');
  EXPECT_EQ(Ask(large).Message(), large);
  EXPECT_GE(client->frames[NGHTTP2_WINDOW_UPDATE], 10);
}

TEST_F(Session, AnAnswerWaitsForTheClientsWindow) {
  Connect({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10}});
  Exchange();
  const std::int32_t stream = client->Call("big 95");
  // The client's library grants more as it takes what came.
  Exchange();
  const Reply& reply = client->replies[stream];
  EXPECT_EQ(reply.Message(), std::string(95, 'b'));
  EXPECT_EQ(reply.status(), "0");
  for (const std::size_t size : reply.data_frames) EXPECT_LE(size, 10U);
}

TEST_F(Session, TellsHowMuchItHolds) {
  Connect({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10}}, false);
  Exchange();
  EXPECT_EQ(session->held(), 0U);
  service.hold = true;
  const std::string framed = Framed("big 95");
  const std::int32_t stream = client->Request(Client::GrpcHeaders(), framed.substr(0, 8), false);
  Exchange();
  EXPECT_EQ(session->held(), 8U);
  // Whole, and waiting for its answer.
  client->Continue(stream, framed.substr(8), true);
  Exchange();
  EXPECT_EQ(session->held(), framed.size());
  // Answered, and 10 bytes of that taken.
  service.Release();
  Exchange();
  EXPECT_EQ(session->held(), 90U);
  nghttp2_submit_window_update(client->h2, 0, stream, 1'000);
  Exchange();
  EXPECT_EQ(client->replies[stream].Message(), std::string(95, 'b'));
  EXPECT_EQ(session->held(), 0U);
  // A call that is given up, and one that is refused.
  const std::int32_t given_up = client->Request(Client::GrpcHeaders(), framed.substr(0, 8), false);
  const std::int32_t refused = client->Request(Client::GrpcHeaders(), framed.substr(0, 8), false);
  Exchange();
  EXPECT_EQ(session->held(), 16U);
  nghttp2_submit_rst_stream(client->h2, 0, given_up, NGHTTP2_CANCEL);
  client->Continue(refused, "", true);
  Exchange();
  EXPECT_EQ(client->replies[refused].status(), "13");
  EXPECT_EQ(session->held(), 0U);
}

TEST_F(Session, AClosedWindowHoldsOneAnswerAndNothingElse) {
  Connect({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}});
  Exchange();
  const std::int32_t stream = client->Call("hello");
  Exchange();
  const Reply& reply = client->replies[stream];
  EXPECT_EQ(reply.Header(":status"), "200");
  EXPECT_EQ(reply.body, "");
  // Errors need no window.
  EXPECT_EQ(Ask("fail").status(), "3");
  nghttp2_submit_window_update(client->h2, 0, stream, 7);
  nghttp2_session_set_local_window_size(client->h2, 0, stream, 100);
  Exchange();
  EXPECT_EQ(client->replies[stream].Message(), "olleh");
}

// ---- pings, drain and idling ----

TEST_F(Session, PingsAreAnswered) {
  Connect();
  nghttp2_submit_ping(client->h2, 0, nullptr);
  Exchange();
  EXPECT_EQ(client->ping_acks, 1);
}

TEST_F(Session, DrainFinishesWhatIsInHand) {
  Connect();
  service.hold = true;
  const std::int32_t before = client->Call("before");
  Exchange();
  connection->StartDrain();
  EXPECT_FALSE(connection->unflushed());
  // Sent before the client could know.
  const std::int32_t crossing = client->Call("crossing");
  const std::string bytes = client->Output();
  client->Input(connection->TakeOutput());
  ASSERT_EQ(client->goaways.size(), 1U);
  EXPECT_EQ(client->goaways[0].last_stream, 0x7FFFFFFF);
  EXPECT_EQ(client->goaways[0].error, 0U);
  connection->Receive(bytes);
  Exchange();
  ASSERT_EQ(client->goaways.size(), 2U);
  EXPECT_EQ(client->goaways[1].last_stream, crossing);
  EXPECT_FALSE(connection->closing());
  service.Release();
  Exchange();
  EXPECT_EQ(client->replies[before].Message(), "erofeb");
  EXPECT_EQ(client->replies[crossing].Message(), "gnissorc");
  EXPECT_TRUE(connection->closing());
}

// The last GOAWAY is sent also when the answer to the PING comes after the last answer of a call.
TEST_F(Session, ADrainWhoseLastCallEndsFirstStillSaysItsLastGoAway) {
  Connect();
  service.hold = true;
  const std::int32_t stream = client->Call("before");
  Exchange();
  connection->StartDrain();
  client->Input(connection->TakeOutput());
  const std::string pong = client->Output();
  service.Release();
  connection->RunPosted();
  client->Input(connection->TakeOutput());
  EXPECT_EQ(client->replies[stream].Message(), "erofeb");
  EXPECT_FALSE(connection->closing());
  connection->Receive(pong);
  // Of stream 1, without an error. (nghttp2's client no longer reads: it has nothing to wait for.)
  EXPECT_EQ(connection->TakeOutput(), Frame(NGHTTP2_GOAWAY, 0, 0, std::string_view("\0\0\0\x01\0\0\0\0", 8)));
  EXPECT_TRUE(connection->closing());
}

// A client that opens a call just behind its answer to the PING is told that the call was not taken, and so it must not
// be: not even when both come at once.
TEST_F(Session, NothingIsTakenAfterTheLastGoAway) {
  Connect();
  service.hold = true;
  const std::int32_t before = client->Call("before");
  Exchange();
  connection->StartDrain();
  const std::int32_t late = client->Call("late");
  const std::string bytes = client->Output();
  client->Input(connection->TakeOutput());
  connection->Receive(client->Output() + bytes);
  Exchange();
  ASSERT_EQ(client->goaways.size(), 2U);
  EXPECT_EQ(client->goaways[1].last_stream, before);
  service.Release();
  Exchange();
  EXPECT_EQ(client->replies[before].Message(), "erofeb");
  EXPECT_EQ(service.peers.size(), 1U) << "asked once";
  EXPECT_EQ(client->replies[late].error, std::uint32_t{NGHTTP2_REFUSED_STREAM});

  EXPECT_TRUE(connection->closing());
}

TEST_F(Session, DrainEndsStreams) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders(kTalk), Framed("one"), false);
  Exchange();
  connection->StartDrain();
  Exchange();
  EXPECT_EQ(client->replies[stream].status(), "14");
  EXPECT_TRUE(connection->closing());
  // It did not end the call itself, so must be told that nothing can be sent any more.
  EXPECT_EQ(service.told, (Told{"open", "message one", "close", "destroyed"}));
}

// A client that answers no PING, or whose connection is dead.
TEST_F(Session, ADrainDoesNotWaitForAClientThatDoesNotAnswer) {
  Connect();
  Ask("a");
  connection->StartDrain();
  client->Input(connection->TakeOutput());
  ASSERT_EQ(client->goaways.size(), 1U);
  EXPECT_LE(connection->wake_after().value_or(UINT32_MAX), 1'001U);
  clock.Advance(kSecond - 1);
  EXPECT_TRUE(connection->Wake());
  EXPECT_FALSE(connection->closing());
  clock.Advance(1);
  EXPECT_TRUE(connection->Wake());
  EXPECT_FALSE(connection->unflushed());
  // Of stream 1, without an error. (nghttp2's client no longer reads: it has nothing to wait for.)
  EXPECT_EQ(connection->TakeOutput(), Frame(NGHTTP2_GOAWAY, 0, 0, std::string_view("\0\0\0\x01\0\0\0\0", 8)));
  EXPECT_TRUE(connection->closing());
}

TEST_F(Session, ADrainWithoutAnAnswerFinishesWhatIsInHand) {
  Connect();
  service.hold = true;
  const std::int32_t stream = client->Call("before");
  Exchange();
  connection->StartDrain();
  client->Input(connection->TakeOutput());
  clock.Advance(kSecond);
  EXPECT_TRUE(connection->Wake());
  client->Input(connection->TakeOutput());
  EXPECT_EQ(client->goaways.size(), 2U);
  EXPECT_FALSE(connection->closing());
  // Its late word changes nothing.
  connection->Receive(client->Output());
  service.Release();
  Exchange();
  EXPECT_EQ(client->goaways.size(), 2U);
  EXPECT_EQ(client->replies[stream].Message(), "erofeb");
  EXPECT_TRUE(connection->closing());
}

TEST_F(Session, DrainOfAnIdleConnection) {
  Connect();
  Ask("a");
  connection->StartDrain();
  Exchange();
  EXPECT_TRUE(connection->closing());
  Connect();
  connection->StartDrain();  // of one that never said a word
  EXPECT_TRUE(connection->closing());
  EXPECT_EQ(connection->TakeOutput(), "");
}

TEST_F(Session, AClientsGoAwayEndsTheConnectionAfterItsLastCall) {
  Connect();
  service.hold = true;
  const std::int32_t stream = client->Call("last");
  Exchange();
  nghttp2_submit_goaway(client->h2, 0, 0, NGHTTP2_NO_ERROR, nullptr, 0);
  Exchange();
  EXPECT_FALSE(connection->closing());
  service.Release();
  Exchange();
  EXPECT_EQ(client->replies[stream].Message(), "tsal");
  EXPECT_TRUE(connection->closing());
}

TEST_F(Session, AnIdleConnectionIsToldGoodbye) {
  Connect();
  Ask("a");
  EXPECT_FALSE(connection->Idle());
  client->Input(connection->TakeOutput());
  ASSERT_EQ(client->goaways.size(), 1U);
  EXPECT_EQ(client->goaways[0].error, 0U);
}

TEST_F(Session, ASilentClientWithAStreamIsAskedWhetherItIsThere) {
  Connect();
  client->Request(Client::GrpcHeaders(kTalk), Framed("one"), false);
  Exchange();
  EXPECT_TRUE(connection->Idle());
  Exchange();
  EXPECT_EQ(client->frames[NGHTTP2_PING], 1);
  EXPECT_TRUE(connection->Idle());  // it had answered
  connection->TakeOutput();
  EXPECT_FALSE(connection->Idle());  // this time not
}

TEST_F(Session, ACallWithoutItsMessageDoesNotKeepAConnection) {
  Connect();
  client->Request(Client::GrpcHeaders(), Framed("hello").substr(0, 7), false);
  Exchange();
  EXPECT_FALSE(connection->Idle());
}

// ---- who does not speak HTTP/2 ----

TEST_F(Session, Http1IsToldWhatThisIs) {
  for (const std::string method : {"GET", "POST", "PUT", "OPTIONS"}) {
    Connect();
    connection->Receive(method.substr(0, 2));
    EXPECT_EQ(connection->TakeOutput(), "");
    connection->Receive(method.substr(2) + " / HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string answer = connection->TakeOutput();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n")) << answer;
    const std::size_t body = answer.find("\r\n\r\n") + 4;
    EXPECT_NE(answer.find("Content-Length: " + std::to_string(answer.size() - body) + "\r\n"), std::string::npos);
    EXPECT_TRUE(connection->closing());
  }
}

TEST_F(Session, OtherProtocolsGetAGoAway) {
  for (const std::string bytes :
       {"\x16\x03\x01", "INVALID CONNECTION PREFACE\r\n", "*1\r\n$4\r\nPING\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\t"}) {
    Connect();
    connection->Receive(bytes);
    client->Input(connection->TakeOutput());
    ASSERT_EQ(client->goaways.size(), 1U);
    EXPECT_EQ(client->goaways[0].error, std::uint32_t{NGHTTP2_PROTOCOL_ERROR});
    EXPECT_TRUE(connection->closing());
  }
}

TEST_F(Session, ThePrefaceMayComeByteByByte) {
  Connect();
  for (const char byte : kClientPreface) {
    EXPECT_EQ(connection->TakeOutput(), "");
    connection->Receive(std::string_view(&byte, 1));
  }
  EXPECT_NE(connection->TakeOutput(), "");
}

}  // namespace
}  // namespace weir::rls
