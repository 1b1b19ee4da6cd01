#include "base/assignment.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>

namespace weir {
namespace {

std::string Subject(int i) { return "user-" + std::to_string(i); }

TEST(Assignment, IsUniform) {
  constexpr int kSubjects = 100'000, kBins = 100;
  for (const char* salt : {"", "a", "checkout-2026"}) {
    std::array<int, kBins> bins{};
    for (int i = 0; i < kSubjects; ++i) {
      const double at = AssignmentOf(Subject(i), salt);
      ASSERT_GE(at, 0);
      ASSERT_LT(at, 1);
      ++bins[static_cast<std::size_t>(at * kBins)];
    }
    double chi_squared = 0;
    for (const int count : bins) chi_squared += std::pow(count - kSubjects / kBins, 2) / (kSubjects / kBins);
    EXPECT_LT(chi_squared, 160) << "99 degrees of freedom: 1 in 10,000 is above";
  }
}

TEST(Assignment, StaysWhatItIs) {
  EXPECT_DOUBLE_EQ(AssignmentOf("ann", "salt"), AssignmentOf(std::string("ann"), "salt"));
  // Who takes part in a smaller share does in a larger one.
  const SubjectShare tenth("salt", 0, 0.1), fifth("salt", 0, 0.2), rest("salt", 0.2, 1);
  int in_tenth = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::string subject = Subject(i);
    in_tenth += tenth.Includes(subject) ? 1 : 0;
    if (tenth.Includes(subject)) {
      EXPECT_TRUE(fifth.Includes(subject));
    }
    EXPECT_NE(fifth.Includes(subject), rest.Includes(subject)) << "one of two arms, and only one";
    EXPECT_EQ(fifth.Includes(subject), AssignmentOf(subject, "salt") < 0.2);
  }
  EXPECT_NEAR(in_tenth, 1000, 150);
}

TEST(Assignment, SaltsAreIndependent) {
  int both = 0;
  const SubjectShare a("a", 0, 0.5), b("b", 0, 0.5);
  for (int i = 0; i < 10'000; ++i) both += a.Includes(Subject(i)) && b.Includes(Subject(i)) ? 1 : 0;
  EXPECT_NEAR(both, 2500, 200);
}

TEST(Assignment, BoundsAreKept) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(SubjectShare().Includes(Subject(i)));
    EXPECT_FALSE(SubjectShare("s", 0, 0).Includes(Subject(i)));
    EXPECT_TRUE(SubjectShare("s", 0, 1).Includes(Subject(i)));
    EXPECT_TRUE(SubjectShare("s", -1, 7).Includes(Subject(i)));
    EXPECT_FALSE(SubjectShare("s", nan, nan).Includes(Subject(i)));
    EXPECT_FALSE(SubjectShare("s", 0.7, 0.2).Includes(Subject(i)));
  }
  EXPECT_TRUE(SubjectShare("s", 0, 1).Includes(""));
}

}  // namespace
}  // namespace weir
