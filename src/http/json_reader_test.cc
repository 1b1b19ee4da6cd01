#include "http/json_reader.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <boost/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "http/json_writer.h"

namespace weir::http {
namespace {

// Text that the reader may change, with the '\0' that it needs, in memory of exactly that size.
class Text {
 public:
  explicit Text(std::string_view text) : bytes_(text.begin(), text.end()) { bytes_.push_back('\0'); }
  JsonReader Read() { return {bytes_.data(), bytes_.size() - 1}; }

 private:
  std::vector<char> bytes_;
};

// Reads any value, whatever it is.
void ReadAny(JsonReader& reader) {
  std::string_view text;
  switch (reader.Peek()) {
    case JsonReader::Kind::kObject:
      for (bool more = reader.EnterObject(&text); more; more = reader.NextMember(&text)) ReadAny(reader);
      return;
    case JsonReader::Kind::kArray:
      for (bool more = reader.EnterArray(); more; more = reader.NextElement()) ReadAny(reader);
      return;
    case JsonReader::Kind::kNull:
      reader.ReadNull();
      return;
    default:
      reader.ReadScalar(&text);
  }
}

bool Accepts(std::string_view json) {
  Text text(json);
  JsonReader reader = text.Read();
  ReadAny(reader);
  return reader.ReadEnd();
}

std::string ReadOneString(std::string_view json) {
  Text text(json);
  JsonReader reader = text.Read();
  std::string_view value;
  return reader.ReadString(&value) && reader.ReadEnd() ? std::string(value) : reader.error();
}

std::string ReadOneNumber(std::string_view json) {
  Text text(json);
  JsonReader reader = text.Read();
  std::uint64_t value = 0;
  return reader.ReadUnsigned(&value) && reader.ReadEnd() ? std::to_string(value) : reader.error();
}

std::string ReadOneNonNegative(std::string_view json) {
  Text text(json);
  JsonReader reader = text.Read();
  double value = 0;
  return reader.ReadNonNegative(&value) && reader.ReadEnd() ? std::to_string(value) : reader.error();
}

TEST(JsonReader, AcceptsWhatTheGrammarAllows) {
  for (const std::string_view json :
       {"{}", "[]", " [ ] ", "\t{\r\n\"a\" : 1 , \"b\":[true,false,null]}", "0", "-0", "1.5e-3", "-12E+4", "\"\"",
        "\"\\u0041\"", "\"\x7f\"", "\"\xf0\x9f\x98\x80\"", "[[[[[[[[]]]]]]]]"}) {
    EXPECT_TRUE(Accepts(json)) << json;
  }
}

TEST(JsonReader, RefusesEverythingElse) {
  const std::vector<std::string_view> wrong = {"",
                                               " ",
                                               "{",
                                               "[",
                                               "]",
                                               "{]",
                                               "{\"a\"}",
                                               "{\"a\":}",
                                               "{\"a\":1,}",
                                               "{a:1}",
                                               "{'a':1}",
                                               "[1,]",
                                               "[,1]",
                                               "[1 2]",
                                               "{\"a\":1 \"b\":2}",
                                               "01",
                                               "-",
                                               "+1",
                                               ".5",
                                               "1.",
                                               "1e",
                                               "1e+",
                                               "0x1",
                                               "NaN",
                                               "Infinity",
                                               "tru",
                                               "truex",
                                               "True",
                                               "nul",
                                               "\"",
                                               "\"a",
                                               "\"\\\"",
                                               "\"\\x\"",
                                               "\"\\u12\"",
                                               "\"\\u12g4\"",
                                               "\"\\ud800\"",
                                               "\"\\ud800\\u0041\"",
                                               "\"\\udc00\"",
                                               "\"\x01\"",
                                               "\"\n\"",
                                               "\"\xff\"",
                                               "\"\xc0\x80\"",
                                               "\"\xed\xa0\x80\"",
                                               "\"\xf4\x90\x80\x80\"",
                                               "\"\xe2\x82\"",
                                               "1 2",
                                               "{} x",
                                               "// c\n1",
                                               "\xef\xbb\xbf{}",
                                               "[[[[[[[[[]]]]]]]]]"};
  for (const std::string_view json : wrong) EXPECT_FALSE(Accepts(json)) << json;
  EXPECT_FALSE(Accepts(std::string_view("1\0", 2)));
  EXPECT_FALSE(Accepts(std::string_view("\"a\0b\"", 5)));
}

TEST(JsonReader, UndoesEscapes) {
  EXPECT_EQ(ReadOneString(R"("a\"\\\/\b\f\n\r\tz")"), "a\"\\/\b\f\n\r\tz");
  EXPECT_EQ(ReadOneString(R"("\u0041\u00e9\u20ac\ud83d\ude00!")"), "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!");
  EXPECT_EQ(ReadOneString("\"\\u0000\""), std::string(1, '\0'));
}

// Plain text is passed over several bytes at a time: what ends it is found wherever it stands.
TEST(JsonReader, FindsEveryByteThatIsNotPlainAtEveryPlace) {
  for (std::size_t before = 0; before < 20; ++before) {
    for (std::size_t after = 0; after < 20; ++after) {
      const std::string front(before, '~'), back(after, ' ');
      for (int c = 0; c < 256; ++c) {
        const char byte = static_cast<char>(c);
        const bool plain = c >= 0x20 && c < 0x80 && byte != '"' && byte != '\\';
        const std::string text = front + byte + back;
        ASSERT_EQ(Accepts('"' + text + '"'), plain) << before << " " << after << " " << c;
        if (plain) {
          ASSERT_EQ(ReadOneString('"' + text + '"'), text);
        }
      }
      ASSERT_EQ(ReadOneString('"' + front + R"(\n\")" + back + '"'), front + "\n\"" + back);
      ASSERT_EQ(ReadOneString('"' + front + "\xc3\xa9" + back + '"'), front + "\xc3\xa9" + back);
      ASSERT_FALSE(Accepts('"' + front + '"' + back + '"'));
    }
  }
}

TEST(JsonReader, ReadsUnsignedIntegersOnly) {
  EXPECT_EQ(ReadOneNumber("0"), "0");
  EXPECT_EQ(ReadOneNumber("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(ReadOneNumber("18446744073709551616"), "$: must be at most 18446744073709551615, got 18446744073709551616");
  EXPECT_EQ(ReadOneNumber("-1"), "$: must be an integer >= 0, got -1");
  EXPECT_EQ(ReadOneNumber("1.5"), "$: must be an integer >= 0, got 1.5");
  EXPECT_EQ(ReadOneNumber("1e3"), "$: must be an integer >= 0, got 1e3");
  EXPECT_EQ(ReadOneNumber("\"7\""), "$: must be an integer >= 0, got \"7\"");
  EXPECT_EQ(ReadOneNumber("null"), "$: must be an integer >= 0, got null");
  EXPECT_EQ(ReadOneNumber(""), "$: must be an integer >= 0, got the end of the text");
}

TEST(JsonReader, ReadsNumbersFromZeroOn) {
  EXPECT_EQ(ReadOneNonNegative("0"), "0.000000");
  EXPECT_EQ(ReadOneNonNegative(" 12.25 "), "12.250000");
  EXPECT_EQ(ReadOneNonNegative("1.5e3"), "1500.000000");
  EXPECT_EQ(ReadOneNonNegative("25E-2"), "0.250000");
  EXPECT_EQ(ReadOneNonNegative("-0.5"), "$: must be a number >= 0, got -0.5");
  EXPECT_EQ(ReadOneNonNegative("1e400"), "$: must be a number that 64 bits can hold, got 1e400");
  EXPECT_EQ(ReadOneNonNegative("\"1\""), "$: must be a number >= 0, got \"1\"");
  EXPECT_EQ(ReadOneNonNegative("NaN"), "$: must be a number >= 0, got something that is no JSON value");
  EXPECT_EQ(ReadOneNonNegative("1."), "$: not valid JSON at byte 2: expected a digit, got the end of the text");
}

TEST(JsonReader, TellsWhereItFailed) {
  Text text(R"({"a":[0,{"b":1},{"b":"x"}]})");
  JsonReader reader = text.Read();
  std::string_view key;
  ASSERT_TRUE(reader.EnterObject(&key));
  std::uint64_t number = 0;
  ASSERT_TRUE(reader.EnterArray());
  ASSERT_TRUE(reader.ReadUnsigned(&number));
  ASSERT_TRUE(reader.NextElement());
  ASSERT_TRUE(reader.EnterObject(&key));
  ASSERT_TRUE(reader.ReadUnsigned(&number));
  ASSERT_FALSE(reader.NextMember(&key));
  ASSERT_TRUE(reader.NextElement());
  ASSERT_TRUE(reader.EnterObject(&key));
  ASSERT_FALSE(reader.ReadUnsigned(&number));
  EXPECT_EQ(reader.error(), "$.a[2].b: must be an integer >= 0, got \"x\"");
  EXPECT_FALSE(reader.NextMember(&key));
  EXPECT_FALSE(reader.ReadEnd());
}

TEST(JsonReader, AgreesWithAnotherReader) {
  const std::vector<std::string> seeds = {
      R"({"user":"alice","cost":12,"headers":{"accept":["a","b"],"x":""},"explain":true,"ip":null})",
      R"([{"a":[[],{},[1.5e-7,-0,0]]},"\u00e9\ud83d\ude00\n",false])", "[[[[[[[[]]]]]]]]",
      "\"\xc3\xa9\xf0\x9f\x98\x80\""};
  // Bytes that matter to JSON, so that a fair part of the changed texts is still right.
  const std::string alphabet = "{}[]\",:\\u0eE+-.1 \ntrufalsn\x01\xc3\xa9\xed";
  std::mt19937 random(7);
  const auto below = [&](std::size_t end) { return std::uniform_int_distribution<std::size_t>(0, end - 1)(random); };
  int accepted = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string json = seeds[below(seeds.size())];
    for (std::size_t change = below(4); change-- > 0 && !json.empty();) {
      const std::size_t at = below(json.size());
      switch (below(3)) {
        case 0:
          json.erase(at, 1 + below(4));
          break;
        case 1:
          json.insert(at, 1, alphabet[below(alphabet.size())]);
          break;
        default:
          json[at] = alphabet[below(alphabet.size())];
      }
    }
    boost::system::error_code fault;
    boost::json::parse_options strict;
    strict.max_depth = JsonReader::kMaxDepth;
    boost::json::parse(json, fault, {}, strict);
    ASSERT_EQ(Accepts(json), !fault) << json;
    if (!fault) ++accepted;
  }
  EXPECT_GT(accepted, 5'000);
}

TEST(JsonReader, ReadsBackEveryTextThatIsWritten) {
  ASSERT_TRUE(rc::check([](const std::string& bytes) {
    std::string json;
    AppendJsonString(bytes, &json);
    boost::system::error_code fault;
    const boost::json::value theirs = boost::json::parse(json, fault);
    RC_ASSERT(!fault);
    RC_ASSERT(ReadOneString(json) == std::string(theirs.as_string()));
  }));
  std::string json;
  AppendJsonString("a\"\\\n\x7f\xff\xc3\xa9", &json);
  EXPECT_EQ(json, "\"a\\\"\\\\\\u000a\\u007f\xef\xbf\xbd\xc3\xa9\"");
}

}  // namespace
}  // namespace weir::http
