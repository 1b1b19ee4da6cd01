// Plans for a store under construction: items and plans in a row, reused from batch to batch, so that building them
// allocates nothing once they have grown to what a thread's batches need.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "algorithms/algorithm.h"
#include "algorithms/limit.h"
#include "storage/store.h"

namespace weir::engine {

// Used by one thread at a time. Items and plans may move until Seal().
class PlanSet {
 public:
  void Clear() {
    if (plans_.empty() && limits_.empty()) return;
    items_.clear();
    outcomes_.clear();
    plans_.clear();
    starts_.clear();
    if (!limits_.empty()) limits_.clear();
    if (!charges_.empty()) charges_.clear();
  }
  bool empty() const { return plans_.empty(); }
  std::uint32_t plan_count() const { return static_cast<std::uint32_t>(plans_.size()); }
  std::uint32_t item_count() const { return static_cast<std::uint32_t>(items_.size()); }

  // Begins the next plan; items go to it. Its number.
  std::uint32_t Open(storage::Op op) {
    plans_.emplace_back().op = op;
    starts_.push_back(item_count());
    return plan_count() - 1;
  }
  storage::Item& Add() { return items_.emplace_back(); }
  storage::Item& Add(const storage::Item& item) { return items_.emplace_back(item); }
  // Drops that plan and all that came after it.
  void TakeBack(std::uint32_t number) {
    items_.resize(starts_[number]);
    starts_.resize(number);
    plans_.resize(number);
  }
  // A limit made for one request; lives until Clear().
  const algorithms::Limit* Own(const algorithms::Limit& limit) { return &limits_.emplace_back(limit); }
  const algorithms::PastCharge* Own(const algorithms::PastCharge& charge) { return &charges_.emplace_back(charge); }

  // Ends construction: plans now point to their items and outcomes.
  void Seal() {
    outcomes_.resize(items_.size());
    starts_.push_back(item_count());
    for (std::size_t p = 0; p < plans_.size(); ++p) {
      const std::uint32_t start = starts_[p];
      const std::uint32_t count = starts_[p + 1] - start;
      plans_[p].items = {items_.data() + start, count};
      plans_[p].outcomes = {outcomes_.data() + start, count};
    }
  }

  std::span<storage::Plan> plans() { return plans_; }
  std::uint32_t start_of(std::uint32_t plan) const { return starts_[plan]; }
  storage::Plan& plan(std::uint32_t number) { return plans_[number]; }
  storage::Item& item(std::uint32_t number) { return items_[number]; }
  const storage::Item& item(std::uint32_t number) const { return items_[number]; }
  Outcome& outcome(std::uint32_t number) { return outcomes_[number]; }

  // More than an ordinary batch needs is not worth keeping.
  bool oversized() const { return items_.capacity() > 4096; }

 private:
  std::vector<storage::Item> items_;
  std::vector<Outcome> outcomes_;
  std::vector<storage::Plan> plans_;
  std::vector<std::uint32_t> starts_;
  std::deque<algorithms::Limit> limits_;
  std::deque<algorithms::PastCharge> charges_;
};

}  // namespace weir::engine
