#include "management/audit/signing.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>

#include "base/crypto/encoding.h"
#include "base/file.h"
#include "management/audit/record.h"
#include "management/auth/crypto.h"

namespace weir::management::audit {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 3> kKinds = {"head", "checkpoint", "removed"};
constexpr std::string_view kSignature = ",\"signature\":\"";
constexpr std::size_t kSignatureText = 2 * crypto_sign_BYTES;
constexpr std::size_t kSignaturePart = kSignature.size() + kSignatureText + 2;
// Signed along, so that a signature made here means nothing elsewhere.
constexpr std::string_view kContext = "weir audit log v1\n";

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<SigningKey> SigningKey::LoadOrMake(const std::string& directory) {
  const std::string path = directory + "/signing.key";
  std::string seed;
  if (const auto text = ReadRegularFile(path, 256); text) {
    const auto bytes = FromHex(Trimmed(*text));
    if (!bytes || bytes->size() != crypto_sign_SEEDBYTES) {
      return Fail(ErrorCode::kDataLoss, "'" + path + "' is not a signing key of the audit log");
    }
    if (chmod(path.c_str(), 0600) != 0) {
      return Fail(ErrorCode::kUnavailable, "cannot make '" + path + "' private: " + std::strerror(errno));
    }
    seed = *bytes;
  } else if (text.error().code == ErrorCode::kNotFound) {
    seed = RandomBytes(crypto_sign_SEEDBYTES);
    // By way of a temporary file, which has mode 0600 from the start.
    if (auto written = ReplaceFile(path, Hex(seed) + "\n"); !written) return std::unexpected(written.error());
  } else {
    return std::unexpected(text.error());
  }
  SigningKey key;
  key.secret_key_.resize(crypto_sign_SECRETKEYBYTES);
  key.public_key_.resize(crypto_sign_PUBLICKEYBYTES);
  crypto_sign_seed_keypair(Bytes(key.public_key_), Bytes(key.secret_key_), Bytes(seed));
  sodium_memzero(seed.data(), seed.size());
  const std::string public_path = directory + "/signing.pub";
  const auto shown = ReadPublicKey(public_path);
  if (!shown || *shown != key.public_key_) {
    if (auto written = ReplaceFile(public_path, Hex(key.public_key_) + "\n"); !written) {
      return std::unexpected(written.error());
    }
  }
  return key;
}

std::string SigningKey::Sign(const Statement& statement) const {
  std::string line = "{\"kind\":\"";
  line += kKinds.at(static_cast<std::size_t>(statement.kind));
  line += "\",\"counter\":" + std::to_string(statement.counter) + ",\"seq\":" + std::to_string(statement.link.seq) +
          ",\"hash\":\"" + statement.link.hash + "\",\"time\":\"" + TimeText(statement.time) + "\"";
  const std::string signed_text = std::string(kContext) + line;
  std::string signature(crypto_sign_BYTES, '\0');
  crypto_sign_detached(Bytes(signature), nullptr, Bytes(signed_text), signed_text.size(), Bytes(secret_key_));
  return line.append(kSignature).append(Hex(signature)).append("\"}");
}

Result<std::string> ReadPublicKey(const std::string& file) {
  const auto text = ReadRegularFile(file, 256);
  if (!text) return std::unexpected(text.error());
  auto bytes = FromHex(Trimmed(*text));
  if (!bytes || bytes->size() != crypto_sign_PUBLICKEYBYTES) {
    return Fail(ErrorCode::kInvalidArgument,
                "'" + file + "' is not a public key of the audit log (64 hexadecimal digits)");
  }
  return std::move(*bytes);
}

Result<Statement> CheckSigned(std::string_view line, std::string_view public_key) {
  const auto broken = [](const char* why) { return Fail(ErrorCode::kDataLoss, why); };
  constexpr std::size_t kMostStatement = 1'024;
  if (public_key.size() != crypto_sign_PUBLICKEYBYTES) return broken("the public key is damaged");
  if (line.size() > kMostStatement || line.size() < kSignaturePart || !line.ends_with("\"}")) {
    return broken("it is no signed statement");
  }
  const std::string_view part = line.substr(line.size() - kSignaturePart);
  const auto signature = FromHex(part.substr(kSignature.size(), kSignatureText));
  if (!part.starts_with(kSignature) || !signature) return broken("it is no signed statement");
  const std::string signed_text = std::string(kContext).append(line.substr(0, line.size() - kSignaturePart));
  if (crypto_sign_verify_detached(Bytes(*signature), Bytes(signed_text), signed_text.size(), Bytes(public_key)) != 0) {
    return broken("its signature is not of this log's key");
  }
  boost::system::error_code fault;
  const json::value value = json::parse(json::string_view(line.data(), line.size()), fault);
  if (fault || !value.is_object()) return broken("it is no signed statement");
  const json::object& object = value.get_object();
  const auto text = [&](const char* name) {
    const json::value* const found = object.if_contains(name);
    return found != nullptr && found->is_string() ? std::string(found->get_string().c_str()) : std::string();
  };
  const auto number = [&](const char* name) {
    const json::value* const found = object.if_contains(name);
    boost::system::error_code none;
    return found == nullptr ? 0 : found->to_number<std::uint64_t>(none);
  };
  Statement statement;
  const std::string kind = text("kind");
  bool known = false;
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    if (kKinds[i] != kind) continue;
    statement.kind = static_cast<Statement::Kind>(i);
    known = true;
  }
  const auto time = ParseTime(text("time"));
  if (!known || !time) return broken("it is no signed statement");
  statement.counter = number("counter");
  statement.link = {.seq = number("seq"), .hash = text("hash")};
  statement.time = *time;
  return statement;
}

}  // namespace weir::management::audit
