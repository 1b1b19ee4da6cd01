// What a rule's previous form has counted, added to what the rule counts now: when a rule's numbers or its algorithm
// change, and when a request that began before the change is charged to the previous state after that has moved.
//
// Adds the state `previous`, which has not expired under its own limit, to `state` of `to`. "Here" is `state`; it is
// absent when it has expired at `now`.
//   Alike, CarriesOver(previous.limit, to):
//     buckets        TAT' = max(TAT, now) + what is spent there: exact, whatever is here
//     the rest       there expired under `to`: nothing changes. Here absent: what is there, as it is. Else
//     concurrency    the live slots of both, by expiry (here first among equals), total and entries bounded as ever
//     penalty        the ban that ends later (here when equal) with its level, and the other's level as of that end
//                    added to it; banned: no strikes, else the live strikes of both, which may earn a ban now
//     adaptive       what has learned from more samples (here when equal); what is used in the other's window is
//                    charged to it (kCharge)
//     logs           as windows; what is kept there beyond a window that was shorter counts again
//     windows        the one of which more is used (here when equal); what is used of the other is charged to it
//   Not alike, with `used` = what counts as used there: 0: nothing changes. Here absent: kAssign of it on a fresh
//   state. Else kCharge of it.
// Nothing used is lost, and adding what is not there changes nothing. Pure; thread-safe.
#pragma once

#include <cstdint>

#include "algorithms/algorithm.h"

namespace weir::algorithms {

struct Previous {
  const Limit& limit;            // not of kind kUnlimited
  Word word = 0;                 // its state, when its kind has a word
  const Words* words = nullptr;  // its state, when its kind has a list
};

// What is to be added to a word here for what was used there.
struct Carried {
  Nanos amount =
      0;          // of a bucket the ns by which its TAT moves (at most to INT64_MAX), rounded up; of a window the units
  Nanos end = 0;  // aligned windows that are alike: where that one ends
};
Carried CarriedTo(const Limit& to, const Previous& previous, Nanos now);
// `to` has a word, a list. `token` names what a concurrency limit gets by number.
void CarryOver(const Limit& to, const Previous& previous, Nanos now, Word& state);
void CarryOver(const Limit& to, const Previous& previous, Nanos now, std::uint64_t token, Words& state);

}  // namespace weir::algorithms
