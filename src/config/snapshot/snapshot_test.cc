#include "config/snapshot/snapshot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "config/compile/compile_rules.h"
#include "config/snapshot/snapshot_fixture.h"

namespace weir::config {
namespace {

using algorithms::Kind;
using testing::Compiled;
using testing::Document;
using testing::kNow;
using testing::Named;
using testing::Numbers;

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
  const HeaderPlan plan = snapshot->FindTier("free")->use.headers;
  EXPECT_TRUE(plan.draft07 && plan.x_ratelimit && plan.reset_as_epoch && plan.on_allowed && plan.partition_key);
  EXPECT_FALSE(plan.ietf || plan.draft06 || plan.retry_after || plan.basic_body);
  const HeaderPlan none = snapshot->FindTier("pro")->use.headers;
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

}  // namespace
}  // namespace weir::config
