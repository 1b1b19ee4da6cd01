// The log's Ed25519 key, and the statements that it signs: where the chain has got to, and what retention has removed.
// Without them whoever can write the files could cut the end of the log off, or write it anew with right hashes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "management/audit/chain.h"
#include "weir/result.h"

namespace weir::management::audit {

// What is signed: one line of JSON.
struct Statement {
  enum class Kind : std::uint8_t {
    kHead,        // the chain ends here; `counter` grows by one with each
    kCheckpoint,  // the chain passed here; to be kept elsewhere too
    kRemoved,     // the records up to here were removed as too old
  };
  Kind kind = Kind::kHead;
  std::uint64_t counter = 0;
  Link link;
  Nanos time = 0;
};

class SigningKey {
 public:
  // Reads directory/signing.key (0600), or makes it, with signing.pub beside it.
  static Result<SigningKey> LoadOrMake(const std::string& directory);

  // The line without its newline.
  std::string Sign(const Statement& statement) const;
  const std::string& public_key() const { return public_key_; }  // 32 bytes

 private:
  std::string secret_key_, public_key_;
};

// Of a file with 64 hexadecimal digits.
Result<std::string> ReadPublicKey(const std::string& file);

// kDataLoss: the line is no statement, or not signed with this key.
Result<Statement> CheckSigned(std::string_view line, std::string_view public_key);

}  // namespace weir::management::audit
