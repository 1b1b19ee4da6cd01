#include "management/auth/sessions.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/test_directory.h"
#include "management/auth/secret_token.h"

namespace weir::management {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;

class SessionsTest : public testing::Test {
 protected:
  SessionsTest() { Open(); }
  void Open(Sessions::Options options = {}) {
    sessions_.reset();
    database_.reset();
    database_ = std::move(Database::Open(directory_ / "auth.db").value());
    sessions_ = std::move(Sessions::Open(*database_, options).value());
  }
  static SessionInfo Of(const std::string& name, const std::string& issuer = "", const std::string& sid = "") {
    SessionInfo info;
    info.principal = {.name = name,
                      .kind = PrincipalKind::kPerson,
                      .roles = {{Role::kEditor, "acme"}},
                      .tenant = "",
                      .method = issuer.empty() ? AuthMethod::kPassword : AuthMethod::kOidc,
                      .credential = ""};
    info.issuer = issuer;
    info.subject = issuer.empty() ? "" : "sub-" + name;
    info.issuer_session = sid;
    info.address = "192.0.2.1";
    return info;
  }
  Sessions::Begun Begin(const SessionInfo& info, std::string_view former = "", Nanos now = kNow) {
    auto begun = sessions_->Begin(info, former, now);
    EXPECT_TRUE(begun) << begun.error().message;
    return *begun;
  }
  bool Holds(const Sessions::Begun& begun, Nanos now = kNow) { return sessions_->Find(begun.secret, now).has_value(); }

  TestDirectory directory_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Sessions> sessions_;
};

TEST_F(SessionsTest, NoneBeginsForWhomWasChangedSince) {
  const auto former = Begin(Of("ann"));
  const auto refused = sessions_->Begin(Of("ann"), former.secret, kNow, [] { return false; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(sessions_->List(kNow).size(), 1U);
  EXPECT_TRUE(Holds(former));
  EXPECT_TRUE(sessions_->Begin(Of("ann"), "", kNow, [] { return true; }));
}

TEST_F(SessionsTest, ASessionIsItsPrincipalAlsoAfterARestart) {
  const auto begun = Begin(Of("ann", "https://id.example", "s1"));
  for (int round = 0; round < 2; ++round) {
    const auto principal = sessions_->Find(begun.secret, kNow);
    ASSERT_TRUE(principal);
    EXPECT_EQ(principal->name, "ann");
    EXPECT_EQ(principal->roles, (std::vector<RoleGrant>{{Role::kEditor, "acme"}}));
    EXPECT_EQ(principal->method, AuthMethod::kOidc);
    EXPECT_EQ(principal->credential, begun.info.id);
    Open();
  }
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    std::ostringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    all += text.str();
  }
  EXPECT_NE(all.find(begun.info.id), std::string::npos);
  EXPECT_EQ(all.find(begun.secret.substr(6, 30)), std::string::npos);
  EXPECT_EQ(all.find(begun.csrf), std::string::npos);
}

TEST_F(SessionsTest, ALoginNeverTakesOverTheIdThatWasBrought) {
  // Fixation: an attacker's session, or any made-up id, is planted in the victim's browser.
  const auto planted = Begin(Of("mallory"));
  const auto victim = Begin(Of("ann"), planted.secret);
  EXPECT_NE(victim.secret, planted.secret);
  EXPECT_FALSE(Holds(planted));
  EXPECT_TRUE(Holds(victim));
  const std::string made_up = MakeSecret(kSessionPrefix);
  const auto other = Begin(Of("ann"), made_up);
  EXPECT_NE(other.secret, made_up);
  EXPECT_FALSE(sessions_->Find(made_up, kNow));
}

TEST_F(SessionsTest, TheyEndWhenIdleAndInAnyCase) {
  const auto begun = Begin(Of("ann"));
  EXPECT_TRUE(Holds(begun, kNow + 30 * kMinute - 1));
  EXPECT_EQ(sessions_->Find(begun.secret, kNow + kHour).error(), SessionFault::kExpired);
  const auto busy = Begin(Of("ann"));
  for (Nanos now = kNow; now < kNow + 12 * kHour; now += 20 * kMinute) ASSERT_TRUE(Holds(busy, now));
  EXPECT_FALSE(Holds(busy, kNow + 12 * kHour));
  ASSERT_TRUE(sessions_->Tick(kNow + 12 * kHour));
  EXPECT_EQ(sessions_->Find(busy.secret, kNow).error(), SessionFault::kUnknown);
}

TEST_F(SessionsTest, WhenTheyWereSeenIsWrittenLazily) {
  const auto begun = Begin(Of("ann"));
  EXPECT_TRUE(Holds(begun, kNow + 20 * kMinute));
  ASSERT_TRUE(sessions_->Tick(kNow + 20 * kMinute));
  Open();
  EXPECT_TRUE(Holds(begun, kNow + 45 * kMinute));
}

TEST_F(SessionsTest, EachHasItsOwnCsrfToken) {
  const auto one = Begin(Of("ann"));
  const auto two = Begin(Of("ann"));
  EXPECT_TRUE(Sessions::CsrfMatches(one.secret, one.csrf));
  EXPECT_FALSE(Sessions::CsrfMatches(one.secret, two.csrf));
  EXPECT_FALSE(Sessions::CsrfMatches(one.secret, ""));
  EXPECT_FALSE(Sessions::CsrfMatches(one.secret, one.secret));
  EXPECT_NE(one.csrf, one.secret);
}

TEST_F(SessionsTest, LogoutEndsThem) {
  const auto mine = Begin(Of("ann"));
  const auto other = Begin(Of("ann"));
  ASSERT_TRUE(sessions_->End(mine.secret));
  EXPECT_FALSE(Holds(mine));
  EXPECT_TRUE(Holds(other));
  ASSERT_TRUE(sessions_->End("weirs_unknown"));
  ASSERT_TRUE(sessions_->EndById(other.info.id));
  EXPECT_EQ(sessions_->EndById(other.info.id).error().code, ErrorCode::kNotFound);
  Open();
  EXPECT_FALSE(Holds(mine));
  EXPECT_FALSE(Holds(other));
}

TEST_F(SessionsTest, ABackChannelLogoutEndsThatProvidersOnly) {
  const auto first = Begin(Of("ann", "https://id.example", "s1"));
  const auto second = Begin(Of("ann", "https://id.example", "s2"));
  const auto elsewhere = Begin(Of("ann", "https://other.example", "s1"));
  const auto local = Begin(Of("ann"));
  EXPECT_EQ(sessions_->EndOf("https://id.example", "", "s1").value(), 1U);
  EXPECT_FALSE(Holds(first));
  EXPECT_TRUE(Holds(second));
  EXPECT_EQ(sessions_->EndOf("https://id.example", "sub-ann", "").value(), 1U);
  EXPECT_FALSE(Holds(second));
  EXPECT_EQ(sessions_->EndOf("https://id.example", "", "").value(), 0U);
  EXPECT_EQ(sessions_->EndOf("", "", "").value(), 0U);
  EXPECT_TRUE(Holds(elsewhere));
  EXPECT_TRUE(Holds(local));
  EXPECT_EQ(sessions_->EndOf("ann").value(), 2U);
}

TEST_F(SessionsTest, AProviderThatIsNoMoreTakesItsSessionsAlong) {
  const auto kept = Begin(Of("ann", "https://id.example f1", "s1"));
  const auto former = Begin(Of("ann", "https://id.example f0", "s2"));
  const auto elsewhere = Begin(Of("eve", "https://other.example f1", "s1"));
  const auto local = Begin(Of("ann"));
  EXPECT_EQ(sessions_->EndOfOtherIssuers("https://id.example f1").value(), 2U);
  EXPECT_TRUE(Holds(kept));
  EXPECT_FALSE(Holds(former));
  EXPECT_FALSE(Holds(elsewhere));
  Open();
  EXPECT_TRUE(Holds(kept));
  EXPECT_TRUE(Holds(local));
  EXPECT_EQ(PersonOf(sessions_->Find(kept.secret, kNow).value()), "https://id.example sub-ann");
  EXPECT_EQ(PersonOf(sessions_->Find(local.secret, kNow).value()), "ann");
  EXPECT_EQ(sessions_->EndOfOtherIssuers("").value(), 1U);
  EXPECT_FALSE(Holds(kept));
  EXPECT_TRUE(Holds(local));
}

TEST_F(SessionsTest, TheirNumberIsBounded) {
  Open({.idle = kHour, .absolute = kDay, .most_of_one = 3, .most = 5});
  std::vector<Sessions::Begun> ann;
  for (int i = 0; i < 5; ++i) ann.push_back(Begin(Of("ann"), "", kNow + i));
  EXPECT_FALSE(Holds(ann[0], kNow + 5));
  EXPECT_FALSE(Holds(ann[1], kNow + 5));
  EXPECT_TRUE(Holds(ann[2], kNow + 5));
  (void)Begin(Of("bob"));
  (void)Begin(Of("cid"));
  const auto full = sessions_->Begin(Of("dan"), "", kNow + 5);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(sessions_->Begin(Of("dan"), "", kNow + 2 * kHour));  // the others have ended
  EXPECT_EQ(sessions_->List(kNow + 2 * kHour).size(), 1U);
}

TEST(SessionCookie, IsHostOnlyAndReadStrictly) {
  EXPECT_EQ(Sessions::CookieFor("x"), "__Host-weir-session=x; Path=/; Secure; HttpOnly; SameSite=Strict");
  EXPECT_EQ(Sessions::CookieFor(""), "__Host-weir-session=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
  EXPECT_EQ(Sessions::SecretIn("a=b; __Host-weir-session=abc; c=d"), "abc");
  EXPECT_EQ(Sessions::SecretIn("__Host-weir-session=abc"), "abc");
  for (const char* none : {"", ";;", "a", "weir-session=abc", "__host-weir-session=abc", "x__Host-weir-session=abc",
                           "__Host-weir-session=a; __Host-weir-session=b", "__Host-weir-session"}) {
    EXPECT_EQ(Sessions::SecretIn(none), "") << none;
  }
}

}  // namespace
}  // namespace weir::management
