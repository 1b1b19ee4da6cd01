// The protocol and the commands that are Redis' own; what a pipeline is; asynchronous stores.
#include "frontends/resp/session.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <thread>
#include <vector>

#include "frontends/resp/session_fixture.h"

namespace weir::resp {
namespace {

using SessionTest = RespTest;

TEST_F(SessionTest, AnswersWhatClientsSayFirst) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"PING", "+PONG\r\n"},
      {"ping hello", "$5\r\nhello\r\n"},
      {"PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
      {"ECHO hello", "$5\r\nhello\r\n"},
      {"ECHO", "-ERR wrong number of arguments for 'echo' command\r\n"},
      {"SELECT 0", "+OK\r\n"},
      {"SELECT 1", "-ERR DB index is out of range\r\n"},
      {"SELECT x", "-ERR value is not an integer or out of range\r\n"},
      {"CLIENT SETNAME me", "+OK\r\n"},
      {"CLIENT GETNAME", "$2\r\nme\r\n"},
      {"CLIENT SETNAME \"a b\"", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
      {"CLIENT SETNAME \"\"", "+OK\r\n"},
      {"CLIENT GETNAME", "$-1\r\n"},
      {"CLIENT SETINFO LIB-NAME redis-py", "+OK\r\n"},
      {"CLIENT SETINFO lib-ver 5.0", "+OK\r\n"},
      {"CLIENT SETINFO colour red", "-ERR Unrecognized option 'colour'\r\n"},
      {"CLIENT NO-EVICT on", "+OK\r\n"},
      {"CLIENT NO-TOUCH off", "+OK\r\n"},
      {"CLIENT TRACKING OFF", "+OK\r\n"},
      {"CLIENT GETNAME x", "-ERR wrong number of arguments for 'client|getname' command\r\n"},
      {"CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n"},
      {"CLIENT", "-ERR wrong number of arguments for 'client' command\r\n"},
      {"CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
      {"CONFIG GET appendonly", "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n"},
      {"CONFIG GET nothing", "*0\r\n"},
      {"CONFIG SET save x", "-ERR unknown subcommand 'SET'. Try CONFIG HELP.\r\n"},
      {"CONFIG GET", "-ERR wrong number of arguments for 'config|get' command\r\n"},
      {"AUTH x",
       "-ERR AUTH <password> called without any password configured for the default user. Are you sure your "
       "configuration is correct?\r\n"},
      {"RESET", "+RESET\r\n"},
      {"GET key", "-ERR unknown command 'GET', with args beginning with: 'key' \r\n"},
      {"\"f\\r\\noo\" 'a b' c", "-ERR unknown command 'f  oo', with args beginning with: 'a b' 'c' \r\n"},
      {"\"\"", "-ERR unknown command '', with args beginning with: \r\n"},
      {"", ""},
      {"*0", ""},
  };
  for (const auto& [line, reply] : cases) EXPECT_EQ(Say(line), reply) << line;
  EXPECT_FALSE(connection_->closing());
}

TEST_F(SessionTest, LongUnknownCommandsAreCutAsRedisCutsThem) {
  const std::string reply =
      Say(std::string(200, 'x') + " " + std::string(100, 'a') + " " + std::string(100, 'b') + " c");
  EXPECT_EQ(reply, "-ERR unknown command '" + std::string(128, 'x') + "', with args beginning with: '" +
                       std::string(100, 'a') + "' '" + std::string(25, 'b') + "' \r\n");
}

TEST_F(SessionTest, DescribesItsCommands) {
  const std::string count = Say("COMMAND COUNT");
  const int commands = std::stoi(count.substr(1));
  EXPECT_GE(commands, 20);
  EXPECT_TRUE(Say("COMMAND").starts_with("*" + std::to_string(commands) + "\r\n*10\r\n$4\r\nauth\r\n:-2\r\n*3\r\n"));
  EXPECT_TRUE(Say("COMMAND DOCS").starts_with("*" + std::to_string(2 * commands) + "\r\n$4\r\nauth\r\n*8\r\n"));
  EXPECT_TRUE(Say("COMMAND LIST").starts_with("*" + std::to_string(commands) + "\r\n$4\r\nauth\r\n"));
  EXPECT_TRUE(Say("COMMAND DOCS nothing PING").starts_with("*2\r\n$4\r\nping\r\n*8\r\n$7\r\nsummary\r\n"));
  EXPECT_TRUE(Say("COMMAND INFO nothing CL.throttle").starts_with("*2\r\n$-1\r\n*10\r\n$11\r\ncl.throttle\r\n:-1\r\n"));
  EXPECT_TRUE(Say("COMMAND INFO WEIR.Feedback").starts_with("*1\r\n*10\r\n$13\r\nweir.feedback\r\n:-1\r\n"));
  EXPECT_EQ(Say("COMMAND GETKEYS CL.THROTTLE user 1 1 1"), "*1\r\n$4\r\nuser\r\n");
  EXPECT_EQ(Say("COMMAND GETKEYS PING"), "-ERR The command has no key arguments\r\n");
  EXPECT_EQ(Say("COMMAND FOO"), "-ERR unknown subcommand 'FOO'. Try COMMAND HELP.\r\n");
}

TEST_F(SessionTest, TellsAboutTheServer) {
  Say("CL.THROTTLE k 1 1 1");
  const std::string info = Say("INFO");
  for (const std::string_view line : {"# Server\r\n", "redis_version:7.", "weir_version:", "role:master\r\n",
                                      "store:held\r\n", "store_entries:1\r\n"}) {
    EXPECT_NE(info.find(line), std::string::npos) << line << " in " << info;
  }
  EXPECT_NE(Say("CLIENT INFO").find(" addr=192.0.2.7 name= db=0 "), std::string::npos);
}

TEST_F(SessionTest, HelloChoosesTheProtocol) {
  const std::string in_three = Say("HELLO 3");
  EXPECT_TRUE(in_three.starts_with("%7\r\n$6\r\nserver\r\n$4\r\nweir\r\n")) << in_three;
  EXPECT_NE(in_three.find("$5\r\nproto\r\n:3\r\n"), std::string::npos);
  EXPECT_EQ(Say("CLIENT GETNAME"), "_\r\n");
  EXPECT_EQ(Say("CONFIG GET save"), "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
  EXPECT_TRUE(Say("INFO").starts_with("=")) << "verbatim";
  const std::string in_two = Say("HELLO 2 SETNAME me");
  EXPECT_TRUE(in_two.starts_with("*14\r\n$6\r\nserver\r\n")) << in_two;
  EXPECT_EQ(Say("CLIENT GETNAME"), "$2\r\nme\r\n");
  EXPECT_TRUE(Say("HELLO").starts_with("*14\r\n"));
  EXPECT_EQ(Say("HELLO 4"), "-NOPROTO unsupported protocol version\r\n");
  EXPECT_EQ(Say("HELLO x"), "-ERR Protocol version is not an integer or out of range\r\n");
  EXPECT_EQ(Say("HELLO 3 FOO"), "-ERR Syntax error in HELLO option 'FOO'\r\n");
  EXPECT_EQ(Say("HELLO 3 SETNAME"), "-ERR Syntax error in HELLO option 'SETNAME'\r\n");
  EXPECT_EQ(Say("CLIENT GETNAME"), "$2\r\nme\r\n") << "still RESP2";
  EXPECT_TRUE(Say("HELLO 3 AUTH default anything").starts_with("%7\r\n")) << "as the default user without a password";
}

TEST_F(SessionTest, ResetMakesTheConnectionAsNew) {
  Say("HELLO 3 SETNAME me");
  EXPECT_EQ(Say("RESET"), "+RESET\r\n");
  EXPECT_EQ(Say("CLIENT GETNAME"), "$-1\r\n");
}

TEST_F(SessionTest, ServesOnlyWhatItIsToldTo) {
  EXPECT_EQ(Say("WEIR.RESET user u"),
            "-NOPERM this listener does not serve 'weir.reset': 'reset' is not among its `serve`\r\n");
  const std::pair<std::string_view, ServeSet> commands[] = {{"CL.THROTTLE k 1 1 60", kServeThrottle},
                                                            {"THROTTLE k 1 1 60", kServeThrottle},
                                                            {"WEIR.CHECK user u", kServeCheck},
                                                            {"WEIR.PEEK user u", kServePeek},
                                                            {"WEIR.EXPLAIN user u", kServePeek},
                                                            {"WEIR.RESERVE user u", kServeReserve},
                                                            {"WEIR.COMMIT 1 1", kServeReserve},
                                                            {"WEIR.CANCEL 1", kServeReserve},
                                                            {"WEIR.EXTEND 1 1", kServeReserve},
                                                            {"WEIR.REFUND user u", kServeRefund},
                                                            {"WEIR.FEEDBACK user u latency_ms 1", kServeFeedback},
                                                            {"WEIR.RESET user u", kServeReset}};
  for (const auto& [line, bit] : commands) {
    RespOptions options;
    options.serve = kServeAll & ~bit;
    Connect(options);
    EXPECT_TRUE(Say(line).starts_with("-NOPERM ")) << line;
    EXPECT_EQ(Say("PING"), "+PONG\r\n");
    options.serve = bit;
    Connect(options);
    EXPECT_FALSE(Say(line).starts_with("-NOPERM ")) << line;
  }
}

TEST_F(SessionTest, ExplanationsNeedRoom) {
  connection_->set_room(1'000);
  EXPECT_TRUE(Say("WEIR.EXPLAIN user u").starts_with("-UNAVAILABLE "));
  EXPECT_FALSE(Say("WEIR.PEEK user u").starts_with("-"));
}

TEST_F(SessionTest, APipelineIsAskedAtOnceAndAnsweredInOrder) {
  std::string input, replies;
  for (int i = 0; i < 64; ++i) {
    input += Encode({"CL.THROTTLE", "k", "99", "1", "1"});
    replies += Integers({0, 100, 99 - i, -1, i + 1});
  }
  connection_->Receive(input);
  EXPECT_EQ(connection_->TakeOutput(), replies);
  EXPECT_EQ(engine_.store->batches, 1);
  EXPECT_EQ(connection_->flushes(), 0U) << "one write, when OnInput returns";
}

TEST_F(SessionTest, DifferentCommandsKeepTheirOrder) {
  connection_->Receive(
      "PING\r\nCL.THROTTLE a 1 1 1\r\nGET x\r\nWEIR.REFUND user u\r\nWEIR.REFUND user u\r\nTHROTTLE b 2 1 1\r\n"
      "ECHO x\r\nECHO y\r\nCL.THROTTLE a 1 1 1\r\nPING z\r\n");
  EXPECT_EQ(connection_->TakeOutput(),
            "+PONG\r\n" + Integers({0, 2, 1, -1, 1}) +
                "-ERR unknown command 'GET', with args beginning with: 'x' \r\n+OK\r\n+OK\r\n" +
                Integers({1, 2, 1, 1, 0}) + "$1\r\nx\r\n$1\r\ny\r\n" + Integers({0, 2, 0, -1, 2}) + "$1\r\nz\r\n");
}

TEST_F(SessionTest, LongPipelinesAreAskedInBoundedBatches) {
  std::string input, replies;
  for (int i = 0; i < 5'000; ++i) {
    input += Encode({"CL.THROTTLE", "k", "9999", "1", "1"});
    replies += Integers({0, 10'000, 9'999 - i, -1, i + 1});
  }
  EXPECT_EQ(connection_->Receive(input), 0U);
  EXPECT_EQ(connection_->TakeOutput(), replies);
  EXPECT_GT(engine_.store->batches, 10);
}

TEST_F(SessionTest, InputInPiecesIsAnsweredAsInOne) {
  const std::string input = "PING\r\n" + Encode({"CL.THROTTLE", "piece", "4", "1", "1", "0"}) +
                            "WEIR.PEEK user u path '/a b'\r\n" + Encode({"HELLO", "3"}) +
                            Encode({"WEIR.PEEK", "user", "u", "cost", "2"}) + "\r\n" + Encode({"ECHO", "\r\n*1\r\n"}) +
                            "*0\r\n" + Encode({"THROTTLE", "piece", "4", "1"}) + Encode({"QUIT"});
  Connect();
  connection_->Receive(input);
  std::string whole = connection_->TakeOutput();
  const auto without_id = [](std::string text) {
    const std::size_t at = text.find("$2\r\nid\r\n:") + 9;
    return text.erase(at, text.find('\r', at) - at);
  };
  whole = without_id(whole);
  EXPECT_TRUE(connection_->closing());
  for (std::size_t cut = 1; cut < input.size(); ++cut) {
    Connect();
    connection_->Receive(input.substr(0, cut));
    connection_->Receive(input.substr(cut));
    ASSERT_EQ(without_id(connection_->TakeOutput()), whole) << "cut at " << cut;
    ASSERT_TRUE(connection_->closing());
  }
  Connect();
  for (const char c : input) connection_->Receive({&c, 1});
  EXPECT_EQ(without_id(connection_->TakeOutput()), whole);
}

TEST_F(SessionTest, NothingIsAnsweredAfterQuitOrAProtocolError) {
  connection_->Receive("PING\r\nQUIT\r\nPING\r\n");
  EXPECT_EQ(connection_->TakeOutput(), "+PONG\r\n+OK\r\n");
  EXPECT_TRUE(connection_->closing());
  Connect();
  connection_->Receive("PING\r\n*1\r\n$x\r\nPING\r\n");
  EXPECT_EQ(connection_->TakeOutput(), "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n");
  EXPECT_TRUE(connection_->closing());
}

TEST_F(SessionTest, WebPagesCannotTalkToIt) {
  connection_->Receive("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nCL.THROTTLE k 1 1 1\r\n");
  EXPECT_EQ(connection_->TakeOutput(), "");
  EXPECT_TRUE(connection_->closing());
  EXPECT_EQ(engine_.store->batches, 0);
  Connect();
  connection_->Receive("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nPING\r\n");
  EXPECT_EQ(connection_->TakeOutput(), "-ERR unknown command 'GET', with args beginning with: '/' 'HTTP/1.1' \r\n");
  EXPECT_TRUE(connection_->closing());
}

TEST_F(SessionTest, WaitsForARemoteStoreAndThenGoesOn) {
  engine_.store->hold = true;
  connection_->Receive(Encode({"CL.THROTTLE", "k", "4", "1", "1"}) + "PING\r\n" + Encode({"WEIR.CHECK", "user", "u"}) +
                       Encode({"CL.THROTTLE", "k", "4", "1", "1"}));
  EXPECT_TRUE(connection_->paused());
  connection_->Receive("PING again\r\n");
  EXPECT_EQ(connection_->TakeOutput(), "");
  int answered = 0;
  while (engine_.store->AnswerOne()) {
    ++answered;
    EXPECT_EQ(connection_->TakeOutput(), "") << "not from the store's thread";
    EXPECT_EQ(connection_->RunPosted(), 1U);
  }
  EXPECT_EQ(answered, 1) << "throttles and calls in one trip";
  EXPECT_FALSE(connection_->paused());
  EXPECT_FALSE(connection_->unflushed());
  const std::string out = connection_->TakeOutput();
  const std::string first = Integers({0, 5, 4, -1, 1}) + "+PONG\r\n*22\r\n$7\r\nallowed\r\n:1\r\n";
  const std::string last = Integers({0, 5, 3, -1, 2}) + "$5\r\nagain\r\n";
  EXPECT_TRUE(out.starts_with(first)) << out;
  EXPECT_TRUE(out.ends_with(last)) << out;
}

TEST_F(SessionTest, TheStoreMayAnswerFromAnotherThread) {
  engine_.store->hold = true;
  for (int i = 0; i < 100; ++i) {
    connection_->Receive(Encode({"CL.THROTTLE", "k", "999", "1", "1"}));
    std::thread([this] { engine_.store->AnswerOne(); }).join();
    connection_->RunPosted();
    ASSERT_EQ(connection_->TakeOutput(), Integers({0, 1000, 999 - i, -1, i + 1}));
  }
}

TEST_F(SessionTest, AConnectionMayEndBeforeItsStoreAnswers) {
  engine_.store->hold = true;
  connection_->Receive(Encode({"CL.THROTTLE", "k", "4", "1", "1"}) + Encode({"WEIR.CHECK", "user", "u"}));
  session_.reset();
  connection_->Attach(nullptr);
  EXPECT_TRUE(engine_.store->AnswerOne());
  connection_->RunPosted();
  EXPECT_EQ(connection_->TakeOutput(), "");
  Connect();
  connection_->Receive(Encode({"CL.THROTTLE", "k", "4", "1", "1"}));
  session_.reset();
  connection_.reset();
  while (engine_.store->AnswerOne()) {
  }
}

TEST(RespSession, AStoreThatIsDownIsHandledByPolicy) {
  const std::pair<StoreFailurePolicy, std::string_view> cases[] = {{StoreFailurePolicy::kAllow, "store_allowed"},
                                                                   {StoreFailurePolicy::kDeny, "store_denied"}};
  for (const auto& [policy, reason] : cases) {
    TestEngine engine(policy);
    engine.store->down = true;
    net::FakeConnection connection;
    RespOptions options;
    options.engine = engine.engine.get();
    const auto session = MakeRespSession(connection, options);
    connection.Attach(session.get());
    connection.Receive("WEIR.CHECK user u\r\n");
    EXPECT_NE(connection.TakeOutput().find(reason), std::string::npos) << reason;
    connection.Receive("CL.THROTTLE k 4 1 1\r\n");
    const std::string throttled = connection.TakeOutput();
    EXPECT_TRUE(throttled.starts_with(policy == StoreFailurePolicy::kAllow ? "*5\r\n:0\r\n" : "*5\r\n:1\r\n") ||
                throttled.starts_with("-UNAVAILABLE "))
        << throttled;
    session->OnDrain();
  }
}

TEST_F(SessionTest, DrainsWhenNothingIsInHand) {
  Say("PING");
  connection_->StartDrain();
  EXPECT_TRUE(connection_->closing());
}

TEST_F(SessionTest, DrainsAfterACommandThatHasBegun) {
  connection_->Receive("*1\r\n$4\r\nPI");
  connection_->StartDrain();
  EXPECT_FALSE(connection_->closing());
  connection_->Receive("NG\r\n");
  EXPECT_EQ(connection_->TakeOutput(), "+PONG\r\n");
  EXPECT_TRUE(connection_->closing());
}

TEST_F(SessionTest, DrainsAfterWhatTheStoreHasToAnswer) {
  engine_.store->hold = true;
  connection_->Receive(Encode({"CL.THROTTLE", "k", "4", "1", "1"}));
  connection_->StartDrain();
  EXPECT_FALSE(connection_->closing());
  engine_.store->AnswerOne();
  connection_->RunPosted();
  EXPECT_EQ(connection_->TakeOutput(), Integers({0, 5, 4, -1, 1}));
  EXPECT_TRUE(connection_->closing());
}

TEST_F(SessionTest, SurvivesAnything) {
  EXPECT_TRUE(rc::check([this] {
    Connect();
    const auto pieces = *rc::gen::container<std::vector<std::string>>(rc::gen::oneOf(
        rc::gen::arbitrary<std::string>(),
        rc::gen::element<std::string>("PING\r\n", "*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n", "*1\r\n", "$4\r\n", "HELLO 3\r\n",
                                      "WEIR.CHECK user a\r\n", "weir.reserve user b cost 2\r\n", "WEIR.COMMIT 1 1\r\n",
                                      "WEIR.EXTEND 1 1\r\n", "COMMAND DOCS\r\n", "CL.THROTTLE k 1 1 1\r\n", "RESET\r\n",
                                      "\r\n")));
    for (const std::string& piece : pieces) connection_->Receive(piece);
    RC_ASSERT(!connection_->paused());
  }));
}

}  // namespace
}  // namespace weir::resp
