// What a rule gives to the data planes that enforce it together, and how a part of it is put to one of them. Pure.
//
// Envoy's filter carries out blanket rules and token buckets only (RequestsPerTimeUnit it passes over), reads fill
// intervals in whole seconds, and takes two buckets for equal when their tokens are, whatever their interval: so a rule
// has one interval, of whole seconds, and only the tokens change. A bucket that changes begins full.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "config/snapshot/snapshot.h"

namespace weir::rls {

// What one data plane is told of one bucket.
struct Assignment {
  enum class Kind : std::uint8_t { kAllowAll, kDenyAll, kTokens, kAbandon } kind = Kind::kAllowAll;
  std::uint32_t max_tokens = 0, tokens_per_fill = 0, interval_seconds = 0;  // kTokens: all at least 1
  friend bool operator==(const Assignment&, const Assignment&) = default;
};

struct Budget {
  // kUnknown: nothing that a data plane could enforce by itself (a number of requests in flight, a penalty, the rules
  // of tiers and users, several rules at once): it is told nothing, and its own setting for that holds.
  enum class Kind : std::uint8_t { kAllowAll, kDenyAll, kTokens, kUnknown } kind = Kind::kAllowAll;
  std::uint32_t burst = 0;             // kTokens: most at once
  std::uint32_t tokens = 0;            // kTokens: in an interval
  std::uint32_t interval_seconds = 0;  // kTokens
  friend bool operator==(const Budget&, const Budget&) = default;
};

// nullptr, unlimited, shadow and quota mode: all pass. Windows: as many as the limit, at once and in a window's length.
// The interval is a multiple of the window when that makes parts of small limits finer.
Budget BudgetOf(const config::Rule* rule);

// Of any bucket of a domain that the document does not have. kError is kUnknown too: who asks is refused before.
Budget BudgetOfUnknownDomain(UnknownDomain policy);

// The part of a data plane with that share of budget.tokens: the same part of the burst, and at least 1 of it.
Assignment PartOf(const Budget& budget, std::uint64_t share);

// How many tokens an interval would need for so many requests in such a time (at least a second is assumed).
std::uint64_t DemandOf(const Budget& budget, std::uint64_t requests, Nanos elapsed);

}  // namespace weir::rls
