// Revisions: rollbacks, diffs, the past, candidates, expiry.
#include <gtest/gtest.h>

#include <string>

#include "config/source/sqlite/store_fixture.h"

namespace weir::config {
namespace {

using StoreHistoryTest = StoreFixture;

std::string KeysOf(const ChangePage& page) {
  std::string keys;
  for (const RecordChange& change : page.changes) {
    keys += keys.empty() ? "" : " ";
    keys += !change.before ? "+" : !change.after ? "-" : "~";
    keys += change.id.key;
  }
  return keys;
}

TEST_F(StoreHistoryTest, ARollbackRestoresEveryRecord) {
  Append({PutOf({"users", "a"}, "1"), PutOf({"users", "b"}, "1")});
  const std::uint64_t good = Put("c", "1");
  Put("a", "2");
  Append({RemovalOf({"users", "b"}), PutOf({"users", "d"}, "1")});
  Put("a", "3");
  const auto back = store().Rollback(good, OriginOf("eve"));
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(back->revision.number, 6U);
  EXPECT_EQ(back->revision.parent, 5U);
  EXPECT_EQ(back->revision.rollback_to, good);
  EXPECT_EQ(back->revision.author, "eve");
  EXPECT_EQ(back->revision.change_count, 3U);
  EXPECT_EQ(Value("a") + Value("b") + Value("c") + Value("d"), "111");
  EXPECT_EQ(store().Get({"users", "a"})->version, 6U);
  EXPECT_EQ(KeysOf(*store().Changes(6, {}, 10)), "~a +b -d");
  // And back again: the rollback itself is undone.
  EXPECT_EQ(NumberOf(store().Rollback(5, OriginOf("eve"))), 7U);
  EXPECT_EQ(Value("a") + Value("b") + Value("c") + Value("d"), "311");
}

TEST_F(StoreHistoryTest, ARollbackKnowsItsBounds) {
  Put("a", "1");
  Put("a", "2");
  EXPECT_EQ(store().Rollback(7, OriginOf("eve")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store().Rollback(0, OriginOf("eve")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store().Rollback(1, OriginOf("eve"), 1).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(store().Rollback(1, OriginOf("")).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(store().Rollback(2, OriginOf("eve"))->changed);
  EXPECT_EQ(Value("a"), "2");
}

TEST_F(StoreHistoryTest, ARollbackBringsNothingBackThatHasExpired) {
  Append({{.id = {"overrides", "users/a"}, .body = RecordBody{.expires = clock_.Now() + kHour}}});
  Append({RemovalOf({"overrides", "users/a"}), PutOf({"users", "a"}, "1")});
  clock_.Advance(2 * kHour);
  EXPECT_EQ(NumberOf(store().Rollback(1, OriginOf("eve"))), 3U);
  EXPECT_FALSE(store().Get({"overrides", "users/a"}).has_value());
  EXPECT_EQ(store().GetRevision(3)->change_count, 1U);
}

TEST_F(StoreHistoryTest, StatesFollowRollbacks) {
  for (int i = 1; i <= 4; ++i) Put("a", std::to_string(i));
  const auto states = [&] {
    std::string text;
    const auto listed = store().ListRevisions({});
    for (const Revision& revision : listed->revisions) {
      text += revision.state == RevisionState::kInForce ? 'f' : 'r';
      EXPECT_EQ(store().GetRevision(revision.number)->state, revision.state);
    }
    return text;
  };
  EXPECT_EQ(states(), "ffff");
  (void)store().Rollback(2, OriginOf("eve"));
  EXPECT_EQ(states(), "frrff");  // 5, 4, 3, 2, 1
  (void)store().Rollback(4, OriginOf("eve"));
  EXPECT_EQ(states(), "frffff");
  (void)store().Rollback(1, OriginOf("eve"));
  EXPECT_EQ(states(), "frrrrrf");
}

TEST_F(StoreHistoryTest, DiffsGoBothWays) {
  Append({PutOf({"users", "a"}, "1"), PutOf({"users", "b"}, "1")});
  Append({PutOf({"users", "a"}, "2"), PutOf({"users", "c"}, "1")});
  Append({RemovalOf({"users", "b"}), PutOf({"users", "a"}, "3")});
  Append({PutOf({"users", "a"}, "1")});
  EXPECT_EQ(KeysOf(*store().Diff(1, 3, {}, 10)), "~a -b +c");
  EXPECT_EQ(KeysOf(*store().Diff(3, 1, {}, 10)), "~a +b -c");
  EXPECT_EQ(KeysOf(*store().Diff(1, 4, {}, 10)), "-b +c");
  EXPECT_EQ(KeysOf(*store().Diff(2, 2, {}, 10)), "");
  const auto page = store().Diff(1, 3, {}, 2);
  EXPECT_EQ(KeysOf(*page), "~a -b");
  ASSERT_TRUE(page->next.has_value());
  EXPECT_EQ(KeysOf(*store().Diff(1, 3, page->next->id, 2)), "+c");
  EXPECT_EQ(store().Diff(1, 3, {}, 10)->changes[0].before->value, "1");
  EXPECT_EQ(store().Diff(1, 3, {}, 10)->changes[0].after->value, "3");
  EXPECT_EQ(store().Diff(1, 9, {}, 10).error().code, ErrorCode::kNotFound);
}

TEST_F(StoreHistoryTest, ThePastCanBeAsked) {
  Put("a", "1");
  Put("b", "1");
  Put("a", "2");
  Append({RemovalOf({"users", "a"})});
  EXPECT_EQ(store().GetAt({"users", "a"}, 1)->body.value, "1");
  EXPECT_EQ(store().GetAt({"users", "a"}, 2)->version, 1U);
  EXPECT_EQ(store().GetAt({"users", "a"}, 3)->body.value, "2");
  EXPECT_EQ(store().GetAt({"users", "a"}, 4).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store().GetAt({"users", "b"}, 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store().GetAt({"users", "b"}, 9).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store().GetAt({"users", "b"}, 4)->body.value, "1");
}

TEST_F(StoreHistoryTest, RevisionsAreListedNewestFirst) {
  for (int i = 0; i < 5; ++i) Put(i % 2 == 0 ? "a" : "b", std::to_string(i));
  (void)store().Append(DraftOf({PutOf({"users", "c"}, "1")}, "bob"));
  const auto numbers = [&](const RevisionQuery& query) {
    std::string text;
    const auto page = store().ListRevisions(query);
    for (const Revision& revision : page->revisions) text += std::to_string(revision.number);
    return text + '>' + std::to_string(page->next);
  };
  EXPECT_EQ(numbers({}), "654321>0");
  EXPECT_EQ(numbers({.most = 4}), "6543>3");
  EXPECT_EQ(numbers({.before = 3, .most = 4}), "21>0");
  EXPECT_EQ(numbers({.record = RecordId{"users", "a"}}), "531>0");
  EXPECT_EQ(numbers({.author = "bob"}), "6>0");
  EXPECT_EQ(store().ListRevisions({.most = 1001}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(StoreHistoryTest, ChangesCanBeFollowed) {
  Append({PutOf({"users", "a"}, "1"), PutOf({"users", "b"}, "1"), PutOf({"users", "c"}, "1")});
  Put("a", "2");
  std::string keys;
  ChangeCursor cursor;
  while (true) {
    const auto page = store().ChangesAfter(cursor, 2);
    ASSERT_TRUE(page.has_value()) << page.error().message;
    keys += '[' + KeysOf(*page) + ']';
    if (!page->next) break;
    cursor = *page->next;
  }
  EXPECT_EQ(keys, "[+a +b][+c ~a]");
  EXPECT_EQ(KeysOf(*store().ChangesAfter({.revision = 2, .id = {"users", "a"}}, 2)), "");
  EXPECT_EQ(KeysOf(*store().Changes(1, {"users", "a"}, 10)), "+b +c");
  EXPECT_EQ(store().Changes(3, {}, 10).error().code, ErrorCode::kNotFound);
}

TEST_F(StoreHistoryTest, ACandidateHoldsOnlyOnceItIsPromoted) {
  Put("a", "1");
  const auto proposed = store().Propose(DraftOf({PutOf({"users", "a"}, "2"), PutOf({"users", "b"}, "1")}));
  ASSERT_TRUE(proposed.has_value()) << proposed.error().message;
  EXPECT_EQ(proposed->revision.number, 2U);
  EXPECT_EQ(proposed->revision.state, RevisionState::kCandidate);
  EXPECT_EQ(Value("a"), "1");
  EXPECT_EQ(store().Head()->number, 1U);
  EXPECT_EQ(KeysOf(*store().Changes(2, {}, 10)), "~a +b");
  EXPECT_EQ(KeysOf(*store().ChangesAfter({.revision = 1, .id = {"z", "z"}}, 10)), "");
  EXPECT_EQ(store().SetState(2, RevisionState::kShadow)->state, RevisionState::kShadow);
  EXPECT_EQ(store().SetState(2, RevisionState::kInForce).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store().Rollback(2, OriginOf("eve")).error().code, ErrorCode::kNotFound);
  Put("other", "1");
  const auto promoted = store().Promote(2, OriginOf("eve"));
  ASSERT_TRUE(promoted.has_value()) << promoted.error().message;
  EXPECT_EQ(promoted->revision.number, 4U);
  EXPECT_EQ(promoted->revision.promotes, 2U);
  EXPECT_EQ(Value("a") + Value("b"), "21");
  EXPECT_EQ(store().GetRevision(2)->state, RevisionState::kInForce);
  EXPECT_EQ(store().GetRevision(2)->promoted_as, 4U);
  EXPECT_EQ(store().Promote(2, OriginOf("eve")).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(store().SetState(2, RevisionState::kRolledBack).error().code, ErrorCode::kFailedPrecondition);
  (void)store().Rollback(3, OriginOf("eve"));
  EXPECT_EQ(store().GetRevision(2)->state, RevisionState::kRolledBack);
  EXPECT_EQ(Value("a") + Value("b"), "1");
}

TEST_F(StoreHistoryTest, ACandidateIsNotPromotedOverLaterChanges) {
  Put("a", "1");
  (void)store().Propose(DraftOf({PutOf({"users", "a"}, "2"), PutOf({"users", "b"}, "2")}));
  Put("a", "3");
  const auto promoted = store().Promote(2, OriginOf("eve"));
  ASSERT_FALSE(promoted.has_value());
  EXPECT_EQ(promoted.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(Value("a") + Value("b"), "3");
  EXPECT_EQ(store().GetRevision(2)->state, RevisionState::kCandidate);
  EXPECT_TRUE(store().SetState(2, RevisionState::kRolledBack).has_value());
  EXPECT_EQ(store().Promote(2, OriginOf("eve")).error().message, "candidate 2 was withdrawn");
  EXPECT_EQ(store().Promote(9, OriginOf("eve")).error().code, ErrorCode::kNotFound);
}

TEST_F(StoreHistoryTest, RevisionsCanBeAnnotated) {
  Put("a", "1");
  EXPECT_TRUE(store().Annotate(1, "eve", "ticket 7").has_value());
  clock_.Advance(kSecond);
  EXPECT_TRUE(store().Annotate(1, "bob", "done").has_value());
  const auto annotations = store().Annotations(1);
  ASSERT_TRUE(annotations.has_value());
  ASSERT_EQ(annotations->size(), 2U);
  EXPECT_EQ((*annotations)[1], (Annotation{.time = clock_.Now(), .author = "bob", .text = "done"}));
  EXPECT_EQ(store().Annotate(9, "eve", "x").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store().Annotate(1, "eve", "").error().code, ErrorCode::kInvalidArgument);
  for (std::size_t i = 2; i < kMostAnnotations; ++i) (void)store().Annotate(1, "eve", "x");
  EXPECT_EQ(store().Annotate(1, "eve", "x").error().code, ErrorCode::kResourceExhausted);
}

TEST_F(StoreHistoryTest, WhatExpiresIsGoneAndBecomesARevision) {
  const Nanos friday = clock_.Now() + 3 * kDay;
  Append({{.id = {"overrides", "tenants/acme"}, .body = RecordBody{.expires = friday}},
          {.id = {"bans", "x"}, .body = RecordBody{.expires = friday + kDay}},
          PutOf({"users", "a"}, "1")});
  EXPECT_EQ(*store().NextExpiry(), friday);
  EXPECT_EQ(*store().ApplyExpiry(), std::nullopt);
  clock_.Set(friday - 1);
  EXPECT_TRUE(store().Get({"overrides", "tenants/acme"}).has_value());
  clock_.Set(friday);
  EXPECT_FALSE(store().Get({"overrides", "tenants/acme"}).has_value());
  EXPECT_EQ(store().List({.kind = "overrides"})->records.size(), 0U);
  EXPECT_EQ(*store().Count("overrides"), 0U);
  // What has expired is not there for a write either.
  EXPECT_EQ(store().Append(DraftOf({PutOf({"overrides", "tenants/acme"}, "1", 1)})).error().code,
            ErrorCode::kFailedPrecondition);
  const auto expired = store().ApplyExpiry();
  ASSERT_TRUE(expired.has_value() && expired->has_value());
  EXPECT_EQ((*expired)->author, "weir");
  EXPECT_EQ((*expired)->method, "expiry");
  EXPECT_EQ((*expired)->number, 2U);
  EXPECT_EQ((*expired)->change_count, 1U);
  EXPECT_EQ(KeysOf(*store().Changes(2, {}, 10)), "-tenants/acme");
  EXPECT_EQ(*store().ApplyExpiry(), std::nullopt);
  EXPECT_EQ(*store().NextExpiry(), friday + kDay);
  EXPECT_EQ(store().Append(DraftOf({{.id = {"bans", "y"}, .body = RecordBody{.expires = friday}}})).error().message,
            "bans 'y': expires has already passed");
  EXPECT_EQ(Append({PutOf({"overrides", "tenants/acme"}, "1", 0)}), 3U);
}

}  // namespace
}  // namespace weir::config
