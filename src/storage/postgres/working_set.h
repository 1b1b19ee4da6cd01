// The rows that a transaction holds, and plans decided on them: the contract of storage/store.h, in memory. Pure: no
// I/O, no clock. What the reference store does with copies of everything (tests/conformance/reference_store.h) is done
// here with a journal of what a plan has changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/postgres/row.h"
#include "storage/store.h"

namespace weir::storage::postgres {

// What a plan came to, apart from the plan: whoever asked may have gone meanwhile.
struct Decision {
  bool admitted = false;
  std::vector<Outcome> outcomes{};
  std::vector<StateCopy> copies{};
  Nanos decided_at = 0;
  bool repeated = false;
  std::vector<std::uint64_t> tokens{};  // repeated: what the first one called what it took
};

// Writes it into the plan that was decided.
void Tell(const Decision& decision, Plan& plan);

// The keys of all rows that the plan reads or writes.
void AddKeysOf(const Plan& plan, std::vector<Key>& keys);
// Sorted as the server sorts them, each once.
void SortKeys(std::vector<Key>& keys);

// Not thread-safe.
class WorkingSet {
 public:
  // `keys` from SortKeys(): everything that will be asked of it. All rows are absent at first.
  explicit WorkingSet(std::vector<Key> keys);

  std::span<const Key> keys() const { return keys_; }
  // What is stored under a key; a key that is not one of ours is ignored.
  void Load(const Key& key, std::optional<State> state, RowFault fault);

  // False: one of its rows is of a layout that is not known here.
  bool CanDecide(const Plan& plan) const;
  Decision Decide(const Plan& plan, Nanos now);

  // What is to be written: rows that changed, and rows that are to go: those that became absent, and the placeholders
  // of those that still are.
  struct Changes {
    std::vector<std::pair<Key, const State*>> written{};
    std::vector<Key> gone{};
  };
  Changes GetChanges() const;

 private:
  struct Cell {
    std::optional<State> state{};
    bool changed = false;
    bool strange = false;  // of another layout: left alone
  };
  // What stood in a cell before a plan changed it.
  struct Former {
    std::size_t cell;
    std::optional<State> state;
    bool changed;
  };

  Cell& At(const Key& key);
  const Cell& At(const Key& key) const;
  void Set(const Key& key, std::optional<State> state);
  void Undo(std::size_t mark);

  const State* Found(const Limit& limit, const Key& key) const;
  const State* Live(const Limit& limit, const Key& key, Nanos now) const;
  State Get(const Limit& limit, const Key& key) const;
  void Put(const Limit& limit, const Key& key, State state, Nanos now);
  std::optional<State> Carried(const Item& item, Nanos now) const;
  void CarryOver(const Item& item, Nanos now);
  Outcome ApplyItem(const Item& item, Op op, Nanos now);
  Outcome PeekItem(const Item& item, std::uint64_t cost, Nanos now) const;
  StateCopy CopyItem(const Item& item, Nanos now) const;
  void Peek(const Plan& plan, Nanos now, Decision& decision) const;
  void Check(const Plan& plan, Nanos now, Decision& decision);
  void Deny(const Plan& plan, Nanos now, Decision& decision);
  bool Repeat(const Plan& plan, Nanos now, Decision& decision) const;
  void Remember(const Plan& plan, Nanos now, const Decision& decision);

  const std::vector<Key> keys_;
  std::vector<Cell> cells_;
  std::vector<Former> journal_;  // oldest first
  bool any_strange_ = false;
};

}  // namespace weir::storage::postgres
