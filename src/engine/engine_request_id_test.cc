// Asks with a request_id: charged once, answered alike.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine_fixture.h"

namespace weir::engine {
namespace {

constexpr std::string_view kLimits = R"(
global:
  free_tier: {max_requests: 10, window_seconds: 60, algorithm: fixed_window}
endpoints:
  /other: {combine: stack, rule: {max_requests: 10, window_seconds: 60, algorithm: fixed_window}}
  /bucket: {rule: {max_requests: 10, window_seconds: 60, algorithm: {leaky_bucket: {leak_rate: 1, capacity: 10, shape: true}}}}
  /slots: {rule: {max_requests: 2, window_seconds: 60, algorithm: {concurrency: {max_in_flight: 2}}}}
request_ids: {ttl_seconds: 30, max_entries: 64}
)";

Request Named(std::string_view id, std::string_view ip = "192.0.2.1", std::uint64_t cost = 1) {
  Request request;
  request.peer_ip = ip;
  request.cost = cost;
  request.request_id = id;
  return request;
}

std::uint64_t Remaining(const Decision& decision) { return decision.decider()->outcome.remaining; }

TEST_F(EngineTest, RequestIdIsChargedOnce) {
  Start(kLimits);
  const Decision first = Check(Named("a"));
  EXPECT_TRUE(first.allowed);
  EXPECT_FALSE(first.repeated);
  EXPECT_EQ(Remaining(first), 9U);
  EXPECT_EQ(Remaining(Check(Named(""))), 8U);
  clock_.Advance(10 * kSecond);
  const Decision again = Check(Named("a"));
  EXPECT_TRUE(again.allowed);
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(again.reason, Reason::kOk);
  EXPECT_EQ(Remaining(again), 9U) << "the same answer";
  EXPECT_EQ(again.decider()->rule, "global.free_tier");
  EXPECT_EQ(again.decider()->outcome.reset_after_ns, first.decider()->outcome.reset_after_ns - 10 * kSecond)
      << "the same moment";
  EXPECT_EQ(Remaining(Check(Named(""))), 7U);

  const Engine::Counts counts = engine_->GetCounts();
  EXPECT_EQ(counts.request_ids_repeated, 1U);
  EXPECT_EQ(counts.request_ids_remembered, 1U);
  EXPECT_EQ(counts.allowed, 3U) << "what is repeated is no decision more";
}

TEST_F(EngineTest, RequestIdIsForgottenAfterItsTime) {
  Start(kLimits);
  EXPECT_TRUE(Check(Named("a")).allowed);
  clock_.Advance(30 * kSecond - 1);
  EXPECT_TRUE(Check(Named("a")).repeated);
  clock_.Advance(1);
  const Decision anew = Check(Named("a"));
  EXPECT_FALSE(anew.repeated);
  EXPECT_EQ(Remaining(anew), 8U);
}

TEST_F(EngineTest, RequestIdOfAnotherSubjectRuleKindOrCostIsAnotherAsk) {
  Start(kLimits);
  EXPECT_FALSE(Check(Named("a")).repeated);
  EXPECT_FALSE(Check(Named("b")).repeated);
  EXPECT_FALSE(Check(Named("a", "192.0.2.2")).repeated);
  EXPECT_FALSE(Check(Named("a", "192.0.2.1", 2)).repeated);
  EXPECT_FALSE(Reserve(Named("a")).repeated);
  Request other = Named("a");
  other.path = "/other";
  EXPECT_FALSE(Check(other).repeated) << "an endpoint's rule holds besides";
  EXPECT_TRUE(Check(other).repeated);
  EXPECT_EQ(Remaining(Check(Named(""))), 10U - 6U - 1U);
}

TEST_F(EngineTest, RequestIdMeansNothingToAPeek) {
  Start(kLimits);
  EXPECT_FALSE(Peek(Named("a")).repeated);
  EXPECT_FALSE(Check(Named("a", "192.0.2.1", 0)).repeated);
  EXPECT_FALSE(Check(Named("a")).repeated) << "nothing was charged yet";
  EXPECT_FALSE(Peek(Named("a")).repeated);
  EXPECT_EQ(engine_->GetCounts().request_ids_remembered, 1U);
}

// A client that is told to wait comes back with the same id.
TEST_F(EngineTest, RequestIdOfADenialIsDecidedAgain) {
  Start(kLimits);
  EXPECT_TRUE(Check(Named("", "192.0.2.1", 10)).allowed);
  const Decision denied = Check(Named("a"));
  EXPECT_FALSE(denied.allowed);
  EXPECT_FALSE(denied.repeated);
  EXPECT_EQ(engine_->GetCounts().request_ids_remembered, 0U);
  clock_.Advance(denied.decider()->outcome.retry_after_ns);
  const Decision allowed = Check(Named("a"));
  EXPECT_TRUE(allowed.allowed);
  EXPECT_FALSE(allowed.repeated);
  EXPECT_TRUE(Check(Named("a")).repeated);
}

TEST_F(EngineTest, RequestIdOfAReservationNamesTheSameOne) {
  Start(kLimits);
  const Decision first = Reserve(Named("a", "192.0.2.1", 4));
  ASSERT_NE(first.reservation, 0U);
  const Decision again = Reserve(Named("a", "192.0.2.1", 4));
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(again.reservation, first.reservation);
  EXPECT_EQ(engine_->GetCounts().reservations_open, 1U);
  EXPECT_TRUE(Settle(CallKind::kCommit, again.reservation, 1));
  EXPECT_FALSE(Settle(CallKind::kCommit, first.reservation, 1));
  EXPECT_EQ(Remaining(Check(Named(""))), 8U);
}

TEST_F(EngineTest, RequestIdOfASlotTakesOne) {
  Start(kLimits);
  Request request = Named("a");
  request.path = "/slots";
  const Decision first = Check(request);
  ASSERT_NE(first.reservation, 0U);
  EXPECT_EQ(Check(request).reservation, first.reservation);
  request.request_id = "b";
  EXPECT_TRUE(Check(request).allowed) << "the second of two slots";
  EXPECT_TRUE(Settle(CallKind::kCancel, first.reservation));
  EXPECT_EQ(engine_->GetCounts().reservations_open, 1U);
}

TEST_F(EngineTest, RequestIdKeepsTheMomentOfADelay) {
  Start(kLimits);
  Request request = Named("", "192.0.2.1", 5);
  request.path = "/bucket";
  EXPECT_TRUE(Check(request).allowed);
  request.request_id = "a";
  request.cost = 1;
  EXPECT_EQ(Check(request).decider()->outcome.delay_ns, 5 * kSecond);
  clock_.Advance(2 * kSecond);
  EXPECT_EQ(Check(request).decider()->outcome.delay_ns, 3 * kSecond);
  clock_.Advance(4 * kSecond);
  EXPECT_EQ(Check(request).decider()->outcome.delay_ns, 0);
}

TEST_F(EngineTest, RequestIdOutlivesAChangeOfTheLimit) {
  Start(kLimits);
  EXPECT_TRUE(Check(Named("a")).allowed);
  ASSERT_TRUE(engine_->Apply(
      ParseOrDie("global: {free_tier: {max_requests: 5, window_seconds: 60}}\nrequest_ids: {ttl_seconds: 30}")));
  EXPECT_TRUE(Check(Named("a")).repeated);
  ASSERT_TRUE(engine_->Apply(
      ParseOrDie("global: {free_tier: {max_requests: 5, window_seconds: 60}}\nrequest_ids: {ttl_seconds: 1}")));
  clock_.Advance(kSecond);
  EXPECT_FALSE(Check(Named("a")).repeated) << "the time to live is that in force";
}

TEST_F(EngineTest, RequestIdsOfOneBatch) {
  Start(kLimits);
  std::vector<Call> calls(40);
  for (std::size_t i = 0; i < calls.size(); ++i) calls[i].request = Named(i % 2 == 0 ? "a" : "b");
  engine_->Run(calls);
  EXPECT_FALSE(calls[0].decision.repeated);
  EXPECT_FALSE(calls[1].decision.repeated);
  for (std::size_t i = 2; i < calls.size(); ++i) {
    EXPECT_TRUE(calls[i].decision.allowed && calls[i].decision.repeated) << i;
  }
  EXPECT_EQ(Remaining(Check(Named(""))), 7U);
}

TEST_F(EngineTest, RequestIdOfDescriptorsThatAreJoined) {
  Start(R"(
global: {free_tier: {max_requests: 100, window_seconds: 60}}
domains:
  d:
    descriptors:
      - {key: k, rule: {max_requests: 10, window_seconds: 3600, algorithm: fixed_window}}
      - {key: q, quota_mode: true, rule: {max_requests: 10, window_seconds: 3600, algorithm: fixed_window}}
)");
  const Attribute entry{"k", "v"}, quota{"q", "v"};
  const auto ask = [&](Join join, const Attribute& second) {
    std::vector<Call> calls(2);
    for (Call& call : calls) {
      call.descriptor = true;
      call.request.domain = "d";
      call.request.request_id = "a";
      call.request.attributes = {&entry, 1};
    }
    calls[1].request.attributes = {&second, 1};
    calls[1].join = join;
    engine_->Run(calls);
    return std::pair(calls[0].decision, calls[1].decision);
  };
  for (const Join join : {Join::kAllOrNothing, Join::kSameRequest}) {
    const std::uint64_t before = join == Join::kAllOrNothing ? 10 : 8;
    const auto [a, b] = ask(join, entry);
    EXPECT_FALSE(a.repeated || b.repeated) << "twice in one request is twice";
    EXPECT_EQ(Remaining(b), before - 2);
    const auto [c, d] = ask(join, entry);
    EXPECT_TRUE(c.repeated && d.repeated);
    EXPECT_EQ(Remaining(d), before - 2);
  }
  EXPECT_FALSE(ask(Join::kAllOrNothing, quota).first.repeated);
  EXPECT_FALSE(ask(Join::kAllOrNothing, quota).first.repeated) << "whether it passes is not known here";
}

TEST_F(EngineTest, RequestIdOfAPenaltyRuleStrikesEachDenial) {
  Start(R"(
global:
  free_tier:
    max_requests: 1
    window_seconds: 60
    algorithm: token_bucket
    penalties: {enabled: true, threshold: 3, first_ban_seconds: 100}
)");
  EXPECT_TRUE(Check(Named("a")).allowed);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Check(Named("a")).repeated);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Check(Named("b")).reason, Reason::kOverLimit);
  EXPECT_EQ(Check(Named("b")).reason, Reason::kBanned);
}

TEST_F(EngineTest, RequestIdIsExplained) {
  Start(kLimits);
  EXPECT_TRUE(Check(Named("a")).allowed);
  std::vector<ExplainStep> steps;
  std::vector<std::string> subjects;
  Call call;
  call.request = Named("a");
  call.trace = &steps;
  call.subjects = &subjects;
  engine_->Run({&call, 1});
  EXPECT_TRUE(call.decision.repeated);
  EXPECT_EQ(subjects, std::vector<std::string>{"192.0.2.1"});
  EXPECT_TRUE(std::ranges::any_of(steps, [](const ExplainStep& step) { return step.stage == "request_id"; }));
}

TEST_F(EngineTest, RequestIdsAreBounded) {
  Start(kLimits);
  for (int i = 0; i < 1'000; ++i) {
    const std::string id = std::to_string(i), ip = "192.0.2." + std::to_string(i % 250);
    EXPECT_TRUE(Check(Named(id, ip)).allowed);
  }
  const Engine::Counts counts = engine_->GetCounts();
  EXPECT_LE(counts.request_ids_remembered, 64U);
  EXPECT_EQ(counts.request_ids_remembered + counts.request_ids_evicted, 1'000U);
}

TEST_F(EngineTest, RequestIdDecidedWithoutTheStoreIsRememberedWhereItWasCounted) {
  Start(kLimits);
  store_->Cut(true);
  const Decision local = Check(Named("a"));
  EXPECT_EQ(local.reason, Reason::kStoreLocal);
  EXPECT_TRUE(local.allowed);
  const Decision again = Check(Named("a"));
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(again.reason, Reason::kStoreLocal);
  store_->Cut(false);
  EXPECT_TRUE(Check(Named("a")).repeated);

  Setup setup;
  setup.local = false;
  Start("global: {free_tier: {max_requests: 10, window_seconds: 60, on_store_failure: allow}}", std::move(setup));
  store_->Cut(true);
  EXPECT_EQ(Check(Named("a")).reason, Reason::kStoreAllowed);
  store_->Cut(false);
  EXPECT_FALSE(Check(Named("a")).repeated) << "nothing was charged yet";
  EXPECT_TRUE(Check(Named("a")).repeated);
}

class Told final : public storage::Completion {
 public:
  void Done() noexcept override { ++times; }
  std::atomic<int> times{0};
};

TEST_F(EngineTest, RequestIdThatIsUnderWayIsWaitedFor) {
  Setup setup;
  setup.delivery = Delivery::kHeld;
  Start(kLimits, std::move(setup));
  Call first, second;
  first.request = second.request = Named("a");
  Told told_first, told_second;
  ASSERT_FALSE(engine_->Submit({&first, 1}, &told_first));
  ASSERT_FALSE(engine_->Submit({&second, 1}, &told_second));
  store_->ReleaseNewest();
  EXPECT_EQ(told_second.times, 0) << "the store has answered, but not yet what decides";
  EXPECT_EQ(store_->Release(), 1U);
  EXPECT_EQ(told_first.times, 1);
  EXPECT_EQ(told_second.times, 1);
  EXPECT_FALSE(first.decision.repeated);
  EXPECT_TRUE(second.decision.repeated);
  EXPECT_EQ(Remaining(second.decision), 9U);
}

TEST_F(EngineTest, RequestIdThatIsUnderWayWhenTheEngineEnds) {
  Setup setup;
  setup.delivery = Delivery::kHeld;
  Start(kLimits, std::move(setup));
  std::vector<Call> calls(3);
  for (Call& call : calls) call.request = Named("a");
  Told told;
  for (Call& call : calls) ASSERT_FALSE(engine_->Submit({&call, 1}, &told));
  engine_.reset();
  EXPECT_EQ(told.times, 3);
  for (const Call& call : calls) EXPECT_EQ(call.decision.reason, Reason::kStoreLocal);
}

TEST_F(EngineTest, RequestIdOfADenialIsSharedByThoseWhoAskAtTheSameTime) {
  Setup setup;
  setup.delivery = Delivery::kHeld;
  Start(kLimits, std::move(setup));
  std::vector<Call> calls(3);
  for (Call& call : calls) call.request = Named("a", "192.0.2.1", 11);
  Told told;
  for (Call& call : calls) ASSERT_FALSE(engine_->Submit({&call, 1}, &told));
  EXPECT_EQ(store_->Release(), 3U);
  EXPECT_EQ(told.times, 3);
  for (const Call& call : calls) {
    EXPECT_FALSE(call.decision.allowed);
    EXPECT_EQ(call.decision.reason, Reason::kNeverFits);
  }
  EXPECT_EQ(engine_->GetCounts().denied, 1U);
}

class RequestIdThreads : public EngineTest, public testing::WithParamInterface<Delivery> {};

TEST_P(RequestIdThreads, ManyThreadsAndOneIdAreChargedOnce) {
  Setup setup;
  setup.delivery = GetParam();
  Start(R"(
global: {free_tier: {max_requests: 1000000, window_seconds: 86400, algorithm: fixed_window}}
request_ids: {max_entries: 100000}
)",
        std::move(setup));
  constexpr int kThreads = 4, kIds = 300;
  std::atomic<int> fresh{0}, wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kIds; ++i) {
        // Two asks that other threads have the other way round.
        const std::string a = std::to_string(i), b = std::to_string(i ^ 1);
        std::vector<Call> calls(2);
        calls[0].request = Named(t % 2 == 0 ? a : b);
        calls[1].request = Named(t % 2 == 0 ? b : a);
        engine_->Run(calls);
        for (const Call& call : calls) {
          fresh += call.decision.repeated ? 0 : 1;
          wrong += call.decision.allowed ? 0 : 1;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fresh, kIds);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Remaining(Peek(Named(""))), 1'000'000U - kIds - 1U);
}

INSTANTIATE_TEST_SUITE_P(Stores, RequestIdThreads, testing::Values(Delivery::kInline, Delivery::kThread));

// Any mixture of ids, subjects, costs, kinds and waiting: what is charged is what the first ask of each name was
// allowed, and every repetition says what that said.
TEST_F(EngineTest, RequestIdsByTheirDefinition) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto below = [&](std::uint32_t bound) { return random() % bound; };
  Start(R"(
global: {free_tier: {max_requests: 12, window_seconds: 20, algorithm: fixed_window}}
request_ids: {ttl_seconds: 15, max_entries: 100000}
)");
  struct Known {
    Nanos at = 0;
    Decision decision;
  };
  std::map<std::string, Known> known;
  std::map<std::string, std::uint64_t> used;  // in the window that is open
  std::map<std::string, Nanos> opened;
  for (int step = 0; step < 5'000; ++step) {
    if (below(3) == 0) clock_.Advance(static_cast<Nanos>(below(4'000)) * kMillisecond);
    const Nanos now = clock_.Now();
    const std::string id = below(4) == 0 ? "" : std::to_string(below(6));
    const std::string ip = "192.0.2." + std::to_string(below(3));
    const std::uint64_t cost = 1 + below(3);
    const bool reserve = below(4) == 0;
    const Call call = Run(reserve ? CallKind::kReserve : CallKind::kCheck, Named(id, ip, cost));
    const std::string name = id + "|" + ip + "|" + std::to_string(cost) + (reserve ? "|r" : "|c");
    const auto found = known.find(name);
    const bool repeats = !id.empty() && found != known.end() && now - found->second.at < 15 * kSecond;
    ASSERT_EQ(call.decision.repeated, repeats) << step << " " << name;
    if (repeats) {
      ASSERT_TRUE(call.decision.allowed);
      ASSERT_EQ(Remaining(call.decision), Remaining(found->second.decision));
      ASSERT_EQ(call.decision.reservation, found->second.decision.reservation);
      continue;
    }
    if (!opened.contains(ip) || now - opened[ip] >= 20 * kSecond) used.erase(ip);
    if (!used.contains(ip)) opened[ip] = now;
    const bool fits = used[ip] + cost <= 12;
    ASSERT_EQ(call.decision.allowed, fits) << step << " " << name;
    if (!fits) continue;
    used[ip] += cost;
    ASSERT_EQ(Remaining(call.decision), 12 - used[ip]) << step;
    if (!id.empty()) known[name] = {now, call.decision};
  }
}

// What two instances share: states, and the answers to plans with a Once.
class SharedMemory {
 public:
  class View final : public storage::Store {
   public:
    explicit View(SharedMemory& shared) : shared_(shared) {}
    bool Apply(std::span<storage::Plan> plans, Nanos now, storage::Completion*) override {
      const std::lock_guard lock(shared_.mutex_);
      for (storage::Plan& plan : plans) shared_.Run(plan, now);
      return true;
    }
    bool CompletesInline() const override { return true; }
    bool Remembers() const override { return true; }
    storage::StoreStats Stats() const override { return {}; }
    storage::Health GetHealth() const override { return storage::Health::kUp; }
    std::string_view Name() const override { return "shared"; }

   private:
    SharedMemory& shared_;
  };

 private:
  struct Known {
    std::vector<Outcome> outcomes;
    std::vector<std::uint64_t> tokens;
    Nanos at = 0;
  };
  void Run(storage::Plan& plan, Nanos now) {
    if (plan.once == nullptr) return (void)memory_->Apply({&plan, 1}, now, nullptr);
    const auto key = std::pair(plan.once->id.hi, plan.once->id.lo);
    if (const auto found = known_.find(key); found != known_.end() && now - found->second.at < plan.once->life) {
      for (std::size_t i = 0; i < plan.outcomes.size(); ++i) {
        plan.outcomes[i] = storage::Aged(found->second.outcomes[i], now - found->second.at);
      }
      std::ranges::copy(found->second.tokens, plan.once->tokens.begin());
      plan.status = storage::PlanStatus::kOk;
      plan.admitted = plan.once->repeated = true;
      plan.decided_at = found->second.at;
      return;
    }
    (void)memory_->Apply({&plan, 1}, now, nullptr);
    if (!plan.admitted) return;
    known_[key] = {
        {plan.outcomes.begin(), plan.outcomes.end()}, {plan.once->tokens.begin(), plan.once->tokens.end()}, now};
  }

  std::mutex mutex_;
  std::unique_ptr<storage::memory::MemoryStore> memory_ = storage::memory::MemoryStore::Create({}).value();
  std::map<std::pair<std::uint64_t, std::uint64_t>, Known> known_;
};

TEST(RequestIdInstances, WhatOneHasAnsweredTheOtherKnows) {
  ManualClock clock;
  SharedMemory shared;
  const auto make = [&] {
    return Engine::Create(ParseOrDie(kLimits), std::make_unique<SharedMemory::View>(shared), {.clock = &clock}).value();
  };
  const auto one = make(), two = make();
  const auto run = [](Engine& engine, CallKind kind, const Request& request) {
    Call call;
    call.kind = kind;
    call.request = request;
    engine.Run({&call, 1});
    return call.decision;
  };
  const Decision first = run(*one, CallKind::kReserve, Named("a"));
  EXPECT_FALSE(first.repeated);
  clock.Advance(kSecond);
  for (int i = 0; i < 2; ++i) {
    const Decision again = run(*two, CallKind::kReserve, Named("a"));
    EXPECT_TRUE(again.repeated);
    EXPECT_EQ(again.reservation, first.reservation);
    EXPECT_EQ(Remaining(again), 9U);
    EXPECT_EQ(again.decider()->outcome.reset_after_ns, first.decider()->outcome.reset_after_ns - kSecond);
  }
  EXPECT_EQ(two->GetCounts().reservations_open, 0U) << "it is the other one's";
  EXPECT_EQ(two->GetCounts().request_ids_repeated, 2U);
  EXPECT_EQ(Remaining(run(*two, CallKind::kCheck, Named(""))), 8U);
  EXPECT_FALSE(run(*two, CallKind::kCheck, Named("b", "192.0.2.1", 11)).allowed);
  EXPECT_FALSE(run(*one, CallKind::kCheck, Named("b", "192.0.2.1", 11)).repeated);
}

}  // namespace
}  // namespace weir::engine
