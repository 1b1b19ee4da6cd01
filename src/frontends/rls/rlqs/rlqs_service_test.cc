// Streams of reports, and what is told on them.
#include "frontends/rls/rlqs/rlqs_service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "frontends/rls/rlqs/rlqs_service_fixture.h"

namespace weir::rls {
namespace {

// A report of so many buckets, whose values are 86 bytes long.
std::string ReportOf(int buckets) {
  RateLimitQuotaUsageReports reports;
  reports.set_domain("edge");
  for (int i = 0; i < buckets; ++i) {
    auto* usage = reports.add_bucket_quota_usages();
    std::string name = std::to_string(i);
    name.append(86 - name.size(), 'x');
    auto& bucket = *usage->mutable_bucket_id()->mutable_bucket();
    bucket["name"] = name;
    bucket["env"] = "prod";
    usage->set_num_requests_allowed(1);
  }
  return reports.SerializeAsString();
}

TEST_F(RlqsServiceTest, AReportIsAnsweredWithAnAssignment) {
  Serve(kLimits);
  Plane plane(*service_);
  plane.Report(kBucket, 40, 2);
  ASSERT_EQ(plane.actions.size(), 1U);
  const auto& action = plane.actions[0];
  EXPECT_EQ(Bucket(action.bucket_id().bucket().begin(), action.bucket_id().bucket().end()), kBucket);
  const auto& quota = action.quota_assignment_action();
  EXPECT_EQ(quota.assignment_time_to_live().seconds(), 60);
  EXPECT_EQ(quota.rate_limit_strategy().token_bucket().max_tokens(), 6'000U);
  EXPECT_EQ(plane.Tokens(), 6'000U);
  EXPECT_EQ(quota.rate_limit_strategy().token_bucket().fill_interval().seconds(), 60);
  // What was let through counts; what was not does not.
  EXPECT_EQ(Used(), 40U);
  EXPECT_EQ(service_->counts().reports, 1U);
}

TEST_F(RlqsServiceTest, OthersAreToldOnTheirOwnConnections) {
  Serve(kLimits);
  Plane first(*service_), second(*service_);
  first.Report(kBucket, 1'000);
  Advance(kSecond);
  second.Report(kBucket, 1'000);
  EXPECT_EQ(second.Tokens(), 3'000U);
  EXPECT_EQ(first.Tokens(), 6'000U);
  EXPECT_EQ(first.socket.RunPosted(), 1U);
  EXPECT_EQ(first.Tokens(), 3'000U);
  // And when one goes.
  Advance(kSecond);
  second.Close();
  first.socket.RunPosted();
  EXPECT_EQ(first.Tokens(), 6'000U);
  EXPECT_EQ(service_->counts().streams, 1U);
  EXPECT_EQ(service_->counts().members, 1U);
}

TEST_F(RlqsServiceTest, NothingReachesAStreamThatIsGone) {
  Serve(kLimits);
  auto first = std::make_unique<Plane>(*service_);
  Plane second(*service_);
  first->Report(kBucket, 1'000);
  Advance(kSecond);
  second.Report(kBucket, 1'000);
  const std::size_t told = first->actions.size();
  first->handler->OnClose();
  first->socket.RunPosted();
  EXPECT_EQ(first->actions.size(), told);
  first.reset();
  Advance(kSecond);
  service_->Tick();
}

TEST_F(RlqsServiceTest, NothingReachesAStreamWhoseHandlerIsGone) {
  Serve(kLimits);
  Plane first(*service_), second(*service_);
  first.Report(kBucket, 1'000);
  Advance(kSecond);
  second.Report(kBucket, 1'000);
  const std::size_t told = first.actions.size();
  // As a session does that ends streams by itself, when it drains: no OnClose.
  first.handler.reset();
  EXPECT_EQ(first.socket.RunPosted(), 1U);
  EXPECT_EQ(first.actions.size(), told);
  EXPECT_EQ(service_->counts().streams, 1U);
}

TEST_F(RlqsServiceTest, ABucketThatNobodyCanBeToldOfDoesNotEndTheStream) {
  Serve(kLimits);
  Plane plane(*service_);
  RateLimitQuotaUsageReports reports;
  reports.set_domain("edge");
  reports.add_bucket_quota_usages();
  auto* usage = reports.add_bucket_quota_usages();
  usage->mutable_bucket_id()->mutable_bucket()->insert(kBucket.begin(), kBucket.end());
  usage->set_num_requests_allowed(3);
  std::string message = reports.SerializeAsString();
  message.append("\x12\x09\x0a\x07\x0a\x05\x0a\x00\x12\x01\xff", 11);
  plane.handler->OnMessage(message);
  EXPECT_EQ(plane.finished, nullptr);
  EXPECT_EQ(plane.actions.size(), 1U);
  EXPECT_EQ(Used(), 3U);
  EXPECT_EQ(service_->counts().reports, 3U);
  EXPECT_EQ(service_->counts().refused, 2U);
}

TEST_F(RlqsServiceTest, ALongDomainIsRefused) {
  Serve(kLimits);
  Plane plane(*service_);
  plane.Report(kBucket, 1, 0, std::string(201, 'd'));
  ASSERT_NE(plane.finished, nullptr);
  EXPECT_EQ(plane.finished->code, Code::kInvalidArgument);
}

TEST_F(RlqsServiceTest, NothingIsKeptOfAnUnknownDomain) {
  for (const std::string policy : {"allow", "deny", "hierarchy"}) {
    Serve(std::string(kLimits) + "envoy: {unknown_domain: " + policy + "}\n");
    Plane plane(*service_);
    plane.Report(kBucket, 0, 0, "elsewhere");
    plane.Report(kBucket, 1, 0, "elsewhere");
    EXPECT_EQ(plane.actions.size(), policy == "hierarchy" ? 0U : 2U);
    EXPECT_EQ(service_->counts().buckets, 0U);
    EXPECT_EQ(service_->counts().unassigned, policy == "hierarchy" ? 2U : 0U);
    EXPECT_EQ(engine_->GetCounts().unknown_domain, 2U);
    plane.Close();
  }
  Serve(std::string(kLimits) + "envoy: {unknown_domain: error}\n");
  Plane plane(*service_);
  plane.Report(kBucket, 1, 0, "elsewhere");
  EXPECT_EQ(engine_->GetCounts().unknown_domain, 1U);
}

TEST_F(RlqsServiceTest, WhatTheHierarchyLimitsIsCountedAndNotAssigned) {
  Serve(R"(
global: {free_tier: {max_requests: 10, window_seconds: 60}}
domains:
  whole: {}
  edge:
    hierarchy: true
    descriptors:
      - {key: slots, rule: {max_requests: 5, window_seconds: 60, algorithm: {concurrency: {}}}}
      - {key: name, rule: {max_requests: 6000, window_seconds: 60}}
)");
  Plane whole(*service_), edge(*service_);
  whole.Report({{"user", "u"}}, 4, 0, "whole");
  EXPECT_TRUE(whole.actions.empty());
  edge.Report({{"slots", "x"}}, 1);
  edge.Report({{"other", "x"}}, 1);
  EXPECT_TRUE(edge.actions.empty());
  EXPECT_EQ(service_->counts().unassigned, 3U);
  edge.Report({{"name", "x"}}, 1);
  EXPECT_EQ(edge.Tokens(), 6'000U);
  EXPECT_EQ(service_->counts().unassigned, 3U);
}

TEST_F(RlqsServiceTest, SeveralRulesAreCountedAndNotAssigned) {
  Serve(R"(
global: {free_tier: unlimited}
domains:
  edge:
    descriptors:
      - {key: stacked, rules: [{max_requests: 50, window_seconds: 60}, {max_requests: 500, window_seconds: 3600}]}
      - {key: one, rules: [{max_requests: 6000, window_seconds: 60}]}
  own:
    rules: [{max_requests: 500, window_seconds: 60}]
    descriptors: [{key: one, rule: {max_requests: 6000, window_seconds: 60}}]
)");
  Plane edge(*service_), own(*service_);
  edge.Report({{"stacked", "x"}}, 4);
  own.Report({{"one", "x"}}, 4, 0, "own");
  own.Report({{"other", "x"}}, 4, 0, "own");
  EXPECT_TRUE(edge.actions.empty());
  EXPECT_TRUE(own.actions.empty());
  EXPECT_EQ(service_->counts().unassigned, 3U);
  edge.Report({{"one", "x"}}, 1);
  EXPECT_EQ(edge.Tokens(), 6'000U);
  engine::Call call;
  call.kind = engine::CallKind::kPeek;
  call.descriptor = true;
  call.request.domain = "own";
  call.request.cost = 0;
  engine_->Run({&call, 1});
  ASSERT_EQ(call.decision.rule_count, 1U);
  EXPECT_EQ(call.decision.rules()[0].outcome.used, 8U);
}

TEST_F(RlqsServiceTest, WhatWaitsForTheStoreIsBounded) {
  Setup setup;
  setup.delivery = engine::Delivery::kHeld;
  Serve(kLimits, std::move(setup), {.most_uncounted_bytes = 64 << 10});
  Plane plane(*service_);
  for (int i = 0; i < 300; ++i) plane.Report(kBucket, 1);
  const std::uint64_t uncharged = service_->counts().uncharged;
  EXPECT_GT(uncharged, 0U);
  EXPECT_LT(uncharged, 300U);
  while (store_->Release() > 0) {
  }
  plane.Report(kBucket, 1);
  EXPECT_EQ(service_->counts().uncharged, uncharged);
  while (store_->Release() > 0) {
  }
}

// The table forgets what falls silent, and so does the stream.
TEST_F(RlqsServiceTest, AStreamWhoseBucketsComeAndGoIsNotUsedUp) {
  Serve(kLimits, {}, {.most_buckets = 400});
  Plane plane(*service_);
  for (int i = 0; i < 1'000; ++i) {
    plane.Report({{"name", std::to_string(i)}, {"env", "prod"}}, 1);
    Advance(kSecond);
    service_->Tick();
  }
  EXPECT_EQ(service_->counts().refused, 0U);
}

TEST_F(RlqsServiceTest, HalfCloseEndsTheStream) {
  Serve(kLimits);
  Plane plane(*service_);
  plane.Report(kBucket, 1);
  plane.handler->OnHalfClose();
  ASSERT_NE(plane.finished, nullptr);
  EXPECT_EQ(plane.finished->code, Code::kOk);
  EXPECT_EQ(service_->counts().streams, 0U);
  EXPECT_EQ(service_->counts().buckets, 0U);
}

TEST_F(RlqsServiceTest, AStreamHasOneDomain) {
  Serve(kLimits);
  Plane unnamed(*service_);
  unnamed.Report(kBucket, 1, 0, "");
  ASSERT_NE(unnamed.finished, nullptr);
  EXPECT_EQ(unnamed.finished->message, "the first report must name a domain");
  Plane plane(*service_);
  plane.Report(kBucket, 1);
  plane.Report(kBucket, 1, 0, "");
  EXPECT_EQ(plane.finished, nullptr);
  plane.Report(kBucket, 1, 0, "other");
  ASSERT_NE(plane.finished, nullptr);
  EXPECT_EQ(plane.finished->code, Code::kInvalidArgument);
  plane.Report(kBucket, 1);  // after the end: nothing
  EXPECT_EQ(Used(), 2U);
}

TEST_F(RlqsServiceTest, MalformedReportsEndTheStream) {
  Serve(kLimits);
  Plane plane(*service_);
  plane.handler->OnMessage("\x12\x05");
  ASSERT_NE(plane.finished, nullptr);
  EXPECT_EQ(plane.finished->code, Code::kInvalidArgument);
}

TEST_F(RlqsServiceTest, UnknownDomainsAreDecidedAsConfigured) {
  const auto ask = [this](std::string_view policy) {
    Serve(std::string(kLimits) + "envoy: {unknown_domain: " + std::string(policy) + "}\n");
    auto plane = std::make_unique<Plane>(*service_);
    plane->Report(kBucket, 1, 0, "elsewhere");
    return plane;
  };
  using Strategy = envoy::type::v3::RateLimitStrategy;
  auto plane = ask("allow");
  EXPECT_EQ(plane->actions.at(0).quota_assignment_action().rate_limit_strategy().blanket_rule(), Strategy::ALLOW_ALL);
  plane->Close();
  plane = ask("deny");
  EXPECT_EQ(plane->actions.at(0).quota_assignment_action().rate_limit_strategy().blanket_rule(), Strategy::DENY_ALL);
  plane->Close();
  plane = ask("error");
  ASSERT_NE(plane->finished, nullptr);
  EXPECT_EQ(plane->finished->code, Code::kNotFound);
  plane->Close();
}

TEST_F(RlqsServiceTest, WhoDoesNotReadIsLetGo) {
  Serve(kLimits);
  Plane plane(*service_);
  plane.unread = 2 << 20;
  plane.Report(kBucket, 1);
  ASSERT_NE(plane.finished, nullptr);
  EXPECT_EQ(plane.finished->code, Code::kResourceExhausted);
}

TEST_F(RlqsServiceTest, AReportOfAsManyBucketsAsThereMayBeIsAnsweredWhole) {
  Serve(kLimits);
  Plane plane(*service_);
  const std::string report = ReportOf(10'000);
  EXPECT_GT(report.size(), 1U << 20U);
  plane.handler->OnMessage(report);
  EXPECT_EQ(plane.finished, nullptr);
  EXPECT_EQ(plane.actions.size(), 10'000U);
  EXPECT_LT(plane.largest, 300U << 10U);
  // Again, when all of them are to be renewed, and something is on its way to the client.
  Advance(30 * kSecond);
  plane.unread = 1 << 20;
  plane.handler->OnMessage(report);
  EXPECT_EQ(plane.finished, nullptr);
  EXPECT_EQ(plane.actions.size(), 20'000U);
}

TEST_F(RlqsServiceTest, ManyBucketsAreToldOfANewConfigurationInTheEnd) {
  Serve(kLimits);
  Plane plane(*service_);
  plane.handler->OnMessage(ReportOf(10'000));
  std::string changed(kLimits);
  changed.replace(changed.find("6000"), 4, "9000");
  ASSERT_TRUE(engine_->Apply(engine::ParseOrDie(changed)));
  plane.actions.clear();
  std::size_t rounds = 0, most = 0;
  for (; plane.actions.size() < 10'000 && rounds < 10; ++rounds) {
    const std::size_t before = plane.actions.size();
    Advance(kSecond);
    service_->Tick();
    plane.socket.RunPosted();
    most = std::max(most, plane.actions.size() - before);
  }
  EXPECT_EQ(plane.actions.size(), 10'000U);
  EXPECT_LT(most, 10'000U);  // a bounded amount waits
  for (const auto& action : plane.actions) {
    ASSERT_EQ(action.quota_assignment_action().rate_limit_strategy().token_bucket().tokens_per_fill().value(), 9'000U);
  }
}

TEST_F(RlqsServiceTest, WhatOthersBringAboutWaitsForAReader) {
  Serve(kLimits);
  Plane first(*service_), second(*service_);
  first.Report(kBucket, 1'000);
  Advance(kSecond);
  first.unread = 2 << 20;
  second.Report(kBucket, 1'000);
  first.socket.RunPosted();
  EXPECT_EQ(first.finished, nullptr);
  EXPECT_EQ(first.Tokens(), 6'000U);
  first.unread = 0;
  first.Report(kBucket, 1'000);
  EXPECT_EQ(first.Tokens(), 3'000U);
}

TEST_F(RlqsServiceTest, AWallClockThatIsSetEndsNoAssignment) {
  Serve(kLimits);
  Plane first(*service_), second(*service_);
  first.Report(kBucket, 1'000);
  Advance(kSecond);
  second.Report(kBucket, 1'000);
  first.socket.RunPosted();
  clock_.Advance(kDay);
  time_.Advance(kSecond);
  service_->Tick();
  EXPECT_EQ(service_->counts().members, 2U);
  EXPECT_EQ(first.actions.size() + second.actions.size(), 3U);
}

TEST_F(RlqsServiceTest, TooManyDataPlanesOfOneBucketAreCounted) {
  Serve(kLimits, {}, {.most_members = 2});
  Plane first(*service_), second(*service_), third(*service_);
  for (Plane* plane : {&first, &second, &third}) plane->Report(kBucket, 1);
  EXPECT_EQ(service_->counts().refused, 1U);
  EXPECT_EQ(service_->counts().members, 2U);
  EXPECT_EQ(third.finished, nullptr);
  EXPECT_TRUE(third.actions.empty());
}

TEST_F(RlqsServiceTest, ManyBucketsOfOneReportAreCharged) {
  for (const engine::Delivery delivery : {engine::Delivery::kInline, engine::Delivery::kHeld}) {
    Setup setup;
    setup.delivery = delivery;
    Serve(kLimits, std::move(setup));
    auto plane = std::make_unique<Plane>(*service_);
    RateLimitQuotaUsageReports reports;
    reports.set_domain("edge");
    for (int i = 0; i < 300; ++i) {
      auto* usage = reports.add_bucket_quota_usages();
      auto& bucket = *usage->mutable_bucket_id()->mutable_bucket();
      bucket["name"] = std::to_string(i);
      bucket["env"] = "prod";
      usage->set_num_requests_allowed(static_cast<std::uint64_t>(i));
    }
    {
      const std::string message = reports.SerializeAsString();
      plane->handler->OnMessage(message);
    }
    EXPECT_EQ(plane->actions.size(), 300U);
    if (delivery == engine::Delivery::kHeld) {
      store_->Release();
      // A call that waits needs somebody who answers.
      plane->Close();
      continue;
    }
    EXPECT_EQ(Used("7"), 7U);
    EXPECT_EQ(Used("299"), 299U);
    plane->Close();
  }
}

TEST_F(RlqsServiceTest, ATickTellsOfANewConfiguration) {
  Serve(kLimits);
  Plane plane(*service_);
  plane.Report(kBucket, 1);
  std::string changed(kLimits);
  changed.replace(changed.find("6000"), 4, "9000");
  ASSERT_TRUE(engine_->Apply(engine::ParseOrDie(changed)));
  Advance(kSecond);
  service_->Tick();
  plane.socket.RunPosted();
  EXPECT_EQ(plane.Tokens(), 9'000U);
}

TEST_F(RlqsServiceTest, ThereIsNoUnaryMethod) {
  Serve(kLimits);
  std::vector<UnaryCall> calls(1);
  EXPECT_TRUE(service_->Answer(calls, nullptr));
  EXPECT_EQ(calls[0].status.code, Code::kUnimplemented);
  EXPECT_FALSE(service_->file_descriptors().empty());
}

}  // namespace
}  // namespace weir::rls
