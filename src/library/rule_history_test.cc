// What rules and entities were, over restarts.
#include "library/rule_history.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/manual_clock.h"
#include "base/test_directory.h"
#include "engine/engine.h"
#include "weir/weir.h"

namespace weir::library {
namespace {

using config::EntityChange;

class RuleHistoryTest : public testing::Test {
 protected:
  // The document's own windows are short; states of rules of `algorithm` are not those of another.
  EnterpriseRateLimitConfig Document(RateLimitAlgorithm algorithm) const {
    EnterpriseRateLimitConfig config;
    config.global.free_tier.max_requests = 100;
    config.global.free_tier.window_seconds = 60;
    config.global.free_tier.algorithm = std::move(algorithm);
    config.global.free_tier.identifier = EnhancedIdentifier{UserId{}};
    std::get<MemoryStorage>(config.storage.kind).persist_to_disk = directory_ / "states";
    return config;
  }
  Result<> Start(const EnterpriseRateLimitConfig& config) {
    limiter_.reset();
    clock_.Advance(kSecond);
    auto limiter = RateLimiter::Create(config, {.clock = &clock_, .extractors = {}});
    if (!limiter) return std::unexpected(limiter.error());
    limiter_ = std::move(*limiter);
    return {};
  }
  void Apply(const std::vector<EntityChange>& changes) {
    clock_.Advance(kSecond);
    const auto applied = limiter_->engine().ApplyEntities({}, changes);
    ASSERT_TRUE(applied) << applied.error().message;
  }
  int CountAllowed(const std::string& user, int times) {
    int allowed = 0;
    for (int i = 0; i < times; ++i) allowed += limiter_->Check({.user = user}).allowed ? 1 : 0;
    return allowed;
  }
  std::string ParentOf(const std::string& tenant) {
    const auto snapshot = limiter_->engine().snapshot();
    const auto* const found = snapshot->FindTenant(tenant);
    return found == nullptr ? "(none)" : std::string(found->parent());
  }

  TestDirectory directory_;
  ManualClock clock_;
  std::unique_ptr<RateLimiter> limiter_;
};

// Of a day, where the document's is a minute.
EntityChange Daily(const std::string& user) {
  return EntityChange::Put(user, UserLimits{.rule = RateLimitRule{.max_requests = 10, .window_seconds = 86'400}});
}
EntityChange PartOf(const std::string& name, const std::string& parent) {
  return EntityChange::Put(name, TenantLimits{.parent = parent});
}

TEST_F(RuleHistoryTest, ADocumentIsKeptAsLongAsEntitiesUnderItWereCounted) {
  ASSERT_TRUE(Start(Document(TokenBucket{})));
  Apply({Daily("ann")});
  EXPECT_EQ(CountAllowed("ann", 4), 4);
  // From now on counted otherwise; ann asks nothing until the restart.
  clock_.Advance(kSecond);
  EnterpriseRateLimitConfig next = Document(FixedWindow{});
  ASSERT_TRUE(limiter_->Apply(next));
  clock_.Advance(kHour);
  next.global.free_tier.max_requests = 50;
  ASSERT_TRUE(limiter_->Apply(next));
  ASSERT_TRUE(Start(next));
  EXPECT_EQ(CountAllowed("ann", 20), 6);
}

TEST_F(RuleHistoryTest, ADocumentIsKeptForEntitiesThatCameAfterItWasWrittenDown) {
  ASSERT_TRUE(Start(Document(TokenBucket{})));
  Apply({Daily("ann")});
  EXPECT_EQ(CountAllowed("ann", 4), 4);
  ASSERT_TRUE(Start(Document(FixedWindow{})));
  clock_.Advance(kHour);
  ASSERT_TRUE(Start(Document(FixedWindow{})));
  EXPECT_EQ(CountAllowed("ann", 20), 6);
}

// They never held together, but are brought back some at a time.
TEST_F(RuleHistoryTest, TenantsThatChangedPlacesAreThereAfterARestart) {
  ASSERT_TRUE(Start(Document(TokenBucket{})));
  Apply({PartOf("a", "b")});
  Apply({EntityChange::Put("a", TenantLimits{})});
  Apply({PartOf("b", "a"), PartOf("c", "b")});
  ASSERT_TRUE(Start(Document(TokenBucket{})));
  EXPECT_EQ(ParentOf("a"), "");
  EXPECT_EQ(ParentOf("b"), "a");
  EXPECT_EQ(ParentOf("c"), "b");
}

TEST_F(RuleHistoryTest, ADocumentUnderWhichATreeWouldBeTooDeepIsRefusedAtTheStart) {
  EnterpriseRateLimitConfig document = Document(TokenBucket{});
  document.tenants["top"] = {};
  ASSERT_TRUE(Start(document));
  Apply({PartOf("t1", "top"), PartOf("t2", "t1"), PartOf("t3", "t2"), PartOf("t4", "t3"), PartOf("t5", "t4"),
         PartOf("t6", "t5"), PartOf("t7", "t6")});
  EnterpriseRateLimitConfig deeper = document;
  deeper.tenants["higher"] = {};
  deeper.tenants["top"].parent = "higher";
  EXPECT_FALSE(limiter_->Apply(deeper));
  const auto started = Start(deeper);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("tenants.t7.parent: is more than 8 levels deep: 't7' in 't6' in"),
            std::string::npos)
      << started.error().message;
  ASSERT_TRUE(Start(document));
  EXPECT_EQ(ParentOf("t7"), "t6");
}

}  // namespace
}  // namespace weir::library
