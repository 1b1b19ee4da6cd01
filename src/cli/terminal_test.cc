#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace weir::cli {
namespace {

TEST(Terminal, TableAlignsAndNeutralisesControlBytes) {
  EXPECT_EQ(Table({{"a", "bb"}, {"ccc", "d\x1b[2J"}}),
            "a    bb\n"
            "---  -----\n"
            "ccc  d?[2J\n");
}

TEST(Terminal, NoTextSteersTheTerminal) {
  EXPECT_EQ(Printable("gr\xC3\xBC\xC3\x9F\t\x7f"), "gr\xC3\xBC\xC3\x9F??");
  EXPECT_EQ(Printable("\xC2\x9B"
                      "2J\xC2\xA0"),
            "?2J\xC2\xA0");  // CSI in one code point
  EXPECT_EQ(Printable("\x9B"
                      "2J"),
            "\xEF\xBF\xBD"
            "2J");
}

TEST(Terminal, Durations) {
  EXPECT_EQ(Duration(0), "now");
  EXPECT_EQ(Duration(999), "999 ns");
  EXPECT_EQ(Duration(1'500'000), "1.5 ms");
  EXPECT_EQ(Duration(90 * kSecond), "1 min 30 s");
  EXPECT_EQ(Duration(2 * kHour + 5 * kMinute), "2 h 5 min");
  EXPECT_EQ(Duration(49 * kHour), "2 d 1 h");
}

TEST(Terminal, Counts) {
  EXPECT_EQ(Count(0), "0");
  EXPECT_EQ(Count(999), "999");
  EXPECT_EQ(Count(1000), "1,000");
  EXPECT_EQ(Count(1234567), "1,234,567");
  EXPECT_EQ(Count(UINT64_MAX), "unlimited");
}

TEST(Terminal, BarsScaleToTheHighestAndNeverHideADenial) {
  const Bar bars[] = {{"a", 100, 0}, {"b", 50, 1}};
  EXPECT_EQ(StackedBars(bars, 4), "a ████ 100\nb ██░ 50 + 1 denied\n");
}

}  // namespace
}  // namespace weir::cli
