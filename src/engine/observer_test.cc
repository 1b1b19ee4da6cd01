#include "engine/observer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine_fixture.h"
#include "engine/resolve/resolve.h"

namespace weir::engine {
namespace {

class Recorder final : public Observer {
 public:
  explicit Recorder(std::uint32_t wants) : wants_(wants) {}
  std::uint32_t interest() const noexcept override { return wants_; }
  void OnDecision(const DecisionEvent& event) noexcept override {
    const std::lock_guard lock(mutex_);
    kinds.push_back(event.call.kind);
    if (event.facts != nullptr) users.emplace_back(event.facts->user);
    if (event.resolution != nullptr) rules += event.resolution->rules.size();
    now = event.now;
  }
  void OnRevision(const config::Revision& revision, const config::Snapshot& snapshot) noexcept override {
    revisions.emplace_back(revision.number, snapshot.version());
  }

  std::vector<CallKind> kinds;
  std::vector<std::string> users;
  std::size_t rules = 0;
  Nanos now = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> revisions;

 private:
  std::mutex mutex_;
  std::uint32_t wants_;
};

class ObserverTest : public EngineTest {
 protected:
  void StartWith(std::vector<Observer*> observers, Delivery delivery = Delivery::kInline) {
    Setup setup;
    setup.delivery = delivery;
    setup.options.observers = std::move(observers);
    Start("global: {free_tier: {max_requests: 2, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}",
          std::move(setup));
  }
};

TEST_F(ObserverTest, AreToldWhatTheyWant) {
  Recorder all(UINT32_MAX), denials(kDeniedDecisions), settlements(kSettlements | kResets), none(0);
  StartWith({&all, &denials, nullptr, &settlements, &none});
  const Request ann{.user = "ann"};
  EXPECT_EQ(CountAllowed(ann, 3), 2);
  Peek(ann);
  Check({.user = "ann", .cost = 0});
  const Decision reserved = Reserve({.user = "bob"});
  EXPECT_TRUE(Settle(CallKind::kCommit, reserved.reservation, 1));
  EXPECT_FALSE(Settle(CallKind::kCancel, reserved.reservation)) << "told all the same";
  Run(CallKind::kRefund, ann);
  Run(CallKind::kReset, ann);
  Run(CallKind::kFeedback, ann);
  using enum CallKind;
  EXPECT_EQ(all.kinds, (std::vector{kCheck, kCheck, kCheck, kPeek, kCheck, kReserve, kCommit, kCancel, kRefund, kReset,
                                    kFeedback}));
  EXPECT_EQ(all.users, (std::vector<std::string>{"ann", "ann", "ann", "ann", "ann", "bob", "ann", "ann", "ann"}));
  EXPECT_EQ(all.rules, 9U);
  EXPECT_EQ(all.now, clock_.Now());
  EXPECT_EQ(denials.kinds, std::vector{kCheck});
  EXPECT_EQ(settlements.kinds, (std::vector{kCommit, kCancel, kRefund, kReset}));
  EXPECT_TRUE(none.kinds.empty());
}

TEST_F(ObserverTest, AreToldOfBatchesAndOfStoresThatTakeTheirTime) {
  for (const Delivery delivery : {Delivery::kInline, Delivery::kThread}) {
    Recorder all(UINT32_MAX);
    StartWith({&all}, delivery);
    std::vector<std::string> names;
    for (int i = 0; i < 40; ++i) names.push_back("user-" + std::to_string(i));
    std::vector<Call> calls(40);
    for (std::size_t i = 0; i < calls.size(); ++i) {
      calls[i].request.user = names[i];
      calls[i].join = i % 3 == 1 ? Join::kSameRequest : Join::kNone;
    }
    engine_->Run(calls);
    ASSERT_EQ(all.users.size(), 40U);
    std::ranges::sort(all.users);
    std::ranges::sort(names);
    EXPECT_EQ(all.users, names);
    EXPECT_EQ(all.rules, 40U);
    engine_.reset();
  }
}

TEST_F(ObserverTest, AreToldOfRevisions) {
  Recorder all(UINT32_MAX), decisions(kAllDecisions);
  StartWith({&all, &decisions});
  const auto policy = engine_->snapshot()->document();
  ASSERT_TRUE(engine_->Apply({.number = 3}, policy));
  ASSERT_TRUE(engine_->ApplyEntities({.number = 4}, {}));
  EnterpriseRateLimitConfig bad = policy;
  bad.endpoints["no-slash"];
  EXPECT_FALSE(engine_->Apply({.number = 5}, bad));
  ASSERT_TRUE(engine_->SetCandidate({.number = 6}, policy, {"s", 0, 0.5}));
  ASSERT_TRUE(engine_->PromoteCandidate());
  EXPECT_EQ(all.revisions, (std::vector<std::pair<std::uint64_t, std::uint64_t>>{{3, 2}, {4, 3}, {6, 4}}));
  EXPECT_TRUE(decisions.revisions.empty());
}

TEST_F(ObserverTest, NoMoreThanFit) {
  std::deque<Recorder> many;
  for (std::size_t i = 0; i < Observers::kMost + 1; ++i) many.emplace_back(kAllDecisions);
  std::vector<Observer*> observers;
  for (Recorder& one : many) observers.push_back(&one);
  const auto made = Engine::Create({}, nullptr, {.observers = observers});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
}

// ---- facts ----------------------------------------------------------------------------------------------------------

class Countries final : public FactSource {
 public:
  void Fill(const Request& /*request*/, const Address* client, std::uint32_t needs, Nanos /*now*/,
            KnownFacts& to) const noexcept override {
    std::array<char, 46> buffer;
    ++asked;
    last_needs = needs;
    to.country = client != nullptr && FormatAddress(*client, buffer) == "192.0.2.1" ? "DE" : "FR";
  }
  mutable int asked = 0;
  mutable std::uint32_t last_needs = 0;
};

TEST_F(ObserverTest, FactsAreLookedUpWhenARuleAsksForThem) {
  const Countries countries;
  Setup setup;
  setup.options.facts = &countries;
  const std::string policy = "global: {free_tier: {max_requests: 2, window_seconds: 3600, algorithm: token_bucket}}\n";
  Start(policy, std::move(setup));
  EXPECT_EQ(engine_->snapshot()->needs(), 0U);
  EXPECT_TRUE(Check({.peer_ip = "192.0.2.1"}).allowed);
  EXPECT_EQ(countries.asked, 0);
  ASSERT_TRUE(engine_->Apply(ParseOrDie(policy + "ip_rules: {rules: [{name: r, countries: [DE], action: block}]}")));
  EXPECT_EQ(Check({.peer_ip = "192.0.2.1"}).reason, Reason::kBlocked);
  EXPECT_EQ(countries.asked, 1);
  EXPECT_EQ(countries.last_needs, config::kNeedCountry);
  EXPECT_TRUE(Check({.peer_ip = "192.0.2.2"}).allowed);
  EXPECT_TRUE(Check({.peer_ip = "192.0.2.1", .country = "FR"}).allowed) << "what the request says holds";
  ASSERT_TRUE(engine_->Apply(ParseOrDie(policy)));
  const int asked = countries.asked;
  Check({.peer_ip = "192.0.2.1"});
  EXPECT_EQ(countries.asked, asked) << "no rule asks any more";
}

class SubjectHashes final : public Observer {
 public:
  void OnDecision(const DecisionEvent& event) noexcept override {
    hashes.push_back(event.SubjectHash(event.call.decision.deciding));
    EXPECT_EQ(event.SubjectHash(-1), 0U);
    EXPECT_EQ(event.SubjectHash(1), 0U) << "there is one rule";
  }
  std::vector<std::uint64_t> hashes;
};

// The one way through the engine and the other, with headers that tell the hash and with such that do not.
TEST_F(ObserverTest, ASubjectHasOneHashThatNoOtherProcessShares) {
  constexpr std::string_view kTelling = R"(
global:
  free_tier:
    {max_requests: 100, window_seconds: 60, identifier: user_id, headers: {styles: [ietf], partition_key: true}}
)";
  SubjectHashes one, two, silent;
  const auto ask = [this](const Request& request) {
    std::vector<std::uint64_t> told = {Check(request).decider()->subject_hash};
    std::vector<Call> calls(2);
    for (Call& call : calls) call.request = request;
    engine_->Run(calls);
    for (const Call& call : calls) told.push_back(call.decision.decider()->subject_hash);
    return told;
  };
  const auto begin = [this](std::string_view yaml, Observer& observer) {
    Setup setup;
    setup.options.observers = {&observer};
    Start(yaml, std::move(setup));
  };
  begin(kTelling, one);
  const std::vector<std::uint64_t> ann = ask({.user = "ann"}), bob = ask({.user = "bob"});
  EXPECT_NE(ann[0], 0U);
  EXPECT_NE(ann[0], bob[0]);
  EXPECT_EQ(ann, std::vector<std::uint64_t>(3, ann[0]));
  std::vector<std::uint64_t> all = ann;
  all.insert(all.end(), bob.begin(), bob.end());
  EXPECT_EQ(one.hashes, all);
  begin(kTelling, two);
  EXPECT_NE(ask({.user = "ann"})[0], ann[0]) << "another key";
  begin("global: {free_tier: {max_requests: 100, window_seconds: 60, identifier: user_id}}", silent);
  EXPECT_EQ(ask({.user = "ann"}), std::vector<std::uint64_t>(3, 0)) << "nobody asks for it";
  EXPECT_NE(silent.hashes.at(0), 0U);
  EXPECT_EQ(silent.hashes, std::vector<std::uint64_t>(3, silent.hashes[0]));
}

}  // namespace
}  // namespace weir::engine
