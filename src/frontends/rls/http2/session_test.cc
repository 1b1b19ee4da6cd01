// Calls over a session as a client sees them: answers, errors, cancelling, deadlines.
#include "frontends/rls/http2/session.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "frontends/rls/http2/session_fixture.h"

namespace weir::rls {
namespace {

using Session = SessionTest;

TEST_F(Session, AnswersAUnaryCall) {
  Connect();
  const Reply& reply = Ask("hello");
  EXPECT_EQ(reply.Header(":status"), "200");
  EXPECT_EQ(reply.Header("content-type"), "application/grpc");
  EXPECT_EQ(reply.Message(), "olleh");
  EXPECT_EQ(reply.status(), "0");
  EXPECT_EQ(reply.Trailer("grpc-message"), "(absent)");
  EXPECT_TRUE(reply.closed);
  EXPECT_EQ(reply.error, 0U);
  EXPECT_EQ(service.peers, std::vector<std::string>{"192.0.2.7"});
  EXPECT_EQ(Counted("/test.Echo/Say", Code::kOk), 1U);
}

TEST_F(Session, TellsItsLimits) {
  options.max_concurrent_streams = 77;
  options.max_header_bytes = 5'000;
  Connect();
  Exchange();
  EXPECT_EQ(client->settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS], 77U);
  EXPECT_EQ(client->settings[NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE], 5'000U);
  EXPECT_EQ(client->settings_acks, 1);
}

TEST_F(Session, AllCallsOfOneReadAreOneBatchAndOneWrite) {
  Connect();
  Exchange();
  std::vector<std::int32_t> streams;
  for (int i = 0; i < 50; ++i) streams.push_back(client->Call("call " + std::to_string(i)));
  connection->Receive(client->Output());
  EXPECT_EQ(service.batches, std::vector<std::size_t>{50});
  client->Input(connection->TakeOutput());
  EXPECT_EQ(client->replies[streams[0]].Message(), "0 llac");
  EXPECT_EQ(client->replies[streams[49]].Message(), "94 llac");
  EXPECT_EQ(connection->flushes(), 0U);
}

TEST_F(Session, ByteByByteIsTheSame) {
  Connect();
  const std::int32_t stream = client->Call("hello");
  for (const char byte : client->Output()) connection->Receive(std::string_view(&byte, 1));
  client->Input(connection->TakeOutput());
  EXPECT_EQ(client->replies[stream].Message(), "olleh");
}

TEST_F(Session, AnEmptyMessageIsAMessage) {
  Connect();
  EXPECT_EQ(Ask("").Message(), "");
}

TEST_F(Session, ErrorsAreTrailersOnlyWithAnEncodedMessage) {
  Connect();
  const Reply& reply = Ask("fail");
  EXPECT_EQ(reply.Header(":status"), "200");
  EXPECT_EQ(reply.status(), "3");
  EXPECT_EQ(reply.Trailer("grpc-message"), "100%25 wr%C3%B6ng%0A");
  EXPECT_TRUE(reply.trailers.empty());
  EXPECT_EQ(reply.body, "");
  EXPECT_TRUE(reply.ended);
  EXPECT_EQ(Counted("/test.Echo/Say", Code::kInvalidArgument), 1U);
}

TEST_F(Session, OtherMethodsAndTheLatestOneAgain) {
  Connect();
  EXPECT_EQ(Ask("a").Message(), "a");
  EXPECT_EQ(Ask("a", "/test.Echo/Other").Message(), "a from the other");
  EXPECT_EQ(Ask("b").Message(), "b");
}

TEST_F(Session, UnknownServicesAndMethods) {
  Connect();
  EXPECT_EQ(Ask("a", "/test.Echo/Shout").status(), "12");
  EXPECT_EQ(Ask("a", "/test.Echo/Shout").Trailer("grpc-message"), "unknown method");
  for (const char* path : {"/test.Ech/Say", "/nobody.Knows/This", "/", "/test.Echo", "/test.Echo/", "/test.Echo/Say/",
                           "//test.Echo/Say", "/TEST.ECHO/SAY"}) {
    EXPECT_EQ(Ask("a", path).status(), "12") << path;
  }
  EXPECT_EQ(Ask("a", "/nobody.Knows/This").Trailer("grpc-message"), "unknown service");
  EXPECT_EQ(Counted("unknown", Code::kUnimplemented), 11U);
  EXPECT_EQ(Ask("a").status(), "0");
}

TEST_F(Session, AnErrorStopsAClientThatIsStillSending) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders("/no.such/Method"), Framed("x"), false);
  Exchange();
  EXPECT_EQ(client->replies[stream].status(), "12");
  EXPECT_TRUE(client->replies[stream].closed);
  EXPECT_EQ(client->replies[stream].error, 0U);  // RST_STREAM(NO_ERROR)
}

TEST_F(Session, WhatIsNotGrpcIsAnsweredAsHttp) {
  Connect();
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"content-type", "application/json"}}).Header(":status"), "415");
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"content-type", "(none)"}}).Header(":status"), "415");
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"content-type", "application/grpc-web"}}).Header(":status"), "415");
  const Reply& get = Ask("", "/test.Echo/Say", {{":method", "GET"}});
  EXPECT_EQ(get.Header(":status"), "405");
  EXPECT_EQ(get.Header("allow"), "POST");
  EXPECT_NE(get.body.find("gRPC"), std::string::npos);
  EXPECT_TRUE(get.ended);
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{":method", "PUT"}}).Header(":status"), "405");
  EXPECT_TRUE(service.batches.empty());
}

TEST_F(Session, ALongBodyThatIsNotGrpcIsNotReadToItsEnd) {
  Connect();
  const std::int32_t stream =
      client->Request(Client::GrpcHeaders("/x", {{"content-type", "text/plain"}}), std::string(100'000, 'x'), false);
  Exchange();
  EXPECT_EQ(client->replies[stream].Header(":status"), "415");
  EXPECT_TRUE(client->replies[stream].closed);
}

TEST_F(Session, HeadersThatMayBeMissingOrOdd) {
  Connect();
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"te", "(none)"}}).Message(), "a");
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{":authority", "(none)"}, {"host", "weir"}}).Message(), "a");
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"trace-bin", "not base64!!"}, {"x-b3", "1"}}).Message(), "a");
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"content-type", "application/grpc+proto"}}).Message(), "a");
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"user-agent", std::string(5'000, 'u')}}).Message(), "a");
}

TEST_F(Session, MessagesThatAreNotOneWholeMessage) {
  Connect();
  const auto ask = [&](const std::string& body) {
    const std::int32_t stream = client->Request(Client::GrpcHeaders(), body);
    Exchange();
    return client->replies[stream].status() + " " + client->replies[stream].Trailer("grpc-message");
  };
  EXPECT_EQ(ask(""), "13 no message");
  EXPECT_EQ(ask(std::string("\0\0\0", 3)), "13 the message is cut off");
  EXPECT_EQ(ask(Framed("hello").substr(0, 7)), "13 the message is cut off");
  EXPECT_EQ(ask(Framed("one") + Framed("two")), "13 more than one message for a call that takes one");
  EXPECT_EQ(ask(Framed("one") + "x"), "13 more than one message for a call that takes one");
  EXPECT_EQ(ask(Framed("x", 1)), "13 compressed, but no grpc-encoding says how");
  EXPECT_EQ(ask(Framed("x", 2)), "13 compressed, but no grpc-encoding says how");
  EXPECT_TRUE(service.batches.empty());
  EXPECT_EQ(Ask("still here").Message(), "ereh llits");
}

TEST_F(Session, MessagesThatAreTooLarge) {
  options.max_message_bytes = 1'000;
  Connect();
  EXPECT_EQ(Ask(std::string(1'000, 'x')).Message(), std::string(1'000, 'x'));
  const Reply& reply = Ask(std::string(1'001, 'x'));
  EXPECT_EQ(reply.status(), "8");
  EXPECT_EQ(reply.Trailer("grpc-message"), "the message has 1001 bytes, more than 1000");
  // Its size alone is enough, and so is that of one that never comes.
  const std::int32_t stream = client->Request(Client::GrpcHeaders(), std::string("\0\xFF\xFF\xFF\xFF", 5), false);
  Exchange();
  EXPECT_EQ(client->replies[stream].status(), "8");
  EXPECT_TRUE(client->replies[stream].closed);
}

std::string Packed(std::string_view text, int window_bits) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}
constexpr int kGzip = 15 + 16, kZlib = 15;

TEST_F(Session, CompressedMessages) {
  options.max_message_bytes = 10'000;
  Connect();
  const auto ask = [&](const std::string& encoding, const std::string& framed) {
    const std::int32_t stream =
        client->Request(Client::GrpcHeaders("/test.Echo/Say", {{"grpc-encoding", encoding}}), framed);
    Exchange();
    const Reply& reply = client->replies[stream];
    return reply.status() == "0" ? reply.Message() : reply.status() + " " + reply.Trailer("grpc-message");
  };
  EXPECT_EQ(ask("gzip", Framed(Packed("hello", kGzip), 1)), "olleh");
  EXPECT_EQ(ask("deflate", Framed(Packed("hello", kZlib), 1)), "olleh");
  EXPECT_EQ(ask("gzip", Framed("hello", 0)), "olleh");  // the flag decides, message by message
  EXPECT_EQ(ask("identity", Framed("hello", 0)), "olleh");
  EXPECT_EQ(ask("gzip", Framed(Packed("", kGzip), 1)), "");
  EXPECT_EQ(ask("gzip", Framed(Packed(std::string(10'000, 'x'), kGzip), 1)), std::string(10'000, 'x'));
  EXPECT_EQ(ask("gzip", Framed("hello", 1)), "13 the message cannot be unpacked");
  EXPECT_EQ(ask("gzip", Framed("", 1)), "13 the message cannot be unpacked");
  const std::string packed = Packed("hello", kGzip);
  EXPECT_EQ(ask("gzip", Framed(packed.substr(0, packed.size() - 1), 1)), "13 the message cannot be unpacked");
  EXPECT_EQ(ask("gzip", Framed(packed + "x", 1)), "13 the message cannot be unpacked");
}

TEST_F(Session, AnUnknownEncodingIsToldWhichAreKnown) {
  Connect();
  const Reply& reply = Ask("x", "/test.Echo/Say", {{"grpc-encoding", "snappy"}});
  EXPECT_EQ(reply.status(), "12");
  EXPECT_EQ(reply.Trailer("grpc-accept-encoding"), "identity,deflate,gzip");
}

TEST_F(Session, AGzipBombIsStoppedAtTheLimit) {
  options.max_message_bytes = 10'000;
  Connect();
  const std::string bomb = Packed(std::string(9'000'000, '\0'), kGzip);
  ASSERT_LT(bomb.size(), 10'000U);
  const std::int32_t stream =
      client->Request(Client::GrpcHeaders("/test.Echo/Say", {{"grpc-encoding", "gzip"}}), Framed(bomb, 1));
  Exchange();
  EXPECT_EQ(client->replies[stream].status(), "8");
}

TEST_F(Session, DeadlinesOfTheClient) {
  Connect();
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"grpc-timeout", "20m"}}).Message(), "a");
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"grpc-timeout", "0n"}}).status(), "4");
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"grpc-timeout", "soon"}}).status(), "13");
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"grpc-timeout", "123456789S"}}).status(), "13");
  EXPECT_EQ(service.batches.size(), 1U);
}

TEST_F(Session, AMessageAfterTheDeadlineIsNotAsked) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders("/test.Echo/Say", {{"grpc-timeout", "20m"}}),
                                              Framed("late").substr(0, 6), false);
  Exchange();
  clock.Advance(20 * kMillisecond);
  client->Continue(stream, Framed("late").substr(6), true);
  Exchange();
  EXPECT_EQ(client->replies[stream].status(), "4");
  EXPECT_TRUE(service.batches.empty());
}

TEST_F(Session, ARequestThatIsNoCallHasNoDeadline) {
  Connect();
  const std::int32_t get = client->Request(
      Client::GrpcHeaders("/", {{":method", "GET"}, {"content-type", "(none)"}, {"grpc-timeout", "20m"}}), "", false);
  service.hold = true;
  client->Call("a call", "/test.Echo/Say", {{"grpc-timeout", "10m"}});
  Exchange();
  clock.Advance(10 * kMillisecond);
  EXPECT_TRUE(connection->Wake());
  Exchange();
  client->Continue(get, "", true);
  Exchange();
  EXPECT_EQ(client->replies[get].Header(":status"), "405");
  service.Release();
}

TEST_F(Session, AnAnswerAfterTheDeadlineIsNotGiven) {
  Connect();
  service.hold = true;
  const std::int32_t late = client->Call("late", "/test.Echo/Say", {{"grpc-timeout", "20m"}});
  const std::int32_t patient = client->Call("patient", "/test.Echo/Say", {{"grpc-timeout", "1S"}});
  Exchange();
  clock.Advance(20 * kMillisecond);
  service.Release();
  Exchange();
  EXPECT_EQ(client->replies[late].status(), "4");
  EXPECT_EQ(client->replies[patient].Message(), "tneitap");
  EXPECT_EQ(Counted("/test.Echo/Say", Code::kDeadlineExceeded), 1U);
}

TEST_F(Session, ADeadlineEndsACallThatItsStoreDoesNotAnswer) {
  Connect();
  EXPECT_EQ(Ask("quick", "/test.Echo/Say", {{"grpc-timeout", "20m"}}).status(), "0");
  EXPECT_FALSE(connection->wake_after());  // no timer for what is answered at once
  service.hold = true;
  const std::int32_t first = client->Call("first", "/test.Echo/Say", {{"grpc-timeout", "20m"}});
  const std::int32_t second = client->Call("second", "/test.Echo/Say", {{"grpc-timeout", "1S"}});
  Exchange();
  EXPECT_EQ(connection->wake_after(), 21U);
  clock.Advance(10 * kMillisecond);
  EXPECT_TRUE(connection->Wake());  // too early
  EXPECT_EQ(connection->wake_after(), 11U);
  clock.Advance(10 * kMillisecond);
  EXPECT_TRUE(connection->Wake());
  EXPECT_FALSE(connection->unflushed());
  Exchange();
  EXPECT_EQ(client->replies[first].status(), "4");
  EXPECT_EQ(connection->wake_after(), 981U);
  service.Release();
  Exchange();
  EXPECT_EQ(client->replies[second].Message(), "dnoces");
  EXPECT_EQ(Counted("/test.Echo/Say", Code::kDeadlineExceeded), 1U);
}

TEST_F(Session, LateAnswersDoNotHoldUpOtherCalls) {
  Connect();
  service.hold = true;
  const std::int32_t slow = client->Call("slow");
  Exchange();
  EXPECT_FALSE(connection->paused());
  service.hold = false;
  EXPECT_EQ(Ask("quick").Message(), "kciuq");
  EXPECT_FALSE(client->replies[slow].closed);
  service.Release();
  Exchange();
  EXPECT_EQ(client->replies[slow].Message(), "wols");
}

TEST_F(Session, TheAnswerToACancelledCallIsDropped) {
  Connect();
  service.hold = true;
  const std::int32_t given_up = client->Call("given up");
  const std::int32_t other = client->Call("other");
  Exchange();
  nghttp2_submit_rst_stream(client->h2, 0, given_up, NGHTTP2_CANCEL);
  Exchange();
  service.Release();
  Exchange();
  EXPECT_EQ(client->replies[given_up].headers.size(), 0U);
  EXPECT_EQ(client->replies[other].Message(), "rehto");
  EXPECT_EQ(Counted("/test.Echo/Say", Code::kCancelled), 1U);
}

TEST_F(Session, ACallCancelledInTheSameReadIsNotAsked) {
  Connect();
  Exchange();
  const std::int32_t stream = client->Call("never mind");
  std::string bytes = client->Output();
  nghttp2_submit_rst_stream(client->h2, 0, stream, NGHTTP2_CANCEL);
  bytes += client->Output();
  connection->Receive(bytes);
  EXPECT_TRUE(service.batches.empty());
  EXPECT_EQ(Ask("next").Message(), "txen");
}

TEST_F(Session, AnAnswerMayComeAfterTheConnectionHasGone) {
  Connect();
  service.hold = true;
  client->Call("into the void");
  Exchange();
  session.reset();
  service.Release();
  EXPECT_EQ(service.peers, std::vector<std::string>{"192.0.2.7"});  // what the call points to still lives
  EXPECT_EQ(connection->RunPosted(), 1U);
  EXPECT_EQ(connection->TakeOutput(), "");
}

TEST_F(Session, TheNumberOfWaitingCallsIsBounded) {
  options.max_concurrent_streams = 10;
  options.max_resets = 1'000;
  Connect();
  Exchange();
  service.hold = true;
  for (int i = 0; i < 30; ++i) {
    const std::int32_t stream = client->Call("x");
    Exchange();
    EXPECT_EQ(client->replies[stream].closed, i >= 10);
    if (i >= 10) {
      EXPECT_EQ(client->replies[stream].status(), "14");
    }
    nghttp2_submit_rst_stream(client->h2, 0, stream, NGHTTP2_CANCEL);
    Exchange();
  }
  EXPECT_EQ(service.held.size(), 10U);
  service.hold = false;
  service.Release();
  Exchange();
  EXPECT_EQ(Ask("again").Message(), "niaga");
}

TEST_F(Session, TellsTheServiceTheRequestId) {
  Connect();
  EXPECT_EQ(Ask("abc", "/test.Echo/Say", {{"x-weir-request-id", "id-1"}}).Message(), "cba of id-1");
  EXPECT_EQ(Ask("abc").Message(), "cba") << "of another call";
  // While the call waits its stream's memory is used for others.
  service.hold = true;
  const std::int32_t first = client->Call("abc", "/test.Echo/Say", {{"x-weir-request-id", std::string(128, 'x')}});
  Exchange();
  service.hold = false;
  EXPECT_EQ(Ask("def", "/test.Echo/Say", {{"x-weir-request-id", "id-2"}}).Message(), "fed of id-2");
  service.Release();
  Exchange();
  EXPECT_EQ(client->replies[first].Message(), "cba of " + std::string(128, 'x'));
}

TEST_F(Session, RefusesWhatIsNoRequestId) {
  Connect();
  for (const std::string& wrong : {std::string(), std::string("a b"), std::string(129, 'a')}) {
    const Reply& reply = Ask("abc", "/test.Echo/Say", {{"x-weir-request-id", wrong}});
    EXPECT_EQ(reply.status(), "3") << wrong;
  }
  Headers twice = Client::GrpcHeaders();
  twice.emplace_back("x-weir-request-id", "a");
  twice.emplace_back("x-weir-request-id", "a");
  const std::int32_t stream = client->Request(twice, Framed("abc"));
  Exchange();
  EXPECT_EQ(client->replies[stream].status(), "3");
}

}  // namespace
}  // namespace weir::rls
