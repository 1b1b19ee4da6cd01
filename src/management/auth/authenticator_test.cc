#include "management/auth/authenticator.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "base/test_directory.h"
#include "management/auth/test_issuer.h"

namespace weir::management {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;
constexpr const char* kPassword = "correct horse battery";
using Kind = Refusal::Kind;

class AuthenticatorTest : public testing::Test {
 protected:
  AuthenticatorTest() {
    EXPECT_TRUE(accounts_->Create({.name = "ann", .roles = {{Role::kEditor, ""}}}, kPassword, kNow));
    AuthSettings settings;
    settings.issuers.push_back(
        {.policy = {.issuer = "https://id.example", .audiences = {"weir"}, .algorithms = {JwtAlgorithm::kEdDsa}},
         .mapping = {.defaults = {{Role::kViewer, ""}}}});
    settings.certificates.push_back({.type = SubjectAltName::Type::kDns,
                                     .pattern = "ops.example",
                                     .name = "ops",
                                     .roles = {{Role::kOperator, ""}}});
    authenticator_.SetSettings(std::move(settings));
  }
  std::string Token() { return store_->Issue({.name = "ci", .roles = {{Role::kViewer, ""}}}, kNow)->secret; }
  Kind KindOf(const Presented& presented, Nanos now = kNow) {
    const auto outcome = authenticator_.Authenticate(presented, now);
    EXPECT_FALSE(outcome);
    return outcome ? Kind::kMissing : outcome.error().kind;
  }

  TestDirectory directory_;
  std::unique_ptr<Database> database_ = std::move(Database::Open(directory_ / "auth.db").value());
  std::unique_ptr<TokenStore> store_ = std::move(TokenStore::Open(*database_).value());
  std::unique_ptr<Sessions> sessions_ = std::move(Sessions::Open(*database_, {}).value());
  std::unique_ptr<Accounts> accounts_ = std::move(Accounts::Open(*database_, {.passes = 1, .memory = 8'192}).value());
  const TestKey signer_{"k1", JwtAlgorithm::kEdDsa};
  FixedKeys keys_{"https://id.example", JwkSet::Parse(JwksOf({&signer_})).value()};
  Authenticator authenticator_{*store_, sessions_.get(), accounts_.get(), &keys_};
  const std::string jwt_ = signer_.Sign(R"({"iss":"https://id.example","aud":"weir","sub":"bot","exp":1800000600})");
};

TEST_F(AuthenticatorTest, EachKindOfCredentialIsAccepted) {
  const std::string token = "Bearer " + Token();
  EXPECT_EQ(authenticator_.Authenticate({.authorization = token}, kNow)->method, AuthMethod::kToken);
  const std::string jwt = "bearer " + jwt_;
  const auto by_jwt = authenticator_.Authenticate({.authorization = jwt}, kNow);
  ASSERT_TRUE(by_jwt);
  EXPECT_EQ(by_jwt->name, "bot");
  EXPECT_EQ(by_jwt->roles, (std::vector<RoleGrant>{{Role::kViewer, ""}}));
  const auto by_name =
      authenticator_.Authenticate({.certificate = {{SubjectAltName::Type::kDns, "ops.example"}}}, kNow);
  EXPECT_EQ(by_name->name, "ops");
  const auto begun = authenticator_.LogIn("ann", kPassword, {.peer = "192.0.2.1"}, kNow);
  ASSERT_TRUE(begun);
  const std::string cookie = "__Host-weir-session=" + begun->secret;
  EXPECT_EQ(authenticator_.Authenticate({.cookie = cookie}, kNow)->name, "ann");
}

TEST_F(AuthenticatorTest, WhatIsWrongIsNotMadeGoodForByAnother) {
  const auto begun = authenticator_.LogIn("ann", kPassword, {.peer = "192.0.2.1"}, kNow);
  const std::string cookie = "__Host-weir-session=" + begun->secret;
  const std::vector<SubjectAltName> certificate = {{SubjectAltName::Type::kDns, "ops.example"}};
  for (const char* header : {"Bearer wrong", "Basic YW5uOng=", "Bearer", "Bearer ", "x", "Bearer eyJ.eyJ.x"}) {
    EXPECT_EQ(KindOf({.authorization = header, .cookie = cookie, .certificate = certificate}), Kind::kInvalid)
        << header;
  }
  const std::string unknown = "__Host-weir-session=" + MakeSecret(kSessionPrefix);
  EXPECT_EQ(KindOf({.cookie = unknown, .certificate = certificate}), Kind::kInvalid);
  EXPECT_EQ(KindOf({.certificate = {{SubjectAltName::Type::kDns, "other.example"}}}), Kind::kInvalid);
  EXPECT_EQ(KindOf({}), Kind::kMissing);
  EXPECT_EQ(KindOf({.cookie = "a=b"}), Kind::kMissing);
}

TEST_F(AuthenticatorTest, ChangesByCookieNeedTheCsrfToken) {
  const auto begun = authenticator_.LogIn("ann", kPassword, {.peer = "192.0.2.1"}, kNow);
  const auto other = authenticator_.LogIn("ann", kPassword, {.peer = "192.0.2.1"}, kNow);
  const std::string cookie = "__Host-weir-session=" + begun->secret;
  EXPECT_EQ(KindOf({.cookie = cookie, .changes = true}), Kind::kCsrf);
  EXPECT_EQ(KindOf({.cookie = cookie, .csrf = other->csrf, .changes = true}), Kind::kCsrf);
  EXPECT_TRUE(authenticator_.Authenticate({.cookie = cookie, .csrf = begun->csrf, .changes = true}, kNow));
  // A bearer token is sent by no browser on its own.
  const std::string token = "Bearer " + Token();
  EXPECT_TRUE(authenticator_.Authenticate({.authorization = token, .changes = true}, kNow));
}

TEST_F(AuthenticatorTest, ALoginEndsTheSessionThatWasThere) {
  const auto first = authenticator_.LogIn("ann", kPassword, {.peer = "192.0.2.1"}, kNow);
  const std::string cookie = "__Host-weir-session=" + first->secret;
  const auto second = authenticator_.LogIn("ann", kPassword, {.cookie = cookie, .peer = "192.0.2.1"}, kNow);
  ASSERT_TRUE(second);
  EXPECT_NE(second->secret, first->secret);
  EXPECT_EQ(KindOf({.cookie = cookie}), Kind::kInvalid);
}

// Whoever changes an account ends its sessions then; a login under way must not begin one behind that.
TEST_F(AuthenticatorTest, NoSessionBeginsBehindAChangeOfItsAccount) {
  std::thread login;
  std::optional<Kind> refused;
  // While this one begins, no other can: the login stands between its password, which was right, and its session.
  SessionInfo other;
  other.principal.name = "bob";
  const auto never = sessions_->Begin(other, "", kNow, [&] {
    login = std::thread([&] {
      const auto begun = authenticator_.LogIn("ann", kPassword, {.peer = "192.0.2.1"}, kNow);
      if (!begun) refused = begun.error().kind;
    });
    while (accounts_->Get("ann")->last_login != kNow) std::this_thread::yield();
    EXPECT_TRUE(accounts_->Update({.name = "ann", .roles = {{Role::kEditor, ""}}, .disabled = true}));
    return false;
  });
  login.join();
  EXPECT_FALSE(never);
  EXPECT_EQ(refused, Kind::kInvalid);
  EXPECT_TRUE(sessions_->List(kNow).empty());
  ASSERT_TRUE(accounts_->Update({.name = "ann", .roles = {{Role::kEditor, ""}}}));
  EXPECT_TRUE(authenticator_.LogIn("ann", kPassword, {.peer = "192.0.2.1"}, kNow));
}

TEST_F(AuthenticatorTest, GuessingTokensIsSlowedAndARightOneStillPasses) {
  const std::string token = "Bearer " + Token();
  Kind kind = Kind::kInvalid;
  int tries = 0;
  for (; tries < 100 && kind == Kind::kInvalid; ++tries) {
    const std::string guess = "Bearer " + MakeSecret(kTokenPrefix);
    kind = KindOf({.authorization = guess, .peer = "192.0.2.1"});
  }
  EXPECT_EQ(kind, Kind::kTooMany);
  EXPECT_EQ(tries, 21);
  const auto refused = authenticator_.Authenticate({.authorization = "Bearer x", .peer = "192.0.2.1"}, kNow);
  EXPECT_GT(refused.error().retry_after, 0);
  EXPECT_TRUE(authenticator_.Authenticate({.authorization = token, .peer = "192.0.2.1"}, kNow));
  EXPECT_EQ(KindOf({.authorization = "Bearer x", .peer = "192.0.2.2"}), Kind::kInvalid);
}

TEST_F(AuthenticatorTest, GuessingPasswordsIsRefusedAlsoWhenRight) {
  for (int i = 0; i < 5; ++i) {
    const auto wrong = authenticator_.LogIn("ann", "wrong horse battery", {.peer = "192.0.2.1"}, kNow);
    EXPECT_EQ(wrong.error().kind, Kind::kInvalid);
  }
  const auto blocked = authenticator_.LogIn("ann", kPassword, {.peer = "192.0.2.1"}, kNow);
  ASSERT_FALSE(blocked);
  EXPECT_EQ(blocked.error().kind, Kind::kTooMany);
  EXPECT_TRUE(authenticator_.LogIn("ann", kPassword, {.peer = "198.51.100.1"}, kNow));
  EXPECT_TRUE(authenticator_.LogIn("ann", kPassword, {.peer = "192.0.2.1"}, kNow + blocked.error().retry_after));
}

TEST_F(AuthenticatorTest, UnknownAndWrongLookAlike) {
  const auto unknown = authenticator_.LogIn("nobody", kPassword, {.peer = "192.0.2.1"}, kNow);
  const auto wrong = authenticator_.LogIn("ann", "wrong horse battery", {.peer = "192.0.2.1"}, kNow);
  EXPECT_EQ(unknown.error().kind, wrong.error().kind);
  EXPECT_EQ(unknown.error().reason, wrong.error().reason);
}

TEST_F(AuthenticatorTest, JwtsNeedAnIssuer) {
  authenticator_.SetSettings({});
  const std::string header = "Bearer " + jwt_;
  EXPECT_EQ(KindOf({.authorization = header}), Kind::kInvalid);
}

TEST_F(AuthenticatorTest, KeysThatAreNotThereYetAreNoFailure) {
  JwksCache cache([](const std::string&, const JwksCache::Done&) {}, {});
  ASSERT_TRUE(cache.AddIssuer("https://id.example", "https://id.example/keys"));
  Authenticator authenticator(*store_, nullptr, nullptr, &cache);
  AuthSettings settings;
  settings.issuers.push_back(
      {.policy = {.issuer = "https://id.example", .audiences = {"weir"}, .algorithms = {JwtAlgorithm::kEdDsa}},
       .mapping = {}});
  authenticator.SetSettings(std::move(settings));
  const std::string header = "Bearer " + jwt_;
  const auto refused = authenticator.Authenticate({.authorization = header, .peer = "192.0.2.1"}, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::kUnavailable);
  EXPECT_EQ(authenticator.attempts().failures(), 0U);
}

TEST_F(AuthenticatorTest, KeysOfARotationAreFetched) {
  const TestKey next("k2", JwtAlgorithm::kEdDsa);
  std::string document = JwksOf({&signer_});
  JwksCache cache([&](const std::string&, const JwksCache::Done& done) { done(document, kNow); }, {});
  ASSERT_TRUE(cache.AddIssuer("https://id.example", "https://id.example/keys"));
  Authenticator authenticator(*store_, nullptr, nullptr, &cache);
  AuthSettings settings;
  settings.issuers.push_back(
      {.policy = {.issuer = "https://id.example", .audiences = {"weir"}, .algorithms = {JwtAlgorithm::kEdDsa}},
       .mapping = {}});
  authenticator.SetSettings(std::move(settings));
  const std::string header = "Bearer " + jwt_;
  EXPECT_TRUE(authenticator.Authenticate({.authorization = header}, kNow));
  document = JwksOf({&next});
  const std::string rotated =
      "Bearer " + next.Sign(R"({"iss":"https://id.example","aud":"weir","sub":"bot","exp":1800000600})");
  EXPECT_FALSE(authenticator.Authenticate({.authorization = rotated}, kNow + kSecond));  // too soon to ask again
  EXPECT_TRUE(authenticator.Authenticate({.authorization = rotated}, kNow + 10 * kSecond));
  EXPECT_FALSE(authenticator.Authenticate({.authorization = header}, kNow + 10 * kSecond));
}

}  // namespace
}  // namespace weir::management
