#include "server/management_plane/readiness.h"

#include <gtest/gtest.h>

#include <memory>
#include <string_view>

#include "weir/config.h"

namespace weir::server {
namespace {

std::shared_ptr<const config::Snapshot> Compile(std::string_view yaml, const config::Snapshot* previous = nullptr) {
  const ParsedConfig parsed = ParseConfig(yaml);
  EXPECT_TRUE(parsed.ok());
  return config::Snapshot::Compile(parsed.config, previous, 0).value();
}

TEST(Readiness, OneEnforcedRuleThatDeniesIsEnough) {
  EXPECT_FALSE(DeniesWithoutStore(*Compile("global: {free_tier: {max_requests: 10, window_seconds: 60}}")));
  EXPECT_TRUE(DeniesWithoutStore(
      *Compile("global: {free_tier: {max_requests: 10, window_seconds: 60, on_store_failure: deny}}")));
  EXPECT_FALSE(DeniesWithoutStore(
      *Compile("global: {free_tier: {max_requests: 10, window_seconds: 60, on_store_failure: deny, mode: shadow}}")));
  EXPECT_TRUE(DeniesWithoutStore(
      *Compile("global: {free_tier: {max_requests: 10, window_seconds: 60}}\nstorage: {on_store_failure: deny}")));
}

TEST(Readiness, AFactIsFoundOutOnceForAVersion) {
  const auto first = Compile("global: {free_tier: {max_requests: 10, window_seconds: 60, on_store_failure: deny}}");
  const auto second = Compile("global: {free_tier: {max_requests: 10, window_seconds: 60}}", first.get());
  FactOfVersion denies;
  int found = 0;
  const auto ask = [&](const config::Snapshot& snapshot) {
    return denies.Get(snapshot.version(), [&] {
      ++found;
      return DeniesWithoutStore(snapshot);
    });
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ask(*first));
  EXPECT_EQ(found, 1);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(ask(*second));
  EXPECT_EQ(found, 2);
  // Who still has the previous one is told of that one.
  EXPECT_TRUE(ask(*first));
}

}  // namespace
}  // namespace weir::server
