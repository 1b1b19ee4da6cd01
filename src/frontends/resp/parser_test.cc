#include "frontends/resp/parser.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

namespace weir::resp {
namespace {

using Status = CommandParser::Status;
using Words = std::vector<std::string>;

Words ToWords(const CommandParser& parser) { return {parser.arguments().begin(), parser.arguments().end()}; }

std::string Encode(const Words& words) {
  std::string text = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return text;
}

TEST(CommandParser, ReadsArraysOfBulkStrings) {
  CommandParser parser({});
  const std::string input = "*3\r\n$4\r\nECHO\r\n$0\r\n\r\n$4\r\na\r\nb\r\nrest";
  ASSERT_EQ(parser.Parse(input), Status::kCommand);
  EXPECT_EQ(ToWords(parser), (Words{"ECHO", "", "a\r\nb"}));
  EXPECT_EQ(parser.consumed(), input.size() - 4);
}

TEST(CommandParser, ReadsInlineCommandsWithQuotesAndEscapes) {
  const std::pair<std::string, Words> cases[] = {
      {"PING\r\n", {"PING"}},
      {"PING\n", {"PING"}},
      {"  CL.THROTTLE  user 15\t30 60 \r\n", {"CL.THROTTLE", "user", "15", "30", "60"}},
      {R"(echo "a b" 'c d' "" ''
)",
       {"echo", "a b", "c d", "", ""}},
      {R"(echo "\x41\n\r\t\b\a\"\\\q\x4" '\'' '\n'
)",
       {"echo", "A\n\r\t\b\a\"\\qx4", "'", "\\n"}},
      {"ec\"ho\"\n", {"echo"}},
  };
  for (const auto& [line, words] : cases) {
    CommandParser parser({});
    ASSERT_EQ(parser.Parse(line), Status::kCommand) << line;
    EXPECT_EQ(ToWords(parser), words) << line;
    EXPECT_EQ(parser.consumed(), line.size());
  }
}

TEST(CommandParser, EmptyLinesAndArraysAreNothing) {
  for (const std::string_view input : {"\r\n", "\n", "   \r\n", "*0\r\n", "*-1\r\n", "*-99\r\n"}) {
    CommandParser parser({});
    EXPECT_EQ(parser.Parse(input), Status::kEmpty) << input;
    EXPECT_EQ(parser.consumed(), input.size());
  }
}

TEST(CommandParser, RefusesWhatIsMalformed) {
  const std::string huge(100, '9');
  const std::pair<std::string, std::string_view> cases[] = {
      {"*x\r\n", "Protocol error: invalid multibulk length"},
      {"*\r\n", "Protocol error: invalid multibulk length"},
      {"*1\n$4\r\nPING\r\n", "Protocol error: invalid multibulk length"},
      {"*1\rx", "Protocol error: invalid multibulk length"},
      {"*1025\r\n", "Protocol error: invalid multibulk length"},
      {"*" + huge, "Protocol error: invalid multibulk length"},
      {"*1\r\n:5\r\n", "Protocol error: expected '$', got ':'"},
      {"*1\r\n*1\r\n$4\r\nPING\r\n", "Protocol error: expected '$', got '*'"},
      {"*2\r\n$4\r\nECHO\r\nhello\r\n", "Protocol error: expected '$', got 'h'"},
      {"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$x\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$65537\r\n", "Protocol error: invalid bulk length"},
      {"*1\r\n$" + huge, "Protocol error: invalid bulk length"},
      {"*1\r\n$4\r\nPINGxx", "Protocol error: a bulk string does not end with CRLF"},
      {"echo \"abc\r\n", "Protocol error: unbalanced quotes in request"},
      {"echo 'abc'd\r\n", "Protocol error: unbalanced quotes in request"},
      {std::string(65'537, 'a'), "Protocol error: too big inline request"},
      {std::string(65'537, 'a') + "\r\n", "Protocol error: too big inline request"},
  };
  for (const auto& [input, error] : cases) {
    CommandParser parser({});
    EXPECT_EQ(parser.Parse(input), Status::kBroken) << input.substr(0, 60);
    EXPECT_EQ(parser.error(), error) << input.substr(0, 60);
  }
}

TEST(CommandParser, BoundsAWholeCommand) {
  ParserLimits limits;
  limits.max_command_bytes = 1'000;
  CommandParser parser(limits);
  EXPECT_EQ(parser.Parse(Encode({std::string(400, 'a'), std::string(400, 'b')})), Status::kCommand);
  EXPECT_EQ(parser.Parse(Encode({std::string(400, 'a'), std::string(700, 'b')})), Status::kBroken);
  EXPECT_EQ(parser.error(), "Protocol error: too big command");
  limits.max_arguments = 3;
  CommandParser narrow(limits);
  EXPECT_EQ(narrow.Parse("a b c\n"), Status::kCommand);
  EXPECT_EQ(narrow.Parse("a b c d\n"), Status::kBroken);
  EXPECT_EQ(narrow.Parse("*4\r\n"), Status::kBroken);
}

TEST(CommandParser, SaysMoreForEveryPrefixAndGoesOnFromThere) {
  for (const std::string& input :
       {Encode({"WEIR.CHECK", "user", "", "path", "/a\r\nb"}), std::string("echo 'a b' \"c\"\r\n")}) {
    CommandParser whole({});
    ASSERT_EQ(whole.Parse(input), Status::kCommand);
    CommandParser parser({});
    for (std::size_t size = 0; size < input.size(); ++size) {
      // Elsewhere in memory each time, as a connection shows it.
      const std::string prefix = input.substr(0, size);
      ASSERT_EQ(parser.Parse(prefix), Status::kMore) << size;
    }
    ASSERT_EQ(parser.Parse(input), Status::kCommand);
    EXPECT_EQ(ToWords(parser), ToWords(whole));
    EXPECT_EQ(parser.consumed(), input.size());
  }
}

TEST(CommandParser, ReadsBackWhatIsEncodedHoweverItIsCut) {
  EXPECT_TRUE(rc::check([] {
    const auto commands = *rc::gen::container<std::vector<Words>>(
        rc::gen::nonEmpty(rc::gen::container<Words>(rc::gen::arbitrary<std::string>())));
    std::string input;
    for (const Words& words : commands) input += Encode(words);
    CommandParser parser({});
    std::size_t begin = 0, end = 0;
    for (const Words& words : commands) {
      while (parser.Parse(std::string_view(input).substr(begin, end - begin)) == Status::kMore) {
        RC_ASSERT(end < input.size());
        end = *rc::gen::inRange(end + 1, input.size() + 1);
      }
      RC_ASSERT(ToWords(parser) == words);
      begin += parser.consumed();
    }
    RC_ASSERT(begin == input.size());
  }));
}

TEST(CommandParser, SurvivesAnything) {
  EXPECT_TRUE(rc::check([] {
    const auto input = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("*$\r\n019-aZ\"'\\x ")));
    CommandParser parser({});
    std::size_t position = 0;
    for (;;) {
      const Status status = parser.Parse(std::string_view(input).substr(position));
      if (status == Status::kMore || status == Status::kBroken) break;
      RC_ASSERT(parser.consumed() > 0U);
      position += parser.consumed();
      RC_ASSERT(position <= input.size());
    }
  }));
}

}  // namespace
}  // namespace weir::resp
