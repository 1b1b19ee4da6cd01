// Who may do what: one table from roles to permissions. A permission is a verb and a resource, "update:users". What the
// table does not give is denied.
//
// An object belongs to a tenant or to none. A role within a tenant reaches that tenant's objects and nothing else; it
// says nothing of objects that belong to no tenant. Where tenants form a tree, the caller names the object's tenant and
// its ancestors: a role within an organisation reaches its teams.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "management/auth/principal.h"

namespace weir::management {

enum class Verb : std::uint8_t {
  kRead,    // get, list
  kCreate,  // also to import
  kUpdate,  // put, patch; counters: set, refund
  kDelete,  // also to revoke
  kRotate,
  kReset,
  kRollback,
  kApprove,
  kExport,
  kRun,  // a job; explain, simulate, config/validate
};
inline constexpr std::size_t kVerbs = 10;
std::string_view NameOf(Verb verb);  // "read", "create", ...
std::optional<Verb> VerbNamed(std::string_view name);

// Named as the routes are: "ip-rules".
enum class Resource : std::uint8_t {
  kTiers,
  kTenants,
  kUsers,
  kEndpoints,
  kIpRules,
  kKeys,
  kTemplates,
  kExemptions,
  kBans,
  kLists,
  kQuotas,
  kDomains,
  kOverrides,
  kPenalties,
  kCounters,
  kRevisions,
  kRollouts,
  kApprovals,
  kAudit,
  kAccounts,
  kSessions,
  kTokens,
  kRoles,
  kStats,
  kInstances,
  kStores,
  kJobs,
  kConfig,
  kExplain,
  kSimulate,
  kMetrics,
};
inline constexpr std::size_t kResources = 31;
std::string_view NameOf(Resource resource);
std::optional<Resource> ResourceNamed(std::string_view name);

// "update:users"
std::string PermissionText(Verb verb, Resource resource);

// Whether the role has the permission, wherever it is granted.
bool RoleAllows(Role role, Verb verb, Resource resource);

// `tenant`: what the object belongs to; empty: no tenant.
bool Allowed(const Principal& principal, Verb verb, Resource resource, std::string_view tenant);
// The same for tenants that form a tree: the object's tenant first, then its ancestors. Empty: no tenant.
bool Allowed(const Principal& principal, Verb verb, Resource resource, std::span<const std::string_view> tenants);

// Where a principal has a permission: what a list may show.
struct Reach {
  bool everywhere = false;
  std::vector<std::string> tenants{};  // without `everywhere`: in these; none: nowhere
};
Reach ReachOf(const Principal& principal, Verb verb, Resource resource);

// Whether `principal` may hand out that role, in a token or an account: it has verb:resource where the grant holds, and
// every permission that the grant gives, there. Nobody makes a credential that may do more than itself. (Of a tree of
// tenants: whose role is within an organisation grants roles within that organisation, not within its teams.)
bool MayGrant(const Principal& principal, Verb verb, Resource resource, const RoleGrant& grant);

// For a 403: "this needs the permission update:users in tenant acme; ops has viewer".
std::string MissingPermission(const Principal& principal, Verb verb, Resource resource, std::string_view tenant);

// All permissions of a role, sorted by resource, for documentation and GET /admin/v1/roles.
std::vector<std::string> PermissionsOf(Role role);

}  // namespace weir::management
