// The small parts of the API: routes, cursors, entity tags, merge patches, idempotency, workers, sessions.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <future>

#include "base/manual_clock.h"
#include "management/rest/cursor.h"
#include "management/rest/etag.h"
#include "management/rest/idempotency.h"
#include "management/rest/merge_patch.h"
#include "management/rest/problem.h"
#include "management/rest/record_body.h"
#include "management/rest/route.h"
#include "management/rest/session.h"
#include "management/rest/workers.h"
#include "net/fake_connection.h"

namespace weir::management::rest {
namespace {

TEST(MergePatchTest, AsRfc7396HasIt) {
  const std::pair<std::pair<const char*, const char*>, const char*> cases[] = {
      {{R"({"a":"b"})", R"({"a":"c"})"}, R"({"a":"c"})"},
      {{R"({"a":"b"})", R"({"b":"c"})"}, R"({"a":"b","b":"c"})"},
      {{R"({"a":"b"})", R"({"a":null})"}, R"({})"},
      {{R"({"a":"b","b":"c"})", R"({"a":null})"}, R"({"b":"c"})"},
      {{R"({"a":["b"]})", R"({"a":"c"})"}, R"({"a":"c"})"},
      {{R"({"a":"c"})", R"({"a":["b"]})"}, R"({"a":["b"]})"},
      {{R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})"}, R"({"a":{"b":"d"}})"},
      {{R"({"a":[{"b":"c"}]})", R"({"a":[1]})"}, R"({"a":[1]})"},
      {{R"(["a","b"])", R"(["c","d"])"}, R"(["c","d"])"},
      {{R"({"a":"b"})", R"(["c"])"}, R"(["c"])"},
      {{R"({"a":"foo"})", R"(null)"}, R"(null)"},
      {{R"({"e":null})", R"({"a":1})"}, R"({"e":null,"a":1})"},
      {{R"([1,2])", R"({"a":"b","c":null})"}, R"({"a":"b"})"},
      {{R"({})", R"({"a":{"bb":{"ccc":null}}})"}, R"({"a":{"bb":{}}})"}};
  for (const auto& [given, expected] : cases) {
    boost::json::value value = boost::json::parse(given.first);
    MergePatch(value, boost::json::parse(given.second));
    EXPECT_EQ(value, boost::json::parse(expected)) << given.first << " " << given.second;
  }
}

TEST(EntityTagTest, IsReadBackAndNothingElseIs) {
  EXPECT_TRUE(Matches(ParseTags(EntityTag(17)), 17));
  EXPECT_TRUE(Matches(ParseTags("\"x\", \"r17\""), 17));
  EXPECT_TRUE(Matches(ParseTags("*"), 1));
  EXPECT_FALSE(Matches(ParseTags("*"), std::nullopt));
  for (const char* text : {"W/\"r17\"", "\"r017\"", "\"r17x\"", "\"17\"", "\"r99999999999999999999\"", "\"r\""}) {
    EXPECT_FALSE(Matches(ParseTags(text), 17)) << text;
    EXPECT_FALSE(ParseTags(text).malformed) << text;
  }
  for (const char* text : {"r17", "\"r17", "\"r17\" \"r18\"", "W/", "\"a\",b"})
    EXPECT_TRUE(ParseTags(text).malformed) << text;
}

TEST(CursorTest, IsOfItsListOnly) {
  const CursorSigner signer(std::string(32, 'k')), other(std::string(32, 'l'));
  const std::string position("a\0b", 3);
  const std::string cursor = signer.Sign("users", position);
  EXPECT_EQ(*signer.Open("users", cursor), position);
  EXPECT_FALSE(signer.Open("tenants", cursor));
  EXPECT_FALSE(other.Open("users", cursor));
  EXPECT_FALSE(signer.Open("users", ""));
  EXPECT_FALSE(signer.Open("users", cursor + "A"));
  EXPECT_FALSE(signer.Open("users", std::string(10'000, 'A')));
  // Where one ends and the other begins is part of what is signed.
  EXPECT_NE(signer.Sign("ab", "c"), signer.Sign("a", "bc"));
}

TEST(IdempotencyTest, AnswersAreKeptForTheirOwner) {
  IdempotencyTable table;
  using State = IdempotencyTable::State;
  EXPECT_EQ(table.Begin("ann", "k", "body", 1).state, State::kNew);
  EXPECT_EQ(table.Begin("ann", "k", "body", 1).state, State::kRunning);
  EXPECT_EQ(table.Begin("bob", "k", "body", 1).state, State::kNew);
  table.Finish("ann", "k", {.status = 201, .body = "made"}, 1);
  const auto again = table.Begin("ann", "k", "body", 2);
  EXPECT_EQ(again.state, State::kAnswered);
  EXPECT_EQ(again.answer->body, "made");
  EXPECT_EQ(table.Begin("ann", "k", "another body", 2).state, State::kOther);
  EXPECT_EQ(table.Begin("ann", "k", "body", 1 + IdempotencyTable::kKept).state, State::kNew);
  table.Abandon("bob", "k");
  EXPECT_EQ(table.Begin("bob", "k", "another", 2).state, State::kNew);
}

TEST(IdempotencyTest, IsBounded) {
  IdempotencyTable table;
  const std::string large(1 << 20, 'x');
  for (int i = 0; i < 40; ++i) {
    const std::string key = std::to_string(i);
    ASSERT_EQ(table.Begin("ann", key, "", 1).state, IdempotencyTable::State::kNew);
    table.Finish("ann", key, {.body = large}, 1);
  }
  EXPECT_EQ(table.Begin("ann", "0", "", 1).state, IdempotencyTable::State::kNew);
  EXPECT_EQ(table.Begin("ann", "39", "", 1).state, IdempotencyTable::State::kAnswered);
}

TEST(RouteTest, SegmentsAreDecodedOnce) {
  std::string decoded;
  EXPECT_TRUE(DecodeSegment("%2Fapi%2F*", &decoded));
  EXPECT_EQ(decoded, "/api/*");
  EXPECT_TRUE(DecodeSegment("a%252Fb", &decoded));
  EXPECT_EQ(decoded, "a%2Fb");
  for (const char* bad : {"", "%", "%2", "%zz", "%00", "%0a", "%7f", "%ff", "%c0%af"}) {
    EXPECT_FALSE(DecodeSegment(bad, &decoded)) << bad;
  }
}

TEST(RouteTest, ALiteralGoesBeforeAParameter) {
  const RouteTable table({{.method = "GET", .path = "/things/{name}", .operation = "get"},
                          {.method = "PUT", .path = "/things/{name}", .operation = "put"},
                          {.method = "GET", .path = "/things/special", .operation = "special"}});
  EXPECT_EQ(table.Find("GET", "/admin/v1/things/special").route->operation, "special");
  EXPECT_EQ(table.Find("HEAD", "/admin/v1/things/x").route->operation, "get");
  EXPECT_EQ(table.Find("GET", "/admin/v1/things/x").parameters, std::vector<std::string>{"x"});
  EXPECT_EQ(table.Find("POST", "/admin/v1/things/x").route, nullptr);
  EXPECT_EQ(table.Find("POST", "/admin/v1/things/x").allow, "GET, HEAD, PUT, OPTIONS");
  EXPECT_EQ(table.Find("GET", "/admin/v1/things/x/").allow, "");
  EXPECT_EQ(table.Find("GET", "/admin/v1/things//x").allow, "");
  EXPECT_EQ(table.Find("GET", "/v1/things/x").allow, "");
}

TEST(TimestampTest, IsReadAndWritten) {
  EXPECT_EQ(ParseTimestamp("2027-01-15T08:00:00Z"), 1'800'000'000 * kSecond);
  EXPECT_EQ(ParseTimestamp("2027-01-15T09:00:00+01:00"), 1'800'000'000 * kSecond);
  EXPECT_EQ(TimestampText(1'800'000'000 * kSecond), "2027-01-15T08:00:00Z");
  for (const char* bad : {"", "tomorrow", "2027-01-15", "1800000000", "9999-01-01T00:00:00Z"}) {
    EXPECT_FALSE(ParseTimestamp(bad)) << bad;
  }
}

TEST(WorkersTest, DoWhatTheyTookAndRefuseWhatIsTooMuch) {
  std::promise<void> go;
  std::shared_future<void> gate = go.get_future().share();
  int done = 0;
  {
    Workers workers(1, 2);
    std::promise<void> started;
    ASSERT_TRUE(workers.Submit([&, gate] {
      started.set_value();
      gate.wait();
      ++done;
    }));
    started.get_future().wait();
    EXPECT_TRUE(workers.Submit([&] { ++done; }));
    EXPECT_TRUE(workers.Submit([&] { ++done; }));
    EXPECT_FALSE(workers.Submit([&] { ++done; }));
    go.set_value();
  }
  EXPECT_EQ(done, 3);
}

class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    options_.clock = &clock_;
    options_.ready = [](std::string*) { return true; };
    options_.handle = [this](ApiRequest request) {
      seen_.push_back(request);
      ApiResponse response{.status = 200, .body = "{}"};
      response.stream = request.target.ends_with("/stream");
      if (response.stream) response.body = "data: 1\n\n";
      return response;
    };
    options_.work = [this](bool, std::function<void()> task) {
      if (refuses_) return false;
      tasks_.push_back(std::move(task));
      return true;
    };
    options_.event = [this](const ApiRequest&) { return event_; };
    connection_.Attach(session_.get());
  }
  void RunTasks() {
    for (const auto& task : std::exchange(tasks_, {})) task();
    connection_.RunPosted();
  }

  ManualClock clock_;
  SessionOptions options_;
  std::vector<ApiRequest> seen_;
  std::vector<std::function<void()>> tasks_;
  bool refuses_ = false;
  std::shared_ptr<const std::string> event_ = std::make_shared<const std::string>("data: 2\n\n");
  net::FakeConnection connection_;
  std::unique_ptr<net::Session> session_ = MakeManagementSession(connection_, options_);
};

TEST_F(SessionTest, HealthIsAnsweredAtOnceAndTheApiByAWorker) {
  connection_.Receive("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(connection_.TakeOutput().find("200 OK"), std::string::npos);
  connection_.Receive(
      "PUT /admin/v1/users/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: 2\r\n\r\n{}"
      "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(connection_.TakeOutput(), "");
  RunTasks();
  const std::string output = connection_.TakeOutput();
  EXPECT_NE(output.find("HTTP/1.1 200 OK"), std::string::npos);
  EXPECT_NE(output.find("ok\n"), std::string::npos) << "what followed is answered too: " << output;
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(seen_[0].method, "PUT");
  EXPECT_EQ(seen_[0].body, "{}");
  EXPECT_EQ(seen_[0].headers.authorization, "Bearer t");
}

TEST_F(SessionTest, TooManyThatWaitAreRefused) {
  refuses_ = true;
  connection_.Receive("GET /admin/v1/users HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(connection_.TakeOutput().find("503"), std::string::npos);
}

TEST_F(SessionTest, WithoutAStateDirectoryTheApiSaysWhy) {
  options_.handle = nullptr;
  options_.off_reason = "management is off: no directory";
  connection_.Receive("GET /admin/v1/users HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string output = connection_.TakeOutput();
  EXPECT_NE(output.find("503"), std::string::npos);
  EXPECT_NE(output.find("no directory"), std::string::npos);
  EXPECT_NE(output.find("ready\n"), std::string::npos);
}

TEST_F(SessionTest, AStreamGoesOnAsLongAsItMay) {
  connection_.Receive("GET /admin/v1/stats/stream HTTP/1.1\r\nHost: x\r\n\r\n");
  RunTasks();
  const std::string begun = connection_.TakeOutput();
  EXPECT_NE(begun.find("text/event-stream"), std::string::npos);
  EXPECT_TRUE(begun.ends_with("data: 1\n\n")) << begun;
  session_->OnWake();
  EXPECT_EQ(connection_.TakeOutput(), "data: 2\n\n");
  event_ = nullptr;
  session_->OnWake();
  EXPECT_EQ(connection_.TakeOutput(), "");
  EXPECT_TRUE(connection_.closing());
}

TEST_F(SessionTest, ASessionThatHasGoneIsNotToldItsAnswer) {
  connection_.Receive("GET /admin/v1/users HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_EQ(tasks_.size(), 1U);
  session_.reset();
  for (const auto& task : std::exchange(tasks_, {})) task();
  EXPECT_EQ(seen_.size(), 1U);
}

}  // namespace
}  // namespace weir::management::rest
