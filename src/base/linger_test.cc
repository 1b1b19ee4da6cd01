#include "base/linger.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <string>
#include <utility>

#include "base/name.h"

namespace weir {
namespace {

TEST(Linger, AnObjectCanBeReadForAWhileAfterItsLastOwnerIsGone) {
  FreeLingeringObjects(std::numeric_limits<Nanos>::max());
  struct Noted {
    std::string text;
    bool* freed;
    Noted(std::string t, bool* f) : text(std::move(t)), freed(f) {}
    Noted(Noted&& other) noexcept : text(std::move(other.text)), freed(std::exchange(other.freed, nullptr)) {}
    Noted(const Noted&) = delete;
    ~Noted() {
      if (freed != nullptr) *freed = true;
    }
  };
  bool freed = false;
  auto object = MakeLingering(Noted("a text that is too long to lie within its string", &freed));
  const Noted* const seen = object.get();
  object = nullptr;
  EXPECT_FALSE(freed);
  EXPECT_EQ(LingeringObjects(), 1U);
  EXPECT_EQ(seen->text, "a text that is too long to lie within its string");
  FreeLingeringObjects(std::numeric_limits<Nanos>::max());
  EXPECT_TRUE(freed);
  EXPECT_EQ(LingeringObjects(), 0U);
}

}  // namespace
}  // namespace weir
