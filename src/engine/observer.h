// Who is told what the engine did. Observers are a fixed set (EngineOptions::observers), each with a mask of what it
// wants to hear; with none a decision pays one branch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/clock.h"
#include "base/crypto/siphash.h"
#include "config/source/revision.h"
#include "storage/store.h"

namespace weir::config {
class Snapshot;
}

namespace weir::engine {

struct Call;
struct Facts;
struct Resolution;

// A number for a subject under a rule, from which nobody without the key learns anything about it.
inline std::uint64_t HideSubject(const SipKey& secret, const Key& key) noexcept {
  const std::array<std::uint64_t, 2> words = {key.hi, key.lo};
  return SipHash(secret, {reinterpret_cast<const char*>(words.data()), sizeof words});
}

// What an observer wants to hear, as bits.
enum Interest : std::uint32_t {
  kAllowedDecisions = 1U << 0,  // kCheck, kReserve, kCharge that cost something, and were allowed
  kDeniedDecisions = 1U << 1,   // ... or denied
  kPeeks = 1U << 2,             // kPeek, and decisions that cost nothing
  kFeedback = 1U << 3,
  kSettlements = 1U << 4,  // kCommit, kCancel, kExtend, kRefund
  kResets = 1U << 5,
  kRevisions = 1U << 6,
  kAllDecisions = kAllowedDecisions | kDeniedDecisions,
};

// One call that is complete. Borrowed, all of it: what an observer needs later it copies. The outcome is the call's
// `decision`, or its `status`.
struct DecisionEvent {
  const Call& call;
  const Facts* facts = nullptr;            // nullptr: none were looked up (a settlement)
  const Resolution* resolution = nullptr;  // nullptr: likewise
  Nanos now = 0;
  std::span<const storage::Item> items = {};  // those of the decision's rules, in their order; none: it has none
  SipKey subject_key = {};
  const config::Revision* revision = nullptr;  // under which it was decided; that of a candidate for its share

  // Names whom that rule of the decision counts, without telling; another number in every process. 0: nobody.
  std::uint64_t SubjectHash(std::int32_t rule) const noexcept {
    const auto at = static_cast<std::size_t>(rule);
    return rule < 0 || at >= items.size() ? 0 : HideSubject(subject_key, items[at].key);
  }
};

// Must not block, allocate or call the engine: it is told on the deciding thread. All observers together may take 30 ns
// a decision.
class Observer {
 public:
  virtual ~Observer() = default;
  // Asked once, when the engine is made.
  virtual std::uint32_t interest() const noexcept { return kAllDecisions | kPeeks; }
  virtual void OnDecision(const DecisionEvent& event) noexcept = 0;
  // A policy, or a change of entities, is in force; on the thread that applied it. May take longer.
  virtual void OnRevision(const config::Revision& /*revision*/, const config::Snapshot& /*snapshot*/) noexcept {}
};

// Those of one engine.
class Observers {
 public:
  static constexpr std::size_t kMost = 8;

  explicit Observers(std::span<Observer* const> observers) noexcept {
    for (Observer* const observer : observers) {
      if (observer == nullptr || count_ == kMost) continue;
      all_[count_] = {observer, observer->interest()};
      interest_ |= all_[count_++].interest;
    }
  }

  bool any() const noexcept { return count_ > 0; }
  bool Want(std::uint32_t interest) const noexcept { return (interest_ & interest) != 0; }
  // `interest`: what the event is.
  void Notify(std::uint32_t interest, const DecisionEvent& event) const noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
      if ((all_[i].interest & interest) != 0) all_[i].observer->OnDecision(event);
    }
  }
  void Notify(const config::Revision& revision, const config::Snapshot& snapshot) const noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
      if ((all_[i].interest & kRevisions) != 0) all_[i].observer->OnRevision(revision, snapshot);
    }
  }

 private:
  struct One {
    Observer* observer = nullptr;
    std::uint32_t interest = 0;
  };
  std::array<One, kMost> all_{};
  std::size_t count_ = 0;
  std::uint32_t interest_ = 0;
};

}  // namespace weir::engine
