// AUTH: what is answered before it, and how guessing is slowed.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "frontends/resp/session_fixture.h"

namespace weir::resp {
namespace {

class PasswordTest : public RespTest {
 protected:
  PasswordTest() { Connect({.engine = nullptr, .passwords = SecretSet({"secret"}), .limits = {}}); }
};

// After a few wrong ones the attempts of an address wait for their turn, over all its connections; others notice
// nothing, and neither does anything else.
TEST_F(PasswordTest, GuessingIsSlowedForTheAddressThatGuesses) {
  net::LoginGuard guard("resp");
  const RespOptions options{
      .engine = nullptr, .passwords = SecretSet({"secret", "other"}), .guard = &guard, .limits = {}};
  Connect(options);
  for (int i = 0; i < net::LoginGuard::kFree; ++i) {
    EXPECT_TRUE(Say(i % 2 == 0 ? "AUTH x" : "HELLO 3 AUTH default x").starts_with("-WRONGPASS")) << i;
  }
  EXPECT_EQ(guard.failures(), 8U);
  connection_->Receive("PING\r\nauth x\r\nPING\r\n");
  EXPECT_EQ(connection_->TakeOutput(), "-NOAUTH Authentication required.\r\n");
  EXPECT_TRUE(connection_->paused());
  EXPECT_EQ(connection_->wake_after(), 1'000U);
  const auto slow = std::move(connection_);
  const auto slow_session = std::move(session_);
  Connect(options);
  EXPECT_EQ(Say("HELLO 2"), Say("HELLO 2")) << "is no attempt";
  connection_->Receive("AUTH other\r\nPING\r\n");
  EXPECT_EQ(connection_->wake_after(), 2'000U) << "another connection of the same address";
  EXPECT_TRUE(connection_->Wake());
  EXPECT_EQ(connection_->TakeOutput(), "+OK\r\n+PONG\r\n") << "the right one is right all the same";
  EXPECT_TRUE(slow->Wake());
  EXPECT_EQ(slow->TakeOutput(),
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
            "-NOAUTH Authentication required.\r\n");
  EXPECT_EQ(guard.failures(), 9U);
  // Too many wait.
  for (int i = 0; i < 20; ++i) (void)guard.TakeTurn("192.0.2.7", engine_.clock.Now());
  Connect(options);
  EXPECT_TRUE(Say("AUTH secret").starts_with("-ERR too many failed attempts"));
  EXPECT_TRUE(connection_->closing());
  // Another address.
  net::FakeConnection elsewhere("192.0.2.8");
  RespOptions same = options;
  same.engine = engine_.engine.get();
  const auto session = MakeRespSession(elsewhere, same);
  elsewhere.Attach(session.get());
  elsewhere.Receive("AUTH secret\r\n");
  EXPECT_EQ(elsewhere.TakeOutput(), "+OK\r\n");
  elsewhere.Attach(nullptr);
  slow->Attach(nullptr);
}

TEST_F(PasswordTest, NothingIsAnsweredBeforeAuthentication) {
  for (const std::string_view line :
       {"PING", "CL.THROTTLE k 1 1 1", "WEIR.CHECK user a", "INFO", "COMMAND", "SELECT 0"}) {
    EXPECT_EQ(Say(line), "-NOAUTH Authentication required.\r\n") << line;
  }
  EXPECT_TRUE(Say("HELLO 3").starts_with("-NOAUTH HELLO must be called with the client already authenticated"));
  EXPECT_EQ(engine_.store->batches, 0);
  EXPECT_EQ(Say("AUTH secret"), "+OK\r\n");
  EXPECT_EQ(Say("PING"), "+PONG\r\n");
  EXPECT_EQ(Say("RESET"), "+RESET\r\n");
  EXPECT_EQ(Say("PING"), "-NOAUTH Authentication required.\r\n");
}

TEST_F(PasswordTest, OnlyTheRightPasswordOfTheDefaultUserIsAccepted) {
  const std::string wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
  for (const std::string_view line :
       {"AUTH wrong", "AUTH secre", "AUTH secrets", "AUTH secretsecret", "AUTH \"\"", "AUTH SECRET", "AUTH root secret",
        "AUTH default wrong", "HELLO 3 AUTH default wrong", "HELLO 2 AUTH root secret"}) {
    EXPECT_EQ(Say(line), wrong) << line;
    EXPECT_EQ(Say("PING"), "-NOAUTH Authentication required.\r\n");
  }
  EXPECT_EQ(Say("AUTH a b c"), "-ERR syntax error\r\n");
  EXPECT_TRUE(Say("HELLO 3 AUTH default secret").starts_with("%7\r\n"));
  EXPECT_EQ(Say("PING"), "+PONG\r\n");
}

TEST_F(PasswordTest, GuessingEndsTheConnection) {
  for (int i = 0; i < 100 && !connection_->closing(); ++i) Say("AUTH wrong");
  EXPECT_TRUE(connection_->closing());
}

TEST_F(PasswordTest, StrangersMaySendLittle) {
  EXPECT_EQ(Say("*11"), "-ERR Protocol error: invalid multibulk length\r\n");
  EXPECT_TRUE(connection_->closing());
  Connect({.engine = nullptr, .passwords = SecretSet({"secret"}), .limits = {}});
  EXPECT_EQ(Say("*1\r\n$20000"), "-ERR Protocol error: invalid bulk length\r\n");
  Connect({.engine = nullptr, .passwords = SecretSet({"secret"}), .limits = {}});
  Say("AUTH secret");
  connection_->Receive(Encode({"ECHO", std::string(20'000, 'a')}));
  EXPECT_EQ(connection_->TakeOutput(), "$20000\r\n" + std::string(20'000, 'a') + "\r\n");
}

}  // namespace
}  // namespace weir::resp
