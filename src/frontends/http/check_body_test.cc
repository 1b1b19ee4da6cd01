#include "frontends/http/check_body.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace weir::http {
namespace {

// A body in memory of exactly its size and the '\0'.
class Body {
 public:
  explicit Body(std::string_view text) : bytes_(text.begin(), text.end()) { bytes_.push_back('\0'); }
  char* text() { return bytes_.data(); }
  std::size_t size() const { return bytes_.size() - 1; }

 private:
  std::vector<char> bytes_;
};

std::string ErrorOf(std::string_view json) {
  Body body(json);
  ParsedRequest parsed;
  std::vector<Attribute> pairs;
  std::string error;
  return ReadRequestBody(body.text(), body.size(), &parsed, &pairs, &error) ? "" : error;
}

std::string BatchErrorOf(std::string_view json) {
  Body body(json);
  std::vector<ParsedRequest> parsed;
  std::vector<Attribute> pairs;
  std::string error;
  return ReadBatchBody(body.text(), body.size(), &parsed, &pairs, &error) ? std::to_string(parsed.size()) : error;
}

std::string CommitErrorOf(std::string_view json) {
  Body body(json);
  Settlement settlement;
  std::string error;
  return ReadCommitBody(body.text(), body.size(), &settlement, &error)
             ? std::to_string(settlement.reservation) + " at " + std::to_string(settlement.actual_cost)
             : error;
}

std::string FeedbackErrorOf(std::string_view json) {
  Body body(json);
  ParsedRequest parsed;
  std::vector<Attribute> pairs;
  engine::Feedback feedback;
  std::string error;
  if (!ReadFeedbackBody(body.text(), body.size(), &parsed, &feedback, &pairs, &error)) return error;
  return std::string(parsed.request.user) + " " + std::to_string(feedback.latency) + (feedback.failed ? " failed" : "");
}

TEST(CheckBody, ReadsEveryField) {
  Body body(R"({"domain":"shop","ip":"192.0.2.1","user":"al\u0069ce","tenant":"acme","tier":"pro","api_key":"k1",
                "country":"DE","method":"GET","path":"/a?b=c","headers":{"Accept":"x","Cookie":["a=1","b=2"]},
                "attributes":{"model":"big","tokens":12,"beta":true},"cost":7,"rules":true,"status_on_denial":200})");
  ParsedRequest parsed;
  std::vector<Attribute> pairs;
  std::string error;
  ASSERT_TRUE(ReadRequestBody(body.text(), body.size(), &parsed, &pairs, &error)) << error;
  const Request& request = parsed.request;
  EXPECT_EQ(request.domain, "shop");
  EXPECT_EQ(request.peer_ip, "192.0.2.1");
  EXPECT_EQ(request.user, "alice");
  EXPECT_EQ(request.tenant, "acme");
  EXPECT_EQ(request.tier, "pro");
  EXPECT_EQ(request.api_key, "k1");
  EXPECT_EQ(request.country, "DE");
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.path, "/a?b=c");
  EXPECT_EQ(request.cost, 7U);
  EXPECT_TRUE(parsed.answer.rules);
  EXPECT_FALSE(parsed.answer.explain);
  EXPECT_TRUE(parsed.answer.deny_as_200);
  std::string told;
  for (const PairRange range : {parsed.headers, parsed.attributes}) {
    for (std::uint32_t i = 0; i < range.count; ++i) {
      told += std::string(pairs[range.begin + i].name) + "=" + std::string(pairs[range.begin + i].value) + " ";
    }
    told += "| ";
  }
  EXPECT_EQ(told, "Accept=x Cookie=a=1 Cookie=b=2 | model=big tokens=12 beta=true | ");
}

TEST(CheckBody, NothingIsRequired) {
  EXPECT_EQ(ErrorOf(""), "");
  EXPECT_EQ(ErrorOf("{}"), "");
  EXPECT_EQ(ErrorOf(R"({"user":null,"headers":null,"cost":null,"explain":null})"), "");
  EXPECT_EQ(ErrorOf(R"({"cost":0})"), "");
}

TEST(CheckBody, NamesThePathOfEachFault) {
  EXPECT_EQ(ErrorOf(R"({"cost":-1})"), "$.cost: must be an integer >= 0, got -1");
  EXPECT_EQ(ErrorOf(R"({"cost":"1"})"), "$.cost: must be an integer >= 0, got \"1\"");
  EXPECT_EQ(ErrorOf(R"({"user":1})"), "$.user: must be a string, got 1");
  EXPECT_EQ(ErrorOf(R"({"user":{}})"), "$.user: must be a string, got an object");
  EXPECT_EQ(ErrorOf(R"({"explain":"yes"})"), "$.explain: must be true or false, got \"yes\"");
  EXPECT_EQ(ErrorOf(R"({"ip":"1.2.3"})"), "$.ip: must be an IP address");
  EXPECT_EQ(ErrorOf(R"({"country":"Germany"})"), "$.country: must be an ISO 3166-1 country code of two letters");
  EXPECT_EQ(ErrorOf(R"({"status_on_denial":500})"), "$.status_on_denial: must be 200 or 429");
  EXPECT_EQ(ErrorOf(R"({"headers":["a"]})"), "$.headers: must be an object, got an array");
  EXPECT_EQ(ErrorOf(R"({"headers":{"a":1}})"), "$.headers.a: must be a string, got 1");
  EXPECT_EQ(ErrorOf(R"({"headers":{"a":["x",{}]}})"), "$.headers.a[1]: must be a string, got an object");
  EXPECT_EQ(ErrorOf(R"({"headers":{"a":"x","b":"y","a":"z"}})"), "$.headers.a: appears twice");
  EXPECT_EQ(ErrorOf(R"({"headers":{"x-key":"x","b":"y","X-Key":["z"]}})"), "$.headers.X-Key: appears twice");
  EXPECT_EQ(ErrorOf(R"({"attributes":{"a":"x","A":"z"}})"), "") << "names of attributes have a case";
  EXPECT_EQ(ErrorOf(R"({"attributes":{"a":null}})"),
            "$.attributes.a: must be a string, a number or a boolean, got null");
  EXPECT_EQ(ErrorOf(R"({"user":"a","user":"a"})"), "$.user: appears twice");
  EXPECT_EQ(ErrorOf(R"({"user":"a",})"), "$.user: not valid JSON at byte 12: expected a quoted name");
  EXPECT_EQ(ErrorOf(R"({"user":"a")"),
            "$.user: not valid JSON at byte 11: expected ',' or '}', got the end of the text");
  EXPECT_EQ(ErrorOf("[]"), "$: must be an object, got an array");
  EXPECT_EQ(ErrorOf("{} {}"), "$: not valid JSON at byte 3: expected nothing after the value");
}

TEST(CheckBody, HintsAtTheFieldThatWasMeant) {
  EXPECT_EQ(ErrorOf(R"({"usr":"a"})"), "$.usr: unknown field (did you mean 'user'?)");
  EXPECT_EQ(ErrorOf(R"({"user_id":"a"})"), "$.user_id: unknown field (did you mean 'user'?)");
  EXPECT_EQ(ErrorOf(R"({"apiKey":"a"})"), "$.apiKey: unknown field (did you mean 'api_key'?)");
  EXPECT_EQ(ErrorOf(R"({"zzz":"a"})"), "$.zzz: unknown field");
  EXPECT_EQ(ErrorOf(R"({"actual_cost":1})"), "$.actual_cost: unknown field");
}

TEST(CheckBody, BoundsPairs) {
  const auto with = [](std::size_t count) {
    std::string json = R"({"attributes":{"k":"v")";
    for (std::size_t i = 1; i < count; ++i) json += ",\"k" + std::to_string(i) + "\":\"v\"";
    return json + "}}";
  };
  EXPECT_EQ(ErrorOf(with(kMaxPairs)), "");
  EXPECT_EQ(ErrorOf(with(kMaxPairs + 1)), "$.attributes.k128: holds more than 128 pairs");
}

TEST(CheckBody, ReadsBatches) {
  EXPECT_EQ(BatchErrorOf("[]"), "0");
  EXPECT_EQ(BatchErrorOf(R"({"requests":[]})"), "0");
  EXPECT_EQ(BatchErrorOf(R"([{},{"user":"a"}])"), "2");
  EXPECT_EQ(BatchErrorOf(R"({"requests":[{},{"user":"a"},{}]})"), "3");
  EXPECT_EQ(BatchErrorOf(R"({"requests":[{},{"cost":-1}]})"), "$.requests[1].cost: must be an integer >= 0, got -1");
  EXPECT_EQ(BatchErrorOf(R"([{},1])"), "$[1]: must be an object, got 1");
  EXPECT_EQ(BatchErrorOf("{}"), "$: 'requests' is missing");
  EXPECT_EQ(BatchErrorOf(R"({"request":[]})"), "$.request: unknown field (did you mean 'requests'?)");
  EXPECT_EQ(BatchErrorOf(R"({"requests":[],"requests":[]})"), "$.requests: appears twice");
  EXPECT_EQ(BatchErrorOf(""), "$: must be an array, or an object with 'requests', got the end of the text");
  std::string many = "[{}";
  for (std::size_t i = 1; i < kMaxBatch; ++i) many += ",{}";
  EXPECT_EQ(BatchErrorOf(many + "]"), "1000");
  EXPECT_EQ(BatchErrorOf(many + ",{}]"), "$[1000]: a batch holds at most 1000 requests");
}

TEST(CheckBody, ReadsSettlements) {
  EXPECT_EQ(CommitErrorOf(R"({"reservation":"18446744073709551615","actual_cost":3})"), "18446744073709551615 at 3");
  EXPECT_EQ(CommitErrorOf(R"({"actual_cost":0,"reservation":5})"), "5 at 0");
  EXPECT_EQ(CommitErrorOf(R"({"actual_cost":0})"), "$: 'reservation' is missing");
  EXPECT_EQ(CommitErrorOf(R"({"reservation":"1"})"), "$: 'actual_cost' is missing");
  EXPECT_EQ(CommitErrorOf(R"({"reservation":"x","actual_cost":1})"),
            "$.reservation: must be the text that /v1/reserve gave");
  EXPECT_EQ(CommitErrorOf(R"({"reservation":"-1","actual_cost":1})"),
            "$.reservation: must be the text that /v1/reserve gave");
  EXPECT_EQ(CommitErrorOf(R"({"reservation":true,"actual_cost":1})"),
            "$.reservation: must be the text that /v1/reserve gave, got true");
  EXPECT_EQ(CommitErrorOf(R"({"reservation":"1","actual_cost":1,"cost":1})"), "$.cost: unknown field");
  Body body(R"({"reservation":"7"})");
  Settlement settlement;
  std::string error;
  EXPECT_TRUE(ReadCancelBody(body.text(), body.size(), &settlement, &error)) << error;
  EXPECT_EQ(settlement.reservation, 7U);
}

TEST(CheckBody, ReadsFeedback) {
  EXPECT_EQ(FeedbackErrorOf(R"({"user":"a","latency_ms":12.5,"failed":true})"), "a 12500000 failed");
  EXPECT_EQ(FeedbackErrorOf(R"({"failed":false,"latency_ms":0,"cost":3,"explain":true})"), " 0");
  EXPECT_EQ(FeedbackErrorOf(R"({"latency_ms":1e-3,"failed":null})"), " 1000");
  EXPECT_EQ(FeedbackErrorOf(R"({"user":"a","failed":true})"), "$: 'latency_ms' is missing");
  EXPECT_EQ(FeedbackErrorOf(R"({"latency_ms":null})"), "$: 'latency_ms' is missing");
  EXPECT_EQ(FeedbackErrorOf(""), "$: must be an object, got the end of the text");
  EXPECT_EQ(FeedbackErrorOf(R"({"latency_ms":-1})"), "$.latency_ms: must be a number >= 0, got -1");
  EXPECT_EQ(FeedbackErrorOf(R"({"latency_ms":"12"})"), "$.latency_ms: must be a number >= 0, got \"12\"");
  EXPECT_EQ(FeedbackErrorOf(R"({"latency_ms":1,"failed":1})"), "$.failed: must be true or false, got 1");
  EXPECT_EQ(FeedbackErrorOf(R"({"latency_ms":1,"latency_ms":2})"), "$.latency_ms: appears twice");
  EXPECT_EQ(FeedbackErrorOf(R"({"latency":1})"), "$.latency: unknown field (did you mean 'latency_ms'?)");
  EXPECT_EQ(FeedbackErrorOf(R"({"latency_ms":1,"error":true})"), "$.error: unknown field (did you mean 'failed'?)");
  EXPECT_EQ(ErrorOf(R"({"latency_ms":1})"), "$.latency_ms: unknown field") << "not of a check";
}

}  // namespace
}  // namespace weir::http
