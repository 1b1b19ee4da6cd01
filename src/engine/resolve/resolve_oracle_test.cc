// Resolve against a slow reading of the rules in resolve.h, straight from the document: random small documents, random
// requests.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/path.h"
#include "config/snapshot/path_oracle.h"
#include "engine/resolve/resolve.h"

namespace weir::engine {
namespace {

constexpr Nanos kMondayNoon = 1'719'835'200 * kSecond;  // 2024-07-01 12:00 UTC

// ---- the oracle -----------------------------------------------------------------------------------------------------

// A rule and those that it inherits from, the most specific first.
using Chain = std::vector<const RateLimitRule*>;

struct Traits {
  bool exists = true;  // its schedule says so
  bool shadow = false;
  bool unlimited = false;
};

Traits TraitsOf(const Chain& chain) {
  Traits traits;
  for (const RateLimitRule* rule : chain) {
    if (!rule->schedule) continue;
    traits.exists = rule->schedule->days == std::vector<std::string>{"mon"};
    break;
  }
  for (const RateLimitRule* rule : chain) {
    if (!rule->mode) continue;
    traits.shadow = rule->mode == RuleMode::kShadow;
    break;
  }
  for (const RateLimitRule* rule : chain) {
    if (!rule->unlimited && !rule->max_requests) continue;
    traits.unlimited = rule->unlimited.value_or(false);
    break;
  }
  return traits;
}

struct Answer {
  std::string kind = "rules";
  std::set<std::string> rules;
  friend bool operator==(const Answer&, const Answer&) = default;
};

class Oracle {
 public:
  Oracle(const EnterpriseRateLimitConfig& document, const Facts& facts) : document_(document), facts_(facts) {}

  Answer Run() {
    PathBuffer strict_room;
    PathBuffer lenient_room;
    const std::string strict(NormalizePath(facts_.path, strict_room).path);
    const std::string lenient(NormalizePathLeniently(facts_.path, lenient_room));
    FindWho();
    if (IsExempt(strict, lenient)) return {.kind = "exempt", .rules = {}};
    if (IsBlocked()) return {.kind = "blocked", .rules = {}};
    FindAllow();
    if (IsChallenged()) return {.kind = "challenged", .rules = {}};
    if (allow_ != nullptr && !allow_->rule) return {.kind = "exempt", .rules = {}};
    const bool strict_replaces = AddEndpoint(strict);
    const bool lenient_replaces = AddEndpoint(lenient);
    if (allow_ != nullptr) {
      List("ip_rules.rules." + allow_->name + ".rule", *IpTraits(*allow_));
    } else if (!strict_replaces || !lenient_replaces) {
      AddBase();
    }
    AddStacked();
    return answer_;
  }

 private:
  void FindWho() {
    const auto user = document_.users.find(std::string(facts_.user));
    if (!facts_.user.empty() && user != document_.users.end()) user_ = &user->second;
    tenant_name_ = facts_.tenant;
    if (tenant_name_.empty() && user_ != nullptr) tenant_name_ = user_->tenant.value_or("");
    tenant_ = TenantNamed(tenant_name_);
    // Itself, what it is a part of, and so on.
    std::string name = tenant_name_;
    for (const TenantLimits* at = tenant_; at != nullptr; at = TenantNamed(name = at->parent.value_or(""))) {
      tree_.emplace_back(name, at);
    }
    // Of a user in a tenant that the request is neither in nor below.
    if (user_ == nullptr || !user_->tenant || *user_->tenant == tenant_name_) return;
    const auto is_users = [&](const auto& one) { return one.first == *user_->tenant; };
    if (std::ranges::none_of(tree_, is_users)) user_ = nullptr;
  }
  const TenantLimits* TenantNamed(const std::string& name) const {
    const auto found = document_.tenants.find(name);
    return found == document_.tenants.end() ? nullptr : &found->second;
  }

  bool IsExempt(const std::string& strict, const std::string& lenient) const {
    const Exemptions& exemptions = document_.exemptions;
    const auto exempt_path = [&](const std::string& path) {
      return std::ranges::any_of(exemptions.paths, [&](const std::string& pattern) {
        return path == pattern || (pattern.ends_with('*') && path.starts_with(pattern.substr(0, pattern.size() - 1)));
      });
    };
    const auto holds = [](const auto& list, std::string_view name) {
      return !name.empty() && std::ranges::find(list, name) != list.end();
    };
    return (exempt_path(strict) && exempt_path(lenient)) || InAny(exemptions.cidrs) ||
           holds(exemptions.users, facts_.user) || (user_ != nullptr && user_->exempt) ||
           holds(exemptions.api_keys, facts_.api_key);
  }
  bool InAny(const std::vector<std::string>& cidrs) const {
    return facts_.client &&
           std::ranges::any_of(cidrs, [&](const auto& cidr) { return ParseNetwork(cidr)->Contains(*facts_.client); });
  }

  // Whether an ip rule matches now; its rule's traits.
  std::optional<Traits> IpTraits(const IpRule& rule) const {
    const bool country = std::ranges::find(rule.countries, facts_.country) != rule.countries.end();
    if (!InAny(rule.cidrs) && !country) return std::nullopt;
    const Traits traits = rule.rule ? TraitsOf({&*rule.rule, &document_.global.free_tier}) : Traits{};
    return traits.exists ? std::optional(traits) : std::nullopt;
  }
  bool IsBlocked() const {
    return std::ranges::any_of(document_.ip_rules.rules, [&](const IpRule& rule) {
      const auto traits = IpTraits(rule);
      return rule.action == IpRule::Action::kBlock && traits && !(rule.rule && traits->shadow);
    });
  }

  // How specific an ip rule's match is: the length of its longest network that holds the address; a country: -1.
  int Specificity(const IpRule& rule) const {
    int most = -1;
    for (const std::string& cidr : rule.cidrs) {
      const auto network = ParseNetwork(cidr);
      if (facts_.client && network->Contains(*facts_.client)) most = std::max<int>(most, network->bits);
    }
    return most;
  }
  void FindAllow() {
    std::vector<const IpRule*> shadows;
    for (const IpRule& rule : document_.ip_rules.rules) {
      const auto traits = IpTraits(rule);
      if (rule.action != IpRule::Action::kAllow || !traits) continue;
      if (rule.rule && traits->shadow) {
        shadows.push_back(&rule);
      } else if (allow_ == nullptr || Specificity(rule) > Specificity(*allow_)) {
        allow_ = &rule;
      }
    }
    if (allow_ != nullptr && !allow_->rule) return;
    for (const IpRule* rule : shadows) {
      if (allow_ != nullptr && Specificity(*rule) <= Specificity(*allow_)) continue;
      List("ip_rules.rules." + rule->name + ".rule", *IpTraits(*rule));
    }
  }

  bool IsChallenged() const {
    return std::ranges::any_of(document_.ip_rules.rules, [&](const IpRule& rule) {
      if (rule.action != IpRule::Action::kChallenge || rule.rule || !IpTraits(rule)) return false;
      return allow_ == nullptr || Specificity(*allow_) <= Specificity(rule);
    });
  }

  void List(const std::string& path, const Traits& traits) {
    if (traits.exists && !traits.unlimited) answer_.rules.insert(path);
  }

  bool AddEndpoint(const std::string& path) {
    struct Match {
      std::string pattern;
      int rank = 0;
      const EndpointLimits* limits = nullptr;
    };
    std::vector<Match> matches;
    const auto admits = [](const auto& list, std::string_view name) {
      return list.empty() || std::ranges::find(list, name) != list.end();
    };
    const auto lower = [](std::string text) {
      for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      return text;
    };
    const bool head = facts_.method == "HEAD";
    for (const auto& [pattern, limits] : document_.endpoints) {
      const bool any_case = limits.ignore_case;
      if (path.empty()) continue;
      if (!config::oracle::SlowMatch(any_case ? lower(pattern) : pattern, any_case ? lower(path) : path)) continue;
      const bool method = admits(limits.methods, facts_.method) || (head && admits(limits.methods, "GET"));
      if (!method || !admits(limits.tenants, tenant_name_) || !admits(limits.users, facts_.user)) continue;
      const bool named = std::ranges::find(limits.methods, "HEAD") != limits.methods.end();
      const int rank = (limits.users.empty() ? 0 : 8) + (limits.tenants.empty() ? 0 : 4) +
                       (limits.methods.empty() ? 0 : 2) + (named ? 1 : 0);
      matches.push_back({pattern, rank, &limits});
    }
    std::ranges::stable_sort(matches, [](const Match& a, const Match& b) {
      const int order = config::oracle::SlowCompare(a.pattern, b.pattern, a.limits->ignore_case, b.limits->ignore_case);
      return order != 0 ? order < 0 : a.rank > b.rank;
    });
    bool replaced = false;
    for (const Match& match : matches) {
      const Traits traits = TraitsOf({&match.limits->rule, &document_.global.free_tier});
      if (!traits.exists) continue;
      const bool stacks = match.limits->combine == Combine::kStack;
      if (!stacks && (replaced || allow_ != nullptr)) continue;
      List("endpoints." + match.pattern + ".rule", traits);
      replaced |= !stacks && !traits.shadow;
    }
    return replaced;
  }

  // The rule of a tier with its path, and what it inherits from.
  std::pair<std::string, Chain> Tier(std::string name) const {
    const GlobalLimits& global = document_.global;
    if (name == "pro") return {"global.pro_tier", {&global.pro_tier, &global.free_tier}};
    if (name == "enterprise") return {"global.enterprise_tier", {&global.enterprise_tier, &global.free_tier}};
    const auto found = global.tiers.find(name);
    if (found != global.tiers.end()) return {"global.tiers." + name, {&found->second, &global.free_tier}};
    return {"global.free_tier", {&global.free_tier}};
  }
  Chain TenantChain(const TenantLimits& tenant) const {
    Chain chain = Tier(tenant.tier.value_or("")).second;
    chain.insert(chain.begin(), &*tenant.rule);
    return chain;
  }
  // From the tenant that the user's entry names, not from the request's.
  Chain UserChain() const {
    const TenantLimits* const tenant = TenantNamed(user_->tenant.value_or(""));
    std::string tier = user_->tier.value_or("");
    if (tier.empty() && tenant != nullptr) tier = tenant->tier.value_or("");
    Chain chain = tenant != nullptr && tenant->rule ? TenantChain(*tenant) : Tier(tier).second;
    chain.insert(chain.begin(), &*user_->rule);
    return chain;
  }

  void AddBase() {
    std::vector<std::pair<std::string, Chain>> candidates;
    if (user_ != nullptr && user_->rule)
      candidates.emplace_back("users." + std::string(facts_.user) + ".rule", UserChain());
    for (const auto& [name, tenant] : tree_) {
      if (tenant->rule) candidates.emplace_back("tenants." + name + ".rule", TenantChain(*tenant));
    }
    std::string tier(facts_.tier);
    if (tier.empty() && user_ != nullptr) tier = user_->tier.value_or("");
    for (const auto& [name, tenant] : tree_) {
      if (tier.empty()) tier = tenant->tier.value_or("");
    }
    candidates.push_back(Tier(tier));
    for (const auto& [path, chain] : candidates) {
      const Traits traits = TraitsOf(chain);
      List(path, traits);
      if (traits.exists && !traits.shadow) return;
    }
  }

  void AddStacked() {
    for (const auto& [name, tenant] : tree_) {
      if (tenant->aggregate) List("tenants." + name + ".aggregate", TraitsOf({&*tenant->aggregate}));
      for (std::size_t i = 0; i < tenant->quotas.size(); ++i) {
        answer_.rules.insert("tenants." + name + ".quotas." + std::to_string(i));
      }
    }
    for (std::size_t i = 0; user_ != nullptr && i < user_->quotas.size(); ++i) {
      answer_.rules.insert("users." + std::string(facts_.user) + ".quotas." + std::to_string(i));
    }
    for (const IpRule& rule : document_.ip_rules.rules) {
      const auto traits = IpTraits(rule);
      const bool stacks = rule.action == IpRule::Action::kThrottle || rule.action == IpRule::Action::kLimit ||
                          rule.action == IpRule::Action::kChallenge;
      if (traits && rule.rule && stacks) List("ip_rules.rules." + rule.name + ".rule", *traits);
    }
  }

  const EnterpriseRateLimitConfig& document_;
  const Facts& facts_;
  const UserLimits* user_ = nullptr;
  const TenantLimits* tenant_ = nullptr;
  const IpRule* allow_ = nullptr;
  std::string tenant_name_;
  std::vector<std::pair<std::string, const TenantLimits*>> tree_;
  Answer answer_;
};

// ---- random documents and requests ----------------------------------------------------------------------------------

class World {
 public:
  explicit World(unsigned seed) : random_(seed) {}

  bool Chance(unsigned one_in) { return random_() % one_in == 0; }
  template <typename T>
  const T& Any(const std::vector<T>& of) {
    return of[random_() % of.size()];
  }
  std::vector<std::string> Some(const std::vector<std::string>& of) {
    std::vector<std::string> some;
    for (const std::string& each : of) {
      if (Chance(2)) some.push_back(each);
    }
    return some;
  }

  RateLimitRule AnyRule() {
    RateLimitRule rule;
    if (Chance(2)) rule.max_requests = 1 + random_() % 9;
    if (Chance(4)) rule.mode = Chance(3) ? RuleMode::kEnforce : RuleMode::kShadow;
    if (Chance(5)) rule.schedule = Schedule{.days = {Chance(2) ? "mon" : "tue"}};
    if (Chance(6)) rule.unlimited = Chance(2);
    return rule;
  }
  RateLimitRule Complete(RateLimitRule rule) {
    rule.max_requests = 5;
    rule.window_seconds = 60;
    return rule;
  }
  std::optional<RateLimitRule> MaybeRule() { return Chance(2) ? std::optional(AnyRule()) : std::nullopt; }
  std::optional<std::string> Maybe(const std::vector<std::string>& of) {
    return Chance(2) ? std::optional(Any(of)) : std::nullopt;
  }
  std::vector<Quota> SomeQuotas() { return Chance(3) ? std::vector<Quota>{{.max_requests = 3}} : std::vector<Quota>{}; }

  EnterpriseRateLimitConfig Document() {
    EnterpriseRateLimitConfig document;
    document.global.free_tier = Complete(Chance(3) ? AnyRule() : RateLimitRule{});
    document.global.pro_tier = AnyRule();
    if (Chance(2)) document.global.tiers["gold"] = AnyRule();
    for (const auto& name : Some(kTenants)) {
      document.tenants[name] = {.tier = Maybe(kTiers), .rule = MaybeRule(), .aggregate = {}, .quotas = SomeQuotas()};
      if (Chance(3)) document.tenants[name].aggregate = Complete(AnyRule());
    }
    // Of those before it by name: no circles.
    for (auto tenant = document.tenants.begin(); tenant != document.tenants.end(); ++tenant) {
      const auto before = std::distance(document.tenants.begin(), tenant);
      if (before > 0 && Chance(2)) tenant->second.parent = document.tenants.begin()->first;
      if (before > 1 && Chance(2)) tenant->second.parent = std::prev(tenant)->first;
    }
    for (const auto& name : Some(kUsers)) {
      document.users[name] = {.tier = Maybe(kTiers),
                              .tenant = Maybe(kTenants),
                              .rule = MaybeRule(),
                              .quotas = SomeQuotas(),
                              .exempt = Chance(10)};
    }
    for (auto n = random_() % 6; n > 0; --n) {
      EndpointLimits& endpoint = document.endpoints[Any(kPatterns)];
      endpoint.rule = AnyRule();
      endpoint.combine = Chance(3) ? Combine::kStack : Combine::kReplace;
      if (Chance(3)) endpoint.methods = Some(kMethods);
      if (Chance(4)) endpoint.tenants = Some(kTenants);
      if (Chance(4)) endpoint.users = Some(kUsers);
      endpoint.ignore_case = Chance(4);
    }
    const std::vector<std::string> cidrs = {"10.0.0.0/8", "10.1.0.0/16", "10.1.1.1", "2001:db8::/32", "::/0"};
    for (auto n = random_() % 4; n > 0; --n) {
      const auto action = Chance(4)   ? IpRule::Action::kBlock
                          : Chance(3) ? IpRule::Action::kChallenge
                          : Chance(2) ? IpRule::Action::kThrottle
                                      : IpRule::Action::kAllow;
      document.ip_rules.rules.push_back({.name = "ip" + std::to_string(n),
                                         .cidrs = {Any(cidrs)},
                                         .countries = Some({"DE"}),
                                         .action = action,
                                         .rule = MaybeRule()});
    }
    if (Chance(3)) document.exemptions.paths = {Any(std::vector<std::string>{"/a", "/a/*", "/b*", "/x"})};
    if (Chance(5)) document.exemptions.cidrs = {Any(cidrs)};
    if (Chance(5)) document.exemptions.users = {Any(kUsers)};
    if (Chance(5)) document.exemptions.api_keys = {"key"};
    return document;
  }

  Facts Request() {
    static const std::vector<std::string> addresses = {"10.1.1.1",  "10.1.2.3",    "10.2.2.2",
                                                       "192.0.2.1", "2001:db8::1", "2001:db9::1"};
    static const std::vector<std::string> names = {"u1", "u2", "u3", "nobody"};
    static const std::vector<std::string> tenants = {"t1", "t2", "t3", "nobody"};
    static const std::vector<std::string> tiers = {"pro", "gold", "enterprise", "free", "nothing"};
    Facts facts;
    if (!Chance(4)) facts.client = ParseAddress(Any(addresses));
    if (!Chance(3)) facts.user = Any(names);
    if (Chance(2)) facts.tenant = Any(tenants);
    if (Chance(4)) facts.tier = Any(tiers);
    if (Chance(4)) facts.api_key = "key";
    if (Chance(4)) facts.country = "DE";
    if (!Chance(6)) facts.method = Any(kMethods);
    if (!Chance(12)) facts.path = Any(kPaths);
    facts.now = kMondayNoon;
    return facts;
  }

 private:
  inline static const std::vector<std::string> kTenants = {"t1", "t2", "t3"};
  inline static const std::vector<std::string> kUsers = {"u1", "u2", "u3"};
  inline static const std::vector<std::string> kTiers = {"pro", "gold", "enterprise", "free", "unknown"};
  inline static const std::vector<std::string> kMethods = {"GET", "POST", "HEAD"};
  inline static const std::vector<std::string> kPatterns = {"/a",     "/b",     "/{x}",   "/{y}", "/a*",    "/*b",
                                                            "/a/b",   "/a/{x}", "/{x}/b", "/a/*", "/**",    "/b/*",
                                                            "/a/b/c", "/a/*/c", "/a/b*",  "/",    "/a/{x}/"};
  inline static const std::vector<std::string> kPaths = {
      "/",      "/a",     "/b",     "/ab",       "/a/",    "/a/b",      "/b/b",  "/c/b",
      "/a/b/c", "/a/x/c", "/A",     "/A/b",      "/B/b/C", "/c/d/e",    "//a?q", "/x/../a",
      "/%61/b", "/a%2Fb", "/a;p/b", "/b/..%2fa", "/a\\b",  "/b/..;/a/b"};
  std::mt19937 random_;
};

std::string Show(const Facts& facts, unsigned seed) {
  return "seed " + std::to_string(seed) + " path " + std::string(facts.path) + " method " + std::string(facts.method) +
         " user " + std::string(facts.user) + " tenant " + std::string(facts.tenant) + " tier " +
         std::string(facts.tier);
}

TEST(ResolveOracle, AgreesOnRandomDocuments) {
  int compiled = 0;
  std::set<std::string> kinds;
  std::size_t most_rules = 0;
  for (unsigned seed = 0; seed < 4'000; ++seed) {
    World world(seed);
    const EnterpriseRateLimitConfig document = world.Document();
    const auto snapshot = config::Snapshot::Compile(document, nullptr, kMondayNoon);
    if (!snapshot) {
      ASSERT_NE(snapshot.error().message.find("ties with"), std::string::npos) << snapshot.error().message;
      continue;
    }
    ++compiled;
    for (int i = 0; i < 30; ++i) {
      const Facts facts = world.Request();
      const Answer expected = Oracle(document, facts).Run();
      std::vector<ExplainStep> steps;
      const Resolution resolution = Resolve(**snapshot, facts, i % 2 == 0 ? &steps : nullptr);
      Answer actual;
      actual.kind = resolution.kind == Resolution::Kind::kRules        ? "rules"
                    : resolution.kind == Resolution::Kind::kExempt     ? "exempt"
                    : resolution.kind == Resolution::Kind::kChallenged ? "challenged"
                                                                       : "blocked";
      for (const config::Rule* rule : resolution.rules) {
        ASSERT_TRUE(actual.rules.emplace(rule->path).second) << "listed twice: " << rule->path;
      }
      ASSERT_EQ(actual.kind, expected.kind) << Show(facts, seed);
      ASSERT_EQ(actual.rules, expected.rules) << Show(facts, seed);
      kinds.insert(actual.kind);
      most_rules = std::max(most_rules, actual.rules.size());
    }
  }
  EXPECT_GT(compiled, 2'000);
  EXPECT_EQ(kinds.size(), 4u);
  EXPECT_GE(most_rules, 6u);
}

}  // namespace
}  // namespace weir::engine
