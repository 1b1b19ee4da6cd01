#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "management/audit/audit_log_fixture.h"
#include "management/audit/chain.h"
#include "management/audit/signing.h"

namespace weir::management::audit {
namespace {

class TamperTest : public testing::Test {
 protected:
  TamperTest() {
    LogOptions options = In(directory_);
    options.checkpoint_records = 4;
    options.segment_bytes = 3'000;
    const auto log = OpenLog(options);
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(log->Append(Update("user" + std::to_string(i)), kNow + i));
    checkpoint_ = log->Checkpoint(kNow).value();
    segments_ = ListSegments(path_).value();
  }
  std::string What(const VerifyOptions& options = {}) {
    const Report report = Verified(path_, options);
    if (!report.fault) return "";
    fault_ = *report.fault;
    return report.fault->what;
  }
  // What a line after the change is, with a hash that fits it.
  static std::string Rehashed(std::string line, const std::string& from, const std::string& to) {
    line.replace(line.find(from), from.size(), to);
    Link link;
    const std::string body = line.substr(0, line.find(",\"seq\":"));
    const std::string prev = line.substr(line.find(",\"prev\":\"") + 9, 64);
    link.hash = prev;
    link.seq = std::stoull(line.substr(line.find(",\"seq\":") + 7)) - 1;
    std::string out;
    AppendLinked(body, &link, &out);
    out.pop_back();
    return out;
  }

  TestDirectory directory_;
  const std::string path_ = directory_ / "audit";
  std::vector<Segment> segments_;
  std::string checkpoint_;
  Fault fault_;
};

TEST_F(TamperTest, AnUntouchedLogIsIntact) {
  EXPECT_EQ(What(), "");
  EXPECT_GE(segments_.size(), 3U);
  const Report report = Verified(path_);
  EXPECT_EQ(report.records, 21U);
  EXPECT_GE(report.checkpoints, 5U);
  EXPECT_EQ(What({.public_key = "", .checkpoints = {checkpoint_}}), "");
}

TEST_F(TamperTest, EveryEditedByteIsFound) {
  const std::string text = Slurp(segments_[0].path);
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    std::string changed = text;
    const std::size_t at = random() % text.size();
    changed[at] = static_cast<char>(changed[at] ^ (1 << (random() % 7)));
    Spill(segments_[0].path, changed);
    EXPECT_NE(What(), "") << at;
    const auto line =
        static_cast<std::uint64_t>(std::count(text.begin(), text.begin() + static_cast<long>(at), '\n')) + 1;
    EXPECT_EQ(fault_.file, "000000000001.ndjson");
    EXPECT_EQ(fault_.line, line) << at << ": " << fault_.what;
  }
}

TEST_F(TamperTest, AnEditWithItsHashIsFoundAtTheNextRecord) {
  auto lines = LinesOf(Slurp(segments_[0].path));
  lines[1] = Rehashed(lines[1], "user0", "userX");
  Spill(segments_[0].path, Join(lines));
  EXPECT_NE(What().find("one of the two was replaced"), std::string::npos) << fault_.what;
  EXPECT_EQ(fault_.line, 3U);
  EXPECT_EQ(fault_.seq, 3U);
}

TEST_F(TamperTest, ALogWrittenAnewIsFoundByItsSignedEnd) {
  // Somebody without the key: all hashes right, from the changed record to the end.
  Link link;
  bool changed = false;
  for (const Segment& segment : segments_) {
    std::string out;
    for (const std::string& line : LinesOf(Slurp(segment.path))) {
      std::string body = line.substr(0, line.find(",\"seq\":"));
      if (const std::size_t at = body.find("user17"); at != std::string::npos && !changed) {
        body.replace(at, 6, "user99");
        changed = true;
      }
      AppendLinked(body, &link, &out);
    }
    Spill(segment.path, out);
  }
  ASSERT_TRUE(changed);
  EXPECT_NE(What().find("was written anew"), std::string::npos) << fault_.what;
}

TEST_F(TamperTest, RemovedAndReorderedRecordsAreFound) {
  const auto lines = LinesOf(Slurp(segments_[1].path));
  ASSERT_GE(lines.size(), 3U);
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    auto fewer = lines;
    fewer.erase(fewer.begin() + static_cast<long>(i));
    Spill(segments_[1].path, Join(fewer));
    EXPECT_NE(What().find("removed or put in another order"), std::string::npos) << fault_.what;
    EXPECT_EQ(fault_.seq, segments_[1].first + i);
    auto swapped = lines;
    std::swap(swapped[i], swapped[i + 1]);
    Spill(segments_[1].path, Join(swapped));
    EXPECT_NE(What().find("removed or put in another order"), std::string::npos) << fault_.what;
    auto doubled = lines;
    doubled.insert(doubled.begin() + static_cast<long>(i), lines[i]);
    Spill(segments_[1].path, Join(doubled));
    EXPECT_NE(What(), "");
  }
}

TEST_F(TamperTest, AMissingFileIsFound) {
  for (const Segment& segment : segments_) {
    const std::string text = Slurp(segment.path);
    unlink(segment.path.c_str());
    EXPECT_NE(What(), "") << segment.path;
    Spill(segment.path, text);
  }
  EXPECT_EQ(What(), "");
}

TEST_F(TamperTest, EveryCutEndIsFound) {
  const std::string path = segments_.back().path;
  const std::string text = Slurp(path);
  for (std::size_t length = 0; length < text.size(); length += 7) {
    Spill(path, text.substr(0, length));
    EXPECT_NE(What(), "") << length;
  }
  const auto lines = LinesOf(text);
  Spill(path, Join({lines.begin(), lines.end() - 1}));
  EXPECT_NE(What().find("the end was cut off"), std::string::npos) << fault_.what;
  unlink(path.c_str());
  EXPECT_NE(What().find("the end was cut off"), std::string::npos) << fault_.what;
}

TEST_F(TamperTest, TheSignedEndCannotBeRemovedOrForged) {
  const std::string head = Slurp(path_ + "/head");
  unlink((path_ + "/head").c_str());
  EXPECT_NE(What().find("it is missing"), std::string::npos);
  // The last record cut off together with the statement that names it.
  const auto lines = LinesOf(Slurp(segments_.back().path));
  Spill(segments_.back().path, Join({lines.begin(), lines.end() - 1}));
  for (const std::size_t place : {std::size_t{0}, std::size_t{4096}}) {
    for (const char fill : {'x', '\0', ' '}) {
      std::string changed = head;
      changed.replace(place, 1024, std::string(1024, fill));
      Spill(path_ + "/head", changed);
      EXPECT_NE(What(), "") << place << fill;
    }
    // One statement in both places.
    std::string doubled = head;
    doubled.replace(4096 - place, 1024, head.substr(place, 1024));
    Spill(path_ + "/head", doubled);
    EXPECT_NE(What(), "") << place;
  }
  // A head of somebody else's key.
  const TestDirectory other;
  const auto key = SigningKey::LoadOrMake(other.path()).value();
  ASSERT_TRUE(
      HeadFile::Create(path_ + "/head", key, {.kind = Statement::Kind::kHead, .counter = 0, .link = {}, .time = 1}));
  EXPECT_NE(What().find("signed with this log's key"), std::string::npos) << fault_.what;
}

TEST_F(TamperTest, WhatWasKeptElsewhereFindsAnOldCopyAndAnotherKey) {
  const std::string key = ReadPublicKey(path_ + "/signing.pub").value();
  // Everything written anew, key and all.
  const TestDirectory other;
  {
    const auto log = OpenLog(In(other));
    for (int i = 0; i < 30; ++i) ASSERT_TRUE(log->Append(Update("forged"), kNow));
  }
  EXPECT_FALSE(Verified(other / "audit").fault);
  EXPECT_TRUE(Verified(other / "audit", {.public_key = key, .checkpoints = {}}).fault);
  EXPECT_TRUE(Verified(other / "audit", {.public_key = "", .checkpoints = {checkpoint_}}).fault);
  // A copy of yesterday.
  const TestDirectory copy;
  std::filesystem::copy(path_, copy / "audit", std::filesystem::copy_options::recursive);
  std::string later;
  {
    const auto log = OpenLog(In(directory_));
    ASSERT_TRUE(log->Append(Update("later"), kNow));
    later = log->Checkpoint(kNow).value();
  }
  EXPECT_FALSE(Verified(copy / "audit").fault);
  EXPECT_TRUE(Verified(copy / "audit", {.public_key = "", .checkpoints = {later}}).fault);
  EXPECT_FALSE(Verified(path_, {.public_key = key, .checkpoints = {checkpoint_, later + "\n"}}).fault);
}

TEST_F(TamperTest, ACutLogSignedWithAnotherKeyIsFound) {
  for (std::size_t i = 1; i < segments_.size(); ++i) unlink(segments_[i].path.c_str());
  unlink(CheckpointsPath(path_).c_str());
  Link end;
  for (const std::string& line : LinesOf(Slurp(segments_[0].path))) ASSERT_TRUE(Follow(line, &end));
  const TestDirectory other;
  const auto key = SigningKey::LoadOrMake(other.path()).value();
  ASSERT_TRUE(
      HeadFile::Create(path_ + "/head", key, {.kind = Statement::Kind::kHead, .counter = 0, .link = end, .time = 1}));
  Spill(path_ + "/signing.pub", Slurp(other / "signing.pub"));
  EXPECT_NE(What().find("another signing key"), std::string::npos) << fault_.what;
}

TEST_F(TamperTest, ADamagedLogIsNotWrittenOn) {
  auto lines = LinesOf(Slurp(segments_.back().path));
  Spill(segments_.back().path, Join({lines.begin(), lines.end() - 1}));
  const auto cut = AuditLog::Open(In(directory_), kNow);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, ErrorCode::kDataLoss);
  EXPECT_NE(cut.error().message.find("weir audit verify"), std::string::npos);
  EXPECT_NE(What(), "");  // and it still shows
  lines.back()[20] = 'X';
  Spill(segments_.back().path, Join(lines));
  EXPECT_FALSE(AuditLog::Open(In(directory_), kNow));
  unlink((path_ + "/head").c_str());
  EXPECT_FALSE(AuditLog::Open(In(directory_), kNow));
}

}  // namespace
}  // namespace weir::management::audit
