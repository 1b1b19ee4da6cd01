// One row of the table of states, and what its columns mean. Layout 1; another layout gets another range of `kind`, so
// that a row of a version that is not known here is told from damage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "algorithms/algorithm.h"
#include "base/clock.h"
#include "base/hash.h"

namespace weir::storage::postgres {

// Values of the column `kind` besides those of algorithms::Kind.
inline constexpr std::int16_t kPlaceholder = 0;  // nothing: a row that is locked before it is written
inline constexpr std::int16_t kOnceRow = -1;     // what is remembered of a request id

// A state as it is stored. Exactly what `kind` calls for is set.
struct State {
  std::int16_t kind = kPlaceholder;
  algorithms::Word word = 0;  // of a kind with a word; of kOnceRow: until when it is remembered
  algorithms::Words list{};   // of a kind with a list
  std::string note{};         // of kOnceRow
  Nanos expires = 0;          // for the sweep alone, never before the state expires
  friend bool operator==(const State&, const State&) = default;
};

enum class RowFault : std::uint8_t { kNone, kUnknownLayout };

// `bytes` nullptr-like empty optional: NULL. A list of a strange length counts as none, as any damage does.
RowFault ReadRow(std::int16_t kind, algorithms::Word word, std::optional<std::string_view> bytes,
                 std::optional<State>& state);
// The column `list`: words with their lowest byte first.
std::optional<std::string> ListColumn(const State& state);

inline bool IsBucket(std::int16_t kind) {
  return kind == static_cast<std::int16_t>(algorithms::Kind::kTokenBucket) ||
         kind == static_cast<std::int16_t>(algorithms::Kind::kLeakyBucket);
}

// The order in which batches keep their keys.
inline bool Before(const Key& a, const Key& b) { return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo; }

// The key under which a request id is remembered: another one than any state's.
Key OnceKey(const Key& id);

}  // namespace weir::storage::postgres
