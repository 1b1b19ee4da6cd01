// What one instance holds of one subject's budget, and what it knows of the rest: pure arithmetic, no locks, no clock.
// docs/decisions/0057-leases.md says why spending by these rules is exact.
//
// Times are the caller's, unless they say "store": those are by the clock of the shared store, `offset` ahead.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstddef>
#include <cstdint>

#include "algorithms/algorithm.h"
#include "base/clock.h"
#include "storage/hybrid/options.h"
#include "weir/outcome.h"

namespace weir::storage::hybrid {

using algorithms::Limit;

// How a limit can be leased. kNone: each ask has to go to the store.
enum class Form : std::uint8_t { kNone, kBucket, kWindow, kSubWindow };
Form FormOf(const Limit& limit);
// Part::end of what `outcome` tells.
Nanos EndOf(Form form, const Outcome& outcome, Nanos store_now);

// Units that were taken together, and are not spent yet.
struct Part {
  std::uint64_t units = 0;
  Nanos at = 0;     // store: when they were charged
  Nanos until = 0;  // may be spent before this
  // Buckets: the places in the line that are theirs. The next unit's begins at `next`; none ends after `bound`.
  Nanos next = 0;
  Nanos bound = 0;
  Nanos end = 0;              // store: windows: when theirs is over
  std::uint64_t charged = 0;  // on its way home: what of it is charged, if that is more than what is given up
};
using Parts = absl::InlinedVector<Part, 2>;

// How an ask stands by what is known here.
enum class Standing : std::uint8_t {
  kUnknown,  // nothing is known, or no longer
  kDenied,   // the store would deny it too
  kUnsure,   // it may fit, but this instance does not hold enough to say so
  kCovered,  // this instance holds enough
};

class Lease {
 public:
  // Parts beyond this go home first.
  static constexpr std::size_t kMostParts = 4;

  Lease(const Limit& limit, Nanos life) : limit_(limit), form_(FormOf(limit)), life_(life) {}

  const Limit& limit() const { return limit_; }
  Form form() const { return form_; }

  // The store has answered an ask of `cost` (a take that was granted nothing: of 1) at `now`, and `outcome` describes
  // the state. False: it says nothing that can be gone by.
  bool Learn(const Outcome& outcome, std::uint64_t cost, Nanos now, Nanos offset);
  // It has granted `outcome.granted`, and Learn() has been told so.
  void Add(const Outcome& outcome, Nanos now);
  void Put(const Part& part) {
    if (part.units > 0) parts_.push_back(part);
  }

  // What an ask of `cost` (> 0) comes to at `now`; `outcome` is written unless it is kUnknown.
  Standing Consider(std::uint64_t cost, Nanos now, Outcome& outcome) const;
  // What is left, as the outcome of a peek.
  Outcome Peek(Nanos now) const;
  // Of a kCovered ask. What was spent, to be Put() back if it was not needed.
  Parts Spend(std::uint64_t cost, Nanos now);

  // All that is held is taken out, and nothing is known any more.
  Parts Clear();
  // What the store would give back is taken out, and nothing is known any more. The rest of a bucket's parts would
  // drain unspent there, so it stays, with the places that are in front, to be spent when something is known again.
  Parts GiveUp(Nanos now);
  // What can no longer be spent, and what does not fit kMostParts.
  Parts TakeOver(Nanos now);

  // How many can be spent now.
  std::uint64_t Spendable(Nanos now) const;
  std::uint64_t Held() const;
  bool Knows(Nanos now) const { return known_ && now >= seen_at_ && now < valid_until_; }
  Nanos offset() const { return offset_; }
  std::uint64_t remaining() const { return seen_.remaining; }

 private:
  std::uint64_t SpendableOf(const Part& part, Nanos now) const;
  Nanos TatAt(Nanos now) const;  // buckets: without what is held here
  std::uint64_t UsedAt(Nanos now) const;
  Outcome DescribeWindow(Nanos now, std::uint64_t used) const;

  Limit limit_;
  Form form_;
  Nanos life_;
  bool known_ = false;
  Nanos seen_at_ = 0;
  Nanos valid_until_ = 0;
  Nanos offset_ = 0;
  Outcome seen_;
  std::uint64_t asked_ = 0;  // the cost that seen_ answers
  Nanos tat_ = 0;            // buckets
  Nanos end_ = 0;            // windows: what seen_.reset_after_ns led to
  Parts parts_;
};

// How a part that comes home names its charge (PastCharge::at, store); see "refunds that wait" in 0057.
inline Nanos HomeAt(Form form, const Part& part, Nanos life) {
  return form == Form::kBucket ? part.at - (life - 1) : part.at;
}
// How a charge is named that somebody settles: it may have been spent from a lease.
inline Nanos SettledAt(Form form, Nanos at, Nanos life) { return form == Form::kBucket ? at - 2 * (life - 1) : at; }
// What is still charged of a part that goes home.
inline std::uint64_t ChargedOf(const Part& part) { return part.charged > part.units ? part.charged : part.units; }
// Whether the store would give anything back, and to the window that it was taken from. `store_now`: by its clock.
bool IsWorthReturning(const Limit& limit, Form form, const Part& part, Nanos store_now, const HybridOptions& options);

}  // namespace weir::storage::hybrid
