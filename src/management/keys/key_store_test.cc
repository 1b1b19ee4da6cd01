#include "management/keys/key_store.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "base/allocation_counter.h"
#include "base/test_directory.h"

namespace weir::management {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;

class KeyStoreTest : public testing::Test {
 protected:
  KeyStoreTest() { Open(); }
  void Open() {
    store_.reset();
    database_.reset();
    auto database = Database::Open(directory_ / "auth.db");
    ASSERT_TRUE(database) << database.error().message;
    database_ = std::move(*database);
    auto store = KeyStore::Open(*database_);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  IssuedKey Issue(const KeySpec& spec) {
    auto issued = store_->Issue(spec, kNow);
    EXPECT_TRUE(issued) << issued.error().message;
    return issued ? *issued : IssuedKey{};
  }
  KeyVerdict VerdictOf(std::string_view presented, Nanos now = kNow) {
    return store_->Find(presented, nullptr, now).verdict();
  }

  TestDirectory directory_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<KeyStore> store_;
};

TEST_F(KeyStoreTest, APresentedKeyLeadsToItsId) {
  const IssuedKey issued = Issue({.key_id = "acme-1", .prefix = "acme_live"});
  EXPECT_TRUE(issued.secret.starts_with("acme_live_"));
  EXPECT_EQ(issued.info.shown, issued.secret.substr(0, 14));
  {
    const auto found = store_->Find(issued.secret, nullptr, kNow);
    EXPECT_EQ(found.verdict(), KeyVerdict::kAccepted);
    EXPECT_EQ(found.key_id(), "acme-1");
    EXPECT_EQ(found.secret_id(), issued.info.id);
    EXPECT_TRUE(found.HasScope("anything"));
  }
  EXPECT_EQ(VerdictOf(MakeSecret("acme_live")), KeyVerdict::kUnknown);
  EXPECT_EQ(VerdictOf("acme_live_x"), KeyVerdict::kMalformed);
  EXPECT_EQ(VerdictOf(""), KeyVerdict::kMalformed);
  EXPECT_EQ(store_->Find("", nullptr, kNow).key_id(), "");
  Open();
  EXPECT_EQ(VerdictOf(issued.secret), KeyVerdict::kAccepted);
}

TEST_F(KeyStoreTest, TheSecretIsNowhereAtRest) {
  const IssuedKey issued = Issue({.key_id = "acme-1"});
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    std::ostringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    all += text.str();
  }
  EXPECT_NE(all.find(issued.info.id), std::string::npos);
  EXPECT_EQ(all.find(issued.secret.substr(6, 30)), std::string::npos);
}

TEST_F(KeyStoreTest, ARotationOverlaps) {
  const IssuedKey first = Issue({.key_id = "k", .scopes = {"orders:*"}, .networks = {"192.0.2.0/24"}});
  const auto second = store_->Rotate({.key_id = "k"}, kHour, kNow);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->info.scopes, std::vector<std::string>{"orders:*"});
  EXPECT_EQ(second->info.networks, std::vector<std::string>{"192.0.2.0/24"});
  const Address inside = *ParseAddress("192.0.2.7");
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(store_->Find(first.secret, &inside, kNow + kHour - 1).verdict(), KeyVerdict::kAccepted);
    EXPECT_EQ(store_->Find(first.secret, &inside, kNow + kHour).verdict(), KeyVerdict::kExpired);
    EXPECT_EQ(store_->Find(second->secret, &inside, kNow + kHour).verdict(), KeyVerdict::kAccepted);
    EXPECT_EQ(store_->Find(second->secret, &inside, kNow).key_id(), "k");
    Open();
  }
  // Without overlap the former one ends at once; one that was to end sooner is not given longer.
  const auto third = store_->Rotate({.key_id = "k"}, 0, kNow + 1);
  ASSERT_TRUE(third);
  EXPECT_EQ(store_->Find(second->secret, &inside, kNow + 1).verdict(), KeyVerdict::kRevoked);
  EXPECT_EQ(store_->Find(first.secret, &inside, kNow + 1).verdict(), KeyVerdict::kRevoked);
  EXPECT_EQ(store_->Find(third->secret, &inside, kNow + 1).verdict(), KeyVerdict::kAccepted);
  EXPECT_EQ(store_->List("k")->size(), 3U);
  EXPECT_EQ(store_->List("k")->front().id, third->info.id);
  EXPECT_EQ(store_->Rotate({.key_id = "none"}, 0, kNow).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(store_->Rotate({.key_id = "k"}, -1, kNow));
}

TEST_F(KeyStoreTest, ALongOverlapDoesNotOutliveTheKeysOwnExpiry) {
  const IssuedKey first = Issue({.key_id = "k", .expires = kNow + kMinute});
  ASSERT_TRUE(store_->Rotate({.key_id = "k"}, std::numeric_limits<Nanos>::max(), kNow));
  EXPECT_EQ(VerdictOf(first.secret, kNow + kMinute), KeyVerdict::kExpired);
}

TEST_F(KeyStoreTest, RevocationIsAtOnceAndStays) {
  const IssuedKey first = Issue({.key_id = "k"});
  const IssuedKey second = Issue({.key_id = "k"});
  const IssuedKey other = Issue({.key_id = "other"});
  ASSERT_TRUE(store_->RevokeSecret(first.info.id, kNow));
  EXPECT_EQ(VerdictOf(first.secret), KeyVerdict::kRevoked);
  EXPECT_EQ(VerdictOf(second.secret), KeyVerdict::kAccepted);
  ASSERT_TRUE(store_->RevokeKey("k", kNow + 5));
  EXPECT_EQ(VerdictOf(second.secret), KeyVerdict::kRevoked);
  EXPECT_EQ(VerdictOf(other.secret), KeyVerdict::kAccepted);
  ASSERT_TRUE(store_->RevokeKey("k", kNow + 9));  // again: nothing to do, and no error
  Open();
  EXPECT_EQ(VerdictOf(first.secret), KeyVerdict::kRevoked);
  EXPECT_EQ(store_->List("k")->back().revoked, kNow);
  EXPECT_EQ(store_->RevokeKey("none", kNow).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->RevokeSecret("none", kNow).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(store_->Forget("k"));
  EXPECT_EQ(VerdictOf(first.secret), KeyVerdict::kUnknown);
  EXPECT_TRUE(store_->List("k")->empty());
  ASSERT_TRUE(store_->Forget("k"));
}

TEST_F(KeyStoreTest, NetworksAndScopesBind) {
  const IssuedKey issued =
      Issue({.key_id = "k", .scopes = {"orders:read", "items:*"}, .networks = {"10.0.0.0/8", "2001:db8::/32"}});
  const auto from = [&](const char* text) {
    const Address address = *ParseAddress(text);
    return store_->Find(issued.secret, &address, kNow).verdict();
  };
  EXPECT_EQ(from("10.1.2.3"), KeyVerdict::kAccepted);
  EXPECT_EQ(from("2001:db8::1"), KeyVerdict::kAccepted);
  EXPECT_EQ(from("::ffff:10.1.2.3"), KeyVerdict::kAccepted);
  EXPECT_EQ(from("11.0.0.1"), KeyVerdict::kNetwork);
  EXPECT_EQ(VerdictOf(issued.secret), KeyVerdict::kNetwork);  // nobody knows from where
  const Address inside = *ParseAddress("10.1.2.3");
  const auto found = store_->Find(issued.secret, &inside, kNow);
  EXPECT_TRUE(found.HasScope("orders:read"));
  EXPECT_FALSE(found.HasScope("orders:write"));
  EXPECT_TRUE(found.HasScope("items:write"));
  EXPECT_FALSE(found.HasScope("item"));
  EXPECT_FALSE(store_->Find(issued.secret, nullptr, kNow).HasScope("orders:read"));
}

TEST_F(KeyStoreTest, WhatIsNotToBeIssuedIsRefused) {
  const KeySpec bad[] = {
      {.key_id = ""},
      {.key_id = "a\nb"},
      {.key_id = "k", .prefix = "Acme"},
      {.key_id = "k", .prefix = std::string(kTokenPrefix)},
      {.key_id = "k", .prefix = std::string(kSessionPrefix)},
      {.key_id = "k", .scopes = {"a b"}},
      {.key_id = "k", .scopes = {""}},
      {.key_id = "k", .scopes = std::vector<std::string>(33, "a")},
      {.key_id = "k", .networks = {"10.1.2.3/8"}},
      {.key_id = "k", .networks = {"anywhere"}},
      {.key_id = "k", .expires = kNow},
  };
  for (const KeySpec& spec : bad) {
    const auto issued = store_->Issue(spec, kNow);
    ASSERT_FALSE(issued);
    EXPECT_EQ(issued.error().code, ErrorCode::kInvalidArgument);
  }
  for (std::size_t i = 0; i < KeyStore::kMostSecretsOfAKey; ++i) (void)Issue({.key_id = "k"});
  EXPECT_EQ(store_->Issue({.key_id = "k"}, kNow).error().code, ErrorCode::kResourceExhausted);
  ASSERT_TRUE(store_->RevokeKey("k", kNow));
  EXPECT_TRUE(store_->Issue({.key_id = "k"}, kNow));
}

TEST_F(KeyStoreTest, ManyAreIssuedTogetherOrNotAtAll) {
  std::vector<KeySpec> specs(500);
  for (std::size_t i = 0; i < specs.size(); ++i) specs[i].key_id = "k" + std::to_string(i / 2);
  const auto issued = store_->IssueAll(specs, kNow);
  ASSERT_TRUE(issued) << issued.error().message;
  ASSERT_EQ(issued->size(), 500U);
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < 500; ++i) {
      ASSERT_EQ(store_->Find((*issued)[i].secret, nullptr, kNow).key_id(), specs[i].key_id);
    }
    Open();
  }
  specs[300].prefix = "Bad";
  const auto refused = store_->IssueAll(specs, kNow);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.starts_with("key 301: ")) << refused.error().message;
  EXPECT_EQ(store_->size(), 500U);
  // The bound of a key counts those among them.
  const std::vector<KeySpec> same(7, KeySpec{.key_id = "k0"});
  EXPECT_EQ(store_->IssueAll(same, kNow).error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(store_->IssueAll(std::span(same).first(6), kNow));
  EXPECT_TRUE(store_->IssueAll({}, kNow)->empty());
}

TEST_F(KeyStoreTest, OldOnesArePurged) {
  const IssuedKey expired = Issue({.key_id = "a", .expires = kNow + 1});
  const IssuedKey kept = Issue({.key_id = "b"});
  ASSERT_TRUE(store_->Purge(kNow + 2));
  EXPECT_EQ(VerdictOf(expired.secret), KeyVerdict::kUnknown);
  EXPECT_EQ(VerdictOf(kept.secret), KeyVerdict::kAccepted);
  EXPECT_EQ(store_->size(), 1U);
}

TEST_F(KeyStoreTest, FindingAllocatesNothing) {
  const IssuedKey issued = Issue({.key_id = "k", .scopes = {"a:*"}, .networks = {"10.0.0.0/8"}});
  const Address inside = *ParseAddress("10.1.2.3");
  (void)store_->Find(issued.secret, &inside, kNow);
  const std::uint64_t before = AllocationsOfThisThread();
  const auto found = store_->Find(issued.secret, &inside, kNow);
  const bool scoped = found.HasScope("a:b");
  const std::uint64_t after = AllocationsOfThisThread();
  EXPECT_EQ(after, before);
  EXPECT_EQ(found.verdict(), KeyVerdict::kAccepted);
  EXPECT_TRUE(scoped);
}

TEST_F(KeyStoreTest, ChangesDoNotDisturbReaders) {
  const IssuedKey issued = Issue({.key_id = "k"});
  std::atomic<bool> stop{false};
  std::atomic<int> missed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        const auto found = store_->Find(issued.secret, nullptr, kNow);
        if (found.verdict() != KeyVerdict::kAccepted || found.key_id() != "k") ++missed;
      }
    });
  }
  for (int i = 0; i < 30; ++i) {
    const IssuedKey one = Issue({.key_id = "other" + std::to_string(i)});
    ASSERT_TRUE(store_->Forget(one.info.key_id));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(missed, 0);
}

}  // namespace
}  // namespace weir::management
