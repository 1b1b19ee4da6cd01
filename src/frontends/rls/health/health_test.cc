#include "frontends/rls/health/health.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/heap_in_use.h"
#include "frontends/rls/http2/session_fixture.h"

namespace weir::rls {
namespace {

class HealthTest : public SessionTest {
 protected:
  HealthTest() { options.services = {&health}; }
  static std::string About(const std::string& name) {
    return name.empty() ? "" : "\x0A" + std::string(1, static_cast<char>(name.size())) + name;
  }
  const Reply& Check(const std::string& name) { return Ask(About(name), "/grpc.health.v1.Health/Check"); }
  std::int32_t Watch(const std::string& name) {
    const std::int32_t stream = client->Call(About(name), "/grpc.health.v1.Health/Watch");
    Exchange();
    return stream;
  }

  std::atomic<bool> ready{true};
  HealthService health{{"ratelimit", "a.b.C"}, [this] { return ready.load(); }};
};
const std::string kServing = "\x08\x01", kNotServing = "\x08\x02", kServiceUnknown = "\x08\x03";

TEST_F(HealthTest, ChecksTheServerAndItsServices) {
  Connect();
  for (const char* name : {"", "ratelimit", "a.b.C"}) EXPECT_EQ(Check(name).Message(), kServing) << name;
  EXPECT_EQ(Check("nobody").status(), "5");
  ready = false;
  EXPECT_EQ(Check("ratelimit").Message(), kNotServing);
  EXPECT_EQ(Check("nobody").status(), "5");
}

TEST_F(HealthTest, SkipsFieldsThatItDoesNotKnowAndRefusesWhatIsNoMessage) {
  Connect();
  EXPECT_EQ(Ask("\x10\x05\x0A\x05"
                "a.b.C",
                "/grpc.health.v1.Health/Check")
                .Message(),
            kServing);
  EXPECT_EQ(Ask("\x0A\x05"
                "a",
                "/grpc.health.v1.Health/Check")
                .status(),
            "13");
  EXPECT_EQ(Ask("\x0A\x05"
                "a",
                "/grpc.health.v1.Health/Watch")
                .status(),
            "13");
}

TEST_F(HealthTest, WatchTellsEveryChangeOnce) {
  Connect();
  const std::int32_t stream = Watch("ratelimit");
  EXPECT_EQ(client->replies[stream].Messages(), std::vector<std::string>{kServing});
  health.Refresh();
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages().size(), 1U);
  ready = false;
  health.Refresh();
  health.Refresh();
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages(), (std::vector<std::string>{kServing, kNotServing}));
  ready = true;
  health.Refresh();
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages(), (std::vector<std::string>{kServing, kNotServing, kServing}));
  EXPECT_FALSE(client->replies[stream].ended);
}

TEST_F(HealthTest, WatchOfAnUnknownServiceGoesOn) {
  Connect();
  const std::int32_t stream = Watch("nobody");
  EXPECT_EQ(client->replies[stream].Messages(), std::vector<std::string>{kServiceUnknown});
  ready = false;
  health.Refresh();
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages().size(), 1U);
  EXPECT_FALSE(client->replies[stream].ended);
}

TEST_F(HealthTest, WatchWithoutItsMessageOrWithTwo) {
  Connect();
  const std::int32_t none = client->Request(Client::GrpcHeaders("/grpc.health.v1.Health/Watch"), "");
  Exchange();
  EXPECT_EQ(client->replies[none].status(), "13");
  const std::int32_t two =
      client->Request(Client::GrpcHeaders("/grpc.health.v1.Health/Watch"), Framed("") + Framed(""));
  Exchange();
  EXPECT_EQ(client->replies[two].status(), "13");
}

TEST_F(HealthTest, WatchKeepsNoNames) {
  struct FakeStream final : Stream {
    void Send(std::string message) override { sent.push_back(std::move(message)); }
    std::size_t queued() const override { return 0; }
    void Finish(Status) override {}
    net::Connection& connection() override { return fake; }
    net::FakeConnection fake;
    std::vector<std::string> sent;
  } stream;
  const std::string about = "\x0A\xA0\x8D\x06" + std::string(100'000, 'n');
  const std::size_t before = HeapInUse();
  std::vector<std::unique_ptr<StreamHandler>> watches;
  for (int i = 0; i < 50; ++i) {
    watches.push_back(health.methods().at(1).open(stream));
    watches.back()->OnMessage(about);
  }
  EXPECT_EQ(stream.sent, std::vector<std::string>(50, kServiceUnknown));
  EXPECT_LT(HeapInUse(), before + 1'000'000);
  // It would have been seen.
  const std::string kept(1'000'000, 'n');
  EXPECT_GE(HeapInUse(), before + kept.size());
}

TEST_F(HealthTest, WatchersThatHaveGoneAreForgotten) {
  Connect();
  const std::int32_t stream = Watch("");
  ready = false;
  health.Refresh();  // posted, and then the stream ends before it is told
  nghttp2_submit_rst_stream(client->h2, 0, stream, NGHTTP2_CANCEL);
  connection->Receive(client->Output());
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages().size(), 1U);
  Watch("");
  session.reset();
  ready = true;
  health.Refresh();
  EXPECT_EQ(connection->RunPosted(), 0U);
}

TEST_F(HealthTest, DrainIsToldBeforeItEndsTheWatch) {
  Connect();
  const std::int32_t stream = Watch("");
  ready = false;
  health.Refresh();
  connection->RunPosted();
  connection->StartDrain();
  Exchange();
  EXPECT_EQ(client->replies[stream].Messages(), (std::vector<std::string>{kServing, kNotServing}));
  EXPECT_EQ(client->replies[stream].status(), "14");
}

}  // namespace
}  // namespace weir::rls
