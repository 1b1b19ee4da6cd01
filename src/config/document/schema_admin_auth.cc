#include "config/document/schema.h"

namespace weir::config {
namespace {

Ref<std::vector<std::string>> Roles() {
  return ListOf(Text({"^(viewer|operator|editor|security|admin|auditor)(@[^\\x00-\\x20\\x7f]+)?$",
                      "viewer, operator, editor, security, admin or auditor, or one of these and @TENANT", "role"}));
}
Ref<std::string> Url() { return Text({R"(^https?://[!#-\[\]-~]+$)", "a URL that begins with https://", "URL"}); }
Ref<std::string> Claim() { return Text({"^[^\\x00-\\x1f\\x7f]{1,256}$", "the name of a claim", "claim"}); }

Ref<ClaimsConfig> ClaimsType() {
  static const Ref<ClaimsConfig> type = [] {
    auto record = std::make_shared<Record<ClaimsConfig>>("claims", "How the claims of a token become a principal.");
    record
        ->With("name_claim", &ClaimsConfig::name_claim, Opt(Claim()), "Its name, in revisions and the audit log.",
               "`sub` of tokens; `email`, which has to be verified, of people")
        .With("roles_claim", &ClaimsConfig::roles_claim, Opt(Claim()),
              "Where its groups or roles are: `groups`, `realm_access.roles`.", "none: all have `default_roles`")
        .With("roles", &ClaimsConfig::roles, MapOf(Roles(), NameRule("value of the claim")),
              "What each value of that claim gives: `editor`, or `editor@acme` within one tenant. A value that is not "
              "here gives nothing.",
              "none")
        .With("default_roles", &ClaimsConfig::default_roles, Roles(), "What everybody of this issuer has.", "none")
        .With("tenant_claim", &ClaimsConfig::tenant_claim, Opt(Claim()),
              "This claim has to be one text: nothing then reaches beyond the tenant of that name.", "not confined");
    return record;
  }();
  return type;
}

Ref<TokenIssuerConfig> TokenIssuerType() {
  auto record = std::make_shared<Record<TokenIssuerConfig>>(
      "token_issuer", "An issuer of JSON Web Tokens that are accepted as `Authorization: Bearer`.");
  record
      ->Requires("issuer", &TokenIssuerConfig::issuer, Text({"^[^\\x00-\\x20\\x7f]+$", "a URL or a name", "text"}),
                 "`iss` of its tokens, byte by byte.")
      .Requires("jwks_url", &TokenIssuerConfig::jwks_url, Url(),
                "Where its keys are: https, or http to a loopback address.")
      .Requires("audiences", &TokenIssuerConfig::audiences, ListOf(Text(NameRule("audience"))),
                "`aud` of a token has to name one of these.")
      .With("algorithms", &TokenIssuerConfig::algorithms, ListOf(Word({"RS256", "ES256", "EdDSA"})),
            "What its signatures may be.", "`RS256`, `ES256`, `EdDSA`")
      .With("claims", &TokenIssuerConfig::claims, ClaimsType(), "Who a token stands for.");
  return record;
}

Ref<OidcConfig> OidcType() {
  auto record = std::make_shared<Record<OidcConfig>>(
      "oidc",
      "An OpenID provider, where people log in: `GET /admin/v1/oidc/login` in a browser. The provider is given "
      "`PUBLIC_URL/admin/v1/oidc/callback`, and `PUBLIC_URL/admin/v1/oidc/logout` for back-channel logout.");
  record
      ->Requires("issuer", &OidcConfig::issuer, Url(),
                 "Its endpoints are asked for at `ISSUER/.well-known/openid-configuration`.")
      .Requires("client_id", &OidcConfig::client_id, Text(NameRule("text")), "What the provider calls weir.")
      .With("client_secret", &OidcConfig::client_secret, Opt(Text(SecretRule("text"))), "What it then asks for.",
            "none: a public client")
      .Requires("public_url", &OidcConfig::public_url, Url(),
                "Where browsers reach the admin listener: `https://weir.example.org`. Its host belongs into "
                "`server.admin.hosts` too.")
      .With("scopes", &OidcConfig::scopes, ListOf(Text(NameRule("scope"))), "What is asked for.",
            "`openid`, `profile`, `email`")
      .With("claims", &OidcConfig::claims, ClaimsType(), "Who a person is.");
  return record;
}

Ref<ClientCertificateConfig> ClientCertificateType() {
  auto record = std::make_shared<Record<ClientCertificateConfig>>(
      "client_certificate",
      "Whom a client certificate of `server.admin.tls.client_ca_file` stands for, where a request brings nothing "
      "else.");
  record
      ->Requires("match", &ClientCertificateConfig::match,
                 Text({"^(uri|dns|email):[^\\x00-\\x20\\x7f]+$", "uri:, dns: or email: and a name", "text"}),
                 "A name in its subjectAltName: `uri:spiffe://example.org/ops/deploy`, `dns:deploy.example.org`, "
                 "`email:ops@example.org`; `*` may stand for one whole segment.")
      .With("name", &ClientCertificateConfig::name, Opt(Text(NameRule("text"))), "Of the principal.",
            "the name in the certificate")
      .Requires("roles", &ClientCertificateConfig::roles, Roles(), "What it may do.")
      .With("tenant", &ClientCertificateConfig::tenant, Opt(Text(NameRule("tenant"))), "Nothing reaches beyond it.",
            "not confined");
  return record;
}

}  // namespace

Ref<AdminAuthConfig> AdminAuthType() {
  auto record = std::make_shared<Record<AdminAuthConfig>>(
      "admin_auth", "Who may administer, beside holders of weir's own tokens and accounts. A change holds at once.");
  record
      ->With("tokens", &AdminAuthConfig::tokens, ListOf<TokenIssuerConfig>(TokenIssuerType()),
             "Issuers whose tokens are accepted.", "none")
      .With("oidc", &AdminAuthConfig::oidc, Opt<OidcConfig>(OidcType()), "Where people log in.", "none")
      .With("certificates", &AdminAuthConfig::certificates, ListOf<ClientCertificateConfig>(ClientCertificateType()),
            "Whom client certificates stand for.", "none")
      .With("ca_file", &AdminAuthConfig::ca_file, Opt(Text({"^[^\\x00]+$", "a path", "path"})),
            "Authorities, PEM, that issuers' certificates are of.", "the machine's")
      .With("allowed_networks", &AdminAuthConfig::allowed_networks,
            ListOf(Text({"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$", "an address or a network such as 10.0.0.0/8", "network"})),
            "Networks that are not public, in which issuers may be asked nevertheless.", "none");
  return record;
}

}  // namespace weir::config
