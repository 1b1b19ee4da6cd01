// Memory that decides by itself, and a shared store that it settles with every so often: what this instance has
// admitted is charged there, whether it fits or not, and what the others have is charged here. So instances can
// together admit more than a limit, by no more than docs/storage-hybrid.md says, and what was too much is paid back.
//
// A subject that has not been asked for here since the last exchange asks the shared store, and is known from then on.
// What cannot be counted up so (concurrency, adaptive, penalties) asks the shared store, with the whole plan that it is
// in.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "storage/store.h"
#include "weir/result.h"

namespace weir::storage::hybrid {

struct RelaxedOptions {
  Nanos sync_interval = kSecond;
  // Subjects whose counts wait to be told; a plan that needs more asks the shared store. At least 64.
  std::uint64_t max_subjects = 1'000'000;
  bool background = true;  // a thread of its own settles. Without it somebody calls Sync()
};

// Thread-safe. Destroying it closes it; no call may be under way.
class RelaxedStore final : public Store {
 public:
  // `primary` completes inline (memory). kInvalidArgument: it does not, or an option is out of its range.
  static Result<std::unique_ptr<RelaxedStore>> Create(std::unique_ptr<Store> primary, std::unique_ptr<Store> secondary,
                                                      const RelaxedOptions& options);
  ~RelaxedStore() override;

  [[nodiscard]] bool Apply(std::span<Plan> plans, Nanos now, Completion* done) override;
  [[nodiscard]] bool TryApply(Plan& plan, Nanos now) override;
  bool TriesInline() const override { return true; }
  bool CompletesInline() const override;
  // Settles for the last time.
  void Close() override;
  void Expect(const Key& key) const noexcept override;
  Admin* GetAdmin() override;
  StoreStats Stats() const override;
  // kDegraded while the shared store is down: decisions go on, and each instance knows of itself alone.
  Health GetHealth() const override;
  std::string_view Name() const override { return "hybrid"; }
  void Describe(MetricSink& sink, std::string_view as) const override;

  // Settles as of `now`; with `wait`, returns when that is done. One at a time: another meanwhile does nothing.
  void Sync(Nanos now, bool wait = false);

 private:
  struct Parts;
  explicit RelaxedStore(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::storage::hybrid
