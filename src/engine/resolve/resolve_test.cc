#include "engine/resolve/resolve.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/allocation_counter.h"

namespace weir::engine {
namespace {

using config::Snapshot;

constexpr Nanos kMondayNoon = 1'719'835'200 * kSecond;  // 2024-07-01 12:00 UTC

RateLimitRule Numbers(std::uint64_t max_requests) {
  RateLimitRule rule;
  rule.max_requests = max_requests;
  rule.window_seconds = 60;
  return rule;
}
RateLimitRule Shadow(RateLimitRule rule) {
  rule.mode = RuleMode::kShadow;
  return rule;
}
RateLimitRule OnDay(RateLimitRule rule, std::string day) {
  rule.schedule = Schedule{.days = {std::move(day)}};
  return rule;
}

EnterpriseRateLimitConfig Document() {
  EnterpriseRateLimitConfig document;
  document.global.free_tier = Numbers(100);
  document.global.pro_tier = Numbers(1000);
  document.tenants["acme"].tier = "pro";
  document.users["ann"].tenant = "acme";
  return document;
}

std::shared_ptr<const Snapshot> Compiled(const EnterpriseRateLimitConfig& document) {
  auto snapshot = Snapshot::Compile(document, nullptr, kMondayNoon);
  EXPECT_TRUE(snapshot.has_value()) << (snapshot ? "" : snapshot.error().message);
  return *snapshot;
}

Facts Request(std::string_view path = "/", std::string_view user = {}, std::string_view tenant = {}) {
  Facts facts;
  facts.path = path;
  facts.user = user;
  facts.tenant = tenant;
  facts.method = "GET";
  facts.now = kMondayNoon;
  return facts;
}

using Paths = std::vector<std::string>;
Paths RulesOf(const Resolution& resolution) {
  Paths paths;
  for (const config::Rule* rule : resolution.rules) paths.emplace_back(rule->path);
  return paths;
}
Paths RulesFor(const EnterpriseRateLimitConfig& document, const Facts& facts) {
  const auto snapshot = Compiled(document);
  return RulesOf(Resolve(*snapshot, facts, nullptr));
}

// ---- the base rule --------------------------------------------------------------------------------------------------

TEST(Resolve, UserElseTenantElseTier) {
  auto document = Document();
  EXPECT_EQ(RulesFor(document, Request()), Paths{"global.free_tier"});
  EXPECT_EQ(RulesFor(document, Request("/", "stranger", "nobody")), Paths{"global.free_tier"});
  EXPECT_EQ(RulesFor(document, Request("/", "ann")), Paths{"global.pro_tier"});
  EXPECT_EQ(RulesFor(document, Request("/", "", "acme")), Paths{"global.pro_tier"});
  document.tenants["acme"].rule = Numbers(5);
  EXPECT_EQ(RulesFor(document, Request("/", "ann")), Paths{"tenants.acme.rule"});
  document.users["ann"].rule = Numbers(6);
  EXPECT_EQ(RulesFor(document, Request("/", "ann")), Paths{"users.ann.rule"});
}

TEST(Resolve, TierIsTheRequestsElseTheUsersElseTheTenants) {
  auto document = Document();
  document.global.tiers["gold"] = Numbers(7);
  document.users["bob"] = {.tier = "gold", .tenant = "acme", .rule = {}, .quotas = {}};
  Facts facts = Request("/", "bob");
  EXPECT_EQ(RulesFor(document, facts), Paths{"global.tiers.gold"});
  facts.tier = "enterprise";
  EXPECT_EQ(RulesFor(document, facts), Paths{"global.enterprise_tier"});
  facts.tier = "unheard of";
  EXPECT_EQ(RulesFor(document, facts), Paths{"global.free_tier"});
}

TEST(Resolve, TheRequestsTenantGoesBeforeTheUsers) {
  auto document = Document();
  document.tenants["acme"].rule = Numbers(5);
  document.tenants["other"].rule = Numbers(6);
  document.users["eve"].tenant = "undocumented";
  const auto snapshot = Compiled(document);
  const Facts both = Request("/", "ann", "other");
  const Resolution resolution = Resolve(*snapshot, both, nullptr);
  EXPECT_EQ(RulesOf(resolution), Paths{"tenants.other.rule"});
  EXPECT_EQ(resolution.tenant, "other");
  EXPECT_EQ(Resolve(*snapshot, Request("/", "ann"), nullptr).tenant, "acme");
  EXPECT_EQ(Resolve(*snapshot, Request("/", "eve"), nullptr).tenant, "undocumented");
}

TEST(Resolve, UnlimitedReplacesAndIsNotListed) {
  auto document = Document();
  document.users["ann"].rule = RateLimitRule::Unlimited();
  document.tenants["acme"].aggregate = Numbers(5);
  EXPECT_EQ(RulesFor(document, Request("/", "ann")), Paths{"tenants.acme.aggregate"});
  document.endpoints["/open"].rule = RateLimitRule::Unlimited();
  EXPECT_EQ(RulesFor(document, Request("/open")), Paths{});
  document.endpoints["/open"].combine = Combine::kStack;
  EXPECT_EQ(RulesFor(document, Request("/open")), Paths{"global.free_tier"});
}

TEST(Resolve, ARuleOutOfScheduleDoesNotExist) {
  auto document = Document();
  document.users["ann"].rule = OnDay(Numbers(6), "tue");
  document.tenants["acme"].rule = OnDay(Numbers(5), "mon");
  document.tenants["acme"].aggregate = OnDay(Numbers(4), "wed");
  document.endpoints["/a"].rule = OnDay(Numbers(3), "sun");
  document.endpoints["/**"].rule = Numbers(2);
  document.endpoints["/**"].combine = Combine::kStack;
  EXPECT_EQ(RulesFor(document, Request("/a", "ann")), (Paths{"endpoints./**.rule", "tenants.acme.rule"}));
  Facts tuesday = Request("/a", "ann");
  tuesday.now += kDay;
  EXPECT_EQ(RulesFor(document, tuesday), (Paths{"endpoints./**.rule", "users.ann.rule"}));
}

TEST(Resolve, AShadowRuleTakesNothingAway) {
  auto document = Document();
  document.users["ann"].rule = Shadow(Numbers(6));
  document.tenants["acme"].rule = Numbers(5);
  document.endpoints["/a"].rule = Shadow(Numbers(3));
  EXPECT_EQ(RulesFor(document, Request("/", "ann")), (Paths{"users.ann.rule", "tenants.acme.rule"}));
  EXPECT_EQ(RulesFor(document, Request("/a", "ann")),
            (Paths{"endpoints./a.rule", "users.ann.rule", "tenants.acme.rule"}));
  document.endpoints["/{x}"].rule = Numbers(2);
  EXPECT_EQ(RulesFor(document, Request("/a", "ann")), (Paths{"endpoints./a.rule", "endpoints./{x}.rule"}));
}

// ---- endpoints, what stacks -----------------------------------------------------------------------------------------

TEST(Resolve, EndpointsReplaceOrStack) {
  auto document = Document();
  document.tenants["acme"].quotas = {{.max_requests = 9}};
  document.users["ann"].quotas = {{.max_requests = 8}};
  document.endpoints["/login"].rule = Numbers(3);
  document.endpoints["/login"].methods = {"POST"};
  document.endpoints["/search"].rule = Numbers(4);
  document.endpoints["/search"].combine = Combine::kStack;
  Facts post = Request("/login", "ann");
  EXPECT_EQ(RulesFor(document, post), (Paths{"global.pro_tier", "tenants.acme.quotas.0", "users.ann.quotas.0"}));
  post.method = "POST";
  EXPECT_EQ(RulesFor(document, post), (Paths{"endpoints./login.rule", "tenants.acme.quotas.0", "users.ann.quotas.0"}));
  EXPECT_EQ(RulesFor(document, Request("/search")), (Paths{"endpoints./search.rule", "global.free_tier"}));
}

TEST(Resolve, TenantOfTheUserAdmitsToAnEndpoint) {
  auto document = Document();
  document.endpoints["/a"].rule = Numbers(3);
  document.endpoints["/a"].tenants = {"acme"};
  EXPECT_EQ(RulesFor(document, Request("/a", "ann")), Paths{"endpoints./a.rule"});
  EXPECT_EQ(RulesFor(document, Request("/a")), Paths{"global.free_tier"});
}

TEST(Resolve, SpellingsOfAPathAreOnePath) {
  auto document = Document();
  document.endpoints["/login"].rule = Numbers(3);
  const auto snapshot = Compiled(document);
  for (const char* path : {"/login", "/login/", "//login", "/./login", "/x/../login", "/%6cogin", "/login?next=/",
                           "/x/%2e%2e/login", "https://site.example//login?x"}) {
    EXPECT_EQ(RulesOf(Resolve(*snapshot, Request(path), nullptr)), Paths{"endpoints./login.rule"}) << path;
  }
  for (const char* path : {"/login;a=b", "/x/..%2flogin", "/x/..;/login", "/x\\..\\login", "/login%5c", "/login#",
                           "/login#/../x", "/x#/../login", "/x#/..;/login"}) {
    EXPECT_EQ(RulesOf(Resolve(*snapshot, Request(path), nullptr)), (Paths{"endpoints./login.rule", "global.free_tier"}))
        << path;
  }
}

TEST(Resolve, APathReadInSeveralWaysIsExemptOnlyInAll) {
  auto document = Document();
  document.exemptions.paths = {"/public/*"};
  document.endpoints["/login"].rule = Numbers(3);
  const auto snapshot = Compiled(document);
  const auto kind = [&](std::string_view path) { return Resolve(*snapshot, Request(path), nullptr).kind; };
  EXPECT_EQ(kind("/public/x"), Resolution::Kind::kExempt);
  EXPECT_EQ(kind("/public/a%2fb"), Resolution::Kind::kExempt);
  EXPECT_EQ(kind("/public/a#b"), Resolution::Kind::kExempt);
  EXPECT_EQ(kind("https://site.example/public/a?://"), Resolution::Kind::kExempt);
  for (const char* path :
       {"/public/../login", "/public/%2e%2e/login", "/public/..%2flogin", "/public/..;/login", "/public/..%5clogin",
        "/public/a#/../../login", "/login#/../public/a", "/public/a#/../../login/x%2f..%2f..%2f..%2fpublic%2fb",
        "https://x#/public/a", "login?://x/public/a", "/PUBLIC/x", ""}) {
    EXPECT_EQ(kind(path), Resolution::Kind::kRules) << path;
  }
}

// ---- exemptions, ip rules -------------------------------------------------------------------------------------------

TEST(Resolve, Exemptions) {
  auto document = Document();
  document.exemptions = {.paths = {"/health"}, .cidrs = {"192.0.2.0/24"}, .users = {"root"}, .api_keys = {"secret"}};
  document.users["ann"].exempt = true;
  document.ip_rules.rules.push_back(
      {.name = "all", .cidrs = {"0.0.0.0/0"}, .countries = {}, .action = IpRule::Action::kBlock, .rule = {}});
  const auto snapshot = Compiled(document);
  const auto by = [&](const Facts& facts) { return std::string(Resolve(*snapshot, facts, nullptr).by); };
  Facts facts = Request("/health?x");
  EXPECT_EQ(by(facts), "path");
  facts = Request();
  facts.client = ParseAddress("192.0.2.9");
  EXPECT_EQ(by(facts), "address") << "exemptions come before blocks";
  EXPECT_EQ(by(Request("/", "root")), "user");
  EXPECT_EQ(by(Request("/", "ann")), "user");
  facts = Request();
  facts.api_key = "secret";
  EXPECT_EQ(by(facts), "api_key");
  facts.api_key = "other";
  EXPECT_EQ(by(facts), "");
}

TEST(Resolve, IpRulesBlockOrStack) {
  auto document = Document();
  const auto add = [&](std::string name, std::string cidr, IpRule::Action action, std::optional<RateLimitRule> rule) {
    document.ip_rules.rules.push_back({.name = std::move(name),
                                       .cidrs = {std::move(cidr)},
                                       .countries = {},
                                       .action = action,
                                       .rule = std::move(rule)});
  };
  add("slow", "10.0.0.0/8", IpRule::Action::kThrottle, Numbers(1));
  add("office", "10.1.0.0/16", IpRule::Action::kAllow, std::nullopt);
  add("partner", "10.1.0.0/16", IpRule::Action::kAllow, Numbers(10'000));
  add("bad", "10.1.1.0/24", IpRule::Action::kBlock, std::nullopt);
  add("sundays", "10.2.0.0/16", IpRule::Action::kBlock, OnDay(Numbers(1), "sun"));
  add("trial", "10.3.0.0/16", IpRule::Action::kBlock, Shadow(Numbers(1)));
  const auto snapshot = Compiled(document);
  const auto at = [&](std::string_view address, Nanos later = 0) {
    Facts facts = Request();
    facts.client = ParseAddress(address);
    facts.now += later;
    return Resolve(*snapshot, facts, nullptr);
  };
  EXPECT_EQ(RulesOf(at("10.1.2.3")),
            (Paths{"global.free_tier", "ip_rules.rules.slow.rule", "ip_rules.rules.partner.rule"}));
  EXPECT_EQ(at("10.1.1.3").kind, Resolution::Kind::kBlocked);
  EXPECT_EQ(at("10.1.1.3").by, "bad");
  EXPECT_EQ(at("10.2.0.1").kind, Resolution::Kind::kRules);
  EXPECT_EQ(at("10.2.0.1", 6 * kDay).by, "sundays");
  EXPECT_EQ(at("10.3.0.1").kind, Resolution::Kind::kRules);
  EXPECT_EQ(RulesOf(at("192.0.2.1")), Paths{"global.free_tier"});
}

TEST(Resolve, ABlockBehindManyRulesIsStillSeen) {
  auto document = Document();
  for (int i = 0; i < 40; ++i) {
    document.ip_rules.rules.push_back(
        {.name = "r" + std::to_string(i), .cidrs = {"10.0.0.0/8"}, .countries = {}, .rule = Numbers(5)});
  }
  Facts facts = Request();
  facts.client = ParseAddress("10.0.0.1");
  EXPECT_EQ(RulesFor(document, facts).size(), 41u);
  document.ip_rules.rules.push_back(
      {.name = "last", .cidrs = {"10.0.0.1"}, .countries = {}, .action = IpRule::Action::kBlock, .rule = {}});
  const auto snapshot = Compiled(document);
  EXPECT_EQ(Resolve(*snapshot, facts, nullptr).by, "last");
}

// ---- trace, memory --------------------------------------------------------------------------------------------------

TEST(Resolve, TellsEachStep) {
  auto document = Document();
  document.exemptions.api_keys = {"top-secret"};
  document.users["ann"].rule = Shadow(Numbers(6));
  document.tenants["acme"].aggregate = Numbers(5);
  document.endpoints["/search"].rule = Numbers(4);
  document.endpoints["/search"].combine = Combine::kStack;
  const auto snapshot = Compiled(document);
  std::vector<ExplainStep> steps;
  Resolve(*snapshot, Request("/search", "ann"), &steps);
  std::string text;
  for (const ExplainStep& step : steps) text += step.stage + ": " + step.detail + "\n";
  EXPECT_EQ(text,
            "exemptions: no exemption matches\n"
            "endpoint: '/search' is the most specific pattern that matches; its rule endpoints./search.rule holds "
            "beside the base rule\n"
            "user: users.ann.rule is in shadow mode: counted, but replacing nothing\n"
            "tenant: tenants.acme has no rule of its own\n"
            "tier: the tier is 'pro', the tenant's\n"
            "tier: global.pro_tier is the base rule\n"
            "tenant: tenants.acme.aggregate holds beside the others\n");
  steps.clear();
  Facts keyed = Request();
  keyed.api_key = "top-secret";
  Resolve(*snapshot, keyed, &steps);
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].detail.find("top-secret"), std::string::npos) << "keys are not repeated";
}

TEST(Resolve, AllocatesNothing) {
  auto document = Document();
  document.exemptions = {.paths = {"/health", "/static/*"},
                         .cidrs = {"192.0.2.0/24", "2001:db8::/32"},
                         .users = {"root"},
                         .api_keys = {"k"}};
  document.tenants["acme"].aggregate = Numbers(5);
  document.tenants["acme"].quotas = {{.max_requests = 9}, {.max_requests = 90, .period = WindowAlignment::kMonth}};
  document.users["ann"].rule = OnDay(Numbers(6), "mon");
  document.users["ann"].quotas = {{.max_requests = 9}};
  document.endpoints["/api/v1/users/{id}/img-*.png"].rule = Numbers(3);
  document.endpoints["/api/v1/users/{id}/img-*.png"].combine = Combine::kStack;
  document.ip_rules.rules.push_back({.name = "ten", .cidrs = {"10.0.0.0/8"}, .countries = {"DE"}, .rule = Numbers(5)});
  document.ip_rules.rules.push_back({.name = "all", .cidrs = {"0.0.0.0/0"}, .countries = {}, .rule = Numbers(5)});
  const auto snapshot = Compiled(document);
  Facts facts = Request("/api/v1/users/a-user-name-longer-than-any-small-string/img-1.png", "ann");
  facts.client = ParseAddress("10.1.2.3");
  facts.country = "DE";
  facts.api_key = "some key";
  Facts odd = facts;
  odd.path = "/api//v1/x/../users/%41;p/img-1.png?query";
  EXPECT_EQ(Resolve(*snapshot, facts, nullptr).rules.size(), 8u);
  EXPECT_EQ(Resolve(*snapshot, odd, nullptr).rules.size(), 8u);

  const std::uint64_t before = AllocationsOfThisThread();
  for (int i = 0; i < 100; ++i) {
    Resolve(*snapshot, facts, nullptr);
    Resolve(*snapshot, odd, nullptr);
  }
  EXPECT_EQ(AllocationsOfThisThread(), before);
}

}  // namespace
}  // namespace weir::engine
