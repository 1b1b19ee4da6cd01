// Users and tenants that change one at a time.
#include "config/compile/compile_entities.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "config/snapshot/snapshot.h"

namespace weir::config {
namespace {

constexpr Nanos kNow = 1'700'000'000 * kSecond;
using Kind = EntityChange::Kind;

RateLimitRule Numbers(std::uint64_t max_requests, std::uint32_t window_seconds = 60) {
  RateLimitRule rule;
  rule.max_requests = max_requests;
  rule.window_seconds = window_seconds;
  return rule;
}

EnterpriseRateLimitConfig Document() {
  EnterpriseRateLimitConfig document;
  document.global.free_tier = Numbers(100);
  document.global.pro_tier = Numbers(1000);
  document.global.enterprise_tier = Numbers(10'000);
  document.templates["tight"] = Numbers(3, 30);
  document.tenants["acme"] = {.tier = "pro", .rule = Numbers(500)};
  document.users["ann"] = {.tenant = "acme", .rule = RateLimitRule{}};
  document.users["bob"] = {.tier = "pro"};
  return document;
}

using Shared = std::shared_ptr<const Snapshot>;

Shared Compiled(const EnterpriseRateLimitConfig& document, const Shared& previous = nullptr, Nanos now = kNow) {
  auto snapshot = Snapshot::Compile(document, previous.get(), now);
  EXPECT_TRUE(snapshot.has_value()) << (snapshot ? "" : snapshot.error().message);
  return snapshot ? *snapshot : nullptr;
}

Shared With(const Shared& from, std::vector<EntityChange> changes, Nanos now = kNow) {
  auto snapshot = from->With(changes, now);
  EXPECT_TRUE(snapshot.has_value()) << (snapshot ? "" : snapshot.error().message);
  return snapshot ? *snapshot : nullptr;
}

UserLimits UserOf(std::uint64_t max_requests) { return {.rule = Numbers(max_requests)}; }

const Rule& RuleOf(const Shared& snapshot, std::string_view user) { return *snapshot->FindUser(user)->rule(); }

TEST(Entities, OneIsPutChangedAndRemoved) {
  const auto first = Compiled(Document());
  const auto second = With(first, {EntityChange::Put("eve", UserOf(7))});
  EXPECT_EQ(first->FindUser("eve"), nullptr) << "what was there stays as it was";
  EXPECT_EQ(RuleOf(second, "eve").path, "users.eve.rule");
  EXPECT_EQ(RuleOf(second, "eve").limit.capacity, 7U);
  EXPECT_EQ(RuleOf(second, "eve").use.rule, &RuleOf(second, "eve"));
  EXPECT_EQ(second->version(), first->version() + 1);
  EXPECT_TRUE(second->SamePolicy(*first));
  EXPECT_EQ(second->FindUser("ann"), first->FindUser("ann")) << "shared";
  EXPECT_EQ(second->user_count(), 3U);

  const auto third = With(second, {EntityChange::Put("eve", UserOf(9))});
  const Rule& changed = RuleOf(third, "eve");
  EXPECT_EQ(changed.limit.capacity, 9U);
  EXPECT_EQ(changed.path.data(), RuleOf(second, "eve").path.data()) << "views of it are in decisions";
  ASSERT_TRUE(changed.previous);
  EXPECT_EQ(changed.previous->generation, RuleOf(second, "eve").generation);
  EXPECT_EQ(changed.previous->limit.capacity, 7U);

  const auto fourth = With(third, {EntityChange::Remove(Kind::kUser, "eve"), EntityChange::Remove(Kind::kUser, "no")});
  EXPECT_EQ(fourth->FindUser("eve"), nullptr);
  EXPECT_EQ(fourth->user_count(), 2U);
  const auto fifth = With(fourth, {EntityChange::Put("eve", UserOf(9))});
  EXPECT_EQ(RuleOf(fifth, "eve").generation, changed.generation) << "what was used may still be there";
}

TEST(Entities, TheLatestOfTwoChangesHolds) {
  const auto snapshot =
      With(Compiled(Document()), {EntityChange::Put("eve", UserOf(7)), EntityChange::Remove(Kind::kUser, "eve"),
                                  EntityChange::Put("eve", UserOf(8))});
  EXPECT_EQ(RuleOf(snapshot, "eve").limit.capacity, 8U);
}

TEST(Entities, AnInvalidChangeChangesNothing) {
  const auto first = Compiled(Document());
  const auto error = [&](EntityChange wrong) {
    const std::vector<EntityChange> changes = {EntityChange::Put("eve", UserOf(7)), std::move(wrong)};
    const auto next = first->With(changes, kNow);
    return next ? Error{} : next.error();
  };
  UserLimits bad = UserOf(1);
  bad.rule->schedule = Schedule{.days = {"noday"}};
  EXPECT_EQ(error(EntityChange::Put("x", bad)).code, ErrorCode::kInvalidArgument);
  EXPECT_NE(error(EntityChange::Put("x", bad)).message.find("users.x.rule.schedule"), std::string::npos);
  EXPECT_NE(error(EntityChange::Put("y", bad)).message.find("users.y.rule.schedule"), std::string::npos)
      << "each that says it";
  bad = {.rule = RateLimitRule{.from_template = "nobody"}};
  EXPECT_NE(error(EntityChange::Put("x", bad)).message.find("'nobody'"), std::string::npos);
  EXPECT_EQ(error(EntityChange::Put("", UserOf(1))).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error({.kind = Kind::kTenant, .name = "x", .limits = UserOf(1)}).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(first->FindUser("eve"), nullptr);
  EXPECT_EQ(first->user_count(), 2U);
}

TEST(Entities, WhatTheDocumentSaysHoldsAgainOnceTheirOwnIsRemoved) {
  auto snapshot =
      With(Compiled(Document()), {EntityChange::Put("ann", UserOf(7)), EntityChange::Put("eve", UserOf(8))});
  EXPECT_TRUE(snapshot->FindUser("ann")->live);
  // Another document: what is live stays, the rest is the document's.
  auto document = Document();
  document.users["ann"].rule->max_requests = 33;
  document.users.erase("bob");
  document.global.free_tier.max_requests = 50;
  snapshot = Compiled(document, snapshot);
  EXPECT_EQ(RuleOf(snapshot, "ann").limit.capacity, 7U);
  EXPECT_EQ(RuleOf(snapshot, "ann").previous->limit.capacity, 500U) << "as before: nothing has changed for it";
  EXPECT_EQ(RuleOf(snapshot, "eve").limit.capacity, 8U);
  EXPECT_EQ(snapshot->FindUser("bob"), nullptr);
  snapshot = With(snapshot, {EntityChange::Remove(Kind::kUser, "ann"), EntityChange::Remove(Kind::kUser, "eve")});
  EXPECT_EQ(RuleOf(snapshot, "ann").limit.capacity, 33U);
  EXPECT_EQ(RuleOf(snapshot, "ann").previous->limit.capacity, 7U);
  EXPECT_EQ(snapshot->FindUser("eve"), nullptr);
}

TEST(Entities, ARemovalOfWhatTheDocumentSaysDoesNothing) {
  const auto first = Compiled(Document());
  const auto second = With(first, {EntityChange::Remove(Kind::kUser, "ann"),
                                   EntityChange::Remove(Kind::kTenant, "acme"), EntityChange::Put("eve", UserOf(7))});
  EXPECT_EQ(second->FindUser("ann"), first->FindUser("ann"));
  EXPECT_EQ(second->FindTenant("acme"), first->FindTenant("acme"));
  EXPECT_NE(second->FindUser("eve"), nullptr) << "what comes with it is done";
  // Twice: the second time there is only what the document says.
  const auto third = With(With(second, {EntityChange::Put("ann", UserOf(7))}),
                          {EntityChange::Remove(Kind::kUser, "ann"), EntityChange::Remove(Kind::kUser, "ann")});
  EXPECT_EQ(RuleOf(third, "ann").limit.capacity, 500U);
}

// name -> what it is a part of.
std::vector<EntityChange> Chain(const std::string& prefix, int levels, const std::string& above = "") {
  std::vector<EntityChange> changes;
  std::string parent = above;
  for (int i = 1; i <= levels; ++i) {
    TenantLimits limits;
    if (!parent.empty()) limits.parent = parent;
    parent = prefix + std::to_string(i);
    changes.push_back(EntityChange::Put(parent, limits));
  }
  return changes;
}

std::string FaultOf(const Shared& from, const std::vector<EntityChange>& changes) {
  const auto next = from->With(changes, kNow);
  return next ? "" : next.error().message;
}

EntityChange PartOf(const std::string& name, const std::string& parent) {
  return EntityChange::Put(name, TenantLimits{.parent = parent});
}

TEST(TenantTrees, WhatIsBelowATenantMovesWithIt) {
  const auto first = With(Compiled(Document()), Chain("t", 8));
  EXPECT_EQ(FaultOf(first, {PartOf("t1", "acme")}),
            "tenants.t8.parent: is more than 8 levels deep: 't8' in 't7' in 't6' in 't5' in 't4' in 't3' in 't2' in "
            "'t1' in 'acme'");
  // Further down it is one level too many as well.
  EXPECT_NE(FaultOf(With(first, Chain("u", 2)), {PartOf("t1", "u2")}).find("tenants.t7.parent: is more than 8 levels"),
            std::string::npos);
  // The same at once with what makes room.
  const auto second = With(first, {PartOf("t1", "acme"), EntityChange::Remove(Kind::kTenant, "t8")});
  EXPECT_EQ(second->FindTenant("t1")->parent(), "acme");
  EXPECT_EQ(FaultOf(second, {PartOf("t8", "t7")}).substr(0, 42), "tenants.t8.parent: is more than 8 levels d");
  EXPECT_EQ(FaultOf(second, {EntityChange::Put("t4", TenantLimits{}), PartOf("t8", "t7")}), "");
}

TEST(TenantTrees, APartMayComeBeforeWhatItIsAPartOf) {
  std::vector<EntityChange> changes = Chain("t", 8);
  auto snapshot = Compiled(Document());
  while (!changes.empty()) {
    snapshot = With(snapshot, {changes.back()});
    changes.pop_back();
  }
  EXPECT_NE(FaultOf(snapshot, {PartOf("t1", "later")}), "") << "what is not there yet is a level";
  // A part that was there first is found when what it names comes, and comes below another.
  snapshot = With(Compiled(Document()), {PartOf("leaf", "middle")});
  snapshot = With(snapshot, Chain("t", 7));
  EXPECT_NE(FaultOf(snapshot, {PartOf("middle", "t7")}).find("tenants.leaf.parent"), std::string::npos);
  EXPECT_EQ(FaultOf(snapshot, {PartOf("middle", "t6")}), "");
}

TEST(TenantTrees, ARingIsRefusedWhereverItIs) {
  const auto first =
      With(Compiled(Document()), {PartOf("a", "b"), PartOf("b", "c"), EntityChange::Put("c", TenantLimits{})});
  EXPECT_EQ(FaultOf(first, {PartOf("c", "b")}), "tenants.c.parent: is a part of itself: 'c' in 'b' in 'c'");
  EXPECT_EQ(FaultOf(first, {PartOf("x", "x")}), "tenants.x.parent: is a part of itself: 'x' in 'x'");
  // All of it in one change, whoever is looked at.
  EXPECT_EQ(FaultOf(Compiled(Document()), {PartOf("a", "b"), PartOf("b", "c"), PartOf("c", "b")}),
            "tenants.a.parent: is below a tenant that is a part of itself: 'a' in 'b' in 'c' in 'b'\n"
            "tenants.b.parent: is a part of itself: 'b' in 'c' in 'b'\n"
            "tenants.c.parent: is a part of itself: 'c' in 'b' in 'c'");
  // Of more than are looked at.
  auto ring = Chain("r", 20);
  ring.front() = PartOf("r1", "r20");
  EXPECT_NE(FaultOf(first, ring), "");
}

TEST(TenantTrees, ADocumentIsCheckedWithWhatWasPutBefore) {
  EnterpriseRateLimitConfig document = Document();
  for (const EntityChange& change : Chain("t", 5))
    document.tenants[change.name] = std::get<TenantLimits>(change.limits);
  const auto first = With(Compiled(document), Chain("u", 3, "t5"));
  // The file puts its own tree below another: what was put by itself is part of it.
  document.tenants["t1"].parent = "acme";
  const auto next = Snapshot::Compile(document, first.get(), kNow);
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().message.substr(0, 42), "tenants.u3.parent: is more than 8 levels d");
  EXPECT_TRUE(Snapshot::Compile(document, nullptr, kNow)) << "alone it is a tree";
  document.tenants["acme"].parent = "t5";
  const auto ring = Snapshot::Compile(document, nullptr, kNow);
  ASSERT_FALSE(ring);
  EXPECT_NE(ring.error().message.find("tenants.acme.parent: is a part of itself"), std::string::npos);
  // A removal that lets the document's hold again is a move, too.
  document = Document();
  document.tenants["top"] = {.parent = "acme"};
  const auto second = With(Compiled(document), {EntityChange::Put("top", TenantLimits{}), PartOf("v1", "top")});
  EXPECT_NE(FaultOf(With(second, Chain("w", 6, "v1")), {EntityChange::Remove(Kind::kTenant, "top")}), "");
  EXPECT_EQ(FaultOf(With(second, Chain("w", 5, "v1")), {EntityChange::Remove(Kind::kTenant, "top")}), "");
}

TEST(TenantTrees, FewAreToldOfAGreatTree) {
  auto snapshot = With(Compiled(Document()), Chain("t", 7));
  std::vector<EntityChange> leaves;
  for (int i = 0; i < 500; ++i) leaves.push_back(PartOf("leaf" + std::to_string(1000 + i), "t7"));
  snapshot = With(snapshot, leaves);
  const std::string fault = FaultOf(snapshot, {PartOf("t1", "acme")});
  EXPECT_EQ(std::ranges::count(fault, '\n'), 4);
  EXPECT_TRUE(fault.starts_with("tenants.leaf1000.parent")) << fault;
}

TEST(Entities, UsersFollowTheirTenant) {
  auto snapshot = Compiled(Document());
  EXPECT_EQ(RuleOf(snapshot, "ann").limit.capacity, 500U);
  snapshot = With(snapshot, {EntityChange::Put("carl", UserLimits{.tenant = "later", .rule = RateLimitRule{}}),
                             EntityChange::Put("dora", UserLimits{.tenant = "acme"})});
  EXPECT_EQ(RuleOf(snapshot, "carl").limit.capacity, 100U) << "there is no such tenant yet";
  const UserEntry* const bob = snapshot->FindUser("bob");
  snapshot = With(snapshot, {EntityChange::Put("acme", TenantLimits{.tier = "pro", .rule = Numbers(600)}),
                             EntityChange::Put("later", TenantLimits{.tier = "enterprise"})});
  EXPECT_EQ(RuleOf(snapshot, "ann").limit.capacity, 600U);
  EXPECT_EQ(RuleOf(snapshot, "ann").previous->limit.capacity, 500U);
  EXPECT_EQ(RuleOf(snapshot, "carl").limit.capacity, 10'000U);
  EXPECT_EQ(snapshot->FindUser("bob"), bob);
  // In one change with the tenant, in either order.
  snapshot = With(snapshot, {EntityChange::Put("fay", UserLimits{.tenant = "new", .rule = RateLimitRule{}}),
                             EntityChange::Put("new", TenantLimits{.rule = Numbers(42)})});
  EXPECT_EQ(RuleOf(snapshot, "fay").limit.capacity, 42U);
  snapshot =
      With(snapshot, {EntityChange::Remove(Kind::kTenant, "later"), EntityChange::Remove(Kind::kTenant, "acme")});
  EXPECT_EQ(RuleOf(snapshot, "carl").limit.capacity, 100U);
  EXPECT_EQ(RuleOf(snapshot, "ann").limit.capacity, 500U) << "the document's tenant again";
}

TEST(Entities, QuotasAreFollowedWhereverTheyStandInTheirList) {
  const Quota hour{.max_requests = 5, .period = WindowAlignment::kHour}, day{.max_requests = 50};
  auto first = With(Compiled(Document()), {EntityChange::Put("eve", UserLimits{.quotas = {hour, day}})});
  const auto second = With(first, {EntityChange::Put("eve", UserLimits{.quotas = {day, hour}})});
  const auto before = first->FindUser("eve")->quotas();
  const auto after = second->FindUser("eve")->quotas();
  ASSERT_EQ(after.size(), 2U);
  EXPECT_EQ(after[0].path, "users.eve.quotas.0");
  ASSERT_TRUE(after[0].previous);
  EXPECT_EQ(after[0].previous->generation, before[1].generation);
  EXPECT_EQ(after[1].previous->generation, before[0].generation);
}

TEST(Entities, RulesAreFoundByTheirPathWhateverTheName) {
  const Quota day{.max_requests = 50};
  const auto snapshot =
      With(Compiled(Document()), {EntityChange::Put("a.b", UserLimits{.rule = Numbers(1), .quotas = {day}}),
                                  EntityChange::Put("a.b.quotas.0", UserLimits{.rule = Numbers(2), .quotas = {day}}),
                                  EntityChange::Put("rule", TenantLimits{.aggregate = Numbers(3)})});
  const auto first_of = [&](std::string_view path) {
    const auto rules = snapshot->FindEntityRules(path);
    return rules.empty() ? "" : std::string(rules.front().path);
  };
  EXPECT_EQ(first_of("users.a.b.rule"), "users.a.b.rule");
  EXPECT_EQ(first_of("users.a.b.quotas.0"), "users.a.b.rule");
  EXPECT_EQ(first_of("users.a.b.quotas.0.rule"), "users.a.b.quotas.0.rule");
  EXPECT_EQ(first_of("users.a.b.quotas.0.quotas.0"), "users.a.b.quotas.0.rule");
  EXPECT_EQ(first_of("tenants.rule.aggregate"), "tenants.rule.aggregate");
  for (const char* none : {"", "users", "users.", "users.x", "users.nobody.rule", "users.a.b.quotas",
                           "global.free_tier", "tenants.a.b.rule", "users.a.b.other.0"}) {
    EXPECT_EQ(first_of(none), "") << none;
  }
}

TEST(Entities, AskForWhatTheirRulesAskFor) {
  const auto first = Compiled(Document());
  UserLimits limits = UserOf(5);
  limits.rule->identifier = EnhancedIdentifier{CustomIdentifier{.extractor = "header:x-id"}};
  const auto second = With(first, {EntityChange::Put("eve", limits)});
  EXPECT_TRUE(first->extractors().empty());
  ASSERT_EQ(second->extractors().size(), 1U);
  EXPECT_EQ(&With(second, {EntityChange::Put("fay", limits)})->traits(), &second->traits()) << "nothing new";
  limits.rule->identifier = EnhancedIdentifier{UserId{.tier_field = "plan"}};
  const auto third = With(second, {EntityChange::Put("gil", limits)});
  EXPECT_EQ(third->traits().tier_fields, std::vector<std::string>{"plan"});
  EXPECT_EQ(RuleOf(third, "eve").identifier.extractor_index, 0U);
}

TEST(Entities, AreCountedByTier) {
  const auto snapshot =
      With(Compiled(Document()), {EntityChange::Put("eve", UserLimits{.tier = "pro", .rule = Numbers(1)}),
                                  EntityChange::Put("fay", UserLimits{.tier = "pro", .rule = Numbers(2)})});
  const Rule& eve = RuleOf(snapshot, "eve");
  EXPECT_EQ(eve.index, RuleOf(snapshot, "fay").index);
  const RuleFamily& family = snapshot->families()[eve.index - snapshot->rules().size()];
  EXPECT_EQ(family.path, "users.*.rule");
  EXPECT_EQ(family.tier, "pro_tier");
  EXPECT_EQ(family.level, Level::kUser);
  EXPECT_EQ(snapshot->families()[RuleOf(snapshot, "ann").index - snapshot->rules().size()].tier, "");
}

TEST(Entities, ThoseThatSayTheSameShareIt) {
  auto document = Document();
  for (int i = 0; i < 1000; ++i)
    document.users["user-" + std::to_string(i)] = UserOf(static_cast<std::uint64_t>(5 + i % 3));
  auto snapshot = Compiled(document);
  snapshot = With(snapshot, {EntityChange::Put("eve", UserOf(5))});
  EXPECT_EQ(snapshot->FindUser("eve")->of, snapshot->FindUser("user-0")->of);
  EXPECT_EQ(&RuleOf(snapshot, "eve").limit, &RuleOf(snapshot, "user-999").limit);
  EXPECT_EQ(snapshot->FindUser("user-0")->of->shape, snapshot->FindUser("user-1")->of->shape) << "but for numbers";
  EXPECT_NE(RuleOf(snapshot, "eve").seed, RuleOf(snapshot, "user-0").seed);
  document.users["eve"] = UserOf(5);
  EXPECT_TRUE(snapshot->Written() == document);
}

Nanos time_now = 0;

std::size_t BytesInUse() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Names, classes and shapes come and go; nothing of them stays.
TEST(Entities, ManyChangesTakeNoRoom) {
  time_now = kNow;
  Name::SetClock([] { return time_now; });
  auto snapshot = Compiled(Document());
  std::size_t after_some = 0;
  constexpr int kChanges = 30'000;
  for (int i = 0; i < kChanges; ++i) {
    time_now += kSecond;
    // A limit that changes, and one of another name each time, with other numbers, a name and a tenant of its own.
    UserLimits once = UserOf(1 + static_cast<std::uint64_t>(i));
    once.rule->name = "policy-" + std::to_string(i);
    once.tenant = "tenant-" + std::to_string(i);
    std::vector<EntityChange> changes = {EntityChange::Put("eve", UserOf(5 + static_cast<std::uint64_t>(i) % 1000)),
                                         EntityChange::Put("once-" + std::to_string(i), std::move(once))};
    if (i > 0) changes.push_back(EntityChange::Remove(Kind::kUser, "once-" + std::to_string(i - 1)));
    snapshot = With(snapshot, std::move(changes), time_now);
    if (i == kChanges / 3) after_some = BytesInUse();
  }
  EXPECT_LT(BytesInUse(), after_some + 1'000'000U) << "after another 20,000 changes";
  EXPECT_EQ(snapshot->user_count(), 4U);
  Name::SetClock(nullptr);
}

}  // namespace
}  // namespace weir::config
