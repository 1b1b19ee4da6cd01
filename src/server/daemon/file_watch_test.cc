#include "server/daemon/file_watch.h"

#include <gtest/gtest.h>
#include <poll.h>
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
  auto watch = FileWatch::Create({(directory_ / "a").string()});
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
  auto watch = FileWatch::Create({(directory_ / "a").string()});
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
  auto watch = FileWatch::Create({(directory_ / "a").string()});
  ASSERT_TRUE(watch);
  std::filesystem::create_symlink(directory_ / "v2", directory_ / "new");
  std::filesystem::rename(directory_ / "new", directory_ / "a");
  EXPECT_TRUE((*watch)->Changed());
}

TEST_F(FileWatchTest, SeesWhatHappensInADirectory) {
  const auto rules = directory_ / "rules";
  std::filesystem::create_directory(rules);
  Write("main", "x");
  Write("rules/a.yaml", "one");
  auto watch = FileWatch::Create({(directory_ / "main").string(), rules.string()});
  ASSERT_TRUE(watch);
  EXPECT_FALSE((*watch)->Changed());
  Write("rules/b.yaml", "two");
  EXPECT_TRUE((*watch)->Changed());
  EXPECT_FALSE((*watch)->Changed());
  std::filesystem::remove(rules / "a.yaml");
  EXPECT_TRUE((*watch)->Changed());
  Write("main", "xy");
  EXPECT_TRUE((*watch)->Changed());
  std::filesystem::rename(rules, directory_ / "gone");
  EXPECT_FALSE((*watch)->Changed()) << "waits while the directory is gone";
  std::filesystem::create_directory(rules);
  Write("rules/b.yaml", "three");
  EXPECT_TRUE((*watch)->Changed());
}

// /rules/a.yaml -> ..data/a.yaml, and ..data -> ..1: as Kubernetes mounts a ConfigMap.
TEST_F(FileWatchTest, SeesAConfigMapSwapInItsDirectory) {
  const auto rules = directory_ / "rules";
  std::filesystem::create_directories(rules / "..1");
  Write("rules/..1/a.yaml", "one");
  std::filesystem::create_directory_symlink("..1", rules / "..data");
  std::filesystem::create_symlink("..data/a.yaml", rules / "a.yaml");
  auto watch = FileWatch::Create({rules.string()});
  ASSERT_TRUE(watch);
  std::filesystem::create_directories(rules / "..2");
  Write("rules/..2/a.yaml", "other");
  EXPECT_FALSE((*watch)->Changed());
  std::filesystem::create_directory_symlink("..2", rules / "..data_tmp");
  std::filesystem::rename(rules / "..data_tmp", rules / "..data");
  EXPECT_TRUE((*watch)->Changed());
  // The new target is watched as the old one was.
  pollfd waiting{(*watch)->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&waiting, 1, 0), 0);
  Write("rules/..2/a.yaml", "yet another");
  EXPECT_EQ(poll(&waiting, 1, 0), 1);
  EXPECT_TRUE((*watch)->Changed());
}

TEST_F(FileWatchTest, SeesFilesOfTheDirectoriesBelow) {
  std::filesystem::create_directories(directory_ / "rules" / "a" / "b");
  std::filesystem::create_directories(directory_ / "rules" / ".git");
  Write("rules/a/b/one.yaml", "one");
  auto watch = FileWatch::Create({(directory_ / "rules").string()});
  ASSERT_TRUE(watch);
  Write("rules/.git/index", "hidden");
  EXPECT_FALSE((*watch)->Changed());
  pollfd waiting{(*watch)->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&waiting, 1, 0), 0);
  Write("rules/a/b/one.yaml", "other");
  EXPECT_EQ(poll(&waiting, 1, 0), 1);
  EXPECT_TRUE((*watch)->Changed());
  Write("rules/a/two.yaml", "two");
  EXPECT_TRUE((*watch)->Changed());
}

// current -> 1, and what is watched is current/config: as envoyproxy/ratelimit's runtime root is swapped.
TEST_F(FileWatchTest, SeesASwapOfADirectoryAbove) {
  std::filesystem::create_directories(directory_ / "1" / "config");
  std::filesystem::create_directories(directory_ / "2" / "config");
  Write("1/config/a.yaml", "one");
  Write("2/config/a.yaml", "other");
  std::filesystem::create_directory_symlink("1", directory_ / "current");
  auto watch = FileWatch::Create({(directory_ / "current" / "config").string()});
  ASSERT_TRUE(watch);
  std::filesystem::create_directory_symlink("2", directory_ / "next");
  std::filesystem::rename(directory_ / "next", directory_ / "current");
  pollfd waiting{(*watch)->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&waiting, 1, 0), 1);
  EXPECT_TRUE((*watch)->Changed());
}

TEST_F(FileWatchTest, FollowsOtherFiles) {
  Write("a", "one");
  std::filesystem::create_directory(directory_ / "sub");
  Write("sub/b", "two");
  auto watch = FileWatch::Create({(directory_ / "a").string()});
  ASSERT_TRUE(watch);
  ASSERT_TRUE((*watch)->Follow({(directory_ / "sub" / "b").string()}));
  Write("a", "three");
  EXPECT_FALSE((*watch)->Changed());
  Write("sub/b", "three");
  EXPECT_TRUE((*watch)->Changed());
}

TEST_F(FileWatchTest, AMissingDirectoryIsSaid) {
  const auto watch = FileWatch::Create({(directory_ / "none" / "a").string()});
  ASSERT_FALSE(watch);
  EXPECT_EQ(watch.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace weir::server
