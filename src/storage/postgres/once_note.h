// What is remembered of a plan that is charged once (Plan::once), in a row of its own that is written in the same
// transaction as the charge: the whole answer, so that it can be repeated also after the rule has changed.
//
// Bytes: a version, then 64-bit numbers with their lowest byte first: when, the tokens with their count, the outcomes
// with theirs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "weir/outcome.h"

namespace weir::storage::postgres {

struct OnceNote {
  Nanos at = 0;
  std::vector<std::uint64_t> tokens{};
  std::vector<Outcome> outcomes{};
  friend bool operator==(const OnceNote&, const OnceNote&) = default;
};

std::string WriteNote(const OnceNote& note);
// nullopt: damaged, or of a version that is not known here.
std::optional<OnceNote> ReadNote(std::string_view bytes);

}  // namespace weir::storage::postgres
