#include "storage/memory/lane_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace weir::storage::memory {
namespace {

using algorithms::sub_window::Frame;

constexpr Frame kFrame = {.index = 30'000'000'017,
                          .newest = 30'000'000'010,
                          .sub_windows = 3600,
                          .precision = Nanos{1} << 43,
                          .oldest = (std::int64_t{1} << 31) - 1,
                          .rest = (std::int64_t{1} << 31) - 2};

Key KeyOf(int number) { return HashKey(9, "subject " + std::to_string(number)); }

TEST(LaneTable, KeepsItsFrameAndWhatIsCharged) {
  const auto lanes = LaneTable::Create(100, 5);
  LaneView view;
  EXPECT_FALSE(lanes->used());
  EXPECT_FALSE(lanes->Read(KeyOf(1), view));
  const std::uint32_t number =
      lanes->Open(KeyOf(1), kFrame, {.asked = NotedDenial::Asked(100, 3), .fits_at = 12345, .second = 255});
  ASSERT_NE(number, 0u);
  EXPECT_TRUE(lanes->used());
  EXPECT_GT(lanes->bytes(), 100 * LaneTable::kBytesALane);
  EXPECT_FALSE(lanes->Read(KeyOf(2), view));
  ASSERT_TRUE(lanes->Read(KeyOf(1), view));
  EXPECT_EQ(view.frame, kFrame);
  EXPECT_EQ(view.denial, (NotedDenial{.asked = NotedDenial::Asked(100, 3), .fits_at = 12345, .second = 255}));
  EXPECT_EQ(view.count(), 0);
  ASSERT_TRUE(lanes->Swap(view, 7));
  ASSERT_TRUE(lanes->Swap(view, (std::int64_t{1} << 31) - 1));
  EXPECT_EQ(view.count(), (std::int64_t{1} << 31) - 1);
  EXPECT_EQ(lanes->Close(number), (std::int64_t{1} << 31) - 1);
  EXPECT_FALSE(lanes->Read(KeyOf(1), view));
}

TEST(LaneTable, AViewFromBeforeClosingChargesNothing) {
  const auto lanes = LaneTable::Create(100, 5);
  const std::uint32_t number = lanes->Open(KeyOf(1), kFrame, {});
  LaneView before;
  ASSERT_TRUE(lanes->Read(KeyOf(1), before));
  EXPECT_EQ(lanes->Close(number), 0);
  EXPECT_FALSE(lanes->Swap(before, 1));
  // The same subject, the same place, the same count: another opening all the same.
  ASSERT_EQ(lanes->Open(KeyOf(1), kFrame, {}), number);
  LaneView after;
  ASSERT_TRUE(lanes->Read(KeyOf(1), after));
  EXPECT_FALSE(before.IsOpeningOf(after));
  EXPECT_FALSE(lanes->Swap(before, 1));
  ASSERT_TRUE(lanes->Swap(after, 1));
  EXPECT_EQ(lanes->Close(number), 1);
}

TEST(LaneTable, KeysThatDifferInTheirLowerHalfOnlyAreTwo) {
  const auto lanes = LaneTable::Create(100, 5);
  const Key one{.hi = 77, .lo = 1}, other{.hi = 77, .lo = 2};
  LaneView view;
  ASSERT_NE(lanes->Open(one, kFrame, {}), 0u);
  EXPECT_FALSE(lanes->Read(other, view));
  ASSERT_NE(lanes->Open(other, kFrame, {}), 0u);
  ASSERT_TRUE(lanes->Read(other, view));
  ASSERT_TRUE(lanes->Swap(view, 5));
  ASSERT_TRUE(lanes->Read(one, view));
  EXPECT_EQ(view.count(), 0);
}

TEST(LaneTable, WithoutAFreePlaceThereIsNoLane) {
  const auto lanes = LaneTable::Create(4, 5);
  std::vector<std::uint32_t> numbers;
  for (int i = 0; i < 40; ++i) {
    const std::uint32_t number = lanes->Open(KeyOf(i), kFrame, {});
    LaneView view;
    EXPECT_EQ(lanes->Read(KeyOf(i), view), number != 0);
    if (number != 0) numbers.push_back(number);
  }
  EXPECT_GE(numbers.size(), 8u);
  EXPECT_LE(numbers.size(), 12u);
  EXPECT_EQ(lanes->open(), numbers.size());
  for (const std::uint32_t number : numbers) lanes->Close(number);
  EXPECT_EQ(lanes->open(), 0u);
  EXPECT_NE(lanes->Open(KeyOf(39), kFrame, {}), 0u) << "a place that is free again is given again";

  const auto none = LaneTable::Create(0, 5);
  LaneView view;
  EXPECT_EQ(none->Open(KeyOf(1), kFrame, {}), 0u);
  EXPECT_FALSE(none->Read(KeyOf(1), view));
}

// Few lanes take little memory of a large table; one of a state that is asked again is found wherever it was opened.
TEST(LaneTable, GrowsAsItFillsUp) {
  const auto lanes = LaneTable::Create(1'000'000, 5);
  std::vector<std::uint32_t> numbers;
  LaneView view;
  EXPECT_EQ(lanes->bytes(), 0u);
  numbers.push_back(lanes->Open(KeyOf(0), kFrame, {}));
  const std::uint64_t first = lanes->bytes();
  EXPECT_LE(first, std::uint64_t{2} << 20);
  for (int i = 1; i < 100'000; ++i) {
    numbers.push_back(lanes->Open(KeyOf(i), kFrame, {}));
    if (numbers.back() == 0) continue;
    ASSERT_TRUE(lanes->Read(KeyOf(i), view) || lanes->bytes() > first);
  }
  EXPECT_GE(lanes->bytes(), 100'000 * LaneTable::kBytesALane);
  EXPECT_LE(lanes->bytes(), 4 * 100'000 * LaneTable::kBytesALane);
  int without = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint32_t number = numbers[static_cast<std::size_t>(i)];
    if (number != 0) {
      EXPECT_EQ(lanes->Close(number), 0);
    }
    if (lanes->Open(KeyOf(i), kFrame, {}) == 0) {
      ++without;
    } else {
      ASSERT_TRUE(lanes->Read(KeyOf(i), view));
    }
  }
  EXPECT_LT(without, 1000);
}

// Subjects come and go. Memory follows those that have a lane at once, not all that ever had one.
TEST(LaneTable, DoesNotGrowWithSubjectsThatCameAndWent) {
  const auto lanes = LaneTable::Create(1'000'000, 5);
  std::vector<std::uint32_t> numbers(1000);
  std::uint64_t first = 0;
  for (int i = 0; i < 300'000; ++i) {
    std::uint32_t& number = numbers[static_cast<std::size_t>(i) % numbers.size()];
    if (number != 0) lanes->Close(number);
    number = lanes->Open(KeyOf(i), kFrame, {});
    ASSERT_NE(number, 0u);
    if (i == 0) first = lanes->bytes();
  }
  EXPECT_EQ(lanes->open(), 1000u);
  EXPECT_EQ(lanes->bytes(), first);
}

// The keys of one subject have their upper bits in common, and one subject may have very many: `global` is one.
TEST(LaneTable, OneSubjectUnderManyRulesFindsPlaces) {
  const auto lanes = LaneTable::Create(100'000, 5);
  LaneView view;
  int without = 0;
  for (std::uint64_t rule = 0; rule < 1000; ++rule) {
    const Key key = HashKey(rule, "everybody");
    if (lanes->Open(key, kFrame, {}) == 0) {
      ++without;
    } else {
      ASSERT_TRUE(lanes->Read(key, view));
    }
  }
  EXPECT_EQ(without, 0);
}

// As the list table uses it: a lane is opened and closed under a lock, and charged without. What was charged is found
// again, and what is read belongs to one opening.
TEST(LaneTable, LosesNothingWhileItIsOpenedAndClosed) {
  const auto lanes = LaneTable::Create(16, 5);
  std::mutex lock;
  std::int64_t counted = 0;
  std::uint32_t number = 0;
  const auto close = [&] {
    if (number == 0) return;
    counted += lanes->Close(number);
    number = 0;
  };
  std::atomic<std::int64_t> charged = 0, torn = 0, in_lane = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 20'000; ++i) {
        LaneView view;
        if (thread != 0 && lanes->Read(KeyOf(1), view)) {
          if (view.frame.rest != view.frame.oldest || view.denial.fits_at != view.frame.rest) ++torn;
          if (lanes->Swap(view, view.count() + 1)) {
            ++charged;
            ++in_lane;
          }
          continue;
        }
        if (i % 16 != 0) continue;
        const std::lock_guard held(lock);
        close();
        ++counted;
        ++charged;
        Frame frame = kFrame;
        frame.rest = frame.oldest = counted;
        number = lanes->Open(KeyOf(1), frame, {.fits_at = counted});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  close();
  EXPECT_EQ(counted, charged);
  EXPECT_EQ(torn, 0);
  EXPECT_GT(in_lane, 0);
}

}  // namespace
}  // namespace weir::storage::memory
