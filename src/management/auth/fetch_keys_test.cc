#include "management/auth/fetch_keys.h"

#include <gtest/gtest.h>

#include <future>

#include "base/manual_clock.h"
#include "io/https/test_http_server.h"
#include "management/auth/test_issuer.h"

namespace weir::management {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;

// What a fetch of the URL brings.
Result<std::string> Fetched(const std::string& url) {
  const ManualClock clock{kNow};
  std::promise<Result<std::string>> promise;
  io::HttpFetcher fetcher(KeyFetchOptions("", {}));
  FetchKeysBy(fetcher, clock)(url, [&](Result<std::string> document, Nanos now) {
    EXPECT_EQ(now, kNow);
    promise.set_value(std::move(document));
  });
  return promise.get_future().get();
}

TEST(FetchKeys, ACacheHasWhatTheIssuerServes) {
  const TestKey key("one", JwtAlgorithm::kEdDsa);
  const std::string document = JwksOf({&key});
  io::TestHttpServer issuer([&](const io::SeenRequest&) { return io::TestAnswer(200, document); });
  const ManualClock clock{kNow};
  io::HttpFetcher fetcher(KeyFetchOptions("", {}));
  std::promise<void> fetched;
  const JwksCache::Fetch fetch = FetchKeysBy(fetcher, clock);
  JwksCache cache(
      [&](const std::string& url, JwksCache::Done done) {
        fetch(url, [&fetched, done = std::move(done)](Result<std::string> keys, Nanos now) {
          done(std::move(keys), now);
          fetched.set_value();
        });
      },
      {});
  ASSERT_TRUE(cache.AddIssuer("https://id.example", "http://" + issuer.address() + "/keys"));
  (void)cache.KeysOf("https://id.example", false, kNow);
  fetched.get_future().get();
  const auto keys = cache.KeysOf("https://id.example", false, kNow);
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_EQ((*keys)->keys()[0].id, "one");
  EXPECT_EQ(issuer.seen().size(), 1U);
}

TEST(FetchKeys, OnlyTheUrlItselfIsAsked) {
  io::TestHttpServer issuer([](const io::SeenRequest& request) {
    return request.target == "/keys" ? io::TestAnswer(302, "", "Location: /other\r\n") : io::TestAnswer(200, "{}");
  });
  const auto moved = Fetched("http://" + issuer.address() + "/keys");
  ASSERT_FALSE(moved);
  EXPECT_NE(moved.error().message.find("redirects are not followed"), std::string::npos);
  EXPECT_EQ(issuer.seen().size(), 1U);
}

TEST(FetchKeys, HttpsLeadsNowhereInside) {
  const auto inside = Fetched("https://127.0.0.1:1/keys");
  ASSERT_FALSE(inside);
  EXPECT_EQ(inside.error().code, ErrorCode::kFailedPrecondition) << inside.error().message;
}

TEST(FetchKeys, AnswersAreBounded) {
  io::TestHttpServer issuer([](const io::SeenRequest&) { return io::TestAnswer(200, std::string(600U << 10U, ' ')); });
  EXPECT_EQ(Fetched("http://" + issuer.address() + "/keys").error().code, ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace weir::management
