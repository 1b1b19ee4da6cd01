// A request of a rate limit service asks for no memory once its thread has seen a few.
#include <envoy/service/ratelimit/v3/rls.pb.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/allocation_counter.h"
#include "engine/engine_fixture.h"
#include "frontends/rls/envoy/rls_service.h"
#include "storage/memory/memory_store.h"

namespace weir::rls {
namespace {

constexpr std::string_view kLimits = R"(
global: {free_tier: unlimited}
domains:
  edge:
    descriptors:
      - {key: ip, rule: {max_requests: 1000000000, window_seconds: 3600, algorithm: token_bucket, name: per_ip}}
      - key: path
        descriptors: [{key: method, rule: {max_requests: 1000, window_seconds: 3600, algorithm: token_bucket}}]
)";

std::string Request() {
  envoy::service::ratelimit::v3::RateLimitRequest request;
  request.set_domain("edge");
  auto* entry = request.add_descriptors()->add_entries();
  entry->set_key("ip");
  entry->set_value("192.0.2.1");
  auto* descriptor = request.add_descriptors();
  for (const auto& [key, value] : {std::pair("path", "/login"), std::pair("method", "POST")}) {
    entry = descriptor->add_entries();
    entry->set_key(key);
    entry->set_value(value);
  }
  return request.SerializeAsString();
}

TEST(RlsAllocations, NoneForARequestOfTwoDescriptors) {
  ManualClock clock;
  auto engine = engine::Engine::Create(engine::ParseOrDie(kLimits), storage::memory::MemoryStore::Create({}).value(),
                                       {.clock = &clock, .extractors = {}, .observers = {}, .local = nullptr});
  ASSERT_TRUE(engine) << engine.error().message;
  RlsService service(**engine);
  const std::string request = Request();
  std::vector<UnaryCall> calls(16);
  for (UnaryCall& call : calls) call.request = request;
  // Allowed at first, denied from the thousandth on: both are among those that warm up.
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(service.Answer(calls, nullptr));
  const std::uint64_t before = AllocationsOfThisThread();
  for (int i = 0; i < 2'000; ++i) ASSERT_TRUE(service.Answer(calls, nullptr));
  EXPECT_EQ(AllocationsOfThisThread() - before, 0U);
  EXPECT_GT(service.counts().over_limit, 0U);
  EXPECT_EQ(service.counts().errors, 0U);
}

}  // namespace
}  // namespace weir::rls
