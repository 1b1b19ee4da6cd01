// Four eyes.
#include "management/rest/rollouts/approvals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <vector>

#include "management/rest/api_fixture.h"

namespace weir::management::rest {
namespace {

constexpr const char* kPolicy =
    "global: {free_tier: {max_requests: 2, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n"
    "approvals: {required_for: [policy, keys, rollbacks]}\n";
constexpr const char* kTier =
    R"({"max_requests":5,"window_seconds":3600,"algorithm":"token_bucket","identifier":"user_id"})";

class ApprovalsTest : public ApiFixture {
 protected:
  void SetUp() override {
    StartApi(kPolicy, true);
    ann_ = IssueToken(Role::kEditor, "", 0, "ann");
    anns_other_ = IssueToken(Role::kAdmin, "", 0, "ann");
    bob_ = IssueToken(Role::kEditor, "", 0, "bob");
  }
  // Asks for the tier as ann; returns the approval's number.
  std::string AskForTier(const char* tier = kTier) {
    const ApiResponse answer = AskAs(ann_, "PUT", "/tiers/free", tier);
    EXPECT_EQ(answer.status, 202) << answer.body;
    const auto body = Json(answer);
    EXPECT_EQ(Text(body, "state"), "waiting");
    const std::string number = std::to_string(body.at("approval").as_int64());
    EXPECT_EQ(Header(answer, "Location"), "/admin/v1/approvals/" + number);
    return number;
  }
  ApiResponse Approve(const std::string& token, const std::string& number) {
    return AskAs(token, "POST", "/approvals/" + number + "/approve", R"({"reason":"looked at"})");
  }
  // With another way to put a policy into force; it is not started.
  void RestartLive(std::function<Result<>(const config::Revision&, EnterpriseRateLimitConfig)> apply_policy) {
    api_.reset();
    rollouts_.reset();
    live_ = std::make_unique<LiveConfig>(LiveConfigOptions{.store = store_.get(),
                                                           .engine = engine_.get(),
                                                           .policy_in_store = true,
                                                           .apply_policy = std::move(apply_policy),
                                                           .set_candidate = {}});
    StartRollouts();
    StartServing(true);
  }
  std::string ann_, anns_other_, bob_;
};

TEST_F(ApprovalsTest, AChangeHoldsWhenASecondPersonHasApprovedIt) {
  const std::uint64_t before = live_->in_force();
  const std::string number = AskForTier();
  EXPECT_EQ(live_->in_force(), before);
  EXPECT_EQ(Passes("u", 5), 2);
  const auto waiting = Json(AskAs(bob_, "GET", "/approvals?state=waiting"));
  ASSERT_EQ(waiting.at("items").as_array().size(), 1U);
  EXPECT_EQ(Text(waiting.at("items").as_array()[0], "state"), "waiting");

  const ApiResponse approved = Approve(bob_, number);
  ASSERT_EQ(approved.status, 200) << approved.body;
  EXPECT_EQ(Passes("v", 9), 5);
  const auto revision = Json(Ask("GET", "/revisions/" + Header(approved, "Weir-Revision")));
  EXPECT_EQ(revision.at("promotes").as_int64(), std::stoll(number));
  EXPECT_EQ(Text(revision, "author"), "t") << "who proposed it";
  ASSERT_EQ(revision.at("annotations").as_array().size(), 1U);
  EXPECT_EQ(Text(revision.at("annotations").as_array()[0], "text"), "approved: looked at");
  EXPECT_EQ(Text(Json(Ask("GET", "/approvals/" + number)), "state"), "approved");
  EXPECT_TRUE(Json(Ask("GET", "/approvals?state=waiting")).at("items").as_array().empty());
  EXPECT_EQ(Text(Json(Approve(bob_, number)), "code"), "not_waiting");
}

TEST_F(ApprovalsTest, AllTokensOfAPersonAreThatPerson) {
  const std::string number = AskForTier();
  for (const std::string& token : {ann_, anns_other_}) {
    const ApiResponse answer = Approve(token, number);
    EXPECT_EQ(answer.status, 403);
    EXPECT_EQ(Text(Json(answer), "code"), "own_change");
  }
  // A token that ann's token makes, and one that this makes.
  std::string token = anns_other_;
  for (int i = 0; i < 2; ++i) {
    const ApiResponse made = AskAs(token, "POST", "/tokens", R"({"name":"carl","role":"admin"})");
    ASSERT_EQ(made.status, 201) << made.body;
    token = Text(Json(made), "token");
    EXPECT_EQ(Approve(token, number).status, 403);
  }
  EXPECT_EQ(Passes("u", 5), 2);
  // Neither does a viewer.
  EXPECT_EQ(Approve(IssueToken(Role::kViewer, "", 0, "vera"), number).status, 403);
}

TEST_F(ApprovalsTest, AnAccountAndItsTokensAreOnePerson) {
  ASSERT_EQ(Ask("PUT", "/accounts/ann", R"({"roles":["admin"],"password":"correct horse battery"})").status, 201);
  const ApiResponse login = AskAs("", "POST", "/login", R"({"account":"ann","password":"correct horse battery"})");
  ASSERT_EQ(login.status, 200) << login.body;
  const std::string number = AskForTier();
  ApiRequest request = RequestOf("POST", "/admin/v1/approvals/" + number + "/approve", "{}");
  const std::string set = Header(login, "Set-Cookie");
  request.headers.authorization = "";
  request.headers.cookie = set.substr(0, set.find(';'));
  request.headers.csrf = Text(Json(login), "csrf");
  EXPECT_EQ(Text(Json(api_->Handle(std::move(request))), "code"), "own_change");
}

TEST_F(ApprovalsTest, WhatIsNotListedNeedsNone) {
  EXPECT_EQ(AskAs(ann_, "PUT", "/users/u", R"({"exempt":true})").status, 201);
  EXPECT_EQ(Passes("u", 9), 9);
}

TEST_F(ApprovalsTest, AKeyIsShownAtOnceAndHoldsLater) {
  const ApiResponse made = AskAs(ann_, "POST", "/keys", R"({"plan":"free"})");
  ASSERT_EQ(made.status, 202) << made.body;
  const auto body = Json(made);
  const std::string key = Text(body, "key");
  ASSERT_FALSE(key.empty());
  EXPECT_FALSE(engine_->snapshot()->FindApiKey(key));
  ASSERT_EQ(Approve(bob_, std::to_string(body.at("approval").as_int64())).status, 200);
  EXPECT_TRUE(engine_->snapshot()->FindApiKey(key));
  EXPECT_EQ(Ask("GET", "/audit").body.find(key), std::string::npos);
}

TEST_F(ApprovalsTest, ARejectedChangeNeverHolds) {
  const std::string number = AskForTier();
  ASSERT_EQ(AskAs(bob_, "POST", "/approvals/" + number + "/reject", R"({"reason":"too much"})").status, 200);
  EXPECT_EQ(Approve(bob_, number).status, 409);
  const auto approval = Json(Ask("GET", "/approvals/" + number));
  EXPECT_EQ(Text(approval, "state"), "rejected");
  EXPECT_EQ(Text(approval, "decided_because"), "too much");
  // One's own can be taken back.
  EXPECT_EQ(AskAs(ann_, "POST", "/approvals/" + AskForTier() + "/reject", "{}").status, 200);
  EXPECT_EQ(Passes("u", 5), 2);
}

TEST_F(ApprovalsTest, WhatHasChangedMeanwhileIsNotOverwritten) {
  const std::string first = AskForTier();
  const std::string second =
      AskForTier(R"({"max_requests":9,"window_seconds":3600,"algorithm":"token_bucket","identifier":"user_id"})");
  ASSERT_EQ(Approve(bob_, first).status, 200);
  const ApiResponse late = Approve(bob_, second);
  EXPECT_EQ(late.status, 409) << late.body;
  EXPECT_EQ(Text(Json(late), "code"), "changed_meanwhile");
  EXPECT_EQ(Passes("u", 9), 5);
}

TEST_F(ApprovalsTest, ARollbackNeedsOneToo) {
  ASSERT_EQ(Approve(bob_, AskForTier()).status, 200);
  const ApiResponse answer = AskAs(ann_, "POST", "/revisions/1/rollback", R"({"reason":"mistake"})");
  ASSERT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(Passes("u", 9), 5);
  ASSERT_EQ(Approve(bob_, std::to_string(Json(answer).at("approval").as_int64())).status, 200);
  EXPECT_EQ(Passes("v", 9), 2);
}

// Who could switch it off alone would need nobody.
TEST_F(ApprovalsTest, SwitchingItOffNeedsOne) {
  const char* const without =
      R"({"global":{"free_tier":{"max_requests":2,"window_seconds":3600,"algorithm":"token_bucket",)"
      R"("identifier":"user_id"}}})";
  const ApiResponse answer = AskAs(anns_other_, "PUT", "/config", without);
  ASSERT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(AskAs(ann_, "PUT", "/tiers/free", kTier).status, 202);
  ASSERT_EQ(Approve(bob_, std::to_string(Json(answer).at("approval").as_int64())).status, 200);
  EXPECT_EQ(AskAs(ann_, "PUT", "/tiers/free", kTier).status, 200);
}

TEST_F(ApprovalsTest, EveryStepIsAudited) {
  const std::string number = AskForTier();
  EXPECT_EQ(Approve(ann_, number).status, 403);
  EXPECT_EQ(Approve(bob_, number).status, 200);
  const auto records = Json(Ask("GET", "/audit?object=" + number)).at("items").as_array();
  ASSERT_EQ(records.size(), 2U);
  std::set<std::string> outcomes;
  for (const auto& record : records) {
    EXPECT_EQ(Text(record, "action"), "approve:approvals");
    outcomes.insert(Text(record, "outcome"));
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"denied", "success"}));
  const auto asked = Json(Ask("GET", "/audit?object=free")).at("items").as_array();
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].at("status").as_int64(), 202);
}

TEST_F(ApprovalsTest, WhatIsWithdrawnWaitsNoMore) {
  const std::string number = AskForTier();
  ASSERT_EQ(AskAs(ann_, "POST", "/revisions/" + number + "/withdraw", R"({"reason":"no need"})").status, 200);
  const auto approval = Json(Ask("GET", "/approvals/" + number));
  EXPECT_EQ(Text(approval, "state"), "withdrawn");
  EXPECT_EQ(Text(approval, "decided_because"), "no need");
  EXPECT_EQ(ReadApproval(*documents_->Get(kApprovalKind, std::stoull(number)))->decision, "withdrawn");
  EXPECT_TRUE(Json(Ask("GET", "/approvals?state=waiting")).at("items").as_array().empty());
  EXPECT_EQ(Text(Json(Approve(bob_, number)), "code"), "not_waiting");
  const std::string revision = R"({"revision":)" + number + "}";
  EXPECT_EQ(Text(Json(AskAs(ann_, "POST", "/rollouts", revision)), "code"), "not_a_candidate");
  EXPECT_EQ(Passes("u", 5), 2);

  // A rollout that waits ends with it.
  const std::string other = AskForTier();
  ASSERT_EQ(AskAs(ann_, "POST", "/rollouts", R"({"revision":)" + other + "}").status, 202);
  ASSERT_EQ(AskAs(ann_, "POST", "/revisions/" + other + "/withdraw", "{}").status, 200);
  EXPECT_EQ(Text(Json(Ask("GET", "/rollouts/" + other)), "state"), "aborted");
  EXPECT_EQ(Text(Json(Approve(bob_, other)), "code"), "not_waiting");
}

// The bound is of those that wait, not of all that were ever asked for.
TEST_F(ApprovalsTest, OnlyWhatWaitsFillsTheBound) {
  Approval approval{.author = "ann", .persons = {"ann"}};
  for (approval.number = 1; approval.number <= kMostWaiting; ++approval.number) {
    ASSERT_TRUE(documents_->Put(kApprovalKind, approval.number, WriteApproval(approval)));
  }
  approval.number = 5'000;
  const auto asked = AskForApproval(*documents_, approval, *store_);
  ASSERT_TRUE(asked) << "revision 1 is in force and does not wait: " << asked.error().message;
  approval.number = 5'001;
  EXPECT_EQ(AskForApproval(*documents_, approval, *store_).error().code, ErrorCode::kResourceExhausted);
  ASSERT_TRUE(CloseApproval(*documents_, 5'000, {.what = "withdrawn", .by = "ann"}));
  EXPECT_TRUE(AskForApproval(*documents_, approval, *store_));
}

// What was decided long ago is forgotten, and nothing that waits, or that is newer than what waits.
TEST_F(ApprovalsTest, OldDecisionsAreForgotten) {
  Approval approval{.number = 1, .author = "ann", .persons = {"ann"}, .decision = "rejected", .decided_by = "bob"};
  const auto fill = [&](std::int64_t first, std::int64_t last) {
    return database_->Write([&](Database::Access& access) {
      return access.Run(
          "WITH RECURSIVE n (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
          "INSERT INTO documents (kind, number, value) SELECT ?, i, ? FROM n",
          {first, last, kApprovalKind, WriteApproval(approval)});
    });
  };
  const auto kept = [&] { return documents_->List(kApprovalKind, 0, 100'000)->size(); };
  ASSERT_TRUE(fill(101, 3'600));
  approval = {.number = 5'000, .author = "ann", .persons = {"ann"}};
  ASSERT_TRUE(AskForApproval(*documents_, approval, *store_));
  EXPECT_EQ(kept(), 1 + kMostDecidedKept);
  EXPECT_TRUE(documents_->Get(kApprovalKind, 3'600));
  approval.decision = "rejected";
  ASSERT_TRUE(fill(5'001, 6'200));
  approval = {.number = 7'000, .author = "ann", .persons = {"ann"}};
  ASSERT_TRUE(AskForApproval(*documents_, approval, *store_));
  EXPECT_EQ(kept(), 1 + 1'200 + 1 + kMostDecidedKept) << "5000 waits";
  EXPECT_TRUE(documents_->Get(kApprovalKind, 5'000));
  // A decision is not made undone.
  approval.number = 6'000;
  EXPECT_EQ(AskForApproval(*documents_, approval, *store_).error().code, ErrorCode::kFailedPrecondition);
}

// The process may end between a promotion and the note of who has decided.
TEST_F(ApprovalsTest, WhatIsInForceWasApprovedWhateverIsNoted) {
  const std::string number = AskForTier();
  const std::string before = *documents_->Get(kApprovalKind, std::stoull(number));
  ASSERT_EQ(Approve(bob_, number).status, 200);
  ASSERT_TRUE(documents_->Put(kApprovalKind, std::stoull(number), before));
  EXPECT_EQ(Text(Json(Ask("GET", "/approvals/" + number)), "state"), "approved");
  EXPECT_TRUE(Json(Ask("GET", "/approvals?state=waiting")).at("items").as_array().empty());
  EXPECT_EQ(Text(Json(Approve(bob_, number)), "code"), "not_waiting");
}

TEST_F(ApprovalsTest, WhatTheEngineRefusesIsNotInForce) {
  bool refuse = true;
  RestartLive([&](const config::Revision& revision, EnterpriseRateLimitConfig policy) -> Result<> {
    if (refuse) return Fail(ErrorCode::kResourceExhausted, "no room for it");
    return engine_->Apply(revision, std::move(policy));
  });
  ASSERT_TRUE(live_->Start());
  const std::string number = AskForTier();
  const ApiResponse approved = Approve(bob_, number);
  EXPECT_EQ(approved.status, 409) << approved.body;
  EXPECT_EQ(Text(Json(approved), "code"), "refused");
  EXPECT_NE(Text(Json(approved), "detail").find("no room for it"), std::string::npos);
  EXPECT_EQ(Text(Json(Ask("GET", "/approvals/" + number)), "state"), "refused");
  EXPECT_EQ(Passes("u", 5), 2);
  EXPECT_EQ(Json(Ask("GET", "/tiers/free")).at("max_requests").as_int64(), 2) << "the store is as before, too";
  refuse = false;
  EXPECT_EQ(Approve(bob_, AskForTier()).status, 200);
  EXPECT_EQ(Passes("v", 9), 5);
}

TEST_F(ApprovalsTest, WhatIsNotInForceYetIsNotSaidToBe) {
  RestartLive([](const config::Revision&, const EnterpriseRateLimitConfig&) { return Result<>(); });
  // It is not started: nothing that is promoted can be read.
  const std::string number = AskForTier();
  const ApiResponse approved = Approve(bob_, number);
  EXPECT_EQ(approved.status, 503) << approved.body;
  EXPECT_EQ(Text(Json(approved), "code"), "not_in_force_yet");
  EXPECT_EQ(ReadApproval(*documents_->Get(kApprovalKind, std::stoull(number)))->decision, "");
  EXPECT_EQ(Text(Json(Ask("GET", "/approvals/" + number)), "state"), "approved");
}

TEST_F(ApprovalsTest, AreListedPageByPage) {
  std::vector<std::string> asked;
  for (int i = 0; i < 5; ++i) asked.push_back(AskForTier());
  std::string cursor;
  std::vector<std::string> listed;
  for (int pages = 0; pages < 3; ++pages) {
    const auto page = Json(Ask("GET", "/approvals?limit=2" + cursor));
    for (const auto& one : page.at("items").as_array()) {
      listed.push_back(std::to_string(one.at("number").as_int64()));
    }
    cursor = "&cursor=" + Text(page, "next");
    EXPECT_EQ(Text(page, "next").empty(), pages == 2);
  }
  std::ranges::reverse(asked);
  EXPECT_EQ(listed, asked);
}

class RollbackApprovalsTest : public ApiFixture {
 protected:
  void SetUp() override {
    StartApi(
        "global: {free_tier: {max_requests: 2, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n"
        "approvals: {required_for: [rollbacks]}\n",
        true);
  }
};

// A change of a tier needs nobody here; a rollback of one does, in whatever way it comes into force.
TEST_F(RollbackApprovalsTest, ARollbackThatWaitsIsNotRolledOutByOnePerson) {
  const std::string ann = IssueToken(Role::kAdmin, "", 0, "ann");
  const std::string bob = IssueToken(Role::kAdmin, "", 0, "bob");
  ASSERT_EQ(AskAs(ann, "PUT", "/tiers/free", kTier).status, 200);
  const ApiResponse asked = AskAs(ann, "POST", "/revisions/1/rollback", R"({"reason":"mistake"})");
  ASSERT_EQ(asked.status, 202) << asked.body;
  const std::string number = std::to_string(Json(asked).at("approval").as_int64());
  const std::string body = R"({"revision":)" + number + R"(,"stages":[{"stage":"all"}]})";
  const ApiResponse rolled_out = AskAs(ann, "POST", "/rollouts", body);
  EXPECT_EQ(rolled_out.status, 202) << rolled_out.body;
  EXPECT_EQ(Text(Json(rolled_out), "state"), "waiting");
  EXPECT_EQ(Passes("u", 9), 5);
  EXPECT_EQ(AskAs(ann, "POST", "/approvals/" + number + "/approve", "{}").status, 403);
  // Nor are its stages changed while somebody looks at them.
  EXPECT_EQ(Text(Json(AskAs(ann, "POST", "/rollouts", body)), "code"), "rollout_state");
  ASSERT_EQ(AskAs(bob, "POST", "/approvals/" + number + "/approve", "{}").status, 200);
  EXPECT_EQ(Text(Json(Ask("GET", "/rollouts/" + number)), "state"), "completed");
  EXPECT_EQ(Passes("v", 9), 2);
}

// Between a candidate and the note of what it waits for there is a moment.
TEST_F(RollbackApprovalsTest, ACandidateOfNobodyIsNotRolledOut) {
  const auto proposed =
      store_->Propose({.origin = {.author = "ann"}, .writes = {{.id = {"tiers", "free"}, .body = {{.value = kTier}}}}});
  ASSERT_TRUE(proposed) << proposed.error().message;
  const std::string body = R"({"revision":)" + std::to_string(proposed->revision.number) + "}";
  EXPECT_EQ(Text(Json(Ask("POST", "/rollouts", body)), "code"), "not_a_candidate");
}

TEST(Approval, IsReadAsItWasWritten) {
  const Approval approval{.number = 7,
                          .author = "ann",
                          .persons = {"ann", "carl"},
                          .reason = "why \"not\"",
                          .asked = 5,
                          .rollout = true,
                          .decision = "approved",
                          .decided_by = "bob",
                          .decided_because = "",
                          .decided = 9};
  const auto read = ReadApproval(WriteApproval(approval));
  ASSERT_TRUE(read);
  EXPECT_EQ(WriteApproval(*read), WriteApproval(approval));
  for (const char* const damaged : {"", "[]", "{}", R"({"number":1})", R"({"number":1,"persons":[]})"}) {
    EXPECT_FALSE(ReadApproval(damaged)) << damaged;
  }
}

TEST(SecondPerson, IsNobodyWhomTheFirstIsTooByAnotherName) {
  const Principal by_login{.name = "ann@x.example", .method = AuthMethod::kOidc, .identity = "https://id.example u1"};
  const Principal by_token{.name = "u1", .method = AuthMethod::kJwt, .identity = "https://id.example u1"};
  const Principal account{.name = "ann@x.example", .method = AuthMethod::kPassword};
  const Principal own_token{.name = "ci", .method = AuthMethod::kToken, .owner = "https://id.example u1"};
  const Principal former_token{.name = "ci", .method = AuthMethod::kToken, .owner = "ann@x.example"};
  const Principal ben{.name = "ben", .method = AuthMethod::kPassword};
  const Principal other_token{.name = "ci", .method = AuthMethod::kToken, .owner = "ben"};
  const auto asked_by = [](const Principal& principal) {
    return Approval{.number = 1, .persons = ReadProposer(WriteProposer(principal))};
  };
  for (const Principal& one : {by_login, by_token, account, own_token, former_token}) {
    EXPECT_FALSE(IsSecondPerson(one, asked_by(by_login))) << one.name << " " << one.owner;
    EXPECT_FALSE(IsSecondPerson(by_login, asked_by(one))) << one.name << " " << one.owner;
  }
  EXPECT_TRUE(IsSecondPerson(ben, asked_by(by_login)));
  EXPECT_TRUE(IsSecondPerson(by_login, asked_by(ben)));
  EXPECT_TRUE(IsSecondPerson(other_token, asked_by(own_token))) << "a token's name is a label";
}

}  // namespace
}  // namespace weir::management::rest
