#include "management/auth/accounts.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "base/test_directory.h"

namespace weir::management {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;
constexpr const char* kPassword = "correct horse battery";
// As little as libsodium takes: tests are not to wait.
constexpr PasswordCost kCheap{.passes = 1, .memory = 8'192};

// phc-winner-argon2, src/test.c.
TEST(Passwords, PublishedArgon2idHashesAreVerified) {
  const char* const published =
      "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
  EXPECT_TRUE(PasswordMatches("password", published));
  EXPECT_FALSE(PasswordMatches("passwore", published));
  const char* const small = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
  EXPECT_TRUE(PasswordMatches("password", small));
  for (const char* bad :
       {"", "x", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=99999999999,t=2,p=1$c29tZXNhbHQ$x"}) {
    EXPECT_FALSE(PasswordMatches("password", bad)) << bad;
  }
  EXPECT_FALSE(PasswordMatches("password", std::string(100'000, '$')));
}

TEST(Passwords, TheDefaultIsWhatOwaspAsksFor) {
  const auto hash = HashPassword(kPassword, {});
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << *hash;
  EXPECT_TRUE(PasswordMatches(kPassword, *hash));
  EXPECT_NE(HashPassword(kPassword, kCheap).value(), HashPassword(kPassword, kCheap).value());
}

class AccountsTest : public testing::Test {
 protected:
  AccountsTest() { Open(); }
  void Open(PasswordCost cost = kCheap) {
    accounts_.reset();
    database_.reset();
    database_ = std::move(Database::Open(directory_ / "auth.db").value());
    accounts_ = std::move(Accounts::Open(*database_, cost).value());
  }
  Result<> Create(const std::string& name, std::string_view password = kPassword) {
    return accounts_->Create({.name = name, .roles = {{Role::kAdmin, ""}}, .tenant = "acme"}, password, kNow);
  }
  bool LogsIn(std::string_view name, std::string_view password = kPassword) {
    return accounts_->LogIn(name, password, kNow + 1).has_value();
  }
  TestDirectory directory_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Accounts> accounts_;
};

TEST_F(AccountsTest, APasswordLogsIn) {
  ASSERT_TRUE(Create("ann"));
  const auto principal = accounts_->LogIn("ann", kPassword, kNow + 1);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->name, "ann");
  EXPECT_EQ(principal->kind, PrincipalKind::kPerson);
  EXPECT_EQ(principal->method, AuthMethod::kPassword);
  EXPECT_EQ(principal->roles, (std::vector<RoleGrant>{{Role::kAdmin, ""}}));
  EXPECT_EQ(principal->tenant, "acme");
  EXPECT_FALSE(LogsIn("ann", "wrong horse battery"));
  EXPECT_FALSE(LogsIn("Ann"));
  EXPECT_FALSE(LogsIn("bob"));
  EXPECT_FALSE(LogsIn("ann", ""));
  EXPECT_FALSE(LogsIn("ann", std::string(2'000'000, 'x')));
  EXPECT_FALSE(LogsIn("ann", std::string(kPassword) + std::string(1, '\0')));
  EXPECT_FALSE(LogsIn("' OR 1=1 --"));
  Open();
  EXPECT_TRUE(LogsIn("ann"));
  EXPECT_EQ(accounts_->Get("ann")->last_login, kNow + 1);
}

TEST_F(AccountsTest, WhatChangesHoldsAtOnceAndAfterARestart) {
  ASSERT_TRUE(Create("ann"));
  EXPECT_EQ(Create("ann").error().code, ErrorCode::kAlreadyExists);
  ASSERT_TRUE(accounts_->SetPassword("ann", "another horse battery", kNow + 5));
  EXPECT_FALSE(LogsIn("ann"));
  EXPECT_TRUE(LogsIn("ann", "another horse battery"));
  ASSERT_TRUE(accounts_->Update({.name = "ann", .roles = {{Role::kViewer, "b"}}, .tenant = "", .disabled = true}));
  EXPECT_FALSE(LogsIn("ann", "another horse battery"));
  Open();
  EXPECT_FALSE(LogsIn("ann", "another horse battery"));
  EXPECT_EQ(accounts_->Get("ann")->roles, (std::vector<RoleGrant>{{Role::kViewer, "b"}}));
  EXPECT_EQ(accounts_->Get("ann")->changed, kNow + 5);
  ASSERT_TRUE(accounts_->Delete("ann"));
  EXPECT_TRUE(accounts_->empty());
  Open();
  EXPECT_TRUE(accounts_->List().empty());
  EXPECT_EQ(accounts_->Delete("ann").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(accounts_->SetPassword("ann", kPassword, kNow).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(accounts_->Update({.name = "ann"}).error().code, ErrorCode::kNotFound);
}

TEST_F(AccountsTest, AnAccountIsChangedWholeOrNotAtAll) {
  ASSERT_TRUE(Create("ann"));
  const AccountInfo viewer{.name = "ann", .roles = {{Role::kViewer, "b"}}, .tenant = "b"};
  EXPECT_EQ(accounts_->Update(viewer, "short", kNow + 5).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(accounts_->Get("ann")->roles, (std::vector<RoleGrant>{{Role::kAdmin, ""}}));
  EXPECT_EQ(accounts_->Get("ann")->tenant, "acme");
  EXPECT_TRUE(LogsIn("ann"));
  const AccountInfo wrong{.name = "ann", .roles = std::vector<RoleGrant>(17), .tenant = "b"};
  EXPECT_EQ(accounts_->Update(wrong, "another horse battery", kNow + 5).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(LogsIn("ann"));
  ASSERT_TRUE(accounts_->Update(viewer, "another horse battery", kNow + 5));
  Open();
  EXPECT_FALSE(LogsIn("ann"));
  EXPECT_TRUE(LogsIn("ann", "another horse battery"));
  EXPECT_EQ(accounts_->Get("ann")->roles, viewer.roles);
  EXPECT_EQ(accounts_->Get("ann")->changed, kNow + 5);
}

TEST_F(AccountsTest, EachChangeIsAnotherVersion) {
  EXPECT_EQ(accounts_->VersionOf("ann"), 0U);
  std::set<std::uint64_t> versions;
  const auto is_another = [&] { return versions.insert(accounts_->VersionOf("ann")).second; };
  ASSERT_TRUE(Create("ann"));
  EXPECT_TRUE(is_another());
  EXPECT_TRUE(LogsIn("ann"));
  EXPECT_FALSE(is_another()) << "a login changes nothing";
  ASSERT_TRUE(accounts_->SetPassword("ann", "another horse battery", kNow));
  EXPECT_TRUE(is_another());
  ASSERT_TRUE(accounts_->Update({.name = "ann", .roles = {{Role::kViewer, ""}}, .disabled = true}));
  EXPECT_TRUE(is_another());
  ASSERT_TRUE(accounts_->Delete("ann"));
  EXPECT_EQ(accounts_->VersionOf("ann"), 0U);
  ASSERT_TRUE(Create("ann"));
  EXPECT_TRUE(is_another());
}

TEST_F(AccountsTest, WeakPasswordsAreRefusedAndNotRepeated) {
  for (const std::string& weak : {std::string("short"), std::string(20, 'a'), std::string("abababababababab"),
                                  std::string(1'025, 'x'), std::string("ADMINISTRATOR")}) {
    const auto refused = Create("administrator", weak);
    ASSERT_FALSE(refused) << weak;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().message.find(weak), std::string::npos);
  }
  EXPECT_FALSE(Create("a\nb"));
  EXPECT_TRUE(Create("zoë", "пароль с пробелами"));
  EXPECT_TRUE(LogsIn("zoë", "пароль с пробелами"));
}

TEST_F(AccountsTest, AHashOfFormerCostIsMadeAnewAtTheNextLogin) {
  ASSERT_TRUE(Create("ann"));
  Open({.passes = 2, .memory = 16'384});
  EXPECT_TRUE(LogsIn("ann"));
  std::string hash;
  ASSERT_TRUE(database_->Read([&](Database::Access& access) {
    return access.Query("SELECT password FROM accounts", {}, [&](const Row& row) { hash = row.Text(0); });
  }));
  EXPECT_TRUE(hash.starts_with("$argon2id$v=19$m=16,t=2,p=1$")) << hash;
  EXPECT_TRUE(LogsIn("ann"));
}

TEST_F(AccountsTest, FewPasswordsAreWorkedOnAtOnce) {
  ASSERT_TRUE(Create("ann"));
  Open({.passes = 3, .memory = 4U << 20U});
  std::atomic<int> busy{0}, refused{0}, in{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 60; ++i) {
    threads.emplace_back([&, i] {
      // Unknown names cost as much, and are bounded alike.
      const auto outcome = accounts_->LogIn(i % 2 == 0 ? "ann" : "nobody", kPassword, kNow);
      if (outcome) {
        ++in;
      } else if (outcome.error() == LoginFault::kBusy) {
        ++busy;
      } else {
        ++refused;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(in + busy + refused, 60);
  EXPECT_GT(in + refused, 0);
  EXPECT_TRUE(LogsIn("ann"));  // nobody holds a place for ever
}

}  // namespace
}  // namespace weir::management
