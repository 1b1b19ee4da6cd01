// Who may administer, beside holders of weir's own tokens and accounts: people whom an OpenID provider knows, holders
// of somebody else's tokens (JWT), and client certificates. Part of the document: `server.admin_auth`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weir {

// How the claims of a token become a principal. A role is written "editor", or "editor@acme" to hold within that
// tenant.
struct ClaimsConfig {
  std::optional<std::string> name_claim = {};  // none: "sub" of tokens, "email" (verified) of people
  // "groups", "realm_access.roles"; none: everybody of this issuer has default_roles, and those alone.
  std::optional<std::string> roles_claim = {};
  std::map<std::string, std::vector<std::string>> roles =
      {};  // by a value of that claim; a value not here gives nothing
  std::vector<std::string> default_roles = {};
  // This claim has to be one text, and nothing reaches beyond the tenant of that name; none: not confined.
  std::optional<std::string> tenant_claim = {};
  friend bool operator==(const ClaimsConfig&, const ClaimsConfig&) = default;
};
// Tokens of this issuer are accepted as `Authorization: Bearer`.
struct TokenIssuerConfig {
  std::string issuer = {};                  // `iss` has to be this, byte by byte
  std::string jwks_url = {};                // https, or http to a loopback address
  std::vector<std::string> audiences = {};  // `aud` has to name one of these
  std::vector<std::string> algorithms = {"RS256", "ES256", "EdDSA"};
  ClaimsConfig claims;
  friend bool operator==(const TokenIssuerConfig&, const TokenIssuerConfig&) = default;
};
// People log in there, by GET /admin/v1/oidc/login in a browser.
struct OidcConfig {
  std::string issuer = {};  // its endpoints are asked for at ISSUER/.well-known/openid-configuration
  std::string client_id = {};
  std::optional<std::string> client_secret = {};  // none: a public client, which PKCE alone protects
  std::string public_url = {};                    // where browsers reach this listener: "https://weir.example.org"
  std::vector<std::string> scopes = {"openid", "profile", "email"};
  ClaimsConfig claims;
  friend bool operator==(const OidcConfig&, const OidcConfig&) = default;
};
// Whom a client certificate of server.admin.tls.client_ca_file stands for.
struct ClientCertificateConfig {
  std::string match = {};  // of subjectAltName: "uri:spiffe://example.org/ops/*", "dns:deploy.example.org", "email:..."
  std::optional<std::string> name = {};  // of the principal; none: the name in the certificate
  std::vector<std::string> roles = {};
  std::optional<std::string> tenant = {};  // nothing reaches beyond it
  friend bool operator==(const ClientCertificateConfig&, const ClientCertificateConfig&) = default;
};
struct AdminAuthConfig {
  std::vector<TokenIssuerConfig> tokens = {};
  std::optional<OidcConfig> oidc = {};
  std::vector<ClientCertificateConfig> certificates = {};
  // For what is asked of issuers: authorities beside the machine's (PEM; none: the machine's), and networks that are
  // not public, where they may be nevertheless.
  std::optional<std::string> ca_file = {};
  std::vector<std::string> allowed_networks = {};
  friend bool operator==(const AdminAuthConfig&, const AdminAuthConfig&) = default;
};

}  // namespace weir
