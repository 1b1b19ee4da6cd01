#include "analytics/recorder.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::analytics {
namespace {

constexpr std::string_view kYaml = R"(
global: {free_tier: {max_requests: 2, window_seconds: 60, identifier: user_id}}
api_keys: {secret-key-of-acme: {tenant: acme, user: robot}}
tenants: {acme: {}}
)";

class RecorderTest : public engine::EngineTest {
 protected:
  void Begin(std::size_t most_bytes = std::size_t{32} << 20) {
    recorder_ = std::make_unique<Recorder>(RecorderOptions{.clock = &clock_, .most_bytes = most_bytes});
    Setup setup;
    setup.options.observers = {recorder_.get()};
    Start(kYaml, std::move(setup));
  }
  // What is kept, as lines.
  std::vector<std::string> Kept() {
    recorder_->Drain();
    std::vector<std::string> lines;
    recorder_->Visit(0, [&](const RecordedDecision& one) {
      std::string line = std::string(one.allowed ? "+" : "-") + std::string(one.request.user) + "|" +
                         std::string(one.request.tenant) + "|" + std::string(one.request.path) + "|" +
                         std::string(one.rule);
      for (const Attribute& header : one.request.headers) {
        line.append("|").append(header.name).append("=").append(header.value);
      }
      lines.push_back(std::move(line));
      return true;
    });
    return lines;
  }

  std::unique_ptr<Recorder> recorder_;
};

TEST_F(RecorderTest, KeepsWhatWasAskedAndWhatCameOfIt) {
  Begin();
  const std::array<Attribute, 2> headers = {{{"X-A", "1"}, {"Authorization", "Bearer secret"}}};
  const Request ann{.peer_ip = "192.0.2.1",
                    .user = "ann",
                    .tenant = "acme",
                    .method = "GET",
                    .path = "/a?token=secret",
                    .headers = headers,
                    .cost = 2};
  EXPECT_TRUE(Check(ann).allowed);
  clock_.Advance(kSecond);
  EXPECT_FALSE(Check(ann).allowed);
  EXPECT_FALSE(Peek(ann).allowed);
  EXPECT_EQ(Kept(),
            (std::vector<std::string>{"+ann|acme|/a|global.free_tier|X-A=1", "-ann|acme|/a|global.free_tier|X-A=1"}));
  std::vector<Nanos> times;
  recorder_->Visit(0, [&](const RecordedDecision& one) {
    EXPECT_EQ(one.request.cost, 2U);
    EXPECT_EQ(one.request.peer_ip, "192.0.2.1");
    EXPECT_EQ(one.request.method, "GET");
    times.push_back(one.at);
    return true;
  });
  EXPECT_EQ(times, (std::vector<Nanos>{clock_.Now() - kSecond, clock_.Now()}));
}

TEST_F(RecorderTest, ApiKeysAreReplacedByNames) {
  Begin();
  Check({.api_key = "secret-key-of-acme"});
  Check({.api_key = "another-key"});
  recorder_->Drain();
  std::set<std::string> keys;
  recorder_->Visit(0, [&](const RecordedDecision& one) {
    keys.insert(std::string(one.request.api_key));
    EXPECT_TRUE(one.request.api_key.starts_with("key:"));
    return true;
  });
  EXPECT_EQ(keys.size(), 2U);
  EXPECT_EQ(Kept().front().substr(1, 11), "robot|acme|") << "what the key brought stays";
}

TEST_F(RecorderTest, GoesOnWhereTheLastVisitEnded) {
  Begin();
  Check({.user = "a"});
  Check({.user = "b"});
  recorder_->Drain();
  const std::uint64_t next = recorder_->Visit(0, [](const RecordedDecision&) { return true; });
  Check({.user = "c"});
  recorder_->Drain();
  std::vector<std::string> users;
  recorder_->Visit(next, [&](const RecordedDecision& one) {
    users.emplace_back(one.request.user);
    return true;
  });
  EXPECT_EQ(users, std::vector<std::string>{"c"});
  EXPECT_EQ(recorder_->Visit(0, [](const RecordedDecision&) { return false; }), 2U);
}

TEST_F(RecorderTest, ForgetsAfterAnHour) {
  Begin();
  Check({.user = "ann"});
  recorder_->Drain();
  clock_.Advance(kHour / 2);
  EXPECT_EQ(Kept().size(), 1U);
  clock_.Advance(kHour);
  EXPECT_TRUE(Kept().empty());
  const RecorderStats stats = recorder_->Stats();
  EXPECT_EQ(stats.recorded, 1U);
  EXPECT_EQ(stats.kept, 0U);
  EXPECT_EQ(stats.bytes, 0U);
}

// Whoever stays in the sample stays in it whole.
TEST_F(RecorderTest, ABoundOfMemoryNarrowsTheSampleBySubject) {
  constexpr std::size_t kMost = std::size_t{1} << 20;
  constexpr int kSubjects = 500, kEach = 40;
  Begin(kMost);
  int decided = 0;
  for (int round = 0; round < kEach; ++round) {
    for (int i = 0; i < kSubjects; ++i) {
      Check({.user = "user-" + std::to_string(i), .path = "/" + std::string(300, 'x')});
      if (++decided % 500 == 0) recorder_->Drain();
    }
  }
  recorder_->Drain();
  const RecorderStats stats = recorder_->Stats();
  EXPECT_LE(stats.bytes, kMost);
  EXPECT_LT(stats.share, 1);
  EXPECT_GT(stats.kept, 0U);
  EXPECT_EQ(stats.recorded + stats.outside + stats.left_out, static_cast<std::uint64_t>(decided));
  std::map<std::string, int> counts;
  recorder_->Visit(0, [&](const RecordedDecision& one) {
    ++counts[std::string(one.request.user)];
    return true;
  });
  for (const auto& [user, count] : counts) EXPECT_EQ(count, kEach) << user;
  EXPECT_NEAR(static_cast<double>(counts.size()), stats.share * kSubjects, 0.5 * stats.share * kSubjects + 10);
}

TEST_F(RecorderTest, OneSubjectThatAsksTooOftenLosesItsOldest) {
  constexpr std::size_t kMost = std::size_t{1} << 20;
  Begin(kMost);
  for (int i = 0; i < 20'000; ++i) {
    Check({.user = "ann", .path = "/" + std::string(300, 'x')});
    if (i % 500 == 0) recorder_->Drain();
  }
  recorder_->Drain();
  EXPECT_LE(recorder_->Stats().bytes, kMost);
}

TEST_F(RecorderTest, WhatTheQueueHasNoRoomForIsCountedAndNarrowsTheSample) {
  Begin();
  for (int i = 0; i < 5'000; ++i) Check({.user = "user-" + std::to_string(i)});
  recorder_->Drain();
  const RecorderStats flooded = recorder_->Stats();
  EXPECT_GT(flooded.left_out, 0U);
  EXPECT_EQ(flooded.recorded + flooded.left_out, 5'000U);
  EXPECT_EQ(flooded.share, 0.5);
  // Quiet for an hour: it is widened.
  clock_.Advance(2 * kHour);
  recorder_->Drain();
  EXPECT_EQ(recorder_->Stats().share, 1);
}

TEST_F(RecorderTest, WhatIsTooLargeIsCountedAndNarrowsNothing) {
  Begin();
  Check({.user = "ann", .path = "/" + std::string(5'000, 'x')});
  const std::vector<Attribute> many(Recorder::kMostPairs + 1, Attribute{.name = "a", .value = "b"});
  Check({.user = "ann", .headers = many});
  recorder_->Drain();
  recorder_->Drain();
  const RecorderStats stats = recorder_->Stats();
  EXPECT_EQ(stats.left_out, 2U);
  EXPECT_EQ(stats.recorded, 0U);
  EXPECT_EQ(stats.share, 1);
}

TEST_F(RecorderTest, ThreadsDecideWhileOthersDrainAndLook) {
  Begin(std::size_t{1} << 20);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 3'000; ++i) Check({.user = std::to_string(t) + "-" + std::to_string(i % 100)});
    });
  }
  std::thread looks([this] {
    for (int i = 0; i < 50; ++i) {
      recorder_->Drain();
      std::size_t bytes = 0;
      recorder_->Visit(0, [&](const RecordedDecision& one) {
        bytes += one.request.user.size();
        return true;
      });
      (void)recorder_->Stats();
    }
  });
  for (std::thread& thread : threads) thread.join();
  looks.join();
  for (int i = 0; i < 3; ++i) recorder_->Drain();
  const RecorderStats stats = recorder_->Stats();
  EXPECT_LE(stats.recorded + stats.outside + stats.left_out, 9'000U);
}

}  // namespace
}  // namespace weir::analytics
