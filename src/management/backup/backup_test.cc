#include "management/backup/backup.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/test_directory.h"
#include "management/audit/audit_log.h"
#include "management/audit/verify.h"
#include "management/auth/database.h"
#include "management/backup/archive.h"
#include "management/backup/database_copy.h"

namespace weir::management {
namespace {

namespace fs = std::filesystem;

constexpr Nanos kNow = 1'800'000'000 * kSecond;

// A state directory whose daemon runs: everything is open, and goes on to be.
class BackupTest : public testing::Test {
 protected:
  void SetUp() override {
    state_ = directory_ / "state";
    file_ = directory_ / "weir.backup";
    fs::create_directory(state_);
    // Any database of weir's does for config.db: its contents are not looked at.
    config_ = std::move(*Database::Open(state_ + "/config.db"));
    auth_ = std::move(*Database::Open(state_ + "/auth.db"));
    log_ = std::move(*audit::AuditLog::Open({.directory = state_ + "/audit", .node = "n", .version = "v"}, kNow));
    Change(1);
  }
  void Change(std::int64_t value) {
    ASSERT_TRUE(log_->Append(audit::Record{.action = "update:users"}, kNow));
    ASSERT_TRUE(config_->Write([&](Database::Access& access) {
      return access.Run("INSERT OR REPLACE INTO facts (name, value) VALUES ('n', ?)", {value});
    }));
  }
  static std::int64_t ValueIn(const std::string& state) {
    const auto database = Database::Open(state + "/config.db");
    EXPECT_TRUE(database) << database.error().message;
    std::int64_t value = 0;
    if (!database) return value;
    EXPECT_TRUE((*database)->Read([&](Database::Access& access) {
      return access.Query("SELECT value FROM facts WHERE name = 'n'", {},
                          [&](const Row& row) { value = row.Integer(0); });
    }));
    return value;
  }
  Result<BackupSummary> Make() { return MakeBackup(state_, file_, "1.2.3", kNow); }
  // Nothing is left beside what the test made.
  std::size_t FilesHere() const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& one : fs::directory_iterator(directory_.path())) ++count;
    return count;
  }

  TestDirectory directory_;
  std::string state_, file_;
  std::unique_ptr<Database> config_, auth_;
  std::unique_ptr<audit::AuditLog> log_;
};

TEST_F(BackupTest, ComesBackAsItWas) {
  const auto made = Make();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_GE(made->audit_records, 2U);
  EXPECT_EQ(FilesHere(), 2U);
  struct stat status{};
  ASSERT_EQ(stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  Change(2);  // after the backup
  const std::string restored = directory_ / "restored";
  const auto done = RestoreBackup(file_, restored + "/");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->version, "1.2.3");
  EXPECT_EQ(done->parts, made->parts);
  EXPECT_EQ(done->audit_records, made->audit_records);
  EXPECT_EQ(ValueIn(restored), 1);
  // Its audit log goes on.
  auto log = audit::AuditLog::Open({.directory = restored + "/audit", .node = "n", .version = "v"}, kNow);
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_TRUE((*log)->Append(audit::Record{.action = "update:users"}, kNow));
  log->reset();
  EXPECT_FALSE(audit::Verify(restored + "/audit")->fault);
}

TEST_F(BackupTest, NothingIsOverwritten) {
  ASSERT_TRUE(Make());
  EXPECT_EQ(Make().error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(RestoreBackup(file_, state_).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(MakeBackup(directory_.path(), directory_ / "x", "v", kNow).error().code, ErrorCode::kNotFound);
  fs::create_directory(directory_ / "empty");
  EXPECT_TRUE(RestoreBackup(file_, directory_ / "empty"));
  EXPECT_EQ(FilesHere(), 3U);
}

TEST_F(BackupTest, EveryDamageIsFound) {
  ASSERT_TRUE(Make());
  const std::string good = *ReadRegularFile(file_, 64U << 20U);
  const std::string bad = directory_ / "bad", target = directory_ / "target";
  const auto restored = [&](const std::string& text) {
    std::ofstream(bad, std::ios::binary | std::ios::trunc) << text;
    const auto done = RestoreBackup(bad, target);
    EXPECT_FALSE(fs::exists(target));
    return done ? ErrorCode::kInternal : done.error().code;
  };
  for (const std::size_t length : {std::size_t{0}, std::size_t{100}, good.size() / 2, good.size() - 2'000}) {
    EXPECT_EQ(restored(good.substr(0, length)), ErrorCode::kDataLoss) << length;
  }
  // A bit anywhere: in headers, in a database, in the log, in the manifest. Not in padding, which says nothing.
  for (std::size_t at = 0; at < good.size(); at += good.size() / 40 + 1) {
    std::string flipped = good;
    if (flipped[at] == '\0') continue;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_EQ(restored(flipped), ErrorCode::kDataLoss) << at;
  }
  fs::remove(bad);
  EXPECT_EQ(FilesHere(), 2U);
}

TEST_F(BackupTest, AnArchiveOfSomebodyElseWritesNowhere) {
  for (const std::string name : {"../evil", "/etc/evil", "audit/../../evil", "audit/.hidden", "evil", "audit/"}) {
    const std::string path = directory_ / "evil.tar";
    {
      auto archive = ArchiveWriter::Create(path);
      ASSERT_TRUE(archive);
      ASSERT_TRUE(archive->AddText(name, "x"));
      ASSERT_TRUE(archive->AddText("manifest.json", "{\"format\":1,\"parts\":{}}"));
      ASSERT_TRUE(archive->Finish());
    }
    EXPECT_EQ(RestoreBackup(path, directory_ / "target").error().code, ErrorCode::kDataLoss) << name;
    fs::remove(path);
  }
  EXPECT_EQ(FilesHere(), 1U);
}

TEST_F(BackupTest, ADamagedLogIsNotTakenForAGoodOne) {
  log_.reset();
  std::string segment;
  for (const auto& one : fs::directory_iterator(state_ + "/audit")) {
    if (one.path().extension() == ".ndjson" && one.path().filename() != "checkpoints.ndjson") segment = one.path();
  }
  std::string text = *ReadRegularFile(segment, 1U << 20U);
  text.replace(text.find("update:users"), 6, "delete");
  ASSERT_TRUE(ReplaceFile(segment, text));
  EXPECT_EQ(Make().error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(FilesHere(), 1U);
}

TEST(DatabaseCopy, WhatIsNoDatabaseIsTold) {
  const TestDirectory directory;
  ASSERT_TRUE(ReplaceFile(directory / "text", std::string(5'000, 'x')));
  EXPECT_EQ(CopyDatabase(directory / "text", directory / "copy").error().code, ErrorCode::kDataLoss);
  EXPECT_FALSE(fs::exists(directory / "copy"));
  EXPECT_EQ(CheckDatabase(directory / "text").error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(CopyDatabase(directory / "none", directory / "copy").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace weir::management
