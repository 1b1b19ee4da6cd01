// Reads of a lane that another thread closes and opens again between any two instructions of the reader: what is read
// is of one opening. The reader runs one instruction at a time (the processor's trap flag), so that every place is
// tried, and not only those where threads happen to meet.
#include <gtest/gtest.h>

#include "storage/memory/lane_table.h"

#if defined(__x86_64__) && defined(__linux__) && !defined(WEIR_TSAN) && !defined(__SANITIZE_ADDRESS__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_CANNOT_STEP
#endif
#endif
#else
#define WEIR_CANNOT_STEP
#endif

#ifndef WEIR_CANNOT_STEP

#include <signal.h>
#include <ucontext.h>

#include <cstdint>
#include <random>

namespace weir::storage::memory {
namespace {

using algorithms::sub_window::Frame;

constexpr Key kKey{.hi = 77, .lo = 5};

Frame FrameOf(std::int64_t number) {
  return {.index = 1000 + number,
          .newest = 1000 + number,
          .sub_windows = 60,
          .precision = kSecond,
          .oldest = number,
          .rest = number};
}

// What the other thread does, in two steps: closes the lane, opens it again and has written a part of it; then the
// rest. As LaneTable::Open() does it, which cannot be stopped half way.
class OtherThread {
 public:
  OtherThread(LaneTable& lanes, std::uint32_t number, Cell* head) : lanes_(lanes), number_(number), head_(head) {}

  void Begin(std::int64_t opening) {
    lanes_.Close(number_);
    Cell seen;
    while (!Load(head_, seen)) {
    }
    busy_ = {2, static_cast<Word>(((static_cast<std::uint64_t>(seen.word) >> 32) + 1) << 32)};
    ASSERT_TRUE(CompareAndSwap(head_, seen, busy_));
    // index_and_span: the first number of the frame that changes.
    __atomic_store_n(Field(1), static_cast<std::uint64_t>(1000 + opening) | std::uint64_t{60} << 44, __ATOMIC_RELEASE);
  }
  void End(std::int64_t opening) {
    const auto count = static_cast<std::uint64_t>(opening);
    __atomic_store_n(Field(3), count | count << 32, __ATOMIC_RELEASE);
    __atomic_store_n(Field(5), count, __ATOMIC_RELEASE);
    ASSERT_TRUE(CompareAndSwap(head_, busy_, {kKey.hi, busy_.word}));
  }

 private:
  // The words behind the head.
  std::uint64_t* Field(std::size_t number) { return reinterpret_cast<std::uint64_t*>(head_ + 1) + number; }

  LaneTable& lanes_;
  const std::uint32_t number_;
  Cell* const head_;
  Cell busy_;
};

// The reader's instructions are counted by the handler, which runs the other thread at two of them.
struct Stepper {
  OtherThread* other = nullptr;
  std::int64_t opening = 0;
  int begin_at = 0, end_at = 0;
  int steps = 0;
  bool stop = false;
};
volatile Stepper* stepper = nullptr;

void OnTrap(int /*signal*/, siginfo_t* /*info*/, void* context) {
  auto* const now = const_cast<Stepper*>(stepper);
  constexpr greg_t kTrapFlag = 0x100;
  // After the other thread is done the reader may run on.
  const bool done = now->end_at != 0 && now->steps >= now->end_at;
  if (now->stop || done) {
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
    return;
  }
  ++now->steps;
  if (now->steps == now->begin_at) now->other->Begin(now->opening);
  if (now->steps == now->end_at) now->other->End(now->opening);
}

[[gnu::noinline]] bool ReadInSteps(const LaneTable& lanes, LaneView& view) {
  __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "cc", "memory");
  const bool found = lanes.Read(kKey, view);
  const_cast<Stepper*>(stepper)->stop = true;
  __asm__ volatile("nop" ::: "memory");
  return found;
}

TEST(LaneRead, NeverMixesTwoOpeningsWhereverItIsInterrupted) {
  struct sigaction trap{};
  trap.sa_sigaction = OnTrap;
  trap.sa_flags = SA_SIGINFO;
  struct sigaction before{};
  ASSERT_EQ(sigaction(SIGTRAP, &trap, &before), 0);

  const auto lanes = LaneTable::Create(1, 5);
  const std::uint32_t number = lanes->Open(kKey, FrameOf(1), {.asked = 0, .fits_at = 1, .second = 0});
  LaneView view;
  ASSERT_TRUE(lanes->Read(kKey, view));
  OtherThread other(*lanes, number, view.cell);
  Stepper counting{.other = &other};
  stepper = &counting;
  ASSERT_TRUE(ReadInSteps(*lanes, view));
  const int steps = counting.steps;
  ASSERT_GT(steps, 20);

  std::int64_t opening = 1;
  int found = 0;
  std::mt19937_64 random(1);
  // With optimisation every place is tried, a read being some 60 instructions; without, one in a few.
  for (int begin = 1; begin < steps; begin += 1 + steps / 200) {
    for (int pick = 0; pick < 10; ++pick) {
      const int end = begin + 1 + static_cast<int>(random() % static_cast<unsigned>(steps - begin));
      Stepper now{.other = &other, .opening = ++opening, .begin_at = begin, .end_at = end};
      stepper = &now;
      const bool read = ReadInSteps(*lanes, view);
      // A read that finds nothing takes fewer instructions.
      if (now.steps < now.begin_at) other.Begin(opening);
      if (now.steps < now.end_at) other.End(opening);
      if (HasFatalFailure()) break;
      if (!read) continue;
      ++found;
      const std::int64_t one = view.frame.index - 1000;
      ASSERT_EQ(view.frame, FrameOf(one)) << "interrupted at " << begin << " and " << end << " of " << steps;
      ASSERT_EQ(view.denial.fits_at, one);
    }
  }
  EXPECT_GT(found, 0);
  sigaction(SIGTRAP, &before, nullptr);
}

}  // namespace
}  // namespace weir::storage::memory

#endif  // WEIR_CANNOT_STEP
