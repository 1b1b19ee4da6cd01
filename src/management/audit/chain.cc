#include "management/audit/chain.h"

#include <charconv>
#include <system_error>

#include "base/crypto/encoding.h"
#include "management/auth/crypto.h"

namespace weir::management::audit {
namespace {

constexpr std::string_view kSeq = ",\"seq\":";
constexpr std::string_view kPrevious = ",\"prev\":\"";
constexpr std::string_view kHash = ",\"hash\":\"";
constexpr std::size_t kHashText = 64;
// ,"hash":"<64>"}
constexpr std::size_t kHashPart = kHash.size() + kHashText + 2;
// ,"prev":"<64>"
constexpr std::size_t kPreviousPart = kPrevious.size() + kHashText + 1;

}  // namespace

void AppendLinked(std::string_view body, Link* link, std::string* out) {
  std::string text(body);
  text.append(kSeq).append(std::to_string(link->seq + 1)).append(kPrevious).append(link->hash).append("\"}");
  link->hash = Hex(Sha256(text));
  ++link->seq;
  text.pop_back();
  out->append(text).append(kHash).append(link->hash).append("\"}\n");
}

Result<> Follow(std::string_view line, Link* link) {
  const auto broken = [](std::string why) { return Fail(ErrorCode::kDataLoss, std::move(why)); };
  if (line.size() < kHashPart + kPreviousPart || !line.ends_with("\"}")) return broken("it is no record");
  const std::string_view hash_part = line.substr(line.size() - kHashPart);
  if (!hash_part.starts_with(kHash)) return broken("it carries no hash");
  const std::string_view hash = hash_part.substr(kHash.size(), kHashText);
  std::string text(line.substr(0, line.size() - kHashPart));
  text += '}';
  if (Hex(Sha256(text)) != hash) return broken("its hash is not that of its text: it was edited");

  // The hash is right, so that what follows was written by weir, or by somebody who can compute hashes.
  const std::string_view body(text.data(), text.size() - 1);
  if (body.size() < kPreviousPart || !body.ends_with("\"") ||
      !body.substr(body.size() - kPreviousPart).starts_with(kPrevious)) {
    return broken("it does not say which record it follows");
  }
  const std::string_view previous = body.substr(body.size() - kHashText - 1, kHashText);
  const std::string_view before = body.substr(0, body.size() - kPreviousPart);
  const std::size_t at = before.rfind(kSeq);
  std::uint64_t seq = 0;
  if (at == std::string_view::npos) return broken("it has no number");
  const char* const digits = before.data() + at + kSeq.size();
  const auto [end, fault] = std::from_chars(digits, before.data() + before.size(), seq);
  if (fault != std::errc() || end != before.data() + before.size()) return broken("it has no number");
  if (seq != link->seq + 1) {
    return broken("it is record " + std::to_string(seq) + " where record " + std::to_string(link->seq + 1) +
                  " belongs: records were removed or put in another order");
  }
  if (previous != link->hash) {
    return broken("it does not carry the hash of the record before it: one of the two was replaced");
  }
  link->seq = seq;
  link->hash = hash;
  return {};
}

}  // namespace weir::management::audit
