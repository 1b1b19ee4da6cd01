#include "base/clock.h"

#include <ctime>

namespace weir {
namespace {

class RealtimeClock final : public Clock {
 public:
  Nanos Now() const override {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * kSecond + now.tv_nsec;
  }
};

}  // namespace

const Clock& SystemClock() {
  static const RealtimeClock clock;
  return clock;
}

}  // namespace weir
