#include "algorithms/aligned_window.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "algorithms/oracle.h"
#include "algorithms/testing.h"
#include "algorithms/time_zone.h"
#include "algorithms/word.h"

namespace weir::algorithms::testing {
namespace {

Limit Aligned(Calendar calendar, std::uint64_t capacity, Nanos window = 0, const char* zone = "UTC") {
  Limit limit;
  limit.kind = Kind::kFixedWindow;
  limit.calendar = calendar;
  limit.capacity = capacity;
  limit.window = window;
  limit.zone = ZoneIndex(zone).value();
  return Sanitize(limit);
}

Limit AsList(Limit limit) {
  limit.kind = Kind::kFixedWindow;
  return limit;
}

Limit RandomAligned(Random& random) {
  const auto calendar = static_cast<Calendar>(random.In(1, 7));
  const Nanos window = random.OneIn(3) ? random.In(1, 1000) * kMillisecond : random.In(1, 48) * kHour;
  const char* zone = random.OneIn(3) ? "Australia/Lord_Howe" : random.OneIn(2) ? "America/New_York" : "UTC";
  return Aligned(calendar, static_cast<std::uint64_t>(random.In(0, 40)), window, zone);
}

TEST(AlignedWindow, IsChosenWhereTheCountFitsBesideTheEnd) {
  EXPECT_EQ(Aligned(Calendar::kMonth, 999'999'999).kind, Kind::kAlignedWindow);
  EXPECT_EQ(Aligned(Calendar::kMonth, 1'000'000'000).kind, Kind::kFixedWindow);
  EXPECT_EQ(Aligned(Calendar::kEpoch, 4'294'967'295, kMinute).kind, Kind::kAlignedWindow);
  EXPECT_EQ(Aligned(Calendar::kEpoch, 999, 1000).kind, Kind::kAlignedWindow);
  EXPECT_EQ(Aligned(Calendar::kEpoch, 1000, 1000).kind, Kind::kFixedWindow);
  EXPECT_EQ(Aligned(Calendar::kEpoch, 0, 1).kind, Kind::kAlignedWindow);
  EXPECT_EQ(Aligned(Calendar::kEpoch, (std::uint64_t{1} << 33) - 1, kDay).kind, Kind::kAlignedWindow);
  EXPECT_EQ(Aligned(Calendar::kEpoch, std::uint64_t{1} << 33, kDay).kind, Kind::kFixedWindow)
      << "would live on for seconds";
  EXPECT_EQ(Aligned(Calendar::kNone, 10, kMinute).kind, Kind::kFixedWindow);
  Limit counts = Aligned(Calendar::kDay, 10);
  counts.count_denied = true;
  EXPECT_EQ(Sanitize(counts).kind, Kind::kFixedWindow) << "a denial would write a word";
  counts.count_denied = false;
  counts.kind = Kind::kFixedWindow;
  EXPECT_EQ(Sanitize(counts).kind, Kind::kAlignedWindow);
}

// The list form is the oracle: it keeps start and count apart, and has a naive oracle of its own
// (fixed_window_test.cc).
TEST(AlignedWindow, AnswersWhatTheListFormAnswers) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    Random random(seed);
    const Limit limit = RandomAligned(random);
    ASSERT_EQ(limit.kind, Kind::kAlignedWindow);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + Describe(limit));
    Counter word(limit);
    Counter list(AsList(limit));
    Nanos now = kStart + random.In(0, 400 * kDay);
    for (int step = 0; step < 100; ++step) {
      now += random.OneIn(3) ? 0 : random.In(random.OneIn(5) ? -Scale(limit) : 0, Scale(limit) / 4);
      const Op op = random.OneIn(2) ? Op::kCheck : static_cast<Op>(random.In(0, 5));
      const auto cost = static_cast<std::uint64_t>(random.In(0, random.OneIn(4) ? 60 : 3));
      ASSERT_EQ(word.Do(op, cost, now), list.Do(op, cost, now)) << "step " << step;
      ASSERT_EQ(word.Used(now), list.Used(now)) << "step " << step;
      // As a store drops what has expired; the one form does so itself, the other not always.
      if (list.Expires() <= now) list.words.clear();
      if (word.Expires() <= now) word.word = 0;
      ASSERT_EQ(word.Expires(), list.Expires()) << "step " << step;
    }
  }
}

TEST(AlignedWindow, CountsUpToWhatFitsAndNoFurther) {
  for (const Limit& limit : {Aligned(Calendar::kEpoch, 500, 1000), Aligned(Calendar::kEpoch, 7, 365 * kDay),
                             Aligned(Calendar::kHour, 10, 0, "Asia/Kathmandu")}) {
    SCOPED_TRACE(Describe(limit));
    const std::uint64_t most = aligned_window::MostCount(limit);
    Counter counter(limit);
    EXPECT_EQ(counter.Do(Op::kCharge, UINT64_MAX, kStart).used, most);
    const Nanos end = CalendarBounds(limit, kStart).end;
    EXPECT_EQ(counter.Expires(), end) << "the count does not reach into the next window";
    EXPECT_EQ(counter.Do(Op::kCharge, 1, kStart).used, most);
    EXPECT_EQ(counter.Do(Op::kRefund, 1, kStart).used, most - 1);
    EXPECT_EQ(counter.Check(1, end - 1).retry_after_ns, 1);
    EXPECT_EQ(counter.Check(1, end).used, 1U);
  }
}

TEST(AlignedWindow, NeverAdmitsMoreThanItCanCount) {
  // What Sanitize() would not leave so.
  for (const Calendar calendar : {Calendar::kEpoch, Calendar::kMonth}) {
    Limit limit = Aligned(calendar, 10, kSecond);
    limit.capacity = 4'000'000'000;
    Counter counter(limit);
    EXPECT_EQ(counter.Check(600'000'000, kStart).remaining, 399'999'999U);
    EXPECT_EQ(counter.Check(600'000'000, kStart).verdict, Verdict::kLater);
    EXPECT_EQ(counter.Check(1'000'000'000, kStart).verdict, Verdict::kNever);
    EXPECT_EQ(counter.Check(399'999'999, kStart).verdict, Verdict::kAllowed);
    EXPECT_EQ(counter.Check(1, kStart).verdict, Verdict::kLater);
  }
}

TEST(AlignedWindow, WhatIsTakenBackIsTakenFromTheWindowInWhichItWasCharged) {
  const Limit limit = Aligned(Calendar::kEpoch, 30, kMinute);
  const Nanos end = CalendarBounds(limit, kStart).end;
  Counter counter(limit);
  counter.Check(5, end - 2);
  counter.Check(20, end - 1);
  const Word charged = counter.word;
  counter.Check(2, end - 1);
  EXPECT_EQ(aligned_window::Used(limit, aligned_window::Withdrawn(limit, counter.word, charged, 20), end - 1), 7U);
  counter.Check(30, end);
  EXPECT_EQ(aligned_window::Withdrawn(limit, counter.word, charged, 20), counter.word) << "others' in the next window";
  EXPECT_EQ(aligned_window::Withdrawn(limit, 0, charged, 20), 0);
}

TEST(AlignedWindow, JoinedCountsStayInTheWindowOfMost) {
  const Limit limit = Aligned(Calendar::kEpoch, 30, kMinute);
  const Nanos end = CalendarBounds(limit, kStart).end, now = end - 1;
  Counter counter(limit);
  const auto joined = [&](std::uint64_t count, Nanos ends) {
    return aligned_window::Joined(limit, counter.word, now, count, ends);
  };
  EXPECT_EQ(joined(4, 0), end + 4) << "of other bounds: in the window that is open";
  EXPECT_EQ(joined(4, end + kMinute), end + kMinute + 4) << "of a clock that is ahead";
  counter.Check(5, now);
  EXPECT_EQ(joined(5, end + kMinute), end + 10);
  EXPECT_EQ(joined(6, end + kMinute), end + kMinute + 11);
  EXPECT_EQ(joined(6, 0), end + 11);
}

TEST(AlignedWindow, UnitsOfACalendarEndAtWholeSecondsInEveryZone) {
  for (const char* zone : {"UTC", "Africa/Monrovia", "Europe/Amsterdam", "Asia/Kathmandu", "Australia/Lord_Howe",
                           "Pacific/Apia", "America/Sao_Paulo"}) {
    for (int unit = 1; unit <= 6; ++unit) {
      const Limit limit = Aligned(static_cast<Calendar>(unit), 1, 0, zone);
      Random random(static_cast<std::uint64_t>(unit));
      for (int i = 0; i < 300; ++i) {
        const Nanos end = CalendarBounds(limit, random.In(0, kLatestNow)).end;
        ASSERT_EQ(end % kSecond, 0) << zone << " unit " << unit << " end " << end;
      }
      ASSERT_EQ(CalendarBounds(limit, kLatestNow).end % kSecond, 0);
    }
  }
}

TEST(AlignedWindow, ReadsWhatAStoreOfStartAndCountKeeps) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const Limit limit = RandomAligned(random);
    Counter list(AsList(limit));
    const Nanos now = kStart + random.In(0, 400 * kDay);
    list.Do(Op::kCharge, static_cast<std::uint64_t>(random.In(1, 50)), now);
    Counter word(limit);
    word.word = aligned_window::FromStartAndCount(limit, list.words[0], list.words[1]);
    EXPECT_EQ(word.Peek(1, now), list.Peek(1, now)) << Describe(limit);
  }
  const Limit limit = Aligned(Calendar::kEpoch, 5, 1000);
  EXPECT_EQ(aligned_window::FromStartAndCount(limit, kStart, 0), 0);
  EXPECT_EQ(aligned_window::FromStartAndCount(limit, kStart, -7), 0);
  EXPECT_EQ(aligned_window::FromStartAndCount(limit, kStart, INT64_MAX) % 1000, 999);
}

// ---- anchored -------------------------------------------------------------------------------------------------------

Limit Anchored(std::uint64_t capacity, Nanos window = kMinute) {
  Limit limit;
  limit.kind = Kind::kSlidingWindow;
  limit.capacity = capacity;
  limit.window = limit.precision = window;
  return Sanitize(limit);
}

Limit RandomAnchored(Random& random) {
  const std::int64_t capacity = random.In(0, random.OneIn(3) ? 40'000 : 12);
  return Anchored(static_cast<std::uint64_t>(capacity), random.In(3, 100) * kMillisecond + random.In(0, 999'999));
}

TEST(AnchoredWindow, IsChosenWhereTheCountFitsBesideTheEnd) {
  EXPECT_EQ(Anchored(100).kind, Kind::kAnchoredWindow);
  EXPECT_EQ(Anchored(0).kind, Kind::kAnchoredWindow);
  EXPECT_EQ(Anchored(1'000'000'000).kind, Kind::kAnchoredWindow);
  EXPECT_EQ(Anchored(4'000'000'000).kind, Kind::kSlidingWindow) << "its end would be late by seconds";
  EXPECT_EQ(Anchored(4'000'000'000, kHour).kind, Kind::kAnchoredWindow);
  EXPECT_EQ(Anchored(std::uint64_t{1} << 33, 24 * kHour).kind, Kind::kSlidingWindow) << "would live on for seconds";
  EXPECT_EQ(Anchored(10, 31 * kMicrosecond).kind, Kind::kSlidingWindow);
  EXPECT_EQ(Anchored(10, 0).kind, Kind::kSlidingWindow);
  Limit counts = Anchored(10);
  counts.count_denied = true;
  EXPECT_EQ(Sanitize(counts).kind, Kind::kSlidingWindow) << "a denial would write a word";
  Limit finer = Anchored(10);
  finer.precision = kSecond;
  EXPECT_EQ(Sanitize(finer).kind, Kind::kSlidingWindow) << "that is more than one window";
}

TEST(AnchoredWindow, TheGridIsFinerThanTheTimeThatItsCapacityTakes) {
  EXPECT_EQ(aligned_window::Grid(Anchored(999)), kMicrosecond);
  EXPECT_EQ(aligned_window::Grid(Anchored(1000)), 2 * kMicrosecond);
  EXPECT_EQ(aligned_window::Grid(Anchored(100'000'000)), 131'072 * kMicrosecond);
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    Random random(seed);
    const auto capacity = static_cast<std::uint64_t>(random.Magnitude(8'000'000'000));
    const Limit limit = Anchored(capacity, 300 * kDay);
    ASSERT_EQ(limit.kind, Kind::kAnchoredWindow);
    const Nanos grid = aligned_window::Grid(limit);
    ASSERT_GT(grid, static_cast<Nanos>(capacity));
    ASSERT_LE(grid, std::max<Nanos>(kMicrosecond, 2 * static_cast<Nanos>(capacity)));
    const Word word = random.In(0, INT64_MAX);
    ASSERT_EQ(aligned_window::CountIn(limit, word), word % grid) << Describe(limit);
  }
}

// At instants that lie on the grid nothing is rounded: the list form is the oracle.
TEST(AnchoredWindow, AnswersWhatTheListFormAnswers) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    Random random(seed);
    Limit limit = RandomAnchored(random);
    const Nanos grid = aligned_window::Grid(limit);
    limit.window -= limit.window % grid;
    limit = Sanitize(limit);
    ASSERT_EQ(limit.kind, Kind::kAnchoredWindow);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + Describe(limit));
    Limit as_list = limit;
    as_list.kind = Kind::kSlidingWindow;
    Counter word(limit);
    Counter list(as_list);
    Nanos now = kStart + random.In(0, 400 * kDay);
    for (int step = 0; step < 100; ++step) {
      now += random.OneIn(3) ? 0 : random.In(random.OneIn(5) ? -Scale(limit) : 0, Scale(limit) / 4);
      now -= now % grid;
      const Op op = random.OneIn(2) ? Op::kCheck : static_cast<Op>(random.In(0, 5));
      const auto cost = static_cast<std::uint64_t>(random.In(0, random.OneIn(4) ? 60 : 3));
      ASSERT_EQ(word.Do(op, cost, now), list.Do(op, cost, now)) << "step " << step;
      ASSERT_EQ(word.Used(now), list.Used(now)) << "step " << step;
      if (list.Expires() <= now) list.words.clear();
      if (word.Expires() <= now) word.word = 0;
      ASSERT_EQ(word.Expires(), list.Expires()) << "step " << step;
    }
  }
}

// The window by its definition, at any instant: open for the rule's length from the first request and at most a grid
// longer, its limit never exceeded, and never more than twice the limit less one in any trailing window.
TEST(AnchoredWindow, IsOpenForTheRulesLengthAndNeverShorter) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Random random(seed);
    const Limit limit = RandomAnchored(random);
    if (limit.capacity == 0) continue;
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + Describe(limit));
    const Nanos grid = aligned_window::Grid(limit);
    Counter counter(limit);
    std::vector<Event> admitted;
    Nanos now = kStart + random.In(0, kHour), opened = 0, end = 0;
    std::uint64_t count = 0;
    for (int step = 0; step < 150; ++step) {
      now += random.OneIn(3) ? 0 : random.In(0, limit.window / 5);
      if (now >= end) {
        count = 0;
        end = now;
      }
      const std::int64_t most = random.OneIn(3) ? static_cast<std::int64_t>(limit.capacity) : 2;
      const auto cost = static_cast<std::uint64_t>(random.In(1, most));
      const Outcome outcome = counter.Check(cost, now);
      ASSERT_EQ(outcome.verdict == Verdict::kAllowed, count + cost <= limit.capacity) << "step " << step;
      if (outcome.verdict == Verdict::kAllowed) {
        if (count == 0) {
          opened = now;
          end = now + outcome.reset_after_ns;
        }
        count += cost;
        admitted.push_back({now, static_cast<std::int64_t>(cost)});
      }
      ASSERT_EQ(now + outcome.reset_after_ns, end);
      if (count == 0) continue;
      ASSERT_GE(end - opened, limit.window);
      ASSERT_LT(end - opened, limit.window + grid);
    }
    ASSERT_LE(MostInAnyWindow(admitted, limit.window), static_cast<std::int64_t>(2 * limit.capacity - 1));
  }
}

TEST(AnchoredWindow, WhoUsesItUpByRequestsOfCostOneWaitsNoLongerThanTheWindow) {
  for (const std::uint64_t capacity : {1U, 10U, 999U, 1000U, 65'536U}) {
    const Limit limit = Anchored(capacity);
    Counter counter(limit);
    Nanos now = kStart + 1;
    // Two nanoseconds each, which is less than any of them takes.
    for (std::uint64_t i = 0; i < capacity; ++i, now += 2) ASSERT_EQ(counter.Check(1, now).verdict, Verdict::kAllowed);
    now = std::max(now, kStart + 1 + kMicrosecond);
    const Outcome denied = counter.Check(1, now);
    EXPECT_EQ(denied.verdict, Verdict::kLater);
    EXPECT_LE(denied.retry_after_ns, kMinute) << capacity;
  }
}

TEST(AnchoredWindow, CountsUpToWhatFitsAndNoFurther) {
  const Limit limit = Anchored(7);
  Counter counter(limit);
  EXPECT_EQ(counter.Do(Op::kCharge, UINT64_MAX, kStart).used, 999U);
  EXPECT_EQ(counter.Expires(), kStart + kMinute);
  EXPECT_EQ(counter.Do(Op::kRefund, 1, kStart).used, 998U);
  EXPECT_EQ(counter.Check(1, kStart + kMinute - 1).retry_after_ns, 1);
  EXPECT_EQ(counter.Check(1, kStart + kMinute).used, 1U);
  // What Sanitize() would not leave so.
  Limit wide = limit;
  wide.capacity = UINT64_MAX;
  Counter few(wide);
  EXPECT_EQ(few.Check(1000, kStart).verdict, Verdict::kNever);
  EXPECT_EQ(few.Check(999, kStart).verdict, Verdict::kAllowed);
  wide.grid_shift = UINT8_MAX;
  Counter most(wide);
  EXPECT_EQ(most.Check(UINT64_MAX, kStart).verdict, Verdict::kNever);
  EXPECT_EQ(most.Check(8'000'000'000, kStart).verdict, Verdict::kAllowed);
  EXPECT_EQ(most.Check(1'000'000'000, kStart).verdict, Verdict::kLater);
}

TEST(AnchoredWindow, ReadsWhatAStoreOfStartAndCountKeeps) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const Limit limit = RandomAnchored(random);
    const Nanos now = kStart + random.In(0, 400 * kDay);
    const auto count = static_cast<Word>(random.In(1, 900));
    Counter opened(limit), read(limit);
    opened.Do(Op::kCharge, static_cast<std::uint64_t>(count), now);
    read.word = aligned_window::FromStartAndCount(limit, aligned_window::StartOfNew(limit, now), count);
    EXPECT_EQ(read.word, opened.word) << Describe(limit);
    // As it was written before ends were rounded.
    read.word = aligned_window::FromStartAndCount(limit, now, count);
    EXPECT_EQ(read.word, opened.word) << Describe(limit);
  }
}

// word.h: what the memory store's plans of words do step by step is what the algorithm does at once.
TEST(WordAlgorithms, TryAndDescribeAreApply) {
  for (const Kind kind : {Kind::kTokenBucket, Kind::kLeakyBucket, Kind::kFixedWindow, Kind::kAnchoredWindow}) {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
      Random random(seed);
      const Limit limit = kind == Kind::kFixedWindow      ? RandomAligned(random)
                          : kind == Kind::kAnchoredWindow ? RandomAnchored(random)
                                                          : RandomLimit(kind, random);
      ASSERT_EQ(ShapeOf(limit.kind), Shape::kWord);
      SCOPED_TRACE("seed " + std::to_string(seed) + ": " + Describe(limit));
      Word stepwise = 0;
      Counter whole(limit);
      Nanos now = kStart;
      for (int step = 0; step < 60; ++step) {
        now += random.OneIn(2) ? 0 : random.In(0, Scale(limit));
        const auto cost = static_cast<std::uint64_t>(random.In(1, 8));
        const Word before = stepwise;
        const bool allowed = words::Try(limit, cost, now, stepwise);
        Outcome told = words::Describe(limit, stepwise, now);
        if (!allowed) words::Deny(limit, cost, told);
        if (allowed && limit.shape) told.delay_ns = words::Delay(limit, before, stepwise, now);
        ASSERT_EQ(told, whole.Check(cost, now)) << "step " << step;
        ASSERT_EQ(stepwise, whole.word) << "step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace weir::algorithms::testing
