// WEIR.*: decisions by the configured rules.
#include "frontends/resp/check.h"

#include <gtest/gtest.h>

#include <string>

#include "frontends/resp/session_fixture.h"

namespace weir::resp {
namespace {

using CheckTest = RespTest;

std::string Bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

// What a decision of the free tier looks like in RESP2.
std::string Decided(bool allowed, int remaining, int reset_ms, std::string_view retry, std::string_view reservation) {
  return "*22\r\n" + Bulk("allowed") + ":" + (allowed ? "1" : "0") + "\r\n" + Bulk("reason") +
         Bulk(allowed              ? "ok"
              : retry == "$-1\r\n" ? "never_fits"
                                   : "over_limit") +
         Bulk("limit") + ":5\r\n" + Bulk("remaining") + ":" + std::to_string(remaining) + "\r\n" +
         Bulk("reset_after_ms") + ":" + std::to_string(reset_ms) + "\r\n" + Bulk("retry_after_ms") +
         std::string(retry) + Bulk("rule") + Bulk("global.free_tier") + Bulk("level") + Bulk("global") +
         Bulk("delay_ms") + ":0\r\n" + Bulk("reservation") + std::string(reservation) + Bulk("action") +
         Bulk(allowed ? "allow" : "deny");
}
constexpr std::string_view kNull = "$-1\r\n";

TEST_F(CheckTest, DecidesByTheRules) {
  for (int i = 1; i <= 5; ++i) {
    EXPECT_EQ(Say("WEIR.CHECK user u path /a method GET"), Decided(true, 5 - i, i * 12'000, ":0\r\n", kNull));
  }
  EXPECT_EQ(Say("WEIR.CHECK user u"), Decided(false, 0, 60'000, ":12000\r\n", kNull));
  engine_.clock.Advance(500'000);  // half a millisecond: times are rounded up
  EXPECT_EQ(Say("WEIR.CHECK user u"), Decided(false, 0, 60'000, ":12000\r\n", kNull));
  EXPECT_EQ(Say("WEIR.CHECK user v"), Decided(true, 4, 12'000, ":0\r\n", kNull)) << "a name as long as u";
  EXPECT_EQ(Say("WEIR.CHECK user other cost 2"), Decided(true, 3, 24'000, ":0\r\n", kNull));
  EXPECT_EQ(Say("WEIR.CHECK user third cost 6"), Decided(false, 5, 0, kNull, kNull));
}

TEST_F(CheckTest, PeeksWithoutCounting) {
  for (int i = 0; i < 9; ++i) EXPECT_EQ(Say("WEIR.PEEK user u"), Say("WEIR.PEEK user u"));
  EXPECT_EQ(Say("WEIR.CHECK user u"), Decided(true, 4, 12'000, ":0\r\n", kNull));
}

TEST_F(CheckTest, ReservesCommitsAndCancels) {
  const std::string reserved = Say("WEIR.RESERVE user u cost 4");
  const std::size_t at = reserved.find(Bulk("reservation")) + Bulk("reservation").size();
  const std::size_t line = reserved.find("\r\n", at) + 2;
  const std::string id = reserved.substr(line, reserved.find("\r\n", line) - line);
  EXPECT_EQ(reserved, Decided(true, 1, 48'000, ":0\r\n", Bulk(id)));
  EXPECT_EQ(Say("WEIR.COMMIT " + id + " 1"), "+OK\r\n");
  EXPECT_TRUE(Say("WEIR.COMMIT " + id + " 1").starts_with("-NOTFOUND ")) << "only once";
  EXPECT_EQ(Say("WEIR.CHECK user u cost 0"), Decided(true, 4, 12'000, ":0\r\n", kNull));
  EXPECT_TRUE(Say("WEIR.CANCEL 123456789").starts_with("-NOTFOUND "));
  EXPECT_EQ(Say("WEIR.COMMIT x 1"), "-ERR the reservation must be an integer >= 0\r\n");
  EXPECT_EQ(Say("WEIR.COMMIT 1 -1"), "-ERR the actual cost must be an integer >= 0\r\n");
  EXPECT_EQ(Say("WEIR.CANCEL"), "-ERR wrong number of arguments for 'weir.cancel' command\r\n");
}

TEST_F(CheckTest, ExtendsAReservation) {
  const std::string reserved = Say("WEIR.RESERVE user u cost 2");
  const std::size_t at = reserved.find(Bulk("reservation")) + Bulk("reservation").size();
  const std::size_t line = reserved.find("\r\n", at) + 2;
  const std::string id = reserved.substr(line, reserved.find("\r\n", line) - line);
  EXPECT_EQ(Say("WEIR.EXTEND " + id + " 2"), ":2\r\n");
  EXPECT_EQ(Say("WEIR.EXTEND " + id + " 2"), ":0\r\n");
  EXPECT_EQ(Say("weir.extend " + id + " 2 Partial"), ":1\r\n");
  EXPECT_EQ(Say("WEIR.CANCEL " + id), "+OK\r\n");
  EXPECT_TRUE(Say("WEIR.EXTEND " + id + " 1").starts_with("-NOTFOUND "));
  EXPECT_EQ(Say("WEIR.CHECK user u cost 5"), Decided(true, 0, 60'000, ":0\r\n", kNull));
  EXPECT_EQ(Say("WEIR.EXTEND x 1"), "-ERR the reservation must be an integer >= 0\r\n");
  EXPECT_EQ(Say("WEIR.EXTEND 1 -1"), "-ERR the cost must be an integer >= 0\r\n");
  EXPECT_EQ(Say("WEIR.EXTEND 1 1 whole"), "-ERR syntax error: WEIR.EXTEND id cost [PARTIAL]\r\n");
  EXPECT_EQ(Say("WEIR.EXTEND 1 1 partial partial"), "-ERR syntax error: WEIR.EXTEND id cost [PARTIAL]\r\n");
}

TEST_F(CheckTest, RefundsAndResets) {
  Say("WEIR.CHECK user u cost 5");
  EXPECT_EQ(Say("WEIR.REFUND user u cost 2"), "+OK\r\n");
  EXPECT_EQ(Say("WEIR.PEEK user u cost 0"), Decided(true, 2, 36'000, ":0\r\n", kNull));
  RespOptions options;
  options.serve = kServeAll;
  Connect(options);
  EXPECT_EQ(Say("WEIR.RESET user u"), "+OK\r\n");
  EXPECT_EQ(Say("WEIR.PEEK user u cost 0"), Decided(true, 5, 0, ":0\r\n", kNull));
}

TEST_F(CheckTest, SaysNothingWhereNoRuleCounts) {
  const std::string reply = Say("WEIR.CHECK user vip");
  EXPECT_TRUE(reply.starts_with("*22\r\n" + Bulk("allowed") + ":1\r\n" + Bulk("reason") + Bulk("no_limit") +
                                Bulk("limit") + "$-1\r\n" + Bulk("remaining") + "$-1\r\n"))
      << reply;
}

TEST_F(CheckTest, InResp3ItIsAMap) {
  Say("HELLO 3");
  EXPECT_EQ(Say("WEIR.CHECK user u"),
            "%11\r\n" + Bulk("allowed") + "#t\r\n" + Bulk("reason") + Bulk("ok") + Bulk("limit") + ":5\r\n" +
                Bulk("remaining") + ":4\r\n" + Bulk("reset_after_ms") + ":12000\r\n" + Bulk("retry_after_ms") +
                ":0\r\n" + Bulk("rule") + Bulk("global.free_tier") + Bulk("level") + Bulk("global") + Bulk("delay_ms") +
                ":0\r\n" + Bulk("reservation") + "_\r\n" + Bulk("action") + Bulk("allow"));
}

TEST_F(CheckTest, ExplainsEveryStep) {
  const std::string reply = Say("WEIR.EXPLAIN user u path /x");
  EXPECT_TRUE(reply.starts_with("*24\r\n")) << reply;
  EXPECT_NE(reply.find(Bulk("steps") + "*"), std::string::npos);
  EXPECT_NE(reply.find(Bulk("decide")), std::string::npos) << reply;
  EXPECT_EQ(Say("WEIR.CHECK user u"), Decided(true, 4, 12'000, ":0\r\n", kNull)) << "explaining counts nothing";
}

TEST_F(CheckTest, HearsHowUpstreamsFare) {
  const auto limit = [&] {
    const std::string reply = Say("WEIR.EXPLAIN user u path /learned cost 0");
    const std::string before = Bulk("limit") + ":";
    return std::stoi(reply.substr(reply.find(before) + before.size()));
  };
  EXPECT_EQ(limit(), 100);
  for (int i = 0; i < 60; ++i) EXPECT_EQ(Say("WEIR.FEEDBACK user u path /learned latency_ms 20.5 failed 1"), ":1\r\n");
  EXPECT_LT(limit(), 20);
  EXPECT_NE(
      Say("WEIR.EXPLAIN user u path /learned").find("The upstream answers in 20.5 ms, normally in 20.5 ms, and 9"),
      std::string::npos);
  for (int i = 0; i < 200; ++i) Say("WEIR.FEEDBACK FAILED False user u path /learned LATENCY_MS 20.5");
  EXPECT_EQ(limit(), 100);
  EXPECT_EQ(Say("WEIR.FEEDBACK user u latency_ms 1"), ":0\r\n") << "a bucket";

  engine_.store->down = true;
  EXPECT_EQ(Say("WEIR.FEEDBACK user u path /learned latency_ms 1"), "-UNAVAILABLE the store does not answer\r\n");
}

TEST_F(CheckTest, WrongFieldsAreNamed) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"WEIR.CHECK usr u", "-ERR unknown field 'usr'\r\n"},
      {"WEIR.CHECK user", "-ERR no value for field 'user'\r\n"},
      {"WEIR.CHECK cost -1", "-ERR cost must be an integer >= 0, got '-1'\r\n"},
      {"WEIR.CHECK cost 1.5", "-ERR cost must be an integer >= 0, got '1.5'\r\n"},
      {"WEIR.CHECK cost 18446744073709551616", "-ERR cost must be an integer >= 0, got '18446744073709551616'\r\n"},
      {"WEIR.CHECK cost \"\"", "-ERR cost must be an integer >= 0, got ''\r\n"},
      {"WEIR.CHECK cost 0 cost 1", "-ERR the field appears twice: 'cost'\r\n"},
      {"WEIR.CHECK ip 192.0.2.1 IP 192.0.2.2", "-ERR the field appears twice: 'IP'\r\n"},
      {"WEIR.CHECK ip banana", "-ERR ip must be an IP address, got 'banana'\r\n"},
      {"WEIR.CHECK country xx1", "-ERR country must be an ISO 3166-1 code of two letters, got 'xx1'\r\n"},
      {"WEIR.CHECK latency_ms 1", "-ERR unknown field 'latency_ms'\r\n"},
      {"WEIR.FEEDBACK", "-ERR latency_ms is missing\r\n"},
      {"WEIR.FEEDBACK user u failed 1", "-ERR latency_ms is missing\r\n"},
      {"WEIR.FEEDBACK latency_ms", "-ERR no value for field 'latency_ms'\r\n"},
      {"WEIR.FEEDBACK latency_ms -1", "-ERR latency_ms must be a number >= 0, got '-1'\r\n"},
      {"WEIR.FEEDBACK latency_ms 1ms", "-ERR latency_ms must be a number >= 0, got '1ms'\r\n"},
      {"WEIR.FEEDBACK latency_ms inf", "-ERR latency_ms must be a number >= 0, got 'inf'\r\n"},
      {"WEIR.FEEDBACK latency_ms nan", "-ERR latency_ms must be a number >= 0, got 'nan'\r\n"},
      {"WEIR.FEEDBACK latency_ms \"\"", "-ERR latency_ms must be a number >= 0, got ''\r\n"},
      {"WEIR.FEEDBACK latency_ms 1 failed 2", "-ERR failed must be 0, 1, true or false, got '2'\r\n"},
      {"WEIR.FEEDBACK latency_ms 1 latency 2", "-ERR unknown field 'latency'\r\n"},
      {"WEIR.CHECK header: x", "-ERR a header or attribute needs a name before the value 'x'\r\n"},
      {"WEIR.CHECK attr: x", "-ERR a header or attribute needs a name before the value 'x'\r\n"},
  };
  for (const auto& [line, reply] : cases) EXPECT_EQ(Say(line), reply) << line;
  std::string many = "WEIR.CHECK";
  for (int i = 0; i < 129; ++i) many += " header:a" + std::to_string(i) + " v";
  EXPECT_EQ(Say(many), "-ERR too many headers or attributes at 'a128'\r\n");
  EXPECT_TRUE(Say("WEIR.CHECK").starts_with("*22\r\n")) << "a request of which nothing is known";
}

TEST(ReadRequest, ReadsEveryField) {
  const std::vector<std::string_view> fields = {"ip",
                                                "192.0.2.1",
                                                "USER",
                                                "u",
                                                "tenant",
                                                "t",
                                                "tier",
                                                "gold",
                                                "api_key",
                                                "k",
                                                "method",
                                                "GET",
                                                "path",
                                                "/p",
                                                "domain",
                                                "d",
                                                "cost",
                                                "7",
                                                "country",
                                                "DE",
                                                "header:X-Team",
                                                "blue",
                                                "attr:plan",
                                                "pro",
                                                "Header:X-Team",
                                                "red"};
  Arena arena;
  Request request;
  std::vector<Attribute> headers, attributes;
  std::string error;
  ASSERT_TRUE(ReadRequest(fields, &arena, &request, &headers, &attributes, &error)) << error;
  EXPECT_EQ(request.peer_ip, "192.0.2.1");
  EXPECT_EQ(request.user, "u");
  EXPECT_EQ(request.tenant, "t");
  EXPECT_EQ(request.tier, "gold");
  EXPECT_EQ(request.api_key, "k");
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.path, "/p");
  EXPECT_EQ(request.domain, "d");
  EXPECT_EQ(request.country, "DE");
  EXPECT_EQ(request.cost, 7U);
  ASSERT_EQ(headers.size(), 2U);
  EXPECT_EQ(headers[0].name, "X-Team");
  EXPECT_EQ(headers[1].value, "red");
  ASSERT_EQ(attributes.size(), 1U);
  EXPECT_EQ(attributes[0].name, "plan");
}

TEST(AppendDecision, SaysEachAction) {
  for (const Action action : {Action::kAllow, Action::kDeny, Action::kWait, Action::kChallenge, Action::kCharge}) {
    Decision decision;
    decision.action = action;
    std::string out;
    ReplyWriter reply(out, Protocol::kResp3);
    AppendDecision(decision, nullptr, reply);
    EXPECT_TRUE(out.ends_with(Bulk("action") + Bulk(ToString(action)))) << out;
  }
}

TEST(AppendDecision, TellsTheLongestDelayAndWhatTheStoreLeavesOpen) {
  Decision decision;
  decision.rule_count = 2;
  decision.deciding = 0;
  decision.reason = Reason::kOk;
  decision.inline_rules[0] = decision.inline_rules[1] = {};
  decision.inline_rules[0].rule = "a";
  decision.inline_rules[0].outcome.limit = UINT64_MAX;
  decision.inline_rules[0].outcome.remaining = UINT64_MAX - 1;
  decision.inline_rules[1].outcome.delay_ns = 1'500'001;
  std::string out;
  ReplyWriter reply(out, Protocol::kResp2);
  AppendDecision(decision, nullptr, reply);
  EXPECT_NE(out.find(Bulk("limit") + "$-1\r\n" + Bulk("remaining") + ":9223372036854775807\r\n"), std::string::npos)
      << out;
  EXPECT_NE(out.find(Bulk("delay_ms") + ":2\r\n"), std::string::npos) << out;

  out.clear();
  decision.allowed = false;
  decision.reason = Reason::kStoreDenied;
  AppendDecision(decision, nullptr, reply);
  EXPECT_NE(out.find(Bulk("retry_after_ms") + ":1000\r\n"), std::string::npos) << out;
  EXPECT_NE(out.find(Bulk("limit") + "$-1\r\n" + Bulk("remaining") + "$-1\r\n"), std::string::npos) << out;
}

TEST_F(CheckTest, ARequestIdIsChargedOnce) {
  EXPECT_EQ(Say("WEIR.CHECK user u request_id a"), Decided(true, 4, 12'000, ":0\r\n", kNull));
  const std::string again = Say("WEIR.CHECK user u REQUEST_ID a");
  EXPECT_TRUE(again.starts_with("*24\r\n")) << again;
  EXPECT_TRUE(again.ends_with(Bulk("repeated") + ":1\r\n")) << again;
  EXPECT_EQ(Say("WEIR.CHECK user u"), Decided(true, 3, 24'000, ":0\r\n", kNull));
  const std::string first = Say("WEIR.RESERVE user u request_id a"), second = Say("WEIR.RESERVE user u request_id a");
  const std::size_t at = first.find(Bulk("reservation"));
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(first.substr(at), second.substr(at, first.size() - at)) << "the same reservation";
  Say("HELLO 3");
  const std::string map = Say("WEIR.CHECK user u request_id a");
  EXPECT_TRUE(map.starts_with("%12\r\n") && map.ends_with(Bulk("repeated") + "#t\r\n")) << map;
  EXPECT_EQ(Say("WEIR.CHECK user u request_id \"\""), "-ERR request_id must be 1 to 128 visible ASCII characters\r\n");
  EXPECT_EQ(Say("WEIR.CHECK user u request_id \"a b\""),
            "-ERR request_id must be 1 to 128 visible ASCII characters\r\n");
  EXPECT_EQ(Say("WEIR.CHECK user u request_id a request_id b"), "-ERR the field appears twice: 'request_id'\r\n");
}

}  // namespace
}  // namespace weir::resp
