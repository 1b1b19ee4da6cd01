#include "config/compile/response_style.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/linger.h"

namespace weir::config {
namespace {

TEST(ResponseStyle, NothingOutOfTheOrdinaryIsNothing) {
  EXPECT_EQ(CompileStyle({}, std::nullopt), nullptr);
  EXPECT_EQ(CompileStyle({}, DenialConfig{}), nullptr);
}

TEST(ResponseStyle, HoldsWhatWasWritten) {
  const auto style = CompileStyle({.retry_after = "X-Retry"}, DenialConfig{.status = 503,
                                                                           .body = DenialBody::kHtml,
                                                                           .message = "Come back tomorrow.",
                                                                           .headers = {{"X-A", "1"}, {"X-B", "2 3"}}});
  ASSERT_NE(style, nullptr);
  EXPECT_EQ(style->names.retry_after, "X-Retry");
  EXPECT_EQ(style->names.policy, "");
  EXPECT_TRUE(style->denial);
  EXPECT_EQ(style->denial_status, 503);
  EXPECT_EQ(style->denial_body, DenialBody::kHtml);
  EXPECT_EQ(style->denial_message, "Come back tomorrow.");
  EXPECT_EQ(style->denial_headers, "X-A: 1\r\nX-B: 2 3\r\n");
}

TEST(ResponseStyle, OtherNamesAloneAreNoDenial) {
  const auto style = CompileStyle({.retry_after = "X-Retry"}, std::nullopt);
  ASSERT_NE(style, nullptr);
  EXPECT_FALSE(style->denial);
}

TEST(ResponseStyle, OutlivesItsOwner) {
  auto style = CompileStyle({}, DenialConfig{.status = 418});
  const ResponseStyle* const seen = style.get();
  style = nullptr;
  EXPECT_EQ(seen->denial_status, 418);
  FreeLingeringObjects(std::numeric_limits<Nanos>::max());
}

}  // namespace
}  // namespace weir::config
