// The gRPC port's services with the options that the daemon gives to its sessions.
#include "server/data_plane/grpc_front_end.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "engine/engine_fixture.h"
#include "frontends/rls/http2/session_fixture.h"
#include "net/fake_connection.h"

namespace weir::server {
namespace {

constexpr std::string_view kLimits = R"(
global: {free_tier: unlimited}
domains: {d: {descriptors: [{key: k, rule: {max_requests: 5, window_seconds: 60}}]}}
)";

class GrpcFrontEndTest : public engine::EngineTest {
 protected:
  void Serve(Setup setup = {}, const ServerConfig& config = {}) {
    Stop();
    Start(kLimits, std::move(setup));
    front_ = std::make_unique<GrpcFrontEnd>(*engine_, config, [] { return true; });
    session_ = rls::MakeGrpcSession(connection_, front_->options());
    connection_.Attach(session_.get());
  }
  void Exchange() {
    for (int i = 0; i < 10; ++i) {
      connection_.Receive(client_.Output());
      connection_.RunPosted();
      client_.Input(connection_.TakeOutput());
    }
  }
  void Stop() {
    session_.reset();
    if (front_ != nullptr) front_->StopWatching();
    engine_.reset();
    front_.reset();
  }
  ~GrpcFrontEndTest() override { Stop(); }

  net::FakeConnection connection_;
  rls::Client client_;
  std::unique_ptr<GrpcFrontEnd> front_;
  std::unique_ptr<net::Session> session_;
};

const std::string kShouldRateLimit = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
const std::string kQuestion(
    "\x0A\x01"
    "d\x12\x08\x0A\x06\x0A\x01k\x12\x01v");

TEST_F(GrpcFrontEndTest, ServesTheServicesThatAreListed) {
  ServerConfig config;
  config.grpc.serve = {Served::kKuadrant};
  Serve({}, config);
  const std::int32_t envoy = client_.Call(kQuestion, kShouldRateLimit);
  const std::int32_t kuadrant =
      client_.Call(kQuestion, "/kuadrant.service.ratelimit.v1.RateLimitService/CheckRateLimit");
  const std::int32_t health = client_.Call("", "/grpc.health.v1.Health/Check");
  const std::int32_t reflection = client_.Call("", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  Exchange();
  EXPECT_EQ(client_.replies[envoy].status(), "12");
  EXPECT_EQ(client_.replies[kuadrant].status(), "0");
  EXPECT_EQ(client_.replies[health].status(), "0");
  EXPECT_EQ(client_.replies[reflection].status(), "12");
}

TEST_F(GrpcFrontEndTest, WantsATokenWhereThereAreSome) {
  ServerConfig config;
  config.grpc.tokens = {"a-token-0123456789"};
  Serve({}, config);
  const std::int32_t none = client_.Call(kQuestion, kShouldRateLimit);
  const std::int32_t wrong = client_.Call(kQuestion, kShouldRateLimit, {{"authorization", "Bearer a-token"}});
  const std::int32_t unknown = client_.Call(kQuestion, "/no.such/Method");
  const std::int32_t right =
      client_.Call(kQuestion, kShouldRateLimit, {{"authorization", "Bearer a-token-0123456789"}});
  const std::int32_t health = client_.Call("", "/grpc.health.v1.Health/Check");
  Exchange();
  EXPECT_EQ(client_.replies[none].status(), "16");
  EXPECT_EQ(client_.replies[wrong].status(), "16");
  EXPECT_EQ(client_.replies[unknown].status(), "16");
  EXPECT_EQ(client_.replies[right].status(), "0");
  EXPECT_EQ(client_.replies[health].status(), "0");
  EXPECT_EQ(engine_->GetCounts().allowed, 1U) << "what is refused counts nothing";
}

// The engine's clock is the machine's, which somebody or NTP sets.
TEST_F(GrpcFrontEndTest, AClockThatIsSetEndsNoCall) {
  Setup setup;
  setup.delivery = engine::Delivery::kHeld;
  Serve(std::move(setup));
  const std::string question(
      "\x0A\x01"
      "d\x12\x08\x0A\x06\x0A\x01k\x12\x01v");
  const std::int32_t whole =
      client_.Call(question, "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", {{"grpc-timeout", "1H"}});
  const std::int32_t part =
      client_.Request(rls::Client::GrpcHeaders("/grpc.health.v1.Health/Check"), rls::Framed("").substr(0, 3), false);
  Exchange();
  clock_.Advance(kDay);
  EXPECT_TRUE(connection_.Wake());
  Exchange();
  EXPECT_FALSE(client_.replies[whole].closed);
  store_->Release();
  client_.Continue(part, rls::Framed("").substr(3), true);
  Exchange();
  EXPECT_EQ(client_.replies[whole].status(), "0");
  EXPECT_EQ(client_.replies[part].status(), "0");
}

TEST_F(GrpcFrontEndTest, AnAnswerMayBeAsLongAsARequest) {
  for (const std::uint32_t bytes : {1U << 20, 64U << 20, 1U << 30}) {
    Serve({}, {.max_request_bytes = bytes});
    EXPECT_EQ(front_->options().max_message_bytes, bytes);
    EXPECT_GE(front_->options().max_queued_bytes, std::size_t{2} * bytes);
  }
}

}  // namespace
}  // namespace weir::server
