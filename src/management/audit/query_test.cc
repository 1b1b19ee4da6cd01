#include "management/audit/query.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "base/test_directory.h"
#include "management/audit/audit_log.h"

namespace weir::management::audit {
namespace {

constexpr Nanos kNow = 1'800'000'000 * kSecond;

class QueryTest : public testing::Test {
 protected:
  QueryTest() {
    LogOptions options{.directory = directory_ / "audit", .node = "n1", .version = "0.1.0"};
    options.segment_bytes = 8'000;
    log_ = std::move(AuditLog::Open(options, kNow).value());
    std::vector<Record> records;
    for (int i = 0; i < 60; ++i) {
      Record record;
      record.time = kNow + i * kHour;
      record.actor.name = i % 3 == 0 ? "ann" : "bob";
      record.action = i % 2 == 0 ? "update:users" : "delete:bans";
      record.object = {
          .kind = i % 2 == 0 ? "users" : "bans", .id = "o" + std::to_string(i), .tenant = i % 5 == 0 ? "acme" : ""};
      record.outcome = i % 7 == 0 ? Outcome::kDenied : Outcome::kSuccess;
      record.request_id = "r" + std::to_string(i);
      record.address = "192.0.2." + std::to_string(i % 4);
      records.push_back(record);
      // Groups of some, over several files and days.
      if (records.size() == 6) {
        EXPECT_TRUE(log_->Append(records, kNow + i * kHour));
        records.clear();
      }
    }
    EXPECT_GE(ListSegments(directory_ / "audit")->size(), 3U);
  }
  // All pages of that size, as numbers.
  std::vector<std::uint64_t> All(const Filter& filter, std::size_t limit) {
    std::vector<std::uint64_t> seqs;
    std::string cursor;
    for (int pages = 0; pages < 100; ++pages) {
      const auto page = log_->Query(filter, limit, cursor);
      EXPECT_TRUE(page) << page.error().message;
      if (!page) return {};
      EXPECT_LE(page->records.size(), limit);
      for (const Record& record : page->records) seqs.push_back(record.seq);
      cursor = page->next;
      if (cursor.empty()) return seqs;
    }
    ADD_FAILURE() << "pages without end";
    return {};
  }
  std::vector<std::uint64_t> Expected(const Filter& filter) {
    std::vector<std::uint64_t> seqs;
    EXPECT_TRUE(log_->ForEach(filter, [&](const Record& record, std::string_view) {
      seqs.push_back(record.seq);
      return true;
    }));
    std::ranges::reverse(seqs);
    return seqs;
  }

  TestDirectory directory_;
  std::unique_ptr<AuditLog> log_;
};

TEST_F(QueryTest, PagesOfAnySizeShowEachRecordOnceNewestFirst) {
  for (const std::size_t limit : {1U, 2U, 7U, 60U, 61U, 1000U}) {
    const auto seqs = All({}, limit);
    ASSERT_EQ(seqs.size(), 61U) << limit;
    for (std::size_t i = 0; i < seqs.size(); ++i) EXPECT_EQ(seqs[i], 61 - i);
  }
}

TEST_F(QueryTest, FiltersNarrow) {
  EXPECT_EQ(All({.actor = "ann"}, 7).size(), 20U);
  EXPECT_EQ(All({.action = "update:users"}, 7).size(), 30U);
  EXPECT_EQ(All({.action = "update:*"}, 7).size(), 30U);
  EXPECT_EQ(All({.action = "*:bans"}, 7).size(), 30U);
  EXPECT_EQ(All({.action = "update"}, 7).size(), 0U);
  EXPECT_EQ(All({.object_kind = "bans"}, 7).size(), 30U);
  EXPECT_EQ(All({.object_id = "o17"}, 7), std::vector<std::uint64_t>{19});
  EXPECT_EQ(All({.request_id = "r17"}, 7), std::vector<std::uint64_t>{19});
  EXPECT_EQ(All({.address = "192.0.2.3"}, 7).size(), 15U);
  EXPECT_EQ(All({.tenant = "acme"}, 7).size(), 12U);
  EXPECT_EQ(All({.tenant = ""}, 7).size(), 49U);
  EXPECT_EQ(All({.outcome = Outcome::kDenied}, 7).size(), 9U);
  EXPECT_EQ(All({.from = kNow + 10 * kHour, .to = kNow + 20 * kHour}, 3).size(), 10U);
  EXPECT_EQ(All({.actor = "ann", .object_kind = "users", .tenant = "acme"}, 3).size(), 2U);
  for (const Filter& filter :
       {Filter{.actor = "bob"}, Filter{.from = kNow + 30 * kHour}, Filter{.to = kNow + 5 * kHour}}) {
    EXPECT_EQ(All(filter, 4), Expected(filter));
  }
}

TEST_F(QueryTest, NewRecordsDoNotDisturbAWalk) {
  const auto first = log_->Query({}, 5, "");
  ASSERT_TRUE(log_->Append(Record{}, kNow + 100 * kHour));
  const auto second = log_->Query({}, 5, first->next);
  EXPECT_EQ(second->records.front().seq, first->records.back().seq - 1);
}

TEST_F(QueryTest, ForgedCursorsAreRefusedOrHarmless) {
  const auto page = log_->Query({}, 5, "");
  for (const std::string& bad :
       {std::string("x"), std::string("-"), std::string("1"), std::string("1-"), std::string("-1"), std::string("1--1"),
        std::string("01-0"), std::string("1-99999999"), std::string("1-18446744073709551616"), std::string("1-1"),
        std::string("1-5 "), page->next + "0", page->next + "'", std::string("../../etc/passwd"),
        std::string(100'000, '1')}) {
    const auto refused = log_->Query({}, 5, bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  }
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    const auto any = log_->Query({}, 5, std::to_string(random() % 70) + "-" + std::to_string(random() % 9'000));
    if (!any) continue;
    for (const Record& record : any->records) EXPECT_GT(record.seq, 0U);
  }
}

TEST_F(QueryTest, ADamagedRecordIsReportedNotSkipped) {
  const auto segments = ListSegments(directory_ / "audit").value();
  std::fstream file(segments[1].path, std::ios::in | std::ios::out);
  file.seekp(1);
  file.write("~~~~", 4);
  file.close();
  const auto page = log_->Query({}, 1000, "");
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, ErrorCode::kDataLoss);
}

TEST_F(QueryTest, WhatRetentionRemovedEndsAWalk) {
  const auto page = log_->Query({}, 55, "");
  ASSERT_FALSE(page->next.empty());
  unlink(ListSegments(directory_ / "audit")->front().path.c_str());
  const auto rest = log_->Query({}, 55, page->next);
  ASSERT_TRUE(rest);
  EXPECT_TRUE(rest->next.empty());
}

TEST(LineReaders, AgreeForwardsAndBackwards) {
  const TestDirectory directory;
  std::mt19937 random(5);
  for (int round = 0; round < 30; ++round) {
    std::string text;
    std::vector<std::string> lines;
    for (unsigned i = 0; i < random() % 40; ++i) {
      lines.push_back(std::string(random() % 9 == 0 ? 70'000 : random() % 200, static_cast<char>('a' + i % 26)));
      text += lines.back() + "\n";
    }
    const bool unfinished = round % 3 == 0;
    if (unfinished) text += "torn";
    std::ofstream(directory / "f", std::ios::binary) << text;
    const auto file = OpenRegularFile(directory / "f").value();
    std::vector<std::string> forwards, backwards;
    LineReader::Line line;
    LineReader reader(file, 0, text.size(), 100'000);
    while (reader.Next(&line).value()) {
      EXPECT_EQ(text.substr(line.offset, line.text.size()), line.text);
      if (line.finished) forwards.emplace_back(line.text);
    }
    ReverseLineReader reverse(file, text.size(), 100'000);
    while (reverse.Next(&line).value()) {
      EXPECT_EQ(text.substr(line.offset, line.text.size()), line.text);
      if (line.finished) backwards.insert(backwards.begin(), std::string(line.text));
    }
    EXPECT_EQ(forwards, lines);
    EXPECT_EQ(backwards, lines);
  }
}

TEST(LineReaders, ALongLineIsCutNotHeld) {
  const TestDirectory directory;
  std::ofstream(directory / "f", std::ios::binary) << std::string(5'000'000, 'x');
  const auto file = OpenRegularFile(directory / "f").value();
  LineReader reader(file, 0, 5'000'000, 1'000);
  LineReader::Line line;
  ASSERT_TRUE(reader.Next(&line).value());
  EXPECT_EQ(line.text.size(), 1'000U);
  EXPECT_FALSE(line.finished);
  ReverseLineReader reverse(file, 5'000'000, 1'000);
  EXPECT_FALSE(reverse.Next(&line));
}

}  // namespace
}  // namespace weir::management::audit
