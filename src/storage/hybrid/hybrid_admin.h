// Administration of the shared store's states. What this instance holds of them comes home first, so that what is read
// is what is used, and what is reset is not spent afterwards.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "storage/admin.h"

namespace weir::storage::hybrid {

// Thread-safe.
class HybridAdmin final : public Admin {
 public:
  // What is about to be done. To be reset: what is held is dropped, as the state that it came from will be.
  enum class For { kReading, kReset };
  // nullptr: all of it. Returns when it is there.
  using BringHome = std::function<void(const StateName* name, For what, Nanos now)>;

  HybridAdmin(Admin& admin, BringHome bring_home) : admin_(admin), bring_home_(std::move(bring_home)) {}

  Result<Page> Scan(std::string_view cursor, std::size_t most, Nanos now) override {
    if (cursor.empty()) bring_home_(nullptr, For::kReading, now);
    return admin_.Scan(cursor, most, now);
  }
  Result<std::optional<StateRecord>> Get(const StateName& name, Nanos now) override {
    bring_home_(&name, For::kReading, now);
    return admin_.Get(name, now);
  }
  Result<bool> Reset(const StateName& name) override {
    bring_home_(&name, For::kReset, 0);
    return admin_.Reset(name);
  }
  Result<Imported> Import(std::span<const StateRecord> states, Nanos now) override {
    bring_home_(nullptr, For::kReading, now);
    return admin_.Import(states, now);
  }

 private:
  Admin& admin_;
  const BringHome bring_home_;
};

}  // namespace weir::storage::hybrid
