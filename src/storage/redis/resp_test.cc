#include "storage/redis/resp.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::storage::redis {
namespace {

using namespace std::string_literals;

std::string Bytes(const Command& command) {
  std::string bytes;
  command.AppendTo(bytes);
  return bytes;
}

TEST(RedisCommand, IsAnArrayOfBulkStrings) {
  EXPECT_EQ(Bytes({"PING"}), "*1\r\n$4\r\nPING\r\n");
  EXPECT_EQ(Bytes(Command{"SET"}.Add("").Add(std::string_view("a\0\r\n", 4)).Add(std::int64_t{-7})),
            "*4\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\0\r\n\r\n$2\r\n-7\r\n"s);
}

TEST(RedisCommand, IsReusable) {
  Command command{"GET", "a"};
  command.Clear();
  command.Add("PING");
  EXPECT_EQ(Bytes(command), "*1\r\n$4\r\nPING\r\n");
}

constexpr std::string_view kAllTypes = "*6\r\n:42\r\n$3\r\nabc\r\n$-1\r\n+OK\r\n-ERR no\r\n*2\r\n:-1\r\n$0\r\n\r\n";

void ExpectAllTypes(const Reply& reply) {
  ASSERT_EQ(reply.type, ReplyType::kArray);
  ASSERT_EQ(reply.elements.size(), 6u);
  EXPECT_EQ(reply.elements[0].integer, 42);
  EXPECT_EQ(reply.elements[1].text, "abc");
  EXPECT_EQ(reply.elements[2].type, ReplyType::kNil);
  EXPECT_TRUE(reply.elements[3].IsStatus("OK"));
  EXPECT_TRUE(reply.elements[4].IsError());
  EXPECT_EQ(reply.elements[4].text, "ERR no");
  ASSERT_EQ(reply.elements[5].elements.size(), 2u);
  EXPECT_EQ(reply.elements[5].elements[0].integer, -1);
  EXPECT_EQ(reply.elements[5].elements[1].type, ReplyType::kString);
}

TEST(RedisReplyReader, ReadsEveryType) {
  ReplyReader reader(4096);
  ASSERT_TRUE(reader.Feed(kAllTypes));
  const auto reply = reader.Next();
  ASSERT_TRUE(reply && *reply);
  ExpectAllTypes(**reply);
  EXPECT_FALSE(reader.Next().value().has_value());
}

TEST(RedisReplyReader, ReadsRepliesThatComeInAnyPieces) {
  const std::string twice = std::string(kAllTypes) + std::string(kAllTypes);
  for (std::size_t piece = 1; piece <= twice.size(); ++piece) {
    ReplyReader reader(4096);
    int replies = 0;
    for (std::size_t at = 0; at < twice.size(); at += piece) {
      ASSERT_TRUE(reader.Feed(std::string_view(twice).substr(at, piece)));
      while (true) {
        auto reply = reader.Next();
        ASSERT_TRUE(reply.has_value());
        if (!*reply) break;
        ExpectAllTypes(**reply);
        ++replies;
      }
    }
    EXPECT_EQ(replies, 2) << "in pieces of " << piece;
  }
}

TEST(RedisReplyReader, RefusesGarbage) {
  for (const std::string_view bytes :
       {"garbage\r\n", "HTTP/1.1 400 Bad Request\r\n", "$abc\r\n", ":1x\r\n", "*-5\r\n", "$-7\r\n"}) {
    ReplyReader reader(4096);
    const bool fed = reader.Feed(bytes).has_value();
    const auto reply = reader.Next();
    EXPECT_TRUE(!fed || !reply.has_value()) << bytes;
    if (!reply) {
      EXPECT_EQ(reply.error().code, ErrorCode::kDataLoss);
    }
  }
}

TEST(RedisReplyReader, TakesNoMemoryForWhatIsOnlyAnnounced) {
  for (const std::string bytes : {"*2147483647\r\n", "*1000000\r\n", "*16000\r\n*16000\r\n*16000\r\n"}) {
    ReplyReader reader(1 << 20);
    ASSERT_TRUE(reader.Feed(bytes));
    EXPECT_FALSE(reader.Next().has_value()) << bytes;
  }
}

TEST(RedisReplyReader, RefusesRepliesThatAreTooLong) {
  ReplyReader reader(4096);
  ASSERT_TRUE(reader.Feed("$100000\r\n"));
  ASSERT_TRUE(reader.Next().has_value());
  const std::string chunk(1000, 'x');
  bool refused = false;
  for (int i = 0; i < 10 && !refused; ++i) refused = !reader.Feed(chunk).has_value();
  EXPECT_TRUE(refused);
}

TEST(RedisReplyReader, RefusesNestingWithoutEnd) {
  ReplyReader reader(1 << 20);
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "*1\r\n";
  ASSERT_TRUE(reader.Feed(deep));
  EXPECT_FALSE(reader.Next().has_value());
}

TEST(RedisReplyReader, TheBudgetIsPerReply) {
  ReplyReader reader(16 << 20);
  std::string large = "*10000\r\n";
  for (int i = 0; i < 10'000; ++i) large += ":1\r\n";
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(reader.Feed(large));
    const auto reply = reader.Next();
    ASSERT_TRUE(reply && *reply);
    EXPECT_EQ((*reply)->elements.size(), 10'000u);
  }
}

TEST(RedisError, IsClassifiedByItsFirstWord) {
  EXPECT_EQ(Classify("NOSCRIPT No matching script. Please use EVAL."), ErrorKind::kNoScript);
  EXPECT_EQ(Classify("READONLY You can't write against a read only replica."), ErrorKind::kReadOnly);
  EXPECT_EQ(Classify("LOADING Redis is loading the dataset in memory"), ErrorKind::kLoading);
  EXPECT_EQ(Classify("MASTERDOWN Link with MASTER is down"), ErrorKind::kLoading);
  EXPECT_EQ(Classify("BUSY Redis is busy running a script."), ErrorKind::kBusy);
  EXPECT_EQ(Classify("OOM command not allowed when used memory > 'maxmemory'."), ErrorKind::kOom);
  EXPECT_EQ(Classify("NOPERM this user has no permissions"), ErrorKind::kRefused);
  EXPECT_EQ(Classify("NOAUTH Authentication required."), ErrorKind::kRefused);
  EXPECT_EQ(Classify("WRONGTYPE Operation against a key"), ErrorKind::kOther);
  EXPECT_EQ(Classify("BUSYGROUP exists"), ErrorKind::kOther);
  EXPECT_EQ(Classify(""), ErrorKind::kOther);
}

TEST(RedisError, IsFoundInsideTheErrorOfAScript) {
  EXPECT_EQ(Classify("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write"),
            ErrorKind::kReadOnly);
  EXPECT_EQ(Classify("ERR Error running script (call to f_1): @user_script:9: -OOM command not allowed"),
            ErrorKind::kOom);
}

}  // namespace
}  // namespace weir::storage::redis
