// What becomes of the states of a rule that changes: a part of store_conformance.h.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::storage::conformance {

TEST_P(StoreConformance, WhatWasUsedStaysUsedWhenARuleChanges) {
  const Limit bucket = BucketOf(10), larger = BucketOf(20), window = WindowOf(10);
  for (const Limit* to : {&larger, &window}) {
    for (const Limit* from : {&bucket, &window}) {
      const auto store = Make();
      const Item before = ItemOf(*from, "rule@1", "a", 4);
      const Item after = After(ItemOf(*to, "rule@2", "a"), *from, "rule@1");
      EXPECT_TRUE(Do(*store, Op::kCheck, {before}, start()).admitted);
      EXPECT_EQ(UsedNow(*store, after, start()), 4u) << "a peek sees it";
      EXPECT_EQ(UsedNow(*store, before, start()), 4u) << "and moves nothing";
      EXPECT_TRUE(Do(*store, Op::kCheck, {after}, start()).admitted);
      EXPECT_EQ(UsedNow(*store, after, start()), 5u);
      EXPECT_EQ(UsedNow(*store, before, start()), 0u) << "moved, not copied";
      EXPECT_TRUE(Do(*store, Op::kCheck, {after}, start()).admitted);
      EXPECT_EQ(UsedNow(*store, after, start()), 6u) << "once";
    }
  }
}

TEST_P(StoreConformance, ARolledBackChangeGivesTheUsageBack) {
  const auto store = Make();
  const Limit bucket = BucketOf(10), window = WindowOf(10);
  const Item first = After(ItemOf(bucket, "rule@1", "a", 3), window, "rule@2");
  const Item second = After(ItemOf(window, "rule@2", "a", 2), bucket, "rule@1");
  Do(*store, Op::kCheck, {first}, start());
  Do(*store, Op::kCheck, {second}, start());
  Do(*store, Op::kCheck, {first}, start());
  EXPECT_EQ(UsedNow(*store, first, start()), 8u);
}

// A request that began under the previous rule is charged there after the state has moved.
TEST_P(StoreConformance, WhatALateRequestIsChargedIsNeitherLostNorInTheWayOfTheRest) {
  const Limit bucket = BucketOf(20), larger = BucketOf(40), slower = BucketOf(20, 6), window = WindowOf(20),
              log = LogOf(20);
  for (const Limit* from : {&bucket, &window, &log}) {
    for (const Limit* to : {&larger, &slower, &window, &log}) {
      const auto store = Make();
      const Item late = ItemOf(*from, "rule@1", "a", 3);
      const Item back = After(late, *to, "rule@2");
      const Item next = After(ItemOf(*to, "rule@2", "a", 2), *from, "rule@1");
      Do(*store, Op::kCheck, {late}, start());
      Do(*store, Op::kCheck, {next}, start());
      EXPECT_TRUE(Do(*store, Op::kCheck, {late}, start()).admitted);
      EXPECT_EQ(UsedNow(*store, next, start()), 8u) << "a peek sees both";
      EXPECT_EQ(UsedNow(*store, late, start()), 3u) << "and moves nothing";
      EXPECT_TRUE(Do(*store, Op::kCheck, {back}, start()).admitted) << "rolled back";
      EXPECT_EQ(UsedNow(*store, back, start()), 11u);
      EXPECT_EQ(UsedNow(*store, ItemOf(*to, "rule@2", "a"), start()), 0u) << "moved, not copied";
      EXPECT_TRUE(Do(*store, Op::kCheck, {next}, start()).admitted) << "and forth again";
      EXPECT_EQ(UsedNow(*store, next, start()), 13u);
    }
  }
}

TEST_P(StoreConformance, SlotsStayHeldWhenTheirNumberChanges) {
  const auto store = Make();
  const Limit three = SlotsOf(3), two = SlotsOf(2, kHour);
  const auto slot = [&](Item item, std::uint64_t token) {
    item.token = token;
    return item;
  };
  const Item before = ItemOf(three, "rule@1", "a"), after = After(ItemOf(two, "rule@2", "a"), three, "rule@1");
  for (const std::uint64_t token : {1U, 2U, 3U}) {
    EXPECT_TRUE(Do(*store, Op::kCheck, {slot(before, token)}, start()).admitted);
  }
  EXPECT_FALSE(Do(*store, Op::kCheck, {slot(after, 4)}, start()).admitted);
  Do(*store, Op::kRefund, {slot(after, 1)}, start());
  EXPECT_FALSE(Do(*store, Op::kCheck, {slot(after, 4)}, start()).admitted) << "two are held still";
  Do(*store, Op::kRefund, {slot(after, 2)}, start());
  EXPECT_TRUE(Do(*store, Op::kCheck, {slot(after, 4)}, start()).admitted);
  EXPECT_EQ(UsedNow(*store, after, start() + kMinute), 1u) << "the third one's lease runs out as it was given";
  // Taken by a late request, given back by one of now.
  Do(*store, Op::kCheck, {slot(before, 5)}, start());
  EXPECT_EQ(UsedNow(*store, after, start()), 3u);
  Do(*store, Op::kRefund, {slot(after, 5)}, start());
  EXPECT_EQ(UsedNow(*store, after, start()), 2u);
}

TEST_P(StoreConformance, BansAndTheirLevelsStayWhenTheirNumbersChange) {
  const auto store = Make();
  const Limit one = BansOf(2), other = BansOf(1, 3 * kMinute);
  const Item before = ItemOf(one, "rule@1", "a"), after = After(ItemOf(other, "rule@2", "a"), one, "rule@1");
  for (int i = 0; i < 2; ++i) Do(*store, Op::kCharge, {before}, start());
  const Answer banned = Do(*store, Op::kPeek, {after}, start());
  EXPECT_FALSE(banned.admitted);
  EXPECT_EQ(banned.outcomes[0].retry_after_ns, kMinute) << "as it was given";
  Do(*store, Op::kCharge, {after}, start() + kMinute);
  EXPECT_EQ(Do(*store, Op::kPeek, {after}, start() + kMinute).outcomes[0].retry_after_ns, 6 * kMinute)
      << "the second ban, by what holds now";
  // A strike that comes late, and the change is rolled back: the ban is not forgotten for it.
  Do(*store, Op::kCharge, {before}, start() + kMinute);
  const Item back = After(before, other, "rule@2");
  EXPECT_EQ(Do(*store, Op::kCheck, {back}, start() + kMinute).outcomes[0].retry_after_ns, 6 * kMinute);
}

TEST_P(StoreConformance, WhatWasLearnedStaysWhenTheNumbersChange) {
  const auto store = Make();
  const Limit before = LearnedOf(50), after = LearnedOf(60);
  const Item old = ItemOf(before, "rule@1", "a", 10);
  const Item now = After(ItemOf(after, "rule@2", "a"), before, "rule@1");
  Nanos time = start();
  for (int window = 0; window < 70; ++window, time += kMinute) Do(*store, Op::kCheck, {old}, time);
  const std::uint64_t learned = Do(*store, Op::kPeek, {old}, time).outcomes[0].limit;
  EXPECT_LT(learned, 20u);
  EXPECT_EQ(Do(*store, Op::kPeek, {now}, time).outcomes[0].limit, learned);
  EXPECT_EQ(Do(*store, Op::kCheck, {now}, time).outcomes[0].limit, learned);
  // A late request knows nothing yet; what is known outweighs it, whichever way the change goes.
  Do(*store, Op::kCheck, {old}, time);
  EXPECT_EQ(Do(*store, Op::kCheck, {now}, time).outcomes[0].used, 12u);
  Do(*store, Op::kCheck, {old}, time);
  const Answer back = Do(*store, Op::kCheck, {After(old, after, "rule@2")}, time);
  EXPECT_EQ(back.outcomes[0].limit, learned);
}

TEST_P(StoreConformance, FeedbackLowersWhatIsLearnedAndChargesNothing) {
  const auto store = Make();
  const Limit limit = LearnedOf(50);
  const Item item = ItemOf(limit, "rule", "a");
  const auto hear = [&](Nanos latency, bool failed, Nanos now) {
    Item feedback = item;
    feedback.cost = 0;
    feedback.token = algorithms::adaptive::FeedbackToken(latency, failed);
    return Do(*store, Op::kCharge, {feedback}, now).outcomes[0];
  };
  Do(*store, Op::kCheck, {item}, start());
  EXPECT_EQ(hear(20 * kMillisecond, false, start()).limit, 50u) << "the first is what is usual";
  Outcome after;
  for (int i = 0; i < 40; ++i) after = hear(20 * kMillisecond, true, start() + 1);
  EXPECT_LT(after.limit, 10u);
  EXPECT_EQ(after.used, 1u);
  EXPECT_EQ(Do(*store, Op::kPeek, {item}, start() + 1).outcomes[0].limit, after.limit);
  EXPECT_EQ(Do(*store, Op::kPeek, {ItemOf(limit, "rule", "b")}, start() + 1).outcomes[0].limit, 50u) << "another's";
  for (int i = 0; i < 200; ++i) after = hear(20 * kMillisecond, false, start() + 2);
  EXPECT_EQ(after.limit, 50u);
}

TEST_P(StoreConformance, APeekHandsOutTheStateOfAnAdaptiveItemAndChangesNothing) {
  const auto store = Make();
  const Limit before = LearnedOf(50), after = LearnedOf(60), bucket = BucketOf(10), log = LogOf(10);
  const Item old = ItemOf(before, "rule@1", "a", 3), other = ItemOf(bucket, "bucket", "a"),
             listed = ItemOf(log, "log", "a");
  const Item now = After(ItemOf(after, "rule@2", "a"), before, "rule@1");
  const auto copies = [&](std::vector<Item> items, Nanos time) {
    return Do(*store, Op::kPeek, std::move(items), time).copies;
  };
  EXPECT_EQ(copies({old}, start())[0], (StateCopy{.words = {}, .now = start()})) << "there is none yet";
  for (int i = 0; i < 3; ++i) Do(*store, Op::kCheck, {old, other, listed}, start() + i * kMinute);
  const Nanos time = start() + 2 * kMinute;
  const std::vector<StateCopy> first = copies({other, old, listed, now}, time);
  EXPECT_EQ(first[0], StateCopy{}) << "a bucket has nothing more to tell";
  EXPECT_EQ(first[2], StateCopy{}) << "nor has a log";
  const algorithms::adaptive::View view = algorithms::adaptive::Explain(before, first[1].words, first[1].now);
  EXPECT_EQ(view.samples, 2u);
  EXPECT_EQ(view.mean, 3);
  EXPECT_EQ(view.effective_limit, Do(*store, Op::kPeek, {old}, time).outcomes[0].limit);
  EXPECT_EQ(first[3].words, first[1].words) << "as it would be carried over";
  EXPECT_EQ(copies({other, old, listed, now}, time), first) << "and it was not";
  EXPECT_TRUE(copies({old}, time + 8 * kDay)[0].words.empty()) << "expired is as good as absent";
}

TEST_P(StoreConformance, ACountIsCarriedOverInItsOwnWindow) {
  for (const Limit& next : {EpochWindowOf(20), EpochWindowOf(20, kHour)}) {
    const auto store = Make();
    const Limit first = EpochWindowOf(10);
    const Nanos end = start() - start() % kMinute + kMinute;
    // By a clock that is ahead of the one that carries over.
    Do(*store, Op::kCheck, {ItemOf(first, "rule@1", "a", 10)}, end);
    Do(*store, Op::kCheck, {After(ItemOf(next, "rule@2", "a"), first, "rule@1")}, end - 1);
    EXPECT_EQ(UsedNow(*store, ItemOf(next, "rule@2", "a"), end - 1), 11u);
    EXPECT_EQ(UsedNow(*store, ItemOf(next, "rule@2", "a"), end), 11u);
  }
}

TEST_P(StoreConformance, ADeniedPlanMovesWhatWasUsedAllTheSame) {
  const auto store = Make();
  const Limit old = BucketOf(10), fresh = BucketOf(5), none = BucketOf(0);
  Do(*store, Op::kCheck, {ItemOf(old, "rule@1", "a", 4)}, start());
  const Item after = After(ItemOf(fresh, "rule@2", "a"), old, "rule@1");
  EXPECT_FALSE(Do(*store, Op::kCheck, {after, ItemOf(none, "none", "a")}, start()).admitted);
  EXPECT_EQ(UsedNow(*store, ItemOf(old, "rule@1", "a"), start()), 0u);
  EXPECT_EQ(UsedNow(*store, ItemOf(fresh, "rule@2", "a"), start()), 4u);
}

// What a log has kept beyond its window counts again in a longer one, and never in its own.
TEST_P(StoreConformance, ALongerWindowCountsWhatALogHasKept) {
  Limit kept = LogOf(100, kMinute);
  kept.retention = 10 * kMinute;
  kept = algorithms::Sanitize(kept);
  const Limit longer = LogOf(100, 5 * kMinute);
  const auto store = Make();
  const Item before = ItemOf(kept, "rule@1", "a");
  const Item after = After(ItemOf(longer, "rule@2", "a"), kept, "rule@1");
  for (int i = 0; i < 20; ++i) {
    Do(*store, Op::kCheck, {before}, start() + i * kMinute);
    EXPECT_EQ(UsedNow(*store, before, start() + i * kMinute), 1u);
  }
  EXPECT_EQ(UsedNow(*store, after, start() + 19 * kMinute), 5u) << "a peek sees it";
  Do(*store, Op::kCheck, {after}, start() + 19 * kMinute);
  EXPECT_EQ(UsedNow(*store, after, start() + 19 * kMinute), 6u);
  EXPECT_EQ(UsedNow(*store, after, start() + 23 * kMinute), 2u);
}

}  // namespace weir::storage::conformance
