// How an HTTP session reads requests and writes answers: pipelines, input in pieces, stores that answer later, closing.
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

// An answer that would not fit is refused before anything is decided.
TEST(HttpSession, TakesRoomForLargeAnswersBeforeItDecides) {
  for (const auto kind : {Fixture::StoreKind::kInline, Fixture::StoreKind::kLate}) {
    Fixture f(kind);
    f.connection.set_room(100'000);
    std::string many = R"({"requests":[)";
    for (int i = 0; i < 100; ++i) many += std::string(i == 0 ? "" : ",") + R"({"user":"alice"})";
    many += "]}";
    const Answer refused = f.Post("/v1/check/batch", many);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.Header("Retry-After"), "1");
    EXPECT_EQ(f.session->held(), 0U);
    // Small ones are not asked for; the connection lives on.
    f.connection.set_room(0);
    f.connection.Receive(Fixture::PostText("/v1/check", kAlice));
    if (f.late != nullptr) {
      f.late->Answer();
      f.connection.RunPosted();
    }
    EXPECT_NE(f.connection.TakeOutput().find(R"("remaining":1)"), std::string::npos) << "nothing was counted";
    f.connection.Receive(Fixture::PostText("/v1/peek", R"({"user":"alice","explain":true})"));
    EXPECT_TRUE(f.connection.TakeOutput().starts_with("HTTP/1.1 503 ")) << "an explanation is asked for";
    f.connection.set_room(1'000'000);
    f.connection.Receive(Fixture::PostText("/v1/check/batch", many));
    EXPECT_LT(f.connection.room(), 1'000'000U);
    if (f.late != nullptr) {
      EXPECT_EQ(f.session->held(), 1'000'000U - f.connection.room()) << "held while the store is asked";
      f.late->Answer();
      f.connection.RunPosted();
    }
    EXPECT_TRUE(f.connection.TakeOutput().starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(f.session->held(), 0U);
  }
}

TEST(HttpSession, AnswersPipelinedRequestsAtOnce) {
  Fixture f;
  std::string input;
  for (int i = 0; i < 300; ++i)
    input += Fixture::PostText("/v1/check", R"({"user":"u)" + std::to_string(i / 3) + "\"}");
  input += Fixture::GetText("/livez") + Fixture::PostText("/v1/check", "{") + Fixture::PostText("/v1/check", "{}") +
           "GET /rea";
  EXPECT_EQ(f.connection.Receive(input), 8U);
  const std::vector<Answer> answers = Fixture::TakeAnswers(f.connection.TakeOutput());
  ASSERT_EQ(answers.size(), 303U);
  for (std::size_t i = 0; i < 300; ++i) EXPECT_EQ(answers[i].status, i % 3 == 2 ? 429 : 200) << i;
  EXPECT_EQ(answers[300].body, "ok\n");
  EXPECT_EQ(answers[301].status, 400);
  EXPECT_EQ(answers[302].status, 200);
}

TEST(HttpSession, DoesNotDependOnHowTheInputIsCut) {
  const std::string input =
      Fixture::PostText("/v1/check", kAlice) + Fixture::PostText("/v1/check", "{\"x\":1}") +
      "POST /v1/check HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n10\r\n{\"user\":\"alice\"}\r\n0\r\n\r\n" +
      Fixture::GetText("/v1/auth?deny=403", "X-User-Id: alice\r\n") + Fixture::GetText("/nothing") +
      Fixture::PostText("/v1/check/batch", "[{\"user\":\"alice\"},{\"user\":\"bob\"}]") + "BROKEN\r\n\r\n";
  Fixture whole;
  whole.connection.Receive(input);
  const std::string expected = whole.connection.TakeOutput();
  EXPECT_TRUE(whole.connection.closing());
  for (const std::size_t cut : {1UL, 2UL, 5UL, 31UL, 100UL}) {
    for (const auto kind : {Fixture::StoreKind::kInline, Fixture::StoreKind::kLate}) {
      Fixture f(kind);
      for (std::size_t at = 0; at < input.size(); at += cut) {
        f.connection.Receive(std::string_view(input).substr(at, cut));
        if (f.late == nullptr || at % 3 == 0) continue;
        f.late->Answer();
        f.connection.RunPosted();
      }
      while (f.late != nullptr && f.late->waiting() > 0) {
        f.late->Answer();
        f.connection.RunPosted();
      }
      EXPECT_EQ(f.connection.TakeOutput(), expected) << cut;
      EXPECT_TRUE(f.connection.closing());
    }
  }
}

TEST(HttpSession, WaitsForAStoreThatAnswersLater) {
  Fixture f(Fixture::StoreKind::kLate);
  f.connection.Receive(Fixture::PostText("/v1/check", kAlice) + Fixture::GetText("/livez") +
                       Fixture::PostText("/v1/check", kAlice));
  EXPECT_TRUE(f.connection.paused());
  EXPECT_EQ(f.connection.TakeOutput(), "");
  f.connection.Receive(Fixture::PostText("/v1/check", kAlice));
  f.late->Answer();
  EXPECT_EQ(f.connection.TakeOutput(), "") << "answered from the store's thread";
  f.connection.RunPosted();
  EXPECT_FALSE(f.connection.unflushed());
  while (f.late->waiting() > 0) {
    f.late->Answer();
    f.connection.RunPosted();
  }
  EXPECT_FALSE(f.connection.unflushed());
  const std::vector<Answer> answers = Fixture::TakeAnswers(f.connection.TakeOutput());
  ASSERT_EQ(answers.size(), 4U);
  EXPECT_EQ(answers[0].Json().at("remaining"), 1);
  EXPECT_EQ(answers[1].body, "ok\n");
  EXPECT_EQ(answers[2].Json().at("remaining"), 0);
  EXPECT_EQ(answers[3].status, 429);
  EXPECT_FALSE(f.connection.paused());
}

TEST(HttpSession, AConnectionMayDieWhileTheStoreIsAsked) {
  Fixture f(Fixture::StoreKind::kLate);
  f.connection.Receive(Fixture::PostText("/v1/check", kAlice) + Fixture::GetText("/v1/auth", "X-User-Id: alice\r\n"));
  ASSERT_EQ(f.late->waiting(), 1U);
  f.connection.Attach(nullptr);
  f.session.reset();
  f.late->Answer();
  f.connection.RunPosted();
  EXPECT_EQ(f.connection.TakeOutput(), "");
  // Counted all the same.
  f.Connect();
  f.connection.Receive(Fixture::PostText("/v1/peek", kAlice));
  f.late->Answer();
  f.connection.RunPosted();
}

TEST(HttpSession, HeadHasNoBody) {
  Fixture f;
  f.connection.Receive("HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\nHEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n" +
                       Fixture::GetText("/livez"));
  std::string output = f.connection.TakeOutput();
  const Answer head = Fixture::TakeAnswer(&output, true);
  EXPECT_EQ(head.Header("Content-Length"), "3");
  EXPECT_EQ(Fixture::TakeAnswer(&output, true).status, 404);
  EXPECT_EQ(Fixture::TakeAnswer(&output).body, "ok\n");
}

TEST(HttpSession, SaysContinueBeforeTheBody) {
  for (const auto kind : {Fixture::StoreKind::kInline, Fixture::StoreKind::kLate}) {
    Fixture f(kind);
    f.connection.Receive(Fixture::PostText("/v1/check", kAlice) +
                         "POST /v1/check HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 16\r\n\r\n");
    if (f.late != nullptr) {
      EXPECT_EQ(f.connection.TakeOutput(), "") << "before the answer to the request before";
      f.late->Answer();
      f.connection.RunPosted();
    }
    std::string output = f.connection.TakeOutput();
    Fixture::TakeAnswer(&output);
    EXPECT_EQ(output, "HTTP/1.1 100 Continue\r\n\r\n");
    f.connection.Receive(std::string_view(kAlice).substr(0, 4));
    EXPECT_EQ(f.connection.TakeOutput(), "");
    f.connection.Receive(std::string_view(kAlice).substr(4));
    if (f.late != nullptr) f.late->Answer();
    f.connection.RunPosted();
    output = f.connection.TakeOutput();
    EXPECT_EQ(Fixture::TakeAnswer(&output).Json().at("remaining"), 0);
  }
}

TEST(HttpSession, ClosesWhenAskedTo) {
  Fixture f;
  const Answer last = f.Get("/livez", "Connection: close\r\n");
  EXPECT_EQ(last.Header("Connection"), "close");
  EXPECT_TRUE(f.connection.closing());

  Fixture old;
  EXPECT_EQ(old.Send("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").Header("Connection"), "keep-alive");
  EXPECT_FALSE(old.connection.closing());
  EXPECT_EQ(old.Send("GET /livez HTTP/1.0\r\n\r\n").Header("Connection"), "close");
  EXPECT_TRUE(old.connection.closing());
}

TEST(HttpSession, WhatFollowsTheLastRequestIsIgnored) {
  Fixture f;
  EXPECT_EQ(f.Send(Fixture::GetText("/livez", "Connection: close\r\n") + Fixture::PostText("/v1/check", kAlice)).status,
            200);
  EXPECT_EQ(f.connection.unconsumed(), "");
}

TEST(HttpSession, ClosesAfterMalformedHttp) {
  Fixture f;
  const Answer answer =
      f.Send("POST /v1/check HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.Header("Connection"), "close");
  EXPECT_EQ(answer.Header("Content-Type"), "application/problem+json");
  EXPECT_TRUE(f.connection.closing());
  EXPECT_EQ(f.connection.unconsumed(), "");
}

TEST(HttpSession, Drains) {
  Fixture idle;
  idle.connection.StartDrain();
  EXPECT_TRUE(idle.connection.closing());

  Fixture busy;
  busy.connection.Receive("GET /live");
  busy.connection.StartDrain();
  EXPECT_FALSE(busy.connection.closing());
  EXPECT_EQ(busy.Send("z HTTP/1.1\r\nHost: a\r\n\r\n").Header("Connection"), "close");
  EXPECT_TRUE(busy.connection.closing());

  Fixture asking(Fixture::StoreKind::kLate);
  asking.connection.Receive(Fixture::PostText("/v1/check", kAlice));
  asking.connection.StartDrain();
  EXPECT_FALSE(asking.connection.closing());
  asking.late->Answer();
  asking.connection.RunPosted();
  std::string output = asking.connection.TakeOutput();
  EXPECT_EQ(Fixture::TakeAnswer(&output).Header("Connection"), "close");
  EXPECT_TRUE(asking.connection.closing());
}

TEST(HttpSession, AFloodOfLargeAnswersYields) {
  Fixture f;
  f.options.metrics = [] { return std::make_shared<const std::string>(300'000, 'x'); };
  std::string flood;
  for (int i = 0; i < 20; ++i) flood += Fixture::GetText("/metrics");
  f.connection.Receive(flood);
  std::string output = f.connection.TakeOutput();
  EXPECT_LT(output.size(), 2'000'000U);
  EXPECT_TRUE(f.connection.paused());
  while (f.connection.RunPosted() > 0) output += f.connection.TakeOutput();
  EXPECT_EQ(Fixture::TakeAnswers(output).size(), 20U);
}

TEST(HttpSession, HoldsToItsLimits) {
  Fixture f;
  f.options.max_body_bytes = 10;
  f.Connect();
  EXPECT_EQ(f.Post("/v1/check", R"({"user":"alice"})").status, 413);
  EXPECT_TRUE(f.connection.closing());
}

}  // namespace
}  // namespace weir::http
