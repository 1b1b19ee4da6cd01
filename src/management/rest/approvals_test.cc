// Four eyes.
#include "management/rest/approvals.h"

#include <gtest/gtest.h>

#include <set>

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

}  // namespace
}  // namespace weir::management::rest
