#include "management/auth/permissions.h"

#include <algorithm>
#include <cstddef>
#include <initializer_list>

namespace weir::management {
namespace {

constexpr std::array<std::string_view, kVerbs> kVerbNames = {"read",  "create",   "update",  "delete", "rotate",
                                                             "reset", "rollback", "approve", "export", "run"};
constexpr std::array<std::string_view, kResources> kResourceNames = {
    "tiers",     "tenants",   "users",  "endpoints", "ip-rules",  "keys",      "templates", "exemptions",
    "bans",      "lists",     "quotas", "domains",   "overrides", "penalties", "counters",  "revisions",
    "rollouts",  "approvals", "audit",  "accounts",  "sessions",  "tokens",    "roles",     "stats",
    "instances", "stores",    "jobs",   "config",    "explain",   "simulate",  "metrics"};

using Verbs = std::uint16_t;  // a bit for each
static_assert(kVerbs <= 16);

constexpr Verbs Bit(Verb verb) { return static_cast<Verbs>(1U << static_cast<unsigned>(verb)); }
constexpr Verbs Of(std::initializer_list<Verb> verbs) {
  Verbs bits = 0;
  for (const Verb verb : verbs) bits = static_cast<Verbs>(bits | Bit(verb));
  return bits;
}

constexpr Verbs kLook = Of({Verb::kRead});
constexpr Verbs kWrite = Of({Verb::kRead, Verb::kCreate, Verb::kUpdate, Verb::kDelete});
constexpr Verbs kAll = static_cast<Verbs>((1U << kVerbs) - 1);

// What the policy, its entities and its effects look like; nothing of this is secret or about people.
using R = Resource;
constexpr std::initializer_list<Resource> kPolicy = {
    R::kTiers,      R::kTenants,  R::kUsers,     R::kEndpoints, R::kIpRules,   R::kTemplates,
    R::kExemptions, R::kBans,     R::kLists,     R::kQuotas,    R::kDomains,   R::kOverrides,
    R::kPenalties,  R::kCounters, R::kRevisions, R::kRollouts,  R::kApprovals, R::kStats,
    R::kInstances,  R::kStores,   R::kJobs,      R::kConfig,    R::kMetrics,   R::kRoles};

class Table {
 public:
  constexpr Table() {
    // Sees limits and what they do.
    Give(Role::kViewer, kLook, kPolicy);
    Give(Role::kViewer, kLook, {R::kKeys});
    Give(Role::kViewer, Of({Verb::kRun}), {R::kExplain});

    // Keeps traffic flowing: blocks, lets through, lends until Friday, mends counters. Does not change the policy.
    Inherit(Role::kOperator, Role::kViewer);
    Give(Role::kOperator, kWrite, {R::kBans, R::kLists, R::kOverrides});
    Give(Role::kOperator, Of({Verb::kUpdate, Verb::kReset}), {R::kCounters});
    Give(Role::kOperator, Of({Verb::kReset, Verb::kDelete}), {R::kPenalties});
    Give(Role::kOperator, Of({Verb::kRun}), {R::kSimulate, R::kJobs, R::kConfig});

    // Writes the policy and its entities, and issues keys to subscribers.
    Inherit(Role::kEditor, Role::kOperator);
    Give(Role::kEditor, kWrite,
         {R::kTiers, R::kTenants, R::kUsers, R::kEndpoints, R::kIpRules, R::kTemplates, R::kExemptions, R::kQuotas,
          R::kDomains, R::kRollouts, R::kConfig});
    Give(Role::kEditor, kWrite | Of({Verb::kRotate}), {R::kKeys});
    Give(Role::kEditor, Of({Verb::kCreate, Verb::kUpdate, Verb::kRollback}), {R::kRevisions});
    Give(Role::kEditor, Of({Verb::kApprove}), {R::kApprovals});
    Give(Role::kEditor, Of({Verb::kExport}), {R::kConfig});

    // Answers attacks and leaks: blocks, looks into the audit log, revokes credentials. Issues none.
    Inherit(Role::kSecurity, Role::kViewer);
    Give(Role::kSecurity, kWrite, {R::kBans, R::kLists, R::kIpRules, R::kExemptions});
    Give(Role::kSecurity, Of({Verb::kReset, Verb::kDelete}), {R::kPenalties});
    Give(Role::kSecurity, Of({Verb::kRun}), {R::kSimulate, R::kConfig});
    Give(Role::kSecurity, Of({Verb::kRead, Verb::kExport}), {R::kAudit});
    Give(Role::kSecurity, Of({Verb::kRead, Verb::kDelete}), {R::kTokens, R::kSessions, R::kKeys});
    Give(Role::kSecurity, kLook, {R::kAccounts});
    Give(Role::kSecurity, Of({Verb::kApprove}), {R::kApprovals});

    // Reads what happened and who could have done it. Cannot look at traffic or change anything.
    Give(Role::kAuditor, Of({Verb::kRead, Verb::kExport}), {R::kAudit});
    Give(Role::kAuditor, kLook,
         {R::kRevisions, R::kRollouts, R::kApprovals, R::kAccounts, R::kTokens, R::kSessions, R::kRoles});

    for (std::size_t resource = 0; resource < kResources; ++resource) cells_[At(Role::kAdmin)][resource] = kAll;
    // Nobody changes what has been recorded.
    Set(Role::kAdmin, R::kAudit, Of({Verb::kRead, Verb::kExport}));
  }

  constexpr Verbs Get(Role role, Resource resource) const { return cells_[At(role)][At(resource)]; }

 private:
  template <typename E>
  static constexpr std::size_t At(E value) {
    return static_cast<std::size_t>(value);
  }
  constexpr void Set(Role role, Resource resource, Verbs verbs) { cells_[At(role)][At(resource)] = verbs; }
  constexpr void Give(Role role, Verbs verbs, std::initializer_list<Resource> resources) {
    for (const Resource resource : resources) {
      Set(role, resource, static_cast<Verbs>(cells_[At(role)][At(resource)] | verbs));
    }
  }
  constexpr void Inherit(Role role, Role from) { cells_[At(role)] = cells_[At(from)]; }

  std::array<std::array<Verbs, kResources>, kAllRoles.size()> cells_{};
};

constexpr Table kPermissions;

// Whether what holds in `grant` holds for an object of these tenants.
bool Covers(std::string_view grant, std::span<const std::string_view> tenants) {
  return grant.empty() || std::ranges::find(tenants, grant) != tenants.end();
}

}  // namespace

std::string_view NameOf(Verb verb) { return kVerbNames.at(static_cast<std::size_t>(verb)); }

std::optional<Verb> VerbNamed(std::string_view name) {
  const auto found = std::ranges::find(kVerbNames, name);
  if (found == kVerbNames.end()) return std::nullopt;
  return static_cast<Verb>(found - kVerbNames.begin());
}

std::string_view NameOf(Resource resource) { return kResourceNames.at(static_cast<std::size_t>(resource)); }

std::optional<Resource> ResourceNamed(std::string_view name) {
  const auto found = std::ranges::find(kResourceNames, name);
  if (found == kResourceNames.end()) return std::nullopt;
  return static_cast<Resource>(found - kResourceNames.begin());
}

std::string PermissionText(Verb verb, Resource resource) {
  return std::string(NameOf(verb)).append(":").append(NameOf(resource));
}

bool RoleAllows(Role role, Verb verb, Resource resource) { return (kPermissions.Get(role, resource) & Bit(verb)) != 0; }

bool Allowed(const Principal& principal, Verb verb, Resource resource, std::string_view tenant) {
  if (tenant.empty()) return Allowed(principal, verb, resource, std::span<const std::string_view>());
  return Allowed(principal, verb, resource, std::span(&tenant, 1));
}

bool Allowed(const Principal& principal, Verb verb, Resource resource, std::span<const std::string_view> tenants) {
  if (!Covers(principal.tenant, tenants)) return false;
  return std::ranges::any_of(principal.roles, [&](const RoleGrant& grant) {
    return RoleAllows(grant.role, verb, resource) && Covers(grant.tenant, tenants);
  });
}

Reach ReachOf(const Principal& principal, Verb verb, Resource resource) {
  Reach reach;
  for (const RoleGrant& grant : principal.roles) {
    if (!RoleAllows(grant.role, verb, resource)) continue;
    if (grant.tenant.empty() && principal.tenant.empty()) return {.everywhere = true, .tenants = {}};
    // A grant within another tenant than the principal's may lie below it in the tree. Only the tree can tell, and
    // lists must not show too much: it counts where it stands for itself, with the principal's own tenant.
    if (grant.tenant.empty() || grant.tenant == principal.tenant) {
      reach.tenants.push_back(principal.tenant);
    } else if (principal.tenant.empty()) {
      reach.tenants.push_back(grant.tenant);
    }
  }
  std::ranges::sort(reach.tenants);
  const auto [first, last] = std::ranges::unique(reach.tenants);
  reach.tenants.erase(first, last);
  return reach;
}

bool MayGrant(const Principal& principal, Verb verb, Resource resource, const RoleGrant& grant) {
  if (!Allowed(principal, verb, resource, grant.tenant)) return false;
  for (std::size_t r = 0; r < kResources; ++r) {
    for (std::size_t v = 0; v < kVerbs; ++v) {
      const auto given_verb = static_cast<Verb>(v);
      const auto given_resource = static_cast<Resource>(r);
      if (RoleAllows(grant.role, given_verb, given_resource) &&
          !Allowed(principal, given_verb, given_resource, grant.tenant)) {
        return false;
      }
    }
  }
  return true;
}

std::string MissingPermission(const Principal& principal, Verb verb, Resource resource, std::string_view tenant) {
  std::string text = "this needs the permission " + PermissionText(verb, resource);
  if (!tenant.empty()) text.append(" in tenant ").append(tenant);
  text.append("; ").append(principal.name).append(" has ");
  text += principal.roles.empty() ? "no role" : TextOf(principal.roles);
  if (!principal.tenant.empty()) text.append(", within tenant ").append(principal.tenant).append(" only");
  return text;
}

std::vector<std::string> PermissionsOf(Role role) {
  std::vector<std::string> permissions;
  for (std::size_t r = 0; r < kResources; ++r) {
    for (std::size_t v = 0; v < kVerbs; ++v) {
      const auto verb = static_cast<Verb>(v);
      const auto resource = static_cast<Resource>(r);
      if (RoleAllows(role, verb, resource)) permissions.push_back(PermissionText(verb, resource));
    }
  }
  return permissions;
}

}  // namespace weir::management
