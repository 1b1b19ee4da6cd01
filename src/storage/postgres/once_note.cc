#include "storage/postgres/once_note.h"

namespace weir::storage::postgres {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kNumbersOfAnOutcome = 8;

void Append(std::string& out, std::uint64_t value) {
  for (unsigned byte = 0; byte < 8; ++byte) out.push_back(static_cast<char>(value >> (8 * byte) & 255));
}

// Reads past the end as zeros, and remembers that it did.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  std::uint64_t Next() {
    if (bytes_.size() < 8) {
      failed_ = true;
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t byte = 8; byte > 0; --byte) value = value << 8 | static_cast<unsigned char>(bytes_[byte - 1]);
    bytes_.remove_prefix(8);
    return value;
  }
  std::int64_t NextSigned() { return static_cast<std::int64_t>(Next()); }
  // A count of things that take at least so many numbers each.
  std::optional<std::uint64_t> Count(std::size_t numbers) {
    const std::uint64_t count = Next();
    if (failed_ || count > bytes_.size() / (8 * numbers)) return std::nullopt;
    return count;
  }
  bool Ended() const { return !failed_ && bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

}  // namespace

std::string WriteNote(const OnceNote& note) {
  std::string out(1, kVersion);
  Append(out, static_cast<std::uint64_t>(note.at));
  Append(out, note.tokens.size());
  for (const std::uint64_t token : note.tokens) Append(out, token);
  Append(out, note.outcomes.size());
  for (const Outcome& outcome : note.outcomes) {
    for (const std::uint64_t number :
         {static_cast<std::uint64_t>(outcome.verdict), outcome.limit, outcome.remaining, outcome.used,
          static_cast<std::uint64_t>(outcome.reset_after_ns), static_cast<std::uint64_t>(outcome.retry_after_ns),
          static_cast<std::uint64_t>(outcome.delay_ns), outcome.granted}) {
      Append(out, number);
    }
  }
  return out;
}

std::optional<OnceNote> ReadNote(std::string_view bytes) {
  if (!bytes.starts_with(kVersion)) return std::nullopt;
  Reader reader(bytes.substr(1));
  OnceNote note;
  note.at = reader.NextSigned();
  const auto tokens = reader.Count(1);
  if (!tokens) return std::nullopt;
  for (std::uint64_t i = 0; i < *tokens; ++i) note.tokens.push_back(reader.Next());
  const auto outcomes = reader.Count(kNumbersOfAnOutcome);
  if (!outcomes) return std::nullopt;
  for (std::uint64_t i = 0; i < *outcomes; ++i) {
    Outcome outcome;
    const std::uint64_t verdict = reader.Next();
    if (verdict > static_cast<std::uint64_t>(Verdict::kNever)) return std::nullopt;
    outcome.verdict = static_cast<Verdict>(verdict);
    outcome.limit = reader.Next();
    outcome.remaining = reader.Next();
    outcome.used = reader.Next();
    outcome.reset_after_ns = reader.NextSigned();
    outcome.retry_after_ns = reader.NextSigned();
    outcome.delay_ns = reader.NextSigned();
    outcome.granted = reader.Next();
    note.outcomes.push_back(outcome);
  }
  if (!reader.Ended()) return std::nullopt;
  return note;
}

}  // namespace weir::storage::postgres
