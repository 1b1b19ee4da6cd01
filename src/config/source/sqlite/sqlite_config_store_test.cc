// What a configuration store promises, on SQLite.
#include "config/source/sqlite/sqlite_config_store.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "config/source/sqlite/database.h"
#include "config/source/sqlite/store_fixture.h"

namespace weir::config {
namespace {

using SqliteConfigStoreTest = StoreFixture;

std::string KeysOf(const RecordPage& page) {
  std::string keys;
  for (const StoredRecord& record : page.records) keys += (keys.empty() ? "" : " ") + record.id.key;
  return keys;
}

TEST_F(SqliteConfigStoreTest, ARecordIsThereWithAllThatWasSaid) {
  const RecordBody body{.value = R"({"tier":"pro"})",
                        .expires = clock_.Now() + kHour,
                        .labels = {{"team", "core"}, {"quote\"", "\\ \n \xC3\xA4"}},
                        .note = "asked for by \"mail\""};
  const auto appended = store().Append(DraftOf({{.id = {"users", "acme"}, .body = body}}));
  ASSERT_TRUE(appended.has_value()) << appended.error().message;
  EXPECT_TRUE(appended->changed);
  EXPECT_EQ(appended->revision, (Revision{.number = 1,
                                          .author = "ann",
                                          .reason = "why",
                                          .source = "test",
                                          .time = clock_.Now(),
                                          .method = "token",
                                          .change_count = 1}));
  const auto record = store().Get({"users", "acme"});
  ASSERT_TRUE(record.has_value()) << record.error().message;
  EXPECT_EQ(*record, (StoredRecord{.id = {"users", "acme"}, .body = body, .version = 1, .changed = clock_.Now()}));
  EXPECT_EQ(store().Get({"users", "other"}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store().Get({"tenants", "acme"}).error().code, ErrorCode::kNotFound);
}

TEST_F(SqliteConfigStoreTest, ItIsThereWhenItIsOpenedAgain) {
  Put("acme", "1");
  Close();
  EXPECT_EQ(Value("acme"), "1");
  EXPECT_EQ(store().Head()->number, 1U);
}

TEST_F(SqliteConfigStoreTest, AWriteHoldsOnlyForTheVersionThatItNames) {
  const std::uint64_t version = Put("acme", "1");
  Put("other", "1");
  const auto wrong = store().Append(DraftOf({PutOf({"users", "acme"}, "2", version + 7)}));
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(wrong.error().message, "users 'acme' is at version 1, not 8");
  EXPECT_EQ(store().Append(DraftOf({PutOf({"users", "acme"}, "2", 0)})).error().message,
            "users 'acme' is there already, at version 1");
  EXPECT_EQ(store().Append(DraftOf({PutOf({"users", "new"}, "2", 1)})).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(store().Append(DraftOf({RemovalOf({"users", "acme"}, 7)})).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(Value("acme"), "1");
  EXPECT_EQ(Append({PutOf({"users", "acme"}, "2", version), PutOf({"users", "new"}, "3", 0)}), 3U);
  EXPECT_EQ(store().Get({"users", "acme"})->version, 3U);
  EXPECT_EQ(Append({RemovalOf({"users", "acme"}, 3)}), 4U);
  EXPECT_EQ(Value("acme"), "");
}

TEST_F(SqliteConfigStoreTest, OneThatIsRefusedRefusesAllOrIsLeftOut) {
  Put("a", "1");
  Draft draft = DraftOf({PutOf({"users", "b"}, "1"), PutOf({"users", "a"}, "2", 9), PutOf({"users", "c"}, "1")});
  EXPECT_FALSE(store().Append(draft).has_value());
  EXPECT_EQ(Value("b"), "");
  EXPECT_EQ(store().Head()->number, 1U);
  draft.scope = Draft::Scope::kEach;
  const auto appended = store().Append(draft);
  ASSERT_TRUE(appended.has_value()) << appended.error().message;
  EXPECT_EQ(appended->revision.number, 2U);
  EXPECT_EQ(appended->revision.change_count, 2U);
  ASSERT_EQ(appended->refused.size(), 1U);
  EXPECT_EQ(appended->refused[0].index, 1U);
  EXPECT_EQ(appended->refused[0].version, 1U);
  EXPECT_EQ(appended->refused[0].error.code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(Value("a") + Value("b") + Value("c"), "111");
}

TEST_F(SqliteConfigStoreTest, AChangeIsMadeOfTheRevisionThatItNames) {
  Put("a", "1");
  Draft draft = DraftOf({PutOf({"users", "b"}, "1")});
  draft.if_parent = 0;
  EXPECT_EQ(store().Append(draft).error().code, ErrorCode::kFailedPrecondition);
  draft.if_parent = 1;
  const auto appended = store().Append(draft);
  ASSERT_TRUE(appended.has_value());
  EXPECT_EQ(appended->revision.parent, 1U);
}

TEST_F(SqliteConfigStoreTest, WhatIsSoAlreadyIsNoRevision) {
  Put("a", "1");
  const auto again = store().Append(DraftOf({PutOf({"users", "a"}, "1"), RemovalOf({"users", "none"})}));
  ASSERT_TRUE(again.has_value());
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(again->revision.number, 1U);
  const auto partly = store().Append(DraftOf({PutOf({"users", "a"}, "1"), PutOf({"users", "b"}, "1")}));
  EXPECT_EQ(partly->revision.change_count, 1U);
  EXPECT_EQ(store().Get({"users", "a"})->version, 1U);
}

TEST_F(SqliteConfigStoreTest, ManyInOneCallAreOneRevision) {
  std::vector<RecordWrite> writes;
  for (int i = 0; i < 10'000; ++i) writes.push_back(PutOf({"users", "user" + std::to_string(i)}, "1"));
  EXPECT_EQ(Append(std::move(writes)), 1U);
  EXPECT_EQ(*store().Count("users"), 10'000U);
  EXPECT_EQ(store().GetRevision(1)->change_count, 10'000U);
}

TEST_F(SqliteConfigStoreTest, ListsGoOnWhereTheyStopped) {
  Append({PutOf({"users", "a"}, "1"), PutOf({"users", "ab"}, "1"), PutOf({"users", "abc"}, "1"),
          PutOf({"users", "b"}, "1"), PutOf({"users", "\xC3\xA4"}, "1"), PutOf({"tiers", "ab"}, "1")});
  const auto list = [&](RecordQuery query) {
    query.kind = "users";
    std::string keys;
    while (true) {
      const auto page = store().List(query);
      EXPECT_TRUE(page.has_value()) << page.error().message;
      EXPECT_EQ(page->head, 1U);
      keys += '[' + KeysOf(*page) + ']';
      if (!page->next) return keys;
      query.after = page->next;
    }
  };
  EXPECT_EQ(list({.most = 2}), "[a ab][abc b][\xC3\xA4]");
  EXPECT_EQ(list({.descending = true, .most = 2}), "[\xC3\xA4 b][abc ab][a]");
  EXPECT_EQ(list({.prefix = "ab", .most = 10}), "[ab abc]");
  EXPECT_EQ(list({.prefix = "ab", .most = 1}), "[ab][abc]");
  EXPECT_EQ(list({.prefix = "ab", .descending = true, .most = 1}), "[abc][ab]");
  EXPECT_EQ(list({.prefix = "ab", .after = "a", .most = 5}), "[ab abc]");
  EXPECT_EQ(list({.prefix = "ab", .after = "z", .descending = true, .most = 5}), "[abc ab]");
  EXPECT_EQ(list({.prefix = "x", .most = 5}), "[]");
  EXPECT_EQ(store().List({.kind = "users", .most = 0}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store().List({.kind = "users", .most = 10'001}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(SqliteConfigStoreTest, ListsAreNarrowedByLabels) {
  std::vector<RecordWrite> writes;
  for (int i = 0; i < 30; ++i) {
    RecordWrite write = PutOf({"users", "u" + std::to_string(100 + i)}, "1");
    write.body->labels = {{"team", i % 10 == 0 ? "core" : "edge"}, {"i", std::to_string(i)}};
    writes.push_back(std::move(write));
  }
  Append(std::move(writes));
  EXPECT_EQ(KeysOf(*store().List({.kind = "users", .labels = {{"team", "core"}}})), "u100 u110 u120");
  EXPECT_EQ(KeysOf(*store().List({.kind = "users", .labels = {{"team", "core"}, {"i", "10"}}})), "u110");
  EXPECT_EQ(KeysOf(*store().List({.kind = "users", .labels = {{"none", ""}}})), "");
}

TEST_F(SqliteConfigStoreTest, AScanSeesOneMoment) {
  Append({PutOf({"users", "a"}, "1"), PutOf({"tiers", "t"}, "1"), PutOf({"bans", "x"}, "1")});
  std::string seen;
  const std::vector<std::string> kinds = {"users", "tiers"};
  const auto other = Open();
  const auto head = store().Scan(kinds, [&](const StoredRecord& record) {
    // A change meanwhile is not seen, and does not wait.
    if (seen.empty()) {
      EXPECT_TRUE(other->Append(DraftOf({PutOf({"users", "b"}, "1")})).has_value());
    }
    seen += record.id.kind + '/' + record.id.key + ' ';
    return true;
  });
  ASSERT_TRUE(head.has_value()) << head.error().message;
  EXPECT_EQ(head->number, 1U);
  EXPECT_EQ(seen, "tiers/t users/a ");
  seen.clear();
  (void)store().Scan({}, [&](const StoredRecord& record) {
    seen += record.id.key;
    return seen.size() < 3;
  });
  EXPECT_EQ(seen, "xta");
}

TEST_F(SqliteConfigStoreTest, BoundsAreKept) {
  const auto refused = [&](RecordWrite write) {
    const auto appended = store().Append(DraftOf({std::move(write)}));
    EXPECT_FALSE(appended.has_value());
    EXPECT_EQ(appended.error().code, ErrorCode::kInvalidArgument);
    return appended.error().message;
  };
  EXPECT_EQ(refused(PutOf({"", "a"}, "1")), "a kind must be 1 to 64 of a-z, 0-9 and _, not ''");
  refused(PutOf({"Users", "a"}, "1"));
  refused(PutOf({"users;drop", "a"}, "1"));
  refused(PutOf({std::string(65, 'a'), "a"}, "1"));
  refused(PutOf({"users", ""}, "1"));
  refused(PutOf({"users", std::string(1025, 'a')}, "1"));
  refused(PutOf({"users", "a\nb"}, "1"));
  refused(PutOf({"users", "a\xff"}, "1"));
  refused(PutOf({"users", std::string("a\0b", 3)}, "1"));
  refused(PutOf({"users", "a"}, ""));
  // What was written is not repeated: it may be a secret.
  EXPECT_EQ(refused(PutOf({"users", "a"}, "{\"secret\": s3cret}")), "users 'a': the value is no JSON, line 1");
  refused({.id = {"users", "a"}, .body = RecordBody{.expires = 0}});
  refused({.id = {"users", "a"}, .body = RecordBody{.labels = {{"", "x"}}}});
  refused({.id = {"users", "a"}, .body = RecordBody{.labels = {{"x", std::string(257, 'x')}}}});
  refused({.id = {"users", "a"}, .body = RecordBody{.note = std::string(4097, 'x')}});
  EXPECT_EQ(store().Append(DraftOf({PutOf({"users", "a"}, "1"), RemovalOf({"users", "a"})})).error().message,
            "users 'a' is changed twice");
  EXPECT_EQ(store().Append(DraftOf({PutOf({"users", "a"}, "1")}, "")).error().message, "the author is missing");
  EXPECT_EQ(store().Append(DraftOf(std::vector<RecordWrite>(kMostWrites + 1))).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(store().Head()->number, 0U);
}

TEST_F(SqliteConfigStoreTest, AnApiKeyIsNotRepeated) {
  const auto refused = store().Append(DraftOf({PutOf({"api_keys", "sk_live_s3cret"}, "1", 7)}));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message.find("s3cret"), std::string::npos) << refused.error().message;
}

TEST_F(SqliteConfigStoreTest, NamesAreNames) {
  const std::vector<std::string> hostile = {"'; DROP TABLE records; --",
                                            "\" OR 1=1",
                                            "%",
                                            "_",
                                            "a%00b",
                                            "?1",
                                            ":name",
                                            "NULL",
                                            "../../etc/passwd",
                                            "\xF0\x9F\x92\xA9",
                                            "A",
                                            "a",
                                            "a\\",
                                            std::string(1024, 'x')};
  std::set<std::string> expected(hostile.begin(), hostile.end());
  for (const std::string& name : hostile) {
    Draft draft = DraftOf({PutOf({"users", name}, "\"x\"")}, name);
    draft.origin.reason = draft.origin.source = draft.origin.method = name;
    draft.writes[0].body->note = name;
    draft.writes[0].body->labels = {{name.substr(0, 64), name.substr(0, 256)}};
    ASSERT_TRUE(store().Append(draft).has_value()) << name;
    EXPECT_EQ(store().Head()->author, name);
    EXPECT_EQ(store().Get({"users", name})->body, *draft.writes[0].body);
    EXPECT_EQ(store().List({.kind = "users", .prefix = name, .labels = draft.writes[0].body->labels})->records.size(),
              1U);
    EXPECT_EQ(store().ListRevisions({.record = RecordId{"users", name}, .author = name})->revisions.size(), 1U);
    EXPECT_TRUE(store().Annotate(store().Head()->number, name, name).has_value());
  }
  std::set<std::string> found;
  const auto users = store().List({.kind = "users"});
  for (const StoredRecord& record : users->records) found.insert(record.id.key);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(store().List({.kind = "'; DROP TABLE records; --"})->records.size(), 0U);
}

// Whether a change is told does not depend on which store made it.
TEST_F(SqliteConfigStoreTest, ListenersHearOfEveryChange) {
  std::mutex mutex;
  std::condition_variable told;
  std::uint64_t last = 0;
  const auto other = Open();
  auto subscription = other->Subscribe([&](std::uint64_t head) {
    const std::lock_guard lock(mutex);
    last = head;
    told.notify_all();
  });
  const auto wait_for = [&](std::uint64_t head) {
    std::unique_lock lock(mutex);
    return told.wait_for(lock, std::chrono::seconds(60), [&] { return last >= head; });
  };
  Put("a", "1");
  EXPECT_TRUE(wait_for(1));
  ASSERT_TRUE(other->Append(DraftOf({PutOf({"users", "b"}, "1")})).has_value());
  EXPECT_TRUE(wait_for(2));
  subscription.reset();
  Put("c", "1");
  auto again = other->Subscribe([&](std::uint64_t head) {
    const std::lock_guard lock(mutex);
    last = head;
    told.notify_all();
  });
  Put("d", "1");
  EXPECT_TRUE(wait_for(4));
}

TEST_F(SqliteConfigStoreTest, ManyThreadsWriteAtOnce) {
  constexpr int kThreads = 8;
  constexpr int kEach = 50;
  (void)store();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto appended = store_->Append(DraftOf({PutOf({"users", std::to_string(t)}, std::to_string(i))}));
        EXPECT_TRUE(appended.has_value());
        EXPECT_EQ(store_->Get({"users", std::to_string(t)})->body.value, std::to_string(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store().Head()->number, static_cast<std::uint64_t>(kThreads * kEach));
  EXPECT_EQ(*store().Count("users"), static_cast<std::uint64_t>(kThreads));
}

TEST_F(SqliteConfigStoreTest, TooManyThatWaitAreRefused) {
  const auto small = OpenSqliteConfigStore({.path = path(), .clock = &clock_, .most_waiting = 1});
  ASSERT_TRUE(small.has_value());
  std::mutex mutex;
  std::condition_variable done;
  int answered = 0;
  int refused = 0;
  constexpr int kAll = 200;
  {
    // Nothing can be written meanwhile.
    const auto other = sqlite::Database::Open(path(), sqlite::Database::Access::kReadWrite, 1000);
    ASSERT_TRUE((*other)->Execute("BEGIN IMMEDIATE").has_value());
    for (int i = 0; i < kAll; ++i) {
      (*small)->Append(DraftOf({PutOf({"users", std::to_string(i)}, "1")}), [&](const Result<Appended>& appended) {
        const std::lock_guard lock(mutex);
        ++answered;
        if (!appended) {
          EXPECT_EQ(appended.error().code, ErrorCode::kResourceExhausted);
          ++refused;
        }
        done.notify_all();
      });
    }
    ASSERT_TRUE((*other)->Execute("COMMIT").has_value());
  }
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return answered == kAll; });
  EXPECT_GE(refused, kAll - 3);
  EXPECT_LT(refused, kAll);
}

TEST_F(SqliteConfigStoreTest, ABackupIsAStore) {
  Put("a", "1");
  const std::string copy = (directory_ / "copy.db").string();
  ASSERT_TRUE(store().Backup(copy).has_value());
  EXPECT_EQ(store().Backup(copy).error().code, ErrorCode::kAlreadyExists);
  Put("a", "2");
  const auto restored = OpenSqliteConfigStore({.path = copy, .clock = &clock_});
  ASSERT_TRUE(restored.has_value()) << restored.error().message;
  EXPECT_EQ((*restored)->Get({"users", "a"})->body.value, "1");
  EXPECT_EQ((*restored)->Head()->number, 1U);
  const auto mode = std::filesystem::status(copy).permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

}  // namespace
}  // namespace weir::config
