// From a store to what the engine takes.
#include "config/source/loader.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "config/document/document.h"
#include "config/snapshot/key_name.h"
#include "config/source/sqlite/store_fixture.h"

namespace weir::config {
namespace {

constexpr const char* kPolicy = R"(
global:
  free_tier: {max_requests: 10, window_seconds: 60}
  tiers: {gold: {max_requests: 1000, window_seconds: 60}}
tenants: {acme: {tier: gold, rule: {max_requests: 500}}}
users: {ann: {tenant: acme, rule: {max_requests: 7}}}
endpoints: {"/api/*": {rule: {max_requests: 5, window_seconds: 1}}}
)";

class LoaderTest : public StoreFixture {
 protected:
  static EnterpriseRateLimitConfig Parse(const std::string& yaml) {
    ParsedConfig parsed = ParseConfig(yaml);
    EXPECT_TRUE(parsed.ok()) << Describe(parsed.faults.front());
    return std::move(parsed.config);
  }
  std::uint64_t Become(const std::string& yaml, Entities entities = Entities::kReplace) {
    auto writes = WritesToBecome(store(), Parse(yaml), entities);
    EXPECT_TRUE(writes.has_value()) << writes.error().message;
    return Append(std::move(*writes));
  }
  std::vector<EntityChange> All(std::vector<RecordFault>* faults = nullptr) {
    std::vector<EntityChange> all;
    const auto head = Loader(store()).Entities(
        [&](const Revision&, std::span<const EntityChange> changes) -> Result<> {
          all.insert(all.end(), changes.begin(), changes.end());
          return {};
        },
        [&](RecordFault fault) {
          if (faults != nullptr) {
            faults->push_back(std::move(fault));
          } else {
            ADD_FAILURE() << Describe(fault.id) << ": " << fault.error.message;
          }
        });
    EXPECT_TRUE(head.has_value()) << head.error().message;
    return all;
  }
  static std::uint64_t RequestsOf(const EntityChange& change) {
    const auto of = [](const auto& limits) -> std::uint64_t {
      if constexpr (requires { limits.rule; }) return limits.rule ? limits.rule->max_requests.value_or(0) : 0;
      return 0;
    };
    return std::visit(of, change.limits);
  }
  Update After(std::uint64_t revision) {
    auto update = Loader(store()).After({.revision = revision, .id = {"~", "~"}});
    EXPECT_TRUE(update.has_value()) << update.error().message;
    return update ? std::move(*update) : Update{};
  }
  void Override(const std::string& target, const std::string& patch, std::optional<Nanos> expires = {}) {
    Append({{.id = {"overrides", target}, .body = RecordBody{.value = patch, .expires = expires}}});
  }
};

TEST_F(LoaderTest, APolicyIsWhatTheDocumentWas) {
  const std::uint64_t number = Become(kPolicy);
  const auto loaded = Loader(store()).Policy();
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  ASSERT_TRUE(loaded->ok()) << loaded->ToError().message;
  EXPECT_EQ(loaded->revision.number, number);
  EnterpriseRateLimitConfig expected = Parse(kPolicy);
  expected.users.clear();
  expected.tenants.clear();
  EXPECT_EQ(loaded->policy, expected);
  const auto entities = All();
  ASSERT_EQ(entities.size(), 2U);
  EXPECT_EQ(entities[0].name, "acme");
  EXPECT_EQ(RequestsOf(entities[0]), 500U);
  EXPECT_EQ(entities[1].name, "ann");
}

TEST_F(LoaderTest, FaultsHaveThePathsOfADocument) {
  EXPECT_FALSE(Loader(store()).Policy()->ok());  // an empty store is no policy
  Become(kPolicy);
  Append({PutOf({"endpoints", "/x"}, R"({"rule":{"max_request":1}})")});
  const auto loaded = Loader(store()).Policy();
  ASSERT_TRUE(loaded.has_value());
  ASSERT_FALSE(loaded->ok());
  EXPECT_EQ(loaded->ToError().message, "endpoints./x.rule: unknown field 'max_request' (did you mean 'max_requests'?)");
}

TEST_F(LoaderTest, AChangeCanBeTriedBeforeItIsMade) {
  Become(kPolicy);
  Loader loader(store());
  EXPECT_FALSE(loader.Policy(std::vector{PutOf({"tiers", "gold"}, R"({"max_requests":-1})")})->ok());
  EXPECT_FALSE(loader.Policy(std::vector{RemovalOf({"tiers", "free"})})->ok());
  const auto tried = loader.Policy(std::vector{PutOf({"tiers", "new"}, R"({"max_requests":9,"window_seconds":9})"),
                                               RemovalOf({"endpoints", "/api/*"}), PutOf({"users", "x"}, "{}")});
  ASSERT_TRUE(tried.has_value());
  EXPECT_TRUE(tried->ok()) << tried->ToError().message;
  EXPECT_EQ(tried->policy.global.tiers.at("new").max_requests, 9U);
  EXPECT_TRUE(tried->policy.endpoints.empty());
  EXPECT_TRUE(Loader(store()).Policy()->policy.endpoints.contains("/api/*"));
  const auto entity = loader.Entity({"users", "ann"},
                                    std::vector{PutOf({"overrides", "users/ann"}, R"({"rule":{"max_requests":70}})")});
  ASSERT_TRUE(entity.has_value()) << entity.error().message;
  EXPECT_EQ(RequestsOf(*entity), 70U);
  EXPECT_EQ(std::get<UserLimits>(entity->limits).tenant, "acme");
  EXPECT_EQ(loader.Entity({"users", "ann"}, std::vector{PutOf({"users", "ann"}, R"({"tear":1})")}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(loader.Entity({"users", "none"})->limits));
}

TEST_F(LoaderTest, AnOverrideHoldsUntilItExpires) {
  Become(kPolicy);
  const Nanos friday = clock_.Now() + kDay;
  Override("tenants/acme", R"({"rule":{"max_requests":5000}})", friday);
  Override("tiers/gold", R"({"max_requests":2000})", friday);
  EXPECT_EQ(RequestsOf(All()[0]), 5000U);
  EXPECT_EQ(std::get<TenantLimits>(All()[0].limits).tier, "gold");
  EXPECT_EQ(Loader(store()).Policy()->policy.global.tiers.at("gold").max_requests, 2000U);
  EXPECT_EQ(Loader(store()).Policy()->policy.global.tiers.at("gold").window_seconds, 60U);
  // The base can be changed meanwhile.
  Append({PutOf({"tenants", "acme"}, R"({"tier":"gold","rule":{"max_requests":600}})")});
  EXPECT_EQ(RequestsOf(After(3).entities.at(0)), 5000U);
  clock_.Set(friday);
  ASSERT_TRUE(store().ApplyExpiry()->has_value());
  const Update update = After(4);
  EXPECT_TRUE(update.policy);
  ASSERT_EQ(update.entities.size(), 1U);
  EXPECT_EQ(RequestsOf(update.entities[0]), 600U);
  EXPECT_EQ(update.revision.author, "weir");
  EXPECT_EQ(Loader(store()).Policy()->policy.global.tiers.at("gold").max_requests, 1000U);
}

TEST_F(LoaderTest, AnOverrideOfAFilesEntityLiesUponIt) {
  Override("users/ann", R"({"rule":{"max_requests":70}})");
  Loader loader(store());
  loader.SetDocument(std::make_shared<const EnterpriseRateLimitConfig>(Parse(kPolicy)));
  const auto update = loader.After({});
  ASSERT_EQ(update->entities.size(), 1U);
  EXPECT_EQ(RequestsOf(update->entities[0]), 70U);
  EXPECT_EQ(std::get<UserLimits>(update->entities[0].limits).tenant, "acme");
  Append({RemovalOf({"overrides", "users/ann"})});
  const auto removed = loader.After(update->next);
  ASSERT_EQ(removed->entities.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(removed->entities[0].limits));
}

TEST_F(LoaderTest, AnOverrideOfAFilesKeyLiesUponIt) {
  // The file writes the key itself, the store its digest.
  const std::string name = KeyNameOfDigest(*DigestOfKeyName("the-key-of-the-file"));
  Override("api_keys/" + name, R"({"plan":"gold"})");
  Loader loader(store());
  loader.SetDocument(std::make_shared<const EnterpriseRateLimitConfig>(
      Parse(std::string(kPolicy) + "api_keys: {the-key-of-the-file: {tenant: acme, user: ann}}\n")));
  const auto update = loader.After({});
  ASSERT_TRUE(update.has_value());
  ASSERT_EQ(update->entities.size(), 1U);
  std::vector<EntityChange> all = update->entities;
  all.push_back(*loader.Entity({"api_keys", name}));
  ASSERT_TRUE(loader.Entities(
      [&](const Revision&, std::span<const EntityChange> changes) -> Result<> {
        all.insert(all.end(), changes.begin(), changes.end());
        return {};
      },
      [](const RecordFault& fault) { ADD_FAILURE() << fault.error.message; }));
  ASSERT_EQ(all.size(), 3U);
  for (const EntityChange& change : all) {
    const auto& key = std::get<ApiKeyLimits>(change.limits);
    EXPECT_EQ(change.name, name);
    EXPECT_EQ(key.plan, "gold");
    EXPECT_EQ(key.tenant, "acme");
    EXPECT_EQ(key.user, "ann");
  }
  loader.SetDocument(nullptr);
  EXPECT_EQ(std::get<ApiKeyLimits>(loader.Entity({"api_keys", name})->limits).tenant, std::nullopt);
}

TEST_F(LoaderTest, ANameMayBeAsLongAsAKey) {
  Become(kPolicy);
  Override("users/ann", R"({"rule":{"max_requests":70}})");
  // No override can name it: its key would be too long. What no document may have is a fault of its own.
  const std::string longest(1024, 'x');
  Append({PutOf({"users", longest}, R"({"rule":{"max_requests":9}})"),
          PutOf({"users", "bob"}, R"({"rule":{"max_requests":8}})")});
  const Update update = After(2);
  ASSERT_EQ(update.entities.size(), 1U);
  EXPECT_EQ(update.entities[0].name, "bob");
  ASSERT_EQ(update.faults.size(), 1U);
  EXPECT_EQ(update.faults[0].id.key, longest);
  const auto entity = Loader(store()).Entity({"users", longest});
  ASSERT_FALSE(entity.has_value());
  EXPECT_NE(entity.error().message.find("a key must be"), std::string::npos) << entity.error().message;
  std::vector<RecordFault> faults;
  EXPECT_EQ(All(&faults).size(), 3U);
  EXPECT_EQ(faults.size(), 1U);
}

// In the order of their names; whether they are a tree is seen only from all of them, and from what was in force.
TEST_F(LoaderTest, TenantsThatArePartsOfOthersComeTogetherBeforeUsers) {
  std::vector<RecordWrite> writes;
  for (int i = 0; i < 5000; ++i) writes.push_back(PutOf({"tenants", "m" + std::to_string(10'000 + i)}, "{}"));
  writes.push_back(PutOf({"tenants", "a"}, R"({"parent":"z"})"));
  writes.push_back(PutOf({"tenants", "z"}, R"({"parent":"m10000"})"));
  writes.push_back(PutOf({"users", "ann"}, R"({"tenant":"a"})"));
  Append(std::move(writes));
  Override("tenants/filed", R"({"parent":"a"})");
  EnterpriseRateLimitConfig file = Parse(kPolicy);
  const auto base = Snapshot::Compile(file, nullptr, clock_.Now());
  ASSERT_TRUE(base.has_value());
  // Until now it was the other way around.
  auto snapshot = *(*base)->With(std::vector{EntityChange::Put("z", TenantLimits{.parent = "a"})}, clock_.Now());
  Loader loader(store());
  const auto head = loader.Entities(
      [&](const Revision&, std::span<const EntityChange> changes) -> Result<> {
        for (const EntityChange& change : changes) {
          if (change.kind == EntityChange::Kind::kUser) EXPECT_EQ(snapshot->FindTenant("filed")->parent(), "a");
        }
        auto next = snapshot->With(changes, clock_.Now());
        if (!next) return std::unexpected(next.error());
        snapshot = std::move(*next);
        return {};
      },
      [](const RecordFault& fault) { ADD_FAILURE() << Describe(fault.id) << ": " << fault.error.message; });
  ASSERT_TRUE(head.has_value()) << head.error().message;
  EXPECT_EQ(snapshot->FindTenant("a")->parent(), "z");
  EXPECT_EQ(snapshot->FindTenant("z")->parent(), "m10000");
  EXPECT_EQ(snapshot->FindUser("ann")->tenant(), "a");
}

TEST_F(LoaderTest, WhatAChangeNeedsIsTold) {
  const std::uint64_t start = Become(kPolicy);
  EXPECT_EQ(After(start).revision.number, 0U);
  Append({PutOf({"bans", "x"}, "{}")});
  Update update = After(start);
  EXPECT_FALSE(update.policy);
  EXPECT_TRUE(update.entities.empty());
  EXPECT_EQ(update.revision.number, start + 1);
  Append({PutOf({"users", "bob"}, R"({"tier":"gold"})"), RemovalOf({"users", "ann"})});
  update = After(start + 1);
  EXPECT_FALSE(update.policy);
  ASSERT_EQ(update.entities.size(), 2U);
  Append({PutOf({"tiers", "gold"}, R"({"max_requests":9,"window_seconds":9})")});
  EXPECT_TRUE(After(start + 2).policy);
  EXPECT_EQ(After(start).first_policy, start + 3);
  EXPECT_EQ(After(start).last_policy, start + 3);
  EXPECT_TRUE(After(start + 2).entities.empty());
  (void)store().Rollback(start, OriginOf("eve"));
  update = After(start + 3);
  EXPECT_TRUE(update.policy);
  ASSERT_EQ(update.entities.size(), 2U);
}

TEST_F(LoaderTest, OneBadRecordDoesNotStopTheOthers) {
  Become(kPolicy);
  Append({PutOf({"users", "bad"}, R"({"tear":"gold"})"), PutOf({"users", "bob"}, R"({"tier":"gold"})"),
          PutOf({"users", "refused"}, "{}")});
  std::vector<RecordFault> faults;
  std::vector<std::string> names;
  const auto head = Loader(store()).Entities(
      [&](const Revision&, std::span<const EntityChange> changes) -> Result<> {
        for (const EntityChange& change : changes) {
          if (change.name == "refused") return Fail(ErrorCode::kInvalidArgument, "no");
        }
        for (const EntityChange& change : changes) names.push_back(change.name);
        return {};
      },
      [&](RecordFault fault) { faults.push_back(std::move(fault)); });
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(names, (std::vector<std::string>{"acme", "ann", "bob"}));
  ASSERT_EQ(faults.size(), 2U);
  EXPECT_EQ(faults[0].id, (RecordId{"users", "bad"}));
  EXPECT_EQ(faults[0].error.message, "users.bad: unknown field 'tear' (known are tier, tenant, rule, quotas, exempt)");
  EXPECT_EQ(faults[1].id, (RecordId{"users", "refused"}));
  EXPECT_EQ(After(1).faults.size(), 1U);
  EXPECT_EQ(After(1).entities.size(), 2U);
}

TEST_F(LoaderTest, ATenantThatWaitsForAnotherIsNoFaultBesideOne) {
  const auto base = Snapshot::Compile(Parse(kPolicy), nullptr, clock_.Now());
  ASSERT_TRUE(base.has_value());
  auto snapshot = *(*base)->With(
      std::vector{EntityChange::Put("b", TenantLimits{.parent = "a"}), EntityChange::Put("a", TenantLimits{})},
      clock_.Now());
  UserLimits bad;
  bad.rule = RateLimitRule{.from_template = "nobody"};
  const std::vector changes = {EntityChange::Put("a", TenantLimits{.parent = "b"}), EntityChange::Put("ann", bad),
                               EntityChange::Put("x", TenantLimits{.parent = "x"}),
                               EntityChange::Put("b", TenantLimits{})};
  std::vector<std::string> faults;
  const auto applied = ApplyAsFarAsPossible(
      {}, changes,
      [&](const Revision&, std::span<const EntityChange> some) -> Result<> {
        auto next = snapshot->With(some, clock_.Now());
        if (!next) return std::unexpected(next.error());
        snapshot = std::move(*next);
        return {};
      },
      [&](const RecordFault& fault) { faults.push_back(fault.id.key); });
  EXPECT_TRUE(applied.has_value());
  EXPECT_EQ(faults, (std::vector<std::string>{"ann", "x"}));
  EXPECT_EQ(snapshot->FindTenant("a")->parent(), "b");
  EXPECT_EQ(snapshot->FindTenant("b")->parent(), "");
}

TEST_F(LoaderTest, AnotherErrorEndsIt) {
  Become(kPolicy);
  const auto head = Loader(store()).Entities(
      [](const Revision&, std::span<const EntityChange>) { return Result<>(Fail(ErrorCode::kInternal, "no")); },
      [](const RecordFault&) { FAIL(); });
  EXPECT_EQ(head.error().message, "no");
}

TEST_F(LoaderTest, WhatANewerWeirWroteIsRefused) {
  Become(kPolicy);
  Append({PutOf({"settings", "schema_version"}, "2"), PutOf({"users", "bob"}, "{}")});
  Loader loader(store());
  const std::string why = "has form 2, and this version of weir knows up to 1";
  const auto policy = loader.Policy();
  ASSERT_TRUE(policy.has_value());
  ASSERT_FALSE(policy->ok());
  EXPECT_NE(policy->ToError().message.find(why), std::string::npos) << policy->ToError().message;
  const auto head = loader.Entities([](const Revision&, std::span<const EntityChange>) { return Result<>(); },
                                    [](const RecordFault&) { FAIL(); });
  EXPECT_EQ(head.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(head.error().message.find(why), std::string::npos) << head.error().message;
  EXPECT_EQ(loader.After({}).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(loader.Entity({"users", "bob"}).error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(LoaderTest, ADocumentReplacesWhatItReplaces) {
  Become(kPolicy);
  RecordWrite labelled = PutOf({"tiers", "gold"}, R"({"max_requests":1000,"window_seconds":60})");
  labelled.body->labels = {{"team", "core"}};
  Append({labelled, PutOf({"users", "bob"}, "{}"), PutOf({"bans", "x"}, "{}")});
  const std::string next = R"(
global:
  free_tier: {max_requests: 10, window_seconds: 60}
  tiers: {gold: {max_requests: 2000, window_seconds: 60}}
)";
  EXPECT_EQ(Become(next, Entities::kKeep), 3U);
  EXPECT_EQ(store().GetRevision(3)->change_count, 2U);  // gold, and no endpoint any more
  EXPECT_EQ(store().Get({"tiers", "gold"})->body.labels, labelled.body->labels);
  EXPECT_TRUE(store().Get({"users", "bob"}).has_value());
  EXPECT_EQ(Become(next, Entities::kReplace), 4U);
  EXPECT_FALSE(store().Get({"users", "bob"}).has_value());
  EXPECT_TRUE(store().Get({"bans", "x"}).has_value());
  EXPECT_EQ(WritesToBecome(store(), Parse(next), Entities::kReplace)->size(), 0U);
}

// Whoever follows has what whoever begins now has.
TEST_F(LoaderTest, FollowingArrivesWhereBeginningDoes) {
  Become(kPolicy);
  std::mt19937_64 random(3);
  const auto below = [&](std::uint64_t n) { return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random); };
  const auto policy = Loader(store()).Policy();
  const auto base = Snapshot::Compile(policy->policy, nullptr, clock_.Now());
  ASSERT_TRUE(base.has_value()) << base.error().message;
  const auto begin = [&] {
    auto snapshot = (*base)->With(All(), clock_.Now());
    EXPECT_TRUE(snapshot.has_value()) << snapshot.error().message;
    return *snapshot;
  };
  auto followed = begin();
  Loader loader(store());
  ChangeCursor cursor;
  for (int step = 0; step < 150; ++step) {
    const std::string name(1, static_cast<char>('a' + below(4)));
    const std::string kind = below(2) == 0 ? "users" : "tenants";
    const std::string value = R"({"rule":{"max_requests":)" + std::to_string(1 + below(50)) + "}}";
    const bool removal = below(4) == 0;
    RecordWrite write{.id = below(3) == 0 ? RecordId{"overrides", kind + "/" + name} : RecordId{kind, name}};
    if (!removal) write.body = RecordBody{.value = value};
    if (!removal && below(5) == 0) write.body->expires = clock_.Now() + static_cast<Nanos>(1 + below(5)) * kSecond;
    if (below(10) == 0) {
      (void)store().Rollback(1 + below(store().Head()->number), OriginOf("eve"));
    } else {
      ASSERT_TRUE(store().Append(DraftOf({write})).has_value());
    }
    if (below(5) == 0) clock_.Advance(2 * kSecond);
    ASSERT_TRUE(store().ApplyExpiry().has_value());
    if (below(3) != 0) continue;
    while (true) {
      auto update = loader.After(cursor);
      ASSERT_TRUE(update.has_value());
      cursor = update->next;
      auto next = followed->With(update->entities, clock_.Now());
      ASSERT_TRUE(next.has_value()) << next.error().message;
      followed = std::move(*next);
      if (!update->more) break;
    }
    ASSERT_EQ(ToYaml(followed->Written()), ToYaml(begin()->Written())) << step;
  }
}

}  // namespace
}  // namespace weir::config
