#include "net/login_guard.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace weir::net {
namespace {

constexpr Nanos kStart = 1'000'000 * kSecond;

void Fail(LoginGuard& guard, std::string_view peer, int times, Nanos now = kStart) {
  for (int i = 0; i < times; ++i) guard.Failed(peer, now);
}

TEST(LoginGuard, AFewFailuresCostNothing) {
  LoginGuard guard("resp");
  for (int i = 0; i < LoginGuard::kFree; ++i) {
    EXPECT_EQ(guard.TakeTurn("192.0.2.1", kStart), 0) << i;
    guard.Failed("192.0.2.1", kStart);
  }
  EXPECT_EQ(guard.failures(), 8U);
  EXPECT_EQ(guard.slowed(), 0U);
  EXPECT_EQ(guard.TakeTurn("192.0.2.1", kStart), LoginGuard::kPace);
  EXPECT_EQ(guard.slowed(), 1U);
}

TEST(LoginGuard, AttemptsOfOneAddressComeOneAfterTheOther) {
  LoginGuard guard("resp");
  Fail(guard, "192.0.2.1", 100);
  for (int i = 1; i <= LoginGuard::kMostWait; ++i) {
    EXPECT_EQ(guard.TakeTurn("192.0.2.1", kStart), i * LoginGuard::kPace);
  }
  EXPECT_EQ(guard.TakeTurn("192.0.2.1", kStart), std::nullopt);
  EXPECT_EQ(guard.TakeTurn("192.0.2.1", kStart + kSecond), LoginGuard::kMostWait * LoginGuard::kPace);
  EXPECT_EQ(guard.TakeTurn("192.0.2.2", kStart), 0) << "others notice nothing";
  EXPECT_EQ(guard.TakeTurn("", kStart), 0);
}

TEST(LoginGuard, IsForgottenAfterAWhile) {
  LoginGuard guard("resp");
  Fail(guard, "192.0.2.1", 1'000'000 / 1'000);
  const Nanos later = kStart + 2 * LoginGuard::kFree * LoginGuard::kForget;
  EXPECT_EQ(guard.TakeTurn("192.0.2.1", later), 0);
  Fail(guard, "192.0.2.1", 1, later);
  EXPECT_EQ(guard.TakeTurn("192.0.2.1", later), 0);
}

TEST(LoginGuard, AClockThatIsSetBackLocksNobodyOut) {
  LoginGuard guard("resp");
  Fail(guard, "192.0.2.1", 100, kStart + 86'400 * kSecond);
  EXPECT_EQ(guard.TakeTurn("192.0.2.1", kStart), 0);
  Fail(guard, "192.0.2.1", 1, kStart);
  EXPECT_EQ(guard.TakeTurn("192.0.2.1", kStart), 0);
}

TEST(LoginGuard, Ipv6IsOneAddressPerNetworkAndUnixSocketsAreOne) {
  LoginGuard guard("resp");
  for (int i = 0; i < 20; ++i) guard.Failed("2001:db8::" + std::to_string(i), kStart);
  EXPECT_NE(guard.TakeTurn("2001:db8::ffff", kStart), 0);
  EXPECT_EQ(guard.TakeTurn("2001:db8:0:1::1", kStart), 0);
  Fail(guard, "", 20);
  EXPECT_NE(guard.TakeTurn("", kStart), 0);
}

TEST(LoginGuard, RemembersABoundedNumberOfAddresses) {
  LoginGuard guard("resp");
  Fail(guard, "198.51.100.1", 20, kStart + kSecond);
  const auto address = [](std::size_t i) {
    return "10." + std::to_string(i >> 16U) + "." + std::to_string((i >> 8U) & 255U) + "." + std::to_string(i & 255U);
  };
  Fail(guard, address(0), 20);
  for (std::size_t i = 1; i < LoginGuard::kMostAddresses + 10; ++i) guard.Failed(address(i), kStart + kSecond);
  EXPECT_EQ(guard.TakeTurn(address(0), kStart + kSecond), 0) << "its failures are the oldest";
  guard.Failed(address(0), kStart + kSecond);
  EXPECT_EQ(guard.failures(), 40U + LoginGuard::kMostAddresses + 9U + 1U);
}

TEST(LoginGuard, ManyThreads) {
  LoginGuard guard("resp");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&guard, t] {
      const std::string peer = "192.0.2." + std::to_string(t % 2);
      for (int i = 0; i < 500; ++i) {
        (void)guard.TakeTurn(peer, kStart + i);
        guard.Failed(peer, kStart + i);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(guard.failures(), 2'000U);
  EXPECT_NE(guard.TakeTurn("192.0.2.0", kStart + 500), 0);
}

}  // namespace
}  // namespace weir::net
