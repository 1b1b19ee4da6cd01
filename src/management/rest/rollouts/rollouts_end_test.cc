// Rollouts that wait for an approval: of two who decide one wins, and none waits for what will not come.
#include <gtest/gtest.h>

#include <thread>

#include "management/rest/api_fixture.h"
#include "management/rest/rollouts/approvals.h"

namespace weir::management::rest {
namespace {

constexpr const char* kPolicy =
    "global: {free_tier: {max_requests: 10, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n"
    "templates: {t: {max_requests: 3, window_seconds: 60, algorithm: token_bucket, identifier: user_id}}\n"
    "approvals: {required_for: [policy]}\n";
constexpr const char* kTier =
    R"({"max_requests":4,"window_seconds":3600,"algorithm":"token_bucket","identifier":"user_id"})";
constexpr const char* kShadow = R"("stages":[{"stage":"shadow"},{"stage":"all"}])";
constexpr const char* kAll = R"("stages":[{"stage":"all"}])";

class RolloutsEndTest : public ApiFixture {
 protected:
  void SetUp() override {
    StartApi(kPolicy, true);
    ann_ = IssueToken(Role::kEditor, "", 0, "ann");
    bob_ = IssueToken(Role::kEditor, "", 0, "bob");
  }
  static std::string PutOf(const std::string& collection, const std::string& name, const std::string& value) {
    return R"("changes":[{"method":"PUT","collection":")" + collection + R"(","name":")" + name + R"(","value":)" +
           value + "}]";
  }
  // Asks for a rollout as ann; its number.
  std::string AskFor(const std::string& changes, const std::string& stages) {
    const ApiResponse asked = AskAs(ann_, "POST", "/rollouts", "{" + changes + "," + stages + "}");
    EXPECT_EQ(asked.status, 202) << asked.body;
    return asked.status == 202 ? std::to_string(Json(asked).at("revision").as_int64()) : "0";
  }
  std::string AskForTier(const std::string& stages = kShadow) { return AskFor(PutOf("tiers", "free", kTier), stages); }
  static std::uint64_t NumberOf(const std::string& number) { return std::stoull(number); }
  ApiResponse Decide(const std::string& what, const std::string& number) {
    return AskAs(bob_, "POST", "/approvals/" + number + "/" + what, "{}");
  }
  std::string StateOf(const std::string& number) { return Text(Json(Ask("GET", "/rollouts/" + number)), "state"); }
  std::string ApprovalState(const std::string& number) {
    return Text(Json(Ask("GET", "/approvals/" + number)), "state");
  }
  std::string RevisionState(const std::string& number) {
    return Text(Json(Ask("GET", "/revisions/" + number)), "state");
  }
  void RestartRollouts() {
    api_.reset();
    rollouts_.reset();
    StartRollouts();
    StartServing(true);
  }
  // bob approves, while ann gives it up in that way. Whether it was approved.
  bool Race(const std::string& number, const std::string& way) {
    const auto request = [&](const std::string& token, const std::string& target, const char* peer) {
      ApiRequest made = RequestOf("POST", "/admin/v1" + target, "{}");
      made.headers.authorization = "Bearer " + token;
      made.peer = peer;
      return made;
    };
    ApiRequest approve = request(bob_, "/approvals/" + number + "/approve", "10.0.0.1");
    ApiRequest give_up = request(ann_, way, "10.0.0.2");
    ApiResponse approved, given_up;
    {
      const std::jthread other([&] { given_up = api_->Handle(std::move(give_up)); });
      approved = api_->Handle(std::move(approve));
    }
    EXPECT_EQ((approved.status == 200 ? 1 : 0) + (given_up.status == 200 ? 1 : 0), 1) << approved.body << given_up.body;
    EXPECT_EQ(approved.status == 200 ? given_up.status : approved.status, 409) << approved.body << given_up.body;
    return approved.status == 200;
  }
  std::string ann_, bob_;
};

TEST_F(RolloutsEndTest, WhatHasBegunIsNotGivenUp) {
  const std::string number = AskForTier();
  ASSERT_TRUE(rollouts_->Begin(NumberOf(number)));
  const auto given_up = rollouts_->GiveUp(NumberOf(number), "no");
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(RevisionState(number), "shadow");
  EXPECT_EQ(StateOf(number), "running");
  EXPECT_EQ(Ask("POST", "/rollouts/" + number + "/abort", "{}").status, 200);
}

TEST_F(RolloutsEndTest, WhatIsGivenUpDoesNotBegin) {
  const std::string number = AskForTier();
  ASSERT_TRUE(rollouts_->GiveUp(NumberOf(number), "no"));
  EXPECT_EQ(rollouts_->Begin(NumberOf(number)).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(RevisionState(number), "rolled_back");
  EXPECT_EQ(StateOf(number), "aborted");
  EXPECT_EQ(rollouts_->GiveUp(NumberOf(number), "again").error().code, ErrorCode::kFailedPrecondition);
  // Nor is it waited for anew.
  const auto added = rollouts_->Add({.number = NumberOf(number), .stages = *ReadStages(nullptr)}, nullptr);
  EXPECT_EQ(added.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(StateOf(number), "aborted");
}

TEST_F(RolloutsEndTest, OfAnApprovalAndItsContraryOneWins) {
  for (int i = 0; i < 12; ++i) {
    const std::string number = AskForTier();
    const bool withdraw = i % 2 == 0;
    if (Race(number, withdraw ? "/revisions/" + number + "/withdraw" : "/approvals/" + number + "/reject")) {
      EXPECT_EQ(StateOf(number), "running");
      EXPECT_EQ(RevisionState(number), "shadow");
      EXPECT_EQ(ApprovalState(number), "approved");
      EXPECT_EQ(Ask("POST", "/rollouts/" + number + "/abort", "{}").status, 200);
    } else {
      EXPECT_EQ(StateOf(number), "aborted");
      EXPECT_EQ(RevisionState(number), "rolled_back");
      EXPECT_EQ(ApprovalState(number), withdraw ? "withdrawn" : "rejected");
    }
    EXPECT_FALSE(rollouts_->Busy());
  }
}

TEST_F(RolloutsEndTest, SoItIsWithoutARollout) {
  for (int i = 0; i < 8; ++i) {
    const std::string tier = R"({"window_seconds":3600,"algorithm":"token_bucket","identifier":"user_id",)"
                             R"("max_requests":)" +
                             std::to_string(20 + i) + "}";
    const ApiResponse asked = AskAs(ann_, "PUT", "/tiers/free", tier);
    ASSERT_EQ(asked.status, 202) << asked.body;
    const std::string number = std::to_string(Json(asked).at("approval").as_int64());
    const bool withdraw = i % 2 == 0;
    if (Race(number, withdraw ? "/revisions/" + number + "/withdraw" : "/approvals/" + number + "/reject")) {
      EXPECT_EQ(ApprovalState(number), "approved");
      EXPECT_EQ(Json(Ask("GET", "/tiers/free")).at("max_requests").as_int64(), 20 + i);
    } else {
      EXPECT_EQ(ApprovalState(number), withdraw ? "withdrawn" : "rejected");
      EXPECT_NE(Json(Ask("GET", "/tiers/free")).at("max_requests").as_int64(), 20 + i);
    }
  }
}

// Somebody asked for stages after it was looked at: it holds for all, and nothing waits.
TEST_F(RolloutsEndTest, WhatHoldsWithoutItsStagesEndsThem) {
  const std::string number = AskForTier();
  auto approval = *FindApproval(*documents_, NumberOf(number));
  approval->rollout = false;
  ASSERT_TRUE(documents_->Put(kApprovalKind, NumberOf(number), WriteApproval(*approval)));
  ASSERT_EQ(Decide("approve", number).status, 200);
  EXPECT_EQ(StateOf(number), "aborted");
}

TEST_F(RolloutsEndTest, WhatIsRefusedOnceItHoldsForAllWaitsNoMore) {
  const std::string number = AskFor(PutOf("endpoints", "/x", R"({"rule":{"template":"t"}})"), kAll);
  const ApiResponse removal = AskAs(ann_, "DELETE", "/templates/t");
  ASSERT_EQ(removal.status, 202) << removal.body;
  ASSERT_EQ(Decide("approve", std::to_string(Json(removal).at("approval").as_int64())).status, 200);

  const ApiResponse approved = Decide("approve", number);
  EXPECT_EQ(approved.status, 409) << approved.body;
  EXPECT_EQ(Text(Json(approved), "code"), "refused");
  EXPECT_EQ(StateOf(number), "returned");
  EXPECT_FALSE(Text(Json(Ask("GET", "/rollouts/" + number)), "why").empty());
  EXPECT_EQ(ApprovalState(number), "refused");
  EXPECT_EQ(ReadApproval(*documents_->Get(kApprovalKind, NumberOf(number)))->decision, "refused");
  EXPECT_EQ(Ask("GET", "/endpoints/%2Fx").status, 404) << "all is as before";
  EXPECT_FALSE(rollouts_->Busy());
}

// What it begins with was not possible: it can be approved, or given up, later.
TEST_F(RolloutsEndTest, WhatCouldNotBeginWaitsOn) {
  const std::string number = AskFor(PutOf("endpoints", "/x", R"({"rule":{"template":"t"}})"), kShadow);
  const ApiResponse removal = AskAs(ann_, "DELETE", "/templates/t");
  ASSERT_EQ(Decide("approve", std::to_string(Json(removal).at("approval").as_int64())).status, 200);
  EXPECT_GE(Decide("approve", number).status, 400);
  EXPECT_EQ(StateOf(number), "waiting");
  EXPECT_EQ(ApprovalState(number), "waiting");
  EXPECT_EQ(Decide("reject", number).status, 200);
  EXPECT_EQ(StateOf(number), "aborted");
}

TEST_F(RolloutsEndTest, WhatCouldNotBeWrittenDownCanBeApprovedLater) {
  const std::string number = AskForTier();
  ASSERT_TRUE(database_->Write([](Database::Access& access) {
    return access.Run("CREATE TRIGGER full BEFORE INSERT ON documents BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  }));
  EXPECT_FALSE(rollouts_->Begin(NumberOf(number)));
  EXPECT_EQ(RevisionState(number), "candidate");
  ASSERT_TRUE(database_->Write([](Database::Access& access) { return access.Run("DROP TRIGGER full"); }));
  EXPECT_EQ(Decide("approve", number).status, 200);
  EXPECT_EQ(StateOf(number), "running");
}

TEST_F(RolloutsEndTest, WhatHoldsForAllIsWatchedThoughItCouldNotBeWrittenDown) {
  const std::string number = AskForTier(R"("stages":[{"stage":"all","seconds":300}])");
  ASSERT_TRUE(database_->Write([](Database::Access& access) {
    return access.Run("CREATE TRIGGER full BEFORE INSERT ON documents BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  }));
  const auto begun = rollouts_->Begin(NumberOf(number));
  ASSERT_TRUE(begun) << begun.error().message;
  EXPECT_EQ(begun->state, Rollout::State::kRunning);
  EXPECT_TRUE(rollouts_->Busy());
  EXPECT_EQ(Passes("u", 10), 4);
  ASSERT_TRUE(database_->Write([](Database::Access& access) { return access.Run("DROP TRIGGER full"); }));
  clock_.Advance(kSecond);
  rollouts_->Tick();
  EXPECT_EQ(ReadRollout(*documents_->Get("rollouts", NumberOf(number)))->state, Rollout::State::kRunning);
  EXPECT_EQ(Ask("POST", "/rollouts/" + number + "/abort", "{}").status, 200);
  EXPECT_EQ(Passes("v", 10), 10);
}

// The process may end between two steps of a decision.
TEST_F(RolloutsEndTest, NoneWaitsAfterARestartForWhatWasDecided) {
  const std::string withdrawn = AskForTier(), begun = AskForTier(), waits = AskForTier();
  ASSERT_TRUE(store_->SetState(NumberOf(withdrawn), config::RevisionState::kRolledBack));
  ASSERT_TRUE(store_->SetState(NumberOf(begun), config::RevisionState::kShadow));
  RestartRollouts();
  EXPECT_EQ(StateOf(withdrawn), "aborted");
  EXPECT_EQ(StateOf(begun), "waiting");
  EXPECT_EQ(ApprovalState(begun), "waiting");
  EXPECT_EQ(StateOf(waits), "waiting");
  EXPECT_EQ(Decide("approve", begun).status, 200);
}

}  // namespace
}  // namespace weir::management::rest
