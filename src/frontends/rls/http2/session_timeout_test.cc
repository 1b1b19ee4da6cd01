// What a client does not finish, or does not take, runs out of time.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include "frontends/rls/http2/abuse.h"
#include "frontends/rls/http2/abuse_fixture.h"
#include "frontends/rls/http2/exchange.h"

namespace weir::rls {
namespace {

TEST_F(Abused, AMessageInDropsRunsOutOfTime) {
  options.message_timeout_ms = 1'000;
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders(), "", false);
  const std::string message = Framed(std::string(100, 'x'));
  int drops = 0;
  for (const char byte : message) {
    if (client->replies[stream].closed) break;
    client->Continue(stream, std::string_view(&byte, 1));
    Exchange();
    clock.Advance(100 * kMillisecond);
    ++drops;
  }
  EXPECT_EQ(drops, 11);
  EXPECT_EQ(client->replies[stream].status(), "4");
}

// A client that says nothing but PING is there; what it began it has to finish all the same.
class Unfinished : public Abused {
 protected:
  Unfinished() { options.message_timeout_ms = 1'000; }
  // The session is woken when it asked to be; meanwhile the client pings. Ends when the time is over.
  void PingForASecond() {
    for (int i = 0; i < 10; ++i) {
      nghttp2_submit_ping(client->h2, 0, nullptr);
      Exchange();
      EXPECT_FALSE(connection->closing());
      clock.Advance(100 * kMillisecond);
    }
    EXPECT_LE(connection->wake_after().value_or(UINT32_MAX), 1'001U);
    EXPECT_TRUE(connection->Wake());
    EXPECT_FALSE(connection->unflushed());
    Exchange();
  }
};

TEST_F(Unfinished, AMessageThatStopsRunsOutOfTime) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders(), Framed("hello").substr(0, 7), false);
  PingForASecond();
  EXPECT_EQ(client->replies[stream].status(), "4");
  EXPECT_EQ(client->replies[stream].Trailer("grpc-message"), "the message came too slowly");
}

TEST_F(Unfinished, AMessageThatNeverBeginsRunsOutOfTime) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders(), "", false);
  PingForASecond();
  EXPECT_EQ(client->replies[stream].status(), "4");
  EXPECT_TRUE(client->replies[stream].closed);
}

TEST_F(Unfinished, AMessageThatIsWholeButForItsEndRunsOutOfTime) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders(), Framed("hello"), false);
  PingForASecond();
  EXPECT_EQ(client->replies[stream].status(), "4");
  EXPECT_TRUE(service.batches.empty());
}

TEST_F(Unfinished, AMessageOfAStreamThatStopsRunsOutOfTime) {
  Connect();
  const std::int32_t stream =
      client->Request(Client::GrpcHeaders("/test.Echo/Talk"), Framed("one").substr(0, 7), false);
  PingForASecond();
  EXPECT_EQ(client->replies[stream].status(), "4");
  EXPECT_EQ(service.told, (std::vector<std::string>{"open", "close", "destroyed"}));
}

TEST_F(Unfinished, AStreamHasItsTimeForEachMessageAndNoneBetweenThem) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders("/test.Echo/Talk"), "", false);
  const std::string message = Framed("one");
  for (int i = 0; i < 10; ++i) {
    client->Continue(stream, message.substr(i == 0 ? 0 : 3) + message.substr(0, 3));
    Exchange();
    clock.Advance(900 * kMillisecond);
    connection->Wake();
    Exchange();
  }
  EXPECT_EQ(client->replies[stream].Messages().size(), 10U);
  client->Continue(stream, message.substr(3));
  Exchange();
  for (int i = 0; i < 10; ++i) {
    clock.Advance(kMinute);
    connection->Wake();
    Exchange();
  }
  client->Continue(stream, message);
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages().size(), 12U);
  EXPECT_FALSE(client->replies[stream].closed);
}

TEST_F(Unfinished, ABodyThatIsNotGrpcIsNotWaitedFor) {
  Connect();
  const std::int32_t stream = client->Request(Client::GrpcHeaders("/", {{"content-type", "text/plain"}}), "x", false);
  PingForASecond();
  EXPECT_EQ(client->replies[stream].Header(":status"), "415");
  EXPECT_TRUE(client->replies[stream].closed);
}

TEST_F(Unfinished, AFrameThatStopsRunsOutOfTime) {
  const std::string frames[] = {Frame(NGHTTP2_PING, 0, 0, "01234567").substr(0, 4), Open(1).substr(0, 20), Open(1, 0),
                                Open(1) + Frame(NGHTTP2_DATA, 0, 1, Framed("x")).substr(0, 10)};
  for (const std::string& frame : frames) {
    told.clear();
    Greet();
    Say(frame);
    clock.Advance(kSecond - 1);
    EXPECT_TRUE(connection->Wake());
    EXPECT_FALSE(connection->closing());
    clock.Advance(1);
    EXPECT_TRUE(connection->Wake());
    EXPECT_FALSE(connection->unflushed());
    EXPECT_TRUE(connection->closing());
    told += connection->TakeOutput();
    EXPECT_EQ(GoAwayError(), NGHTTP2_NO_ERROR);
    session.reset();
  }
}

TEST_F(Unfinished, AFrameHasItsTimeHoweverManyThereAre) {
  Greet();
  std::string frames;
  for (int i = 0; i < 50; ++i) frames += Frame(NGHTTP2_PING, 0, 0, "01234567");
  for (const char byte : frames) {
    Say(std::string_view(&byte, 1));
    clock.Advance(50 * kMillisecond);
    connection->Wake();
  }
  EXPECT_FALSE(connection->closing());
}

TEST_F(Unfinished, AnswersThatNobodyTakesAreNotKept) {
  Connect({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}});
  Exchange();
  client->Call("hello");
  PingForASecond();
  EXPECT_TRUE(connection->closing());
  ASSERT_EQ(client->goaways.size(), 1U);
  EXPECT_EQ(client->goaways[0].error, std::uint32_t{kCalm});
  EXPECT_EQ(counters->Ends(Abuse::kSlowReader), 1U);
}

TEST_F(Unfinished, AnswersThatAreTakenInDripsAreKept) {
  Connect({{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1}}, false);
  Exchange();
  const std::int32_t stream = client->Call("big 20");
  for (int i = 0; i < 24; ++i) {
    Exchange();
    clock.Advance(900 * kMillisecond);
    connection->Wake();
    nghttp2_submit_window_update(client->h2, 0, stream, 1);
  }
  Exchange();
  EXPECT_EQ(client->replies[stream].Message(), std::string(20, 'b'));
  EXPECT_EQ(client->replies[stream].status(), "0");
  EXPECT_FALSE(connection->closing());
}

TEST_F(Unfinished, WithoutATimeoutThereIsNone) {
  options.message_timeout_ms = 0;
  Greet();
  Say(Open(1) + Open(3).substr(0, 20));
  EXPECT_FALSE(connection->wake_after());
}

}  // namespace
}  // namespace weir::rls
