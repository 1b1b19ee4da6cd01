#include "weir/rate_limiter.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/manual_clock.h"
#include "engine/engine.h"
#include "storage/redis/fake_server.h"
#include "storage/store.h"
#include "weir/weir.h"

namespace weir {
namespace {

EnterpriseRateLimitConfig Limits(std::uint64_t max_requests) {
  EnterpriseRateLimitConfig config;
  config.global.free_tier.max_requests = max_requests;
  config.global.free_tier.window_seconds = 60;
  config.global.free_tier.algorithm = RateLimitAlgorithm(TokenBucket{});
  config.global.pro_tier = config.global.enterprise_tier = config.global.free_tier;
  return config;
}

class RateLimiterTest : public testing::Test {
 protected:
  void Start(const EnterpriseRateLimitConfig& config, std::vector<std::pair<std::string, Extractor>> extractors = {}) {
    limiter_.reset();
    auto limiter = RateLimiter::Create(config, {.clock = &clock_, .extractors = std::move(extractors)});
    ASSERT_TRUE(limiter) << limiter.error().message;
    limiter_ = std::move(*limiter);
  }
  int CountAllowed(const Request& request, int times) {
    int allowed = 0;
    for (int i = 0; i < times; ++i) allowed += limiter_->Check(request).allowed ? 1 : 0;
    return allowed;
  }
  ManualClock clock_;
  std::unique_ptr<RateLimiter> limiter_;
};

TEST_F(RateLimiterTest, DecisionsSayWhatToDo) {
  EnterpriseRateLimitConfig config = Limits(1);
  config.global.free_tier.on_exceeded = Action::kWait;
  config.global.free_tier.max_wait_ms = 60'000;
  config.global.pro_tier.on_exceeded = Action::kCharge;
  config.global.pro_tier.denial = DenialConfig{.message = "Pay first.", .headers = {{"Location", "/pay"}}};
  Start(config);
  EXPECT_EQ(limiter_->Check({.peer_ip = "192.0.2.1"}).action, Action::kAllow);
  const Decision waits = limiter_->Check({.peer_ip = "192.0.2.1"});
  EXPECT_EQ(waits.action, Action::kWait);
  EXPECT_EQ(waits.delay_ns(), 60 * kSecond);
  const Request pro{.peer_ip = "192.0.2.1", .tier = "pro"};
  EXPECT_EQ(limiter_->Check(pro).action, Action::kAllow);
  const Decision charged = limiter_->Check(pro);
  EXPECT_EQ(charged.action, Action::kCharge);
  ASSERT_NE(charged.style(), nullptr);
  EXPECT_EQ(charged.style()->denial_message, "Pay first.");
  EXPECT_EQ(charged.style()->denial_headers, "Location: /pay\r\n");
  const Decision copy = charged;
  EXPECT_EQ(copy.action, Action::kCharge);
  EXPECT_EQ(copy.style(), charged.style());

  config.global.pro_tier.denial->headers["X-Bad"] = "1\r\nSet-Cookie: a=b";
  EXPECT_EQ(limiter_->Apply(config).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(RateLimiterTest, EveryMethodDoesWhatItSays) {
  Start(Limits(5));
  const Request request{.peer_ip = "192.0.2.1", .method = "GET", .path = "/"};
  EXPECT_TRUE(limiter_->Peek(request).allowed);
  EXPECT_EQ(CountAllowed(request, 6), 5);
  EXPECT_FALSE(limiter_->Peek(request).allowed);
  EXPECT_TRUE(limiter_->Refund({.peer_ip = "192.0.2.1", .cost = 2}));
  EXPECT_EQ(CountAllowed(request, 6), 2);
  EXPECT_TRUE(limiter_->Reset(request));

  const Decision reserved = limiter_->Reserve({.peer_ip = "192.0.2.1", .cost = 4});
  EXPECT_TRUE(reserved.allowed);
  ASSERT_NE(reserved.reservation, 0U);
  EXPECT_TRUE(limiter_->Commit(reserved.reservation, 1));
  EXPECT_EQ(limiter_->Commit(reserved.reservation, 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(CountAllowed(request, 6), 4);

  EXPECT_TRUE(limiter_->Reset(request));
  const Decision again = limiter_->Reserve(request);
  EXPECT_TRUE(limiter_->Cancel(again.reservation));
  EXPECT_EQ(limiter_->Cancel(again.reservation).error().code, ErrorCode::kNotFound);

  const Explanation explanation = limiter_->Explain(request);
  EXPECT_TRUE(explanation.decision.allowed);
  ASSERT_FALSE(explanation.steps.empty());
  EXPECT_EQ(explanation.steps.back().stage, "decide");
  EXPECT_EQ(CountAllowed(request, 6), 5) << "explaining counts nothing";
}

TEST_F(RateLimiterTest, FeedbackMovesAnAdaptiveLimitAndExplainTellsIt) {
  EnterpriseRateLimitConfig config = Limits(5);
  EndpointLimits& learned = config.endpoints["/learned"];
  learned.rule.max_requests = 100;
  learned.rule.window_seconds = 60;
  learned.rule.algorithm = RateLimitAlgorithm(Adaptive{});
  Start(config);
  using std::chrono::milliseconds;
  const Request request{.peer_ip = "192.0.2.1", .path = "/learned"};
  for (int i = 0; i < 60; ++i) EXPECT_EQ(limiter_->Feedback(request, milliseconds(20), true).value(), 1U);
  const Explanation bad = limiter_->Explain(request);
  const std::uint64_t lowered = bad.decision.decider()->outcome.limit;
  EXPECT_LT(lowered, 20U);
  std::string told;
  for (const ExplainStep& step : bad.steps) told += step.stage == "learned" ? step.detail : "";
  EXPECT_NE(told.find(", so the limit is " + std::to_string(lowered)), std::string::npos) << told;
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(limiter_->Feedback(request, milliseconds(20), false));
  EXPECT_EQ(limiter_->Peek(request).decider()->outcome.limit, 100U);
  EXPECT_EQ(CountAllowed(request, 200), 100) << "feedback charges nothing";

  EXPECT_EQ(limiter_->Feedback({.peer_ip = "192.0.2.1"}, milliseconds(20), true).value(), 0U) << "a bucket";
  EXPECT_EQ(limiter_->Feedback(request, std::chrono::nanoseconds(-1), true).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(limiter_->Feedback(request, std::chrono::hours(1000), false).value(), 1U) << "counts as 134 s";
}

TEST_F(RateLimiterTest, CheckBatchIsTheSameAsChecks) {
  Start(Limits(3));
  std::vector<std::string> addresses;
  for (int i = 0; i < 10; ++i) addresses.push_back("10.0.0." + std::to_string(i));
  std::vector<Request> requests(45);
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i].peer_ip = addresses[i % 10];
  std::vector<Decision> decisions(requests.size());
  limiter_->CheckBatch(requests, decisions);
  for (std::size_t i = 0; i < decisions.size(); ++i) EXPECT_EQ(decisions[i].allowed, i < 30) << i;
}

TEST_F(RateLimiterTest, ExtractorsWrittenInCpp) {
  EnterpriseRateLimitConfig config = Limits(1);
  config.global.free_tier.identifier = EnhancedIdentifier{CustomIdentifier{.extractor = "shard", .cache_duration = {}}};
  Start(config, {{"shard", [](const Request& request) { return request.path.substr(0, 2); }}});
  EXPECT_TRUE(limiter_->Check({.path = "/a/1"}).allowed);
  EXPECT_FALSE(limiter_->Check({.path = "/a/2"}).allowed);
  EXPECT_TRUE(limiter_->Check({.path = "/b/2"}).allowed);
  EXPECT_FALSE(RateLimiter::Create(config)) << "not registered";
}

TEST_F(RateLimiterTest, CreateAndApplyRefuseWhatIsWrong) {
  EnterpriseRateLimitConfig wrong = Limits(5);
  wrong.ip_rules.trusted_proxies = {"nonsense"};
  const auto refused = RateLimiter::Create(wrong);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);

  Start(Limits(5));
  EXPECT_EQ(limiter_->Apply(wrong).error().code, ErrorCode::kInvalidArgument);
  EnterpriseRateLimitConfig other_store = Limits(5);
  std::get<MemoryStorage>(other_store.storage.kind).max_entries = 5;
  EXPECT_EQ(limiter_->Apply(other_store).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 9), 5);
  EXPECT_TRUE(limiter_->Apply(Limits(7)));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 9), 2);
}

// What a document made in code is held to is what the same document as text is held to.
TEST_F(RateLimiterTest, CreateAndApplyRefuseWhatIsOutOfRange) {
  using Change = void (*)(EnterpriseRateLimitConfig&);
  const Change changes[] = {
      [](auto& c) { c.global.free_tier.algorithm = TokenBucket{.refill_rate = -1}; },
      [](auto& c) { c.global.free_tier.algorithm = TokenBucket{.refill_rate = std::nan("")}; },
      [](auto& c) { c.global.free_tier.algorithm = LeakyBucket{.leak_rate = 1e300}; },
      [](auto& c) { c.global.free_tier.algorithm = SlidingWindow{.precision = {.seconds = 0}}; },
      [](auto& c) { c.global.free_tier.algorithm = Adaptive{.adjustment_factor = 0}; },
      [](auto& c) { c.global.free_tier.algorithm = Adaptive{.min_limit = 9, .max_limit = 8}; },
      [](auto& c) { c.global.free_tier.algorithm = Concurrency{.lease_seconds = 0}; },
      [](auto& c) { c.global.free_tier.window_seconds = 4'000'000'000; },
      [](auto& c) { c.global.free_tier.max_requests = UINT64_MAX; },
      [](auto& c) { c.global.free_tier.mode = static_cast<RuleMode>(77); },
      [](auto& c) { c.global.free_tier.headers = HeaderConfig{.styles = {}}; },
      [](auto& c) { c.global.free_tier.schedule = Schedule{.from = "8"}; },
      [](auto& c) { c.global.burst.multiplier = 0.5; },
      [](auto& c) { c.global.penalties.factor = 0; },
      [](auto& c) { c.global.penalties = {.first_ban_seconds = 60, .longest_ban_seconds = 5}; },
      [](auto& c) { c.ip_rules.ipv6_prefix = 129; },
      [](auto& c) { c.users["a\nb"].exempt = true; },
      [](auto& c) { c.tenants["acme"].quotas = {{.max_requests = 5, .period = WindowAlignment::kMinute}}; },
      [](auto& c) { c.endpoints["no-slash"].rule = RateLimitRule::Strict(); },
      [](auto& c) { c.request_ids.ttl_seconds = 0; },
  };
  Start(Limits(5));
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    EnterpriseRateLimitConfig wrong = Limits(5);
    changes[i](wrong);
    EXPECT_FALSE(ParseConfig(ToJson(wrong)).ok()) << i;
    const auto refused = RateLimiter::Create(wrong);
    ASSERT_FALSE(refused) << i << ToJson(wrong);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument) << i;
    EXPECT_FALSE(refused.error().message.empty()) << i;
    EXPECT_EQ(limiter_->Apply(wrong).error().code, ErrorCode::kInvalidArgument) << i;
  }
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 9), 5);
}

TEST_F(RateLimiterTest, CountsSurviveARestart) {
  const std::string path = testing::TempDir() + "/weir_" + std::to_string(getpid()) + ".snapshot";
  EnterpriseRateLimitConfig config = Limits(5);
  std::get<MemoryStorage>(config.storage.kind).persist_to_disk = path;
  Start(config);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 4), 4);
  Start(config);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 4), 1);

  // A damaged file is no reason not to start.
  limiter_.reset();
  std::ofstream(path, std::ios::binary) << "damaged";
  Start(config);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 9), 5);
  limiter_.reset();
  std::remove(path.c_str());
  std::remove((path + ".damaged").c_str());
  std::remove((path + ".rules").c_str());
}

// Subjects who do not ask between a change and the restart: what they used lies under the rule's previous name.
class HistoryTest : public RateLimiterTest {
 protected:
  HistoryTest() {
    std::string name = testing::TempDir() + "/weir-history-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~HistoryTest() override {
    limiter_.reset();
    std::filesystem::remove_all(directory_);
  }
  EnterpriseRateLimitConfig Saved(std::uint64_t max_requests, bool window = false) const {
    EnterpriseRateLimitConfig config = Limits(max_requests);
    if (window) config.global.free_tier.algorithm = RateLimitAlgorithm(FixedWindow{});
    std::get<MemoryStorage>(config.storage.kind).persist_to_disk = Path();
    return config;
  }
  std::string Path() const { return (directory_ / "states").string(); }
  std::string Rules() const { return Path() + ".rules"; }
  std::filesystem::path directory_;
};

TEST_F(HistoryTest, CountsFollowTheirRulesOverAReloadAndARestart) {
  Start(Saved(5));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 4), 4);
  ASSERT_TRUE(limiter_->Apply(Saved(7, true)));
  ASSERT_TRUE(limiter_->Apply(Saved(9)));
  Start(Saved(9));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 20), 5) << "4 of 9 were used";
}

TEST_F(HistoryTest, CountsFollowTheirRulesWhenTheDocumentChangesWhileItIsDown) {
  Start(Saved(5));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 4), 4);
  Start(Saved(6));
  Start(Saved(9));  // and nobody asked
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 20), 5);
}

// However a policy came into force: those that the engine was given are remembered too.
TEST_F(HistoryTest, CountsFollowWhatTheEngineWasGiven) {
  Start(Saved(5));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 4), 4);
  ASSERT_TRUE(limiter_->engine().Apply({.number = 2}, Saved(7, true)));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.2"}, 3), 3);
  ASSERT_TRUE(limiter_->engine().SetCandidate({.number = 3}, Saved(8), {"", 0, 1}));
  ASSERT_TRUE(limiter_->engine().PromoteCandidate());
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.3"}, 2), 2);
  ASSERT_TRUE(limiter_->engine().SetCandidate({.number = 4}, Saved(20), {"", 0, 1}));
  limiter_->engine().DropCandidate();
  Start(Saved(9));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 20), 5) << "4 of 9 were used, under the first";
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.2"}, 20), 6) << "under the second";
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.3"}, 20), 7) << "under the promoted one";
}

TEST_F(HistoryTest, ARestartWithTheSameDocumentIsNoChange) {
  Start(Saved(5));
  Start(Saved(6));
  limiter_.reset();
  std::string before;
  std::getline(std::ifstream(Rules()), before);
  for (int i = 0; i < 30; ++i) Start(Saved(6));
  limiter_.reset();
  std::string after;
  std::getline(std::ifstream(Rules()), after);
  EXPECT_EQ(after, before);
}

TEST_F(HistoryTest, IsBounded) {
  for (std::uint64_t i = 1; i <= 40; ++i) {
    if (i == 1) {
      Start(Saved(100));
    } else {
      ASSERT_TRUE(limiter_->Apply(Saved(100 + i)));
    }
  }
  limiter_.reset();
  std::ifstream file(Rules());
  std::size_t lines = 0;
  for (std::string line; std::getline(file, line);) lines += line.starts_with("{") ? 1U : 0U;
  EXPECT_LE(lines, 17u);
  EXPECT_GE(lines, 10u);
}

TEST_F(HistoryTest, ADamagedOrHostileFileIsNoReasonNotToStart) {
  Start(Saved(5));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 4), 4);
  limiter_.reset();
  std::ifstream file(Rules());
  const std::string good{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::string changed = good;
  changed[changed.size() / 2] ^= 1;
  for (const std::string& bad : {std::string(), std::string("weirRULES 1 "), good.substr(0, good.size() / 2), changed,
                                 good + "1", std::string("weirRULES 2 0000000000000000\n")}) {
    std::ofstream(Rules(), std::ios::trunc) << bad;
    Start(Saved(5));
    EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 9), bad == std::string() ? 1 : 0)
        << "the same rule needs no history";
    limiter_.reset();
  }
  std::filesystem::remove(Rules());
  ASSERT_EQ(mkfifo(Rules().c_str(), 0600), 0);
  Start(Saved(5));
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 9), 0) << "a pipe is not waited for";
}

TEST_F(HistoryTest, HoldsNoSecret) {
  EnterpriseRateLimitConfig config = Saved(5);
  config.jwt.hs256_secret = "not for anybody";
  config.server.resp_password = "nor this";
  Start(config);
  limiter_.reset();
  std::ifstream file(Rules());
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(text.find("not for anybody"), std::string::npos);
  EXPECT_EQ(text.find("nor this"), std::string::npos);
}

TEST_F(HistoryTest, WhereNothingCanBeSavedItDoesNotStart) {
  for (const std::string& path : {directory_.string(), (directory_ / "none" / "states").string()}) {
    EnterpriseRateLimitConfig config = Saved(5);
    std::get<MemoryStorage>(config.storage.kind).persist_to_disk = path;
    const auto refused = RateLimiter::Create(config);
    ASSERT_FALSE(refused) << path;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find("persist_to_disk"), std::string::npos);
  }
}

TEST_F(RateLimiterTest, AnExtractorThatAppliesAConfigurationIsRefused) {
  EnterpriseRateLimitConfig config = Limits(1);
  config.global.free_tier.identifier =
      EnhancedIdentifier{CustomIdentifier{.extractor = "meddler", .cache_duration = {}}};
  std::vector<ErrorCode> codes;
  Start(config, {{"meddler", [&](const Request&) -> std::string_view {
                    const auto applied = limiter_->Apply(Limits(100));
                    codes.push_back(applied ? ErrorCode::kInternal : applied.error().code);
                    return "all";
                  }}});
  EXPECT_TRUE(limiter_->Check({.path = "/"}).allowed);
  EXPECT_FALSE(limiter_->Check({.path = "/"}).allowed);
  ASSERT_FALSE(codes.empty());
  for (const ErrorCode code : codes) EXPECT_EQ(code, ErrorCode::kFailedPrecondition);
  EXPECT_TRUE(limiter_->Apply(config)) << "afterwards it can be";
}

TEST_F(RateLimiterTest, WhoPassesUncountedIsToldAndCounted) {
  EnterpriseRateLimitConfig config = Limits(5);
  auto& memory = std::get<MemoryStorage>(config.storage.kind);
  memory.max_entries = 1000;
  memory.eviction_policy = FullPolicy::kAllowNew;
  Start(config);
  std::uint64_t told = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string address =
        "10." + std::to_string(i / 65536) + "." + std::to_string(i / 256 % 256) + "." + std::to_string(i % 256);
    const Decision decision = limiter_->Check({.peer_ip = address});
    EXPECT_TRUE(decision.allowed);
    told += decision.reason == Reason::kStoreFull ? 1U : 0U;
  }
  EXPECT_GT(told, 1000u);
  EXPECT_EQ(limiter_->engine().GetCounts().store_full, told);
  EXPECT_EQ(limiter_->engine().store().Stats().admitted_untracked, told);
}

TEST_F(RateLimiterTest, ARedisThatIsNotThereIsDecidedLocally) {
  EnterpriseRateLimitConfig config = Limits(4);
  RedisStorage redis;
  redis.url = "redis://127.0.0.1:1";  // nobody listens there
  redis.connection_timeout_ms = 200;
  config.storage.kind = redis;
  config.storage.instances = 2;
  Start(config);
  EXPECT_EQ(CountAllowed({.peer_ip = "192.0.2.1"}, 9), 2) << "this instance's half";
  const Decision decision = limiter_->Check({.peer_ip = "192.0.2.1"});
  EXPECT_EQ(decision.reason, Reason::kStoreLocal);
  EXPECT_EQ(limiter_->engine().store().GetHealth(), storage::Health::kDown);
}

// The server never answers, so a second round would only be asked after the first had timed out, and not at all then.
TEST_F(RateLimiterTest, ABatchOverRedisIsOneRoundTrip) {
  using storage::redis::FakeServer;
  FakeServer server([](const storage::redis::Words& words) -> FakeServer::Answer {
    if (words[0] == "EVALSHA" || words[0] == "EVAL") return {};
    if (words[0] == "TIME") return {"*2\r\n$10\r\n1800000000\r\n$1\r\n0\r\n"};
    return {"+OK\r\n"};
  });
  EnterpriseRateLimitConfig config = Limits(4);
  RedisStorage redis;
  redis.url = server.url();
  redis.connection_timeout_ms = 20'000;
  redis.command_timeout_ms = 300;
  config.storage.kind = redis;
  Start(config);
  while (limiter_->engine().store().GetHealth() == storage::Health::kDown) std::this_thread::yield();
  std::vector<Request> requests(300);
  for (Request& request : requests) request.peer_ip = "192.0.2.1";
  std::vector<Decision> decisions(requests.size());
  limiter_->CheckBatch(requests, decisions);
  EXPECT_EQ(server.Received("EVALSHA").size(), requests.size());
  for (const Decision& decision : decisions) EXPECT_EQ(decision.reason, Reason::kStoreLocal);
}

TEST_F(RateLimiterTest, RedisClusterIsRefusedByName) {
  EnterpriseRateLimitConfig config = Limits(4);
  RedisStorage redis;
  redis.cluster = true;
  config.storage.kind = redis;
  const auto refused = RateLimiter::Create(config);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace weir
