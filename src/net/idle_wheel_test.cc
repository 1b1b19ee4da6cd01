#include "net/idle_wheel.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace weir::net {
namespace {

using Node = IdleWheel::Node;

TEST(IdleWheel, TellsANodeOnceWithinATickOfItsDeadline) {
  IdleWheel wheel(10, 1'000);
  Node node;
  wheel.Schedule(node, 1'055);
  std::vector<Node*> expired;
  const auto collect = [&](Node& which) { expired.push_back(&which); };
  wheel.Advance(1'054, collect);
  EXPECT_TRUE(expired.empty());
  wheel.Advance(1'065, collect);
  EXPECT_EQ(expired, (std::vector<Node*>{&node}));
  wheel.Advance(9'999, collect);
  EXPECT_EQ(expired.size(), 1U);
}

TEST(IdleWheel, KeepsDeadlinesThatAreFurtherOffThanItIsLong) {
  IdleWheel wheel(10, 0);
  Node node;
  wheel.Schedule(node, 100'000);
  int count = 0;
  for (std::int64_t now = 0; now < 100'000; now += 7) wheel.Advance(now, [&](Node&) { ++count; });
  EXPECT_EQ(count, 0);
  wheel.Advance(100'010, [&](Node&) { ++count; });
  EXPECT_EQ(count, 1);
}

TEST(IdleWheel, ACancelledNodeIsForgotten) {
  IdleWheel wheel(10, 0);
  Node node;
  wheel.Schedule(node, 50);
  IdleWheel::Cancel(node);
  IdleWheel::Cancel(node);
  wheel.Advance(1'000, [](Node&) { FAIL(); });
}

TEST(IdleWheel, NodesMayRescheduleAndCancelEachOtherWhenTheyExpire) {
  IdleWheel wheel(10, 0);
  Node first, second;
  wheel.Schedule(first, 50);
  wheel.Schedule(second, 50);
  int count = 0;
  wheel.Advance(60, [&](Node& node) {
    ++count;
    IdleWheel::Cancel(&node == &first ? second : first);
    wheel.Schedule(node, 200);
  });
  EXPECT_EQ(count, 1);
  wheel.Advance(300, [&](Node&) { ++count; });
  EXPECT_EQ(count, 2);
}

TEST(IdleWheel, EveryNodeExpiresExactlyOnceNeverEarlyHoweverTimePasses) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t tick = *rc::gen::inRange<std::int64_t>(1, 50);
    IdleWheel wheel(tick, 0);
    const auto deadlines = *rc::gen::container<std::vector<std::int64_t>>(rc::gen::inRange<std::int64_t>(0, 5'000));
    std::vector<Node> nodes(deadlines.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) wheel.Schedule(nodes[i], deadlines[i]);
    std::vector<int> told(nodes.size());
    std::int64_t now = 0;
    while (now < 5'000 + 2 * tick) {
      now += *rc::gen::inRange<std::int64_t>(1, 2'000);
      wheel.Advance(now, [&](Node& node) {
        const auto index = static_cast<std::size_t>(&node - nodes.data());
        RC_ASSERT(deadlines[index] <= now);
        ++told[index];
      });
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (deadlines[i] + 2 * tick <= now) RC_ASSERT(told[i] == 1);
      }
    }
    RC_ASSERT(std::ranges::all_of(told, [](int count) { return count == 1; }));
  }));
}

}  // namespace
}  // namespace weir::net
