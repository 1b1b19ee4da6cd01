#include "headers/denial.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace weir::headers {
namespace {

// Denied by one rule, that has room again in 1.5 s.
Decision Denied(Action action = Action::kDeny, const ResponseStyle* style = nullptr) {
  Decision decision;
  decision.allowed = false;
  decision.action = action;
  decision.reason = Reason::kOverLimit;
  decision.deciding = 0;
  decision.rule_count = 1;
  RuleOutcome rule;
  rule.rule = "global.free_tier";
  rule.policy = "free <&> \"tier\"";
  rule.window_seconds = 60;
  rule.on_exceeded = action;
  rule.style = style;
  rule.outcome = {.verdict = Verdict::kLater, .limit = 100, .used = 100, .retry_after_ns = 1'500 * kMillisecond};
  decision.inline_rules[0] = rule;
  return decision;
}

ResponseStyle Style(DenialBody body, std::string_view message = {}) {
  return {.names = {}, .denial = true, .denial_body = body, .denial_message = message, .denial_headers = {}};
}

std::string Body(const Decision& decision, int status = 429, std::string_view rpc_id = {}) {
  std::string body;
  AppendDenialBody(decision, status, rpc_id, &body);
  return body;
}

TEST(Denial, StatusByActionUnlessTheRuleHasOne) {
  EXPECT_EQ(StatusOfDenial(Denied()), 429);
  EXPECT_EQ(StatusOfDenial(Denied(Action::kChallenge)), 403);
  EXPECT_EQ(StatusOfDenial(Denied(Action::kCharge)), 402);
  ResponseStyle style = Style(DenialBody::kProblem);
  style.denial_status = 503;
  EXPECT_EQ(StatusOfDenial(Denied(Action::kCharge, &style)), 503);
  EXPECT_EQ(UsualStatusOf(Denied(Action::kCharge, &style)), 402);
  Decision blocked;
  blocked.allowed = false;
  blocked.action = Action::kDeny;
  blocked.reason = Reason::kBlocked;
  EXPECT_EQ(StatusOfDenial(blocked), 403);
  blocked.own_style = &style;
  EXPECT_EQ(StatusOfDenial(blocked), 503);
}

TEST(Denial, Problem) {
  const boost::json::object body = boost::json::parse(Body(Denied())).as_object();
  EXPECT_EQ(body.at("type"), "https://iana.org/assignments/http-problem-types#quota-exceeded");
  EXPECT_EQ(body.at("title"), "Too Many Requests");
  EXPECT_EQ(body.at("status"), 429);
  EXPECT_EQ(body.at("detail"), "Limit of 100 in 60 seconds exceeded. Try again in 2 seconds.");
  EXPECT_EQ(body.at("violated-policies"), boost::json::array{"free <&> \"tier\""});
  EXPECT_EQ(body.at("retry_after_ms"), 1500);
  EXPECT_EQ(body.size(), 6U);
}

TEST(Denial, SaysWhatWouldHelp) {
  const auto detail = [](const Decision& decision) {
    std::string text;
    AppendMessage(decision, &text);
    return text;
  };
  EXPECT_EQ(detail(Denied(Action::kCharge)),
            "Limit of 100 in 60 seconds exceeded. Further requests have to be paid for. Or try again in 2 seconds.");
  EXPECT_EQ(detail(Denied(Action::kChallenge)),
            "Limit of 100 in 60 seconds exceeded. Pass a challenge to go on. Or try again in 2 seconds.");
  Decision challenged;
  challenged.allowed = false;
  challenged.action = Action::kChallenge;
  challenged.reason = Reason::kChallenged;
  EXPECT_EQ(detail(challenged), "Requests from this address have to pass a challenge.");
  const ResponseStyle style = Style(DenialBody::kProblem, "Come back.");
  EXPECT_EQ(detail(Denied(Action::kDeny, &style)), "Come back.");
  EXPECT_EQ(boost::json::parse(Body(Denied(Action::kDeny, &style))).at("detail"), "Come back.");
}

TEST(Denial, Plain) {
  const ResponseStyle style = Style(DenialBody::kPlain, "Slow down.");
  EXPECT_EQ(Body(Denied(Action::kDeny, &style)), "Slow down.\n");
  EXPECT_EQ(ContentTypeOf(DenialBody::kPlain), "text/plain; charset=utf-8");
}

TEST(Denial, HtmlIsEscaped) {
  const ResponseStyle style = Style(DenialBody::kHtml, "<script>alert('x' & \"y\")</script>\xff");
  EXPECT_EQ(Body(Denied(Action::kDeny, &style)),
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>429 Too Many Requests</title>\n"
            "<h1>Too Many Requests</h1>\n<p>&lt;script&gt;alert(&#39;x&#39; &amp; "
            "&quot;y&quot;)&lt;/script&gt;\xEF\xBF\xBD</p>\n</html>\n");
  EXPECT_EQ(ContentTypeOf(DenialBody::kHtml), "text/html; charset=utf-8");
}

TEST(Denial, OpenaiErrorObject) {
  const ResponseStyle style = Style(DenialBody::kOpenai, "Say \"please\".");
  EXPECT_EQ(Body(Denied(Action::kDeny, &style)),
            R"({"error":{"message":"Say \"please\".","type":"rate_limit_exceeded","param":null,)"
            R"("code":"rate_limit_exceeded"}})");
  EXPECT_EQ(boost::json::parse(Body(Denied(Action::kCharge, &style))).at("error").at("code"), "insufficient_quota");
  EXPECT_EQ(boost::json::parse(Body(Denied(Action::kChallenge, &style))).at("error").at("code"), "challenge_required");
  EXPECT_EQ(ContentTypeOf(DenialBody::kOpenai), "application/json");
}

TEST(Denial, JsonrpcErrorObject) {
  const ResponseStyle style = Style(DenialBody::kJsonrpc, "No.");
  const Decision decision = Denied(Action::kDeny, &style);
  EXPECT_EQ(Body(decision), R"({"jsonrpc":"2.0","error":{"code":-32005,"message":"No.",)"
                            R"("data":{"action":"deny","reason":"over_limit","retry_after_ms":1500}},"id":null})");
  EXPECT_EQ(boost::json::parse(Body(decision, 429, "7")).at("id"), 7);
  EXPECT_EQ(boost::json::parse(Body(decision, 429, "-7")).at("id"), -7);
  EXPECT_EQ(boost::json::parse(Body(decision, 429, "a\"7\xff")).at("id"), "a\"7\xEF\xBF\xBD");
}

TEST(Denial, HeadersOfTheRuleAndOfTheAction) {
  ResponseStyle style = Style(DenialBody::kProblem);
  style.denial_headers = "X-A: 1\r\nLocation: /challenge\r\n";
  Decision decision = Denied(Action::kChallenge, &style);
  std::string out;
  AppendDenialHeaders(decision, &out);
  EXPECT_EQ(out, style.denial_headers);
  out.clear();
  AppendActionHeaders(decision, &out);
  EXPECT_EQ(out, "X-Weir-Action: challenge\r\n");
  out.clear();
  AppendActionHeaders(Denied(), &out);
  EXPECT_EQ(out, "");

  decision.allowed = true;
  decision.action = Action::kWait;
  decision.rules()[0].outcome.delay_ns = kMillisecond + 1;
  AppendDenialHeaders(decision, &out);
  EXPECT_EQ(out, "");
  AppendActionHeaders(decision, &out);
  EXPECT_EQ(out, "X-Weir-Action: wait\r\nX-Weir-Delay-Ms: 2\r\n");
}

}  // namespace
}  // namespace weir::headers
