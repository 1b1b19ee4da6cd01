// What intelligence knows of a request, looked up only when a rule in force asks for it (Snapshot::needs()).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/clock.h"
#include "weir/request.h"

namespace weir::engine {

// Views live as long as the decision: of the request, or of tables that the source keeps for so long.
struct KnownFacts {
  std::string_view country;            // ISO 3166-1 alpha-2; empty: unknown
  std::uint32_t network_operator = 0;  // the number of its autonomous system; 0: unknown
  std::uint8_t reputation = 0;         // 0: nothing bad is known, to 100
  std::uint8_t bot = 0;                // 0: surely a person, to 100: surely a program; 0 also when unknown
  bool banned = false;
  bool cleared = false;  // has passed a challenge
};

// Thread-safe. Takes no lock, allocates nothing, makes no system call: it is asked on the deciding thread.
class FactSource {
 public:
  virtual ~FactSource() = default;
  // Fills what `needs` (config::Need) names of `to`, and may fill more. `client`: nullptr = unknown.
  virtual void Fill(const Request& request, const Address* client, std::uint32_t needs, Nanos now,
                    KnownFacts& to) const noexcept = 0;
};

}  // namespace weir::engine
