#include "server/jobs/periodic.h"

#include <gtest/gtest.h>

#include <future>

namespace weir::server {
namespace {

TEST(PeriodicJobs, EachRunsWhenItsIntervalIsOver) {
  PeriodicJobs jobs;
  int seconds = 0, minutes = 0;
  jobs.Add("second", kSecond, [&] { ++seconds; });
  jobs.Add("minute", kMinute, [&] { ++minutes; });
  Nanos now = kHour;
  EXPECT_EQ(jobs.RunDue(now), now + kSecond);
  for (int i = 0; i < 120; ++i) jobs.RunDue(now += kSecond);
  EXPECT_EQ(seconds, 120);
  EXPECT_EQ(minutes, 2);
}

TEST(PeriodicJobs, WhatWasMissedIsNotMadeUpFor) {
  PeriodicJobs jobs;
  int runs = 0;
  jobs.Add("second", kSecond, [&] { ++runs; });
  jobs.RunDue(kHour);
  EXPECT_EQ(jobs.RunDue(kHour + 10 * kSecond), kHour + 11 * kSecond);
  EXPECT_EQ(runs, 1);
}

TEST(PeriodicJobs, RunsOnAThreadOfItsOwnUntilItIsStopped) {
  PeriodicJobs jobs;
  std::promise<void> ran;
  bool told = false;
  jobs.Add("at once", 1, [&] {
    if (!told) ran.set_value();
    told = true;
  });
  jobs.Start();
  ran.get_future().get();
  jobs.Stop();
}

}  // namespace
}  // namespace weir::server
