#include "management/auth/attempts.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::management {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;
using Ending = Attempts::Ending;

void FailLogin(Attempts& attempts, std::string_view peer, std::string_view account, Nanos now) {
  attempts.Begin(peer, account, now);
  attempts.End(peer, account, Ending::kFailed, now);
}

TEST(Attempts, FailuresOfOnePairBlockItAndThenLetItTryAgain) {
  Attempts attempts;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(attempts.Blocked("192.0.2.1", "ann", kNow), 0) << i;
    FailLogin(attempts, "192.0.2.1", "ann", kNow);
  }
  const Nanos wait = attempts.Blocked("192.0.2.1", "ann", kNow);
  EXPECT_GT(wait, 0);
  EXPECT_LE(wait, 30 * kSecond);
  EXPECT_EQ(attempts.Blocked("192.0.2.1", "ann", kNow + wait), 0);
  EXPECT_EQ(attempts.Blocked("192.0.2.1", "bob", kNow), 0);
  EXPECT_EQ(attempts.Blocked("192.0.2.2", "ann", kNow), 0);  // ann herself, from elsewhere
  EXPECT_EQ(attempts.failures(), 5U);
  EXPECT_EQ(attempts.refusals(), 1U);
}

TEST(Attempts, AnAddressIsBlockedOverAllItsAccounts) {
  Attempts attempts;
  for (int i = 0; i < 20; ++i) FailLogin(attempts, "2001:db8::1", "user" + std::to_string(i), kNow);
  EXPECT_GT(attempts.Blocked("2001:db8::1", "someone", kNow), 0);
  EXPECT_GT(attempts.Blocked("[2001:db8::ffff]:443", "someone", kNow), 0);  // the same /64
  EXPECT_EQ(attempts.Blocked("2001:db8:0:1::1", "someone", kNow), 0);
}

TEST(Attempts, GuessingOfOneAccountFromManyAddressesIsSlowedAndNeverShutsItOut) {
  Attempts attempts;
  for (int i = 0; i < 10'000; ++i)
    FailLogin(attempts, "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250), "ann", kNow);
  const Nanos wait = attempts.Blocked("203.0.113.9", "ann", kNow);
  EXPECT_GT(wait, 0);
  EXPECT_LE(wait, 21 * kMinute);  // however many failed
}

TEST(Attempts, ASuccessForgivesThePairOnly) {
  Attempts attempts;
  for (int i = 0; i < 4; ++i) FailLogin(attempts, "192.0.2.1", "ann", kNow);
  attempts.Begin("192.0.2.1", "ann", kNow);
  attempts.End("192.0.2.1", "ann", Ending::kSucceeded, kNow);
  for (int i = 0; i < 4; ++i) FailLogin(attempts, "192.0.2.1", "ann", kNow);
  EXPECT_EQ(attempts.Blocked("192.0.2.1", "ann", kNow), 0);
  // One known password does not pay for guessing others.
  for (int i = 0; i < 30; ++i) {
    attempts.Begin("192.0.2.7", "mallory", kNow);
    attempts.End("192.0.2.7", "mallory", Ending::kSucceeded, kNow);
    FailLogin(attempts, "192.0.2.7", "victim" + std::to_string(i), kNow);
  }
  EXPECT_GT(attempts.Blocked("192.0.2.7", "mallory", kNow), 0);
}

TEST(Attempts, SuccessesAloneNeverBlock) {
  Attempts attempts;
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(attempts.Blocked("192.0.2.1", "ann", kNow), 0);
    attempts.Begin("192.0.2.1", "ann", kNow);
    attempts.End("192.0.2.1", "ann", i % 2 == 0 ? Ending::kSucceeded : Ending::kUndecided, kNow);
  }
}

TEST(Attempts, WhatIsMadeAtTheSameTimeCounts) {
  Attempts attempts;
  for (int i = 0; i < 5; ++i) attempts.Begin("192.0.2.1", "ann", kNow);
  EXPECT_GT(attempts.Blocked("192.0.2.1", "ann", kNow), 0);
}

TEST(Attempts, TokensAreSlowedByAddress) {
  Attempts attempts;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(attempts.Blocked("192.0.2.1", "", kNow), 0);
    attempts.Failed("192.0.2.1", kNow);
  }
  EXPECT_GT(attempts.Blocked("192.0.2.1", "", kNow), 0);
  EXPECT_EQ(attempts.Blocked("192.0.2.1", "", kNow + 10 * kSecond), 0);
  for (int i = 0; i < 100'000; ++i) attempts.Failed("192.0.2.1", kNow);
  EXPECT_LE(attempts.Blocked("192.0.2.1", "", kNow), 10 * kMinute);
}

TEST(Attempts, TheTableIsBounded) {
  Attempts attempts;
  for (std::size_t i = 0; i < 3 * Attempts::kMostSources; ++i) {
    attempts.Failed(
        "10." + std::to_string(i >> 16U) + "." + std::to_string(i >> 8U & 255U) + "." + std::to_string(i & 255U), kNow);
    if (i % 4'096 == 0) {
      for (int j = 0; j < 20; ++j) attempts.Failed("192.0.2.1", kNow);
    }
  }
  EXPECT_GT(attempts.Blocked("192.0.2.1", "", kNow), 0);  // the worst ones stay
  EXPECT_EQ(attempts.failures(), 3 * Attempts::kMostSources + 20 * 12);
}

}  // namespace
}  // namespace weir::management
