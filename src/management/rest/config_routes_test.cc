// The document as a whole, where a file says of the host what the store's policy does not.
#include <gtest/gtest.h>

#include "management/rest/api_fixture.h"

namespace weir::management::rest {
namespace {

constexpr const char* kPolicy =
    "global: {free_tier: {max_requests: 10, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n"
    "exemptions: {api_keys: [an-exempt-key]}\n";
constexpr const char* kHost =
    "server: {policy: state, request_id_header: X-One, resp_password: a-password, max_connections: 77, log_level: "
    "warn,\n"
    "  http: {address: '127.0.0.1:1', tokens: [a-token-of-sixteen-characters]}}\n"
    "jwt: {hs256_secret: a-secret-for-tests}\n";

class ConfigRoutesTest : public ApiFixture {
 protected:
  void SetUp() override {
    StartApi(kPolicy, true);
    StopLive();
    ParsedConfig parsed = ParseConfig(std::string(kPolicy) + kHost);
    ASSERT_TRUE(parsed.ok()) << Describe(parsed.faults.front());
    host_ = std::move(parsed.config);
    std::get<MemoryStorage>(host_.storage.kind).persist_to_disk = "/state/counts.snapshot";
    // As the server puts the store's policy into force.
    EnterpriseRateLimitConfig policy = config::Loader(*store_).Policy()->policy;
    Complete(policy);
    auto engine =
        engine::Engine::Create(policy, std::move(*storage::memory::MemoryStore::Create({.max_entries = 10'000})),
                               {.clock = &clock_, .extractors = {}, .observers = {&meter_, &recorder_}});
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
    live_ = std::make_unique<LiveConfig>(LiveConfigOptions{
        .store = store_.get(),
        .engine = engine_.get(),
        .policy_in_store = true,
        .apply_policy = [this](const config::Revision& revision, EnterpriseRateLimitConfig changed) -> Result<> {
          Complete(changed);
          return engine_->Apply(revision, std::move(changed));
        },
        .set_candidate = {}});
    ASSERT_TRUE(live_->Start());
    StartRest(true);
  }
  void Complete(EnterpriseRateLimitConfig& config) const {
    config.server = host_.server;
    config.storage = host_.storage;
    config.jwt = host_.jwt;
  }
  EnterpriseRateLimitConfig host_;
};

TEST_F(ConfigRoutesTest, WhatIsExportedCanBePut) {
  const ApiResponse exported = Ask("GET", "/config");
  ASSERT_EQ(exported.status, 200);
  for (const char* const secret : {"a-secret-for-tests", "a-password", "an-exempt-key"}) {
    ASSERT_EQ(exported.body.find(secret), std::string::npos) << secret;
  }
  ASSERT_NE(exported.body.find("counts.snapshot"), std::string::npos);
  const ApiResponse put = Ask("PUT", "/config", exported.body);
  ASSERT_EQ(put.status, 200) << put.body;
  EXPECT_FALSE(Json(put).at("changed").as_bool()) << "nothing of the host is written: " << put.body;

  auto changed = Json(exported).as_object();
  changed["global"].as_object()["free_tier"].as_object()["max_requests"] = 3;
  const ApiResponse less = Ask("PUT", "/config", boost::json::serialize(changed));
  ASSERT_EQ(less.status, 200) << less.body;
  EXPECT_EQ(Json(less).at("changes").as_int64(), 1);
  EXPECT_EQ(Passes("u", 9), 3);
  const auto kept = config::Loader(*store_).Policy();
  ASSERT_TRUE(kept);
  const EnterpriseRateLimitConfig plain;
  EXPECT_TRUE(kept->policy.server == plain.server && kept->policy.storage == plain.storage &&
              kept->policy.jwt == plain.jwt);
  EXPECT_EQ(engine_->snapshot()->document().jwt.hs256_secret, "a-secret-for-tests");
}

TEST_F(ConfigRoutesTest, SoCanYaml) {
  ApiRequest request = RequestOf("PUT", "/admin/v1/config", Ask("GET", "/export?format=yaml").body);
  request.headers.content_type = "application/yaml";
  const ApiResponse put = api_->Handle(std::move(request));
  EXPECT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(Ask("POST", "/import", Ask("GET", "/export").body).status, 200);
}

// Member by member, however it is written, with or without its secrets.
TEST_F(ConfigRoutesTest, HostSettingsAreGoodAsTheyAre) {
  const auto exported = Json(Ask("GET", "/config")).as_object();
  const auto put = [&](const char* member, const std::string& value) {
    auto body = exported;
    for (const char* const host : {"server", "storage", "jwt"}) body.erase(host);
    if (*member != 0) body[member] = boost::json::parse(value);
    return Ask("PUT", "/config", boost::json::serialize(body));
  };
  EXPECT_EQ(put("", "").status, 200);
  EXPECT_EQ(put("server", "{}").status, 200);
  EXPECT_EQ(put("jwt", R"({"hs256_secret":"[redacted]"})").status, 200);
  EXPECT_EQ(put("jwt", R"({"hs256_secret":"a-secret-for-tests"})").status, 200);
  EXPECT_EQ(
      put("server", R"({"log_level":"warn","policy":"state","request_id_header":"X-One","resp_password":"a-password",)"
                    R"("max_connections":77,"threads":0,"http":{"tokens":["a-token-of-sixteen-characters"],)"
                    R"("address":"127.0.0.1:1"}})")
          .status,
      200);
  for (const auto& [member, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"server", R"({"log_level":"debug"})"},
           {"storage", R"({"memory":{"persist_to_disk":"/etc/passwd"}})"},
           {"jwt", R"({"rs256_public_key_pem":"x"})"}}) {
    const ApiResponse refused = put(member, value);
    EXPECT_EQ(refused.status, 403) << member << refused.body;
    EXPECT_EQ(Text(Json(refused), "code"), "host_settings") << member;
  }
}

// A key is exempt as long as nobody says otherwise, and "[redacted]" is none.
TEST_F(ConfigRoutesTest, TheMarkOfASecretIsNotWritten) {
  auto body = Json(Ask("GET", "/config")).as_object();
  body["exemptions"].as_object()["users"] = boost::json::array{"ann"};
  const ApiResponse refused = Ask("PUT", "/config", boost::json::serialize(body));
  EXPECT_EQ(refused.status, 422) << refused.body;
  EXPECT_NE(refused.body.find("exemptions.default"), std::string::npos) << refused.body;
  body["exemptions"].as_object()["api_keys"] = boost::json::array{"an-exempt-key"};
  EXPECT_EQ(Ask("PUT", "/config", boost::json::serialize(body)).status, 200);
  EXPECT_EQ(engine_->snapshot()->document().exemptions.api_keys.size(), 1U);
}

// It is not compiled first: this one would not, and is refused for being there.
TEST_F(ConfigRoutesTest, AProposedDocumentRunsNoScript) {
  const std::string script = R"({"document":{"global":{"free_tier":{"max_requests":3,"window_seconds":60,)"
                             R"("algorithm":"token_bucket","identifier":{"custom":{"extractor":"lua:return ("}}}}})";
  for (const char* const path : {"/revisions", "/rollouts"}) {
    const ApiResponse refused = Ask("POST", path, script + "}");
    EXPECT_EQ(refused.status, 403) << refused.body;
    EXPECT_EQ(Text(Json(refused), "code"), "host_access");
  }
}

}  // namespace
}  // namespace weir::management::rest
