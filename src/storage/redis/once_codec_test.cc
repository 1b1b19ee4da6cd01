#include "storage/redis/once_codec.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>
#include <string>
#include <vector>

namespace weir::storage::redis {
namespace {

TEST(OnceCodec, NamesAKeyOfItsOwn) {
  std::string name;
  AppendOnceName(name, "weir:", {.hi = 0x1f, .lo = UINT64_MAX});
  EXPECT_EQ(name, "weir:id1:000000000000001fffffffffffffffff");
}

TEST(OnceCodec, SaysHowLongAndWhatIsToBeTold) {
  std::vector<std::uint64_t> tokens = {7, UINT64_MAX};
  const Once once{.id = {}, .life = 90 * kSecond, .tokens = tokens};
  Command command;
  AddOnce(once, -5, command);
  std::string bytes;
  command.AppendTo(bytes);
  EXPECT_EQ(bytes, "*2\r\n$5\r\n90000\r\n$25\r\n-5 7 18446744073709551615\r\n");
}

TEST(OnceCodec, ReadsWhatIsNewAndWhatIsRepeated) {
  std::vector<std::uint64_t> tokens = {7, 8};
  Once once{.tokens = tokens};
  Nanos at = 0;
  ASSERT_TRUE(ReadOnce("n", 100, once, at));
  EXPECT_FALSE(once.repeated);
  EXPECT_EQ(at, 100);
  EXPECT_EQ(tokens, (std::vector<std::uint64_t>{7, 8}));
  ASSERT_TRUE(ReadOnce("r42 1 18446744073709551615", 100, once, at));
  EXPECT_TRUE(once.repeated);
  EXPECT_EQ(at, 42);
  EXPECT_EQ(tokens, (std::vector<std::uint64_t>{1, UINT64_MAX}));
}

TEST(OnceCodec, RefusesAnythingElse) {
  for (const std::string_view wrong :
       {"", "x", "nn", "r", "r ", "rx", "r5", "r5 ", "r5 1", "r5 1 ", "r5 1 2 3", "r5  1 2", "r5 1  2", "r5 -1 2",
        "r5,1,2", "r99999999999999999999 1 2", "r5 1 18446744073709551616"}) {
    std::vector<std::uint64_t> tokens = {7, 8};
    Once once{.tokens = tokens};
    Nanos at = 0;
    EXPECT_FALSE(ReadOnce(wrong, 100, once, at)) << wrong;
    EXPECT_FALSE(once.repeated) << wrong;
    EXPECT_EQ(tokens, (std::vector<std::uint64_t>{7, 8})) << wrong;
  }
}

TEST(OnceCodec, ReadsNoTextBeyondItsBounds) {
  EXPECT_TRUE(rc::check([](const std::string& text) {
    std::vector<std::uint64_t> tokens(text.size() % 3);
    Once once{.tokens = tokens};
    Nanos at = 0;
    const bool read = ReadOnce("r" + text, 100, once, at);
    RC_ASSERT(read == once.repeated);
  }));
}

}  // namespace
}  // namespace weir::storage::redis
