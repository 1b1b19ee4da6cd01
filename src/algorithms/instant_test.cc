// Instants that arithmetic can hold.
#include "algorithms/instant.h"

#include <gtest/gtest.h>

namespace weir::algorithms {
namespace {

constexpr Nanos kMost = std::numeric_limits<Nanos>::max(), kLeast = std::numeric_limits<Nanos>::min();

TEST(SaturatingAdd, StopsAtEitherEnd) {
  EXPECT_EQ(SaturatingAdd(5, 7), 12);
  EXPECT_EQ(SaturatingAdd(5, -7), -2);
  EXPECT_EQ(SaturatingAdd(kMost - 1, 1), kMost);
  EXPECT_EQ(SaturatingAdd(kMost, 1), kMost);
  EXPECT_EQ(SaturatingAdd(kMost, kMost), kMost);
  // The offset of another machine's clock may be negative.
  EXPECT_EQ(SaturatingAdd(kLeast + 1, -1), kLeast);
  EXPECT_EQ(SaturatingAdd(kLeast, -1), kLeast);
  EXPECT_EQ(SaturatingAdd(kLeast, kLeast), kLeast);
}

}  // namespace
}  // namespace weir::algorithms
