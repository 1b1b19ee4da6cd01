#include "io/https/http_fetcher.h"

#include <gtest/gtest.h>

#include <future>
#include <vector>

#include "io/https/test_http_server.h"

namespace weir::io {
namespace {

HttpOptions Plain() {
  HttpOptions options;
  options.plaintext = true;
  return options;
}

std::future<Result<HttpReply>> Ask(HttpFetcher& fetcher, std::string url) {
  auto promise = std::make_shared<std::promise<Result<HttpReply>>>();
  fetcher.Send({.url = std::move(url)}, [promise](Result<HttpReply> reply) { promise->set_value(std::move(reply)); });
  return promise->get_future();
}

TEST(HttpFetcher, AnswersComeToTheirCallbacks) {
  TestHttpServer server([](const SeenRequest& request) { return TestAnswer(200, request.target); });
  HttpFetcher fetcher(Plain(), {.at_once = 3, .most_waiting = 100});
  std::vector<std::future<Result<HttpReply>>> answers;
  for (int i = 0; i < 20; ++i) {
    answers.push_back(Ask(fetcher, "http://" + server.address() + "/" + std::to_string(i)));
  }
  for (int i = 0; i < 20; ++i) {
    const auto reply = answers[static_cast<std::size_t>(i)].get();
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->body, "/" + std::to_string(i));
  }
  EXPECT_EQ(Ask(fetcher, "nonsense").get().error().code, ErrorCode::kInvalidArgument);
}

TEST(HttpFetcher, ASlowServerHoldsUpNobodyElse) {
  TestHttpServer silent([](const SeenRequest&) { return std::string(); });
  TestHttpServer server([](const SeenRequest&) { return TestAnswer(200, "quick"); });
  std::future<Result<HttpReply>> slow;
  {
    HttpFetcher fetcher(Plain());
    slow = Ask(fetcher, "http://" + silent.address() + "/");
    EXPECT_TRUE(Ask(fetcher, "http://" + server.address() + "/").get());
  }
  // The end of the fetcher is an answer, too.
  EXPECT_EQ(slow.get().error().code, ErrorCode::kUnavailable);
}

TEST(HttpFetcher, WhatWaitsIsBounded) {
  TestHttpServer silent([](const SeenRequest&) { return std::string(); });
  std::vector<std::future<Result<HttpReply>>> answers;
  {
    HttpFetcher fetcher(Plain(), {.at_once = 1, .most_waiting = 2});
    for (int i = 0; i < 8; ++i) answers.push_back(Ask(fetcher, "http://" + silent.address() + "/"));
  }
  int refused = 0;
  for (auto& answer : answers) refused += answer.get().error().code == ErrorCode::kResourceExhausted ? 1 : 0;
  EXPECT_GE(refused, 5);
}

}  // namespace
}  // namespace weir::io
