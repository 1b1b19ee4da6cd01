#include "config/snapshot/snapshot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "algorithms/testing.h"
#include "base/hash.h"
#include "config/compile/compile_rules.h"

namespace weir::config {
namespace {

using algorithms::Kind;

constexpr Nanos kNow = 1'700'000'000 * kSecond;

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
  return document;
}

std::shared_ptr<const Snapshot> Compiled(const EnterpriseRateLimitConfig& document, const Snapshot* previous = nullptr,
                                         Nanos now = kNow) {
  auto snapshot = Snapshot::Compile(document, previous, now);
  EXPECT_TRUE(snapshot.has_value()) << (snapshot ? "" : snapshot.error().message);
  return snapshot ? *snapshot : nullptr;
}

const Rule& Named(const Snapshot& snapshot, std::string_view path) {
  for (const Rule& rule : snapshot.rules()) {
    if (rule.path == path) return rule;
  }
  for (const Rule& rule : snapshot.FindEntityRules(path)) {
    if (rule.path == path) return rule;
  }
  ADD_FAILURE() << "no rule " << path;
  return snapshot.rules()[0];
}

std::vector<std::string> FaultsOf(const EnterpriseRateLimitConfig& document,
                                  std::span<const std::string> registered = {}) {
  const auto snapshot = Snapshot::Compile(document, nullptr, kNow, registered);
  if (snapshot) return {};
  EXPECT_EQ(snapshot.error().code, ErrorCode::kInvalidArgument);
  std::vector<std::string> lines;
  std::string_view rest = snapshot.error().message;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    lines.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return lines;
}

// ---- levels and inheritance -----------------------------------------------------------------------------------------

TEST(Snapshot, TiersHaveTwoNamesAndAnUnknownOneIsFree) {
  auto document = Document();
  document.global.tiers["gold"] = Numbers(7);
  const auto snapshot = Compiled(document);
  const Rule* const free = snapshot->FindTier("");
  EXPECT_EQ(free->path, "global.free_tier");
  EXPECT_EQ(snapshot->FindTier("free"), free);
  EXPECT_EQ(snapshot->FindTier("free_tier"), free);
  EXPECT_EQ(snapshot->FindTier("nobody knows"), free);
  EXPECT_FALSE(snapshot->KnowsTier("nobody knows"));
  EXPECT_EQ(snapshot->FindTier("pro"), snapshot->FindTier("pro_tier"));
  EXPECT_EQ(snapshot->FindTier("enterprise")->limit.capacity, 10'000u);
  EXPECT_EQ(snapshot->FindTier("gold")->path, "global.tiers.gold");
  EXPECT_TRUE(snapshot->KnowsTier("gold"));
  for (const Rule& rule : snapshot->rules()) EXPECT_EQ(&rule, &snapshot->rules()[rule.index]);
}

TEST(Snapshot, RulesInheritFromTheLevelAbove) {
  auto document = Document();
  document.tenants["acme"].tier = "pro";
  document.tenants["acme"].rule = RateLimitRule{};
  document.tenants["acme"].rule->window_seconds = 10;
  document.tenants["plain"].tier = "enterprise";
  document.users["in_acme"].tenant = "acme";
  document.users["in_acme"].rule = RateLimitRule{};
  document.users["in_acme"].rule->mode = RuleMode::kShadow;
  document.users["in_plain"].tenant = "plain";
  document.users["in_plain"].rule = RateLimitRule{};
  document.users["own_tier"] = {.tier = "pro", .tenant = "plain", .rule = RateLimitRule{}, .quotas = {}};
  document.users["alone"].rule = RateLimitRule{};
  document.endpoints["/a"].rule.max_requests = 5;
  document.endpoints["/a"].rule.identifier = EnhancedIdentifier{GlobalIdentifier{}};
  const auto snapshot = Compiled(document);
  const auto numbers = [&](std::string_view path) {
    const Rule& rule = Named(*snapshot, path);
    return std::pair(rule.limit.capacity, rule.limit.window / kSecond);
  };
  EXPECT_EQ(numbers("tenants.acme.rule"), std::pair(std::uint64_t{1000}, Nanos{10}));
  EXPECT_EQ(numbers("users.in_acme.rule"), std::pair(std::uint64_t{1000}, Nanos{10}));
  EXPECT_TRUE(Named(*snapshot, "users.in_acme.rule").shadow);
  EXPECT_EQ(numbers("users.in_plain.rule"), std::pair(std::uint64_t{10'000}, Nanos{60}));
  EXPECT_EQ(numbers("users.own_tier.rule"), std::pair(std::uint64_t{1000}, Nanos{60}));
  EXPECT_EQ(numbers("users.alone.rule"), std::pair(std::uint64_t{100}, Nanos{60}));
  EXPECT_EQ(numbers("endpoints./a.rule"), std::pair(std::uint64_t{5}, Nanos{60}));
  EXPECT_EQ(Named(*snapshot, "endpoints./a.rule").identifier.kind, Identifier::Kind::kGlobal);
  EXPECT_EQ(Named(*snapshot, "endpoints./a.rule").level, Level::kEndpoint);
}

TEST(Snapshot, TenantsAndUsersKnowWhatIsTheirs) {
  auto document = Document();
  document.tenants["acme"].aggregate = Numbers(50);
  document.tenants["acme"].quotas = {{.max_requests = 9}, {.max_requests = 99, .period = WindowAlignment::kMonth}};
  document.users["ann"].tenant = "acme";
  document.users["ann"].quotas = {{.max_requests = 3, .period = WindowAlignment::kHour, .rolling = true}};
  document.users["bob"] = {.tier = "pro", .tenant = "acme", .rule = {}, .quotas = {}, .exempt = true};
  document.users["eve"].tenant = "unknown";
  const auto snapshot = Compiled(document);
  const TenantEntry* const acme = snapshot->FindTenant("acme");
  ASSERT_NE(acme, nullptr);
  EXPECT_EQ(acme->rule(), nullptr);
  ASSERT_EQ(acme->stacked().size(), 3u);
  EXPECT_EQ(acme->stacked()[0].path, "tenants.acme.aggregate");
  EXPECT_EQ(acme->stacked()[0].identifier.kind, Identifier::Kind::kTenant);
  EXPECT_EQ(acme->stacked()[1].path, "tenants.acme.quotas.0");
  EXPECT_EQ(acme->stacked()[2].limit.calendar, algorithms::Calendar::kMonth);
  const UserEntry* const ann = snapshot->FindUser("ann");
  ASSERT_NE(ann, nullptr);
  EXPECT_EQ(ann->tenant(), "acme");
  ASSERT_EQ(ann->stacked().size(), 1u);
  EXPECT_EQ(ann->stacked()[0].limit.kind, Kind::kFixedWindow);
  EXPECT_EQ(ann->stacked()[0].limit.window, kHour);
  EXPECT_TRUE(snapshot->FindUser("bob")->exempt());
  EXPECT_EQ(snapshot->FindUser("bob")->tier(), "pro");
  EXPECT_EQ(snapshot->FindTenant(snapshot->FindUser("eve")->tenant()), nullptr);
  EXPECT_EQ(snapshot->FindUser("nobody"), nullptr);
  EXPECT_EQ(snapshot->FindUser(""), nullptr);
}

TEST(Snapshot, UsersThatSayTheSameShareIt) {
  auto document = Document();
  for (int i = 0; i < 1000; ++i) document.users["user-" + std::to_string(i)].tier = i % 2 == 0 ? "pro" : "enterprise";
  const auto snapshot = Compiled(document);
  std::set<const void*> entries;
  for (int i = 0; i < 1000; ++i) entries.insert(snapshot->FindUser("user-" + std::to_string(i))->of.get());
  EXPECT_EQ(entries.size(), 2u);
  EXPECT_EQ(snapshot->FindUser("user-1")->tier(), "enterprise");
}

TEST(Snapshot, TemplatesAreExpandedAndTheDocumentIsKept) {
  auto document = Document();
  document.templates["tight"] = Numbers(2, 1);
  document.endpoints["/login"].rule.from_template = "tight";
  document.users["ann"].tier = "pro";
  const auto snapshot = Compiled(document);
  EXPECT_EQ(Named(*snapshot, "endpoints./login.rule").limit.capacity, 2u);
  EXPECT_TRUE(snapshot->Written() == document);
  document.users.clear();
  EXPECT_TRUE(snapshot->document() == document);
}

TEST(Snapshot, HeadersBecomeBits) {
  auto document = Document();
  document.global.free_tier.headers = HeaderConfig{.styles = {HeaderStyle::kDraft07, HeaderStyle::kXRateLimit},
                                                   .reset_as_epoch = true,
                                                   .retry_after = false,
                                                   .on_allowed = true,
                                                   .partition_key = true,
                                                   .basic_body = false};
  document.global.pro_tier.headers = HeaderConfig::None();
  const auto snapshot = Compiled(document);
  const HeaderPlan plan = snapshot->FindTier("free")->header_plan;
  EXPECT_TRUE(plan.draft07 && plan.x_ratelimit && plan.reset_as_epoch && plan.on_allowed && plan.partition_key);
  EXPECT_FALSE(plan.ietf || plan.draft06 || plan.retry_after || plan.basic_body);
  const HeaderPlan none = snapshot->FindTier("pro")->header_plan;
  EXPECT_FALSE(none.ietf || none.draft06 || none.draft07 || none.x_ratelimit);
  // What a preset says is what is sent.
  const HeaderPlan compliance = PlanOf(HeaderConfig::ComplianceMode());
  EXPECT_TRUE(compliance.ietf && compliance.draft06 && compliance.x_ratelimit && compliance.reset_as_epoch);
  EXPECT_FALSE(compliance.draft07);
}

// ---- endpoints ------------------------------------------------------------------------------------------------------

std::string EndpointOf(const Snapshot& snapshot, EndpointQuery query) {
  query.now = kNow;
  const auto match = snapshot.FindEndpoint(query);
  return match ? std::string(match->pattern) : "";
}

EndpointQuery Query(std::string_view method, std::string_view path, std::string_view tenant = {},
                    std::string_view user = {}) {
  return {.method = method, .path = path, .tenant = tenant, .user = user, .now = kNow};
}

TEST(Snapshot, MethodsThatDoNotMatchFallThrough) {
  auto document = Document();
  document.endpoints["/a/b"].methods = {"POST"};
  document.endpoints["/a/{x}"].methods = {"GET", "HEAD"};
  document.endpoints["/a/**"];
  const auto snapshot = Compiled(document);
  EXPECT_EQ(EndpointOf(*snapshot, Query("POST", "/a/b")), "/a/b");
  EXPECT_EQ(EndpointOf(*snapshot, Query("post", "/a/b")), "/a/b");
  EXPECT_EQ(EndpointOf(*snapshot, Query("GET", "/a/b")), "/a/{x}");
  EXPECT_EQ(EndpointOf(*snapshot, Query("PUT", "/a/b")), "/a/**");
  EXPECT_EQ(EndpointOf(*snapshot, Query("", "/a/b")), "/a/**");
  EXPECT_EQ(EndpointOf(*snapshot, Query("GET", "/b")), "");
}

TEST(Snapshot, OfOnePatternUsersComeBeforeTenantsBeforeMethods) {
  auto document = Document();
  document.endpoints["/a/{1}"];
  document.endpoints["/a/{2}"].methods = {"GET"};
  document.endpoints["/a/{3}"].tenants = {"acme"};
  document.endpoints["/a/{4}"].tenants = {"acme"};
  document.endpoints["/a/{4}"].methods = {"GET"};
  document.endpoints["/a/{5}"].users = {"ann", "bob"};
  document.endpoints["/a/{6}"].users = {"eve"};
  const auto snapshot = Compiled(document);
  EXPECT_EQ(EndpointOf(*snapshot, Query("PUT", "/a/x")), "/a/{1}");
  EXPECT_EQ(EndpointOf(*snapshot, Query("GET", "/a/x")), "/a/{2}");
  EXPECT_EQ(EndpointOf(*snapshot, Query("PUT", "/a/x", "acme")), "/a/{3}");
  EXPECT_EQ(EndpointOf(*snapshot, Query("GET", "/a/x", "acme")), "/a/{4}");
  EXPECT_EQ(EndpointOf(*snapshot, Query("GET", "/a/x", "acme", "bob")), "/a/{5}");
  EXPECT_EQ(EndpointOf(*snapshot, Query("PUT", "/a/x", "other", "eve")), "/a/{6}");
}

TEST(Snapshot, TiesAreFaultsThatNameBothPatterns) {
  auto document = Document();
  document.endpoints["/a/{x}/b"];
  document.endpoints["/a/{y}/b"];
  auto faults = FaultsOf(document);
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_NE(faults[0].find("endpoints./a/{y}/b"), std::string::npos) << faults[0];
  EXPECT_NE(faults[0].find("'/a/{x}/b'"), std::string::npos) << faults[0];

  document.endpoints["/a/{x}/b"].methods = {"GET"};
  EXPECT_TRUE(FaultsOf(document).empty()) << "one is constrained";
  document.endpoints["/a/{y}/b"].methods = {"POST", "GET"};
  EXPECT_EQ(FaultsOf(document).size(), 1u);
  document.endpoints["/a/{y}/b"].methods = {"POST"};
  EXPECT_TRUE(FaultsOf(document).empty()) << "no request matches both";

  document.endpoints.clear();
  document.endpoints["/api/*"];
  document.endpoints["/api/**"];
  document.endpoints["/login"];
  document.endpoints["/login/"];
  EXPECT_EQ(FaultsOf(document).size(), 2u);

  document.endpoints.clear();
  document.endpoints["/a*b*c*d/x"];
  document.endpoints["/a*c*b*d/{y}"];
  EXPECT_EQ(FaultsOf(document).size(), 1u);
  document.endpoints.erase("/a*c*b*d/{y}");
  document.endpoints["/a*c*b*d/y"];
  EXPECT_TRUE(FaultsOf(document).empty()) << "no path matches both";
}

// ---- addresses, exemptions ------------------------------------------------------------------------------------------

TEST(Snapshot, EveryIpRuleThatMatchesIsFoundInDocumentOrder) {
  auto document = Document();
  const auto add = [&](std::string name, std::vector<std::string> cidrs, std::vector<std::string> countries,
                       IpRule::Action action) {
    document.ip_rules.rules.push_back({.name = std::move(name),
                                       .cidrs = std::move(cidrs),
                                       .countries = std::move(countries),
                                       .action = action,
                                       .rule = {}});
  };
  add("narrow", {"10.1.2.3", "10.1.2.0/24"}, {}, IpRule::Action::kLimit);
  add("country", {}, {"de", "FR"}, IpRule::Action::kThrottle);
  add("wide", {"10.0.0.0/8"}, {}, IpRule::Action::kAllow);
  add("both", {"10.1.0.0/16"}, {"DE"}, IpRule::Action::kBlock);
  const auto snapshot = Compiled(document);
  const auto names = [&](std::string_view address, std::string_view country, std::size_t room = 8) {
    const auto parsed = ParseAddress(address);
    std::vector<IpMatch> matches(room);
    matches.resize(snapshot->FindIpRules(parsed ? &*parsed : nullptr, country, matches));
    std::vector<std::string> out;
    for (const IpMatch& match : matches) out.emplace_back(match.name);
    return out;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("10.1.2.3", ""), (Names{"narrow", "wide", "both"}));
  EXPECT_EQ(names("::ffff:10.1.2.3", "De"), (Names{"narrow", "country", "wide", "both"}));
  EXPECT_EQ(names("10.1.2.3", "DE", 2), (Names{"narrow", "country"}));
  EXPECT_EQ(names("192.0.2.1", "DE"), (Names{"country", "both"}));
  EXPECT_EQ(names("", "fr"), Names{"country"});
  EXPECT_EQ(names("10.2.0.1", "GERMANY"), Names{"wide"});
  EXPECT_EQ(names("", ""), Names{});
}

TEST(Snapshot, ProxiesAndExemptions) {
  auto document = Document();
  document.ip_rules.trusted_proxies = {"10.0.0.0/8", "2001:db8::/32"};
  document.exemptions = {
      .paths = {"/health", "/public/*"}, .cidrs = {"192.0.2.7"}, .users = {"root", ""}, .api_keys = {"k"}};
  const auto snapshot = Compiled(document);
  EXPECT_TRUE(snapshot->IsTrustedProxy(*ParseAddress("10.9.9.9")));
  EXPECT_FALSE(snapshot->IsTrustedProxy(*ParseAddress("11.9.9.9")));
  EXPECT_TRUE(snapshot->IsTrustedProxy(*ParseAddress("2001:db8::1")));
  EXPECT_TRUE(snapshot->ExemptPath("/public/x"));
  EXPECT_FALSE(snapshot->ExemptPath("/public"));
  EXPECT_TRUE(snapshot->ExemptAddress(*ParseAddress("192.0.2.7")));
  EXPECT_FALSE(snapshot->ExemptAddress(*ParseAddress("192.0.2.8")));
  EXPECT_TRUE(snapshot->ExemptUser("root"));
  EXPECT_FALSE(snapshot->ExemptUser(""));
  EXPECT_TRUE(snapshot->ExemptApiKey("k"));
  EXPECT_EQ(snapshot->ipv6_prefix(), 64u);
}

// ---- faults ---------------------------------------------------------------------------------------------------------

TEST(Snapshot, AllFaultsAtOnceWithTheirPaths) {
  EnterpriseRateLimitConfig document;  // free_tier has no numbers
  document.endpoints["no-slash"];
  document.endpoints["/x"].rule.identifier =
      EnhancedIdentifier{CustomIdentifier{.extractor = "path:(", .cache_duration = {}}};
  document.endpoints["/y"].rule.identifier =
      EnhancedIdentifier{CustomIdentifier{.extractor = "nobody", .cache_duration = {}}};
  document.endpoints["/z"].rule.schedule = Schedule{.days = {"noday"}};
  document.tenants["t"].quotas = {{.max_requests = 1, .time_zone = "No/Where"}};
  document.ip_rules.trusted_proxies = {"10.1.0.0/8"};
  document.ip_rules.rules.push_back({.name = "r", .cidrs = {"x"}, .countries = {"DEU"}, .rule = {}});
  document.ip_rules.rules.push_back({.name = "r", .cidrs = {}, .countries = {}, .rule = {}});
  const auto faults = FaultsOf(document);
  for (const char* wanted : {"global.free_tier.max_requests", "global.free_tier.window_seconds", "endpoints.no-slash",
                             "endpoints./x.rule.identifier.extractor", "endpoints./y.rule.identifier.extractor",
                             "endpoints./z.rule.schedule", "tenants.t.quotas.0", "ip_rules.trusted_proxies",
                             "ip_rules.rules.r.cidrs", "ip_rules.rules.r.countries", "ip_rules.rules.r: "}) {
    EXPECT_TRUE(std::ranges::any_of(faults, [&](const auto& line) { return line.find(wanted) != std::string::npos; }))
        << wanted;
  }
  const std::vector<std::string> registered = {"nobody"};
  EXPECT_EQ(FaultsOf(document, registered).size(), faults.size() - 1);
}

TEST(Snapshot, ManyFaultsAreCutShort) {
  auto document = Document();
  for (int i = 0; i < 500; ++i) document.endpoints["bad" + std::to_string(i)];
  const auto faults = FaultsOf(document);
  EXPECT_EQ(faults.size(), 101u);
  EXPECT_NE(faults.back().find("400 more"), std::string::npos);
}

TEST(Snapshot, NestedIdentifiersAndExtractors) {
  auto document = Document();
  const auto custom = [](std::string extractor) {
    return std::make_shared<const EnhancedIdentifier>(
        EnhancedIdentifier{CustomIdentifier{.extractor = std::move(extractor), .cache_duration = 5}});
  };
  document.global.free_tier.identifier = EnhancedIdentifier{Composite{
      .primary = custom("header:x-a"), .secondary = custom("query:b"), .strategy = CompositeStrategy::kStrictestLimit}};
  document.global.pro_tier.identifier = *custom("header:x-a");
  const auto snapshot = Compiled(document);
  ASSERT_EQ(snapshot->extractors().size(), 2u);
  const Identifier& both = snapshot->FindTier("free")->identifier;
  EXPECT_EQ(both.kind, Identifier::Kind::kStrictest);
  EXPECT_EQ(snapshot->extractors()[both.primary->extractor_index], "header:x-a");
  EXPECT_EQ(snapshot->extractors()[both.secondary->extractor_index], "query:b");
  EXPECT_EQ(snapshot->FindTier("pro")->identifier.extractor_index, both.primary->extractor_index);
  EXPECT_EQ(both.primary->cache_duration, 5 * kSecond);

  document.global.free_tier.identifier = EnhancedIdentifier{Composite{}};
  EXPECT_EQ(FaultsOf(document).size(), 4u) << "two parts, for free_tier and for enterprise_tier, which inherits";
}

// ---- change ---------------------------------------------------------------------------------------------------------

TEST(Snapshot, AnEqualRuleIsTheSameGeneration) {
  const auto first = Compiled(Document());
  const auto second = Compiled(Document());
  const Rule& rule = *first->FindTier("free");
  EXPECT_EQ(rule.generation, second->FindTier("free")->generation);
  EXPECT_EQ(rule.seed, Hash64(rule.generation));
  EXPECT_EQ(rule.generation.view().substr(0, rule.path.size() + 1), std::string(rule.path) + "@");
  EXPECT_EQ(rule.generation.size(), rule.path.size() + 17);
  EXPECT_NE(rule.generation, first->FindTier("pro")->generation);
  const auto third = Compiled(Document(), first.get());
  EXPECT_EQ(third->FindTier("free")->generation.data(), rule.generation.data());
  EXPECT_FALSE(third->FindTier("free")->previous);
  EXPECT_EQ(first->version(), 1u);
  EXPECT_EQ(third->version(), 2u);
}

TEST(Snapshot, WhatDoesNotChangeTheMeaningKeepsTheGeneration) {
  const auto first = Compiled(Document());
  auto document = Document();
  document.global.free_tier.mode = RuleMode::kShadow;
  document.global.free_tier.name = "other name";
  document.global.free_tier.headers = HeaderConfig::None();
  document.global.free_tier.schedule = Schedule{.days = {"mon"}};
  document.global.free_tier.on_store_failure = StoreFailurePolicy::kDeny;
  document.global.free_tier.penalties = PenaltyConfig{.enabled = true};
  const auto second = Compiled(document, first.get());
  const Rule& rule = *second->FindTier("free");
  EXPECT_EQ(rule.generation, first->FindTier("free")->generation);
  EXPECT_FALSE(rule.previous);
  EXPECT_EQ(rule.policy, "other name");
  EXPECT_TRUE(rule.penalty);
  EXPECT_NE(rule.penalty_seed, rule.seed);
  EXPECT_TRUE(rule.schedule);
}

TEST(Snapshot, ChangedNumbersKnowTheirPreviousFormUntilItsStatesHaveExpired) {
  const auto first = Compiled(Document());
  auto document = Document();
  document.global.free_tier.max_requests = 50;
  const auto second = Compiled(document, first.get());
  const Rule& changed = *second->FindTier("free");
  ASSERT_TRUE(changed.previous);
  EXPECT_EQ(changed.previous->generation, first->FindTier("free")->generation);
  EXPECT_EQ(changed.previous->seed, first->FindTier("free")->seed);
  EXPECT_EQ(changed.previous->limit, first->FindTier("free")->limit);
  EXPECT_GE(changed.previous->until, kNow + 60 * kSecond);
  EXPECT_LE(changed.previous->until, kNow + 180 * kSecond);
  EXPECT_FALSE(second->FindTier("pro")->previous);

  const Nanos until = changed.previous->until;
  document.global.pro_tier.max_requests = 7;
  const auto third = Compiled(document, second.get(), until - 1);
  ASSERT_TRUE(third->FindTier("free")->previous) << "unchanged, and its previous states may live";
  EXPECT_EQ(third->FindTier("free")->previous->until, until);
  const auto fourth = Compiled(document, third.get(), until);
  EXPECT_FALSE(fourth->FindTier("free")->previous) << "they have expired";
}

TEST(Snapshot, ChangedPenaltiesKnowTheirPreviousForm) {
  auto document = Document();
  document.global.free_tier.penalties = PenaltyConfig{.enabled = true, .threshold = 5};
  const auto first = Compiled(document);
  document.global.free_tier.penalties->threshold = 3;
  const auto second = Compiled(document, first.get());
  const Rule& before = *first->FindTier("free");
  const Rule& changed = *second->FindTier("free");
  EXPECT_FALSE(changed.previous) << "its numbers are what they were";
  ASSERT_TRUE(changed.penalty_previous);
  EXPECT_EQ(changed.penalty_previous->generation, before.penalty_generation);
  EXPECT_EQ(changed.penalty_previous->seed, before.penalty_seed);
  EXPECT_EQ(changed.penalty_previous->limit, *before.penalty);
  document.global.free_tier.penalties->threshold = 5;
  const auto third = Compiled(document, second.get());
  EXPECT_EQ(third->FindTier("free")->penalty_previous->generation, changed.penalty_generation);
  EXPECT_FALSE(third->FindTier("free")->penalty_previous->before) << "not itself";
}

TEST(Snapshot, ARuleThatIsRolledBackIsNotItsOwnPreviousForm) {
  auto document = Document();
  const auto first = Compiled(document);
  document.global.free_tier.max_requests = 50;
  const auto second = Compiled(document, first.get());
  document.global.free_tier.max_requests = 60;
  const auto third = Compiled(document, second.get());
  document.global.free_tier.max_requests = 50;
  const auto fourth = Compiled(document, third.get());
  const Rule& rule = *fourth->FindTier("free");
  EXPECT_EQ(rule.generation, second->FindTier("free")->generation);
  ASSERT_TRUE(rule.previous);
  EXPECT_EQ(rule.previous->generation, third->FindTier("free")->generation);
  ASSERT_TRUE(rule.previous->before) << "not itself, but what it had followed";
  EXPECT_EQ(rule.previous->before->generation, first->FindTier("free")->generation);
  EXPECT_FALSE(rule.previous->before->before);
}

TEST(Snapshot, AnotherIdentifierOrPrefixHasNoPreviousForm) {
  const auto first = Compiled(Document());
  auto document = Document();
  document.global.free_tier.identifier = EnhancedIdentifier{UserId{}};
  const auto second = Compiled(document, first.get());
  EXPECT_NE(second->FindTier("free")->generation, first->FindTier("free")->generation);
  EXPECT_FALSE(second->FindTier("free")->previous);

  auto wider = Document();
  wider.ip_rules.ipv6_prefix = 56;
  const auto third = Compiled(wider, first.get());
  EXPECT_NE(third->FindTier("free")->generation, first->FindTier("free")->generation);
  EXPECT_FALSE(third->FindTier("free")->previous);

  auto unlimited = Document();
  unlimited.global.free_tier = RateLimitRule::Unlimited();
  const auto fourth = Compiled(unlimited, first.get());
  EXPECT_TRUE(fourth->FindTier("free")->unlimited);
  EXPECT_FALSE(Compiled(Document(), fourth.get())->FindTier("free")->previous) << "it is what it was";
}

TEST(Snapshot, ALimitThatComesBackKnowsWhatItWasBefore) {
  auto document = Document();
  document.global.free_tier.identifier = EnhancedIdentifier{UserId{}};
  document.global.free_tier.penalties = PenaltyConfig{.enabled = true};
  const auto first = Compiled(document);
  auto unlimited = Document();
  unlimited.global.free_tier = RateLimitRule::Unlimited();
  auto second = Compiled(unlimited, first.get());
  EXPECT_TRUE(second->FindTier("free")->unlimited);
  second = Compiled(unlimited, second.get());
  document.global.free_tier.max_requests = 50;
  document.global.free_tier.penalties->threshold = 3;
  const auto third = Compiled(document, second.get());
  const Rule& back = *third->FindTier("free");
  ASSERT_TRUE(back.previous);
  EXPECT_EQ(back.previous->generation, first->FindTier("free")->generation);
  EXPECT_FALSE(back.previous->before);
  ASSERT_TRUE(back.penalty_previous);
  EXPECT_EQ(back.penalty_previous->generation, first->FindTier("free")->penalty_generation);
  EXPECT_FALSE(Compiled(document, second.get(), kNow + 400 * kDay)->FindTier("free")->previous) << "all has expired";
  // With another identifier its subjects are others.
  document.global.free_tier.identifier = EnhancedIdentifier{ApiKey{}};
  EXPECT_FALSE(Compiled(document, second.get())->FindTier("free")->previous);
}

int LengthOf(const PreviousRule* previous) { return previous == nullptr ? 0 : 1 + LengthOf(previous->before.get()); }

TEST(Snapshot, SoManyChangesAreRememberedAndMoreAreTold) {
  auto document = Document();
  auto snapshot = Compiled(document);
  testing::internal::CaptureStderr();
  for (int change = 1; change <= kMostPrevious; ++change) {
    ++*document.global.free_tier.max_requests;
    snapshot = Compiled(document, snapshot.get());
    EXPECT_EQ(LengthOf(snapshot->FindTier("free")->previous.get()), change);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  ++*document.global.free_tier.max_requests;
  testing::internal::CaptureStderr();
  snapshot = Compiled(document, snapshot.get());
  EXPECT_EQ(LengthOf(snapshot->FindTier("free")->previous.get()), kMostPrevious);
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("changed more often than is remembered"), std::string::npos) << told;
  EXPECT_NE(told.find("rule=global.free_tier rules=1"), std::string::npos) << told;
}

TEST(Snapshot, CalendarZonesAreToldApartByName) {
  auto document = Document();
  document.tenants["a"].quotas = {{.max_requests = 1, .time_zone = "Europe/Berlin"}};
  const auto berlin = Compiled(document);
  document.tenants["a"].quotas[0].time_zone = "Asia/Tokyo";
  const auto tokyo = Compiled(document, berlin.get());
  EXPECT_NE(Named(*tokyo, "tenants.a.quotas.0").generation, Named(*berlin, "tenants.a.quotas.0").generation);
}

TEST(StateLifetime, CoversEveryKind) {
  algorithms::Limit limit{.kind = Kind::kTokenBucket, .capacity = 100, .rate_count = 1, .rate_period = kSecond};
  EXPECT_GE(StateLifetime(limit), 100 * kSecond);
  limit.rate_count = 0;
  EXPECT_EQ(StateLifetime(limit), INT64_MAX);
  limit = {.kind = Kind::kLeakyBucket, .capacity = algorithms::kMaxCount, .rate_count = 1, .rate_period = INT64_MAX};
  EXPECT_EQ(StateLifetime(limit), INT64_MAX);
  for (const Kind kind : {Kind::kSlidingWindow, Kind::kSlidingWindowLog, Kind::kFixedWindow, Kind::kPenalty}) {
    limit = {.kind = kind, .window = kMinute};
    EXPECT_GE(StateLifetime(limit), kMinute);
    limit.window = INT64_MAX;
    EXPECT_EQ(StateLifetime(limit), INT64_MAX);
  }
  limit = {.kind = Kind::kFixedWindow, .calendar = algorithms::Calendar::kYear};
  EXPECT_GE(StateLifetime(limit), 366 * kDay);
  limit = {.kind = Kind::kConcurrency, .lease = kHour};
  EXPECT_EQ(StateLifetime(limit), kHour);
}

// Whatever a subject did: its state does not outlive what the compiler takes for its lifetime.
TEST(StateLifetime, IsNeverShorterThanAStateLives) {
  algorithms::testing::Random random(11);
  std::vector<Kind> kinds(algorithms::testing::kRuleKinds);
  kinds.push_back(Kind::kPenalty);
  for (const Kind kind : kinds) {
    Nanos longest = 0;
    for (int i = 0; i < 300; ++i) {
      const algorithms::Limit limit = algorithms::testing::RandomLimit(kind, random);
      algorithms::testing::Counter counter(limit);
      const Nanos lifetime = StateLifetime(limit);
      Nanos now = algorithms::testing::kStart;
      for (int step = 0; step < 60; ++step) {
        using algorithms::Op;
        const Op op = random.OneIn(3) ? Op::kCheck : random.OneIn(2) ? Op::kCharge : Op::kRefund;
        std::uint64_t cost = static_cast<std::uint64_t>(random.In(0, 8));
        // A bucket's debt has no bound; up to once its capacity is followed.
        const bool bucket = kind == Kind::kTokenBucket || kind == Kind::kLeakyBucket;
        if (bucket && op == Op::kCharge) cost = counter.Used(now) > limit.capacity ? 0 : std::min(cost, limit.capacity);
        counter.Do(op, cost, now, random.Bits() >> 1);
        const Nanos rest = std::max(counter.Expires(), now) - now;
        ASSERT_LE(rest, lifetime) << static_cast<int>(kind) << " " << step;
        longest = std::max(longest, rest);
        // A banned subject comes back when its ban ends: so levels rise.
        now += kind == Kind::kPenalty && random.OneIn(2) && rest > 0 ? random.In(0, rest / 8) : random.In(0, kSecond);
      }
    }
    EXPECT_GT(longest, 0) << static_cast<int>(kind);
  }
}

TEST(StateLifetime, CoversTheHighestLevelOfBans) {
  algorithms::Limit limit{.kind = Kind::kPenalty,
                          .window = kMinute,
                          .threshold = 1,
                          .ban_factor_pct = 100,
                          .first_ban = kSecond,
                          .longest_ban = kSecond,
                          .decay = kHour};
  algorithms::testing::Counter counter(algorithms::Sanitize(limit));
  Nanos now = algorithms::testing::kStart;
  for (int ban = 0; ban < 80; ++ban, now += kSecond) counter.Do(algorithms::Op::kCharge, 1, now);
  EXPECT_GT(counter.Expires() - now, 63 * kHour);
  EXPECT_LE(counter.Expires() - (now - kSecond), StateLifetime(counter.limit()));
}

}  // namespace
}  // namespace weir::config
