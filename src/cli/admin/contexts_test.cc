#include "cli/admin/contexts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/test_directory.h"

namespace weir::cli::admin {
namespace {

TEST(Contexts, AreReadAsTheyWereWritten) {
  const TestDirectory directory;
  const std::string path = directory / "config/weir/contexts.yaml";
  EXPECT_EQ(*LoadContexts(path), Contexts{});  // no file, no contexts
  Contexts contexts{.current = "prod"};
  contexts.servers["prod"] = {.url = "https://weir.example:8089", .token = "0123", .ca_file = "/etc/ca.pem"};
  contexts.servers["8"] = {.url = "unix:/run/weir/admin.sock", .token = "true"};  // words that YAML has a meaning for
  ASSERT_TRUE(SaveContexts(path, contexts));
  struct stat status{};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const auto read = LoadContexts(path);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, contexts);
  EXPECT_NE(read->Find("prod"), nullptr);
  EXPECT_EQ(read->Find("none"), nullptr);
}

TEST(Contexts, WhatOthersMayReadIsNotUsed) {
  const TestDirectory directory;
  const std::string path = directory / "contexts.yaml";
  ASSERT_TRUE(SaveContexts(path, {}));
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  EXPECT_EQ(LoadContexts(path).error().code, ErrorCode::kFailedPrecondition);
}

TEST(Contexts, AMalformedFileIsToldAndNotRepeated) {
  const TestDirectory directory;
  const std::string path = directory / "contexts.yaml";
  for (const char* text : {"contexts: {a: {token: s3cret}}", "contexts: {'a b': {url: s3cret}}", "contexts: [s3cret: {",
                           "contexts: {a: s3cret}"}) {
    ASSERT_TRUE(ReplaceFile(path, text));
    const auto read = LoadContexts(path);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().message.find("s3cret"), std::string::npos) << read.error().message;
  }
}

TEST(Contexts, Names) {
  for (const char* good : {"prod", "eu-west.1", "a_b", "8"}) EXPECT_TRUE(CheckContextName(good)) << good;
  for (const char* bad : {"", "-x", ".x", "a b", "a/b", "a:b", "caf\xc3\xa9"})
    EXPECT_FALSE(CheckContextName(bad)) << bad;
}

}  // namespace
}  // namespace weir::cli::admin
