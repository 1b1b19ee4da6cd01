// What the HTTP API answers to the questions of its body: checks, reservations, refunds, feedback, batches.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontends/http/session_fixture.h"

namespace weir::http {
namespace {

using Answer = ReadAnswer;
using Fixture = SessionFixture;

TEST(HttpSession, ChecksAndCounts) {
  Fixture f;
  const Answer first = f.Post("/v1/check", kAlice);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.body,
            R"({"allowed":true,"action":"allow","limit":2,"remaining":1,"reset_after_ms":30000,"retry_after_ms":0,)"
            R"("rule":"global.free_tier","level":"global","reason":"ok","delay_ms":0})");
  EXPECT_EQ(first.head,
            "HTTP/1.1 200 OK\r\nDate: Fri, 15 Jan 2027 08:00:00 GMT\r\n"
            "RateLimit-Policy: \"free\";q=2;w=60\r\nRateLimit: \"free\";r=1;t=30\r\n"
            "Content-Type: application/json\r\nContent-Length: " +
                std::to_string(first.body.size()) + "\r\n");
  EXPECT_EQ(f.Post("/v1/check", kAlice).Json().at("remaining"), 0);
  EXPECT_EQ(f.Post("/v1/check", R"({"user":"bob"})").Json().at("remaining"), 1);
  EXPECT_EQ(f.Post("/v1/check", R"({"user":"clara"})").Json().at("remaining"), 1) << "a name as long as alice's";
}

TEST(HttpSession, DeniesWithHeadersAndAProblem) {
  Fixture f;
  f.Post("/v1/check", kAlice);
  f.Post("/v1/check", kAlice);
  f.clock.Advance(500 * kMillisecond);
  const Answer denied = f.Post("/v1/check", kAlice);
  EXPECT_EQ(denied.status, 429);
  EXPECT_EQ(denied.Header("Content-Type"), "application/problem+json");
  EXPECT_EQ(denied.Header("Cache-Control"), "no-store");
  EXPECT_EQ(denied.Header("Retry-After"), "30");
  EXPECT_EQ(denied.Header("RateLimit"), "\"free\";r=0;t=30");
  EXPECT_EQ(denied.Header("RateLimit-Policy"), "\"free\";q=2;w=60");
  EXPECT_EQ(
      denied.body,
      R"({"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests",)"
      R"("status":429,"detail":"Limit of 2 in 60 seconds exceeded. Try again in 30 seconds.",)"
      R"("violated-policies":["free"],"allowed":false,"action":"deny","limit":2,"remaining":0,"reset_after_ms":59500,)"
      R"("retry_after_ms":29500,"rule":"global.free_tier","level":"global","reason":"over_limit","delay_ms":0})");
  // As told: not a nanosecond earlier, and then.
  f.clock.Advance(29'500 * kMillisecond - 1);
  EXPECT_EQ(f.Post("/v1/check", kAlice).status, 429);
  f.clock.Advance(1);
  EXPECT_EQ(f.Post("/v1/check", kAlice).status, 200);
}

TEST(HttpSession, ADenialCanBeAnsweredWith200) {
  Fixture f;
  for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
           {"/v1/check?status=200", R"({"user":"alice","cost":3})"},
           {"/v1/check", R"({"user":"alice","cost":3,"status_on_denial":200})"}}) {
    const Answer answer = f.Post(path, body);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.Header("Content-Type"), "application/json");
    EXPECT_EQ(answer.Json().at("allowed"), false);
    EXPECT_EQ(answer.Json().at("reason"), "never_fits");
    EXPECT_TRUE(answer.Json().at("retry_after_ms").is_null());
  }
  EXPECT_EQ(f.Post("/v1/check?status=200", R"({"user":"alice","cost":3,"status_on_denial":429})").status, 429);
  EXPECT_EQ(f.Post("/v1/check?x=1", kAlice).status, 400);
}

TEST(HttpSession, NeverFitsHasNoRetryAfter) {
  Fixture f;
  const Answer answer = f.Post("/v1/check", R"({"user":"alice","cost":3})");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.Header("Retry-After"), "-");
}

TEST(HttpSession, NobodyToCountAndExempt) {
  Fixture f;
  const Answer nobody = f.Post("/v1/check", R"({"user":"vip"})");
  EXPECT_EQ(
      nobody.body,
      R"({"allowed":true,"action":"allow","limit":null,"remaining":null,"reset_after_ms":0,"retry_after_ms":0,"rule":null,)"
      R"("level":null,"reason":"no_limit","delay_ms":0})");
  EXPECT_EQ(nobody.Header("RateLimit"), "-");
  EXPECT_EQ(f.Post("/v1/check", R"({"user":"alice","path":"/free"})").Json().at("reason"), "exempt");
}

TEST(HttpSession, PeeksAsACheckWouldAnswer) {
  Fixture f;
  EXPECT_EQ(f.Post("/v1/peek", kAlice).Json().at("remaining"), 1);
  EXPECT_EQ(f.Post("/v1/peek", kAlice).Json().at("remaining"), 1);
  EXPECT_EQ(f.Left(), 2);
  const Answer denied = f.Post("/v1/peek", R"({"user":"alice","cost":3})");
  EXPECT_EQ(denied.status, 200);
  EXPECT_EQ(denied.Json().at("allowed"), false);
}

TEST(HttpSession, ReservesAndSettles) {
  Fixture f;
  const Answer reserved = f.Post("/v1/reserve", R"({"user":"alice","cost":2})");
  ASSERT_EQ(reserved.status, 200);
  const std::string id(reserved.Json().at("reservation").as_string());
  EXPECT_EQ(f.Post("/v1/check", kAlice).status, 429);
  const Answer committed = f.Post("/v1/commit", R"({"reservation":")" + id + R"(","actual_cost":1})");
  EXPECT_EQ(committed.status, 200);
  EXPECT_EQ(committed.body, R"({"committed":true})");
  EXPECT_EQ(f.Left(), 1);
  const Answer again = f.Post("/v1/commit", R"({"reservation":")" + id + R"(","actual_cost":1})");
  EXPECT_EQ(again.status, 404);
  EXPECT_EQ(again.Header("Content-Type"), "application/problem+json");

  const Answer second = f.Post("/v1/reserve", kAlice);
  const std::string other(second.Json().at("reservation").as_string());
  EXPECT_EQ(f.Post("/v1/cancel", R"({"reservation":")" + other + R"("})").body, R"({"cancelled":true})");
  EXPECT_EQ(f.Left(), 1);
  EXPECT_EQ(f.Post("/v1/reserve", R"({"user":"alice","cost":2})").status, 429);
}

TEST(HttpSession, ExtendsAReservation) {
  Fixture f;
  const Answer reserved = f.Post("/v1/reserve", kAlice);
  ASSERT_EQ(reserved.status, 200);
  const std::string id(reserved.Json().at("reservation").as_string());
  const Answer denied = f.Post("/v1/extend", R"({"reservation":")" + id + R"(","cost":2})");
  EXPECT_EQ(denied.status, 429);
  EXPECT_EQ(denied.Json().at("granted"), 0);
  EXPECT_EQ(f.Left(), 1);
  const Answer part = f.Post("/v1/extend", R"({"reservation":")" + id + R"(","cost":2,"partial":true})");
  EXPECT_EQ(part.status, 200);
  EXPECT_EQ(part.body, R"({"granted":1})");
  EXPECT_EQ(f.Left(), 0);
  EXPECT_EQ(f.Post("/v1/cancel", R"({"reservation":")" + id + R"("})").status, 200);
  EXPECT_EQ(f.Left(), 2);
  EXPECT_EQ(f.Post("/v1/extend", R"({"reservation":")" + id + R"(","cost":1})").status, 404);
  for (const std::string_view wrong : {R"({"reservation":"7"})", R"({"cost":1})", R"({"reservation":"7","cost":-1})",
                                       R"({"reservation":"7","cost":1,"partial":1})", R"([])", "{"}) {
    EXPECT_EQ(f.Post("/v1/extend", wrong).status, 400) << wrong;
  }
}

TEST(HttpSession, RefundsAndResets) {
  Fixture f;
  f.Post("/v1/check", R"({"user":"alice","cost":2})");
  EXPECT_EQ(f.Post("/v1/refund", kAlice).body, R"({"refunded":true})");
  EXPECT_EQ(f.Left(), 1);
  const Answer refused = f.Post("/v1/reset", kAlice);
  EXPECT_EQ(refused.status, 403) << "not without being asked for";
  EXPECT_NE(refused.body.find("'reset'"), std::string::npos) << refused.body;
  EXPECT_EQ(f.Left(), 1);
  f.options.serve = kServeAll;
  EXPECT_EQ(f.Post("/v1/reset", kAlice).body, R"({"reset":true})");
  EXPECT_EQ(f.Left(), 2);
}

TEST(HttpSession, Explains) {
  Fixture f;
  const Answer rules = f.Post("/v1/check", R"({"user":"alice","rules":true})");
  EXPECT_EQ(rules.Json().at("rules").as_array().size(), 1U);
  EXPECT_EQ(rules.Json().at("rules").at(0).at("policy"), "free");
  EXPECT_EQ(rules.Json().at("rules").at(0).at("verdict"), "allowed");
  EXPECT_EQ(rules.Json().at("rules").at(0).at("used"), 1);
  EXPECT_FALSE(rules.Json().as_object().contains("explain"));
  const Answer explained = f.Post("/v1/check", R"({"user":"al\"ice","explain":true})");
  EXPECT_FALSE(explained.Json().at("explain").as_array().empty());
  EXPECT_TRUE(explained.Json().at("explain").at(0).as_object().contains("stage"));
}

TEST(HttpSession, HearsHowUpstreamsFare) {
  Fixture f;
  const std::string_view bad = R"({"user":"alice","path":"/learned","latency_ms":20.5,"failed":true})";
  const std::string_view peek = R"({"user":"alice","path":"/learned","cost":0,"explain":true})";
  const Answer first = f.Post("/v1/feedback", bad);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.Header("Content-Type"), "application/json");
  EXPECT_EQ(first.body, R"({"rules_updated":1})");
  for (int i = 0; i < 60; ++i) f.Post("/v1/feedback", bad);
  Answer peeked = f.Post("/v1/peek", peek);
  EXPECT_LT(peeked.Json().at("limit").to_number<int>(), 20);
  EXPECT_EQ(peeked.Json().at("rules").at(0).at("used"), 0);
  EXPECT_NE(peeked.body.find("The upstream answers in 20.5 ms, normally in 20.5 ms, and 9"), std::string::npos)
      << peeked.body;
  for (int i = 0; i < 200; ++i) {
    f.Post("/v1/feedback", R"({"user":"alice","path":"/learned","latency_ms":20.5,"failed":false})");
  }
  EXPECT_EQ(f.Post("/v1/peek", peek).Json().at("limit"), 100);
  EXPECT_EQ(f.Post("/v1/feedback", R"({"user":"alice","latency_ms":1})").body, R"({"rules_updated":0})") << "a bucket";

  const Answer wrong = f.Post("/v1/feedback", R"({"user":"alice","latency_ms":-1})");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.Json().at("detail"), "$.latency_ms: must be a number >= 0, got -1");
  EXPECT_EQ(f.Get("/v1/feedback").status, 405);
}

TEST(HttpSession, HearsFeedbackThroughAStoreThatAnswersLater) {
  EnterpriseRateLimitConfig config = FixtureConfig();
  config.storage.on_store_failure = StoreFailurePolicy::kDeny;
  Fixture f(Fixture::StoreKind::kLate, config);
  const std::string feedback =
      Fixture::PostText("/v1/feedback", R"({"user":"alice","path":"/learned","latency_ms":1})");
  f.connection.Receive(feedback);
  EXPECT_EQ(f.connection.TakeOutput(), "");
  f.late->Answer();
  f.connection.RunPosted();
  f.connection.Receive(feedback);
  f.late->down = true;
  f.late->Answer();
  f.connection.RunPosted();
  const std::vector<Answer> answers = Fixture::TakeAnswers(f.connection.TakeOutput());
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].body, R"({"rules_updated":1})");
  EXPECT_EQ(answers[1].status, 503);
  EXPECT_EQ(answers[1].Header("Retry-After"), "1");
}

TEST(HttpSession, AnswersBatchesInOrder) {
  Fixture f;
  const Answer answer =
      f.Post("/v1/check/batch", R"({"requests":[{"user":"a"},{"user":"a"},{"user":"b"},{"user":"a"}]})");
  EXPECT_EQ(answer.status, 200);
  const boost::json::array results = answer.Json().at("results").as_array();
  ASSERT_EQ(results.size(), 4U);
  EXPECT_EQ(results[0].at("remaining"), 1);
  EXPECT_EQ(results[1].at("remaining"), 0);
  EXPECT_EQ(results[2].at("remaining"), 1);
  EXPECT_EQ(results[3].at("allowed"), false);
  EXPECT_EQ(f.Post("/v1/check/batch", "[]").body, R"({"results":[]})");
  std::string many = "[{}";
  for (int i = 1; i < 1000; ++i) many += ",{\"user\":\"u" + std::to_string(i) + "\",\"headers\":{\"a\":\"b\"}}";
  EXPECT_EQ(f.Post("/v1/check/batch", many + "]").Json().at("results").as_array().size(), 1000U);
  EXPECT_EQ(f.Post("/v1/check/batch", many + ",{}]").status, 400);
}

TEST(HttpSession, WrongBodiesChangeNothing) {
  Fixture f;
  const Answer wrong = f.Post("/v1/check", R"({"user":"alice","cost":-1})");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.Header("Content-Type"), "application/problem+json");
  EXPECT_EQ(
      wrong.body,
      R"({"type":"about:blank","title":"Bad Request","status":400,"detail":"$.cost: must be an integer >= 0, got -1"})");
  EXPECT_EQ(f.Post("/v1/check/batch", R"([{"user":"alice"},{"usr":"alice"}])").status, 400);
  EXPECT_EQ(f.Left(), 2);
  EXPECT_FALSE(f.connection.closing());
}

TEST(HttpSession, HeadersOfARequestAreSeen) {
  EnterpriseRateLimitConfig config = FixtureConfig();
  config.global.free_tier.identifier =
      EnhancedIdentifier{CustomIdentifier{.extractor = "header:x-key", .cache_duration = {}}};
  Fixture f(Fixture::StoreKind::kInline, config);
  EXPECT_EQ(f.Post("/v1/check", R"({"headers":{"X-Key":"a"}})").Json().at("remaining"), 1);
  EXPECT_EQ(f.Post("/v1/check", R"({"headers":{"x-key":"a"}})").Json().at("remaining"), 0);
  EXPECT_EQ(f.Post("/v1/check", R"({"headers":{"x-key":"b"}})").Json().at("remaining"), 1);
}

}  // namespace
}  // namespace weir::http
