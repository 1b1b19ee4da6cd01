#include "management/rest/api.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "config/snapshot/key_name.h"
#include "management/rest/api_fixture.h"

namespace weir::management::rest {
namespace {

constexpr const char* kPolicy =
    "global: {free_tier: {max_requests: 2, window_seconds: 3600, algorithm: token_bucket, identifier: user_id}}\n"
    "users: {filed: {rule: {max_requests: 3}}}\n";

class ApiTest : public ApiFixture {};

class StoredPolicyTest : public ApiFixture {
 protected:
  void SetUp() override { StartApi(kPolicy, true); }
};

class FilePolicyTest : public ApiFixture {
 protected:
  void SetUp() override { StartApi(kPolicy, false); }
};

TEST_F(FilePolicyTest, AChangeIsInForceWhenItIsAnswered) {
  const ApiResponse put = Ask("PUT", "/users/alice", R"({"rule":{"max_requests":5,"window_seconds":3600}})");
  EXPECT_EQ(put.status, 201) << put.body;
  EXPECT_EQ(Passes("alice", 8), 5);
  EXPECT_EQ(Passes("bob", 4), 2);
}

TEST_F(FilePolicyTest, WhatWasUsedStaysUsedWhenARuleComesAndGoes) {
  EXPECT_EQ(Passes("alice", 1), 1);
  ASSERT_EQ(Ask("PUT", "/users/alice", R"({"rule":{"max_requests":5,"window_seconds":3600}})").status, 201);
  EXPECT_EQ(Passes("alice", 8), 4);
  ASSERT_EQ(Ask("DELETE", "/users/alice").status, 204);
  EXPECT_EQ(Passes("alice", 2), 0);
}

TEST_F(FilePolicyTest, WhatTheFileSaysIsShownAndCannotBeRemoved) {
  const ApiResponse got = Ask("GET", "/users/filed");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(Header(got, "ETag"), "\"r0\"");
  EXPECT_EQ(Ask("DELETE", "/users/filed").status, 409);
  const ApiResponse tier = Ask("PUT", "/tiers/pro", R"({"max_requests":9,"window_seconds":60})");
  EXPECT_EQ(tier.status, 409);
  EXPECT_EQ(Text(Json(tier), "code"), "policy_is_a_file");
  EXPECT_EQ(Ask("GET", "/tiers/free").status, 200);
  // Over it lies what the API says; removed, the file's holds again.
  ASSERT_EQ(Ask("PUT", "/users/filed", R"({"rule":{"max_requests":7}})").status, 200);
  EXPECT_EQ(Passes("filed", 9), 7);
  ASSERT_EQ(Ask("DELETE", "/users/filed").status, 204);
  EXPECT_EQ(Ask("GET", "/users/filed").status, 200);
}

// Written by another process, which does not ask whether the engine would take it.
std::uint64_t Write(config::ConfigStore& store, std::vector<config::RecordWrite> writes) {
  const auto appended = store.Append({.origin = {.author = "another"}, .writes = std::move(writes)});
  EXPECT_TRUE(appended) << appended.error().message;
  return appended ? appended->revision.number : 0;
}
config::RecordWrite PutOf(std::string kind, std::string key, std::string value) {
  return {.id = {.kind = std::move(kind), .key = std::move(key)},
          .body = config::RecordBody{.value = std::move(value)}};
}
config::RecordWrite RemovalOf(std::string kind, std::string key) {
  return {.id = {.kind = std::move(kind), .key = std::move(key)}};
}

TEST_F(FilePolicyTest, ARemovalOfWhatIsTheFilesHoldsNothingUp) {
  // Refused, and so never in force: there is nothing to take back.
  ASSERT_TRUE(live_->CatchUp(Write(*store_, {PutOf("users", "filed", R"({"tear":1})")})));
  const std::uint64_t removed =
      Write(*store_, {RemovalOf("users", "filed"), PutOf("users", "zoe", R"({"rule":{"max_requests":4}})")});
  const auto caught = live_->CatchUp(removed);
  ASSERT_TRUE(caught) << caught.error().message;
  EXPECT_EQ(Passes("zoe", 9), 4);
  EXPECT_EQ(Passes("filed", 9), 3);
  EXPECT_EQ(Ask("PUT", "/users/alice", R"({"rule":{"max_requests":5}})").status, 201);
}

// What a journal has brought back, as it is kept beside a memory store's snapshot.
TEST_F(FilePolicyTest, WhatHasLeftTheStoreIsNotInForceAfterAStart) {
  for (const char* const user : {"alice", "bob", "carl", "filed"}) {
    ASSERT_LT(Ask("PUT", std::string("/users/") + user, R"({"rule":{"max_requests":5}})").status, 300);
  }
  ASSERT_EQ(Ask("PUT", "/tenants/acme", "{}").status, 201);
  const std::string gone = config::KeyNameOfDigest(*config::DigestOfKeyName("gone"));
  const std::string kept = config::KeyNameOfDigest(*config::DigestOfKeyName("kept"));
  ASSERT_TRUE(live_->CatchUp(Write(*store_, {PutOf("api_keys", gone, "{}"), PutOf("api_keys", kept, "{}")})));
  ASSERT_NE(engine_->snapshot()->FindApiKey("gone"), nullptr);
  StopLive();
  Write(*store_, {RemovalOf("users", "alice"), RemovalOf("users", "filed"), RemovalOf("tenants", "acme"),
                  RemovalOf("api_keys", gone), PutOf("users", "carl", R"({"tear":1})")});
  StartLive(false);
  const auto snapshot = engine_->snapshot();
  EXPECT_EQ(snapshot->FindUser("alice"), nullptr);
  EXPECT_EQ(snapshot->FindTenant("acme"), nullptr);
  EXPECT_EQ(snapshot->FindApiKey("gone"), nullptr);
  ASSERT_NE(snapshot->FindUser("filed"), nullptr);
  EXPECT_EQ(snapshot->FindUser("filed")->rule()->limit.capacity, 3U) << "the file's";
  EXPECT_NE(snapshot->FindUser("bob"), nullptr);
  EXPECT_NE(snapshot->FindApiKey("kept"), nullptr);
  EXPECT_NE(snapshot->FindUser("carl"), nullptr) << "a change that is refused takes nothing away";
}

TEST_F(FilePolicyTest, AReloadOfTheFileHidesNoRemoval) {
  ASSERT_EQ(Ask("PUT", "/users/alice", R"({"rule":{"max_requests":5}})").status, 201);
  // By another process: it takes a moment until this one is told.
  const auto other = config::OpenSqliteConfigStore({.path = directory_ / "config.db", .clock = &clock_});
  ASSERT_TRUE(other);
  const std::uint64_t removed = Write(**other, {RemovalOf("users", "alice")});
  ASSERT_TRUE(live_->SetDocument(std::make_shared<const EnterpriseRateLimitConfig>(*file_)));
  ASSERT_TRUE(live_->CatchUp(removed));
  EXPECT_EQ(engine_->snapshot()->FindUser("alice"), nullptr);
}

TEST_F(StoredPolicyTest, APolicyThatIsRefusedIsNotSaidToBeInForce) {
  const std::uint64_t before = live_->in_force();
  const std::uint64_t bad = Write(*store_, {PutOf("tiers", "free", R"({"max_requests":-1,"window_seconds":60})")});
  for (int i = 0; i < 2; ++i) {
    const auto caught = live_->CatchUp(bad);
    ASSERT_FALSE(caught);
    EXPECT_EQ(caught.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(caught.error().message.find("global.free_tier.max_requests"), std::string::npos)
        << caught.error().message;
  }
  EXPECT_TRUE(live_->CatchUp(before));
  // What comes behind it and is no part of the policy holds, and does not hide it.
  EXPECT_EQ(Ask("PUT", "/users/zoe", R"({"rule":{"max_requests":4,"window_seconds":3600}})").status, 201);
  EXPECT_EQ(Passes("zoe", 9), 4);
  EXPECT_FALSE(live_->CatchUp(bad));
  const std::uint64_t worse = Write(*store_, {PutOf("tiers", "pro", R"({"max_requests":-2})")});
  EXPECT_FALSE(live_->CatchUp(worse));
  EXPECT_FALSE(live_->CatchUp(bad));
  const std::uint64_t good = Write(
      *store_, {PutOf("tiers", "free",
                      R"({"max_requests":6,"window_seconds":3600,"algorithm":"token_bucket","identifier":"user_id"})"),
                RemovalOf("tiers", "pro")});
  EXPECT_TRUE(live_->CatchUp(good));
  EXPECT_TRUE(live_->CatchUp(bad)) << "nothing of it is left out any more";
  EXPECT_EQ(Passes("fay", 9), 6);
}

TEST_F(StoredPolicyTest, EntityTagsGuardAgainstLostUpdates) {
  const ApiResponse made = Ask("PUT", "/users/alice", R"({"rule":{"max_requests":5}})");
  const std::string tag = Header(made, "ETag");
  EXPECT_EQ(Header(Ask("GET", "/users/alice"), "ETag"), tag);
  const auto put = [&](const std::string& if_match) {
    ApiRequest request = RequestOf("PUT", "/admin/v1/users/alice", R"({"rule":{"max_requests":6}})");
    request.headers.if_match = if_match;
    return api_->Handle(std::move(request)).status;
  };
  EXPECT_EQ(put("\"stale\""), 412);
  EXPECT_EQ(put("\"r999999\""), 412);
  EXPECT_EQ(put("nonsense"), 400);
  EXPECT_EQ(put(tag), 200);
  EXPECT_EQ(put(tag), 412);
  EXPECT_EQ(put("*"), 200);
  ApiRequest create = RequestOf("PUT", "/admin/v1/users/alice", "{}");
  create.headers.if_none_match = "*";
  EXPECT_EQ(api_->Handle(std::move(create)).status, 412);
}

TEST_F(StoredPolicyTest, AFaultHasItsPlaceAndChangesNothing) {
  const std::uint64_t before = store_->Head()->number;
  const ApiResponse answer = Ask("PUT", "/users/alice", "{\n  \"rule\": {\"max_requests\": -1}\n}");
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(answer.content_type, "application/problem+json");
  const auto problem = Json(answer);
  EXPECT_EQ(Text(problem, "code"), "invalid_body");
  EXPECT_FALSE(Text(problem, "request_id").empty());
  const auto& fault = problem.at("errors").as_array().at(0);
  EXPECT_EQ(Text(fault, "path"), "rule.max_requests");
  EXPECT_EQ(fault.at("line").as_int64(), 2);
  EXPECT_EQ(Ask("PUT", "/users/alice", "{").status, 422);
  EXPECT_EQ(Ask("PUT", "/users/alice", "[]").status, 422);
  EXPECT_EQ(Ask("PUT", "/users/alice", R"({"tenant":"nowhere"})").status, 422);
  EXPECT_EQ(Ask("PUT", "/users/alice", R"({"exempt":true,"exempt":false})").status, 422);
  EXPECT_EQ(Ask("PUT", "/users/alice", R"({"expires":"yesterday"})").status, 422);
  EXPECT_EQ(store_->Head()->number, before);
}

TEST_F(StoredPolicyTest, AMergePatchChangesWhatItNames) {
  ASSERT_EQ(Ask("PUT", "/users/alice", R"({"rule":{"max_requests":5},"note":"vip"})").status, 201);
  ASSERT_EQ(Ask("PATCH", "/users/alice", R"({"rule":{"window_seconds":60},"note":null})").status, 200);
  const auto alice = Json(Ask("GET", "/users/alice"));
  EXPECT_EQ(alice.at("rule").at("max_requests").as_int64(), 5);
  EXPECT_EQ(alice.at("rule").at("window_seconds").as_int64(), 60);
  EXPECT_EQ(alice.as_object().if_contains("note"), nullptr);
  EXPECT_EQ(Ask("PATCH", "/users/nobody", "{}").status, 404);
}

TEST_F(StoredPolicyTest, ThePolicyIsChangedPieceByPiece) {
  ASSERT_EQ(Ask("PUT", "/tiers/free",
                R"({"max_requests":4,"window_seconds":3600,"algorithm":"token_bucket","identifier":"user_id"})")
                .status,
            200);
  EXPECT_EQ(Passes("zoe", 9), 4);
  ASSERT_EQ(Ask("PUT", "/endpoints/%2Flogin", R"({"rule":{"max_requests":1,"window_seconds":60}})").status, 201);
  EXPECT_EQ(Json(Ask("GET", "/endpoints/%2Flogin")).at("rule").at("max_requests").as_int64(), 1);
  // A policy that cannot be compiled is refused whole.
  EXPECT_EQ(Ask("DELETE", "/tiers/free").status, 422);
  EXPECT_EQ(Ask("PUT", "/ip-rules/bad", R"({"cidrs":["10.0.0.0/99"],"action":"block"})").status, 422);
}

TEST_F(StoredPolicyTest, ScriptsAndReferencesCannotBeWritten) {
  const ApiResponse script =
      Ask("PUT", "/endpoints/%2Fx",
          R"({"rule":{"max_requests":1,"window_seconds":60,"identifier":{"custom":{"extractor":"lua:return 'a'"}}}})");
  EXPECT_EQ(script.status, 403) << script.body;
  EXPECT_EQ(Text(Json(script), "code"), "host_access");
}

TEST_F(StoredPolicyTest, AnyRevisionCanBeRolledBackTo) {
  const std::uint64_t first = store_->Head()->number;
  ASSERT_EQ(Ask("PUT", "/users/alice", R"({"rule":{"max_requests":5}})").status, 201);
  EXPECT_EQ(Passes("alice", 8), 5);
  const std::string path = "/revisions/" + std::to_string(first) + "/rollback";
  EXPECT_EQ(Ask("POST", path, "{}").status, 422);  // why?
  EXPECT_EQ(Ask("POST", path, R"({"reason":"a mistake"})").status, 200);
  EXPECT_EQ(Ask("GET", "/users/alice").status, 404);
  EXPECT_EQ(Passes("alice", 2), 0);
  EXPECT_EQ(Passes("carol", 4), 2);
  const auto revisions = Json(Ask("GET", "/revisions"));
  const auto& newest = revisions.at("items").as_array().at(0);
  EXPECT_EQ(Text(newest, "reason"), "a mistake");
  EXPECT_EQ(newest.at("rollback_to").as_int64(), static_cast<std::int64_t>(first));
  const auto diff = Json(Ask("GET", "/revisions/" + std::to_string(newest.at("number").as_int64()) + "/diff"));
  EXPECT_EQ(Text(diff.at("items").as_array().at(0), "key"), "alice");
  EXPECT_EQ(Ask("POST", "/revisions/99999/rollback", R"({"reason":"x"})").status, 404);
}

TEST_F(StoredPolicyTest, ListsArePagedByCursorsOfTheirOwn) {
  for (int i = 0; i < 25; ++i) ASSERT_EQ(Ask("PUT", "/users/u" + std::to_string(100 + i), "{}").status, 201);
  std::vector<std::string> names;
  std::string cursor;
  do {
    const auto page = Json(Ask("GET", "/users?limit=10&prefix=u1" + (cursor.empty() ? "" : "&cursor=" + cursor)));
    for (const auto& item : page.at("items").as_array()) names.push_back(Text(item, "name"));
    cursor = Text(page, "next");
  } while (!cursor.empty() && names.size() < 100);
  EXPECT_EQ(names.size(), 25U);
  EXPECT_TRUE(std::ranges::is_sorted(names));
  const std::string next = Text(Json(Ask("GET", "/users?limit=10")), "next");
  ASSERT_FALSE(next.empty());
  EXPECT_EQ(Ask("GET", "/users?limit=10&sort=-name&cursor=" + next).status, 400);
  std::string forged = next;
  forged[forged.size() / 2] = forged[forged.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_EQ(Ask("GET", "/users?limit=10&cursor=" + forged).status, 400);
  EXPECT_EQ(Ask("GET", "/users?limit=0").status, 400);
  EXPECT_EQ(Ask("GET", "/users?limit=1001").status, 400);
  EXPECT_EQ(Ask("GET", "/users?page=1").status, 400);
}

TEST_F(StoredPolicyTest, MethodsThatAPathDoesNotHave) {
  const ApiResponse trace = Ask("TRACE", "/users");
  EXPECT_EQ(trace.status, 405);
  EXPECT_EQ(Header(trace, "Allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(Header(Ask("OPTIONS", "/users/x"), "Allow"), "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
  EXPECT_EQ(Ask("GET", "/nothing").status, 404);
  EXPECT_EQ(Ask("GET", "/users/%zz").status, 404);
  EXPECT_EQ(Ask("GET", "/users/%00").status, 404);
}

TEST_F(StoredPolicyTest, PagesOfOtherSitesAreNotAnswered) {
  const auto status = [&](auto change) {
    ApiRequest request = RequestOf("GET", "/admin/v1/users");
    change(request.headers);
    return api_->Handle(std::move(request)).status;
  };
  EXPECT_EQ(status([](ApiHeaders& h) { h.host = "evil.example:8089"; }), 421);
  EXPECT_EQ(status([](ApiHeaders& h) { h.host = "localhost:8089"; }), 200);
  EXPECT_EQ(status([](ApiHeaders& h) { h.origin = "https://evil.example"; }), 403);
  EXPECT_EQ(status([](ApiHeaders& h) { h.origin = "http://127.0.0.1:8089"; }), 200);
  EXPECT_EQ(status([](ApiHeaders& h) { h.sec_fetch_site = "cross-site"; }), 403);
  ApiRequest form = RequestOf("PUT", "/admin/v1/users/x", "{}");
  form.headers.content_type = "text/plain";
  EXPECT_EQ(api_->Handle(std::move(form)).status, 415);
  hosts_.names = {"weir.example"};
  EXPECT_EQ(status([](ApiHeaders& h) { h.host = "WEIR.example"; }), 200);
}

TEST_F(StoredPolicyTest, AnIdempotencyKeyDoesAPostOnce) {
  const auto issue = [&](const std::string& key, const std::string& body) {
    ApiRequest request = RequestOf("POST", "/admin/v1/bulk", body);
    request.headers.idempotency_key = key;
    return api_->Handle(std::move(request));
  };
  const std::string body = R"({"items":[{"method":"PUT","collection":"users","name":"a","value":{}}]})";
  const ApiResponse first = issue("k1", body), again = issue("k1", body);
  EXPECT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(Header(again, "Idempotent-Replayed"), "true");
  EXPECT_EQ(issue("k1", R"({"items":[]})").status, 422);
}

TEST_F(StoredPolicyTest, BulkIsOneRevisionOrNothing) {
  const std::uint64_t before = store_->Head()->number;
  std::string items;
  for (int i = 0; i < 50; ++i) {
    items += std::string(i > 0 ? "," : "") + R"({"method":"PUT","collection":"users","name":"b)" + std::to_string(i) +
             R"(","value":{"rule":{"max_requests":3}}})";
  }
  const ApiResponse done = Ask("POST", "/bulk", "{\"items\":[" + items + "]}");
  ASSERT_EQ(done.status, 200) << done.body;
  EXPECT_EQ(store_->Head()->number, before + 1);
  EXPECT_EQ(Passes("b7", 9), 3);
  const ApiResponse bad = Ask(
      "POST", "/bulk",
      R"({"items":[{"method":"PUT","collection":"users","name":"c","value":{}},{"method":"PUT","collection":"users","name":"d","value":{"rule":{"max_requests":-1}}}]})");
  EXPECT_EQ(bad.status, 422);
  EXPECT_EQ(Text(Json(bad).at("errors").as_array().at(0), "path"), "items.1.value.rule.max_requests");
  EXPECT_EQ(Ask("GET", "/users/c").status, 404);
  const ApiResponse some = Ask(
      "POST", "/bulk",
      R"({"atomic":false,"items":[{"method":"PUT","collection":"users","name":"c","value":{}},{"method":"PUT","collection":"users","name":"d","value":{"rule":{"max_requests":-1}}}]})");
  EXPECT_EQ(some.status, 200) << some.body;
  EXPECT_EQ(Ask("GET", "/users/c").status, 200);
}

TEST_F(StoredPolicyTest, UsersMayBelongToTenantsOfTheSameBulk) {
  const ApiResponse done = Ask(
      "POST", "/bulk",
      R"({"items":[{"method":"PUT","collection":"users","name":"e","value":{"tenant":"new"}},{"method":"PUT","collection":"tenants","name":"new","value":{"note":"n"}}]})");
  EXPECT_EQ(done.status, 200) << done.body;
  EXPECT_EQ(Text(Json(Ask("GET", "/users/e")), "tenant"), "new");
  const ApiResponse bad = Ask(
      "POST", "/bulk",
      R"({"items":[{"method":"PUT","collection":"users","name":"f","value":{"tenant":"bad"}},{"method":"PUT","collection":"tenants","name":"bad","value":{"tiger":"n"}}]})");
  EXPECT_EQ(bad.status, 422);
}

TEST_F(StoredPolicyTest, ADryRunOfABulkChecksEverythingAndChangesNothing) {
  const std::uint64_t before = store_->Head()->number;
  const ApiResponse good =
      Ask("POST", "/bulk", R"({"dry_run":true,"items":[{"method":"PUT","collection":"users","name":"g","value":{}}]})");
  EXPECT_EQ(good.status, 200) << good.body;
  EXPECT_EQ(Json(good).at("applied").as_int64(), 0);
  const ApiResponse bad =
      Ask("POST", "/bulk",
          R"({"dry_run":true,"items":[{"method":"PUT","collection":"users","name":"g","value":{"tier":"none"}}]})");
  EXPECT_EQ(bad.status, 422) << bad.body;
  EXPECT_EQ(Ask("GET", "/users/g").status, 404);
  EXPECT_EQ(store_->Head()->number, before);
}

TEST_F(StoredPolicyTest, AnOverrideHoldsUntilItExpires) {
  ASSERT_EQ(Ask("PUT", "/users/alice", R"({"rule":{"max_requests":2}})").status, 201);
  const ApiResponse raised =
      Ask("PUT", "/overrides/users/alice", R"({"rule":{"max_requests":5},"expires":"2027-01-15T09:00:00Z"})");
  ASSERT_EQ(raised.status, 201) << raised.body;
  EXPECT_EQ(Passes("alice", 9), 5);
  EXPECT_EQ(Json(Ask("GET", "/users/alice")).at("rule").at("max_requests").as_int64(), 2);
  EXPECT_EQ(Ask("PUT", "/overrides/tiers/free", "{}").status, 404);
}

TEST_F(StoredPolicyTest, AKeyIsShownOnceAndItsQuotaHolds) {
  const ApiResponse made = Ask("POST", "/keys", R"({"quotas":[{"max_requests":3,"period":"day"}]})");
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string key = Text(Json(made), "key"), id = Text(Json(made), "id");
  const auto passes = [&](const std::string& presented) {
    int passed = 0;
    for (int i = 0; i < 6; ++i) {
      engine::Call call;
      call.request.user = "k";
      call.request.api_key = presented;
      engine_->Run({&call, 1});
      passed += call.decision.allowed ? 1 : 0;
    }
    return passed;
  };
  EXPECT_EQ(passes(key), 2);  // the user's tier allows no more
  EXPECT_EQ(Ask("GET", "/keys/" + id).body.find(key), std::string::npos);
  EXPECT_EQ(Ask("GET", "/keys").body.find(key), std::string::npos);
  EXPECT_EQ(Ask("GET", "/audit").body.find(key), std::string::npos);
  const ApiResponse rotated = Ask("POST", "/keys/" + id + "/rotate", R"({"overlap_seconds":60})");
  ASSERT_EQ(rotated.status, 201) << rotated.body;
  EXPECT_EQ(Ask("GET", "/keys/" + id).status, 200);
  EXPECT_EQ(Ask("DELETE", "/keys/" + id).status, 204);
  EXPECT_EQ(Ask("PUT", "/keys/" + id, "{}").status, 404);
}

TEST_F(StoredPolicyTest, TokensAreIssuedShownOnceAndRevoked) {
  const ApiResponse made = Ask("POST", "/tokens", R"({"name":"v","role":"viewer"})");
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string token = Text(Json(made), "token"), id = Text(Json(made), "id");
  EXPECT_EQ(AskAs(token, "GET", "/users").status, 200);
  EXPECT_EQ(AskAs(token, "PUT", "/users/eve", R"({"exempt":true})").status, 403);
  EXPECT_EQ(Ask("GET", "/tokens").body.find(token), std::string::npos);
  EXPECT_EQ(Ask("DELETE", "/tokens/" + id).status, 204);
  EXPECT_EQ(AskAs(token, "GET", "/users").status, 401);
  EXPECT_EQ(Ask("POST", "/tokens", R"({"name":"v","role":"king"})").status, 422);
  EXPECT_EQ(Ask("POST", "/tokens", R"({"name":"v","role":"viewer","expires":"2001-01-01T00:00:00Z"})").status, 422);
}

TEST_F(StoredPolicyTest, CountersAreReadResetRefundedAndSet) {
  EXPECT_EQ(Passes("alice", 5), 2);
  const std::string request = R"({"request":{"user":"alice"}})";
  const auto used = [&] {
    return Json(Ask("POST", "/counters/get", request)).at("rules").as_array().at(0).at("used").as_int64();
  };
  EXPECT_EQ(used(), 2);
  EXPECT_EQ(Ask("POST", "/counters/refund", R"({"request":{"user":"alice"},"cost":1})").status, 200);
  EXPECT_EQ(used(), 1);
  EXPECT_EQ(Ask("POST", "/counters/set", R"({"request":{"user":"alice"},"used":2})").status, 200);
  EXPECT_EQ(used(), 2);
  EXPECT_EQ(Ask("POST", "/counters/reset", request).status, 200);
  EXPECT_EQ(used(), 0);
  EXPECT_EQ(Ask("POST", "/counters/get", R"({"request":{"usr":"alice"}})").status, 422);
  EXPECT_FALSE(Json(Ask("POST", "/explain", request)).at("explain").as_array().empty());
}

TEST_F(StoredPolicyTest, ADocumentIsValidatedExportedAndReplaced) {
  const auto bad = Json(Ask("POST", "/config/validate", R"({"global":{"free_tier":{"max_requests":0}},"nonsense":1})"));
  EXPECT_FALSE(bad.at("valid").as_bool());
  EXPECT_FALSE(bad.at("errors").as_array().empty());
  const ApiResponse exported = Ask("GET", "/export");
  EXPECT_TRUE(Json(Ask("POST", "/config/validate", exported.body)).at("valid").as_bool());
  const ApiResponse put = Ask(
      "PUT", "/config",
      R"({"global":{"free_tier":{"max_requests":6,"window_seconds":3600,"algorithm":"token_bucket","identifier":"user_id"}}})");
  EXPECT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(Passes("zed", 9), 6);
  EXPECT_EQ(Passes("filed", 9), 3);  // an entity stays
  const ApiResponse host = Ask(
      "PUT", "/config",
      R"({"global":{"free_tier":{"max_requests":6,"window_seconds":60}},"storage":{"memory":{"persist_to_disk":"/etc/x"}}})");
  EXPECT_EQ(host.status, 403) << host.body;
}

TEST_F(StoredPolicyTest, ASimulationTellsWhoWouldBeDenied) {
  const ApiResponse answer = Ask(
      "POST", "/simulate",
      R"({"document":{"global":{"free_tier":{"max_requests":1,"window_seconds":60,"algorithm":"token_bucket","identifier":"user_id"}}},"requests":[{"user":"ann"},{"user":"ann"},{"user":"ann","at":120}]})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const auto told = Json(answer);
  EXPECT_EQ(told.at("newly_denied").as_int64(), 1);
  EXPECT_EQ(told.at("newly_denied_requests").as_array().size(), 1U);
  EXPECT_EQ(Passes("ann", 3), 2) << "what is in force has counted nothing";
  EXPECT_EQ(Ask("POST", "/simulate", R"({"document":{},"requests":[]})").status, 422);
}

TEST_F(StoredPolicyTest, StatisticsInstancesAndStores) {
  stats_->Sample();
  EXPECT_EQ(Passes("alice", 5), 2);
  const auto stats = Json(Ask("GET", "/stats"));
  EXPECT_EQ(stats.at("allowed").as_int64(), 2);
  EXPECT_EQ(stats.at("denied").as_int64(), 3);
  EXPECT_TRUE(Ask("GET", "/stats/stream").stream);
  EXPECT_EQ(Json(Ask("GET", "/instances")).at("items").as_array().size(), 1U);
  EXPECT_EQ(Text(Json(Ask("GET", "/stores")).at("items").as_array().at(0), "name"), "memory");
}

// Each path and method is described, refers only to schemas that are there, and to no path that is not.
TEST_F(StoredPolicyTest, OpenApiIsTheRouteTable) {
  const auto document = Json(Ask("GET", "/openapi.json"));
  EXPECT_EQ(Text(document, "openapi"), "3.1.0");
  std::size_t operations = 0;
  std::set<std::string> ids;
  for (const auto& [path, item] : document.at("paths").as_object()) {
    for (const auto& [method, operation] : item.as_object()) {
      ++operations;
      EXPECT_TRUE(ids.insert(Text(operation, "operationId")).second) << Text(operation, "operationId");
      std::string upper(method);
      for (char& c : upper) c = static_cast<char>(std::toupper(c));
      EXPECT_NE(api_->routes().Find(upper, std::string(path)).route, nullptr) << method << " " << path;
    }
  }
  EXPECT_EQ(operations, api_->routes().routes().size());
  const std::string text = boost::json::serialize(document);
  const auto& schemas = document.at("components").at("schemas").as_object();
  constexpr std::string_view kReference = "#/components/schemas/";
  for (std::size_t at = text.find(kReference); at != std::string::npos; at = text.find(kReference, at + 1)) {
    const std::size_t begin = at + kReference.size();
    const std::string name = text.substr(begin, text.find('"', begin) - begin);
    EXPECT_NE(schemas.if_contains(name), nullptr) << name;
  }
  EXPECT_EQ(text.find("#/$defs/"), std::string::npos);
}

TEST_F(StoredPolicyTest, AnExpiredRecordLeavesByItself) {
  ASSERT_EQ(Ask("PUT", "/users/alice", R"({"rule":{"max_requests":5},"expires":"2027-01-15T08:01:00Z"})").status, 201);
  EXPECT_EQ(Passes("alice", 3), 3);
  clock_.Advance(2 * kMinute);
  const auto removed = store_->ApplyExpiry();
  ASSERT_TRUE(removed && *removed);
  ASSERT_TRUE(live_->CatchUp((*removed)->number));
  EXPECT_EQ(Ask("GET", "/users/alice").status, 404);
  EXPECT_EQ(engine_->snapshot()->FindUser("alice"), nullptr);
}

}  // namespace
}  // namespace weir::management::rest
