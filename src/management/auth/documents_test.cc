#include "management/auth/documents.h"

#include <gtest/gtest.h>

#include "base/test_directory.h"

namespace weir::management {
namespace {

TEST(Documents, AreKeptByKindAndNumber) {
  TestDirectory directory;
  {
    auto database = std::move(*Database::Open(directory / "auth.db"));
    Documents documents(*database);
    ASSERT_TRUE(documents.Put("rollouts", 3, "{}"));
    ASSERT_TRUE(documents.Put("rollouts", 3, R"({"a":1})"));
    ASSERT_TRUE(documents.Put("rollouts", 12, "twelve"));
    ASSERT_TRUE(documents.Put("approvals", 4, "four"));
  }
  auto database = std::move(*Database::Open(directory / "auth.db"));
  Documents documents(*database);
  EXPECT_EQ(*documents.Get("rollouts", 3), R"({"a":1})");
  EXPECT_EQ(documents.Get("rollouts", 4).error().code, ErrorCode::kNotFound);
  const auto all = documents.List("rollouts", 0, 10);
  ASSERT_TRUE(all);
  EXPECT_EQ(*all, (Documents::Listed{{12, "twelve"}, {3, R"({"a":1})"}}));
  EXPECT_EQ(documents.List("rollouts", 12, 10)->size(), 1U);
  EXPECT_EQ(documents.List("rollouts", 0, 1)->size(), 1U);
  ASSERT_TRUE(documents.Trim("rollouts", 1));
  EXPECT_EQ(documents.Get("rollouts", 3).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(documents.Get("approvals", 4));
  EXPECT_EQ(documents.Put("rollouts", 5, std::string(Documents::kMostBytes + 1, 'x')).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace weir::management
