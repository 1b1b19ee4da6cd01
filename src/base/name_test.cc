#include "base/name.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace weir {
namespace {

Nanos time_now = 0;  // of the clock of these tests

class NameTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Name::FreeLingering(INT64_MAX);
    time_now = 1000 * kSecond;
    Name::SetClock([] { return time_now; });
  }
  void TearDown() override {
    Name::FreeLingering(INT64_MAX);
    Name::SetClock(nullptr);
  }
};

TEST_F(NameTest, IsItsText) {
  const Name name = Name::Of("users.ann.rule@0123", 14);
  EXPECT_EQ(name, "users.ann.rule@0123");
  EXPECT_EQ(name.Head(), "users.ann.rule");
  EXPECT_EQ(name.Head().data(), name.data());
  EXPECT_EQ(fmt::format("{}|{}", name, name.Head()), "users.ann.rule@0123|users.ann.rule");
  EXPECT_EQ(Name(), "");
  EXPECT_TRUE(Name().Head().empty());
  EXPECT_EQ(Name::Of("", 7).Head(), "");
  EXPECT_EQ(Name::Of("short", 70).Head(), "short");
  Name moved = name;
  const Name other = std::move(moved);
  EXPECT_EQ(other, name);
  moved = other.Head();
  EXPECT_NE(moved, other);
}

TEST_F(NameTest, WhatWasNotShownIsFreedAtOnce) {
  for (int i = 0; i < 1000; ++i) (void)Name::Of("never shown " + std::to_string(i), 3).Head();
  EXPECT_EQ(Name::LingeringBytes(), 0U);
}

TEST_F(NameTest, WhatWasShownStaysReadableForAMinute) {
  std::string_view view;
  {
    const Name name = Name::Of("users.ann.rule@0123", 14);
    view = name.Head().Shown();
  }
  EXPECT_EQ(view, "users.ann.rule") << "nobody holds it";
  EXPECT_GT(Name::LingeringBytes(), 0U);
  time_now += Name::kLinger;
  Name::FreeLingering(time_now);
  EXPECT_EQ(view, "users.ann.rule");
  time_now += 1;
  Name::FreeLingering(time_now);
  EXPECT_EQ(Name::LingeringBytes(), 0U);
}

TEST_F(NameTest, AMillionThatComeAndGoTakeTheRoomOfAMinute) {
  std::size_t most = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    time_now += kSecond / 1000;  // a thousand a second
    (void)Name::Of("users.subject-" + std::to_string(i) + ".rule").Shown();
    if (i % 1000 == 0) most = std::max(most, Name::LingeringBytes());
  }
  EXPECT_LT(most, 61'000U * 64);
  time_now -= 500 * kSecond;  // a clock that goes back frees nothing early
  Name::FreeLingering(time_now);
  EXPECT_GT(Name::LingeringBytes(), 59'000U * 32);
}

TEST_F(NameTest, ManyThreadsShareOne) {
  Name name = Name::Of("global.free_tier");
  name.Shown();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([copy = name] {
      for (int i = 0; i < 20'000; ++i) {
        const Name mine = copy;
        ASSERT_EQ(mine.size(), 16U);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(Name::LingeringBytes(), 0U);
  name = Name();
  EXPECT_EQ(Name::LingeringBytes(), 16U + 16U);
}

}  // namespace
}  // namespace weir
