// Entities that were applied, over restarts.
#include "library/entity_journal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/manual_clock.h"
#include "engine/engine.h"
#include "weir/weir.h"

namespace weir::library {
namespace {

using config::EntityChange;
using Kind = EntityChange::Kind;

class EntityJournalTest : public testing::Test {
 protected:
  EntityJournalTest() {
    std::string name = testing::TempDir() + "/weir-entities-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~EntityJournalTest() override {
    limiter_.reset();
    std::filesystem::remove_all(directory_);
  }

  EnterpriseRateLimitConfig Document(std::uint64_t max_requests = 100) const {
    EnterpriseRateLimitConfig config;
    config.global.free_tier.max_requests = max_requests;
    config.global.free_tier.window_seconds = 3600;
    config.global.free_tier.algorithm = RateLimitAlgorithm(TokenBucket{});
    config.global.free_tier.identifier = EnhancedIdentifier{UserId{}};
    std::get<MemoryStorage>(config.storage.kind).persist_to_disk = (directory_ / "states").string();
    return config;
  }
  void Start(const EnterpriseRateLimitConfig& config) {
    limiter_.reset();
    clock_.Advance(kSecond);
    auto limiter = RateLimiter::Create(config, {.clock = &clock_, .extractors = {}});
    ASSERT_TRUE(limiter) << limiter.error().message;
    limiter_ = std::move(*limiter);
  }
  void Apply(const std::vector<EntityChange>& changes) {
    clock_.Advance(kSecond);
    const auto applied = limiter_->engine().ApplyEntities({}, changes);
    ASSERT_TRUE(applied) << applied.error().message;
  }
  static EntityChange User(const std::string& name, std::uint64_t max_requests) {
    return EntityChange::Put(name, UserLimits{.rule = RateLimitRule{.max_requests = max_requests}});
  }
  int CountAllowed(const Request& request, int times) {
    int allowed = 0;
    for (int i = 0; i < times; ++i) allowed += limiter_->Check(request).allowed ? 1 : 0;
    return allowed;
  }
  std::string File() const { return (directory_ / "states.entities").string(); }
  std::string Text() const {
    std::ifstream file(File());
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  std::size_t Records() const { return EntityJournal((directory_ / "states").string()).Load().size(); }

  std::filesystem::path directory_;
  ManualClock clock_;
  std::unique_ptr<RateLimiter> limiter_;
};

TEST_F(EntityJournalTest, EntitiesHoldAfterARestartAndCountsFollowTheirRules) {
  Start(Document());
  Apply({User("ann", 10), EntityChange::Put("acme", TenantLimits{.aggregate = RateLimitRule{.max_requests = 6,
                                                                                            .window_seconds = 3600}})});
  EXPECT_EQ(CountAllowed({.user = "ann"}, 4), 4);
  Start(Document());
  EXPECT_EQ(CountAllowed({.user = "ann"}, 20), 6) << "4 of 10 were used";
  EXPECT_EQ(CountAllowed({.user = "bob", .tenant = "acme"}, 20), 6);
}

// The subject asks nothing between a change and the restart: what it used lies under the rule's previous name.
TEST_F(EntityJournalTest, CountsFollowAChangeJustBeforeARestart) {
  Start(Document());
  Apply({User("ann", 10)});
  EXPECT_EQ(CountAllowed({.user = "ann"}, 4), 4);
  UserLimits window{.rule = RateLimitRule{.max_requests = 12, .algorithm = RateLimitAlgorithm(FixedWindow{})}};
  Apply({EntityChange::Put("ann", window)});
  Apply({User("ann", 15)});
  Start(Document());
  EXPECT_EQ(CountAllowed({.user = "ann"}, 20), 11) << "4 of 15 were used";
}

TEST_F(EntityJournalTest, CountsFollowOverDocumentsInBetweenAndAChangedOneAtTheStart) {
  Start(Document());
  Apply({User("ann", 10)});
  EXPECT_EQ(CountAllowed({.user = "ann"}, 4), 4);
  clock_.Advance(kSecond);
  ASSERT_TRUE(limiter_->Apply(Document(50)));
  Apply({User("ann", 11)});
  Start(Document(60));
  EXPECT_EQ(CountAllowed({.user = "ann"}, 20), 7);
  Apply({User("ann", 13)});
  Start(Document(60));
  EXPECT_EQ(CountAllowed({.user = "ann"}, 20), 2);
}

TEST_F(EntityJournalTest, WhatIsAppliedAgainAfterARestartIsNoChange) {
  Start(Document());
  Apply({User("ann", 10)});
  EXPECT_EQ(CountAllowed({.user = "ann"}, 4), 4);
  Start(Document());
  clock_.Advance(kSecond);
  ASSERT_TRUE(limiter_->engine().ReplaceEntities({}, {User("ann", 20)}));
  EXPECT_EQ(CountAllowed({.user = "ann"}, 30), 16);
}

TEST_F(EntityJournalTest, WhatIsRemovedIsGone) {
  EnterpriseRateLimitConfig document = Document();
  document.users["bob"].rule = RateLimitRule{.max_requests = 20};
  Start(document);
  Apply({User("ann", 10), User("bob", 5)});
  EXPECT_EQ(CountAllowed({.user = "bob"}, 3), 3);
  Apply({EntityChange::Remove(Kind::kUser, "ann"), EntityChange::Remove(Kind::kUser, "bob")});
  Start(document);
  EXPECT_EQ(limiter_->engine().snapshot()->FindUser("ann"), nullptr);
  EXPECT_EQ(CountAllowed({.user = "bob"}, 30), 17) << "the document's rule, which 3 were used of";
  EXPECT_EQ(Text().find("ann"), std::string::npos) << "forgotten with the restart";
}

TEST_F(EntityJournalTest, ApiKeysAreSavedAsDigests) {
  EnterpriseRateLimitConfig document = Document();
  document.api_keys["plain-key-of-the-document"].quotas = {{.max_requests = 3}};
  Start(document);
  Apply({EntityChange::Put("plain-key", ApiKeyLimits{.user = "kim", .quotas = {{.max_requests = 5}}})});
  EXPECT_EQ(CountAllowed({.api_key = "plain-key"}, 2), 2);
  EXPECT_EQ(CountAllowed({.user = "x", .api_key = "plain-key-of-the-document"}, 2), 2);
  limiter_.reset();
  std::ifstream rules((directory_ / "states.rules").string());
  const std::string documents{std::istreambuf_iterator<char>(rules), std::istreambuf_iterator<char>()};
  EXPECT_EQ((Text() + documents).find("plain-key"), std::string::npos);
  Start(document);
  EXPECT_EQ(CountAllowed({.api_key = "plain-key"}, 20), 3);
  EXPECT_EQ(CountAllowed({.user = "x", .api_key = "plain-key-of-the-document"}, 20), 1);
}

TEST_F(EntityJournalTest, IsWrittenAnewWhenItHasGrown) {
  Start(Document());
  std::vector<EntityChange> many;
  for (int i = 0; i < 100; ++i) many.push_back(User("user-" + std::to_string(i), 10));
  Apply(many);
  EXPECT_EQ(CountAllowed({.user = "user-7"}, 4), 4);
  std::size_t largest = 0;
  for (std::uint64_t i = 0; i < 300; ++i) {
    for (EntityChange& one : many) std::get<UserLimits>(one.limits).rule->max_requests = 11 + i;
    Apply(many);
    largest = std::max<std::size_t>(largest, std::filesystem::file_size(File()));
  }
  EXPECT_LT(largest, 2 * EntityJournal::kLeastGrowth) << "30,000 changes are more";
  Start(Document());
  EXPECT_EQ(Records(), 100U * (config::kMostPrevious + 1));
  EXPECT_EQ(limiter_->engine().snapshot()->FindUser("user-99")->rule()->limit.capacity, 310U);
}

TEST_F(EntityJournalTest, WhatIsTakenBackOverAndOverIsStillFollowed) {
  EnterpriseRateLimitConfig document = Document();
  document.users["bob"].rule = RateLimitRule{.max_requests = 20};
  Start(document);
  EXPECT_EQ(CountAllowed({.user = "bob"}, 3), 3);
  for (std::uint64_t i = 0; i < 20; ++i) {
    Apply({User("bob", 5 + i)});
    Apply({EntityChange::Remove(Kind::kUser, "bob")});
  }
  Start(document);
  EXPECT_EQ(CountAllowed({.user = "bob"}, 30), 17);
  EXPECT_EQ(Records(), 16U) << "of the last 17, but for one that takes back what is left out";
}

TEST_F(EntityJournalTest, WhatThisVersionDoesNotUnderstandStays) {
  Start(Document());
  Apply({User("ann", 10)});
  limiter_.reset();
  const std::string body = "eve {\"later\":1}\n";
  std::ofstream(File(), std::ios::app) << "7 u + 3 11 " << fmt::format("{:016x}", Hash64(body)) << "\n" << body;
  Start(Document());
  EXPECT_NE(limiter_->engine().snapshot()->FindUser("ann"), nullptr);
  Apply({EntityChange::Remove(Kind::kUser, "ann")});
  Start(Document());
  EXPECT_NE(Text().find("later"), std::string::npos);
}

TEST_F(EntityJournalTest, ADamagedFileIsUsedAsFarAsItGoes) {
  Start(Document());
  Apply({User("ann", 10)});
  Apply({User("bob", 5)});
  limiter_.reset();
  const std::string good = Text();
  for (std::size_t cut = 0; cut <= good.size(); ++cut) {
    std::ofstream(File(), std::ios::trunc) << good.substr(0, cut);
    const std::size_t records = Records();
    EXPECT_LE(records, 2U);
    EXPECT_EQ(Records(), records) << "mended, " << cut;
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] ^= 1;
    std::ofstream(File(), std::ios::trunc) << changed;
    EXPECT_LE(Records(), 2U);
  }
  std::ofstream(File(), std::ios::trunc) << good.substr(0, good.size() - 3);
  Start(Document());
  EXPECT_NE(limiter_->engine().snapshot()->FindUser("ann"), nullptr);
  EXPECT_EQ(limiter_->engine().snapshot()->FindUser("bob"), nullptr);
  EXPECT_TRUE(std::filesystem::exists(File() + ".damaged"));
  Apply({User("bob", 6)});
  Start(Document());
  EXPECT_EQ(CountAllowed({.user = "bob"}, 20), 6);
}

TEST_F(EntityJournalTest, WhatTheDocumentDoesNotAllowAnyMoreIsLeftOut) {
  EnterpriseRateLimitConfig document = Document();
  document.templates["tight"] = RateLimitRule{.max_requests = 3, .window_seconds = 3600};
  Start(document);
  Apply({EntityChange::Put("ann", UserLimits{.rule = RateLimitRule{.from_template = "tight"}}), User("bob", 5)});
  Start(Document());
  EXPECT_EQ(limiter_->engine().snapshot()->FindUser("bob")->rule()->limit.capacity, 5U);
}

TEST_F(EntityJournalTest, WithoutASnapshotFileNothingIsWritten) {
  EnterpriseRateLimitConfig document = Document();
  std::get<MemoryStorage>(document.storage.kind).persist_to_disk.reset();
  Start(document);
  Apply({User("ann", 10)});
  EXPECT_FALSE(std::filesystem::exists(File()));
}

}  // namespace
}  // namespace weir::library
