#include "storage/redis/redis_store.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "algorithms/adaptive.h"
#include "storage/redis/greeting_server.h"

namespace weir::storage::redis {
namespace {

TEST_F(RedisStoreTest, SendsAPlanAsOneCallAndDecodesItsAnswer) {
  const auto server = Serve([](const Words&) { return Answer{kAdmitted}; });
  const auto store = MakeStore(ImpatientOptions(server->url()));
  const Answered answered = Check(*store, One());
  EXPECT_EQ(answered.status, PlanStatus::kOk);
  EXPECT_TRUE(answered.admitted);
  EXPECT_EQ(answered.outcome.remaining, 9u);
  const auto plans = server->Received("EVALSHA");
  ASSERT_EQ(plans.size(), 1u);
  EXPECT_EQ(plans[0][1], PlanScript().sha1);
  EXPECT_EQ(plans[0][2], "1");
  EXPECT_EQ(plans[0][3], "weir:v1:rule@1:a");
  EXPECT_EQ(store->Stats().round_trips, 1u);
  EXPECT_EQ(store->Stats().failures, 0u);
  EXPECT_EQ(store->Name(), "redis");
  EXPECT_EQ(store->GetHealth(), Health::kUp);
}

TEST_F(RedisStoreTest, ADenialIsDescribedFromTheStateThatComesBack) {
  const auto server = Serve([](const Words&) { return Answer{kDenied}; });
  const auto store = MakeStore(ImpatientOptions(server->url()));
  const Answered answered = Check(*store, One());
  EXPECT_FALSE(answered.admitted);
  EXPECT_EQ(answered.outcome.verdict, Verdict::kLater);
  EXPECT_EQ(answered.outcome.retry_after_ns, kSecond);
}

TEST_F(RedisStoreTest, ACopyOfAStateIsOfTheTimeThatTheServersClockShows) {
  const Limit limit = algorithms::Sanitize({.kind = algorithms::Kind::kAdaptive,
                                            .capacity = 50,
                                            .window = kMinute,
                                            .learning_window = kHour,
                                            .min_capacity = 1,
                                            .max_capacity = 500});
  algorithms::Words state;
  algorithms::adaptive::Feedback(limit, state, 20 * kMillisecond, true, kStart);
  std::string told = "a";
  for (const algorithms::Word word : state) told += (told.size() > 1 ? " " : "") + std::to_string(word);
  const auto server = Serve(
      [&told](const Words&) { return Answer{"*2\r\n:1\r\n$" + std::to_string(told.size()) + "\r\n" + told + "\r\n"}; });
  RedisStoreOptions options = ImpatientOptions(server->url());
  options.clock = ClockSource::kServer;
  const auto store = MakeStore(options);
  ASSERT_TRUE(Eventually([&] { return store->DetailedStats().clock_round_trip > 0; }));

  // The server's clock stands at kStart: this machine's is far from it.
  const std::vector<Item> items = {ItemOf(limit, "rule@1", "a", 0)};
  std::array<Outcome, 1> outcomes;
  std::array<StateCopy, 1> copies;
  Plan plan{Op::kPeek, items, outcomes, PlanStatus::kOk, false, copies.data()};
  Waiter waiter;
  ASSERT_FALSE(store->Apply({&plan, 1}, SystemClock().Now(), &waiter));
  waiter.Wait();
  ASSERT_EQ(plan.status, PlanStatus::kOk);
  const Words sent = server->Received("EVALSHA").at(0);
  EXPECT_EQ(sent[4], "peek");
  EXPECT_EQ(copies[0].now, std::stoll(sent[5]) * kSecond + std::stoll(sent[6]));
  EXPECT_LT(std::abs(copies[0].now - kStart), kHour);
  EXPECT_EQ(copies[0].words, state);
  EXPECT_EQ(algorithms::adaptive::Explain(limit, copies[0].words, copies[0].now).effective_limit, outcomes[0].limit);
}

TEST_F(RedisStoreTest, ABatchIsPipelinedInOrder) {
  const auto server = Serve([](const Words&) { return Answer{kAdmitted}; });
  RedisStoreOptions options = ImpatientOptions(server->url());
  options.connections = 3;
  const auto store = MakeStore(options);
  constexpr std::size_t kPlans = 200;
  std::vector<Item> items;
  std::vector<std::string> subjects;
  for (std::size_t i = 0; i < kPlans; ++i) subjects.push_back("s" + std::to_string(i));
  for (const std::string& subject : subjects) items.push_back(ItemOf(kBucket, "r", subject));
  std::vector<Outcome> outcomes(kPlans);
  std::vector<Plan> plans;
  for (std::size_t i = 0; i < kPlans; ++i)
    plans.push_back(Plan{Op::kCheck, {&items[i], 1}, {&outcomes[i], 1}, PlanStatus::kFull, false});
  Waiter waiter;
  ASSERT_FALSE(store->Apply(plans, kStart, &waiter));
  waiter.Wait();
  const auto received = server->Received("EVALSHA");
  ASSERT_EQ(received.size(), kPlans);
  for (std::size_t i = 0; i < kPlans; ++i) {
    EXPECT_EQ(plans[i].status, PlanStatus::kOk);
    EXPECT_TRUE(plans[i].admitted);
    EXPECT_EQ(received[i][3], "weir:v1:r:" + subjects[i]);
  }
}

TEST_F(RedisStoreTest, APlanThatCountsNothingNeedsNoServer) {
  const auto server = Serve([](const Words&) { return Answer{kAdmitted}; });
  server->Stop();
  const auto store = MakeStore(ImpatientOptions(server->url()));
  const Limit unlimited;
  Asked asked(*store, Op::kCheck, {ItemOf(unlimited, "r", "a")});
  EXPECT_TRUE(asked.inline_answer);
  EXPECT_TRUE(asked.plan.admitted);
  EXPECT_EQ(asked.outcomes[0].remaining, UINT64_MAX);
}

// ---- replies that are late, partial, wrong --------------------------------------------------------------------------

TEST_F(RedisStoreTest, RepliesMayComeInPieces) {
  const auto server = Serve([](const Words&) { return Answer{kDenied, After::kGoOn, Pace::kByteByByte}; });
  const auto store = MakeStore(ImpatientOptions(server->url()));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Check(*store, One()).outcome.verdict, Verdict::kLater);
}

TEST_F(RedisStoreTest, ALateReplyIsDroppedAndTheNextMeetsItsPlan) {
  std::string held;
  const auto server = Serve([&](const Words& words) -> Answer {
    if (words[3].ends_with(":slow")) {
      held = kDenied;
      return {};
    }
    return {std::exchange(held, "") + kAdmitted};
  });
  RedisStoreOptions options = ImpatientOptions(server->url());
  options.command_timeout = 50 * kMillisecond;
  const auto store = MakeStore(options);
  EXPECT_EQ(Check(*store, One("slow")).status, PlanStatus::kUnavailable);
  EXPECT_EQ(store->DetailedStats().timeouts, 1u);
  const Answered next = Check(*store, One("next"));
  EXPECT_EQ(next.status, PlanStatus::kOk);
  EXPECT_TRUE(next.admitted) << "not what was meant for the plan before";
  EXPECT_EQ(server->accepted(), 1) << "on the same connection";
}

TEST_F(RedisStoreTest, AReplyThatNeverComesClosesTheConnection) {
  std::atomic<bool> deaf = true;
  const auto server = Serve([&](const Words&) { return Answer{deaf ? "$99999999999\r\n" : kAdmitted}; });
  RedisStoreOptions options = ImpatientOptions(server->url());
  options.command_timeout = 20 * kMillisecond;
  const auto store = MakeStore(options);
  EXPECT_EQ(Check(*store, One()).status, PlanStatus::kUnavailable);
  deaf = false;
  ASSERT_TRUE(Eventually([&] { return server->accepted() >= 2; }));
  ASSERT_TRUE(BecomesUp(*store));
  EXPECT_TRUE(Eventually([&] { return Check(*store, One()).status == PlanStatus::kOk; }));
}

TEST_F(RedisStoreTest, WhatIsNotTheProtocolClosesTheConnectionAndItComesBack) {
  const std::string wrong[] = {"garbage\r\n",
                               "HTTP/1.1 400 Bad Request\r\n\r\n",
                               "*2147483647\r\n",
                               kAdmitted + kAdmitted,  // one more than was asked for
                               "*2\r\n:1\r\n$1\r\n",   // and then nothing
                               "*2\r\n:1\r\n$30000\r\n" + std::string(20'000, 'x')};
  for (const std::string& bytes : wrong) {
    std::atomic<bool> broken = true;
    const auto server = Serve([&](const Words&) {
      return broken.exchange(false) ? Answer{bytes, bytes.ends_with("$1\r\n") ? After::kClose : After::kGoOn}
                                    : Answer{kAdmitted};
    });
    RedisStoreOptions options = ImpatientOptions(server->url());
    options.max_reply_bytes = 16'384;
    const auto store = MakeStore(options);
    const Answered first = Check(*store, One());
    EXPECT_EQ(first.status, bytes.starts_with(kAdmitted) ? PlanStatus::kOk : PlanStatus::kUnavailable)
        << bytes.substr(0, 40);
    ASSERT_TRUE(Eventually([&] { return server->accepted() >= 2; })) << bytes.substr(0, 40);
    ASSERT_TRUE(BecomesUp(*store));
    EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
  }
}

TEST_F(RedisStoreTest, AnAnswerThatMakesNoSenseFailsThePlanOnly) {
  for (const std::string& bytes :
       {std::string("+OK\r\n"), std::string(":1\r\n"), std::string("$-1\r\n"), std::string("*0\r\n"),
        std::string("*1\r\n:1\r\n"), std::string("*3\r\n:1\r\n$1\r\na\r\n$1\r\na\r\n"),
        std::string("*2\r\n:1\r\n$1\r\nx\r\n"), std::string("*2\r\n:1\r\n$0\r\n\r\n"),
        std::string("*2\r\n:1\r\n$4\r\nazzz\r\n"), std::string("*2\r\n:1\r\n:5\r\n"),
        std::string("*2\r\n:1\r\n$20\r\na1800009000000000000\r\n"),  // full, yet allowed
        std::string("*2\r\n:1\r\n$26\r\na99999999999999999999999 1\r\n")}) {
    std::atomic<bool> odd = true;
    const auto server = Serve([&](const Words&) { return Answer{odd.exchange(false) ? bytes : kAdmitted}; });
    const auto store = MakeStore(ImpatientOptions(server->url()));
    EXPECT_EQ(Check(*store, One()).status, PlanStatus::kUnavailable) << bytes;
    EXPECT_EQ(store->DetailedStats().malformed, 1u) << bytes;
    EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
    EXPECT_EQ(server->accepted(), 1);
  }
}

TEST_F(RedisStoreTest, ALostConnectionFailsWhatWaitsAndComesBack) {
  std::atomic<int> closing = 1;
  const auto server =
      Serve([&](const Words&) { return closing.fetch_sub(1) > 0 ? Answer{"", After::kClose} : Answer{kAdmitted}; });
  const auto store = MakeStore(ImpatientOptions(server->url()));
  EXPECT_EQ(Check(*store, One()).status, PlanStatus::kUnavailable);
  const Health told = store->GetHealth();
  if (store->DetailedStats().connects == 1) {
    EXPECT_NE(told, Health::kUp) << "known by the time the plan is answered";
  }
  EXPECT_EQ(store->DetailedStats().lost, 1u);
  ASSERT_TRUE(BecomesUp(*store));
  EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
  EXPECT_EQ(store->DetailedStats().connects, 2u);
  EXPECT_EQ(server->Received("EVALSHA").size(), 2u) << "never sent twice";
}

// ---- error replies --------------------------------------------------------------------------------------------------

TEST_F(RedisStoreTest, AForgottenScriptIsLoadedAgainUnseen) {
  std::atomic<int> forgotten = 1;
  const auto server = Serve([&](const Words&) {
    return forgotten.fetch_sub(1) > 0 ? Answer{"-NOSCRIPT No matching script. Please use EVAL.\r\n"}
                                      : Answer{kAdmitted};
  });
  const auto store = MakeStore(ImpatientOptions(server->url()));
  const std::size_t loads = server->Received("SCRIPT").size();
  EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
  EXPECT_EQ(server->Received("SCRIPT").size(), loads + 1);
  EXPECT_EQ(store->DetailedStats().script_loads, 1u);
}

TEST_F(RedisStoreTest, ManyPlansThatMissTheScriptShareOneLoad) {
  std::atomic<bool> there = false;
  FakeServer server([&](const Words& words) -> Answer {
    if (words[0] == "SCRIPT") there = words.size() > 2 && there.load();
    if (!IsPlan(words)) return Greeting(words);
    return {there ? kAdmitted : "-NOSCRIPT No matching script. Please use EVAL.\r\n"};
  });
  const auto store = MakeStore(ImpatientOptions(server.url()));
  const std::size_t loads = server.Received("SCRIPT").size();
  std::deque<Asked> asked;
  for (int i = 0; i < 50; ++i) asked.emplace_back(*store, Op::kCheck, One());
  for (Asked& one : asked) EXPECT_EQ(one.Wait().status, PlanStatus::kUnavailable) << "given up after three attempts";
  EXPECT_LT(server.Received("SCRIPT").size() - loads, 50u);
  EXPECT_EQ(server.Received("EVAL").size(), 50u) << "the last attempt brings the script along";
  EXPECT_EQ(server.Received("EVAL")[0][1], PlanScript().text);
}

TEST_F(RedisStoreTest, WhereScriptLoadIsForbiddenTheScriptIsBroughtAlong) {
  FakeServer server([&](const Words& words) -> Answer {
    if (words[0] == "SCRIPT") return {"-NOPERM this user has no permissions to run the 'script' command\r\n"};
    if (words[0] == "EVALSHA") return {"-NOSCRIPT No matching script. Please use EVAL.\r\n"};
    return words[0] == "EVAL" ? Answer{kAdmitted} : Greeting(words);
  });
  const auto store = MakeStore(ImpatientOptions(server.url()));
  EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
}

TEST_F(RedisStoreTest, ErrorsAreAnsweredUnavailableAndCountedByKind) {
  struct Case {
    std::string error;
    ErrorKind kind;
  };
  const std::vector<Case> cases = {{"-LOADING Redis is loading the dataset in memory", ErrorKind::kLoading},
                                   {"-BUSY Redis is busy running a script.", ErrorKind::kBusy},
                                   {"-OOM command not allowed when used memory > 'maxmemory'.", ErrorKind::kOom},
                                   {"-NOPERM no permissions", ErrorKind::kRefused},
                                   {"-ERR something else", ErrorKind::kOther}};
  for (const Case& one : cases) {
    std::atomic<bool> failing = true;
    const auto server =
        Serve([&](const Words&) { return Answer{failing.exchange(false) ? one.error + "\r\n" : kAdmitted}; });
    const auto store = MakeStore(ImpatientOptions(server->url()));
    EXPECT_EQ(Check(*store, One()).status, PlanStatus::kUnavailable) << one.error;
    EXPECT_EQ(store->DetailedStats().errors[static_cast<std::size_t>(one.kind)], 1u) << one.error;
    EXPECT_EQ(store->Stats().failures, 1u);
    EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
    EXPECT_EQ(server->accepted(), 1) << "the connection stays";
  }
}

TEST_F(RedisStoreTest, AReplicaIsLeftForWhateverTheNameLeadsToNext) {
  std::atomic<bool> replica = false;
  const auto server = std::make_unique<FakeServer>([&](const Words& words) -> Answer {
    if (replica && (IsPlan(words) || words[0] == "SET"))
      return {"-READONLY You can't write against a read only replica.\r\n"};
    return IsPlan(words) ? Answer{kAdmitted} : Greeting(words);
  });
  const auto store = MakeStore(ImpatientOptions(server->url()));
  replica = true;
  EXPECT_EQ(Check(*store, One()).status, PlanStatus::kUnavailable);
  ASSERT_TRUE(Eventually([&] { return server->accepted() >= 3; })) << "the probe finds the same, and reconnects too";
  EXPECT_EQ(store->GetHealth(), Health::kDown);
  replica = false;
  ASSERT_TRUE(BecomesUp(*store));
  EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
}

// ---- bounds and the breaker -----------------------------------------------------------------------------------------

TEST_F(RedisStoreTest, MorePlansThanMayBeInFlightAreRefusedAtOnce) {
  const auto server = Serve([](const Words&) { return Answer{}; });
  RedisStoreOptions options = ImpatientOptions(server->url());
  options.max_in_flight = 3;
  auto store = MakeStore(options);
  std::deque<Asked> asked;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(asked.emplace_back(*store, Op::kCheck, One()).inline_answer);
  Asked more(*store, Op::kCheck, One());
  EXPECT_TRUE(more.inline_answer);
  EXPECT_EQ(more.plan.status, PlanStatus::kUnavailable);
  EXPECT_EQ(store->DetailedStats().refused_in_flight, 1u);
  EXPECT_EQ(store->DetailedStats().in_flight, 3u);
  store.reset();
  for (Asked& one : asked) EXPECT_EQ(one.Wait().status, PlanStatus::kUnavailable);
}

TEST_F(RedisStoreTest, ABatchLargerThanTheBoundIsServedAsFarAsItGoes) {
  const auto server = Serve([](const Words&) { return Answer{kAdmitted}; });
  RedisStoreOptions options = ImpatientOptions(server->url());
  options.max_in_flight = 2;
  const auto store = MakeStore(options);
  const Item item = ItemOf(kBucket, "r", "a");
  std::array<Outcome, 5> outcomes;
  std::array<Plan, 5> plans;
  for (std::size_t i = 0; i < 5; ++i)
    plans[i] = Plan{Op::kCheck, {&item, 1}, {&outcomes[i], 1}, PlanStatus::kOk, false};
  Waiter waiter;
  ASSERT_FALSE(store->Apply(plans, kStart, &waiter));
  waiter.Wait();
  EXPECT_EQ(plans[1].status, PlanStatus::kOk);
  EXPECT_EQ(plans[2].status, PlanStatus::kUnavailable);
  EXPECT_EQ(plans[4].status, PlanStatus::kUnavailable);
}

TEST_F(RedisStoreTest, TheBreakerOpensAddsNoLatencyAndClosesByItself) {
  std::atomic<bool> sick = true;
  FakeServer server([&](const Words& words) -> Answer {
    if (IsPlan(words) || words[0] == "SET")
      return {sick ? "-BUSY Redis is busy running a script.\r\n" : IsPlan(words) ? kAdmitted : "+OK\r\n"};
    return Greeting(words);
  });
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.breaker.failures_to_open = 3;
  sick = false;
  const auto store = MakeStore(options);
  sick = true;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Check(*store, One()).status, PlanStatus::kUnavailable);
  const std::size_t sent = server.Received("EVALSHA").size();
  for (int i = 0; i < 20; ++i) {
    Asked asked(*store, Op::kCheck, One());
    EXPECT_TRUE(asked.inline_answer);
    EXPECT_EQ(asked.plan.status, PlanStatus::kUnavailable);
  }
  EXPECT_EQ(server.Received("EVALSHA").size(), sent) << "nothing is sent while it is open";
  EXPECT_EQ(store->GetHealth(), Health::kDown);
  EXPECT_EQ(store->DetailedStats().breaker_opened, 1u);
  EXPECT_EQ(store->DetailedStats().refused_breaker, 20u);
  sick = false;
  ASSERT_TRUE(BecomesUp(*store));
  EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
  EXPECT_EQ(server.accepted(), 1) << "it was the same connection all the time";
}

TEST_F(RedisStoreTest, FaultsOfOnePlanDoNotOpenTheBreaker) {
  const auto server = Serve([](const Words&) { return Answer{"-ERR user_script:1: odd\r\n"}; });
  RedisStoreOptions options = ImpatientOptions(server->url());
  options.breaker.failures_to_open = 2;
  const auto store = MakeStore(options);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Check(*store, One()).status, PlanStatus::kUnavailable);
  EXPECT_EQ(store->GetHealth(), Health::kUp);
}

TEST_F(RedisStoreTest, AServerThatIsNotThereIsNoErrorAndIsFoundWhenItComes) {
  const auto server = Serve([](const Words&) { return Answer{kAdmitted}; });
  server->Stop();
  const auto store = MakeStore(ImpatientOptions(server->url()));
  EXPECT_EQ(store->GetHealth(), Health::kDown);
  Asked asked(*store, Op::kCheck, One());
  EXPECT_TRUE(asked.inline_answer);
  EXPECT_EQ(asked.plan.status, PlanStatus::kUnavailable);
  EXPECT_GE(store->DetailedStats().connect_failures, 1u);
  EXPECT_EQ(store->DetailedStats().breaker_opened, 0u) << "it has never been closed";
  server->Listen();
  ASSERT_TRUE(BecomesUp(*store));
  EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
}

TEST_F(RedisStoreTest, OneOfSeveralConnectionsDownIsDegraded) {
  std::atomic<int> greeted = 0;
  std::atomic<bool> full = false;
  FakeServer server([&](const Words& words) -> Answer {
    if (words[0] == "PING" && full && ++greeted > 1) return {"-ERR max number of clients reached\r\n", After::kClose};
    return IsPlan(words) ? Answer{kAdmitted} : Greeting(words);
  });
  full = true;
  RedisStoreOptions options = ImpatientOptions(server.url());
  options.connections = 2;
  const auto store = MakeStore(options);
  ASSERT_TRUE(Eventually([&] { return store->GetHealth() == Health::kDegraded; }));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Check(*store, One()).status, PlanStatus::kOk);
  full = false;
  EXPECT_TRUE(BecomesUp(*store));
}

TEST_F(RedisStoreTest, DestroyingItAnswersWhatWaits) {
  const auto server = Serve([](const Words&) { return Answer{}; });
  auto store = MakeStore(ImpatientOptions(server->url()));
  std::deque<Asked> asked;
  for (int i = 0; i < 10; ++i) asked.emplace_back(*store, Op::kCheck, One());
  store.reset();
  for (Asked& one : asked) EXPECT_EQ(one.Wait().status, PlanStatus::kUnavailable);
}

}  // namespace
}  // namespace weir::storage::redis
