// Every route with every role, and with every kind of credential that must not do.
#include <gtest/gtest.h>

#include "management/rest/api_fixture.h"

namespace weir::management::rest {
namespace {

constexpr const char* kPolicy =
    "global: {free_tier: {max_requests: 2, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n"
    "tenants: {acme: {}, other: {}}\n"
    "users: {ann: {tenant: acme}, bob: {tenant: other}, eve: {}}\n";

// A request that the route takes; parameters name things that are there where there are such things.
struct Sample {
  std::string target, body;
};
Sample SampleOf(const Route& route) {
  std::string path = route.path;
  const auto put = [&](std::string_view from, std::string_view to) {
    if (const auto at = path.find(from); at != std::string::npos) path.replace(at, from.size(), to);
  };
  put("{kind}", "users");
  put("{number}", "1");
  put("{id}", "tok_none");
  if (route.path.starts_with("/keys")) put("{name}", "key_00000000000000000000000000000000");
  put("{name}", route.path.starts_with("/tenants") ? "acme" : route.path.starts_with("/tiers") ? "pro" : "ann");
  return {path, route.body == BodyKind::kNone ? "" : "{}"};
}

class PermissionsTest : public ApiFixture {
 protected:
  void SetUp() override { StartApi(kPolicy, true); }
};

TEST_F(PermissionsTest, EveryRouteWithoutCredentialsExpiredRevokedAndWrong) {
  const std::string expired = IssueToken(Role::kAdmin, "", clock_.Now() + kSecond);
  const std::string revoked = IssueToken(Role::kAdmin);
  ASSERT_TRUE(tokens_->Revoke(last_issued_, clock_.Now()));
  clock_.Advance(2 * kSecond);
  const std::uint64_t before = store_->Head()->number;
  for (const Route& route : api_->routes().routes()) {
    if (route.scope == Scope::kPublic) continue;
    const Sample sample = SampleOf(route);
    for (const std::string& token : {std::string(), expired, revoked, std::string(40, 'x'), std::string(5000, 'a')}) {
      const ApiResponse answer = AskAs(token, route.method, sample.target, sample.body);
      EXPECT_EQ(answer.status, 401) << route.method << " " << sample.target;
      EXPECT_EQ(Text(Json(answer), "code"), "unauthenticated");
      EXPECT_EQ(Header(answer, "WWW-Authenticate"), "Bearer");
    }
  }
  EXPECT_EQ(store_->Head()->number, before);
}

TEST_F(PermissionsTest, EveryRouteWithEveryRole) {
  for (const Role role : kAllRoles) {
    const std::string token = IssueToken(role);
    for (const Route& route : api_->routes().routes()) {
      const Sample sample = SampleOf(route);
      const ApiResponse answer = AskAs(token, route.method, sample.target, sample.body);
      const bool may =
          route.scope == Scope::kAny || route.scope == Scope::kPublic || RoleAllows(role, route.verb, route.resource);
      const std::string what = std::string(NameOf(role)) + ": " + route.method + " " + sample.target;
      if (may) {
        EXPECT_NE(answer.status, 403) << what << " " << answer.body;
        EXPECT_NE(answer.status, 401) << what;
        EXPECT_LT(answer.status, 500) << what << " " << answer.body;
      } else {
        EXPECT_EQ(answer.status, 403) << what << " " << answer.body;
        EXPECT_NE(Text(Json(answer), "detail").find(PermissionText(route.verb, route.resource)), std::string::npos)
            << what;
      }
    }
  }
}

TEST_F(PermissionsTest, ARoleWithinATenantReachesNothingElse) {
  const std::string token = IssueToken(Role::kAdmin, "acme");
  const std::uint64_t before = store_->Head()->number;
  for (const Route& route : api_->routes().routes()) {
    if (route.scope != Scope::kWhole) continue;
    const Sample sample = SampleOf(route);
    EXPECT_EQ(AskAs(token, route.method, sample.target, sample.body).status, 403)
        << route.method << " " << sample.target;
  }
  EXPECT_EQ(AskAs(token, "GET", "/users/ann").status, 200);
  EXPECT_EQ(AskAs(token, "GET", "/users/bob").status, 403);
  EXPECT_EQ(AskAs(token, "GET", "/users/eve").status, 403);
  EXPECT_EQ(AskAs(token, "GET", "/users/nobody").status, 403);
  EXPECT_EQ(AskAs(token, "PUT", "/users/bob", R"({"tenant":"acme"})").status, 403);
  EXPECT_EQ(AskAs(token, "PUT", "/users/ann", R"({"tenant":"other"})").status, 403);
  EXPECT_EQ(AskAs(token, "PATCH", "/users/ann", R"({"tenant":null})").status, 403);
  EXPECT_EQ(AskAs(token, "DELETE", "/users/bob").status, 403);
  EXPECT_EQ(AskAs(token, "GET", "/tenants/other").status, 403);
  EXPECT_EQ(
      AskAs(token, "POST", "/bulk", R"({"items":[{"method":"DELETE","collection":"users","name":"bob"}]})").status,
      403);
  EXPECT_EQ(AskAs(token, "POST", "/tokens", R"({"name":"x","role":"viewer"})").status, 403);
  EXPECT_EQ(AskAs(token, "POST", "/tokens", R"({"name":"x","role":"viewer","tenant":"other"})").status, 403);
  EXPECT_EQ(store_->Head()->number, before);

  const auto users = Json(AskAs(token, "GET", "/users"));
  ASSERT_EQ(users.at("items").as_array().size(), 1U);
  EXPECT_EQ(Text(users.at("items").as_array()[0], "name"), "ann");
  EXPECT_EQ(AskAs(token, "PUT", "/users/ann", R"({"tenant":"acme","rule":{"max_requests":7}})").status, 200);
}

TEST_F(PermissionsTest, PeopleLogInAndTheirChangesNeedTheirCsrfToken) {
  ASSERT_EQ(Ask("PUT", "/accounts/ann", R"({"roles":["editor"],"password":"correct horse battery"})").status, 201);
  EXPECT_EQ(AskAs("", "POST", "/login", R"({"account":"ann","password":"wrong horse battery"})").status, 401);
  const ApiResponse login = AskAs("", "POST", "/login", R"({"account":"ann","password":"correct horse battery"})");
  ASSERT_EQ(login.status, 200) << login.body;
  const std::string set = Header(login, "Set-Cookie");
  const auto ask = [&](std::string method, std::string csrf) {
    ApiRequest request = RequestOf(method, "/admin/v1/users/ann", method == "GET" ? "" : R"({"tenant":"acme"})");
    request.headers.authorization = "";
    request.headers.cookie = set.substr(0, set.find(';'));
    request.headers.csrf = std::move(csrf);
    return api_->Handle(std::move(request)).status;
  };
  EXPECT_EQ(ask("GET", ""), 200);
  EXPECT_EQ(ask("PUT", ""), 403);
  EXPECT_EQ(ask("PUT", "wrong"), 403);
  EXPECT_EQ(ask("PUT", Text(Json(login), "csrf")), 200);
  EXPECT_EQ(Ask("GET", "/audit").body.find("battery"), std::string::npos);
  // Another role: the session was begun as somebody else.
  ASSERT_EQ(Ask("PUT", "/accounts/ann", R"({"roles":["viewer"]})").status, 200);
  EXPECT_EQ(ask("GET", ""), 401);
}

// What the table of all routes and roles says of these in particular.
TEST_F(PermissionsTest, WhoTriesRollsOutAndApproves) {
  struct Expected {
    Role role;
    bool reads, replays, proposes, rolls_out, approves;
  };
  constexpr Expected kExpected[] = {
      {Role::kViewer, true, false, false, false, false}, {Role::kOperator, true, true, false, false, false},
      {Role::kEditor, true, true, true, true, true},     {Role::kSecurity, true, true, false, false, true},
      {Role::kAdmin, true, true, true, true, true},      {Role::kAuditor, true, false, false, false, false}};
  for (const Expected& one : kExpected) {
    const std::string token = IssueToken(one.role);
    const auto may = [&](std::string method, std::string target) {
      const std::string body = method == "GET" ? "" : "{}";
      return AskAs(token, std::move(method), std::move(target), body).status != 403;
    };
    const std::string who(NameOf(one.role));
    EXPECT_EQ(may("GET", "/rollouts"), one.reads) << who;
    EXPECT_EQ(may("GET", "/approvals"), one.reads) << who;
    EXPECT_EQ(may("POST", "/revisions/1/dry-run"), one.replays) << who;
    EXPECT_EQ(may("POST", "/revisions"), one.proposes) << who;
    EXPECT_EQ(may("POST", "/revisions/1/withdraw"), one.proposes) << who;
    EXPECT_EQ(may("POST", "/rollouts"), one.rolls_out) << who;
    for (const char* const what : {"pause", "resume", "advance", "promote", "abort"}) {
      EXPECT_EQ(may("POST", "/rollouts/1/" + std::string(what)), one.rolls_out) << who << " " << what;
    }
    EXPECT_EQ(may("POST", "/approvals/1/approve"), one.approves) << who;
    EXPECT_EQ(may("POST", "/approvals/1/reject"), one.approves) << who;
  }
}

TEST_F(PermissionsTest, NobodyMakesATokenThatMayDoMore) {
  const std::string security = IssueToken(Role::kSecurity);
  const ApiResponse answer = AskAs(security, "POST", "/tokens", R"({"name":"x","role":"admin"})");
  EXPECT_EQ(answer.status, 403) << answer.body;
}

TEST_F(PermissionsTest, GuessingIsSlowedAndRecordedWithinBounds) {
  const std::uint64_t before = audit_->last();
  int refused = 0, slowed = 0;
  for (int i = 0; i < 200; ++i) {
    ApiRequest request = RequestOf("GET", "/admin/v1/users");
    request.headers.authorization = "Bearer " + std::string(40, 'x');
    request.peer = "192.0.2.66";
    const int status = api_->Handle(std::move(request)).status;
    refused += status == 401 ? 1 : 0;
    slowed += status == 429 ? 1 : 0;
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(slowed, 100);
  EXPECT_EQ(refused + slowed, 200);
  EXPECT_EQ(audit_->last() - before, static_cast<std::uint64_t>(refused));
}

TEST_F(PermissionsTest, RefusalsAreInTheAuditLog) {
  const std::string viewer = IssueToken(Role::kViewer);
  EXPECT_EQ(AskAs(viewer, "PUT", "/users/mallory", R"({"exempt":true})").status, 403);
  const auto page = Json(Ask("GET", "/audit?object=mallory"));
  ASSERT_EQ(page.at("items").as_array().size(), 1U);
  const auto& record = page.at("items").as_array()[0];
  EXPECT_EQ(Text(record, "outcome"), "denied");
  EXPECT_EQ(Text(record, "action"), "update:users");
}

}  // namespace
}  // namespace weir::management::rest
