#include "management/rest/stats.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "management/rest/api_fixture.h"

namespace weir::management::rest {
namespace {

class StatsTest : public ApiFixture {
 protected:
  void SetUp() override { StartApi("global: {free_tier: {max_requests: 2, window_seconds: 60}}\n", true); }
};

TEST_F(StatsTest, LatencyIsOfTheLastMinute) {
  ManualClock clock;
  analytics::DecisionMeter meter(clock);
  StatsSampler sampler(*engine_, clock, &meter);
  const auto decide = [&](Nanos takes, int times) {
    for (int i = 0; i < times; ++i) {
      engine::Call call;
      const Nanos began = clock.Now();
      clock.Advance(takes);
      meter.OnDecision({.call = call, .now = began});
      clock.Advance(analytics::DecisionMeter::kAlone);
    }
  };
  const auto latency = [&] { return boost::json::parse(sampler.Json()).at("latency"); };
  EXPECT_EQ(latency().at("timed").as_int64(), 0);
  EXPECT_EQ(latency().as_object().if_contains("p50_us"), nullptr);
  decide(500 * kMillisecond, 4);
  sampler.Sample();
  EXPECT_EQ(latency().at("timed").as_int64(), 0) << "what came before the first sample is no part of the minute";
  decide(kMillisecond / 10, 200);
  decide(8 * kMillisecond, 1);
  const auto told = latency();
  EXPECT_EQ(told.at("timed").as_int64(), 201);
  // A bucket is at most 25 % wide.
  EXPECT_GE(told.at("p50_us").as_double(), 100);
  EXPECT_LE(told.at("p50_us").as_double(), 125);
  EXPECT_LE(told.at("p99_us").as_double(), 125);
  EXPECT_GE(told.at("p999_us").as_double(), 100);
  for (std::size_t i = 0; i < StatsSampler::kKept; ++i) {
    clock.Advance(kSecond);
    sampler.Sample();
  }
  EXPECT_EQ(latency().at("timed").as_int64(), 0);
}

TEST_F(StatsTest, WithoutAMeterNoLatencyIsTold) {
  StatsSampler sampler(*engine_, clock_);
  EXPECT_EQ(boost::json::parse(sampler.Json()).as_object().if_contains("latency"), nullptr);
}

}  // namespace
}  // namespace weir::management::rest
