// JWTs: whatever is presented, it is taken apart or refused, never believed without a signature, and never repeated.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "management/auth/jwt.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weir::management;
  // RFC 8037, appendix A.2; its private half signs nothing here.
  static const JwkSet keys =
      JwkSet::Parse(
          R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})")
          .value();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = ParseJwt(text);
  if (!parsed) return 0;
  // The signed text and the signature are all there is to it.
  if (!text.starts_with(parsed->signed_text) || text.size() > kMostJwt) std::abort();
  JwtPolicy policy;
  policy.issuer = parsed->issuer;
  policy.audiences = {"weir"};
  policy.algorithms = {JwtAlgorithm::kEs256, JwtAlgorithm::kRs256, JwtAlgorithm::kEdDsa};
  policy.types = {"", "jwt", parsed->type};
  if (VerifyJwt(*parsed, policy, keys, 1'800'000'000 * weir::kSecond)) std::abort();
  // As an issuer's own claims they may be anything, too.
  Claims claims;
  claims.payload = parsed->payload;
  (void)ClaimTexts(claims, "realm_access.roles");
  (void)PrincipalOf(claims, {.roles_claim = "roles", .tenant_claim = "tenant"}, AuthMethod::kJwt);
  return 0;
}
