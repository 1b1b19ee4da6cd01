// The commands for a second person's decision, and what a change says that waits for one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <mutex>

#include "cli/admin/commands.h"
#include "io/https/test_http_server.h"

namespace weir::cli::admin {
namespace {

class ApprovalTest : public testing::Test {
 protected:
  ApprovalTest() {
    setenv("WEIR_ADMIN_URL", ("http://" + server_.address()).c_str(), 1);
    setenv("WEIR_ADMIN_TOKEN", "tok", 1);
  }
  ~ApprovalTest() override {
    unsetenv("WEIR_ADMIN_URL");
    unsetenv("WEIR_ADMIN_TOKEN");
  }
  // What every change is answered from now on.
  void Answer(std::string answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }

  std::mutex mutex_;  // guards answer_
  std::string answer_ = io::TestAnswer(200, "{}");
  io::TestHttpServer server_{[this](const io::SeenRequest& request) {
    const std::lock_guard lock(mutex_);
    return request.method == "GET" ? io::TestAnswer(404, "{}") : answer_;
  }};
};

TEST_F(ApprovalTest, ADecisionIsSentWithItsReason) {
  DecideOptions options{.common = {.yes = true, .reason = "looked at"}, .id = "7"};
  testing::internal::CaptureStdout();
  EXPECT_EQ(RunDecide(options), kDone);
  options.approve = false;
  EXPECT_EQ(RunDecide(options), kDone);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "7: approved\n7: rejected\n");
  options.common.reason = "";
  EXPECT_EQ(RunDecide(options), kUsage);
  Answer(io::TestAnswer(409, R"({"title":"Conflict","code":"own_change","detail":"it is your own change"})"));
  options.approve = true;
  EXPECT_EQ(RunDecide(options), kRefused);
  const auto seen = server_.seen();
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].target, "/admin/v1/approvals/7/approve");
  EXPECT_EQ(seen[0].body, R"({"reason":"looked at"})");
  EXPECT_EQ(seen[1].target, "/admin/v1/approvals/7/reject");
}

TEST_F(ApprovalTest, AChangeThatWaitsSaysSo) {
  Answer(io::TestAnswer(202, R"({"approval":7,"state":"waiting"})"));
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunSet({.what = "users/alice", .assignments = {"exempt=true"}}), kDone);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("weir admin approve 7"), std::string::npos);
  // The secret of a key that waits is shown now: it is shown at no other time.
  Answer(io::TestAnswer(202, R"({"approval":8,"state":"waiting","key":"weirk_x"})"));
  testing::internal::CaptureStdout();
  EXPECT_EQ(RunKeyCreate({}), kDone);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "weirk_x\n");
}

}  // namespace
}  // namespace weir::cli::admin
