#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "base/test_directory.h"
#include "cli/commands.h"
#include "management/audit/audit_log.h"

namespace weir::cli {
namespace {

namespace audit = management::audit;

constexpr Nanos kNow = 1'800'000'000 * kSecond;

class AuditVerifyTest : public testing::Test {
 protected:
  AuditVerifyTest() {
    auto log = audit::AuditLog::Open({.directory = directory_ / "audit", .node = "n", .version = "1"}, kNow);
    audit::Record record;
    record.action = "update:users";
    for (int i = 0; i < 3; ++i) EXPECT_TRUE((*log)->Append(record, kNow));
    std::ofstream(directory_ / "kept") << (*log)->Checkpoint(kNow).value() << "\n";
  }
  int Run(AuditVerifyOptions options) {
    if (options.state_dir.empty()) options.state_dir = directory_.path();
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = RunAuditVerify(options);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  TestDirectory directory_;
  std::string out_, err_;
};

TEST_F(AuditVerifyTest, AnIntactLogIsZero) {
  EXPECT_EQ(Run({}), 0);
  EXPECT_TRUE(out_.starts_with("intact: records 1 to 4 in 1 file, end signed at 2027-01-15T08:00:00")) << out_;
  EXPECT_EQ(Run({.public_key_file = directory_ / "audit/signing.pub",
                 .checkpoint_files = {directory_ / "kept"},
                 .json = true}),
            0);
  const auto report = boost::json::parse(out_).as_object();
  EXPECT_EQ(report.at("intact"), true);
  EXPECT_EQ(report.at("last"), 4);
  EXPECT_TRUE(report.at("fault").is_null());
}

TEST_F(AuditVerifyTest, ADamagedLogIsOneWithThePlace) {
  const std::string path = directory_ / "audit/000000000001.ndjson";
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  std::string changed = text.str();
  changed[changed.find("update:users", changed.find('\n'))] = 'X';
  std::ofstream(path) << changed;
  EXPECT_EQ(Run({}), 1);
  EXPECT_EQ(out_,
            "NOT INTACT: 000000000001.ndjson, line 2 (record 2): its hash is not that of its text: it was edited\n"
            "intact before: records 1 to 1\n");
  EXPECT_EQ(Run({.json = true}), 1);
  const auto report = boost::json::parse(out_).as_object();
  EXPECT_EQ(report.at("intact"), false);
  EXPECT_EQ(report.at("fault").at("seq"), 2);
}

TEST_F(AuditVerifyTest, ALogThatIsNotThereIsOne) {
  EXPECT_EQ(Run({.state_dir = directory_ / "elsewhere"}), 1);
  EXPECT_NE(err_.find("there is no audit log"), std::string::npos);
}

TEST_F(AuditVerifyTest, WhatCannotBeReadIsTwo) {
  EXPECT_EQ(Run({.public_key_file = directory_ / "none"}), 2);
  EXPECT_EQ(Run({.public_key_file = directory_ / "kept"}), 2);
  EXPECT_EQ(Run({.checkpoint_files = {directory_ / "none"}}), 2);
}

}  // namespace
}  // namespace weir::cli
