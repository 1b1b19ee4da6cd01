#include <algorithm>
#include <array>
#include <set>

#include "base/address.h"
#include "config/validate/validate.h"

namespace weir::config {
namespace {

// The host in "https://host:port/path", an address in brackets with them.
std::string_view HostOf(std::string_view url) {
  url.remove_prefix(url.find("://") + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  if (url.starts_with('[')) return url.substr(0, url.find(']') == std::string_view::npos ? 0 : url.find(']') + 1);
  return url.substr(0, url.find(':'));
}

bool IsLoopbackHost(std::string_view host) { return host == "localhost" || host == "[::1]" || host == "127.0.0.1"; }

// What is asked for keys, or sends people here, must not be changed on the way. As CheckIssuerUrl() of
// management/auth/key_source.h has it.
void CheckUrl(const Place& place, const std::string& url, ValidationFaults& faults) {
  if (!url.starts_with("https://") && !url.starts_with("http://")) return;  // told already
  const std::string_view host = HostOf(url);
  if (host.empty()) return faults.Error(place, Quoted(url) + " names no host");
  if (url.size() > 2'000) return faults.Error(place, "is longer than 2000 bytes");
  const std::string_view authority = std::string_view(url).substr(0, url.find_first_of("/?#", url.find("://") + 3));
  if (authority.find('@') != std::string_view::npos) {
    return faults.Error(place, "must not contain a user or a password");
  }
  if (url.starts_with("http://") && !IsLoopbackHost(host)) {
    faults.Error(place, "must begin with https://: whoever is on the way could answer as they like",
                 "http:// is possible to this machine only");
  }
}

void CheckClaims(const Place& place, const ClaimsConfig& claims, ValidationFaults& faults) {
  if (claims.default_roles.empty() && claims.roles.empty()) {
    faults.Warn(place, "gives nobody a role: who logs in may do nothing",
                "write roles_claim and roles, or default_roles");
  }
  if (!claims.roles.empty() && !claims.roles_claim) {
    faults.Error(place.Below("roles"), "has no effect without roles_claim",
                 "write where the values are, such as roles_claim: groups");
  }
  const auto admin = [](const std::string& role) { return role == "admin"; };
  if (std::ranges::any_of(claims.default_roles, admin)) {
    faults.Warn(place.Below("default_roles"), "makes everybody whom this issuer knows an admin");
  }
}

// As CheckRule() of management/auth/mtls.h has it, which says why.
void CheckMatch(const Place& place, const std::string& match, ValidationFaults& faults) {
  const std::size_t colon = match.find(':');
  if (colon == std::string::npos || match.find('*') == std::string::npos) return;
  const std::string_view type = std::string_view(match).substr(0, colon);
  const std::string_view pattern = std::string_view(match).substr(colon + 1);
  const std::size_t star = pattern.find('*');
  const char separator = type == "uri" ? '/' : '.';
  if (type == "email") return faults.Error(place, "'*' is not possible in an e-mail address");
  if (pattern.find('*', star + 1) != std::string_view::npos) return faults.Error(place, "has at most one '*'");
  const bool begins = star == 0 || pattern[star - 1] == separator;
  const bool ends = star + 1 == pattern.size() || pattern[star + 1] == separator;
  if (!begins || !ends || pattern.size() == 1) return faults.Error(place, "'*' must stand for one whole segment");
  if (type != "uri") return;
  const std::size_t host = pattern.find("://");
  const std::size_t path = host == std::string_view::npos ? host : pattern.find('/', host + 3);
  if (path == std::string_view::npos || star < path) faults.Error(place, "'*' must stand behind the host of a URI");
}

}  // namespace

void CheckAdminAuth(const Place& place, const AdminAuthConfig& auth, const ListenerConfig& admin,
                    ValidationFaults& faults) {
  std::set<std::string_view> issuers;
  const Place tokens = place.Below("tokens");
  for (std::size_t i = 0; i < auth.tokens.size(); ++i) {
    const TokenIssuerConfig& one = auth.tokens[i];
    const std::string index = std::to_string(i);
    const Place here = tokens.Below(index);
    CheckUrl(here.Below("jwks_url"), one.jwks_url, faults);
    CheckClaims(here.Below("claims"), one.claims, faults);
    if (!issuers.insert(one.issuer).second) faults.Error(here.Below("issuer"), Quoted(one.issuer) + " is there twice");
    if (one.audiences.empty()) {
      faults.Error(here.Below("audiences"), "is empty: no token would be accepted",
                   "write what `aud` of its tokens says");
    }
    if (one.algorithms.empty()) faults.Error(here.Below("algorithms"), "is empty: no token would be accepted");
  }
  if (auth.oidc) {
    const Place here = place.Below("oidc");
    CheckUrl(here.Below("issuer"), auth.oidc->issuer, faults);
    CheckUrl(here.Below("public_url"), auth.oidc->public_url, faults);
    CheckClaims(here.Below("claims"), auth.oidc->claims, faults);
    if (std::ranges::find(auth.oidc->scopes, "openid") == auth.oidc->scopes.end()) {
      faults.Error(here.Below("scopes"), "must contain openid: without it the provider names nobody");
    }
    const std::string_view host =
        auth.oidc->public_url.find("://") == std::string::npos ? std::string_view() : HostOf(auth.oidc->public_url);
    if (!host.empty() && !host.starts_with('[') && !IsLoopbackHost(host) && !ParseAddress(host) &&
        std::ranges::find(admin.hosts, host) == admin.hosts.end()) {
      faults.Error(
          here.Below("public_url"),
          Quoted(std::string(host)) + " is not in server.admin.hosts: what browsers " + "send there is refused",
          "add it to server.admin.hosts");
    }
  }
  const Place certificates = place.Below("certificates");
  for (std::size_t i = 0; i < auth.certificates.size(); ++i) {
    const std::string index = std::to_string(i);
    CheckMatch(certificates.Below(index).Below("match"), auth.certificates[i].match, faults);
  }
  if (!auth.certificates.empty() && (!admin.tls || admin.tls->client_ca_file.empty())) {
    faults.Error(certificates, "no certificate is asked for: server.admin.tls.client_ca_file is missing");
  }
  const Place networks = place.Below("allowed_networks");
  for (std::size_t i = 0; i < auth.allowed_networks.size(); ++i) {
    if (ParseNetwork(auth.allowed_networks[i])) continue;
    const std::string index = std::to_string(i);
    faults.Error(networks.Below(index), Quoted(auth.allowed_networks[i]) + " is not an address or network",
                 "write it as 10.0.0.0/8 or 2001:db8::/32");
  }
}

}  // namespace weir::config
