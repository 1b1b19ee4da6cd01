#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

constexpr std::size_t kFine = std::string_view::npos;

TEST(Utf8, AcceptsEachLength) {
  EXPECT_EQ(FindInvalidUtf8(""), kFine);
  EXPECT_EQ(FindInvalidUtf8("plain"), kFine);
  EXPECT_EQ(FindInvalidUtf8("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"), kFine);
  EXPECT_EQ(FindInvalidUtf8(std::string(64, 'a') + "\xC2\x80"), kFine);
}

TEST(Utf8, NamesTheFirstBadByteWhereverItStands) {
  for (const std::string_view bad : {"\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                                     "\xF4\x90\x80\x80", "\xF5", "\xFF", "\xC3", "\xE2\x82", "\xF0\x9F\x98"}) {
    for (std::size_t before = 0; before < 20; ++before) {
      for (const std::size_t after : {std::size_t{0}, std::size_t{17}}) {
        const std::string text = std::string(before, 'x') + std::string(bad) + std::string(after, 'y');
        EXPECT_EQ(FindInvalidUtf8(text), before) << before << " " << after;
      }
    }
  }
}

TEST(Utf8, IsToldFromWhatIsNot) {
  EXPECT_EQ(FindInvalidUtf8("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x8C\x8A"), std::string_view::npos);
  EXPECT_EQ(FindInvalidUtf8("a\xC0\xAF"), 1U);         // overlong
  EXPECT_EQ(FindInvalidUtf8("a\xE0\x80\xAF"), 1U);     // overlong
  EXPECT_EQ(FindInvalidUtf8("\xED\xA0\x80"), 0U);      // surrogate
  EXPECT_EQ(FindInvalidUtf8("\xF4\x90\x80\x80"), 0U);  // beyond Unicode
  EXPECT_EQ(FindInvalidUtf8("ab\xE2\x82"), 2U);        // cut off
  EXPECT_EQ(FindInvalidUtf8("\x80"), 0U);
}

TEST(Utf8, BadBytesAreReplacedOneByOneAndTheRestIsKept) {
  EXPECT_EQ(ReplaceInvalidUtf8(""), "");
  EXPECT_EQ(ReplaceInvalidUtf8("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F");
  EXPECT_EQ(ReplaceInvalidUtf8("/a\xFF"
                               "b\xE2\x82"),
            "/a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD\xEF\xBF\xBD");
}

}  // namespace
}  // namespace weir
