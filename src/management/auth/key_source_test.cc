#include "management/auth/key_source.h"

#include <gtest/gtest.h>

#include "management/auth/test_issuer.h"

namespace weir::management {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;
constexpr const char* kIssuer = "https://id.example";
constexpr const char* kUrl = "https://id.example/keys";

class JwksCacheTest : public testing::Test {
 protected:
  JwksCacheTest() { EXPECT_TRUE(cache_.AddIssuer(kIssuer, kUrl)); }
  std::size_t Ask(bool missing, Nanos now) {
    const auto keys = cache_.KeysOf(kIssuer, missing, now);
    return keys ? (*keys)->size() : 0;
  }
  void Answer(Result<std::string> document, Nanos now) {
    ASSERT_FALSE(asked_.empty());
    const JwksCache::Done done = std::move(asked_.back());
    asked_.pop_back();
    done(std::move(document), now);
  }
  const TestKey one_{"one", JwtAlgorithm::kEdDsa};
  const TestKey two_{"two", JwtAlgorithm::kEdDsa};
  std::vector<JwksCache::Done> asked_;
  JwksCache cache_{[this](const std::string& url, JwksCache::Done done) {
                     EXPECT_EQ(url, kUrl);
                     asked_.push_back(std::move(done));
                   },
                   {}};
};

TEST_F(JwksCacheTest, KeysAreFetchedOnceWhenAskedFor) {
  EXPECT_EQ(cache_.KeysOf("https://other.example", false, kNow).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(cache_.KeysOf(kIssuer, false, kNow).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Ask(false, kNow), 0U);
  EXPECT_EQ(Ask(true, kNow + kHour), 0U);
  EXPECT_EQ(asked_.size(), 1U);  // one at a time
  Answer(JwksOf({&one_}), kNow);
  EXPECT_EQ(Ask(false, kNow + 1), 1U);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(JwksCacheTest, MadeUpKeyIdsCannotHammerTheIssuer) {
  (void)Ask(false, kNow);
  Answer(JwksOf({&one_}), kNow);
  int fetches = 0;
  for (Nanos now = kNow; now < kNow + kMinute; now += kSecond / 10) {
    EXPECT_EQ(Ask(true, now), 1U);
    if (!asked_.empty()) {
      ++fetches;
      Answer(JwksOf({&one_}), now);
    }
  }
  EXPECT_GE(fetches, 4);
  EXPECT_LE(fetches, 6);
}

TEST_F(JwksCacheTest, FormerKeysStayWhenAFetchFails) {
  (void)Ask(false, kNow);
  Answer(JwksOf({&one_}), kNow);
  EXPECT_EQ(Ask(false, kNow + kHour), 1U);
  Answer(Fail(ErrorCode::kUnavailable, "no route"), kNow + kHour);
  EXPECT_EQ(cache_.HealthOf(kIssuer)->last_error, "no route");
  EXPECT_EQ(cache_.HealthOf(kIssuer)->failures, 1U);
  EXPECT_EQ(Ask(false, kNow + 2 * kHour), 1U);
  Answer("<html>not keys</html>", kNow + 2 * kHour);
  EXPECT_EQ(cache_.HealthOf(kIssuer)->failures, 2U);
  EXPECT_EQ(Ask(false, kNow + 3 * kHour), 1U);
  Answer(JwksOf({&two_}), kNow + 3 * kHour);
  EXPECT_EQ(cache_.HealthOf(kIssuer)->last_error, "");
  const auto keys = cache_.KeysOf(kIssuer, false, kNow + 3 * kHour);
  EXPECT_EQ((*keys)->keys()[0].id, "two");  // the revoked one is gone
  EXPECT_EQ(Ask(false, kNow + 26 * kHour), 1U);
  EXPECT_EQ(Ask(false, kNow + 27 * kHour), 0U);  // not for ever
}

TEST_F(JwksCacheTest, AClockThatIsSetBackStopsNothing) {
  (void)Ask(false, kNow);
  Answer(JwksOf({&one_}), kNow);
  EXPECT_EQ(Ask(true, kNow - kDay), 1U);
  EXPECT_EQ(asked_.size(), 1U);
}

TEST(JwksCacheEnd, AnAnswerMayComeAfterIt) {
  JwksCache::Done late;
  {
    JwksCache cache([&](const std::string&, JwksCache::Done done) { late = std::move(done); }, {});
    ASSERT_TRUE(cache.AddIssuer(kIssuer, kUrl));
    (void)cache.KeysOf(kIssuer, false, kNow);
  }
  late(std::string("{}"), kNow);
}

TEST(JwksCacheEnd, AFetchThatAnswersAtOnceIsUsedAtOnce) {
  const TestKey key("k", JwtAlgorithm::kEdDsa);
  JwksCache cache([&](const std::string&, const JwksCache::Done& done) { done(JwksOf({&key}), kNow); }, {});
  ASSERT_TRUE(cache.AddIssuer(kIssuer, kUrl));
  EXPECT_TRUE(cache.KeysOf(kIssuer, false, kNow));
}

TEST(IssuerUrl, OnlyHttpsLeavesTheMachine) {
  for (const char* good : {"https://id.example", "https://id.example:8443/a?b=c", "http://127.0.0.1:8080/x",
                           "http://localhost/x", "http://[::1]:80/x"}) {
    EXPECT_TRUE(CheckIssuerUrl(good)) << good;
  }
  for (const char* bad :
       {"", "http://id.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example/",
        "http://[::1].evil.example", "ftp://id.example", "file:///etc/passwd", "https://", "https:///x",
        "https://user:pw@id.example", "http://127.0.0.1@evil.example/", "https://id.example/\n",
        "https://id.example/ x", "javascript:alert(1)", "https:\\\\id.example", "https://:443/"}) {
    EXPECT_FALSE(CheckIssuerUrl(bad)) << bad;
  }
}

}  // namespace
}  // namespace weir::management
