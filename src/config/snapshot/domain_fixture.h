// What tests of domains begin with: a document of domains alone, and what its descriptors reach.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/snapshot/domain_table.h"
#include "config/snapshot/snapshot.h"

namespace weir::config {

using Entries = std::vector<Attribute>;

inline constexpr Nanos kNow = 1'700'000'000 * kSecond;

inline std::shared_ptr<const Snapshot> CompiledDomains(std::string_view domains, const Snapshot* previous = nullptr) {
  ParsedConfig parsed = ParseConfig("global: {free_tier: unlimited}\n" + std::string(domains));
  for (const Fault& fault : parsed.faults) {
    EXPECT_EQ(fault.severity, Severity::kWarning) << Describe(fault);
  }
  auto snapshot = Snapshot::Compile(parsed.config, previous, kNow);
  EXPECT_TRUE(snapshot.has_value()) << (snapshot ? "" : snapshot.error().message);
  return snapshot ? *snapshot : nullptr;
}

// The path of the rule that these entries reach; empty: none.
inline std::string Found(const Snapshot& snapshot, std::string_view domain, const Entries& entries) {
  const DomainEntry* entry = snapshot.FindDomain(domain);
  if (entry == nullptr) return "no domain";
  const Rule* rule = entry->Find(entries);
  return rule == nullptr ? "" : std::string(rule->path);
}

inline const Rule& RuleAt(const Snapshot& snapshot, std::string_view domain, const Entries& entries) {
  const Rule* rule = snapshot.FindDomain(domain)->Find(entries);
  EXPECT_NE(rule, nullptr);
  return rule == nullptr ? snapshot.rules()[0] : *rule;
}

}  // namespace weir::config
