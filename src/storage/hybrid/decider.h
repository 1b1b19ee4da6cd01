// Decides plans by what this instance holds, and says what has to be asked of the shared store: no I/O.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/admin.h"
#include "storage/hybrid/lease.h"
#include "storage/hybrid/options.h"
#include "storage/hybrid/subject_table.h"
#include "storage/store.h"

namespace weir::storage::hybrid {

// What has happened, for metrics. Relaxed: numbers that order nothing.
struct Counters {
  std::atomic<std::uint64_t> decided_here{0};  // plans
  std::atomic<std::uint64_t> denied_here{0};   // of these
  std::atomic<std::uint64_t> asked{0};         // plans that went to the store, whole or in part
  std::atomic<std::uint64_t> takes{0}, returns{0};
  std::atomic<std::uint64_t> granted{0}, returned{0}, lapsed{0}, lost{0};  // units
};
inline void Add(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

// A take that is to be made.
struct Want {
  Key key;
  Limit limit;
  std::string rule, subject;
  std::uint64_t units = 0;
};
// A part that goes home.
struct Homeward {
  Key key;
  Limit limit;
  std::string rule, subject;
  Part part;
  Nanos offset = 0;         // of the store's clock
  std::uint64_t epoch = 0;  // Trips::epoch() before it was taken out
  // The state is another rule's by now: it is found under this one's name, or moved there first.
  std::optional<Limit> previous = {};
  Key previous_key = {};
  std::string previous_rule = {};
};

// One plan on its way to the store.
struct Errand {
  Plan* plan = nullptr;
  Plan sent;  // what is asked: of the plan's items, or of some of them
  bool partly = false;
  std::vector<Item> items = {};  // where they are not the plan's own
  std::vector<Outcome> outcomes = {};
  std::vector<algorithms::PastCharge> charges = {};
  std::vector<std::uint32_t> places = {};   // partly: which items of the plan were sent
  std::vector<std::uint32_t> counted = {};  // items of the plan whose asks were counted
  std::vector<std::uint32_t> watched = {};  // items of the plan whose outcome tells something of a hot subject
  std::vector<Homeward> home = {};          // goes before it
  struct Spent {
    std::uint32_t place = 0;
    Parts parts;
    std::uint64_t epoch = 0;  // Subject::epoch
    Nanos offset = 0;
  };
  std::vector<Spent> spent = {};
};

// Thread-safe.
class Decider {
 public:
  static constexpr std::size_t kMostItems = 16;

  Decider(const HybridOptions& options, Counters& counters) : options_(options), counters_(counters), table_(options) {}

  // Decides the plan if that can be done here; else it is as it was. What should be taken is added to `wants`.
  bool Try(Plan& plan, Nanos now, std::vector<Want>& wants);
  // The same; if it cannot, `errand` says what to ask. False: so it was decided.
  bool Send(Plan& plan, Nanos now, Errand& errand, std::vector<Want>& wants);
  // The errand's `sent` has been answered: finishes its plan.
  void Finish(Errand& errand, Nanos now, std::vector<Want>& wants);

  // A take came back. What is not to be kept is added to `home`.
  void Granted(const Want& want, const Plan& plan, const Outcome& outcome, Nanos now, std::vector<Homeward>& home);

  // What is over by now, and with `all` whatever is held.
  void Collect(Nanos now, bool all, std::vector<Homeward>& home);
  // What of it the store would still give back; the rest has lapsed.
  void Sift(std::vector<Homeward>& home, Nanos now);
  // What is held of the states of that name. `reset`: it is dropped.
  void CollectOf(const StateName& name, bool reset, Nanos now, std::vector<Homeward>& home);
  // From now on nothing is decided here, and nothing is taken.
  void Shut() { shut_.store(true); }
  bool is_shut() const { return shut_.load(); }

  SubjectTable::Sums Sum() { return table_.Sum(); }
  const HybridOptions& options() const { return options_; }

 private:
  struct Look;
  struct View;
  void LookAt(const Plan& plan, Nanos now, View& view);
  bool Settle(Plan& plan, Nanos now, View& view, std::vector<Want>& wants);
  void Admit(Plan& plan, Nanos now, View& view, std::vector<Want>& wants);
  void Deny(Plan& plan, Nanos now, View& view, std::vector<Want>& wants);
  void Ask(const Item& item, Subject& subject, Nanos now, bool renew, std::vector<Want>& wants);
  void SendPart(Plan& plan, Nanos now, View& view, Errand& errand);
  void SendWhole(Plan& plan, Nanos now, const View& view, Errand& errand);
  void TakeHome(const Item& item, Nanos now, Errand& errand);
  void TakePreviousHome(const Item& item, Nanos now, Errand& errand);
  void Empty(const Key& key, const Subject& subject, const Parts& parts, Nanos now, std::vector<Homeward>& home);
  void Watch(const Plan& plan, Nanos now, Errand& errand);

  const HybridOptions options_;
  Counters& counters_;
  SubjectTable table_;
  std::atomic<bool> shut_{false};
};

}  // namespace weir::storage::hybrid
