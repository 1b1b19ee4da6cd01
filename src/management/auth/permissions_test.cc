#include "management/auth/permissions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace weir::management {
namespace {

Principal With(std::vector<RoleGrant> roles, std::string tenant = "") {
  return {.name = "ops",
          .kind = PrincipalKind::kService,
          .roles = std::move(roles),
          .tenant = std::move(tenant),
          .method = AuthMethod::kToken,
          .credential = "tok_1"};
}

struct Row {
  Verb verb;
  Resource resource;
  const char* roles;  // v o e s a(dmin) u(auditor): who may
};

// Written by hand beside the table: what must hold whatever the table's author meant.
constexpr Row kRows[] = {
    {Verb::kRead, Resource::kUsers, "voesa"},      {Verb::kUpdate, Resource::kUsers, "ea"},
    {Verb::kDelete, Resource::kTenants, "ea"},     {Verb::kCreate, Resource::kBans, "oesa"},
    {Verb::kCreate, Resource::kOverrides, "oea"},  {Verb::kUpdate, Resource::kEndpoints, "ea"},
    {Verb::kUpdate, Resource::kIpRules, "esa"},    {Verb::kReset, Resource::kCounters, "oea"},
    {Verb::kReset, Resource::kPenalties, "oesa"},  {Verb::kRead, Resource::kCounters, "voesa"},
    {Verb::kCreate, Resource::kKeys, "ea"},        {Verb::kRotate, Resource::kKeys, "ea"},
    {Verb::kDelete, Resource::kKeys, "esa"},       {Verb::kRollback, Resource::kRevisions, "ea"},
    {Verb::kRead, Resource::kRevisions, "voesau"}, {Verb::kApprove, Resource::kApprovals, "esa"},
    {Verb::kRead, Resource::kAudit, "sau"},        {Verb::kExport, Resource::kAudit, "sau"},
    {Verb::kDelete, Resource::kAudit, ""},         {Verb::kUpdate, Resource::kAudit, ""},
    {Verb::kCreate, Resource::kTokens, "a"},       {Verb::kDelete, Resource::kTokens, "sa"},
    {Verb::kRead, Resource::kTokens, "sau"},       {Verb::kCreate, Resource::kAccounts, "a"},
    {Verb::kRead, Resource::kAccounts, "sau"},     {Verb::kDelete, Resource::kSessions, "sa"},
    {Verb::kRun, Resource::kExplain, "voesa"},     {Verb::kRun, Resource::kSimulate, "oesa"},
    {Verb::kUpdate, Resource::kConfig, "ea"},      {Verb::kRead, Resource::kConfig, "voesa"},
    {Verb::kRead, Resource::kStats, "voesa"},      {Verb::kRead, Resource::kStores, "voesa"},
};

char LetterOf(Role role) {
  switch (role) {
    case Role::kViewer:
      return 'v';
    case Role::kOperator:
      return 'o';
    case Role::kEditor:
      return 'e';
    case Role::kSecurity:
      return 's';
    case Role::kAdmin:
      return 'a';
    case Role::kAuditor:
      return 'u';
  }
  return '?';
}

TEST(Permissions, EachRoleMayWhatItShouldAndNothingElse) {
  for (const Row& row : kRows) {
    for (const Role role : kAllRoles) {
      const bool may = std::string_view(row.roles).find(LetterOf(role)) != std::string_view::npos;
      EXPECT_EQ(Allowed(With({{role, ""}}), row.verb, row.resource, ""), may)
          << NameOf(role) << " " << PermissionText(row.verb, row.resource);
      EXPECT_EQ(Allowed(With({{role, ""}}), row.verb, row.resource, "acme"), may);
      EXPECT_EQ(Allowed(With({{role, "acme"}}), row.verb, row.resource, "acme"), may);
      EXPECT_FALSE(Allowed(With({{role, "acme"}}), row.verb, row.resource, "other"));
      EXPECT_FALSE(Allowed(With({{role, "acme"}}), row.verb, row.resource, ""));
      EXPECT_FALSE(Allowed(With({{role, ""}}, "acme"), row.verb, row.resource, "other"));
      EXPECT_FALSE(Allowed(With({{role, ""}}, "acme"), row.verb, row.resource, ""));
      EXPECT_EQ(Allowed(With({{role, ""}}, "acme"), row.verb, row.resource, "acme"), may);
    }
    EXPECT_FALSE(Allowed(With({}), row.verb, row.resource, ""));
  }
}

TEST(Permissions, NobodyButAdminWritesWhoMayWhat) {
  for (const Role role : kAllRoles) {
    if (role == Role::kAdmin) continue;
    for (const Resource resource : {Resource::kTokens, Resource::kAccounts, Resource::kRoles}) {
      EXPECT_FALSE(RoleAllows(role, Verb::kCreate, resource)) << NameOf(role);
      EXPECT_FALSE(RoleAllows(role, Verb::kUpdate, resource)) << NameOf(role);
    }
  }
}

TEST(Permissions, AuditorReadsOnly) {
  for (const std::string& permission : PermissionsOf(Role::kAuditor)) {
    EXPECT_TRUE(permission.starts_with("read:") || permission == "export:audit") << permission;
  }
}

TEST(Permissions, NamesReadBack) {
  for (std::size_t i = 0; i < kVerbs; ++i) EXPECT_EQ(VerbNamed(NameOf(static_cast<Verb>(i))), static_cast<Verb>(i));
  for (std::size_t i = 0; i < kResources; ++i) {
    EXPECT_EQ(ResourceNamed(NameOf(static_cast<Resource>(i))), static_cast<Resource>(i));
  }
  for (const Role role : kAllRoles) EXPECT_EQ(RoleNamed(NameOf(role)), role);
  EXPECT_EQ(VerbNamed("READ"), std::nullopt);
  EXPECT_EQ(ResourceNamed("ip_rules"), std::nullopt);
  EXPECT_EQ(ResourceNamed("ip-rules"), Resource::kIpRules);
}

TEST(Permissions, TenantsFormATree) {
  const Principal organisation = With({{Role::kEditor, "acme"}});
  const std::string_view path[] = {"acme-team", "acme"};
  EXPECT_TRUE(Allowed(organisation, Verb::kUpdate, Resource::kUsers, path));
  const Principal team = With({{Role::kEditor, "acme-team"}});
  const std::string_view root[] = {"acme"};
  EXPECT_FALSE(Allowed(team, Verb::kUpdate, Resource::kUsers, root));
  // A principal that is confined to a tenant stays in it, whatever its roles are.
  EXPECT_TRUE(Allowed(With({{Role::kEditor, "acme"}}, "acme-team"), Verb::kUpdate, Resource::kUsers, path));
  EXPECT_FALSE(Allowed(With({{Role::kEditor, "acme"}}, "acme-team"), Verb::kUpdate, Resource::kUsers, root));
}

TEST(Permissions, ListsShowWhatIsReached) {
  EXPECT_TRUE(ReachOf(With({{Role::kViewer, ""}}), Verb::kRead, Resource::kUsers).everywhere);
  const Reach two = ReachOf(With({{Role::kViewer, "b"}, {Role::kEditor, "a"}, {Role::kOperator, "b"}}), Verb::kRead,
                            Resource::kUsers);
  EXPECT_FALSE(two.everywhere);
  EXPECT_EQ(two.tenants, (std::vector<std::string>{"a", "b"}));
  const Reach confined = ReachOf(With({{Role::kAdmin, ""}}, "acme"), Verb::kRead, Resource::kUsers);
  EXPECT_FALSE(confined.everywhere);
  EXPECT_EQ(confined.tenants, std::vector<std::string>{"acme"});
  EXPECT_TRUE(ReachOf(With({{Role::kAdmin, "a"}}, "b"), Verb::kRead, Resource::kUsers).tenants.empty());
  EXPECT_TRUE(ReachOf(With({{Role::kViewer, "a"}}), Verb::kRead, Resource::kAudit).tenants.empty());
}

TEST(Permissions, NobodyGrantsMoreThanItsOwn) {
  const Principal admin = With({{Role::kAdmin, ""}});
  for (const Role role : kAllRoles) {
    EXPECT_TRUE(MayGrant(admin, Verb::kCreate, Resource::kTokens, {role, ""}));
    EXPECT_TRUE(MayGrant(admin, Verb::kCreate, Resource::kTokens, {role, "acme"}));
    EXPECT_TRUE(MayGrant(With({{Role::kAdmin, "acme"}}), Verb::kCreate, Resource::kTokens, {role, "acme"}));
    EXPECT_FALSE(MayGrant(With({{Role::kAdmin, "acme"}}), Verb::kCreate, Resource::kTokens, {role, ""}));
    EXPECT_FALSE(MayGrant(With({{Role::kAdmin, "acme"}}), Verb::kCreate, Resource::kTokens, {role, "other"}));
    EXPECT_FALSE(MayGrant(With({{Role::kAdmin, ""}}, "acme"), Verb::kCreate, Resource::kTokens, {role, ""}));
    EXPECT_FALSE(MayGrant(With({{Role::kSecurity, ""}}), Verb::kCreate, Resource::kTokens, {role, ""}));
  }
}

TEST(Permissions, ARefusalNamesWhatIsMissing) {
  EXPECT_EQ(MissingPermission(With({{Role::kViewer, ""}}), Verb::kUpdate, Resource::kUsers, "acme"),
            "this needs the permission update:users in tenant acme; ops has viewer");
  EXPECT_EQ(MissingPermission(With({}), Verb::kRead, Resource::kAudit, ""),
            "this needs the permission read:audit; ops has no role");
  EXPECT_EQ(MissingPermission(With({{Role::kAdmin, ""}}, "acme"), Verb::kRead, Resource::kStores, ""),
            "this needs the permission read:stores; ops has admin, within tenant acme only");
}

// A row a resource, a column a role, as docs/access.md shows it.
std::string TableOfPermissions() {
  std::string table = "| |";
  for (const Role role : kAllRoles) table.append(" `").append(NameOf(role)).append("` |");
  table += "\n| --- |";
  for (std::size_t i = 0; i < kAllRoles.size(); ++i) table += " --- |";
  for (std::size_t r = 0; r < kResources; ++r) {
    const auto resource = static_cast<Resource>(r);
    table.append("\n| `").append(NameOf(resource)).append("` |");
    for (const Role role : kAllRoles) {
      std::string verbs;
      std::size_t count = 0;
      for (std::size_t v = 0; v < kVerbs; ++v) {
        const auto verb = static_cast<Verb>(v);
        if (!RoleAllows(role, verb, resource)) continue;
        ++count;
        verbs.append(verbs.empty() ? " " : ", ").append(NameOf(verb));
      }
      table.append(count == kVerbs ? " all" : verbs).append(" |");
    }
  }
  return table + "\n";
}

TEST(Permissions, TheManualShowsThem) {
  std::ostringstream manual;
  manual << std::ifstream(WEIR_DOCS "/access.md").rdbuf();
  EXPECT_NE(manual.str().find(TableOfPermissions()), std::string::npos) << "docs/access.md should contain:\n"
                                                                        << TableOfPermissions();
}

TEST(Principal, GrantsReadBack) {
  const std::vector<RoleGrant> grants = {{Role::kViewer, ""}, {Role::kEditor, "acme, inc. 100%"}, {Role::kAdmin, "b"}};
  EXPECT_EQ(TextOf(grants), "viewer editor@acme%2c%20inc.%20100%25 admin@b");
  EXPECT_EQ(ParseGrants(TextOf(grants)).value(), grants);
  EXPECT_EQ(ParseGrants(" viewer,,operator@x ").value(),
            (std::vector<RoleGrant>{{Role::kViewer, ""}, {Role::kOperator, "x"}}));
  for (const char* bad : {"root", "viewer@", "viewer@%2", "viewer@%zz", "@acme", "viewer viewer", "Viewer"}) {
    EXPECT_FALSE(ParseGrants(bad)) << bad;
  }
}

TEST(Principal, NamesThatDeceiveAreRefused) {
  EXPECT_TRUE(CheckName("the name", "Zoë Ångström (ops)"));
  EXPECT_TRUE(CheckName("the name", std::string(128, 'a')));
  for (const std::string bad : {"", " a", "a ", "a\nb", "a\tb", "a\x7f", "\xff", "adm\xe2\x80\x8bin",
                                "\xe2\x80\xae"
                                "nimda",
                                "\xef\xbb\xbf"
                                "admin",
                                "\xc2\x85"}) {
    EXPECT_FALSE(CheckName("the name", bad)) << bad;
  }
  EXPECT_FALSE(CheckName("the name", std::string(129, 'a')));
  EXPECT_FALSE(CheckName("the name", std::string("a\0b", 3)));
}

}  // namespace
}  // namespace weir::management
