// Candidates, and what they would have done in the last hour.
#include <gtest/gtest.h>

#include "management/rest/api_fixture.h"

namespace weir::management::rest {
namespace {

constexpr const char* kPolicy =
    "global: {free_tier: {max_requests: 10, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n"
    "tenants: {acme: {}}\n"
    "users: {vip: {rule: {max_requests: 1000, window_seconds: 3600}}}\n";

class DryRunTest : public ApiFixture {
 protected:
  void SetUp() override { StartApi(kPolicy, true); }

  std::string Candidate(const std::string& changes) {
    const ApiResponse answer = Ask("POST", "/revisions", R"({"reason":"try","changes":)" + changes + "}");
    EXPECT_EQ(answer.status, 201) << answer.body;
    return answer.status == 201 ? std::to_string(Json(answer).at("number").as_int64()) : "0";
  }
  boost::json::value DryRun(const std::string& number) {
    recorder_.Drain();
    const ApiResponse answer = Ask("POST", "/revisions/" + number + "/dry-run", "{}");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json(answer);
  }
};

constexpr const char* kStricter =
    R"([{"method":"PUT","collection":"tiers","name":"free","value":{"max_requests":4,"window_seconds":3600,)"
    R"("algorithm":"token_bucket","identifier":"user_id"}}])";
constexpr const char* kLooser =
    R"([{"method":"PUT","collection":"tiers","name":"free","value":{"max_requests":20,"window_seconds":3600,)"
    R"("algorithm":"token_bucket","identifier":"user_id"}}])";

TEST_F(DryRunTest, TellsWhoWouldBeDeniedThatWasNot) {
  Passes("ann", 6);
  Passes("bob", 3);
  Passes("vip", 50);
  const std::uint64_t before = live_->in_force();
  const auto ran = DryRun(Candidate(kStricter));
  EXPECT_EQ(ran.at("decisions").as_int64(), 59);
  EXPECT_EQ(ran.at("newly_denied").as_int64(), 2);
  EXPECT_EQ(ran.at("newly_allowed").as_int64(), 0);
  EXPECT_EQ(ran.at("replayed_otherwise").as_int64(), 0);
  EXPECT_EQ(ran.at("newly_denied_by_rule").at("global.free_tier").as_int64(), 2);
  const auto& subjects = ran.at("newly_denied_subjects").as_array();
  ASSERT_EQ(subjects.size(), 1U);
  EXPECT_EQ(Text(subjects[0], "subject"), "ann");
  EXPECT_EQ(subjects[0].at("count").as_int64(), 2);
  EXPECT_EQ(ran.at("sample").at("share_of_subjects").to_number<double>(), 1);
  EXPECT_EQ(ran.at("sample").at("kept").as_int64(), 59);
  EXPECT_EQ(live_->in_force(), before);
  EXPECT_EQ(Passes("bob", 7), 7) << "nothing was counted";
}

TEST_F(DryRunTest, TellsWhoWouldPassThatDidNot) {
  EXPECT_EQ(Passes("ann", 15), 10);
  const auto ran = DryRun(Candidate(kLooser));
  EXPECT_EQ(ran.at("newly_denied").as_int64(), 0);
  EXPECT_EQ(ran.at("newly_allowed").as_int64(), 5);
  EXPECT_EQ(ran.at("denied_in_force").as_int64(), 5);
  EXPECT_EQ(Text(ran.at("newly_allowed_subjects").as_array()[0], "rule"), "global.free_tier");
}

// Counters of the replay go by the time at which it was asked.
TEST_F(DryRunTest, TimeGoesAsItWent) {
  Passes("ann", 4);
  clock_.Advance(kHour / 2);
  Passes("ann", 2);
  EXPECT_EQ(DryRun(Candidate(kStricter)).at("newly_denied").as_int64(), 0);
}

TEST_F(DryRunTest, AnswersAreBounded) {
  for (int i = 0; i < 300; ++i) {
    Passes("user-" + std::to_string(i), 5);
    recorder_.Drain();
  }
  const auto ran = DryRun(Candidate(kStricter));
  EXPECT_EQ(ran.at("newly_denied").as_int64(), 300);
  EXPECT_EQ(ran.at("newly_denied_subjects").as_array().size(), 100U);
}

TEST_F(DryRunTest, ADocumentIsACandidateToo) {
  const ApiResponse answer =
      Ask("POST", "/revisions",
          R"({"document":{"global":{"free_tier":{"max_requests":1,"window_seconds":60,"identifier":"user_id"}}}})");
  ASSERT_EQ(answer.status, 201) << answer.body;
  EXPECT_EQ(Text(Json(answer), "state"), "candidate");
  Passes("ann", 2);
  EXPECT_EQ(DryRun(std::to_string(Json(answer).at("number").as_int64())).at("newly_denied").as_int64(), 1);
  EXPECT_EQ(Passes("ann", 8), 8) << "it does not hold";
}

// Documents of a newer form are refused with that alone, whatever else is in them.
TEST_F(DryRunTest, ADocumentOfANewerFormIsRefused) {
  const std::string rest = R"("global":{"free_tier":{"max_requests":1,"window_seconds":60}})";
  const std::string newer = R"({"schema_version":99,"what":1,)" + rest + "}";
  for (const ApiResponse& answer :
       {Ask("PUT", "/config", newer), Ask("POST", "/revisions", R"({"document":)" + newer + "}"),
        Ask("POST", "/import", newer), Ask("POST", "/rollouts", R"({"document":)" + newer + "}")}) {
    EXPECT_EQ(answer.status, 422);
    const auto errors = Json(answer).at("errors").as_array();
    ASSERT_EQ(errors.size(), 1U) << answer.body;
    EXPECT_EQ(Text(errors[0], "path"), "schema_version");
    EXPECT_EQ(Text(errors[0], "message"), "the document has form 99, and this version of weir knows up to 1");
    EXPECT_EQ(Text(errors[0], "hint"), "update weir");
  }
  EXPECT_EQ(Ask("PUT", "/config", R"({"schema_version":1,)" + rest + "}").status, 200);
}

// A store that a newer weir has written is left alone.
TEST_F(DryRunTest, AStoreOfANewerFormIsRefused) {
  ASSERT_TRUE(store_->Append(
      {.origin = {.author = "newer"},
       .writes = {{.id = {.kind = "settings", .key = "schema_version"}, .body = config::RecordBody{.value = "99"}}}}));
  const ApiResponse answer = Ask("POST", "/revisions", R"({"changes":)" + std::string(kStricter) + "}");
  EXPECT_EQ(answer.status, 422) << answer.body;
  EXPECT_NE(answer.body.find("form 99"), std::string::npos) << answer.body;
  EXPECT_EQ(Passes("ann", 12), 10) << "what was in force stays so";
}

TEST_F(DryRunTest, WhatIsNoCandidateIsRefused) {
  EXPECT_EQ(Text(Json(Ask("POST", "/revisions/1/dry-run", "{}")), "code"), "not_a_candidate");
  EXPECT_EQ(Ask("POST", "/revisions/99/dry-run", "{}").status, 404);
  EXPECT_EQ(Ask("POST", "/revisions", "{}").status, 422);
  EXPECT_EQ(Ask("POST", "/revisions", R"({"changes":[],"document":{}})").status, 422);
  // Entities change at once; a policy that would be refused is no candidate.
  EXPECT_EQ(Ask("POST", "/revisions",
                R"({"changes":[{"method":"PUT","collection":"users","name":"ann","value":{"exempt":true}}]})")
                .status,
            422);
  EXPECT_EQ(Ask("POST", "/revisions",
                R"({"changes":[{"method":"PUT","collection":"tiers","name":"free","value":{"max_requests":-1}}]})")
                .status,
            422);
  EXPECT_EQ(Ask("POST", "/revisions",
                R"({"changes":[{"method":"PUT","collection":"tiers","name":"free","value":{"identifier":)"
                R"({"custom":{"extractor":"lua:return 'a'"}},"max_requests":1,"window_seconds":1}}]})")
                .status,
            403);
}

TEST_F(DryRunTest, WhoMayNotWriteItMayNotProposeIt) {
  const std::string operates = IssueToken(Role::kOperator);
  EXPECT_EQ(AskAs(operates, "POST", "/revisions", R"({"changes":)" + std::string(kStricter) + "}").status, 403);
  // But replay it.
  const std::string number = Candidate(kStricter);
  EXPECT_EQ(AskAs(operates, "POST", "/revisions/" + number + "/dry-run", "{}").status, 200);
}

TEST_F(DryRunTest, ACandidateCanBeGivenUp) {
  const std::string number = Candidate(kStricter);
  const ApiResponse withdrawn = Ask("POST", "/revisions/" + number + "/withdraw", R"({"reason":"no"})");
  EXPECT_EQ(withdrawn.status, 200) << withdrawn.body;
  EXPECT_EQ(Text(Json(withdrawn), "state"), "rolled_back");
  EXPECT_EQ(Ask("POST", "/revisions/" + number + "/withdraw", "{}").status, 409);
  EXPECT_EQ(Ask("POST", "/revisions/" + number + "/dry-run", "{}").status, 409);
}

class FileDryRunTest : public ApiFixture {
 protected:
  void SetUp() override { StartApi(kPolicy, false); }
};

TEST_F(FileDryRunTest, APolicyThatIsAFileHasNoCandidates) {
  const ApiResponse answer = Ask("POST", "/revisions", R"({"changes":)" + std::string(kStricter) + "}");
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(Text(Json(answer), "code"), "policy_is_a_file");
}

}  // namespace
}  // namespace weir::management::rest
