#include "management/rest/collections.h"

#include <gtest/gtest.h>

#include "config/snapshot/key_name.h"
#include "management/rest/api_fixture.h"

namespace weir::management::rest {
namespace {

constexpr const char* kPolicy =
    "global: {free_tier: {max_requests: 100, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n";
constexpr const char* kScript = R"({"custom":{"extractor":"lua:return 'a'"}})";

class CollectionsTest : public ApiFixture {
 protected:
  void SetUp() override { StartApi(kPolicy, true); }
  int PassesWith(const std::string& key, int n) {
    int passed = 0;
    for (int i = 0; i < n; ++i) {
      engine::Call call;
      call.request.user = "k";
      call.request.api_key = key;
      engine_->Run({&call, 1});
      passed += call.decision.allowed ? 1 : 0;
    }
    return passed;
  }
};

TEST_F(CollectionsTest, AnOverrideOfAKeyIsOfTheKeyAndNotOfItsId) {
  const auto issue = [&] { return Json(Ask("POST", "/keys", R"({"quotas":[{"max_requests":3,"period":"day"}]})")); };
  const auto first = issue(), second = issue();
  const std::string more = R"({"quotas":[{"max_requests":5,"period":"day"}],"expires":"2027-01-15T09:00:00Z"})";
  const std::string by_id = "/overrides/keys/" + Text(first, "id");
  ASSERT_EQ(Ask("PUT", by_id, more).status, 201);
  EXPECT_EQ(PassesWith(Text(first, "key"), 9), 5);
  EXPECT_EQ(Ask("GET", by_id).status, 200);

  const config::KeyDigest digest = config::DigestOfKey(Text(second, "key"));
  const std::string name = config::KeyNameOfDigest({digest.data(), digest.size()});
  ASSERT_EQ(Ask("PUT", "/overrides/keys/" + name, more).status, 201);
  EXPECT_EQ(PassesWith(Text(second, "key"), 9), 5);
  EXPECT_EQ(Ask("GET", "/overrides/keys/" + Text(second, "id")).status, 200) << "both name the same";

  // A secret would be kept as it is, and what is no key at all changes nothing.
  for (const std::string& other : {Text(first, "key"), std::string("key_12"), std::string("sha256:12"),
                                   std::string("sha256:"), std::string("a")}) {
    EXPECT_EQ(Ask("PUT", "/overrides/keys/" + other, more).status, 404) << other;
    EXPECT_EQ(Ask("PUT", "/overrides/api_keys/" + other, more).status, 404) << other;
  }
  // As lists name it.
  const auto listed = Json(Ask("GET", "/overrides"));
  for (const auto& item : listed.at("items").as_array()) {
    EXPECT_EQ(Ask("DELETE", "/overrides/" + Text(item, "name")).status, 204);
  }
  EXPECT_TRUE(Json(Ask("GET", "/overrides")).at("items").as_array().empty());
}

TEST_F(CollectionsTest, TooManyLinesAreRefusedAndNotCut) {
  const auto lines = [](int n) {
    std::string text;
    for (int i = 0; i < n; ++i) {
      text += R"({"method":"DELETE","collection":"users","name":"u)" + std::to_string(i) + "\"}\n";
    }
    return text;
  };
  const auto ask = [&](std::string body) {
    ApiRequest request = RequestOf("POST", "/admin/v1/bulk", std::move(body));
    request.headers.content_type = "application/x-ndjson";
    return api_->Handle(std::move(request));
  };
  const ApiResponse refused = ask(lines(10'001));
  EXPECT_EQ(refused.status, 422) << refused.body;
  EXPECT_EQ(ask(lines(10'000)).status, 200);
}

TEST_F(CollectionsTest, WhatReachesTheHostIsRefusedWhereverItIsWritten) {
  const std::uint64_t before = store_->Head()->number;
  const std::string rule = R"({"max_requests":1,"window_seconds":60,"identifier":)" + std::string(kScript) + "}";
  const std::string document = R"({"global":{"free_tier":)" + rule + "}}";
  const std::string secret =
      R"({"global":{"free_tier":{"max_requests":1,"window_seconds":60}},"jwt":{"hs256_secret":"${env:HOME}"}})";
  const auto refused = [&](std::string method, std::string target, std::string body, std::string type = "") {
    ApiRequest request = RequestOf(std::move(method), "/admin/v1" + target, std::move(body));
    if (!type.empty()) request.headers.content_type = std::move(type);
    const ApiResponse answer = api_->Handle(std::move(request));
    EXPECT_EQ(answer.status, 403) << target << " " << answer.body;
    EXPECT_EQ(Text(Json(answer), "code"), "host_access") << target;
  };
  refused("PUT", "/tiers/gold", rule);
  refused("PUT", "/users/ann", R"({"rule":)" + rule + "}");
  refused("PUT", "/users/ann", R"({"rule":{"identifier":{"custom":{"extractor":"\u006cua:return 'a'"}}}})");
  refused("PUT", "/overrides/users/ann", R"({"rule":)" + rule + "}");
  ASSERT_EQ(Ask("PUT", "/tenants/acme", "{}").status, 201);
  refused("PATCH", "/tenants/acme", R"({"rule":)" + rule + "}");
  const std::string item = R"({"method":"PUT","collection":"tiers","name":"gold","value":)" + rule + "}";
  refused("POST", "/bulk", R"({"items":[)" + item + "]}");
  refused("POST", "/bulk", R"({"dry_run":true,"items":[)" + item + "]}");
  refused("POST", "/revisions", R"({"changes":[)" + item + "]}");
  refused("POST", "/revisions", R"({"document":)" + document + "}");
  for (const std::string& text : {document, secret}) {
    refused("PUT", "/config", text);
    refused("POST", "/import", text);
    refused("POST", "/config/validate", text);
    refused("POST", "/simulate", R"({"requests":[],"document":)" + text + "}");
  }
  refused("POST", "/config/validate",
          "global:\n  free_tier:\n    max_requests: 1\n    window_seconds: 60\n"
          "    identifier: {custom: {extractor: \"\\x6cua:return 'a'\"}}\n",
          "application/yaml");
  EXPECT_EQ(store_->Head()->number, before + 1) << "the tenant alone";
  EXPECT_EQ(Ask("POST", "/config/validate", "{\"global\":").status, 200) << "faults are told where they are";
}

}  // namespace
}  // namespace weir::management::rest
