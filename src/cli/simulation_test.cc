#include "cli/simulation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace weir::cli {
namespace {

EnterpriseRateLimitConfig TenPerMinute(RuleMode mode = RuleMode::kEnforce) {
  EnterpriseRateLimitConfig config;
  RateLimitRule rule{.max_requests = 10, .window_seconds = 60};
  rule.algorithm = FixedWindow{};
  rule.identifier = EnhancedIdentifier{IpAddress{}};
  rule.mode = mode;
  config.global.free_tier = config.global.pro_tier = config.global.enterprise_tier = rule;
  return config;
}

std::string Line(const std::string& ip, int second) {
  return fmt::format("{} - - [10/Oct/2026:13:{:02}:{:02} +0000] \"GET /a HTTP/1.1\" 200 1 \"-\" \"test\"\n", ip,
                     second / 60, second % 60);
}

NextLine LinesOf(std::istream& log) {
  return [&log](std::string* line) { return static_cast<bool>(std::getline(log, *line)); };
}

TEST(Simulation, UsesTheLogsOwnTimesAndNamesWhoIsDenied) {
  std::stringstream log;
  for (int i = 0; i < 30; ++i) log << Line("192.0.2.1", i);       // 10 allowed, 20 denied
  for (int i = 0; i < 5; ++i) log << Line("192.0.2.2", 30 + i);   // all allowed
  for (int i = 0; i < 10; ++i) log << Line("192.0.2.1", 60 + i);  // a new window
  const auto report = Simulate(TenPerMinute(), LinesOf(log), {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->allowed, 25u);
  EXPECT_EQ(report->denied, 20u);
  EXPECT_EQ(report->clients, 2u);
  ASSERT_EQ(report->top_denied.size(), 1u);
  EXPECT_EQ(report->top_denied[0].subject, "192.0.2.1");
  EXPECT_EQ(report->top_denied[0].denied, 20u);
  EXPECT_EQ(report->top_denied[0].requests, 40u);
  EXPECT_EQ(report->top_denied[0].last_denied - report->top_denied[0].first_denied, 19 * kSecond);
  ASSERT_EQ(report->by_rule.count("global.free_tier"), 1u);
  EXPECT_EQ(report->by_rule.at("global.free_tier").clients, 1u);
  std::uint64_t in_slices = 0;
  for (const auto& slice : report->slices) in_slices += slice.allowed + slice.denied;
  EXPECT_EQ(in_slices, 45u);
}

TEST(Simulation, OutcomesAreCounted) {
  const auto simulate = [](Action action) {
    EnterpriseRateLimitConfig config = TenPerMinute();
    config.global.free_tier.algorithm = TokenBucket{};
    config.global.free_tier.on_exceeded = action;
    config.global.free_tier.max_wait_ms = 12'000;  // two of a bucket of ten a minute
    config.global.pro_tier = config.global.enterprise_tier = config.global.free_tier;
    std::stringstream log;
    for (int i = 0; i < 15; ++i) log << Line("192.0.2.1", 0);
    return Simulate(config, LinesOf(log), {}).value();
  };
  EXPECT_EQ(simulate(Action::kWait).allowed, 12u);
  EXPECT_EQ(simulate(Action::kWait).waits, 2u);
  EXPECT_EQ(simulate(Action::kChallenge).challenged, 5u);
  EXPECT_EQ(simulate(Action::kChallenge).denied, 5u);
  EXPECT_EQ(simulate(Action::kCharge).charged, 5u);
}

TEST(Simulation, ShadowRulesDenyNobodyAndAreCounted) {
  std::stringstream log;
  for (int i = 0; i < 30; ++i) log << Line("192.0.2.1", i);
  const auto report = Simulate(TenPerMinute(RuleMode::kShadow), LinesOf(log), {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->denied, 0u);
  EXPECT_EQ(report->shadow_denied, 20u);
}

TEST(Simulation, WritesNoEventLog) {
  EnterpriseRateLimitConfig config = TenPerMinute();
  config.analytics.event_logging = true;
  std::stringstream log;
  for (int i = 0; i < 30; ++i) log << Line("192.0.2.1", i);
  testing::internal::CaptureStderr();
  const auto report = Simulate(config, LinesOf(log), {});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->denied, 20u);
}

TEST(Simulation, CountsWhatItCannotReadAndGoesOn) {
  std::stringstream log;
  log << "hello\n" << Line("192.0.2.1", 0) << std::string(200'000, 'x') << "\n" << Line("192.0.2.1", 1);
  const auto report = Simulate(TenPerMinute(), LinesOf(log), {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->lines, 4u);
  EXPECT_EQ(report->unreadable, 2u);
  EXPECT_EQ(report->first_unreadable_line, 1u);
  EXPECT_EQ(report->allowed, 2u);
}

TEST(Simulation, LinesWithoutAnAddressAreCountedTogetherAndToldOf) {
  std::stringstream log;
  log << Line("192.0.2.1", 0);
  for (int i = 1; i < 30; ++i) log << Line("client.example", i);
  const auto report = Simulate(TenPerMinute(), LinesOf(log), {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->denied, 19u) << "ten a minute for all of them together";
  EXPECT_EQ(report->unidentified, 29u);
  EXPECT_EQ(report->not_addresses, 29u);
  EXPECT_EQ(report->first_not_address_line, 2u);
  EXPECT_EQ(report->first_not_address, "client.example");
}

TEST(Simulation, ALongLogIsFoldedIntoAFewSlices) {
  std::stringstream log;
  for (int day = 1; day <= 28; ++day) {
    for (int hour = 0; hour < 24; ++hour) {
      for (int minute = 0; minute < 60; minute += 5) {
        log << fmt::format("10.0.0.1 - - [{:02}/Feb/2026:{:02}:{:02}:00 +0000] \"GET / HTTP/1.1\" 200 1\n", day, hour,
                           minute);
      }
    }
  }
  const auto report = Simulate(TenPerMinute(), LinesOf(log), {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->allowed, 28u * 24 * 12);
  EXPECT_LE(report->slices.size(), 25u);
  EXPECT_GE(report->slices.size(), 14u) << "of two days";
}

TEST(Simulation, ClientsAreWhomTheRuleCounts) {
  // A /64 is one client, and so is a user wherever it comes from.
  std::stringstream log;
  for (int i = 0; i < 20; ++i) log << Line(fmt::format("2001:db8:1:2::{:x}", i + 1), i);
  const auto report = Simulate(TenPerMinute(), LinesOf(log), {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->clients, 1U);
  ASSERT_EQ(report->top_denied.size(), 1U);
  EXPECT_EQ(report->top_denied[0].subject, "2001:db8:1:2::");
  EXPECT_EQ(report->top_denied[0].denied, 10U);

  EnterpriseRateLimitConfig by_user = TenPerMinute();
  by_user.global.free_tier.identifier = EnhancedIdentifier{UserId{}};
  std::stringstream users;
  for (int i = 0; i < 20; ++i) {
    users << fmt::format("192.0.2.{} - alice [10/Oct/2026:13:00:{:02} +0000] \"GET /a?x={} HTTP/1.1\" 200 1\n", i, i,
                         i);
  }
  const auto by_users = Simulate(by_user, LinesOf(users), {});
  ASSERT_TRUE(by_users);
  ASSERT_EQ(by_users->top_denied.size(), 1U);
  EXPECT_EQ(by_users->top_denied[0].subject, "alice");
  ASSERT_EQ(by_users->top_paths.size(), 1U);
  EXPECT_EQ(by_users->top_paths[0].path, "/a");
  EXPECT_EQ(by_users->top_paths[0].requests, 20U);
  EXPECT_EQ(by_users->top_paths[0].denied, 10U);
}

TEST(Simulation, TheTimelineIsOfFullMinutesInTheLogsZone) {
  std::stringstream log;
  log << "192.0.2.1 - - [10/Oct/2026:23:59:59 +0530] \"GET /a HTTP/1.1\" 200 1\n";
  for (int i = 0; i < 3; ++i) log << "192.0.2.1 - - [11/Oct/2026:00:01:07 +0530] \"GET /a HTTP/1.1\" 200 1\n";
  const auto report = Simulate(TenPerMinute(), LinesOf(log), {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->zone, 5 * kHour + 30 * kMinute);
  EXPECT_EQ(report->slice_length, kMinute);
  ASSERT_EQ(report->slices.size(), 3U);
  EXPECT_EQ(report->slices[0].allowed, 1U);
  EXPECT_EQ(report->slices[1].allowed, 0U);
  EXPECT_EQ(report->slices[2].allowed, 3U);
  EXPECT_EQ((report->slices[0].start + report->zone) % kMinute, 0);
  EXPECT_EQ(report->peak_second.requests, 3U);
  EXPECT_EQ(report->peak_minute.requests, 3U);
  EXPECT_EQ(report->peak_second.start, report->last);
}

TEST(Simulation, BlankLinesAreNoFault) {
  std::stringstream log;
  log << "\n" << Line("192.0.2.1", 0) << "  \n";
  const auto report = Simulate(TenPerMinute(), LinesOf(log), {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->unreadable, 0U);
  EXPECT_EQ(report->blank, 2U);
  EXPECT_EQ(report->allowed, 1U);
}

}  // namespace
}  // namespace weir::cli
