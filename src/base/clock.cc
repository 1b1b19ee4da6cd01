#include "base/clock.h"

#include <ctime>

namespace weir {
namespace {

template <clockid_t kId>
class MachineClock final : public Clock {
 public:
  Nanos Now() const override {
    timespec now{};
    clock_gettime(kId, &now);
    return now.tv_sec * kSecond + now.tv_nsec;
  }
};

}  // namespace

const Clock& SystemClock() {
  static const MachineClock<CLOCK_REALTIME> clock;
  return clock;
}

const Clock& MonotonicClock() {
  static const MachineClock<CLOCK_MONOTONIC> clock;
  return clock;
}

const Clock& BootClock() {
  static const MachineClock<CLOCK_BOOTTIME> clock;
  return clock;
}

}  // namespace weir
