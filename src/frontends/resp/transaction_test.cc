// MULTI, EXEC and DISCARD.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "frontends/resp/session_fixture.h"

namespace weir::resp {
namespace {

using SessionTest = RespTest;

TEST_F(SessionTest, ATransactionIsAnsweredAsOneArray) {
  EXPECT_EQ(Say("MULTI"), "+OK\r\n");
  EXPECT_EQ(Say("CL.THROTTLE k 1 1 60"), "+QUEUED\r\n");
  EXPECT_EQ(Say("PING hello"), "+QUEUED\r\n");
  EXPECT_EQ(Say("THROTTLE k 2 1 60"), "+QUEUED\r\n");
  EXPECT_EQ(engine_.store->batches, 0) << "nothing is asked before EXEC";
  EXPECT_EQ(Say("WEIR.CHECK user u"), "+QUEUED\r\n");
  EXPECT_EQ(Say("CL.THROTTLE k 1 1 60"), "+QUEUED\r\n");
  const std::string reply = Say("EXEC");
  EXPECT_TRUE(reply.starts_with("*5\r\n" + Integers({0, 2, 1, -1, 60}) + "$5\r\nhello\r\n" +
                                Integers({1, 2, 0, 120, 0}) + "*22\r\n"))
      << reply;
  EXPECT_TRUE(reply.ends_with(Integers({1, 2, 0, 60, 120}))) << "each decides for itself: " << reply;
  EXPECT_EQ(engine_.store->batches, 1);
  EXPECT_EQ(Say("EXEC"), "-ERR EXEC without MULTI\r\n");
  EXPECT_EQ(session_->held(), 0U);
}

TEST_F(SessionTest, ATransactionInOneRead) {
  EXPECT_EQ(Say("MULTI\r\nCL.THROTTLE k 1 1 60\r\nEXEC\r\nPING"),
            "+OK\r\n+QUEUED\r\n*1\r\n" + Integers({0, 2, 1, -1, 60}) + "+PONG\r\n");
  EXPECT_EQ(Say("MULTI\r\nEXEC"), "+OK\r\n*0\r\n");
}

TEST_F(SessionTest, WhatIsRefusedInATransactionChargesNothing) {
  const std::string abort = "-EXECABORT Transaction discarded because of previous errors.\r\n";
  for (const std::string_view wrong :
       {"GET key", "ECHO", "CL.THROTTLE k 1 x 60", "CL.THROTTLE k 1 1", "THROTTLE k 0 1 60", "WEIR.CHECK user",
        "WEIR.CHECK colour red", "WEIR.PEEK ip nonsense", "WEIR.COMMIT x 1", "WEIR.COMMIT 1", "WEIR.CANCEL -1",
        "WEIR.EXTEND 1 x", "WEIR.EXTEND 1 1 all", "WEIR.FEEDBACK user u", "WEIR.RESET user u", "AUTH default x",
        "HELLO 3"}) {
    EXPECT_EQ(Say("MULTI"), "+OK\r\n");
    EXPECT_EQ(Say("CL.THROTTLE k 1 1 60"), "+QUEUED\r\n");
    EXPECT_TRUE(Say(wrong).starts_with("-")) << wrong;
    EXPECT_EQ(Say("CL.THROTTLE k 1 1 60"), "+QUEUED\r\n");
    EXPECT_EQ(Say("EXEC"), abort) << wrong;
  }
  EXPECT_EQ(engine_.store->batches, 0);
  // An error outside of a transaction is not its fault.
  Say("GET key");
  Say("MULTI");
  EXPECT_EQ(Say("EXEC"), "*0\r\n");
}

TEST_F(SessionTest, DiscardResetAndTheEndForgetATransaction) {
  Say("MULTI");
  Say("CL.THROTTLE k 0 1 60");
  EXPECT_EQ(Say("DISCARD"), "+OK\r\n");
  EXPECT_EQ(Say("DISCARD"), "-ERR DISCARD without MULTI\r\n");
  Say("MULTI");
  Say("CL.THROTTLE k 0 1 60");
  EXPECT_GT(session_->held(), 0U);
  EXPECT_EQ(Say("RESET"), "+RESET\r\n");
  EXPECT_EQ(session_->held(), 0U);
  EXPECT_EQ(Say("EXEC"), "-ERR EXEC without MULTI\r\n");
  Say("MULTI");
  Say("CL.THROTTLE k 0 1 60");
  Connect();
  EXPECT_EQ(Say("CL.THROTTLE k 0 1 60"), Integers({0, 1, 0, -1, 60}));
}

TEST_F(SessionTest, NestingAndWatching) {
  EXPECT_EQ(Say("WATCH key other"), "+OK\r\n");
  EXPECT_EQ(Say("UNWATCH"), "+OK\r\n");
  Say("MULTI");
  EXPECT_EQ(Say("MULTI"), "-ERR MULTI calls can not be nested\r\n");
  EXPECT_EQ(Say("WATCH key"), "-ERR WATCH inside MULTI is not allowed\r\n");
  EXPECT_EQ(Say("PING"), "+QUEUED\r\n");
  EXPECT_EQ(Say("EXEC"), "*1\r\n+PONG\r\n") << "as with Redis, these two spoil nothing";
}

TEST_F(SessionTest, ATransactionIsBounded) {
  RespOptions options;
  options.limits.max_command_bytes = 10'000;
  Connect(options);
  Say("MULTI");
  const std::string line = "CL.THROTTLE " + std::string(900, 'k') + " 1 1 60";
  int queued = 0;
  while (queued < 100 && Say(line) == "+QUEUED\r\n") ++queued;
  EXPECT_GE(queued, 9);
  EXPECT_LE(queued, 11);
  EXPECT_LT(session_->held(), 40'000U);
  EXPECT_TRUE(Say("EXEC").starts_with("-EXECABORT"));
  EXPECT_EQ(session_->held(), 0U);
  EXPECT_EQ(engine_.store->batches, 0);
}

// More than one batch holds: the array is whole all the same, at once and over a store that answers later.
TEST_F(SessionTest, ALargeTransactionIsCarriedOutInParts) {
  constexpr int kMany = 1'000;
  std::string input = Encode({"MULTI"});
  std::string expected = "+OK\r\n";
  for (int i = 0; i < kMany; ++i) {
    input += Encode({"CL.THROTTLE", "k" + std::to_string(i), "0", "1", "60"});
    expected += "+QUEUED\r\n";
  }
  expected += "*1000\r\n";
  const std::string once = expected;
  std::string second = once;
  for (int i = 0; i < kMany; ++i) expected += Integers({0, 1, 0, -1, 60});
  for (int i = 0; i < kMany; ++i) second += Integers({1, 1, 0, 60, 60});
  input += Encode({"EXEC"}) + Encode({"PING"});
  connection_->Receive(input);
  EXPECT_EQ(connection_->TakeOutput(), expected + "+PONG\r\n");
  EXPECT_EQ(engine_.store->batches, 16) << "batches of 256, each in parts of 64";
  engine_.store->hold = true;
  connection_->Receive(input);
  std::string told;
  while (engine_.store->AnswerOne()) {
    connection_->RunPosted();
    told += connection_->TakeOutput();
  }
  EXPECT_EQ(told, second + "+PONG\r\n");
  EXPECT_FALSE(connection_->paused());
  EXPECT_EQ(session_->held(), 0U);
}

}  // namespace
}  // namespace weir::resp
