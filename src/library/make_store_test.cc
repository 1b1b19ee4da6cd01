#include "library/make_store.h"

#include <gtest/gtest.h>

#include <string_view>

namespace weir::library {
namespace {

// Nobody listens there.
const RedisStorage kDead{.url = "redis://127.0.0.1:1", .connection_timeout_ms = 1000};

std::string FaultOf(HybridStorage hybrid) {
  const auto stores = MakeStores({.kind = std::move(hybrid)});
  return stores ? "" : stores.error().message;
}

TEST(MakeStores, OfAHybrid) {
  for (const HybridMode mode : {HybridMode::kStrict, HybridMode::kRelaxed}) {
    auto stores = MakeStores(
        {.kind = HybridStorage{
             .primary = MemoryStorage{.max_entries = 1000}, .secondary = kDead, .mode = mode, .sync_interval = 1}});
    ASSERT_TRUE(stores) << stores.error().message;
    EXPECT_EQ(stores->main->Name(), "hybrid");
    EXPECT_TRUE(stores->main->TriesInline());
    EXPECT_NE(stores->local, nullptr) << "what decides while the secondary is away";
    EXPECT_EQ(stores->memory, nullptr) << "nothing that could be persisted";
    // Relaxed, it decides all the same.
    EXPECT_EQ(stores->main->GetHealth(),
              mode == HybridMode::kStrict ? storage::Health::kDown : storage::Health::kDegraded);
    stores->main->Close();
  }
}

TEST(MakeStores, OfAHybridThatCannotBe) {
  EXPECT_NE(FaultOf({.primary = kDead, .secondary = kDead}), "");
  EXPECT_NE(FaultOf({.secondary = NestedStorage(StorageConfig{.kind = HybridStorage{}})}), "");
  EXPECT_NE(FaultOf({.secondary = MemoryStorage{}}), "");
}

}  // namespace
}  // namespace weir::library
