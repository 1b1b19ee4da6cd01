#include "management/rest/live_config.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "management/rest/api_fixture.h"

namespace weir::management::rest {
namespace {

class LiveConfigTest : public ApiFixture {
 protected:
  void SetUp() override {
    StartApi("global: {free_tier: {max_requests: 2, window_seconds: 3600, identifier: user_id}}\n", false);
  }
  static config::RecordWrite PutOf(std::string kind, std::string key, std::string value) {
    return {.id = {.kind = std::move(kind), .key = std::move(key)},
            .body = config::RecordBody{.value = std::move(value)}};
  }
  std::uint64_t Write(std::vector<config::RecordWrite> writes) {
    const auto appended = store_->Append({.origin = {.author = "another"}, .writes = std::move(writes)});
    EXPECT_TRUE(appended) << appended.error().message;
    return appended ? appended->revision.number : 0;
  }
};

TEST_F(LiveConfigTest, AChangeOfManyRecordsIsWholeWhenItIsSaidToBeInForce) {
  constexpr std::size_t kMany = 10'000;  // more than are read at once
  std::vector<config::RecordWrite> writes;
  for (std::size_t i = 0; i < kMany; ++i) writes.push_back(PutOf("users", "u" + std::to_string(i), "{}"));
  ASSERT_TRUE(live_->CatchUp(Write(std::move(writes))));
  EXPECT_EQ(engine_->snapshot()->user_count(), kMany);
}

// The API refuses what would make them so; another process may write it, or two files and stores come together.
TEST_F(LiveConfigTest, ATreeOfTenantsIsNeverDeeperThanItsLevelsLiveOrAfterAStart) {
  std::vector<config::RecordWrite> writes = {PutOf("tenants", "acme", "{}"), PutOf("tenants", "t1", "{}")};
  for (int i = 2; i <= 8; ++i) {
    const std::string parent = "t" + std::to_string(i - 1);
    writes.push_back(PutOf("tenants", "t" + std::to_string(i), R"({"parent":")" + parent + R"("})"));
  }
  ASSERT_TRUE(live_->CatchUp(Write(std::move(writes))));
  const ApiResponse refused = Ask("PUT", "/tenants/t1", R"({"parent":"acme"})");
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(refused.body.find("tenants.t8.parent: is more than 8 levels deep: 't8' in 't7'"), std::string::npos)
      << refused.body;
  EXPECT_EQ(Ask("PUT", "/tenants/t1", R"({"parent":"t8"})").status, 422);
  ASSERT_TRUE(live_->CatchUp(Write({PutOf("tenants", "t1", R"({"parent":"acme"})")})));
  EXPECT_EQ(engine_->snapshot()->FindTenant("t1")->parent(), "") << "logged; what was in force stays";
  StopLive();
  StartLive(false);
  const auto snapshot = engine_->snapshot();
  EXPECT_EQ(snapshot->FindTenant("t8")->parent(), "t7");
  EXPECT_EQ(snapshot->FindTenant("t1")->parent(), "");
}

}  // namespace
}  // namespace weir::management::rest
