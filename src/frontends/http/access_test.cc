// What a listener of the HTTP API serves, to whom, and what it says of itself.
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

TEST(HttpSession, AnswersOnlyWhatItServes) {
  const std::pair<std::string_view, ServeSet> paths[] = {
      {"/v1/check", kServeCheck},       {"/v1/check/batch", kServeBatch}, {"/v1/peek", kServePeek},
      {"/v1/reserve", kServeReserve},   {"/v1/commit", kServeReserve},    {"/v1/cancel", kServeReserve},
      {"/v1/refund", kServeRefund},     {"/v1/reset", kServeReset},       {"/v1/auth", kServeAuth},
      {"/v1/feedback", kServeFeedback}, {"/metrics", kServeMetrics}};
  Fixture f;
  for (const auto& [path, bit] : paths) {
    f.options.serve = kServeAll & ~bit;
    const Answer refused = bit == kServeMetrics ? f.Get(path) : f.Post(path, kAlice);
    EXPECT_EQ(refused.status, 403) << path;
    EXPECT_EQ(refused.Header("Content-Type"), "application/problem+json");
    f.options.serve = bit;
    EXPECT_NE((bit == kServeMetrics ? f.Get(path) : f.Post(path, kAlice)).status, 403) << path;
  }
  // As on the admin listener: health is always answered.
  f.options.serve = kServeMetrics;
  for (const std::string_view path : {"/livez", "/readyz", "/metrics", "/"}) EXPECT_EQ(f.Get(path).status, 200);
  for (const auto& [path, bit] : paths) {
    if (bit != kServeMetrics) {
      EXPECT_EQ(f.Post(path, kAlice).status, 403) << path;
    }
  }
  EXPECT_EQ(f.Post("/v1/nothing", kAlice).status, 404);
}

TEST(HttpSession, WantsATokenWhereThereAreSome) {
  Fixture f;
  net::LoginGuard guard("http");
  f.options.tokens = SecretSet({"first-token-0123456", "second-token-012345"});
  f.options.guard = &guard;
  const auto status = [&](std::string_view headers, std::string_view path = "/v1/check") {
    return f
        .Send("POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n" + std::string(headers) +
              "\r\n" + std::string(kAlice))
        .status;
  };
  EXPECT_EQ(status("Authorization: Bearer second-token-012345\r\n"), 200);
  EXPECT_EQ(status("x-weir-token: first-token-0123456\r\n"), 200);
  EXPECT_EQ(status("Authorization: Bearer of-a-visitor\r\nX-Weir-Token: first-token-0123456\r\n", "/v1/auth"), 200);
  EXPECT_EQ(guard.failures(), 0U);
  for (const std::string_view wrong :
       {"", "Authorization: Bearer first-token-012345\r\n", "Authorization: first-token-0123456\r\n",
        "X-Weir-Token: Bearer first-token-0123456\r\n", "X-Weir-Token:\r\n", "Authorization: Bearer \r\n",
        "X-Weir-Token: x\r\nAuthorization: Bearer first-token-0123456\r\n",
        "X-Weir-Token: first-token-0123456\r\nX-Weir-Token: x\r\n"}) {
    EXPECT_EQ(status(wrong), 401) << wrong;
  }
  EXPECT_EQ(guard.failures(), 8U);
  const Answer denied = f.Post("/v1/reset", kAlice);
  EXPECT_EQ(denied.status, 401) << "before anything is told of what is served";
  EXPECT_EQ(denied.Header("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(denied.body.find("first-token"), std::string::npos);
  EXPECT_EQ(f.Get("/metrics").status, 401);
  EXPECT_EQ(f.Get("/livez").status, 200);
  EXPECT_EQ(f.Get("/readyz").status, 200);
}

// A page of another site cannot make its visitor's browser ask; curl's own content type is no reason to refuse.
TEST(HttpSession, RefusesWhatPagesOfOtherSitesSend) {
  Fixture f;
  const auto post = [&](std::string_view headers, std::string_view path = "/v1/check") {
    return f.Send("POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n" +
                  std::string(headers) + "\r\n" + std::string(kAlice));
  };
  EXPECT_EQ(post("Content-Type: application/x-www-form-urlencoded\r\n").status, 200);
  for (const std::string_view foreign :
       {"Content-Type: text/plain\r\nOrigin: http://evil.example\r\n", "Content-Type: text/plain\r\nOrigin: null\r\n",
        "Content-Type: text/plain\r\nOrigin: http://a\r\n", "Content-Type: application/json\r\nOrigin: https://b\r\n",
        "Content-Type: application/json\r\nSec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-origin\r\n"}) {
    const Answer answer = post(foreign);
    EXPECT_EQ(answer.status, 403) << foreign;
    EXPECT_EQ(answer.Header("Access-Control-Allow-Origin"), "-");
  }
  EXPECT_EQ(f.Left(), 1) << "nothing was counted";
  EXPECT_EQ(post("Content-Type: application/json\r\nOrigin: http://a\r\nSec-Fetch-Site: same-origin\r\n").status, 200);
  // What a proxy passes on is its visitor's, who may be anywhere.
  EXPECT_EQ(f.Get("/v1/auth", "Origin: https://b\r\nSec-Fetch-Site: cross-site\r\nX-Original-URI: /free\r\n").status,
            200);
}

TEST(HttpSession, Operational) {
  Fixture f;
  EXPECT_EQ(f.Get("/livez").body, "ok\n");
  EXPECT_EQ(f.Get("/readyz").status, 200);
  f.options.ready = [](std::string* why) {
    *why = "store is down";
    return false;
  };
  EXPECT_EQ(f.Get("/readyz").status, 503);
  EXPECT_EQ(f.Get("/readyz").body, "store is down\n");
  f.options.ready = [](std::string* why) {
    *why = "degraded";
    return true;
  };
  EXPECT_EQ(f.Get("/readyz").status, 200);
  EXPECT_EQ(f.Get("/readyz").body, "degraded\n");
  EXPECT_EQ(f.Get("/metrics").body, "weir_up 1\n");
  EXPECT_EQ(f.Get("/metrics").Header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  f.options.metrics = [] { return nullptr; };  // as a configuration says that may change
  EXPECT_EQ(f.Get("/metrics").status, 404);
  f.options.metrics = nullptr;
  EXPECT_EQ(f.Get("/metrics").status, 404);
  EXPECT_NE(f.Get("/").body.find("/v1/check"), std::string::npos);
}

TEST(HttpSession, UnknownPathsAndMethods) {
  Fixture f;
  EXPECT_EQ(f.Get("/nothing").status, 404);
  EXPECT_EQ(f.Post("/v1/check/", "{}").status, 404);
  const Answer wrong = f.Get("/v1/check");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.Header("Allow"), "POST");
  EXPECT_EQ(f.Post("/livez", "").Header("Allow"), "GET, HEAD");
  EXPECT_EQ(f.Send("TRACE /v1/auth HTTP/1.1\r\nHost: a\r\n\r\n").status, 405);
  EXPECT_EQ(
      f.Send("POST /v1/check HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}").status,
      415);
  EXPECT_FALSE(f.connection.closing());
}

}  // namespace
}  // namespace weir::http
