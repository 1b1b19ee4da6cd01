// Claims of a JSON Web Token (RFC 7519, compact form), read to name a subject or a tier.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "base/clock.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::engine {

// Thread-safe after Create.
//
// Without a key tokens are read but not verified: whoever writes the token chooses the claim. With a key:
//  1. the signature must fit, by HS256 with the secret or RS256 with the public key;
//  2. the algorithm of the token must be the one its key was configured for: "none", another algorithm, and HS256 made
//     with the bytes of the public key are refused;
//  3. `exp` and `nbf`, where present, must be numbers and hold now; a `crit` header is refused (we know no extension).
class JwtReader {
 public:
  // kInvalidArgument: an empty secret, or a public key that is not an RSA key in PEM.
  static Result<JwtReader> Create(const JwtConfig& config);
  ~JwtReader();
  JwtReader(JwtReader&&) noexcept;
  JwtReader& operator=(JwtReader&&) noexcept;

  bool verifies() const;

  struct Claim {
    std::string_view text;  // in the arena
    Nanos until = 0;        // `exp` of a verified token; INT64_MAX when there is none
  };
  // The claim as text: strings as they are, whole numbers in decimal, true and false. nullopt when the token is
  // malformed, refused or longer than 16 KiB, or the claim is absent or of another kind. A dot descends into an object
  // when no claim has the whole name ("realm.tenant").
  std::optional<Claim> Read(std::string_view token, std::string_view claim, Nanos now, Arena& arena) const;

 private:
  struct Keys;
  explicit JwtReader(std::unique_ptr<Keys> keys);
  std::unique_ptr<Keys> keys_;
};

}  // namespace weir::engine
