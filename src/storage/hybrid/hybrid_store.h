// Memory before a shared store: an instance leases part of a hot subject's budget from the store and spends it by
// itself, and what it knows to be denied it denies by itself. Together the instances never admit more than the limit
// while the shared store is consistent. docs/storage-hybrid.md has the bounds, docs/decisions/0057-leases.md the proof.
//
// What is not decided here goes to the shared store as it is, in the same order, and comes back as it is: also
// kUnavailable. Leases in hand are spent while the store is away, for as long as they last.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "storage/hybrid/options.h"
#include "storage/store.h"
#include "weir/result.h"

namespace weir::storage::hybrid {

// Thread-safe. Destroying it closes it; no call may be under way.
class HybridStore final : public Store {
 public:
  // kInvalidArgument: an option is out of its range.
  static Result<std::unique_ptr<HybridStore>> Create(std::unique_ptr<Store> secondary, const HybridOptions& options);
  ~HybridStore() override;

  [[nodiscard]] bool Apply(std::span<Plan> plans, Nanos now, Completion* done) override;
  [[nodiscard]] bool TryApply(Plan& plan, Nanos now) override;
  bool TriesInline() const override { return true; }
  bool CompletesInline() const override;
  bool Remembers() const override;
  // Leases come home first, which takes as long as the shared store takes to answer.
  void Close() override;
  void Expect(const Key& key) const noexcept override;
  Admin* GetAdmin() override;
  StoreStats Stats() const override;
  Health GetHealth() const override;
  std::string_view Name() const override { return "hybrid"; }
  void Describe(MetricSink& sink, std::string_view as) const override;

  // Brings home what is over at `now`. A thread of the store's own does it, unless that is turned off.
  void Tick(Nanos now);

 private:
  struct Parts;
  explicit HybridStore(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::storage::hybrid
