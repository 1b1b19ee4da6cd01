#include "storage/postgres/row.h"

#include <string_view>

namespace weir::storage::postgres {

using algorithms::Shape;

RowFault ReadRow(std::int16_t kind, algorithms::Word word, std::optional<std::string_view> bytes,
                 std::optional<State>& state) {
  state.reset();
  if (kind == kPlaceholder) return RowFault::kNone;
  if (kind == kOnceRow) {
    state = State{.kind = kind, .word = word, .note = std::string(bytes.value_or(""))};
    return RowFault::kNone;
  }
  if (kind < 0 || static_cast<std::size_t>(kind) >= algorithms::All().size()) return RowFault::kUnknownLayout;
  const Shape shape = algorithms::Of(static_cast<algorithms::Kind>(kind)).shape;
  if (shape == Shape::kWord) {
    state = State{.kind = kind, .word = word};
  } else if (shape == Shape::kList && bytes && bytes->size() % 8 == 0) {
    State read{.kind = kind};
    read.list.reserve(bytes->size() / 8);
    for (std::size_t i = 0; i < bytes->size(); i += 8) {
      std::uint64_t value = 0;
      for (std::size_t byte = 8; byte > 0; --byte)
        value = value << 8 | static_cast<unsigned char>((*bytes)[i + byte - 1]);
      read.list.push_back(static_cast<algorithms::Word>(value));
    }
    state = std::move(read);
  }
  return RowFault::kNone;
}

std::optional<std::string> ListColumn(const State& state) {
  if (state.kind == kOnceRow) return state.note;
  if (algorithms::Of(static_cast<algorithms::Kind>(state.kind)).shape != Shape::kList) return std::nullopt;
  std::string bytes;
  bytes.reserve(state.list.size() * 8);
  for (const algorithms::Word word : state.list) {
    for (unsigned byte = 0; byte < 8; ++byte)
      bytes.push_back(static_cast<char>(static_cast<std::uint64_t>(word) >> (8 * byte) & 255));
  }
  return bytes;
}

Key OnceKey(const Key& id) {
  // Half of SHA-256's initial values: numbers that nobody chose.
  return {.hi = id.hi ^ 0x6a09e667bb67ae85, .lo = id.lo ^ 0x3c6ef372a54ff53a};
}

}  // namespace weir::storage::postgres
