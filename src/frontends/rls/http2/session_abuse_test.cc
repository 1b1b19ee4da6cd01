// What a hostile or broken client can make a session do: each attack meets its bound here.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "frontends/rls/http2/abuse.h"
#include "frontends/rls/http2/abuse_fixture.h"
#include "frontends/rls/http2/exchange.h"
#include "frontends/rls/http2/question_batch.h"

namespace weir::rls {
namespace {

TEST_F(Abused, RapidResetEndsTheConnection) {
  Greet();
  std::int32_t stream = 1;
  int opened = 0;
  while (!connection->closing() && opened < 10'000) {
    Say(Open(stream) + Reset(stream));
    stream += 2;
    ++opened;
  }
  EXPECT_EQ(opened, 201);
  EXPECT_EQ(GoAwayError(), kCalm);
  EXPECT_EQ(counters->Ends(Abuse::kRapidReset), 1U);
  EXPECT_TRUE(service.batches.empty());
}

TEST_F(Abused, RapidResetInOneReadOfWholeCalls) {
  Greet();
  std::string bytes;
  for (std::int32_t stream = 1; stream < 1'000; stream += 2) {
    bytes += Open(stream) + Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, stream, Framed("x")) + Reset(stream);
  }
  Say(bytes);
  EXPECT_EQ(GoAwayError(), kCalm);
  EXPECT_TRUE(service.batches.empty());
}

TEST_F(Abused, SomeCancelledCallsAreNoAttack) {
  Greet();
  std::int32_t stream = 1;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 190; ++i, stream += 2) Say(Open(stream) + Reset(stream));
    for (int i = 0; i < 1'000; ++i, stream += 2) {
      Say(Open(stream) + Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, stream, Framed("x")));
    }
  }
  EXPECT_FALSE(connection->closing());
  EXPECT_EQ(Counted("/test.Echo/Say", Code::kOk), 5'000U);
}

TEST_F(Abused, CallsCancelledWhileTheStoreIsSlowAreNoAttack) {
  options.max_resets = 5;
  options.max_concurrent_streams = 10'000;
  Greet();
  service.hold = true;
  std::int32_t stream = 1;
  for (int i = 0; i < 3'000; ++i, stream += 2) {
    Say(Open(stream) + Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, stream, Framed("x")));
    Say(Reset(stream));
  }
  EXPECT_FALSE(connection->closing());
  service.hold = false;
  service.Release();
}

TEST_F(Abused, AContinuationFloodIsCutShort) {
  Greet();
  Say(Open(1, 0));
  const int said = Until(Frame(NGHTTP2_CONTINUATION, 0, 1), 1'000);
  EXPECT_LE(said, 10);
  EXPECT_EQ(GoAwayError(), kCalm);
  EXPECT_EQ(counters->Ends(Abuse::kHeaderFlood), 1U);
}

// Headers that go into HPACK's table, and `count` times out of it again: 4 KB for each byte.
std::string Bomb(const std::string& block, std::size_t count) {
  return block + std::string("\x40\x01x\x7F\xA1\x1E", 6) + std::string(4'000, 'v') + std::string(count, '\xBE');
}

TEST_F(Abused, AHeaderBombIsNotUnpacked) {
  Greet();
  // 16 KB that would be 50 MB.
  Say(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, Bomb(Block(Client::GrpcHeaders()), 12'000)));
  EXPECT_EQ(GoAwayError(), kCalm);
  EXPECT_EQ(counters->Ends(Abuse::kHeaderFlood), 1U);
}

TEST_F(Abused, TooManyHeadersTooOftenEndTheConnection) {
  options.max_resets = 20;
  constexpr std::uint8_t kHeaders = NGHTTP2_FLAG_END_HEADERS, kWhole = kHeaders | NGHTTP2_FLAG_END_STREAM;
  const std::map<std::string, std::string> method_of = {
      {"/test.Echo/Say", "/test.Echo/Say"}, {"/test.Echo/Talk", "/test.Echo/Talk"}, {"/no.such/Method", "unknown"}};
  // The last one's message may be there already, and more behind it.
  for (const std::uint8_t flags : {kWhole, kHeaders}) {
    for (const auto& [path, method] : method_of) {
      told.clear();
      Greet();
      int sent = 0;
      for (std::int32_t stream = 1; !connection->closing() && sent < 1'000; stream += 2, ++sent) {
        Say(Frame(NGHTTP2_HEADERS, flags, stream, Bomb(Block(Client::GrpcHeaders(path)), 5)) +
            (flags == kWhole ? "" : Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, stream, Framed("x"))));
        if (sent < 20) {
          EXPECT_EQ(Counted(method, Code::kResourceExhausted), static_cast<std::uint64_t>(sent) + 1);
        }
      }
      EXPECT_EQ(sent, 21) << path;
      EXPECT_EQ(GoAwayError(), kCalm) << path;
      EXPECT_EQ(counters->Ends(Abuse::kHeaderFlood), 1U) << path;
      session.reset();
    }
  }
  EXPECT_TRUE(service.batches.empty());
  EXPECT_TRUE(service.told.empty());
}

// What came whole in the same read as the end is not done any more: nobody would hear of it.
TEST_F(Abused, NothingIsAskedOnceTheConnectionEnds) {
  options.max_resets = 0;
  Greet();
  Say(Open(1) + Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, Framed("x")) +
      Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3, Block(Client::GrpcHeaders("/test.Echo/Talk"))) +
      Frame(NGHTTP2_DATA, 0, 3, Framed("one")) + Open(5) + Reset(5));
  EXPECT_EQ(GoAwayError(), kCalm);
  EXPECT_TRUE(service.batches.empty());
  EXPECT_TRUE(service.told.empty());
}

TEST_F(Abused, AStreamMaySendAndEndAfterTheConnectionDid) {
  options.max_resets = 0;
  Greet();
  Say(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, Block(Client::GrpcHeaders("/test.Echo/Talk"))) +
      Frame(NGHTTP2_DATA, 0, 1, Framed("quiet")));
  Stream& open = *service.streams.at(0);
  Say(Open(3) + Reset(3));
  ASSERT_TRUE(connection->closing());
  open.Send(std::string(100'000, 'x'));
  EXPECT_EQ(open.queued(), 0U);
  open.Finish({Code::kUnavailable, "gone"});
  EXPECT_EQ(connection->RunPosted(), 0U);
  EXPECT_EQ(connection->TakeOutput(), "");
  session.reset();
  EXPECT_EQ(service.told, (std::vector<std::string>{"open", "message quiet", "destroyed"}));
}

TEST_F(Abused, HeadersAsLargeAsAllowed) {
  options.max_header_bytes = 1'000;
  Connect();
  EXPECT_EQ(Ask("a", "/test.Echo/Say", {{"x", std::string(400, 'x')}}).status(), "0");
  const Reply& reply = Ask("a", "/test.Echo/Say", {{"x", std::string(900, 'x')}});
  EXPECT_EQ(reply.status(), "8");
  EXPECT_EQ(reply.Trailer("grpc-message"), "the headers exceed 1000 bytes");
}

TEST_F(Abused, FloodsOfFramesThatCarryNoRequest) {
  const std::vector<std::pair<const char*, std::string>> floods = {
      {"SETTINGS", Frame(NGHTTP2_SETTINGS, 0, 0)},
      {"PING", Frame(NGHTTP2_PING, 0, 0, "01234567")},
      {"PING ack", Frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "01234567")},
      {"PRIORITY", Frame(NGHTTP2_PRIORITY, 0, 5, std::string("\0\0\0\0\x10", 5))},
      {"WINDOW_UPDATE", Frame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\0\0\0\x01", 4))},
      {"unknown", Frame(0x77, 0, 0, "what")},
      {"empty DATA", Frame(NGHTTP2_DATA, 0, 1)},
      {"RST_STREAM", Reset(1)},
      {"HEADERS of a stream that is over", Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\x82")},
  };
  for (const auto& [name, frame] : floods) {
    told.clear();
    Greet();
    // Where it is not open, it was refused while its message travelled.
    const bool open = name == std::string_view("empty DATA");
    const std::string path = open ? "/test.Echo/Say" : "/no.such/Method";
    Say(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, Block(Client::GrpcHeaders(path))));
    const int said = Until(frame, 10'000);
    EXPECT_LE(said, 2'001) << name;
    EXPECT_GE(said, 1'900) << name;
    EXPECT_EQ(GoAwayError(), kCalm) << name;
    EXPECT_EQ(counters->Ends(Abuse::kFrameFlood), 1U) << name;
    session.reset();
  }
}

TEST_F(Abused, KeepaliveForDaysIsNoFlood) {
  Greet();
  for (int i = 0; i < 20'000; ++i) {
    clock.Advance(10 * kSecond);
    Say(Frame(NGHTTP2_PING, 0, 0, "01234567"));
  }
  EXPECT_FALSE(connection->closing());
}

TEST_F(Abused, AFrameBudgetIsRefilledByTimeAndByWork) {
  ManualClock time;
  FrameBudget budget(time.Now());
  const auto spend = [&] {
    int spent = 0;
    while (spent < 10'000 && budget.Spend(time)) ++spent;
    return spent;
  };
  EXPECT_EQ(spend(), 2'000);
  time.Advance(kSecond);
  EXPECT_EQ(spend(), 200);
  budget.Earn();
  EXPECT_EQ(spend(), 10);
  time.Advance(3'600 * kSecond);
  EXPECT_EQ(spend(), 2'000);
  time.Advance(-100 * kSecond);
  EXPECT_EQ(spend(), 0);
  time.Advance(kSecond);
  EXPECT_EQ(spend(), 200);
}

TEST_F(Abused, ASettingsFrameHasFewEntries) {
  Greet();
  std::string entries;
  for (int i = 0; i < 100; ++i) entries += std::string("\0\x03\0\0\0\x64", 6);
  Say(Frame(NGHTTP2_SETTINGS, 0, 0, entries));
  EXPECT_TRUE(connection->closing());
}

TEST_F(Abused, MoreStreamsThanAllowed) {
  options.max_concurrent_streams = 10;
  Greet();
  for (std::int32_t stream = 1; stream <= 19; stream += 2) Say(Open(stream));
  EXPECT_FALSE(connection->closing());
  Say(Open(21));
  EXPECT_EQ(GoAwayError(), NGHTTP2_PROTOCOL_ERROR);
}

TEST_F(Abused, MoreStreamsThanAllowedBeforeTheClientCouldKnow) {
  options.max_concurrent_streams = 10;
  Connect();
  std::vector<std::int32_t> streams;
  for (int i = 0; i < 12; ++i) {
    streams.push_back(client->Request(Client::GrpcHeaders(), Framed("late").substr(0, 6), false));
  }
  Exchange();
  EXPECT_EQ(client->replies[streams[11]].error, std::uint32_t{NGHTTP2_REFUSED_STREAM});
  EXPECT_FALSE(connection->closing());
  client->Continue(streams[0], Framed("late").substr(6), true);
  Exchange();
  EXPECT_EQ(client->replies[streams[0]].Message(), "etal");
}

TEST_F(Abused, AReaderThatTakesNothingHoldsABoundedAmount) {
  options.max_queued_bytes = 100'000;
  Connect({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}});
  Exchange();
  int asked = 0;
  while (!connection->closing() && asked < 1'000) {
    client->Call("big 1000");
    Exchange();
    ++asked;
  }
  EXPECT_GE(asked, 99);
  EXPECT_LE(asked, 101);
  ASSERT_EQ(client->goaways.size(), 1U);
  EXPECT_EQ(client->goaways[0].error, std::uint32_t{kCalm});
  EXPECT_EQ(counters->Ends(Abuse::kSlowReader), 1U);
}

TEST_F(Abused, AStreamThatNobodyReadsHoldsABoundedAmount) {
  options.max_queued_bytes = 100'000;
  Connect({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1}});
  Exchange();
  client->Request(Client::GrpcHeaders("/test.Echo/Talk"), Framed("big 99990") + Framed("big 10"), false);
  Exchange();
  EXPECT_EQ(counters->Ends(Abuse::kSlowReader), 1U);
  EXPECT_TRUE(connection->closing());
}

TEST_F(Abused, AWindowOfOneByteCostsTheClientAFrameAByte) {
  Connect({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1}}, false);
  Exchange();
  const std::int32_t stream = client->Call("big 5000");
  int said = 0;
  while (!connection->closing() && said < 10'000) {
    nghttp2_submit_window_update(client->h2, 0, stream, 1);
    connection->Receive(client->Output());
    client->Input(connection->TakeOutput());
    ++said;
  }
  EXPECT_GE(said, 1'900);
  EXPECT_LE(said, 2'100);
  EXPECT_EQ(counters->Ends(Abuse::kFrameFlood), 1U);
}

TEST_F(Abused, AStreamReadInDripsHoldsWhatIsUnread) {
  Connect({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 50'000}}, false);
  Exchange();
  const std::int32_t stream = client->Request(Client::GrpcHeaders("/test.Echo/Talk"), Framed("big 50000"), false);
  Exchange();
  for (int i = 0; i < 100; ++i) {
    // As much as is asked for: the 5 bytes that are left are never taken.
    for (const std::int32_t window : {0, stream}) nghttp2_submit_window_update(client->h2, 0, window, 10'005);
    client->Continue(stream, Framed("big 10000"));
    Exchange();
  }
  EXPECT_EQ(client->replies[stream].body.size(), 50'000U + 100 * 10'005);
  const auto& exchange = static_cast<const rls::Exchange&>(*service.streams.at(0));
  EXPECT_EQ(exchange.queued(), 5U);
  EXPECT_LT(exchange.out.capacity(), 50'000U);
}

TEST_F(Abused, AnOpenStreamKeepsNoMemoryOfWhatIsOver) {
  Connect();
  const std::string next = Framed("quiet");
  const std::int32_t stream = client->Request(Client::GrpcHeaders("/test.Echo/Talk"),
                                              Framed(std::string(500'000, 'x')) + next.substr(0, 1), false);
  Exchange();
  EXPECT_EQ(client->replies[stream].Message().size(), 500'004U);
  const auto& exchange = static_cast<const rls::Exchange&>(*service.streams.at(0));
  EXPECT_EQ(exchange.in.size(), 1U);
  EXPECT_LE(exchange.in.capacity(), 8'192U);
  EXPECT_LE(exchange.out.capacity(), 8'192U);
  client->Continue(stream, next.substr(1));
  Exchange();
  EXPECT_EQ(service.told.back(), "message quiet");
}

TEST(Pools, KeepNoLargeMessages) {
  Exchange exchange;
  exchange.in.assign(100'000, 'x');
  exchange.out.assign(100'000, 'x');
  exchange.Reset();
  EXPECT_LE(exchange.in.capacity(), 8'192U);
  EXPECT_LE(exchange.out.capacity(), 8'192U);
  const auto batch = std::make_shared<QuestionBatch>();
  net::FakeConnection connection;
  struct Nobody final : BatchOwner {
    void OnAnswered(QuestionBatch&, const QuestionBatch::Segment&) override {}
    void OnAnsweredLater(QuestionBatch&, const QuestionBatch::Segment&) override {}
    void OnBroken() noexcept override {}
  } nobody;
  std::string message(100'000, 'x');
  std::string request_id;
  batch->Add(nobody, connection, {}, 0, message, 0, request_id);
  batch->call(0).response.assign(100'000, 'x');
  batch->Clear();
  message = "small";
  batch->Add(nobody, connection, {}, 0, message, 0, request_id);
  EXPECT_LE(message.capacity(), 4'096U);
  EXPECT_LE(batch->call(0).response.capacity(), 4'096U);
}

TEST_F(Abused, UnfinishedMessagesOfOneConnectionAreBounded) {
  options.max_message_bytes = 100'000;
  Connect();
  Exchange();
  std::vector<std::int32_t> streams;
  for (int i = 0; i < 100; ++i) {
    streams.push_back(
        client->Request(Client::GrpcHeaders(), Framed(std::string(99'000, 'x')).substr(0, 60'000), false));
    Exchange();
  }
  // 4 messages of the largest size, and 64 KiB.
  const auto refused = std::count_if(streams.begin(), streams.end(),
                                     [&](std::int32_t stream) { return client->replies[stream].status() == "8"; });
  EXPECT_EQ(refused, 100 - (4 * 100'000 + 65'536) / 60'000);
  EXPECT_EQ(Ask("small").Message(), "llams");
}

TEST_F(Abused, PaddingIsNoMessage) {
  Greet();
  // A frame of padding alone, to the end of what flow control grants: no byte of it is kept.
  Say(Open(1));
  for (int i = 0; i < 100; ++i) {
    Say(Frame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, std::string("\xC8", 1) + std::string(200, '\0')));
  }
  EXPECT_FALSE(connection->closing());
  Say(Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, Framed("x")));
  EXPECT_EQ(service.batches.size(), 1U);
}

// Frames that hold nothing that a call waits for are few, whatever their length.
TEST_F(Abused, DataThatCarriesNothingEndsTheConnection) {
  const std::string empty = Frame(NGHTTP2_DATA, 0, 1);
  const std::string padding =
      Frame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, std::string("\xFF", 1) + std::string(255, '\0'));
  const std::string least = Frame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, std::string("\0", 1));
  // SETTINGS and the ACK of the server's are two of them.
  constexpr int kMost = static_cast<int>(FrameBudget::kBurst) - 1;
  for (const std::string& frame : {empty, padding, least}) {
    told.clear();
    Greet();
    Say(Open(1));
    EXPECT_EQ(Until(frame, 10'000), kMost) << frame.size();
    EXPECT_EQ(GoAwayError(), kCalm);
    EXPECT_EQ(counters->Ends(Abuse::kFrameFlood), 1U);
  }
  // Of a call that was refused: its client may not have heard yet, but it is heard soon.
  told.clear();
  Greet();
  Say(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, Block(Client::GrpcHeaders("/no.such/Method"))));
  EXPECT_EQ(Until(Frame(NGHTTP2_DATA, 0, 1, "x"), 10'000), kMost);
  EXPECT_EQ(GoAwayError(), kCalm);
  // What is waited for may come in any pieces.
  told.clear();
  Greet();
  Say(Open(1));
  const std::string message = Framed(std::string(20'000, 'x'));
  for (const char byte : message) Say(Frame(NGHTTP2_DATA, 0, 1, std::string(1, byte)));
  Say(Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1));
  EXPECT_EQ(GoAwayError(), -1);
  EXPECT_EQ(service.batches.size(), 1U);
}

TEST_F(Abused, FramesForStreamsThatAreGone) {
  const auto error_of = [&](const std::string& bytes) {
    told.clear();
    Greet();
    Say(Open(1) + Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, Framed("x")));
    EXPECT_EQ(GoAwayError(), -1);
    Say(bytes);
    return GoAwayError();
  };
  EXPECT_EQ(error_of(Frame(NGHTTP2_DATA, 0, 1, "x")), NGHTTP2_STREAM_CLOSED);
  EXPECT_EQ(error_of(Open(1)), NGHTTP2_STREAM_CLOSED);
  EXPECT_EQ(error_of(Open(3) + Reset(3) + Frame(NGHTTP2_DATA, 0, 3, "x")), NGHTTP2_STREAM_CLOSED);
  EXPECT_EQ(error_of(Frame(NGHTTP2_WINDOW_UPDATE, 0, 1, std::string("\0\0\0\x01", 4))), -1);
  EXPECT_EQ(error_of(Reset(1)), -1);
  EXPECT_EQ(error_of(Frame(NGHTTP2_DATA, 0, 3, "x")), NGHTTP2_PROTOCOL_ERROR);
}

TEST_F(Abused, WhatTravelsWhileTheServerEndsAStreamIsNoFault) {
  Greet();
  // Refused at its headers, and the rest was on its way.
  Say(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, Block(Client::GrpcHeaders("/no.such/Method"))));
  Say(Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, Framed("x")));
  Say(Open(3) + Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 3, Framed("x")));
  EXPECT_EQ(GoAwayError(), -1);
  EXPECT_EQ(service.batches.size(), 1U);
}

TEST_F(Abused, AsManyStreamsAsAreAllowedMayBeEndedWhileTheirMessagesTravel) {
  Greet();
  for (std::int32_t stream = 1; stream < 2'000; stream += 2) {
    Say(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, stream, Block(Client::GrpcHeaders("/no.such/Method"))));
  }
  for (std::int32_t stream = 1; stream < 2'000; stream += 2) {
    Say(Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, stream, Framed("x")));
  }
  EXPECT_EQ(GoAwayError(), -1);
}

TEST_F(Abused, AnOldStreamMayBeEndedWhileItsMessageTravelsAndOthersBegin) {
  options.max_concurrent_streams = 10;
  Greet();
  Say(Frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, Block(Client::GrpcHeaders("/test.Echo/Talk"))));
  Say(Frame(NGHTTP2_DATA, 0, 1, Framed("finish")));
  for (std::int32_t stream = 3; stream < 2'000; stream += 2) {
    Say(Open(stream) + Frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, stream, Framed("x")));
  }
  Say(Frame(NGHTTP2_DATA, 0, 1, Framed("more")));
  EXPECT_EQ(GoAwayError(), -1);
}

TEST_F(Abused, StreamsThatAreSkippedWereNeverOpen) {
  Greet();
  Say(Open(5) + Open(3));
  EXPECT_EQ(GoAwayError(), NGHTTP2_STREAM_CLOSED);
}

}  // namespace
}  // namespace weir::rls
