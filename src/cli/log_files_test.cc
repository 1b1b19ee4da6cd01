#include "cli/log_files.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace weir::cli {
namespace {

class LogFilesTest : public testing::Test {
 protected:
  LogFilesTest()
      : directory_(std::filesystem::temp_directory_path() / ("weir_log_files_test_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~LogFilesTest() override { std::filesystem::remove_all(directory_); }

  std::string Plain(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name, std::ios::binary) << text;
    return (directory_ / name).string();
  }
  std::string Zipped(const std::string& name, const std::string& text) {
    const std::string path = (directory_ / name).string();
    const gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
    return path;
  }
  static std::string Line(int minute, const std::string& path) {
    return "192.0.2.1 - - [10/Oct/2026:13:" + std::to_string(minute) + ":00 +0000] \"GET " + path +
           " HTTP/1.1\" 200 1\n";
  }
  static std::string All(LogFiles& files) {
    std::string all;
    for (std::string line; files.Next(&line);) all += line + '\n';
    return all;
  }

  std::filesystem::path directory_;
};

TEST_F(LogFilesTest, ReadsPlainAndZippedFilesInOrderOfTime) {
  const std::string newest = Plain("access.log", Line(30, "/c"));
  const std::string middle = Plain("access.log.1", "# a comment\n" + Line(20, "/b"));
  const std::string oldest = Zipped("access.log.2.gz", Line(10, "/a") + Line(11, "/a"));
  auto files = LogFiles::Open({newest, middle, oldest});
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(All(*files), Line(10, "/a") + Line(11, "/a") + "# a comment\n" + Line(20, "/b") + Line(30, "/c"));
  EXPECT_EQ(files->fault(), "");
  EXPECT_GT(files->bytes_in_all(), 0U);
  EXPECT_EQ(files->bytes_read(), files->bytes_in_all());
}

TEST_F(LogFilesTest, AFileWithoutAReadableLineIsReadLastAndWhole) {
  std::string noise;
  for (int i = 0; i < 300; ++i) noise += "noise " + std::to_string(i) + "\n";
  auto files = LogFiles::Open({Plain("noise", noise), Plain("log", Line(10, "/a"))});
  ASSERT_TRUE(files);
  EXPECT_EQ(All(*files), Line(10, "/a") + noise);
}

TEST_F(LogFilesTest, LongLinesAreCutAndTheLastNeedsNoEnd) {
  auto files = LogFiles::Open({Plain("log", std::string(300'000, 'x') + "\nlast")});
  ASSERT_TRUE(files);
  std::string line;
  ASSERT_TRUE(files->Next(&line));
  EXPECT_EQ(line.size(), kLongestLogLine);
  ASSERT_TRUE(files->Next(&line));
  EXPECT_EQ(line, "last");
  EXPECT_FALSE(files->Next(&line));
}

TEST_F(LogFilesTest, ADamagedFileIsTold) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += Line(10 + i % 40, "/" + std::to_string(i * 7919));
  const std::string path = Zipped("log.gz", text);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  auto files = LogFiles::Open({path});
  ASSERT_TRUE(files);
  EXPECT_FALSE(All(*files).empty());
  EXPECT_NE(files->fault().find("is damaged"), std::string::npos) << files->fault();
}

TEST_F(LogFilesTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(LogFiles::Open({(directory_ / "none").string()}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(LogFiles::Open({directory_.string()}).error().code, ErrorCode::kInvalidArgument);
  const std::string twice = Plain("log", "");
  EXPECT_EQ(LogFiles::Open({twice, twice}).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace weir::cli
