// What tests of the quota service begin with: an engine, the service on it, and data planes that report.
#pragma once

#include <envoy/service/rate_limit_quota/v3/rlqs.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine_fixture.h"
#include "frontends/rls/rlqs/rlqs_service.h"
#include "net/fake_connection.h"

namespace weir::rls {

using envoy::service::rate_limit_quota::v3::RateLimitQuotaResponse;
using envoy::service::rate_limit_quota::v3::RateLimitQuotaUsageReports;
using Bucket = std::map<std::string, std::string>;

inline constexpr std::string_view kLimits = R"(
global: {free_tier: {max_requests: 10, window_seconds: 60}}
domains:
  edge:
    descriptors:
      - key: name
        descriptors: [{key: env, rule: {max_requests: 6000, window_seconds: 60}}]
)";

// A data plane: its connection, its stream, and what it was told.
class Plane final : public Stream {
 public:
  explicit Plane(RlqsService& service) : handler(service.methods()[0].open(*this)) {}
  ~Plane() override {
    if (handler != nullptr) Close();
  }
  void Send(std::string message) override {
    largest = std::max(largest, message.size());
    RateLimitQuotaResponse response;
    EXPECT_TRUE(response.ParseFromString(message));
    for (const auto& action : response.bucket_action()) actions.push_back(action);
  }
  std::size_t queued() const override { return unread; }
  void Finish(Status status) override { finished = std::make_unique<Status>(std::move(status)); }
  net::Connection& connection() override { return socket; }

  void Report(const Bucket& bucket, std::uint64_t allowed, std::uint64_t denied = 0,
              const std::string& domain = "edge") {
    RateLimitQuotaUsageReports reports;
    reports.set_domain(domain);
    auto* usage = reports.add_bucket_quota_usages();
    usage->mutable_bucket_id()->mutable_bucket()->insert(bucket.begin(), bucket.end());
    usage->mutable_time_elapsed()->set_seconds(5);
    usage->set_num_requests_allowed(allowed);
    usage->set_num_requests_denied(denied);
    const std::string message = reports.SerializeAsString();
    handler->OnMessage(message);
  }
  void Close() {
    handler->OnClose();
    handler.reset();
  }
  std::uint64_t Tokens() const {
    if (actions.empty()) return 0;
    return actions.back().quota_assignment_action().rate_limit_strategy().token_bucket().tokens_per_fill().value();
  }

  net::FakeConnection socket;
  std::unique_ptr<StreamHandler> handler;
  std::vector<RateLimitQuotaResponse::BucketAction> actions;
  std::unique_ptr<Status> finished;
  std::size_t unread = 0, largest = 0;
};

inline const Bucket kBucket = {{"name", "x"}, {"env", "prod"}};

class RlqsServiceTest : public engine::EngineTest {
 protected:
  void Serve(std::string_view yaml, Setup setup = {}, QuotaOptions options = {}) {
    Start(yaml, std::move(setup));
    options.clock = &time_;
    service_ = std::make_unique<RlqsService>(*engine_, options);
  }
  // What the rule's counter says.
  std::uint64_t Used(std::string_view name = "x") {
    const std::vector<Attribute> entries = {{"name", name}, {"env", "prod"}};
    engine::Call call;
    call.kind = engine::CallKind::kPeek;
    call.descriptor = true;
    call.request.domain = "edge";
    call.request.attributes = entries;
    call.request.cost = 0;
    engine_->Run({&call, 1});
    return call.decision.rule_count == 0 ? 0 : call.decision.rules()[0].outcome.used;
  }
  void Advance(Nanos by) {
    clock_.Advance(by);
    time_.Advance(by);
  }
  ManualClock time_;  // that nobody sets, beside the engine's
  std::unique_ptr<RlqsService> service_;
};

}  // namespace weir::rls
