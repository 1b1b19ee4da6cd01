// CL.THROTTLE against redis-cell's own cases, THROTTLE against throttlecrab's contract.
#include "frontends/resp/throttle.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <limits>
#include <string>

#include "frontends/resp/session_fixture.h"

namespace weir::resp {
namespace {

using ThrottleTest = RespTest;

TEST_F(ThrottleTest, AnswersAsRedisCellDoes) {
  // A bucket of 5, one a second. Times are those of redis-cell's own table, its milliseconds rounded to seconds as its
  // command does.
  const struct {
    std::int64_t at_ms;
    int quantity;
    std::int64_t limited, remaining, retry_after, reset_after;
  } cases[] = {
      {0, 6, 1, 5, -1, 0},  // never fits
      {0, 1, 0, 4, -1, 1},      {0, 1, 0, 3, -1, 2},    {0, 1, 0, 2, -1, 3},     {0, 1, 0, 1, -1, 4},
      {0, 1, 0, 0, -1, 5},      {0, 1, 1, 0, 1, 5},     {3000, 1, 0, 2, -1, 3},  {3100, 1, 0, 1, -1, 4},
      {4000, 1, 0, 1, -1, 4},   {8000, 1, 0, 4, -1, 1}, {9500, 1, 0, 4, -1, 1},  {9500, 0, 0, 4, -1, 1},  // a peek
      {9500, 2, 0, 2, -1, 3},   {9500, 5, 1, 2, 3, 3},  {9500, -2, 0, 4, -1, 1},  // tokens returned
      {9500, -99, 0, 5, -1, 0},                                                   // never more than there can be
  };
  const Nanos start = engine_.clock.Now();
  for (const auto& c : cases) {
    engine_.clock.Set(start + c.at_ms * kMillisecond);
    EXPECT_EQ(Say("cl.throttle foo 4 1 1 " + std::to_string(c.quantity)),
              Integers({c.limited, 5, c.remaining, c.retry_after, c.reset_after}))
        << "at " << c.at_ms << " ms, quantity " << c.quantity;
  }
}

TEST_F(ThrottleTest, TheExampleOfTheReadme) {
  EXPECT_EQ(Say("CL.THROTTLE user123 15 30 60 1"), Integers({0, 16, 15, -1, 2}));
  EXPECT_EQ(Say("CL.THROTTLE user123 15 30 60"), Integers({0, 16, 14, -1, 4})) << "the quantity is 1 by default";
  EXPECT_EQ(Say("CL.THROTTLE other 0 1 2"), Integers({0, 1, 0, -1, 2}));
  EXPECT_EQ(Say("CL.THROTTLE other 0 1 2"), Integers({1, 1, 0, 2, 2}));
}

TEST_F(ThrottleTest, RoundsUpWhereMillisecondsRemain) {
  EXPECT_EQ(Say("CL.THROTTLE k 0 1 2"), Integers({0, 1, 0, -1, 2}));
  const Nanos start = engine_.clock.Now();
  const std::pair<Nanos, std::int64_t> cases[] = {{1, 2},
                                                  {kSecond - 2 * kMillisecond, 2},
                                                  {kSecond - kMillisecond + 1, 1},  // 999,999 ns are no millisecond
                                                  {kSecond, 1},
                                                  {2 * kSecond - 1, 0}};
  for (const auto& [later, retry] : cases) {
    engine_.clock.Set(start + later);
    EXPECT_EQ(Say("CL.THROTTLE k 0 1 2"), Integers({1, 1, 0, retry, retry})) << later;
  }
}

TEST_F(ThrottleTest, AKeyKeepsWhatItUsedWhenItsNumbersChange) {
  EXPECT_EQ(Say("CL.THROTTLE k 4 1 1 5"), Integers({0, 5, 0, -1, 5}));
  EXPECT_EQ(Say("CL.THROTTLE k 9 1 1 1"), Integers({0, 10, 4, -1, 6}));
}

TEST_F(ThrottleTest, ErrorsAreRedisCells) {
  const std::string usage =
      "-Cell error: Store error: Usage: cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]\r\n";
  for (const std::string_view line : {"CL.THROTTLE", "CL.THROTTLE k", "cl.throttle k 1 2", "cl.throttle k 1 2 3 4 5"}) {
    EXPECT_EQ(Say(line), usage) << line;
  }
  for (const std::string_view bad : {"x", "1.5", "\"\"", "9223372036854775808", "0x10", "\" 1\"", "--1", "+-1", "+"}) {
    const std::string shown = bad == "\"\"" ? "" : bad == "\" 1\"" ? " 1" : std::string(bad);
    EXPECT_EQ(Say("CL.THROTTLE k 1 " + std::string(bad) + " 1"),
              "-Cell error: Store error: Couldn't parse as integer: " + shown + "\r\n");
  }
  for (const std::string_view line :
       {"cl.throttle k 1 0 1", "cl.throttle k 1 1 0", "cl.throttle k 1 -1 1", "cl.throttle k 1 1 -1"}) {
    EXPECT_EQ(Say(line), "-Cell error: Store error: Zero rates are not supported\r\n") << line;
  }
  EXPECT_EQ(Say(R"(CL.THROTTLE k 1 "a\r\nb" 1)"), "-Cell error: Store error: Couldn't parse as integer: a  b\r\n");
}

TEST_F(ThrottleTest, ExtremeNumbersAreAnswered) {
  const std::string most = std::to_string(std::numeric_limits<std::int64_t>::max());
  const std::string least = std::to_string(std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(Say("CL.THROTTLE a -1 1 1"), Integers({1, 0, 0, -1, 0}));
  EXPECT_EQ(Say("CL.THROTTLE b -5 1 1"), Integers({1, -4, 0, -1, 0}));
  EXPECT_EQ(Say("CL.THROTTLE c +4 +1 +1 +1"), Integers({0, 5, 4, -1, 1}));
  EXPECT_EQ(Say("CL.THROTTLE d 1 1 1 " + most), Integers({1, 2, 2, -1, 0}));
  EXPECT_EQ(Say("CL.THROTTLE d 1 1 1 " + least), Integers({0, 2, 2, -1, 0}));
  for (const std::string& line :
       {"CL.THROTTLE e " + most + " " + most + " " + most, "CL.THROTTLE f " + most + " 1 " + most,
        "CL.THROTTLE g 1 " + most + " 1", "THROTTLE h " + most + " " + most + " " + most}) {
    EXPECT_TRUE(Say(line).starts_with("*5\r\n:")) << line;
  }
}

TEST_F(ThrottleTest, AnswersAsThrottlecrabDoes) {
  // allowed, limit, remaining, reset_after, retry_after; the limit is the burst itself.
  // reset_after as the server of version 0.4 answers it.
  EXPECT_EQ(Say("THROTTLE k 3 10 60"), Integers({1, 3, 2, 12, 0}));
  EXPECT_EQ(Say("THROTTLE k 3 10 60 2"), Integers({1, 3, 0, 24, 0}));
  EXPECT_EQ(Say("THROTTLE k 3 10 60"), Integers({0, 3, 0, 24, 6}));
  engine_.clock.Advance(100 * kMillisecond);
  EXPECT_EQ(Say("THROTTLE k 3 10 60"), Integers({0, 3, 0, 23, 6})) << "rounded up: who waits 5 s is denied again";
  EXPECT_EQ(Say("THROTTLE k 3 10 60 0"), Integers({1, 3, 0, 23, 0}));
  EXPECT_EQ(Say("THROTTLE fresh 3 10 60 4"), Integers({0, 3, 3, 6, 0})) << "never fits";
  EXPECT_EQ(Say("THROTTLE n 10 100 60 0"), Integers({1, 10, 10, 4, 0}));
  EXPECT_EQ(Say("THROTTLE o 1 1 60"), Integers({1, 1, 0, 0, 0}));
}

TEST_F(ThrottleTest, ThrottleDoesNotLetABurstThroughTwice) {
  // Idle for less than the burst takes to refill, a key has what it regained and no more.
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Say("THROTTLE k 10 100 60").starts_with("*5\r\n:1\r\n")) << i;
  engine_.clock.Advance(5'400 * kMillisecond);  // nine units
  int allowed = 0;
  for (int i = 0; i < 30; ++i) allowed += Say("THROTTLE k 10 100 60").starts_with("*5\r\n:1\r\n") ? 1 : 0;
  EXPECT_EQ(allowed, 9);
}

TEST_F(ThrottleTest, ErrorsAreThrottlecrabs) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"THROTTLE k 1 1", "-ERR wrong number of arguments for 'throttle' command\r\n"},
      {"THROTTLE k 1 1 1 1 1", "-ERR wrong number of arguments for 'throttle' command\r\n"},
      {"THROTTLE k x 1 1", "-ERR invalid max_burst\r\n"},
      {"THROTTLE k 1 x 1", "-ERR invalid count_per_period\r\n"},
      {"THROTTLE k 1 1 x", "-ERR invalid period\r\n"},
      {"THROTTLE k 1 1 1 x", "-ERR invalid quantity\r\n"},
      {"THROTTLE k 1 1 1 -1", "-ERR Rate limit check failed: negative quantity: -1\r\n"},
      {"THROTTLE k 0 1 1", "-ERR Rate limit check failed: invalid rate limit parameters\r\n"},
      {"THROTTLE k 1 0 1", "-ERR Rate limit check failed: invalid rate limit parameters\r\n"},
      {"THROTTLE k 1 1 -1", "-ERR Rate limit check failed: invalid rate limit parameters\r\n"},
  };
  for (const auto& [line, reply] : cases) EXPECT_EQ(Say(line), reply) << line;
}

TEST_F(ThrottleTest, AStoreThatFailsIsToldApartFromADenial) {
  engine::Call throttle;
  std::string out;
  throttle.decision.reason = Reason::kStoreDenied;
  AppendThrottleReply(throttle, ThrottleForm::kCell, 1, &out);
  throttle.decision.reason = Reason::kStoreFull;
  throttle.decision.allowed = false;
  AppendThrottleReply(throttle, ThrottleForm::kCrab, 1, &out);
  EXPECT_EQ(out, "-UNAVAILABLE the store does not answer\r\n-OOM the store is full of live subjects\r\n");
  // allow_new: it passes, uncounted.
  throttle.decision.allowed = true;
  throttle.decision.rule_count = 1;
  throttle.decision.rules()[0] = {};  // what was not written must not be read
  out.clear();
  AppendThrottleReply(throttle, ThrottleForm::kCell, 1, &out);
  EXPECT_TRUE(out.starts_with("*5\r\n:0\r\n")) << out;
}

TEST_F(ThrottleTest, IsCountedAsOtherDecisionsAre) {
  Say("CL.THROTTLE k 1 1 60");
  Say("THROTTLE k 2 1 60 2");
  Say("CL.THROTTLE k 1 1 60 0");
  Say("CL.THROTTLE k 1 1 60 -1");
  engine::Engine::Counts counts = engine_.engine->GetCounts();
  EXPECT_EQ(counts.allowed, 1U);
  EXPECT_EQ(counts.denied, 1U);
  engine_.store->down = true;
  EXPECT_TRUE(Say("CL.THROTTLE k 1 1 60").starts_with("*5\r\n:0\r\n")) << "let through, and told";
  counts = engine_.engine->GetCounts();
  EXPECT_EQ(counts.store_failures_allow, 1U);
  EXPECT_EQ(counts.allowed, 2U);
}

TEST_F(ThrottleTest, NoNumbersBreakIt) {
  EXPECT_TRUE(rc::check([this] {
    const auto number = rc::gen::oneOf(rc::gen::arbitrary<std::int64_t>(), rc::gen::inRange<std::int64_t>(-3, 100));
    std::string line = *rc::gen::element<std::string>("CL.THROTTLE", "THROTTLE") + " k";
    for (int i = 0; i < 4; ++i) line += " " + std::to_string(*number);
    engine_.clock.Advance(*rc::gen::inRange<Nanos>(0, 100 * kSecond));
    const std::string reply = Say(line);
    RC_ASSERT(reply.starts_with("*5\r\n:0\r\n") || reply.starts_with("*5\r\n:1\r\n") || reply.starts_with("-"));
  }));
}

}  // namespace
}  // namespace weir::resp
