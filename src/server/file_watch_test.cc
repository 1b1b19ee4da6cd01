#include "server/file_watch.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace weir::server {
namespace {

class FileWatchTest : public testing::Test {
 protected:
  FileWatchTest() {
    std::string name = (std::filesystem::temp_directory_path() / "weir-watch-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~FileWatchTest() override { std::filesystem::remove_all(directory_); }
  void Write(const std::string& name, const std::string& text) { std::ofstream(directory_ / name) << text; }
  std::filesystem::path directory_;
};

TEST_F(FileWatchTest, SeesARewriteAndARename) {
  Write("a", "one");
  auto watch = FileWatch::Create((directory_ / "a").string());
  ASSERT_TRUE(watch);
  EXPECT_FALSE((*watch)->Changed());
  Write("a", "two!");
  EXPECT_TRUE((*watch)->Changed());
  EXPECT_FALSE((*watch)->Changed());
  Write("b", "three");
  EXPECT_FALSE((*watch)->Changed()) << "another file of the directory";
  std::filesystem::rename(directory_ / "b", directory_ / "a");
  EXPECT_TRUE((*watch)->Changed());
}

TEST_F(FileWatchTest, WaitsWhileTheFileIsGone) {
  Write("a", "one");
  auto watch = FileWatch::Create((directory_ / "a").string());
  ASSERT_TRUE(watch);
  std::filesystem::remove(directory_ / "a");
  EXPECT_FALSE((*watch)->Changed());
  Write("a", "twelve");
  EXPECT_TRUE((*watch)->Changed());
}

TEST_F(FileWatchTest, SeesASymlinkSwap) {
  Write("v1", "one");
  Write("v2", "three");
  std::filesystem::create_symlink(directory_ / "v1", directory_ / "a");
  auto watch = FileWatch::Create((directory_ / "a").string());
  ASSERT_TRUE(watch);
  std::filesystem::create_symlink(directory_ / "v2", directory_ / "new");
  std::filesystem::rename(directory_ / "new", directory_ / "a");
  EXPECT_TRUE((*watch)->Changed());
}

TEST_F(FileWatchTest, AMissingDirectoryIsSaid) {
  const auto watch = FileWatch::Create((directory_ / "none" / "a").string());
  ASSERT_FALSE(watch);
  EXPECT_EQ(watch.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace weir::server
