// Objects that may still be read for a while after their last owner is gone: what a decision points to outlives the
// configuration that made it, as names do (name.h).
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "base/clock.h"

namespace weir {

// Frees the object Name::kLinger from now, when somebody lets go of another one. Thread-safe.
void Linger(std::shared_ptr<const void> object);
// How many there are.
std::size_t LingeringObjects();
// Frees those that were let go of before `now` - Name::kLinger. `now` of a clock that only goes forward.
void FreeLingeringObjects(Nanos now);

// A shared_ptr whose object lingers.
template <typename T>
std::shared_ptr<const T> MakeLingering(T object) {
  return {new const T(std::move(object)), [](const T* gone) { Linger(std::shared_ptr<const T>(gone)); }};
}

}  // namespace weir
