#include "analytics/decision_meter.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::analytics {
namespace {

constexpr std::string_view kYaml = "global: {free_tier: {max_requests: 2, window_seconds: 60, identifier: user_id}}\n";

TEST(LatencyHistogram, BucketsAreInOrderAndNarrow) {
  std::size_t before = 0;
  for (Nanos latency = 1; latency < 100 * kSecond; latency += latency / 7 + 1) {
    const std::size_t bucket = LatencyHistogram::BucketOf(latency);
    EXPECT_GE(bucket, before);
    EXPECT_GE(LatencyHistogram::LongestOf(bucket), latency);
    EXPECT_LE(LatencyHistogram::LongestOf(bucket), latency + latency / 4) << latency;
    EXPECT_EQ(LatencyHistogram::BucketOf(LatencyHistogram::LongestOf(bucket)), bucket);
    before = bucket;
  }
  EXPECT_EQ(LatencyHistogram::BucketOf(-5), 0U);
  EXPECT_EQ(LatencyHistogram::BucketOf(INT64_MAX), LatencyHistogram::kBuckets - 1);
}

TEST(LatencyHistogram, Quantiles) {
  LatencyHistogram all;
  EXPECT_EQ(all.Quantile(0.99), 0);
  for (int i = 0; i < 990; ++i) all.Add(LatencyHistogram::BucketOf(kMicrosecond), 1);
  for (int i = 0; i < 10; ++i) all.Add(LatencyHistogram::BucketOf(kMillisecond), 1);
  EXPECT_LE(all.Quantile(0.5), kMicrosecond * 5 / 4);
  EXPECT_LE(all.Quantile(0.98), kMicrosecond * 5 / 4);
  EXPECT_GE(all.Quantile(0.995), kMillisecond);
  LatencyHistogram rest = all;
  rest.Subtract(all);
  EXPECT_EQ(rest.count(), 0U);
}

class DecisionMeterTest : public engine::EngineTest {
 protected:
  void SetUp() override {
    Setup setup;
    setup.options.observers = {&meter_};
    Start(kYaml, std::move(setup));
  }
  DecisionMeter meter_{clock_};
};

TEST_F(DecisionMeterTest, CountsDecisionsAndNotPeeks) {
  EXPECT_EQ(CountAllowed({.user = "ann"}, 5), 2);
  Peek({.user = "ann"});
  const DecisionFigures figures = meter_.Read(DecisionMeter::Arm::kInForce);
  EXPECT_EQ(figures.allowed, 2U);
  EXPECT_EQ(figures.denied, 3U);
  EXPECT_EQ(figures.errors, 0U);
  EXPECT_EQ(meter_.Read(DecisionMeter::Arm::kCandidate).decisions(), 0U);
}

TEST_F(DecisionMeterTest, CountsWhatTheStoreFailedAt) {
  store_->Cut(true);
  Check({.user = "ann"});
  EXPECT_EQ(meter_.Read(DecisionMeter::Arm::kInForce).errors, 1U);
}

TEST_F(DecisionMeterTest, TellsACandidateApart) {
  ASSERT_TRUE(engine_->SetCandidate({.number = 7},
                                    engine::ParseOrDie("global: {free_tier: {max_requests: 1, window_seconds: 60, "
                                                       "identifier: user_id}}"),
                                    SubjectShare("salt", 0, 1)));
  Check({.user = "ann"});
  EXPECT_EQ(meter_.Read(DecisionMeter::Arm::kCandidate).decisions(), 0U) << "nobody watches";
  meter_.Watch(7);
  Check({.user = "bob"});
  Check({.user = "bob"});
  EXPECT_EQ(meter_.Read(DecisionMeter::Arm::kCandidate).denied, 1U);
  EXPECT_EQ(meter_.Read(DecisionMeter::Arm::kCandidate).allowed, 1U);
  engine_->DropCandidate();
  Check({.user = "bob"});
  EXPECT_EQ(meter_.Read(DecisionMeter::Arm::kCandidate).decisions(), 2U);
}

TEST_F(DecisionMeterTest, TimesOneInSomeAndEachThatComesAlone) {
  for (int i = 0; i < 160; ++i) Check({.user = "ann"});
  // The first, and each sixteenth.
  EXPECT_EQ(meter_.Read(DecisionMeter::Arm::kInForce).latency.count(), 11U);
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(DecisionMeter::kAlone);
    Check({.user = "ann"});
  }
  EXPECT_EQ(meter_.Read(DecisionMeter::Arm::kInForce).latency.count(), 16U);
}

TEST_F(DecisionMeterTest, ThreadsAreMerged) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) Check({.user = "ann"});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(meter_.Read(DecisionMeter::Arm::kInForce).decisions(), 400U);
}

}  // namespace
}  // namespace weir::analytics
