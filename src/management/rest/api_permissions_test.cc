// Every route with every role, and with every kind of credential that must not do.
#include <gtest/gtest.h>

#include "management/auth/test_issuer.h"
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

TEST_F(PermissionsTest, ARoleWithinAnOrganisationReachesItsTeams) {
  ASSERT_EQ(Ask("PUT", "/tenants/acme-web", R"({"parent":"acme"})").status, 201);
  ASSERT_EQ(Ask("PUT", "/tenants/acme-shop", R"({"parent":"acme-web"})").status, 201);
  ASSERT_EQ(Ask("PUT", "/users/tim", R"({"tenant":"acme-shop"})").status, 201);
  const std::string organisation = IssueToken(Role::kEditor, "acme"), team = IssueToken(Role::kEditor, "acme-web");
  for (const std::string& token : {organisation, team}) {
    EXPECT_EQ(AskAs(token, "GET", "/users/tim").status, 200);
    EXPECT_EQ(AskAs(token, "PUT", "/users/tim", R"({"tenant":"acme-shop","rule":{"max_requests":7}})").status, 200);
    EXPECT_EQ(AskAs(token, "GET", "/users/bob").status, 403);
  }
  EXPECT_EQ(AskAs(team, "GET", "/users/ann").status, 403);
  const auto named = [&](const std::string& token, std::string_view name) {
    const auto listed = Json(AskAs(token, "GET", "/users"));
    return std::ranges::any_of(listed.at("items").as_array(),
                               [&](const auto& item) { return Text(item, "name") == name; });
  };
  EXPECT_TRUE(named(team, "tim"));
  EXPECT_FALSE(named(team, "ann"));
  EXPECT_TRUE(named(organisation, "ann"));
  // Neither out from under the organisation, whose limits it would leave, nor under another.
  const auto bulk = [](const std::string& item) { return R"({"items":[)" + item + "]}"; };
  for (const char* body : {"{}", R"({"parent":"other"})", R"({"parent":null})"}) {
    EXPECT_EQ(AskAs(team, "PUT", "/tenants/acme-web", body).status, 403) << body;
    EXPECT_EQ(
        AskAs(team, "POST", "/bulk",
              bulk(R"({"method":"PUT","collection":"tenants","name":"acme-web","value":)" + std::string(body) + "}"))
            .status,
        403)
        << body;
  }
  EXPECT_EQ(AskAs(team, "DELETE", "/tenants/acme-web").status, 403);
  EXPECT_EQ(
      AskAs(team, "POST", "/bulk", bulk(R"({"method":"DELETE","collection":"tenants","name":"acme-web"})")).status,
      403);
  const std::string expiring = R"({"parent":"acme","expires":"2100-01-01T00:00:00Z"})";
  EXPECT_EQ(AskAs(team, "PUT", "/tenants/acme-web", expiring).status, 403);
  EXPECT_EQ(AskAs(team, "POST", "/bulk",
                  bulk(R"({"method":"PUT","collection":"tenants","name":"acme-web","value":)" + expiring + "}"))
                .status,
            403);
  EXPECT_EQ(AskAs(organisation, "PUT", "/tenants/acme-web", R"({"parent":"other"})").status, 403);
  EXPECT_EQ(AskAs(organisation, "PUT", "/tenants/acme", R"({"parent":"other"})").status, 403);
  EXPECT_EQ(AskAs(team, "PUT", "/tenants/acme-web", R"({"parent":"acme","rule":{"max_requests":3}})").status, 200);
  // A new team is made by whoever may in the organisation, and by nobody else.
  EXPECT_EQ(AskAs(team, "PUT", "/tenants/acme-new", R"({"parent":"acme"})").status, 403);
  EXPECT_EQ(AskAs(organisation, "PUT", "/tenants/acme-new", R"({"parent":"acme"})").status, 201);
  EXPECT_EQ(AskAs(organisation, "PUT", "/tenants/else", "{}").status, 403);
  EXPECT_EQ(AskAs(organisation, "DELETE", "/tenants/acme-new").status, 204);
  // One that was there: its own editor cannot make it anew without the organisation.
  const std::string former = IssueToken(Role::kEditor, "acme-new");
  EXPECT_EQ(AskAs(former, "PUT", "/tenants/acme-new", R"({"rule":{"max_requests":1000}})").status, 403);
  EXPECT_EQ(AskAs(former, "PUT", "/tenants/acme-new", R"({"parent":"acme"})").status, 403);
}

// Whoever brings a key is the key's user, so a key without a tenant of its own is still that of its user's.
TEST_F(PermissionsTest, AKeyIsItsUsersTenants) {
  const auto issue = [&](std::string body) {
    const ApiResponse made = Ask("POST", "/keys", std::move(body));
    EXPECT_EQ(made.status, 201) << made.body;
    return Text(Json(made), "id");
  };
  const std::string bobs = issue(R"({"user":"bob"})"), mixed = issue(R"({"tenant":"acme","user":"bob"})");
  const std::string none = issue(R"({"tenant":"acme","user":"eve"})"), anns = issue(R"({"user":"ann"})");
  const std::string unknown = issue(R"({"tenant":"acme","user":"somebody"})");
  const std::string token = IssueToken(Role::kEditor, "acme");
  const std::uint64_t before = store_->Head()->number;
  for (const std::string& id : {bobs, mixed, none}) {
    EXPECT_EQ(AskAs(token, "GET", "/keys/" + id).status, 403);
    EXPECT_EQ(AskAs(token, "PUT", "/keys/" + id, R"({"tenant":"acme"})").status, 403);
    EXPECT_EQ(AskAs(token, "PATCH", "/keys/" + id, R"({"tenant":"acme","user":null})").status, 403);
    EXPECT_EQ(AskAs(token, "DELETE", "/keys/" + id).status, 403);
    EXPECT_EQ(AskAs(token, "POST", "/keys/" + id + "/rotate", "{}").status, 403);
    for (const std::string method : {"PUT", "DELETE"}) {
      const std::string item = R"({"method":")" + method + R"(","collection":"keys","name":")" + id + "\"";
      EXPECT_GE(AskAs(token, "POST", "/bulk", R"({"items":[)" + item + R"(,"value":{"tenant":"acme"}}]})").status, 400);
    }
  }
  // One's own cannot be made theirs, nor one be issued for theirs.
  EXPECT_EQ(AskAs(token, "PUT", "/keys/" + anns, R"({"tenant":"acme","user":"bob"})").status, 403);
  EXPECT_EQ(AskAs(token, "PATCH", "/keys/" + anns, R"({"user":"bob"})").status, 403);
  EXPECT_EQ(AskAs(token, "POST", "/keys", R"({"tenant":"acme","user":"bob"})").status, 403);
  EXPECT_EQ(AskAs(token, "POST", "/keys", R"({"tenant":"acme","user":"eve"})").status, 403);
  EXPECT_EQ(store_->Head()->number, before);

  EXPECT_EQ(Json(AskAs(token, "GET", "/keys")).at("items").as_array().size(), 1U);
  EXPECT_EQ(Json(Ask("GET", "/keys?tenant=other")).at("items").as_array().size(), 2U);
  EXPECT_EQ(AskAs(token, "GET", "/keys/" + anns).status, 200);
  // Whoever somebody will be, and whatever is said of that name elsewhere, the key would be.
  EXPECT_EQ(AskAs(token, "PUT", "/keys/" + unknown, R"({"tenant":"acme","user":"somebody"})").status, 403);
  EXPECT_EQ(AskAs(token, "POST", "/keys", R"({"tenant":"acme","user":"nobody"})").status, 403);
  EXPECT_EQ(AskAs(token, "PUT", "/users/nobody", R"({"tenant":"acme"})").status, 201);
  EXPECT_EQ(AskAs(token, "POST", "/keys", R"({"tenant":"acme","user":"nobody"})").status, 201);
  EXPECT_EQ(AskAs(token, "POST", "/keys/" + anns + "/rotate", "{}").status, 201);
  EXPECT_EQ(AskAs(token, "POST", "/keys", R"({"user":"ann"})").status, 201);
}

TEST_F(PermissionsTest, AUserIsOfOneTenantWhoeverWritesTheName) {
  // No record of it, and in force all the same.
  ASSERT_EQ(Ask("PUT", "/overrides/users/lent", R"({"tenant":"other","rule":{"max_requests":5}})").status, 201);
  const std::string token = IssueToken(Role::kEditor, "acme");
  const std::uint64_t before = store_->Head()->number;
  for (const std::string name : {"bob", "eve", "lent"}) {
    EXPECT_EQ(AskAs(token, "PUT", "/users/" + name, R"({"tenant":"acme"})").status, 403) << name;
    const std::string item = R"({"method":"PUT","collection":"users","name":")" + name + R"(","value":)";
    EXPECT_EQ(AskAs(token, "POST", "/bulk", R"({"items":[)" + item + R"({"tenant":"acme"}}]})").status, 403) << name;
  }
  EXPECT_EQ(AskAs(token, "PATCH", "/users/ann", R"({"tenant":"other"})").status, 403);
  EXPECT_EQ(store_->Head()->number, before);
  // Who has permission in both moves it.
  const auto both = tokens_->Issue(
      {.name = "both", .roles = {{Role::kEditor, "acme"}, {Role::kEditor, "other"}}, .created_by = "test"},
      clock_.Now());
  EXPECT_EQ(AskAs(both->secret, "PATCH", "/users/ann", R"({"tenant":"other"})").status, 200);
  EXPECT_EQ(AskAs(token, "PUT", "/users/ann", R"({"tenant":"acme"})").status, 403);
  EXPECT_EQ(AskAs(token, "PUT", "/users/new", R"({"tenant":"acme"})").status, 201);
}

// A page may end on what was passed over because it is another tenant's.
TEST_F(PermissionsTest, ACursorTellsNobodyANameOfAnotherTenant) {
  ASSERT_EQ(Ask("PUT", "/users/bill-the-secret", R"({"tenant":"other"})").status, 201);
  for (const std::string name : {"a1", "c1", "c2"}) {
    ASSERT_EQ(Ask("PUT", "/users/" + name, R"({"tenant":"acme"})").status, 201);
  }
  const std::string token = IssueToken(Role::kViewer, "acme");
  std::vector<std::string> names;
  std::string cursor;
  do {
    const auto page = Json(AskAs(token, "GET", "/users?limit=1" + (cursor.empty() ? "" : "&cursor=" + cursor)));
    for (const auto& item : page.at("items").as_array()) names.push_back(Text(item, "name"));
    cursor = Text(page, "next");
    const std::string bytes = FromBase64Url(cursor).value_or("");
    for (const char* const name : {"a1", "ann", "bill", "bob", "c1", "c2", "eve"}) {
      EXPECT_EQ(bytes.size() > 4 ? bytes.find(name) : std::string::npos, std::string::npos) << name;
    }
  } while (!cursor.empty() && names.size() < 10);
  EXPECT_EQ(names, (std::vector<std::string>{"a1", "ann", "c1", "c2"}));
}

TEST_F(PermissionsTest, IdempotencyKeysAreTheCallersOwn) {
  const TestKey signer("k1", JwtAlgorithm::kEdDsa);
  FixedKeys keys("https://id.example", JwkSet::Parse(JwksOf({&signer})).value());
  auth_ = std::make_unique<Authenticator>(*tokens_, sessions_.get(), accounts_.get(), &keys);
  AuthSettings settings;
  settings.issuers.push_back(
      {.policy = {.issuer = "https://id.example", .audiences = {"weir"}, .algorithms = {JwtAlgorithm::kEdDsa}},
       .mapping = {.defaults = {{Role::kEditor, ""}}}});
  auth_->SetSettings(std::move(settings));
  StartServing(true);
  const auto jwt = [&](const std::string& subject, const std::string& id) {
    return signer.Sign(R"({"iss":"https://id.example","aud":"weir","exp":1800000600,"sub":")" + subject +
                       R"(","jti":")" + id + "\"}");
  };
  // Whether the answer is the one that was given before.
  const auto again = [&](const std::string& token) {
    ApiRequest request = RequestOf("POST", "/admin/v1/bulk",
                                   R"({"items":[{"method":"PUT","collection":"users","name":"zoe","value":{}}]})");
    request.headers.authorization = "Bearer " + token;
    request.headers.idempotency_key = "k";
    const ApiResponse answer = api_->Handle(std::move(request));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Header(answer, "Idempotent-Replayed") == "true";
  };
  EXPECT_FALSE(again(jwt("ann", "j1")));
  EXPECT_TRUE(again(jwt("ann", "j2"))) << "it was renewed";
  EXPECT_FALSE(again(jwt("bob", "j3")));
  EXPECT_FALSE(again(jwt("bob2", "j2"))) << "ids of tokens are their issuer's, and need not be unique";
  // Two tokens of one name.
  const std::string first = IssueToken(Role::kEditor), second = IssueToken(Role::kEditor);
  EXPECT_FALSE(again(first));
  EXPECT_FALSE(again(second));
  EXPECT_TRUE(again(first));
}

TEST_F(PermissionsTest, AnAccountIsChangedWholeOrNotAtAll) {
  ASSERT_EQ(Ask("PUT", "/accounts/ann", R"({"roles":["editor"],"password":"correct horse battery"})").status, 201);
  const ApiResponse login = AskAs("", "POST", "/login", R"({"account":"ann","password":"correct horse battery"})");
  ASSERT_EQ(login.status, 200) << login.body;
  EXPECT_EQ(Ask("PUT", "/accounts/ann", R"({"roles":["viewer"],"password":"short"})").status, 422);
  const auto account = Json(Ask("GET", "/accounts/ann"));
  EXPECT_EQ(Text(account.at("roles").as_array().at(0), "role"), "editor");
  EXPECT_EQ(sessions_->List(clock_.Now()).size(), 1U) << "nothing has changed";
  ASSERT_EQ(Ask("PUT", "/accounts/ann", R"({"roles":["viewer"],"password":"another horse battery"})").status, 200);
  EXPECT_TRUE(sessions_->List(clock_.Now()).empty());
  EXPECT_EQ(AskAs("", "POST", "/login", R"({"account":"ann","password":"correct horse battery"})").status, 401);
}

TEST_F(PermissionsTest, ALoginThatIsNoneLeavesNoRecord) {
  const std::uint64_t before = audit_->last();
  for (const char* const body : {"", "{", "[]", "{}", R"({"account":"ann"})", R"({"account":1,"password":"x"})"}) {
    EXPECT_GE(AskAs("", "POST", "/login", body).status, 400) << body;
  }
  EXPECT_EQ(AskAs("", "POST", "/login", std::string(8'192, ' ')).status, 413);
  EXPECT_EQ(AskAs("", "POST", "/login?x=y", "{}").status, 400);
  EXPECT_EQ(audit_->last(), before);
  EXPECT_EQ(AskAs("", "POST", "/login", R"({"account":"ann","password":"wrong horse battery"})").status, 401);
  EXPECT_EQ(audit_->last(), before + 1);
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
