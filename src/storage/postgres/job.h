// One Apply() that waits for the database.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "storage/store.h"

namespace weir::storage::postgres {

// The three ways of plans (postgres_store.h).
enum class Lane : std::uint8_t { kBuckets, kReads, kTransactions };
inline constexpr std::size_t kLanes = 3;

// Touched by the I/O thread only, once it is submitted.
struct Job {
  std::vector<Plan*> plans{};  // not to be touched once it is answered
  std::vector<Key> keys{};     // of all rows that they read or write; sorted, each once
  Nanos now = 0;               // by which they are decided, clamped
  Nanos deadline = 0;          // on io::SteadyNow()'s clock
  Completion* done = nullptr;
  Lane lane = Lane::kTransactions;
  bool alone = false;  // shares no transaction: the last one that it shared met a locked row
  bool answered = false;
};
using JobPtr = std::shared_ptr<Job>;

// Which way the plans can go together; fills in `keys` and `lane`.
void Classify(Job& job);

// Whether anything in the plan is counted; if not, DecideWithoutStore() answers it.
bool NeedsStore(const Plan& plan);
void DecideWithoutStore(Plan& plan);

}  // namespace weir::storage::postgres
