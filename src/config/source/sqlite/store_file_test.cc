// The file: other programs', newer, damaged, readable by others, in a place that cannot be written, on a full disk.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>

#include "config/source/sqlite/schema.h"
#include "config/source/sqlite/store_fixture.h"

namespace weir::config {
namespace {

class StoreFileTest : public StoreFixture {
 protected:
  void Sql(const std::string& sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
    char* message = nullptr;
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK) << message;
    sqlite3_close(database);
  }
  std::string Content() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  mode_t Mode(const std::string& file) const {
    struct stat found = {};
    EXPECT_EQ(::stat(file.c_str(), &found), 0);
    return found.st_mode & 0777U;
  }
  // In a process of its own; what it returns is its exit code.
  static int InChild(const std::function<int()>& what) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(what());
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << status;
    return WEXITSTATUS(status);
  }
};

TEST_F(StoreFileTest, ItIsItsOwnersAlone) {
  Put("a", "1");
  EXPECT_EQ(Mode(path()), 0600U);
  EXPECT_EQ(Mode(path() + "-wal"), 0600U);
  EXPECT_EQ(Mode(path() + "-shm"), 0600U);
}

TEST_F(StoreFileTest, OneThatOthersCanReadIsMadeSo) {
  Put("a", "1");
  Close();
  ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
  EXPECT_EQ(Value("a"), "1");
  EXPECT_EQ(Mode(path()), 0600U);
}

TEST_F(StoreFileTest, AnotherProgramsDatabaseIsLeftAlone) {
  Sql("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
  const std::string before = Content();
  const auto store = TryOpen();
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store.error().message, path() + ": is the database of another program");
  EXPECT_EQ(Content(), before);
  EXPECT_FALSE(std::filesystem::exists(path() + "-wal"));
}

TEST_F(StoreFileTest, WhatIsNoDatabaseIsLeftAlone) {
  const std::string text = "global: {free_tier: unlimited}\n" + std::string(2000, '#');
  std::ofstream(path()) << text;
  const auto store = TryOpen();
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Content(), text);
}

TEST_F(StoreFileTest, ANewerStoreIsRefused) {
  Put("a", "1");
  Close();
  Sql("PRAGMA user_version = 99");
  const auto store = TryOpen();
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(store.error().message.find("newer weir (schema 99"), std::string::npos) << store.error().message;
  Sql("PRAGMA user_version = 1");
  EXPECT_EQ(Value("a"), "1");
}

TEST_F(StoreFileTest, OnlyRegularFilesAreOpened) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_EQ(TryOpen().error().message, path() + ": is no regular file");
  std::filesystem::remove(path());
  std::filesystem::create_directory(path());
  EXPECT_EQ(TryOpen().error().message, path() + ": is no regular file");
}

TEST_F(StoreFileTest, AMissingDirectoryIsTold) {
  const auto store = OpenSqliteConfigStore({.path = (directory_ / "none" / "config.db").string()});
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(store.error().message.find("No such file"), std::string::npos) << store.error().message;
}

TEST_F(StoreFileTest, DamageIsTold) {
  for (int i = 0; i < 200; ++i) Put("user" + std::to_string(i), "\"" + std::string(200, 'x') + "\"");
  Close();
  {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    for (std::streamoff page = 1; page < 20; ++page) {
      file.seekp(page * 4096);
      file << std::string(64, '\xff');
    }
  }
  const auto store = TryOpen();
  const auto error = store ? (*store)->List({.kind = "users"}).error() : store.error();
  EXPECT_EQ(error.code, ErrorCode::kDataLoss) << error.message;
}

TEST_F(StoreFileTest, ADirectoryThatCannotBeWrittenIsTold) {
  Put("a", "1");
  Close();
  ASSERT_EQ(::chmod(directory_.c_str(), 0555), 0);
  ASSERT_EQ(::chmod(path().c_str(), 0444), 0);
  const int code = InChild([&] {
    // Permissions do not hold for root.
    if (::geteuid() == 0 && ::seteuid(65534) != 0) return 9;
    const auto store = TryOpen();
    if (store) return 1;
    if (store.error().code != ErrorCode::kUnavailable) return 2;
    const auto other = OpenSqliteConfigStore({.path = (directory_ / "other.db").string()});
    if (other) return 3;
    return other.error().message.find("Permission denied") != std::string::npos ? 0 : 4;
  });
  EXPECT_EQ(code, 0);
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path().c_str(), 0600), 0);
  EXPECT_EQ(Value("a"), "1");
}

// What was acknowledged before stays, what is refused leaves nothing behind, and it goes on when there is room again.
TEST_F(StoreFileTest, AFullDiskIsTold) {
  const int code = InChild([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    auto store = TryOpen();
    if (!store) return 1;
    const std::string large = '"' + std::string(100'000, 'x') + '"';
    if (!(*store)->Append(DraftOf({PutOf({"users", "before"}, large)}))) return 2;
    struct rlimit limit = {};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    const rlim_t whole = limit.rlim_cur;
    limit.rlim_cur = 600'000;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int kept = 0;
    while (kept < 100) {
      const auto appended = (*store)->Append(DraftOf({PutOf({"users", "u" + std::to_string(kept)}, large)}));
      if (appended) {
        ++kept;
        continue;
      }
      if (appended.error().code != ErrorCode::kResourceExhausted) {
        ADD_FAILURE() << appended.error().message;
        return 3;
      }
      break;
    }
    if (kept == 0 || kept == 100) return 4;
    // Reading goes on.
    const auto count = (*store)->Count("users");
    if (!count || *count != static_cast<std::uint64_t>(kept) + 1) return 5;
    limit.rlim_cur = whole;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    if (!(*store)->Append(DraftOf({PutOf({"users", "after"}, "1")}))) return 6;
    return (*store)->Get({"users", "u" + std::to_string(kept)}) ? 7 : 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(Value("after"), "1");
  EXPECT_EQ(Value("before").size(), 100'002U);
}

}  // namespace
}  // namespace weir::config
