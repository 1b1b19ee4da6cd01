#include "management/auth/token_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/test_directory.h"

namespace weir::management {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;

class TokenStoreTest : public testing::Test {
 protected:
  TokenStoreTest() { Open(); }
  void Open() {
    store_.reset();
    database_.reset();
    auto database = Database::Open(directory_ / "auth.db");
    ASSERT_TRUE(database) << database.error().message;
    database_ = std::move(*database);
    auto store = TokenStore::Open(*database_);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  IssuedToken Issue(Role role = Role::kEditor, Nanos expires = 0) {
    auto issued = store_->Issue(
        {.name = "ci", .roles = {{role, ""}}, .tenant = "acme", .expires = expires, .created_by = "root"}, kNow);
    EXPECT_TRUE(issued) << issued.error().message;
    return *issued;
  }
  TokenFault FaultOf(std::string_view presented, Nanos now = kNow) {
    const auto verified = store_->Verify(presented, now);
    EXPECT_FALSE(verified);
    return verified ? TokenFault::kMalformed : verified.error();
  }
  std::string AllFiles() {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      std::ostringstream text;
      text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      all += text.str();
    }
    return all;
  }

  TestDirectory directory_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<TokenStore> store_;
};

TEST_F(TokenStoreTest, AnIssuedTokenIsItsPrincipal) {
  const IssuedToken issued = Issue();
  const auto principal = store_->Verify(issued.secret, kNow);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->name, "ci");
  EXPECT_EQ(principal->roles, (std::vector<RoleGrant>{{Role::kEditor, ""}}));
  EXPECT_EQ(principal->tenant, "acme");
  EXPECT_EQ(principal->method, AuthMethod::kToken);
  EXPECT_EQ(principal->credential, issued.info.id);
}

TEST_F(TokenStoreTest, TheSecretIsNowhereAtRest) {
  const IssuedToken issued = Issue();
  ASSERT_FALSE(store_->Bootstrap(std::string_view("correct-horse-battery-staple-42x"), kNow)->has_value());
  const std::string files = AllFiles();
  EXPECT_NE(files.find(issued.info.id), std::string::npos);
  EXPECT_EQ(files.find(issued.secret), std::string::npos);
  EXPECT_EQ(files.find(issued.secret.substr(6, 30)), std::string::npos);
  EXPECT_EQ(files.find("correct-horse"), std::string::npos);
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    struct stat status{};
    ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0077U, 0U) << entry.path();
  }
}

TEST_F(TokenStoreTest, TokensAndRevocationsOutliveARestart) {
  const IssuedToken kept = Issue();
  const IssuedToken revoked = Issue();
  ASSERT_TRUE(store_->Revoke(revoked.info.id, kNow));
  EXPECT_EQ(FaultOf(revoked.secret), TokenFault::kRevoked);
  Open();
  EXPECT_TRUE(store_->Verify(kept.secret, kNow));
  EXPECT_EQ(FaultOf(revoked.secret), TokenFault::kRevoked);
  EXPECT_EQ(store_->List().size(), 2U);
  EXPECT_EQ(store_->Get(revoked.info.id)->revoked, kNow);
  EXPECT_EQ(store_->Revoke("tok_none", kNow).error().code, ErrorCode::kNotFound);
}

TEST_F(TokenStoreTest, FaultsAreToldApart) {
  const IssuedToken issued = Issue(Role::kViewer, kNow + kHour);
  EXPECT_TRUE(store_->Verify(issued.secret, kNow + kHour - 1));
  EXPECT_EQ(FaultOf(issued.secret, kNow + kHour), TokenFault::kExpired);
  EXPECT_EQ(FaultOf(MakeSecret(kTokenPrefix)), TokenFault::kUnknown);
  EXPECT_EQ(FaultOf("weirt_x"), TokenFault::kMalformed);
  EXPECT_EQ(FaultOf(""), TokenFault::kMalformed);
  EXPECT_EQ(FaultOf(std::string(100'000, 'a')), TokenFault::kMalformed);
  EXPECT_EQ(FaultOf("' OR 1=1 --"), TokenFault::kMalformed);
}

TEST_F(TokenStoreTest, WhatIsNotToBeIssuedIsRefused) {
  const auto fails = [&](const TokenSpec& spec) {
    const auto issued = store_->Issue(spec, kNow);
    EXPECT_FALSE(issued);
    return issued ? ErrorCode::kInternal : issued.error().code;
  };
  EXPECT_EQ(fails({.name = "", .roles = {{Role::kViewer, ""}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(fails({.name = "a", .roles = {}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(fails({.name = "a", .roles = {{Role::kViewer, ""}}, .expires = kNow}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(fails({.name = "a\n", .roles = {{Role::kViewer, ""}}}), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(store_->List().empty());
}

TEST_F(TokenStoreTest, SqlInAFieldIsText) {
  const std::string name = "x'); DROP TABLE tokens; --";
  const auto issued = store_->Issue({.name = name, .roles = {{Role::kViewer, name}}, .created_by = name}, kNow);
  ASSERT_TRUE(issued) << issued.error().message;
  Open();
  EXPECT_EQ(store_->Get(issued->info.id)->name, name);
  EXPECT_EQ(store_->Get(issued->info.id)->roles[0].tenant, name);
  EXPECT_FALSE(store_->Get("x' OR '1'='1"));
}

TEST_F(TokenStoreTest, TheFirstStartMakesOneAdminTokenOnce) {
  const auto first = store_->Bootstrap(std::nullopt, kNow);
  ASSERT_TRUE(first && first->has_value());
  const auto principal = store_->Verify((*first)->secret, kNow);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->roles, (std::vector<RoleGrant>{{Role::kAdmin, ""}}));
  EXPECT_FALSE(store_->Bootstrap(std::nullopt, kNow)->has_value());
  Open();
  EXPECT_FALSE(store_->Bootstrap(std::nullopt, kNow)->has_value());
  EXPECT_TRUE(store_->Verify((*first)->secret, kNow));
}

TEST_F(TokenStoreTest, AChosenTokenStaysOverRestartsAndCanBeReplaced) {
  constexpr std::string_view kChosen = "correct-horse-battery-staple-42x";
  constexpr std::string_view kOther = "another-horse-battery-staple-421x";
  ASSERT_FALSE(store_->Bootstrap(kChosen, kNow)->has_value());
  EXPECT_TRUE(store_->Verify(kChosen, kNow));
  Open();
  EXPECT_TRUE(store_->Verify(kChosen, kNow));
  ASSERT_FALSE(store_->Bootstrap(kChosen, kNow + 1)->has_value());
  EXPECT_EQ(store_->List().size(), 1U);
  EXPECT_EQ(store_->List()[0].created, kNow);
  EXPECT_FALSE(store_->Bootstrap(std::nullopt, kNow)->has_value());  // none is made beside it

  ASSERT_TRUE(store_->Bootstrap(kOther, kNow));
  EXPECT_TRUE(store_->Verify(kOther, kNow));
  EXPECT_FALSE(store_->Verify(kChosen, kNow));
  Open();
  EXPECT_TRUE(store_->Verify(kOther, kNow));
  EXPECT_FALSE(store_->Verify(kChosen, kNow));

  // Revoked in the API, it does not come back by a restart, also not after a purge.
  ASSERT_TRUE(store_->Revoke(TokenStore::kBootstrapId, kNow));
  ASSERT_TRUE(store_->Purge(kNow + kDay));
  ASSERT_TRUE(store_->Bootstrap(kOther, kNow));
  EXPECT_EQ(FaultOf(kOther), TokenFault::kRevoked);
}

TEST_F(TokenStoreTest, AWeakChosenTokenIsRefusedAndNotRepeated) {
  for (const std::string& weak :
       {std::string("short"), std::string(40, 'a'), std::string("correct horse battery staple 42x"),
        std::string(31, 'a') + "\n", std::string(2000, 'x')}) {
    const auto refused = store_->Bootstrap(weak, kNow);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().message.find(weak), std::string::npos);
  }
}

TEST_F(TokenStoreTest, LastUseIsWrittenLazily) {
  const IssuedToken issued = Issue();
  ASSERT_TRUE(store_->Verify(issued.secret, kNow + 5));
  EXPECT_EQ(store_->Get(issued.info.id)->last_used, kNow + 5);
  Open();
  EXPECT_EQ(store_->Get(issued.info.id)->last_used, 0);
  ASSERT_TRUE(store_->Verify(issued.secret, kNow + 6));
  ASSERT_TRUE(store_->FlushLastUsed());
  Open();
  EXPECT_EQ(store_->Get(issued.info.id)->last_used, kNow + 6);
}

TEST_F(TokenStoreTest, OldOnesArePurged) {
  const IssuedToken expired = Issue(Role::kViewer, kNow + 1);
  const IssuedToken revoked = Issue();
  const IssuedToken kept = Issue();
  ASSERT_TRUE(store_->Revoke(revoked.info.id, kNow));
  ASSERT_TRUE(store_->Purge(kNow + 2));
  EXPECT_EQ(store_->List().size(), 1U);
  Open();
  ASSERT_EQ(store_->List().size(), 1U);
  EXPECT_EQ(store_->List()[0].id, kept.info.id);
  EXPECT_EQ(FaultOf(expired.secret), TokenFault::kUnknown);
}

TEST_F(TokenStoreTest, ARevocationHoldsForThreadsThatVerify) {
  const IssuedToken issued = Issue();
  std::atomic<bool> revoked{false};
  std::atomic<int> late{0};
  std::vector<std::thread> threads;
  std::atomic<bool> stop{false};
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        const bool was_revoked = revoked;
        if (store_->Verify(issued.secret, kNow) && was_revoked) ++late;
      }
    });
  }
  ASSERT_TRUE(store_->Revoke(issued.info.id, kNow));
  revoked = true;
  for (int i = 0; i < 20; ++i) (void)Issue();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(late, 0);
}

TEST_F(TokenStoreTest, OneProcessAtATime) {
  const auto second = Database::Open(directory_ / "auth.db");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kFailedPrecondition);
}

TEST(DatabaseTest, OtherFilesAreNotTouched) {
  const TestDirectory directory;
  std::ofstream(directory / "text.db") << "no database, but a rather long text in its place";
  const auto text = Database::Open(directory / "text.db");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::kDataLoss);
  EXPECT_FALSE(Database::Open(directory / "missing/auth.db"));
  std::filesystem::create_symlink(directory / "text.db", directory / "link.db");
  EXPECT_FALSE(Database::Open(directory / "link.db"));
  std::filesystem::create_directory(directory / "folder.db");
  EXPECT_FALSE(Database::Open(directory / "folder.db"));
}

TEST(DatabaseTest, ANewerSchemaIsRefused) {
  const TestDirectory directory;
  {
    auto database = Database::Open(directory / "auth.db");
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->Write([](Database::Access& access) { return access.Run("PRAGMA user_version = 99"); }));
  }
  const auto newer = Database::Open(directory / "auth.db");
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(newer.error().message.find("newer weir"), std::string::npos);
}

TEST(DatabaseTest, AFailedWriteLeavesNothing) {
  const TestDirectory directory;
  auto database = Database::Open(directory / "auth.db");
  ASSERT_TRUE(database);
  const auto failed = (*database)->Write([](Database::Access& access) -> Result<> {
    auto done = access.Run("INSERT INTO facts (name, value) VALUES ('a', 1)");
    if (!done) return done;
    return Fail(ErrorCode::kInternal, "no");
  });
  EXPECT_FALSE(failed);
  int rows = 0;
  ASSERT_TRUE((*database)->Read([&](Database::Access& access) {
    return access.Query("SELECT 1 FROM facts", {}, [&](const Row& /*row*/) { ++rows; });
  }));
  EXPECT_EQ(rows, 0);
  const auto secret = (*database)->SecretOf("x", 32);
  ASSERT_TRUE(secret);
  EXPECT_EQ((*database)->SecretOf("x", 32).value(), *secret);
  EXPECT_NE((*database)->SecretOf("y", 32).value(), *secret);
}

}  // namespace
}  // namespace weir::management
