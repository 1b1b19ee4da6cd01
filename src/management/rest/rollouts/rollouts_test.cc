// Rollouts: from a candidate to what is in force, and back.
#include "management/rest/rollouts/rollouts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "management/rest/api_fixture.h"

namespace weir::management::rest {
namespace {

constexpr const char* kPolicy =
    "global: {free_tier: {max_requests: 10, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n";
constexpr const char* kChanges =
    R"("changes":[{"method":"PUT","collection":"tiers","name":"free","value":{"max_requests":4,"window_seconds":3600,)"
    R"("algorithm":"token_bucket","identifier":"user_id"}}])";
constexpr const char* kStages =
    R"("stages":[{"stage":"shadow","seconds":600},{"stage":"percent","percent":50,"seconds":300},{"stage":"all"}])";

class RolloutsTest : public ApiFixture {
 protected:
  void SetUp() override { StartApi(kPolicy, true); }

  std::string Begin(const std::string& more = "", const std::string& stages = kStages) {
    const ApiResponse answer =
        Ask("POST", "/rollouts", "{" + std::string(kChanges) + "," + stages + R"(,"reason":"less")" + more + "}");
    EXPECT_EQ(answer.status, 201) << answer.body;
    return answer.status == 201 ? std::to_string(Json(answer).at("revision").as_int64()) : "0";
  }
  void Tick(Nanos passed) {
    recorder_.Drain();
    clock_.Advance(passed);
    rollouts_->Tick();
  }
  boost::json::value Shown(const std::string& number) { return Json(Ask("GET", "/rollouts/" + number)); }
  std::string StateOf(const std::string& number) { return Text(Shown(number), "state"); }
  std::string RevisionState(const std::string& number) {
    return Text(Json(Ask("GET", "/revisions/" + number)), "state");
  }
  // How many of some users have the candidate's limit. Each is asked for the first time.
  int UsersOfCandidate(const std::string& prefix, int users) {
    int of_candidate = 0;
    for (int i = 0; i < users; ++i) {
      const int passed = Passes(prefix + std::to_string(i), 10);
      EXPECT_TRUE(passed == 4 || passed == 10) << passed;
      of_candidate += passed == 4 ? 1 : 0;
    }
    return of_candidate;
  }
};

TEST_F(RolloutsTest, GoesFromShadowOverAShareToAll) {
  Passes("early", 6);
  recorder_.Drain();
  const std::string number = Begin();
  EXPECT_EQ(Shown(number).at("dry_run").at("newly_denied").as_int64(), 2);
  EXPECT_EQ(RevisionState(number), "shadow");

  EXPECT_EQ(Passes("ann", 7), 7) << "shadow denies nobody";
  Tick(kSecond);
  const auto shadow = Shown(number).at("stages").as_array()[0];
  EXPECT_EQ(shadow.at("decisions").as_int64(), 7);
  EXPECT_EQ(shadow.at("would_be_denied").as_int64(), 3);
  EXPECT_EQ(shadow.at("comparison").at("newly_denied").as_int64(), 3);

  Tick(600 * kSecond);
  EXPECT_EQ(Shown(number).at("stage").as_int64(), 1);
  EXPECT_EQ(RevisionState(number), "rolling_out");
  const int some = UsersOfCandidate("user-", 100);
  EXPECT_GT(some, 25);
  EXPECT_LT(some, 75);
  Tick(kSecond);
  const auto share = Shown(number).at("stages").as_array()[1];
  EXPECT_EQ(share.at("decisions").as_int64(), 10 * some);
  EXPECT_EQ(share.at("denied").as_int64(), 6 * some);
  EXPECT_EQ(share.at("others").as_int64(), 10 * (100 - some));
  EXPECT_EQ(share.at("others_denied").as_int64(), 0);

  Tick(300 * kSecond);
  EXPECT_EQ(StateOf(number), "completed");
  EXPECT_EQ(RevisionState(number), "in_force");
  EXPECT_EQ(UsersOfCandidate("late-", 20), 20);
  const auto done = Shown(number);
  const auto revision = Json(Ask("GET", "/revisions/" + std::to_string(done.at("promoted_as").as_int64())));
  EXPECT_EQ(Text(revision, "method"), "rollout");
  EXPECT_EQ(Text(revision, "reason"), "less");
}

// Who takes part goes on with what is used already, and does so when the share grows and when all take part.
TEST_F(RolloutsTest, CountsAndSharesAreSticky) {
  const std::string number = Begin("", R"("stages":[{"stage":"percent","percent":20},{"stage":"percent","percent":60},)"
                                       R"({"stage":"all"}])");
  std::vector<std::string> first;
  for (int i = 0; i < 100; ++i) {
    const std::string user = "user-" + std::to_string(i);
    if (Passes(user, 5) == 4) first.push_back(user);
  }
  EXPECT_GT(first.size(), 5U);
  EXPECT_LT(first.size(), 40U);
  ASSERT_EQ(Ask("POST", "/rollouts/" + number + "/advance", "{}").status, 200);
  for (const std::string& user : first) EXPECT_EQ(Passes(user, 1), 0) << user;
  ASSERT_EQ(Ask("POST", "/rollouts/" + number + "/advance", "{}").status, 200);
  EXPECT_EQ(StateOf(number), "completed");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Passes("user-" + std::to_string(i), 1), 0) << i;
}

TEST_F(RolloutsTest, AGuardEndsItInShadow) {
  const std::string number = Begin(R"(,"guards":{"denial_rate":0.1,"least_decisions":20})");
  Passes("ann", 10);
  Tick(kSecond);
  EXPECT_EQ(StateOf(number), "running") << "too few to tell";
  Passes("bob", 10);
  Tick(kSecond);
  const auto ended = Shown(number);
  EXPECT_EQ(Text(ended, "state"), "returned");
  EXPECT_EQ(Text(ended, "why"), "denial_rate 0.6 is above 0.1, of 20 decisions");
  const auto revision = Json(Ask("GET", "/revisions/" + number));
  EXPECT_EQ(Text(revision, "state"), "rolled_back");
  const auto& note = revision.at("annotations").as_array().back();
  EXPECT_EQ(Text(note, "author"), "weir");
  EXPECT_EQ(Text(note, "text"), "rollout returned: denial_rate 0.6 is above 0.1, of 20 decisions");
  const auto audited = Json(Ask("GET", "/audit?object=" + number)).at("items").as_array();
  ASSERT_FALSE(audited.empty());
  EXPECT_NE(boost::json::serialize(audited).find("denial_rate 0.6"), std::string::npos);
}

TEST_F(RolloutsTest, AGuardTakesItBackFromWhoTookPart) {
  const std::string number =
      Begin(R"(,"guards":{"denial_rate":0.1,"least_decisions":20})", R"("stages":[{"stage":"percent","percent":100}])");
  EXPECT_EQ(UsersOfCandidate("user-", 10), 10);
  Tick(kSecond);
  EXPECT_EQ(StateOf(number), "returned");
  EXPECT_EQ(UsersOfCandidate("later-", 10), 0);
  EXPECT_EQ(meter_.Read(analytics::DecisionMeter::Arm::kCandidate).decisions(), 100U);
}

// What was decided before the window is not looked at.
TEST_F(RolloutsTest, GuardsLookAtAWindow) {
  const std::string number = Begin(R"(,"guards":{"denial_rate":0.5,"least_decisions":15,"window_seconds":10})",
                                   R"("stages":[{"stage":"percent","percent":100}])");
  Passes("ann", 10);
  Tick(kSecond);
  Tick(20 * kSecond);
  Passes("bob", 4);
  Passes("carl", 4);
  Passes("dora", 4);
  Passes("eve", 6);
  Tick(kSecond);
  EXPECT_EQ(StateOf(number), "running");
}

TEST_F(RolloutsTest, LatencyAndErrorsAreGuardedToo) {
  const std::string stages = R"("stages":[{"stage":"percent","percent":100}])";
  engine::Call call;
  const auto decide = [&](const std::string& number, Nanos latency, Reason reason) {
    const config::Revision revision{.number = std::stoull(number)};
    call.decision.reason = reason;
    meter_.OnDecision({.call = call, .now = clock_.Now() - latency, .revision = &revision});
    Tick(kSecond);
  };
  const std::string slow = Begin(R"(,"guards":{"latency_p99_us":1000,"least_decisions":1})", stages);
  decide(slow, 500 * kMicrosecond, Reason::kOk);
  EXPECT_EQ(StateOf(slow), "running");
  for (int i = 0; i < 100 && StateOf(slow) == "running"; ++i) decide(slow, 5 * kMillisecond, Reason::kOk);
  EXPECT_EQ(StateOf(slow), "returned");
  EXPECT_TRUE(Text(Shown(slow), "why").starts_with("latency_p99_us"));
  const std::string failing = Begin(R"(,"guards":{"error_rate":0,"least_decisions":1})", stages);
  decide(failing, 0, Reason::kStoreLocal);
  EXPECT_EQ(StateOf(failing), "returned");
  EXPECT_TRUE(Text(Shown(failing), "why").starts_with("error_rate"));
}

TEST_F(RolloutsTest, PauseResumeAdvancePromoteAbort) {
  const std::string number = Begin();
  const auto ask = [&](const std::string& what) {
    return Ask("POST", "/rollouts/" + number + "/" + what, R"({"reason":"by hand"})");
  };
  EXPECT_EQ(Text(Json(ask("pause")), "state"), "paused");
  Tick(3600 * kSecond);
  EXPECT_EQ(Shown(number).at("stage").as_int64(), 0);
  EXPECT_EQ(Text(Json(ask("resume")), "state"), "running");
  Tick(599 * kSecond);
  EXPECT_EQ(Shown(number).at("stage").as_int64(), 0);
  EXPECT_EQ(Json(ask("advance")).at("stage").as_int64(), 1);
  const ApiResponse aborted = ask("abort");
  EXPECT_EQ(Text(Json(aborted), "state"), "aborted") << aborted.body;
  EXPECT_EQ(Text(Json(aborted), "why"), "by hand");
  EXPECT_EQ(UsersOfCandidate("user-", 10), 0);
  for (const char* const what : {"pause", "resume", "advance", "promote", "abort"}) {
    EXPECT_EQ(Text(Json(ask(what)), "code"), "rollout_state") << what;
  }
  const std::string other = Begin();
  const ApiResponse promoted = Ask("POST", "/rollouts/" + other + "/promote", "{}");
  EXPECT_EQ(Text(Json(promoted), "state"), "completed") << promoted.body;
  EXPECT_FALSE(Header(promoted, "Weir-Revision").empty());
  EXPECT_EQ(UsersOfCandidate("late-", 10), 10);
  EXPECT_EQ(Json(Ask("GET", "/rollouts")).at("items").as_array().size(), 2U);
}

TEST_F(RolloutsTest, GoesOnAtItsStageAfterARestart) {
  const std::string number = Begin();
  Passes("ann", 7);
  Tick(kSecond);
  Tick(599 * kSecond);
  ASSERT_EQ(Shown(number).at("stage").as_int64(), 1);
  int before = UsersOfCandidate("user-", 20);
  Tick(100 * kSecond);
  // As a new process: nothing of it is known but what was written down.
  api_.reset();
  rollouts_.reset();
  live_->DropCandidate();
  meter_.Watch(0);
  clock_.Advance(kDay);
  StartRollouts();
  StartServing(true);
  auto shown = Shown(number);
  EXPECT_EQ(Text(shown, "state"), "running");
  EXPECT_EQ(shown.at("stage").as_int64(), 1);
  EXPECT_EQ(shown.at("stages").as_array()[1].at("elapsed_seconds").to_number<double>(), 100);
  EXPECT_EQ(shown.at("stages").as_array()[0].at("would_be_denied").as_int64(), 3);
  EXPECT_EQ(UsersOfCandidate("user-", 20), before) << "the same subjects, a day later";
  Tick(kSecond);
  EXPECT_EQ(Shown(number).at("stages").as_array()[1].at("decisions").as_int64(), 20 * before);
  Tick(199 * kSecond);
  EXPECT_EQ(StateOf(number), "completed");
}

TEST_F(RolloutsTest, AnotherChangeOfThePolicyKeepsTheShare) {
  const std::string number = Begin("", R"("stages":[{"stage":"percent","percent":100}])");
  ASSERT_EQ(Ask("PUT", "/tiers/pro", R"({"max_requests":50,"window_seconds":60})").status, 201);
  EXPECT_EQ(UsersOfCandidate("user-", 10), 10);
  Tick(kSecond);
  EXPECT_EQ(StateOf(number), "running");
  // What it changes itself was changed: it cannot be brought into force over that.
  ASSERT_EQ(Ask("PUT", "/tiers/free",
                R"({"max_requests":7,"window_seconds":3600,"algorithm":"token_bucket","identifier":"user_id"})")
                .status,
            200);
  EXPECT_EQ(Ask("POST", "/rollouts/" + number + "/promote", "{}").status, 409);
  EXPECT_EQ(StateOf(number), "returned");
  EXPECT_EQ(Passes("late", 10), 7);
}

TEST_F(RolloutsTest, OneAtATimeAndOnlyWhatIsRight) {
  const auto code = [&](const std::string& body) { return Text(Json(Ask("POST", "/rollouts", body)), "code"); };
  EXPECT_EQ(code("{}"), "invalid_body");
  EXPECT_EQ(code(R"({"revision":1})"), "not_a_candidate");
  EXPECT_EQ(code(R"({"revision":"x"})"), "invalid_body");
  const std::string changes = "{" + std::string(kChanges);
  for (const char* const stages :
       {"[]", "7", R"([{"stage":"x"}])", R"([{"stage":"percent"}])", R"([{"stage":"percent","percent":101}])",
        R"([{"stage":"percent","percent":50},{"stage":"percent","percent":10}])",
        R"([{"stage":"percent","percent":50},{"stage":"shadow"}])", R"([{"stage":"all"},{"stage":"all"}])",
        R"([{"stage":"shadow","seconds":0}])", R"([{"stage":"shadow","what":1}])"}) {
    EXPECT_EQ(code(changes + R"(,"stages":)" + stages + "}"), "invalid_body") << stages;
  }
  for (const char* const guards : {"[]", R"({"denial_rate":2})", R"({"x":1})", R"({"latency_p99_us":0})"}) {
    EXPECT_EQ(code(changes + R"(,"guards":)" + guards + "}"), "invalid_body") << guards;
  }
  const std::string number = Begin();
  EXPECT_EQ(code(changes + "}"), "rollout_running");
  EXPECT_EQ(Text(Json(Ask("POST", "/revisions/" + number + "/withdraw", "{}")), "code"), "rollout_running");
  EXPECT_EQ(Ask("GET", "/rollouts/99").status, 404);
  EXPECT_EQ(Ask("POST", "/rollouts/99/pause", "{}").status, 404);
}

TEST_F(RolloutsTest, WhatNeedsAnApprovalWaitsForIt) {
  ASSERT_EQ(Ask("PUT", "/config",
                R"({"global":{"free_tier":{"max_requests":10,"window_seconds":3600,"algorithm":"token_bucket",)"
                R"("identifier":"user_id"}},"approvals":{"required_for":["policy"]}})")
                .status,
            200);
  const std::string ann = IssueToken(Role::kEditor, "", 0, "ann");
  const std::string bob = IssueToken(Role::kEditor, "", 0, "bob");
  const std::string carl = IssueToken(Role::kEditor, "", 0, "carl");
  // Ann proposes it, bob rolls it out: neither approves it.
  const ApiResponse proposed = AskAs(ann, "POST", "/revisions", "{" + std::string(kChanges) + "}");
  ASSERT_EQ(proposed.status, 201) << proposed.body;
  const std::string number = std::to_string(Json(proposed).at("number").as_int64());
  const ApiResponse asked = AskAs(bob, "POST", "/rollouts", R"({"revision":)" + number + "," + kStages + "}");
  ASSERT_EQ(asked.status, 202) << asked.body;
  EXPECT_EQ(StateOf(number), "waiting");
  EXPECT_EQ(AskAs(bob, "POST", "/rollouts/" + number + "/promote", "{}").status, 409);
  EXPECT_EQ(AskAs(ann, "POST", "/approvals/" + number + "/approve", "{}").status, 403);
  EXPECT_EQ(AskAs(bob, "POST", "/approvals/" + number + "/approve", "{}").status, 403);
  EXPECT_EQ(StateOf(number), "waiting");
  const ApiResponse approved = AskAs(carl, "POST", "/approvals/" + number + "/approve", "{}");
  ASSERT_EQ(approved.status, 200) << approved.body;
  EXPECT_EQ(StateOf(number), "running");
  EXPECT_EQ(RevisionState(number), "shadow");
  EXPECT_EQ(Ask("POST", "/rollouts/" + number + "/promote", "{}").status, 200);
  EXPECT_EQ(Passes("ann", 10), 4);
}

constexpr const char* kAll = R"("stages":[{"stage":"all","seconds":300}])";
constexpr const char* kGuards = R"(,"guards":{"denial_rate":0.1,"least_decisions":20})";

TEST_F(RolloutsTest, GuardsWatchItForAStageWhenItIsInForceForAll) {
  const std::string number = Begin(kGuards, kAll);
  EXPECT_EQ(StateOf(number), "running");
  EXPECT_EQ(boost::json::serialize(Shown(number).at("stages").as_array()[0].at("seconds")), "300");
  EXPECT_EQ(RevisionState(number), "in_force");
  EXPECT_EQ(UsersOfCandidate("early-", 3), 3);
  ASSERT_EQ(Ask("PUT", "/tiers/pro", R"({"max_requests":50,"window_seconds":60})").status, 201);
  Tick(kSecond);
  const auto ended = Shown(number);
  EXPECT_EQ(Text(ended, "state"), "returned");
  const std::string back = std::to_string(ended.at("taken_back_by").as_int64());
  EXPECT_EQ(Text(ended, "why"), "denial_rate 0.6 is above 0.1, of 30 decisions; as before by revision " + back);
  EXPECT_EQ(ended.at("stages").as_array()[0].at("denied").as_int64(), 18);
  EXPECT_EQ(UsersOfCandidate("late-", 10), 0);
  const auto revision = Json(Ask("GET", "/revisions/" + back));
  EXPECT_EQ(Text(revision, "author"), "weir");
  EXPECT_EQ(revision.at("changes").as_int64(), 1);
  EXPECT_EQ(Ask("GET", "/tiers/pro").status, 200) << "what else was changed stays";
  EXPECT_FALSE(rollouts_->Busy());
}

TEST_F(RolloutsTest, IsCompletedWhenItWasWatchedLongEnough) {
  const std::string number = Begin(kGuards, kAll);
  Passes("ann", 4);
  Tick(299 * kSecond);
  EXPECT_EQ(StateOf(number), "running");
  EXPECT_EQ(Text(Json(Ask("POST", "/rollouts/" + number + "/promote", "{}")), "state"), "running") << "it is for all";
  Tick(kSecond);
  EXPECT_EQ(StateOf(number), "completed");
  EXPECT_EQ(Shown(number).at("stages").as_array()[0].at("decisions").as_int64(), 4);
  EXPECT_EQ(UsersOfCandidate("late-", 10), 10);
}

TEST_F(RolloutsTest, AdvancingFromAllCompletesIt) {
  const std::string number = Begin("", kAll);
  EXPECT_EQ(Text(Json(Ask("POST", "/rollouts/" + number + "/advance", "{}")), "state"), "completed");
  EXPECT_EQ(UsersOfCandidate("late-", 10), 10);
}

TEST_F(RolloutsTest, AbortTakesBackWhatIsInForce) {
  const std::string number = Begin("", kAll);
  const ApiResponse aborted = Ask("POST", "/rollouts/" + number + "/abort", R"({"reason":"by hand"})");
  EXPECT_EQ(Text(Json(aborted), "state"), "aborted") << aborted.body;
  EXPECT_EQ(Header(aborted, "Weir-Revision"), std::to_string(Json(aborted).at("taken_back_by").as_int64()));
  EXPECT_EQ(UsersOfCandidate("late-", 10), 0);
}

TEST_F(RolloutsTest, WhatWasChangedSinceIsNotTakenBack) {
  const std::string number = Begin("", kAll);
  ASSERT_EQ(Ask("PUT", "/tiers/free",
                R"({"max_requests":7,"window_seconds":3600,"algorithm":"token_bucket","identifier":"user_id"})")
                .status,
            200);
  const auto aborted = Json(Ask("POST", "/rollouts/" + number + "/abort", "{}"));
  EXPECT_EQ(Text(aborted, "state"), "aborted");
  EXPECT_TRUE(Text(aborted, "why").starts_with("it stays in force: ")) << Text(aborted, "why");
  EXPECT_EQ(Passes("late", 10), 7);
}

TEST_F(RolloutsTest, GoesOnWatchingAfterARestart) {
  const std::string number = Begin(kGuards, R"("stages":[{"stage":"shadow"},{"stage":"all","seconds":300}])");
  const std::string in_shadow = *documents_->Get("rollouts", std::stoull(number));
  ASSERT_EQ(Ask("POST", "/rollouts/" + number + "/advance", "{}").status, 200);
  Tick(100 * kSecond);
  // Once as it was written down, and once as if the process had ended before that.
  for (const std::string& kept : {*documents_->Get("rollouts", std::stoull(number)), in_shadow}) {
    api_.reset();
    rollouts_.reset();
    ASSERT_TRUE(documents_->Put("rollouts", std::stoull(number), kept));
    StartRollouts();
    StartServing(true);
    EXPECT_EQ(StateOf(number), "running");
    EXPECT_EQ(Shown(number).at("stage").as_int64(), 1);
  }
  UsersOfCandidate("user-", 3);
  Tick(kSecond);
  EXPECT_EQ(StateOf(number), "returned");
  EXPECT_EQ(UsersOfCandidate("late-", 10), 0);
}

TEST_F(RolloutsTest, WhatTheEngineRefusesReturns) {
  api_.reset();
  rollouts_.reset();
  bool refuse = false;
  live_ = std::make_unique<LiveConfig>(LiveConfigOptions{
      .store = store_.get(),
      .engine = engine_.get(),
      .policy_in_store = true,
      .apply_policy = [&](const config::Revision& revision, EnterpriseRateLimitConfig policy) -> Result<> {
        if (refuse) return Fail(ErrorCode::kResourceExhausted, "no room for it");
        return engine_->Apply(revision, std::move(policy));
      },
      .set_candidate =
          [&](const config::Revision& revision, EnterpriseRateLimitConfig policy, const SubjectShare& share) {
            return engine_->SetCandidate(revision, std::move(policy), share);
          }});
  ASSERT_TRUE(live_->Start());
  StartRollouts();
  StartServing(true);
  const std::string number = Begin("", R"("stages":[{"stage":"percent","percent":100},{"stage":"all"}])");
  EXPECT_EQ(UsersOfCandidate("user-", 3), 3);
  refuse = true;
  EXPECT_EQ(Ask("POST", "/rollouts/" + number + "/promote", "{}").status, 409);
  EXPECT_EQ(StateOf(number), "returned");
  EXPECT_NE(Text(Shown(number), "why").find("no room for it"), std::string::npos);
  EXPECT_EQ(UsersOfCandidate("late-", 10), 0);
  EXPECT_EQ(Json(Ask("GET", "/tiers/free")).at("max_requests").as_int64(), 10);
}

TEST_F(RolloutsTest, AreListedPageByPage) {
  std::vector<std::int64_t> begun;
  for (int i = 0; i < 5; ++i) {
    const std::string number = Begin();
    ASSERT_EQ(Ask("POST", "/rollouts/" + number + "/abort", "{}").status, 200);
    begun.push_back(std::stoll(number));
  }
  // One that cannot be read does not end the list.
  ASSERT_TRUE(documents_->Put("rollouts", static_cast<std::uint64_t>(begun[3]), "damaged"));
  begun.erase(begun.begin() + 3);
  std::string cursor;
  std::vector<std::int64_t> listed;
  for (int pages = 0; pages < 3; ++pages) {
    const auto page = Json(Ask("GET", "/rollouts?limit=2" + cursor));
    for (const auto& one : page.at("items").as_array()) listed.push_back(one.at("revision").as_int64());
    cursor = "&cursor=" + Text(page, "next");
    EXPECT_EQ(Text(page, "next").empty(), pages == 2);
  }
  std::ranges::reverse(begun);
  EXPECT_EQ(listed, begun);
}

TEST(Rollout, IsReadAsItWasWritten) {
  Rollout rollout{.number = 7,
                  .state = Rollout::State::kPaused,
                  .author = "ann",
                  .reason = "why",
                  .created = 1'800'000'000 * kSecond,
                  .stages = *ReadStages(nullptr),
                  .guards = {.denial_rate = 0.25, .error_rate = 0.01, .latency_p99 = 2 * kMillisecond},
                  .stage = 1,
                  .dry_run = R"({"decisions":5})",
                  .why = "lunch",
                  .promoted_as = 9,
                  .taken_back_by = 11};
  rollout.figures.resize(rollout.stages.size());
  rollout.figures[0] = {.began = 1'800'000'000 * kSecond,
                        .ended = 1'800'000'600 * kSecond,
                        .elapsed = 600 * kSecond,
                        .decisions = 50,
                        .denied = 5,
                        .comparison = R"({"newly_denied":4})"};
  rollout.figures[1] = {.began = 1'800'000'600 * kSecond,
                        .elapsed = 1'500 * kMillisecond,
                        .decisions = 70,
                        .denied = 7,
                        .errors = 1,
                        .latency_p99 = 1'279,
                        .others = 3,
                        .others_denied = 2};
  rollout.figures[3] = {.began = 1'800'001'200 * kSecond,
                        .elapsed = kSecond,
                        .decisions = 9,
                        .denied = 2,
                        .errors = 1,
                        .latency_p99 = 1'279};
  const std::string text = boost::json::serialize(ToJsonObject(rollout));
  const auto read = ReadRollout(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(boost::json::serialize(ToJsonObject(*read)), text);
  for (const char* const damaged : {"", "[]", "{}", R"({"revision":1,"state":"running","stage":0,"stages":[]})"}) {
    EXPECT_FALSE(ReadRollout(damaged)) << damaged;
  }
}

}  // namespace
}  // namespace weir::management::rest
