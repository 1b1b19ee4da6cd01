#include "base/file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace weir {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string name = (fs::temp_directory_path() / "weir-file-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~FileTest() override { fs::remove_all(directory_); }
  std::string At(const std::string& name) const { return (directory_ / name).string(); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(At(name), std::ios::binary) << text;
    return At(name);
  }
  std::string Pipe(const std::string& name) const {
    EXPECT_EQ(mkfifo(At(name).c_str(), 0600), 0);
    return At(name);
  }
  fs::path directory_;
};

TEST_F(FileTest, ReadsARegularFileWholeAndNoMoreThanWanted) {
  const std::string text(200'000, 'x');
  const std::string path = Write("file", text);
  EXPECT_EQ(ReadRegularFile(path, 1 << 20).value(), text);
  EXPECT_EQ(ReadRegularFile(path, text.size()).value(), text);
  EXPECT_EQ(ReadRegularFile(path, 10).value().size(), 11U);
  EXPECT_EQ(ReadRegularFile(Write("empty", ""), 10).value(), "");
}

TEST_F(FileTest, FollowsALinkToARegularFile) {
  Write("file", "text");
  fs::create_symlink("file", At("link"));
  EXPECT_EQ(ReadRegularFile(At("link"), 10).value(), "text");
}

// Nobody writes to the pipe: to wait for that is what this test would do for ever.
TEST_F(FileTest, WhatIsNoRegularFileIsRefusedAtOnce) {
  fs::create_symlink(Pipe("pipe"), At("link to a pipe"));
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, At("socket").c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  for (const std::string& path : {At("pipe"), At("link to a pipe"), At("socket"), directory_.string(),
                                  std::string("/dev/null"), std::string("/dev/tty")}) {
    const auto opened = OpenRegularFile(path);
    ASSERT_FALSE(opened) << path;
    if (path == "/dev/tty") continue;  // there may be none
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument) << opened.error().message;
    EXPECT_NE(opened.error().message.find(path), std::string::npos);
    EXPECT_FALSE(CheckRegularFile(path));
  }
  close(fd);
  EXPECT_EQ(OpenRegularFile(At("nothing")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(OpenRegularFile("").error().code, ErrorCode::kNotFound);
}

TEST_F(FileTest, ATemporaryFileIsNewAndOnesOwn) {
  const auto created = CreateTemporaryFile(At("tmp"));
  ASSERT_TRUE(created);
  struct stat status{};
  ASSERT_EQ(fstat(created->get(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_TRUE(S_ISREG(status.st_mode));
}

TEST_F(FileTest, ATemporaryFileNeverFollowsOrOpensWhatIsThere) {
  const std::string victim = Write("victim", "precious");
  fs::create_symlink(victim, At("tmp"));
  ASSERT_TRUE(CreateTemporaryFile(At("tmp")));
  EXPECT_EQ(ReadRegularFile(victim, 100).value(), "precious");
  EXPECT_FALSE(fs::is_symlink(At("tmp")));
  fs::remove(At("tmp"));
  Pipe("tmp");
  ASSERT_TRUE(CreateTemporaryFile(At("tmp")));
  Write("tmp", "left by a process that died");
  ASSERT_TRUE(CreateTemporaryFile(At("tmp")));
  EXPECT_EQ(ReadRegularFile(At("tmp"), 100).value(), "");
  fs::remove(At("tmp"));
  fs::create_directory(At("tmp"));
  EXPECT_EQ(CreateTemporaryFile(At("tmp")).error().code, ErrorCode::kUnavailable);
}

TEST_F(FileTest, WhereNothingCanBeSavedIsFoundOutBefore) {
  EXPECT_TRUE(CheckReplaceableFile(At("new"), At("new.tmp")));
  EXPECT_TRUE(CheckReplaceableFile(Write("old", "text"), At("old.tmp")));
  EXPECT_EQ(ReadRegularFile(At("old"), 100).value(), "text");
  EXPECT_FALSE(fs::exists(At("old.tmp")));
  fs::create_directory(At("folder"));
  for (const std::string& path : {At("folder"), At("none/file"), At("old/file"), Pipe("pipe"), std::string()}) {
    const auto checked = CheckReplaceableFile(path, path + ".tmp");
    ASSERT_FALSE(checked) << path;
    EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument) << path;
  }
}

TEST_F(FileTest, AFolderThatMayNotBeWrittenToIsFoundOutBefore) {
  if (geteuid() == 0) return;  // who may do everything is refused nothing
  fs::permissions(directory_, fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_EQ(CheckReplaceableFile(At("file"), At("file.tmp")).error().code, ErrorCode::kInvalidArgument);
  fs::permissions(directory_, fs::perms::owner_all);
}

}  // namespace
}  // namespace weir
