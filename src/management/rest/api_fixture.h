// A whole management API over a temporary directory and a memory store, without sockets. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "analytics/decision_meter.h"
#include "analytics/recorder.h"
#include "base/manual_clock.h"
#include "base/test_directory.h"
#include "config/source/sqlite/sqlite_config_store.h"
#include "engine/engine.h"
#include "management/rest/api.h"
#include "management/rest/rollouts/rollouts.h"
#include "storage/memory/memory_store.h"

namespace weir::management::rest {

inline constexpr Nanos kTestStart = 1'800'000'000 * kSecond;
inline constexpr std::string_view kTestToken = "the-first-token-of-this-test-0123456789";

class ApiFixture : public testing::Test {
 protected:
  // `policy_in_store`: without a file.
  void StartApi(const std::string& yaml, bool policy_in_store) {
    store_ = std::move(*config::OpenSqliteConfigStore({.path = directory_ / "config.db", .clock = &clock_}));
    database_ = std::move(*Database::Open(directory_ / "auth.db"));
    documents_ = std::make_unique<Documents>(*database_);
    tokens_ = std::move(*TokenStore::Open(*database_));
    sessions_ = std::move(*Sessions::Open(*database_, {}));
    accounts_ = std::move(*Accounts::Open(*database_, {.passes = 1, .memory = 1U << 20U}));
    auth_ = std::make_unique<Authenticator>(*tokens_, sessions_.get(), accounts_.get(), nullptr);
    ASSERT_TRUE(tokens_->Bootstrap(kTestToken, clock_.Now()));
    audit_ = std::move(
        *audit::AuditLog::Open({.directory = directory_ / "audit", .node = "n", .version = "v"}, clock_.Now()));
    ParsedConfig parsed = ParseConfig(yaml);
    ASSERT_TRUE(parsed.ok()) << (parsed.faults.empty() ? "" : Describe(parsed.faults.front()));
    EnterpriseRateLimitConfig policy = parsed.config;
    if (policy_in_store) {
      auto writes = config::WritesToBecome(*store_, policy, config::Entities::kReplace);
      ASSERT_TRUE(writes);
      ASSERT_TRUE(store_->Append({.origin = {.author = "weir"}, .writes = std::move(*writes)}));
      policy = config::Loader(*store_).Policy()->policy;
    }
    auto engine =
        engine::Engine::Create(policy, std::move(*storage::memory::MemoryStore::Create({.max_entries = 10'000})),
                               {.clock = &clock_, .extractors = {}, .observers = {&meter_, &recorder_}});
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
    if (!policy_in_store) file_ = std::make_shared<const EnterpriseRateLimitConfig>(parsed.config);
    StartLive(policy_in_store);
    StartRest(policy_in_store);
  }
  // Over the engine and the store as they are.
  void StartLive(bool policy_in_store) {
    live_ = std::make_unique<LiveConfig>(LiveConfigOptions{
        .store = store_.get(),
        .engine = engine_.get(),
        .policy_in_store = policy_in_store,
        .apply_policy = [this](
                            const config::Revision& revision,
                            EnterpriseRateLimitConfig changed) { return engine_->Apply(revision, std::move(changed)); },
        .set_candidate =
            [this](const config::Revision& revision, EnterpriseRateLimitConfig changed, const SubjectShare& share) {
              return engine_->SetCandidate(revision, std::move(changed), share);
            }});
    if (!policy_in_store) {
      ASSERT_TRUE(live_->SetDocument(file_));
    }
    ASSERT_TRUE(live_->Start());
  }
  void StopLive() {
    api_.reset();
    rollouts_.reset();
    live_.reset();
  }
  void StartRest(bool policy_in_store) {
    stats_ = std::make_unique<StatsSampler>(*engine_, clock_);
    StartRollouts();
    StartServing(policy_in_store);
  }
  void StartRollouts() {
    rollouts_ = std::make_unique<Rollouts>(RolloutsOptions{.clock = &clock_,
                                                           .trial = {.store = store_.get(),
                                                                     .live = live_.get(),
                                                                     .engine = engine_.get(),
                                                                     .recorder = &recorder_,
                                                                     .make_store = &MakeStore},
                                                           .meter = &meter_,
                                                           .documents = documents_.get(),
                                                           .audit = audit_.get()});
    ASSERT_TRUE(rollouts_->Load());
  }
  static std::unique_ptr<storage::Store> MakeStore() {
    return std::move(*storage::memory::MemoryStore::Create({.max_entries = 10'000}));
  }
  void StartServing(bool policy_in_store) {
    api_ = std::make_unique<Api>(ApiOptions{.clock = &clock_,
                                            .engine = engine_.get(),
                                            .store = store_.get(),
                                            .live = live_.get(),
                                            .auth = auth_.get(),
                                            .tokens = tokens_.get(),
                                            .accounts = accounts_.get(),
                                            .sessions = sessions_.get(),
                                            .audit = audit_.get(),
                                            .stats = stats_.get(),
                                            .cursor_key = std::string(32, 'k'),
                                            .hosts = &hosts_,
                                            .instance = {.node = "n", .version = "v", .started = 0},
                                            .policy_file = policy_in_store ? "" : "weir.yaml",
                                            .make_store = &MakeStore,
                                            .recorder = &recorder_,
                                            .documents = documents_.get(),
                                            .rollouts = rollouts_.get()});
  }
  void TearDown() override {
    StopLive();
    engine_.reset();
    audit_.reset();
    auth_.reset();
    accounts_.reset();
    sessions_.reset();
    tokens_.reset();
    documents_.reset();
    database_.reset();
    store_.reset();
  }

  ApiRequest RequestOf(std::string method, std::string target, std::string body = "") const {
    ApiRequest request{.method = std::move(method),
                       .target = std::move(target),
                       .headers = {},
                       .body = std::move(body),
                       .peer = "127.0.0.1",
                       .request_id = {}};
    request.headers.host = "127.0.0.1:8089";
    request.headers.authorization = "Bearer " + std::string(kTestToken);
    request.headers.content_type = "application/json";
    return request;
  }
  ApiResponse Ask(std::string method, std::string target, std::string body = "") {
    return api_->Handle(RequestOf(std::move(method), "/admin/v1" + std::move(target), std::move(body)));
  }
  // From another address each time: guessing is slowed by address.
  ApiResponse AskAs(std::string_view token, std::string method, std::string target, std::string body = "") {
    ApiRequest request = RequestOf(std::move(method), "/admin/v1" + std::move(target), std::move(body));
    request.headers.authorization = token.empty() ? "" : "Bearer " + std::string(token);
    ++asked_;
    request.peer = "10." + std::to_string(asked_ >> 16U & 255U) + "." + std::to_string(asked_ >> 8U & 255U) + "." +
                   std::to_string(asked_ & 255U);
    return api_->Handle(std::move(request));
  }
  static boost::json::value Json(const ApiResponse& response) {
    boost::system::error_code fault;
    auto value = boost::json::parse(response.body, fault);
    EXPECT_FALSE(fault) << response.body;
    return value;
  }
  static std::string Text(const boost::json::value& value, std::string_view member) {
    const auto* const found = value.is_object() ? value.get_object().if_contains(member) : nullptr;
    return found != nullptr && found->is_string() ? std::string(found->get_string()) : "";
  }
  static std::string Header(const ApiResponse& response, std::string_view name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }
  std::string IssueToken(Role role, const std::string& tenant = "", Nanos expires = 0, std::string by = "test") {
    auto issued = tokens_->Issue({.name = "t",
                                  .roles = {{.role = role, .tenant = tenant}},
                                  .tenant = tenant,
                                  .expires = expires,
                                  .created_by = std::move(by)},
                                 clock_.Now());
    EXPECT_TRUE(issued);
    last_issued_ = issued->info.id;
    return issued->secret;
  }
  // How many of `n` requests of the user pass.
  int Passes(std::string_view user, int n) {
    int passed = 0;
    for (int i = 0; i < n; ++i) {
      engine::Call call;
      call.request.user = user;
      engine_->Run({&call, 1});
      passed += call.decision.allowed ? 1 : 0;
    }
    return passed;
  }

  ManualClock clock_{kTestStart};
  HostRules hosts_;
  TestDirectory directory_;
  std::unique_ptr<config::ConfigStore> store_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Documents> documents_;
  std::unique_ptr<TokenStore> tokens_;
  std::unique_ptr<Sessions> sessions_;
  std::unique_ptr<Accounts> accounts_;
  std::unique_ptr<Authenticator> auth_;
  std::unique_ptr<audit::AuditLog> audit_;
  analytics::DecisionMeter meter_{clock_};
  analytics::Recorder recorder_{{.clock = &clock_}};
  std::unique_ptr<engine::Engine> engine_;
  std::shared_ptr<const EnterpriseRateLimitConfig> file_;
  std::unique_ptr<LiveConfig> live_;
  std::unique_ptr<Rollouts> rollouts_;
  std::unique_ptr<StatsSampler> stats_;
  std::unique_ptr<Api> api_;
  std::string last_issued_;
  std::uint32_t asked_ = 0;
};

}  // namespace weir::management::rest
