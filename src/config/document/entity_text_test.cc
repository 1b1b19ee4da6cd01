#include "config/document/entity_text.h"

#include <gtest/gtest.h>

#include "config/snapshot/random_config.h"

namespace weir::config {
namespace {

template <typename Limits>
void ExpectSame(const Limits& limits) {
  const std::string json = LimitsToJson(limits);
  EXPECT_EQ(json.find('\n'), std::string::npos) << json;
  const auto back = LimitsFromJson<Limits>(json);
  ASSERT_TRUE(back) << back.error().message << "\n" << json;
  EXPECT_TRUE(*back == limits) << json;
}

TEST(EntityText, SaysWhatTheLimitsSay) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const EnterpriseRateLimitConfig document = RandomConfig(seed).Document();
    for (const auto& [name, limits] : document.tenants) ExpectSame(limits);
    for (const auto& [name, limits] : document.users) ExpectSame(limits);
    for (const auto& [name, limits] : document.api_keys) ExpectSame(limits);
  }
  ExpectSame(TenantLimits{});
}

TEST(EntityText, TellsWhatIsWrong) {
  const auto error = [](std::string_view json) {
    const auto read = LimitsFromJson<UserLimits>(json);
    return read ? std::string() : read.error().message;
  };
  EXPECT_NE(error(R"({"teir": "pro"})").find("did you mean 'tier'?"), std::string::npos);
  EXPECT_NE(error(R"({"tier")"), "");
  EXPECT_NE(error("[]"), "");
}

}  // namespace
}  // namespace weir::config
