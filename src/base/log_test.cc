#include "base/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace weir::log {
namespace {

std::string Written(Level level, std::string_view event, std::initializer_list<Field> fields = {}) {
  testing::internal::CaptureStderr();
  Write(level, event, fields);
  return testing::internal::GetCapturedStderr();
}

class Log : public testing::Test {
 protected:
  void TearDown() override { Configure(Level::kInfo, Format::kText); }
};

TEST_F(Log, WritesOneLineOfPairs) {
  const std::string line = Written(Level::kWarn, "something happened", {{"count", "3"}, {"what", "two words"}});
  EXPECT_EQ(line.substr(line.find('Z') + 1), " warn  something happened count=3 what=\"two words\"\n");
  EXPECT_EQ(line[10], 'T');
}

TEST_F(Log, WritesOneJsonObjectALine) {
  Configure(Level::kInfo, Format::kJson);
  const std::string line = Written(Level::kError, "bad \"thing\"", {{"why", "a\nb"}});
  EXPECT_TRUE(line.starts_with(R"({"time":")"));
  EXPECT_NE(line.find(R"("level":"error","event":"bad \"thing\"","why":"a\u000ab"})"), std::string::npos) << line;
}

TEST_F(Log, BytesThatAreNotUtf8AreReplaced) {
  Configure(Level::kInfo, Format::kJson);
  const std::string line = Written(Level::kInfo, "denied", {{"path", "/\xFF\xC3\xBC"}});
  EXPECT_NE(line.find("\"path\":\"/\xEF\xBF\xBD\xC3\xBC\""), std::string::npos) << line;
}

TEST_F(Log, AValueCannotForgeASecondLine) {
  const std::string line = Written(
      Level::kInfo, "login", {{"user", "eve\n2024-01-01T00:00:00.000Z info forged"}, {"key", "a=b"}, {"empty", ""}});
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_NE(line.find(R"(key="a=b" empty="")"), std::string::npos) << line;
}

TEST_F(Log, LevelsBelowTheConfiguredOneAreSilent) {
  EXPECT_EQ(Written(Level::kDebug, "quiet"), "");
  Configure(Level::kError, Format::kText);
  EXPECT_EQ(Written(Level::kWarn, "quiet"), "");
  EXPECT_NE(Written(Level::kError, "loud"), "");
  Configure(Level::kDebug, Format::kText);
  EXPECT_NE(Written(Level::kDebug, "loud"), "");
}

}  // namespace
}  // namespace weir::log
