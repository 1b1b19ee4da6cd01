// API keys as entities: what a snapshot knows of them, and that it does not know the keys.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "config/snapshot/key_name.h"
#include "config/snapshot/snapshot.h"

namespace weir::config {
namespace {

constexpr Nanos kNow = 1'700'000'000 * kSecond;
using Kind = EntityChange::Kind;
using Shared = std::shared_ptr<const Snapshot>;

EnterpriseRateLimitConfig Document() {
  EnterpriseRateLimitConfig document;
  document.global.free_tier = {.max_requests = 100, .window_seconds = 60};
  document.api_keys["sk_live_1"] = {
      .plan = "pro", .tenant = "acme", .user = "ann", .quotas = {{.max_requests = 5}}, .scopes = {"read", "write"}};
  return document;
}

Shared Compiled(const EnterpriseRateLimitConfig& document, const Shared& previous = nullptr) {
  auto snapshot = Snapshot::Compile(document, previous.get(), kNow);
  EXPECT_TRUE(snapshot.has_value()) << (snapshot ? "" : snapshot.error().message);
  return snapshot ? *snapshot : nullptr;
}

Shared With(const Shared& from, std::vector<EntityChange> changes) {
  auto snapshot = from->With(changes, kNow);
  EXPECT_TRUE(snapshot.has_value()) << (snapshot ? "" : snapshot.error().message);
  return snapshot ? *snapshot : nullptr;
}

std::string DigestOf(std::string_view key) {
  const KeyDigest digest = DigestOfKey(key);
  return {digest.data(), digest.size()};
}

TEST(ApiKeys, AreKnownByTheirDigest) {
  const Shared snapshot = Compiled(Document());
  const ApiKeyEntry* const key = snapshot->FindApiKey("sk_live_1");
  ASSERT_NE(key, nullptr);
  const std::string digest = DigestOf("sk_live_1");
  EXPECT_EQ(key->name, digest);
  EXPECT_EQ(key->tier(), "pro");
  EXPECT_EQ(key->tier_rule(), snapshot->FindTier("pro"));
  EXPECT_EQ(key->tenant(), "acme");
  EXPECT_EQ(key->user(), "ann");
  EXPECT_TRUE(key->HasScope("write"));
  EXPECT_FALSE(key->HasScope("admin"));
  ASSERT_EQ(key->quotas().size(), 1U);
  EXPECT_EQ(key->quotas()[0].path, "api_keys." + digest + ".quotas.0");
  EXPECT_EQ(key->quotas()[0].policy, "api_key.quotas.0") << "what clients are told";
  EXPECT_EQ(key->quotas()[0].level, Level::kApiKey);
  EXPECT_EQ(key->quotas()[0].identifier.kind, Identifier::Kind::kApiKey);
  const RuleFamily& family = snapshot->families()[key->quotas()[0].index - snapshot->rules().size()];
  EXPECT_EQ(family.path, "api_keys.*.quotas");
  EXPECT_EQ(family.tier, "pro_tier");
  EXPECT_EQ(snapshot->FindApiKey("sk_live_2"), nullptr);
  EXPECT_EQ(snapshot->FindApiKey(digest), nullptr) << "the digest is no key";
  EXPECT_EQ(snapshot->FindEntityRules(key->quotas()[0].path).data(), key->rules.data());
  EXPECT_TRUE(snapshot->FindEntityRules("api_keys.sk_live_1.quotas.0").empty());
}

TEST(ApiKeys, AreNotInWhatIsWritten) {
  const Shared snapshot = Compiled(Document());
  const std::string yaml = ToYaml(snapshot->Written());
  EXPECT_EQ(yaml.find("sk_live_1"), std::string::npos) << yaml;
  EXPECT_TRUE(snapshot->document().api_keys.empty());
  const Shared again = Compiled(snapshot->Written(), snapshot);
  const ApiKeyEntry* const key = again->FindApiKey("sk_live_1");
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->quotas()[0].generation, snapshot->FindApiKey("sk_live_1")->quotas()[0].generation);
}

TEST(ApiKeys, ChangeOneAtATime) {
  const Shared first = Compiled(Document());
  const Shared second =
      With(first, {EntityChange::Put("sk_live_2", ApiKeyLimits{.plan = "enterprise"}),
                   EntityChange::Put("sha256:" + DigestOf("sk_live_3"), ApiKeyLimits{.user = "bob"})});
  EXPECT_EQ(first->FindApiKey("sk_live_2"), nullptr) << "what was there stays as it was";
  EXPECT_EQ(first->api_key_count(), 1U);
  EXPECT_EQ(second->api_key_count(), 3U);
  EXPECT_EQ(second->FindApiKey("sk_live_2")->tier(), "enterprise");
  EXPECT_EQ(second->FindApiKey("sk_live_3")->user(), "bob");
  EXPECT_EQ(second->FindApiKey("sk_live_1"), first->FindApiKey("sk_live_1")) << "shared";

  // Its quota is raised, by the digest; then the document's holds again.
  const std::string name = "sha256:" + DigestOf("sk_live_1");
  const Shared third = With(second, {EntityChange::Put(name, ApiKeyLimits{.quotas = {{.max_requests = 9}}})});
  const Rule& raised = third->FindApiKey("sk_live_1")->quotas()[0];
  EXPECT_EQ(raised.limit.capacity, 9U);
  ASSERT_TRUE(raised.previous);
  EXPECT_EQ(raised.previous->generation, first->FindApiKey("sk_live_1")->quotas()[0].generation);
  const Shared fourth =
      With(third, {EntityChange::Remove(Kind::kApiKey, name), EntityChange::Remove(Kind::kApiKey, "sk_live_2")});
  EXPECT_EQ(fourth->FindApiKey("sk_live_1")->quotas()[0].limit.capacity, 5U);
  EXPECT_EQ(fourth->api_key_count(), 2U);
  // Another document: what is live stays.
  EnterpriseRateLimitConfig document = Document();
  document.api_keys.clear();
  const Shared fifth = Compiled(document, fourth);
  EXPECT_EQ(fifth->FindApiKey("sk_live_1"), nullptr);
  EXPECT_NE(fifth->FindApiKey("sk_live_3"), nullptr);
}

TEST(ApiKeys, WhatIsWrongChangesNothingAndShowsNoKey) {
  const Shared first = Compiled(Document());
  const auto error = [&](EntityChange change) {
    const auto made = first->With({&change, 1}, kNow);
    EXPECT_FALSE(made.has_value());
    return made ? Error{} : made.error();
  };
  for (const std::string name : {"", "sha256:hunter2"}) {
    const Error refused = error(EntityChange::Put(name, ApiKeyLimits{}));
    EXPECT_EQ(refused.code, ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(refused.message.find("hunter2"), std::string::npos);
  }
  EXPECT_EQ(error({.kind = Kind::kApiKey, .name = "hunter2", .limits = UserLimits{}}).message.find("hunter2"),
            std::string::npos);
  const std::vector removal = {EntityChange::Remove(Kind::kApiKey, "sk_live_1")};
  const auto same = first->With(removal, kNow);
  ASSERT_TRUE(same.has_value());
  EXPECT_EQ((*same)->FindApiKey("sk_live_1"), first->FindApiKey("sk_live_1")) << "the document's stays";
  const Error zone = error(EntityChange::Put("hunter2", ApiKeyLimits{.quotas = {{.time_zone = "Nowhere"}}}));
  EXPECT_NE(zone.message.find("api_keys." + DigestOf("hunter2") + ".quotas.0"), std::string::npos) << zone.message;
  EXPECT_EQ(zone.message.find("hunter2"), std::string::npos);

  EnterpriseRateLimitConfig twice = Document();
  twice.api_keys["sha256:" + DigestOf("sk_live_1")] = {};
  EXPECT_FALSE(Snapshot::Compile(twice, nullptr, kNow));
}

}  // namespace
}  // namespace weir::config
