#include "base/linger.h"

#include <chrono>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "base/name.h"

namespace weir {
namespace {

struct Lingering {
  std::mutex mutex;
  std::deque<std::pair<Nanos, std::shared_ptr<const void>>> objects;  // since when; the oldest first

  static Lingering& All() {
    static auto& all = *new Lingering;  // never destroyed: other threads may still let go of something
    return all;
  }
};

}  // namespace

void Linger(std::shared_ptr<const void> object) {
  using std::chrono::steady_clock;
  const Nanos now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(steady_clock::now().time_since_epoch()).count();
  Lingering& lingering = Lingering::All();
  {
    const std::scoped_lock lock(lingering.mutex);
    lingering.objects.emplace_back(now, std::move(object));
  }
  FreeLingeringObjects(now);
}

std::size_t LingeringObjects() {
  Lingering& lingering = Lingering::All();
  const std::scoped_lock lock(lingering.mutex);
  return lingering.objects.size();
}

void FreeLingeringObjects(Nanos now) {
  std::vector<std::shared_ptr<const void>> old;  // freed without the lock
  Lingering& lingering = Lingering::All();
  const std::scoped_lock lock(lingering.mutex);
  while (!lingering.objects.empty() && now - lingering.objects.front().first > Name::kLinger) {
    old.push_back(std::move(lingering.objects.front().second));
    lingering.objects.pop_front();
  }
}

}  // namespace weir
