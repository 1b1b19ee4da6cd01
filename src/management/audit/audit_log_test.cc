#include "management/audit/audit_log.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "management/audit/audit_log_fixture.h"
#include "management/audit/chain.h"
#include "management/auth/secret_token.h"

namespace weir::management::audit {
namespace {

TEST(AuditLog, RecordsAreKeptWholeAndInOrder) {
  const TestDirectory directory;
  {
    const auto log = OpenLog(In(directory));
    EXPECT_EQ(log->Append(Update("bob"), kNow + 1).value(), 2U);  // 1 is "audit.begin"
    EXPECT_EQ(log->Append(Update("eve"), kNow + 2).value(), 3U);
  }
  const auto log = OpenLog(In(directory));
  EXPECT_EQ(log->Append(Update("zoe"), kNow + 3).value(), 4U);
  const auto page = log->Query({}, 10, "");
  ASSERT_TRUE(page);
  ASSERT_EQ(page->records.size(), 4U);
  EXPECT_TRUE(page->next.empty());
  const Record& bob = page->records[2];
  EXPECT_EQ(bob.time, kNow + 1);
  EXPECT_EQ(bob.node, "n1");
  EXPECT_EQ(bob.version, "0.1.0");
  EXPECT_EQ(bob.actor.name, "ops");
  EXPECT_EQ(bob.actor.roles, std::vector<std::string>{"editor"});
  EXPECT_EQ(bob.action, "update:users");
  EXPECT_EQ(bob.object.id, "bob");
  EXPECT_EQ(bob.object.tenant, "acme");
  EXPECT_EQ(bob.before, R"({"rule":{"max_requests":10}})");
  EXPECT_EQ(bob.after, R"({"rule":{"max_requests":20}})");
  EXPECT_EQ(bob.address, "192.0.2.1");
  EXPECT_EQ(bob.request_id, "r-bob");
  EXPECT_EQ(bob.status, 200);
  EXPECT_EQ(bob.seq, 2U);
  const Report report = Verified(directory / "audit");
  EXPECT_FALSE(report.fault) << report.fault->what;
  EXPECT_EQ(report.records, 4U);
  EXPECT_EQ(report.unsigned_records, 0U);
}

TEST(AuditLog, FilesArePrivate) {
  const TestDirectory directory;
  {
    (void)OpenLog(In(directory))->Append(Update("bob"), kNow);
  }
  struct stat status{};
  ASSERT_EQ(stat((directory / "audit").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  for (const auto& entry : std::filesystem::directory_iterator(directory / "audit")) {
    ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U) << entry.path();
  }
}

TEST(AuditLog, NoSecretIsWritten) {
  const TestDirectory directory;
  const std::string token = MakeSecret(kTokenPrefix);
  const std::string planted = "s3cr3t-planted";
  const std::string jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
  {
    const auto log = OpenLog(In(directory));
    Record record = Update("bob");
    record.before = R"({"server":{"tokens":[")" + planted + R"("],"Password":12345678,"storage":{"url":"redis://u:)" +
                    planted + R"(@h/0"},"deep":[{"client_secret":")" + planted + R"("}]}})";
    record.after = R"({"key":")" + token + R"(","token_bucket":{"refill_rate":5},"secret":"${env:NAME}"})";
    record.reason = "used " + token + " and Bearer " + planted;
    record.user_agent = jwt;
    record.object.id = token;
    record.request_id = "https://u:" + planted + "@example.org/";
    ASSERT_TRUE(log->Append(record, kNow));
    Record broken = Update("eve");
    broken.after = "{\"password\": \"" + planted;  // no JSON
    ASSERT_TRUE(log->Append(broken, kNow));
  }
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(directory / "audit")) all += Slurp(entry.path());
  EXPECT_EQ(all.find(planted), std::string::npos);
  EXPECT_EQ(all.find(token), std::string::npos);
  EXPECT_EQ(all.find("12345678"), std::string::npos);
  EXPECT_EQ(all.find(jwt.substr(0, 20)), std::string::npos);
  // What is no secret stays.
  EXPECT_NE(all.find(R"("token_bucket":{"refill_rate":5})"), std::string::npos);
  EXPECT_NE(all.find(R"("secret":"${env:NAME}")"), std::string::npos);
}

TEST(AuditLog, HostileTextStaysInItsRecord) {
  const TestDirectory directory;
  {
    const auto log = OpenLog(In(directory));
    Record record = Update("x\"},\"seq\":1,\"hash\":\"\n{\"forged\":true}\r\n");
    record.actor.name = "\xff\xfe\x00 bell\a";
    record.user_agent = std::string(100'000, 'u');
    record.after = "{\"a\":\"line\\nbreak\",\n\n\"b\":[" + std::string(200, '[') + std::string(200, ']') + "]}";
    ASSERT_TRUE(log->Append(record, kNow));
    record.after = "\"" + std::string(2'000'000, 'x') + "\"";
    ASSERT_TRUE(log->Append(record, kNow));
  }
  const Report report = Verified(directory / "audit");
  EXPECT_FALSE(report.fault) << report.fault->what;
  EXPECT_EQ(report.records, 3U);
}

TEST(AuditLog, WhatWasNotAcknowledgedMayBeCutAnywhere) {
  const TestDirectory directory;
  const std::string path = directory / "audit";
  std::string head_before;
  std::size_t acknowledged = 0;
  {
    const auto log = OpenLog(In(directory));
    ASSERT_TRUE(log->Append(Update("a"), kNow));
    head_before = Slurp(path + "/head");
    acknowledged = Slurp(SegmentPath(path, 1)).size();
    const Record two[] = {Update("b"), Update("c")};
    ASSERT_TRUE(log->Append(two, kNow));
  }
  unlink(CheckpointsPath(path).c_str());
  const std::string text = Slurp(SegmentPath(path, 1));
  const std::string head_after = Slurp(path + "/head");
  const std::size_t second = text.find('\n', acknowledged) + 1;
  // As if it had stopped after so many bytes of the group, or in the middle of the head behind it.
  for (std::size_t length = acknowledged; length <= text.size(); length += length + 40 < text.size() ? 23 : 1) {
    for (const std::size_t torn : {std::size_t{0}, std::size_t{100}}) {
      if (torn > 0 && length != text.size()) continue;
      const TestDirectory copy;
      std::filesystem::copy(path, copy / "audit", std::filesystem::copy_options::recursive);
      Spill(SegmentPath(copy / "audit", 1), text.substr(0, length));
      std::string head = head_before;
      // "audit.begin" was counter 1, the next 2, the group 3: the place behind.
      if (torn > 0) head.replace(4096, torn, head_after.substr(4096, torn));
      if (torn > 0) head[4096 + 500] = '#';
      Spill(copy / "audit/head", head);
      const Report before = Verified(copy / "audit");
      ASSERT_FALSE(before.fault) << length << ": " << before.fault->what;
      const std::uint64_t whole = length == text.size() ? 2 : length >= second ? 1 : 0;
      EXPECT_EQ(before.unsigned_records, whole) << length;
      const auto log = OpenLog(In(copy), kNow + 1);
      ASSERT_TRUE(log);
      // Those that were whole are kept, and a record says that nobody had an answer for them.
      EXPECT_EQ(log->last(), 2 + whole + (whole > 0 ? 1U : 0U)) << length;
      ASSERT_TRUE(log->Append(Update("d"), kNow + 1));
      const Report after = Verified(copy / "audit");
      ASSERT_FALSE(after.fault) << length << ": " << after.fault->what;
      EXPECT_EQ(after.unsigned_records, 0U);
      EXPECT_EQ(after.unfinished_bytes, 0U);
    }
  }
}

TEST(AuditLog, KilledAtAnyMomentItKeepsWhatItAcknowledged) {
  const TestDirectory directory;
  LogOptions options = In(directory);
  options.segment_bytes = 20'000;
  options.checkpoint_records = 10;
  std::uint64_t acknowledged = 0;
  for (int round = 0; round < 12; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto log = AuditLog::Open(options, kNow + round);
      if (!log) _exit(3);
      for (std::uint64_t seq = 0;;) {
        const auto done = (*log)->Append(Update("u" + std::to_string(seq)), kNow + round);
        if (!done) _exit(4);
        seq = *done;
        if (write(ends[1], &seq, sizeof(seq)) != sizeof(seq)) _exit(5);
      }
    }
    close(ends[1]);
    std::uint64_t seq = 0;
    for (int i = 0; i < 5 + round * 9; ++i)
      ASSERT_EQ(read(ends[0], &seq, sizeof(seq)), static_cast<ssize_t>(sizeof(seq)));
    kill(child, SIGKILL);
    while (read(ends[0], &seq, sizeof(seq)) == static_cast<ssize_t>(sizeof(seq))) {
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
    ASSERT_GT(seq, acknowledged);
    acknowledged = seq;
    const Report report = Verified(directory / "audit");
    ASSERT_FALSE(report.fault) << round << ": " << report.fault->file << " " << report.fault->what;
    EXPECT_GE(report.last, acknowledged);
  }
}

TEST(AuditLog, WhatCannotBeWrittenIsRefusedAndLeavesNothing) {
  const TestDirectory directory;
  const auto log = OpenLog(In(directory));
  ASSERT_TRUE(log->Append(Update("a"), kNow));
  const std::string segment = SegmentPath(directory / "audit", 1);
  const std::size_t size = Slurp(segment).size();
  // A full disk, as the system tells it: a file may grow by 100 more bytes.
  struct rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit tight = before;
  // The head, of 5120 bytes, is to stay writable.
  tight.rlim_cur = std::max<rlim_t>(size + 100, 5'120);
  std::signal(SIGXFSZ, SIG_IGN);
  std::uint64_t written = 2;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  Result<std::uint64_t> refused = 0;
  while ((refused = log->Append(Update("b"), kNow))) written = *refused;
  const bool failing = log->failing();
  const auto again = log->Append(Update("c"), kNow);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(failing);
  EXPECT_FALSE(again);
  EXPECT_EQ(log->last(), written);
  Report report = Verified(directory / "audit");
  EXPECT_FALSE(report.fault) << report.fault->what;
  EXPECT_EQ(report.last, written);
  EXPECT_EQ(report.unfinished_bytes, 0U);
  // There is room again.
  EXPECT_EQ(log->Append(Update("d"), kNow).value(), written + 1);
  EXPECT_FALSE(log->failing());
  report = Verified(directory / "audit");
  EXPECT_FALSE(report.fault) << report.fault->what;
  EXPECT_EQ(report.last, written + 1);
}

TEST(AuditLog, ThreadsShareGroupsAndEachHasItsRecord) {
  const TestDirectory directory;
  constexpr int kThreads = 8, kEach = 25;
  {
    const auto log = OpenLog(In(directory));
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::uint64_t last = 0;
        for (int i = 0; i < kEach; ++i) {
          const auto seq = log->Append(Update("t" + std::to_string(t) + "-" + std::to_string(i)), kNow);
          ASSERT_TRUE(seq);
          EXPECT_GT(*seq, last);
          last = *seq;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const Report report = Verified(directory / "audit");
  EXPECT_FALSE(report.fault) << report.fault->what;
  EXPECT_EQ(report.records, 1U + kThreads * kEach);
}

TEST(AuditLog, ItIsVerifiedWhileItIsWritten) {
  const TestDirectory directory;
  LogOptions options = In(directory);
  options.segment_bytes = 10'000;
  options.checkpoint_records = 7;
  options.retention = 20 * kMinute;
  const auto log = OpenLog(options);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 1; !stop; ++i) {
      EXPECT_TRUE(log->Append(Update("u" + std::to_string(i)), kNow + i * kMinute));
      if (i % 9 == 0) {
        EXPECT_TRUE(log->Tick(kNow + i * kMinute));
      }
    }
  });
  std::uint64_t last = 0;
  while (last < 150) {
    const Report report = Verified(directory / "audit");
    EXPECT_FALSE(report.fault) << report.fault->file << ": " << report.fault->what;
    EXPECT_GE(report.last, last);
    if (report.fault) break;
    last = report.last;
  }
  stop = true;
  writer.join();
  EXPECT_GT(Verified(directory / "audit").removed, 0U);
}

TEST(AuditLog, OneProcessAtATime) {
  const TestDirectory directory;
  const auto log = OpenLog(In(directory));
  const auto second = AuditLog::Open(In(directory), kNow);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kFailedPrecondition);
}

TEST(AuditLog, EachDayHasItsFileAndOldOnesGoSigned) {
  const TestDirectory directory;
  const std::string path = directory / "audit";
  LogOptions options = In(directory);
  options.retention = 10 * kDay;
  Link fifth;
  {
    const auto log = OpenLog(options);
    for (int day = 0; day < 20; ++day) ASSERT_TRUE(log->Append(Update(std::to_string(day)), kNow + day * kDay));
    EXPECT_EQ(ListSegments(path)->size(), 20U);
    ASSERT_TRUE(log->Tick(kNow + 20 * kDay));
    const auto left = ListSegments(path).value();
    EXPECT_EQ(left.front().first, 11U);  // of day 9: its records are older, those of the file behind it are not
    const Report report = Verified(path);
    EXPECT_FALSE(report.fault) << report.fault->what;
    EXPECT_EQ(report.removed, 10U);
    EXPECT_EQ(report.first, 11U);
    const auto page = log->Query({.action = "audit.retention"}, 10, "");
    ASSERT_EQ(page->records.size(), 1U);
  }
  // Removed by hand, one more is missed, and so is the statement.
  EXPECT_FALSE(Verified(path).fault);
  const std::string statements = Slurp(CheckpointsPath(path));
  Spill(CheckpointsPath(path), "");
  EXPECT_TRUE(Verified(path).fault);
  Spill(CheckpointsPath(path), statements);
  unlink(SegmentPath(path, 11).c_str());
  EXPECT_TRUE(Verified(path).fault);
}

TEST(AuditLog, CheckpointsAreForwardedAndDueByTime) {
  const TestDirectory directory;
  const auto log = OpenLog(In(directory));
  std::vector<std::string> forwarded;
  log->OnCheckpoint([&](const std::string& line) { forwarded.push_back(line); });
  ASSERT_TRUE(log->Append(Update("a"), kNow));
  ASSERT_TRUE(log->Tick(kNow + kMinute));
  EXPECT_TRUE(forwarded.empty());
  ASSERT_TRUE(log->Tick(kNow + 5 * kMinute));
  ASSERT_EQ(forwarded.size(), 1U);
  ASSERT_TRUE(log->Tick(kNow + 50 * kMinute));
  EXPECT_EQ(forwarded.size(), 1U);  // nothing is new
  EXPECT_FALSE(Verified(directory / "audit", {.public_key = "", .checkpoints = forwarded}).fault);
}

}  // namespace
}  // namespace weir::management::audit
