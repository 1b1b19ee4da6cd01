// Random changes against a model that keeps the whole state of every revision.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "config/source/sqlite/store_fixture.h"

namespace weir::config {
namespace {

using State = std::map<RecordId, RecordBody>;

struct ModelRevision {
  State state;
  std::uint64_t rollback_to = 0;
  bool candidate = false;
};

class Model {
 public:
  State now;
  std::map<RecordId, std::uint64_t> versions;
  std::vector<ModelRevision> revisions = {{}};  // [0]: before the first

  std::uint64_t head() const {
    for (std::size_t i = revisions.size() - 1; i > 0; --i) {
      if (!revisions[i].candidate) return i;
    }
    return 0;
  }
  static bool Expired(const RecordBody& body, Nanos time) { return body.expires && *body.expires <= time; }
  std::uint64_t VersionOf(const RecordId& id, Nanos time) const {
    const auto found = now.find(id);
    return found == now.end() || Expired(found->second, time) ? 0 : versions.at(id);
  }
  // Whether there is a new revision.
  bool Become(State next, std::uint64_t rollback_to = 0) {
    if (next == now && rollback_to == 0) return false;
    const std::uint64_t number = revisions.size();
    for (const auto& [id, body] : next) {
      const auto before = now.find(id);
      if (before == now.end() || before->second != body) versions[id] = number;
    }
    now = std::move(next);
    revisions.push_back({.state = now, .rollback_to = rollback_to});
    return true;
  }
  // By walking back along what holds.
  bool Holds(std::uint64_t number) const {
    std::uint64_t at = head();
    while (at > 0) {
      if (at == number) return true;
      if (revisions[at].candidate) {
        --at;
      } else {
        at = revisions[at].rollback_to != 0 ? revisions[at].rollback_to : at - 1;
      }
    }
    return false;
  }
};

class StoreModelTest : public StoreFixture {
 protected:
  std::uint64_t Below(std::uint64_t n) { return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random_); }
  RecordId Id() {
    const std::string kinds[] = {"users", "tenants", "tiers"};
    return {kinds[Below(3)], std::string(1, static_cast<char>('a' + Below(6)))};
  }
  RecordBody Body() {
    RecordBody body{.value = std::to_string(Below(3))};
    if (Below(6) == 0) body.expires = clock_.Now() + static_cast<Nanos>(1 + Below(20)) * kSecond;
    if (Below(4) == 0) body.labels = {{"l", std::to_string(Below(2))}};
    if (Below(4) == 0) body.note = std::to_string(Below(2));
    return body;
  }

  void Write() {
    std::map<RecordId, RecordWrite> writes;
    for (std::uint64_t i = 1 + Below(4); i > 0; --i) {
      RecordWrite write{.id = Id()};
      if (Below(4) != 0) write.body = Body();
      if (Below(3) == 0) write.if_version = Below(4) == 0 ? Below(9) : model_.VersionOf(write.id, clock_.Now());
      writes.insert_or_assign(write.id, write);
    }
    Draft draft = DraftOf({});
    for (const auto& [id, write] : writes) draft.writes.push_back(write);
    draft.scope = Below(2) == 0 ? Draft::Scope::kAll : Draft::Scope::kEach;
    if (Below(5) == 0) draft.if_parent = model_.head() - (Below(3) == 0 ? 1 : 0);

    State next = model_.now;
    std::size_t refused = 0;
    for (const RecordWrite& write : draft.writes) {
      if (write.if_version && *write.if_version != model_.VersionOf(write.id, clock_.Now())) {
        ++refused;
      } else if (write.body) {
        next.insert_or_assign(write.id, *write.body);
      } else {
        next.erase(write.id);
      }
    }
    const bool wrong_parent = draft.if_parent && *draft.if_parent != model_.head();
    const auto appended = store().Append(draft);
    if (wrong_parent || (refused > 0 && draft.scope == Draft::Scope::kAll)) {
      ASSERT_FALSE(appended.has_value());
      ASSERT_EQ(appended.error().code, ErrorCode::kFailedPrecondition);
      return;
    }
    ASSERT_TRUE(appended.has_value()) << appended.error().message;
    ASSERT_EQ(appended->refused.size(), refused);
    ASSERT_EQ(appended->changed, model_.Become(std::move(next)));
    ASSERT_EQ(appended->revision.number, model_.head());
  }

  void GoBack() {
    const std::uint64_t to = Below(model_.revisions.size() + 1);
    const auto back = store().Rollback(to, OriginOf("eve"));
    if (to == 0 || to == model_.revisions.size() || model_.revisions[to].candidate) {
      ASSERT_FALSE(back.has_value());
      ASSERT_EQ(back.error().code, ErrorCode::kNotFound);
      return;
    }
    ASSERT_TRUE(back.has_value()) << back.error().message;
    State next = model_.revisions[to].state;
    // What would be expired by now is removed if anything happened to it since; what was left alone stays.
    std::erase_if(next, [&](const auto& one) {
      if (!Model::Expired(one.second, clock_.Now())) return false;
      for (std::size_t i = to + 1; i < model_.revisions.size(); ++i) {
        if (model_.revisions[i].candidate) continue;
        const auto then = model_.revisions[i].state.find(one.first);
        if (then == model_.revisions[i].state.end() || then->second != one.second) return true;
      }
      return false;
    });
    if (to != model_.head()) model_.Become(std::move(next), to);
    ASSERT_EQ(back->revision.number, model_.head());
  }

  void Propose() {
    const RecordId id = Id();
    const RecordBody body{.value = "\"candidate\""};
    const auto proposed = store().Propose(DraftOf({{.id = id, .body = body}}));
    ASSERT_TRUE(proposed.has_value()) << proposed.error().message;
    const bool changes = !model_.now.contains(id) || model_.now.at(id) != body;
    ASSERT_EQ(proposed->changed, changes);
    if (!changes) return;
    const std::uint64_t number = model_.revisions.size();
    ASSERT_EQ(proposed->revision.number, number);
    const std::uint64_t base = model_.VersionOf(id, clock_.Now());
    model_.revisions.push_back({.state = {}, .candidate = true});
    if (Below(2) == 0) {
      Write();
      if (HasFatalFailure()) return;
    }
    const auto promoted = store().Promote(number, OriginOf("eve"));
    if (model_.VersionOf(id, clock_.Now()) != base) {
      ASSERT_FALSE(promoted.has_value());
      return;
    }
    ASSERT_TRUE(promoted.has_value()) << promoted.error().message;
    State next = model_.now;
    next.insert_or_assign(id, body);
    ASSERT_EQ(promoted->changed, model_.Become(std::move(next)));
  }

  void Expire() {
    clock_.Advance(static_cast<Nanos>(Below(10)) * kSecond);
    if (Below(2) == 0) return;
    State next = model_.now;
    std::erase_if(next, [&](const auto& one) { return Model::Expired(one.second, clock_.Now()); });
    const auto expired = store().ApplyExpiry();
    ASSERT_TRUE(expired.has_value()) << expired.error().message;
    ASSERT_EQ(expired->has_value(), model_.Become(std::move(next)));
  }

  void CheckNow() {
    State found;
    const auto head = store().Scan({}, [&](const StoredRecord& record) {
      EXPECT_EQ(record.version, model_.versions[record.id]) << Describe(record.id);
      found.emplace(record.id, record.body);
      return true;
    });
    ASSERT_TRUE(head.has_value());
    ASSERT_EQ(head->number, model_.head());
    State expected = model_.now;
    std::erase_if(expected, [&](const auto& one) { return Model::Expired(one.second, clock_.Now()); });
    ASSERT_EQ(found, expected);
  }

  // Every revision, from what the store remembers.
  void CheckPast() {
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t number = 1; number < model_.revisions.size(); ++number) {
      const auto revision = store().GetRevision(number);
      ASSERT_TRUE(revision.has_value());
      if (model_.revisions[number].candidate) continue;
      numbers.push_back(number);
      ASSERT_EQ(revision->state == RevisionState::kInForce, model_.Holds(number)) << number;
    }
    for (const std::uint64_t number : numbers) {
      const RecordId id = Id();
      const auto then = store().GetAt(id, number);
      const State& state = model_.revisions[number].state;
      ASSERT_EQ(then.has_value(), state.contains(id));
      if (then) {
        ASSERT_EQ(then->body, state.at(id));
      }
    }
    if (numbers.empty()) return;
    for (int i = 0; i < 10; ++i) {
      const std::uint64_t from = numbers[Below(numbers.size())];
      const std::uint64_t to = numbers[Below(numbers.size())];
      State became = model_.revisions[from].state;
      RecordId after;
      while (true) {
        const auto page = store().Diff(from, to, after, 2);
        ASSERT_TRUE(page.has_value()) << page.error().message;
        for (const RecordChange& change : page->changes) {
          ASSERT_NE(change.before, change.after);
          ASSERT_EQ(change.before.has_value(), became.contains(change.id));
          if (change.before) {
            ASSERT_EQ(*change.before, became.at(change.id));
          }
          became.erase(change.id);
          if (change.after) became.emplace(change.id, *change.after);
        }
        if (!page->next) break;
        after = page->next->id;
      }
      ASSERT_EQ(became, model_.revisions[to].state) << from << " to " << to;
    }
  }

  // Whoever follows arrives at what is there.
  void CheckFollowing() {
    State became;
    ChangeCursor cursor;
    while (true) {
      const auto page = store().ChangesAfter(cursor, 7);
      ASSERT_TRUE(page.has_value());
      for (const RecordChange& change : page->changes) {
        ASSERT_EQ(change.before.has_value(), became.contains(change.id));
        became.erase(change.id);
        if (change.after) became.emplace(change.id, *change.after);
      }
      if (!page->next) break;
      cursor = *page->next;
    }
    ASSERT_EQ(became, model_.now);
  }

  std::mt19937_64 random_;
  Model model_;
};

TEST_F(StoreModelTest, DoesWhatTheModelDoes) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    Close();
    for (const char* const suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path() + suffix);
    random_.seed(seed);
    model_ = {};
    for (int step = 0; step < 120; ++step) {
      switch (Below(10)) {
        case 0:
          GoBack();
          break;
        case 1:
          Propose();
          break;
        case 2:
          Expire();
          break;
        case 3:
          Close();
          break;
        default:
          Write();
      }
      ASSERT_FALSE(HasFatalFailure()) << "step " << step;
      CheckNow();
      ASSERT_FALSE(HasFatalFailure()) << "step " << step;
    }
    CheckPast();
    CheckFollowing();
    ASSERT_FALSE(HasFatalFailure());
  }
}

}  // namespace
}  // namespace weir::config
