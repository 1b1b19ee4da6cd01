#include "config/source/sqlite/writer.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "config/source/sqlite/rows.h"

namespace weir::config::sqlite {
namespace {

struct Present {
  std::optional<RecordBody> body;
  std::uint64_t version = 0;  // 0: it is not there, or has expired
};

Result<Present> ReadPresent(Database& database, Nanos now, const RecordId& id) {
  Statement row = database.Prepare("SELECT " WEIR_BODY ", version FROM records WHERE kind = ? AND key = ?");
  const auto found = row.Bind(id.kind).Bind(id.key).Step();
  if (!found) return std::unexpected(found.error());
  if (!*found) return Present{};
  auto body = ReadBody(row, 0);
  if (!body) return std::unexpected(body.error());
  const bool expired = *body && (*body)->expires && *(*body)->expires <= now;
  return Present{.body = std::move(*body), .version = expired ? 0 : row.Unsigned(4)};
}

Result<std::uint64_t> NextNumber(Database& database) {
  const auto last = database.Number("SELECT MAX(number) FROM revisions");
  if (!last) return std::unexpected(last.error());
  return static_cast<std::uint64_t>(last->value_or(0)) + 1;
}

Result<> InsertRevision(Database& database, const Revision& revision) {
  Statement row = database.Prepare("INSERT INTO revisions (" WEIR_REVISION ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)");
  row.Bind(revision.number).Bind(revision.parent).Bind(static_cast<std::int64_t>(revision.state)).Bind(revision.time);
  row.Bind(revision.author).Bind(revision.method).Bind(revision.reason).Bind(revision.source);
  return row.Bind(revision.rollback_to)
      .Bind(revision.promotes)
      .Bind(revision.promoted_as)
      .Bind(revision.change_count)
      .Run();
}

Result<Revision> NewRevision(Database& database, Nanos now, const Origin& origin, const Revision& head) {
  const auto number = NextNumber(database);
  if (!number) return std::unexpected(number.error());
  return Revision{.number = *number,
                  .parent = head.number,
                  .author = origin.author,
                  .reason = origin.reason,
                  .source = origin.source,
                  .time = now,
                  .method = origin.method};
}

Result<> CheckParent(const Revision& head, const std::optional<std::uint64_t>& if_parent) {
  if (!if_parent || *if_parent == head.number) return {};
  return Fail(ErrorCode::kFailedPrecondition, fmt::format("revision {} is in force, not {}", head.number, *if_parent));
}

std::string Conflict(const RecordId& id, std::uint64_t version, std::uint64_t wanted) {
  if (version == 0) return fmt::format("{} is not there, instead of at version {}", Describe(id), wanted);
  if (wanted == 0) return fmt::format("{} is there already, at version {}", Describe(id), version);
  return fmt::format("{} is at version {}, not {}", Describe(id), version, wanted);
}

Result<> CheckWrite(const RecordWrite& write, const Present& present, Nanos now) {
  if (write.body && write.body->expires && *write.body->expires <= now) {
    return Fail(ErrorCode::kInvalidArgument, Describe(write.id) + ": expires has already passed");
  }
  if (!write.if_version || *write.if_version == present.version) return {};
  return Fail(ErrorCode::kFailedPrecondition, Conflict(write.id, present.version, *write.if_version));
}

Result<> InsertChange(Database& database, std::uint64_t revision, const RecordWrite& write, const Present& present) {
  const BoundBody before(present.body);
  const BoundBody after(write.body);
  Statement row = database.Prepare("INSERT INTO changes (revision, kind, key, " WEIR_BEFORE ", " WEIR_AFTER
                                   ") VALUES (?,?,?,?,?,?,?,?,?,?,?)");
  row.Bind(revision).Bind(write.id.kind).Bind(write.id.key);
  before.BindTo(row);
  after.BindTo(row);
  return row.Run();
}

Result<> InsertProposal(Database& database, std::uint64_t revision, const RecordWrite& write, const Present& present) {
  const BoundBody before(present.body);
  const BoundBody after(write.body);
  Statement row = database.Prepare("INSERT INTO proposals (revision, kind, key, base_version, " WEIR_BEFORE
                                   ", " WEIR_AFTER ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)");
  row.Bind(revision).Bind(write.id.kind).Bind(write.id.key).Bind(present.version);
  before.BindTo(row);
  after.BindTo(row);
  return row.Run();
}

Result<> WriteRecord(Database& database, const Revision& revision, const RecordWrite& write) {
  if (!write.body) {
    return database.Prepare("DELETE FROM records WHERE kind = ? AND key = ?")
        .Bind(write.id.kind)
        .Bind(write.id.key)
        .Run();
  }
  const BoundBody body(write.body);
  Statement row = database.Prepare(
      "INSERT INTO records (kind, key, " WEIR_BODY
      ", version, changed) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, "
      "expires = excluded.expires, labels = excluded.labels, note = excluded.note, version = excluded.version, "
      "changed = excluded.changed");
  row.Bind(write.id.kind).Bind(write.id.key);
  body.BindTo(row);
  return row.Bind(revision.number).Bind(revision.time).Run();
}

enum class Into : std::uint8_t { kForce, kProposal };

// Writes what differs, as `revision`, whose row is written at the end: how much differs is known only then.
Result<Appended> WriteAll(Database& database, Nanos now, const Draft& draft, const Revision& head, Revision revision,
                          Into into) {
  Appended appended;
  for (std::size_t i = 0; i < draft.writes.size(); ++i) {
    const RecordWrite& write = draft.writes[i];
    const auto present = ReadPresent(database, now, write.id);
    if (!present) return std::unexpected(present.error());
    if (auto allowed = CheckWrite(write, *present, now); !allowed) {
      if (draft.scope == Draft::Scope::kAll) return std::unexpected(allowed.error());
      appended.refused.push_back({.index = i, .version = present->version, .error = std::move(allowed.error())});
      continue;
    }
    if (present->body == write.body) continue;
    auto done = into == Into::kForce ? InsertChange(database, revision.number, write, *present)
                                     : InsertProposal(database, revision.number, write, *present);
    if (done && into == Into::kForce) done = WriteRecord(database, revision, write);
    if (!done) return std::unexpected(done.error());
    ++revision.change_count;
  }
  appended.changed = revision.change_count > 0;
  if (!appended.changed) {
    appended.revision = head;
    return appended;
  }
  if (auto done = InsertRevision(database, revision); !done) return std::unexpected(done.error());
  appended.revision = std::move(revision);
  return appended;
}

Result<Appended> WriteInForce(Database& database, Nanos now, const Draft& draft, std::uint64_t promotes) {
  const auto head = ReadHead(database);
  if (!head) return std::unexpected(head.error());
  if (auto parent = CheckParent(*head, draft.if_parent); !parent) return std::unexpected(parent.error());
  auto revision = NewRevision(database, now, draft.origin, *head);
  if (!revision) return std::unexpected(revision.error());
  revision->promotes = promotes;
  return WriteAll(database, now, draft, *head, std::move(*revision), Into::kForce);
}

// Of those that can still become something.
Result<Revision> ReadOpenCandidate(Database& database, std::uint64_t number) {
  auto candidate = ReadStored(database, number);
  if (!candidate) return candidate;
  if (candidate->promoted_as != 0 || candidate->state == RevisionState::kInForce) {
    return Fail(ErrorCode::kFailedPrecondition, fmt::format("revision {} is no candidate (any more)", number));
  }
  if (candidate->state == RevisionState::kRolledBack) {
    return Fail(ErrorCode::kFailedPrecondition, fmt::format("candidate {} was withdrawn", number));
  }
  return candidate;
}

Result<> SetCandidate(Database& database, std::uint64_t number, RevisionState state, std::uint64_t promoted_as) {
  return database.Prepare("UPDATE revisions SET state = ?, promoted_as = ? WHERE number = ?")
      .Bind(static_cast<std::int64_t>(state))
      .Bind(promoted_as)
      .Bind(number)
      .Run();
}

// What differs between now and revision `to`, into the table `undo`.
Result<> GatherUndo(Database& database, Nanos now, std::uint64_t to) {
  // The first change behind `to` knows what was before it. (+: not by changes_by_record, which has every change ever.)
  Statement gather = database.Prepare("INSERT INTO temp.undo (kind, key, " WEIR_BODY ") SELECT kind, key, " WEIR_BEFORE
                                      " FROM (SELECT kind, key, MIN(revision), " WEIR_BEFORE
                                      " FROM changes WHERE revision > ? GROUP BY +kind, +key)");
  if (auto done = gather.Bind(to).Run(); !done) return done;
  Statement expire = database.Prepare(
      "UPDATE temp.undo SET value = NULL, expires = NULL, labels = NULL, note = NULL WHERE expires <= ?");
  if (auto done = expire.Bind(now).Run(); !done) return done;
  return database
      .Prepare(
          "DELETE FROM temp.undo AS u WHERE CASE WHEN u.value IS NULL "
          "THEN NOT EXISTS (SELECT 1 FROM records AS r WHERE r.kind = u.kind AND r.key = u.key) "
          "ELSE EXISTS (SELECT 1 FROM records AS r WHERE r.kind = u.kind AND r.key = u.key AND r.value = u.value "
          "AND r.expires IS u.expires AND r.labels = u.labels AND r.note = u.note) END")
      .Run();
}

Result<> ApplyUndo(Database& database, const Revision& revision) {
  Statement changes = database.Prepare(
      "INSERT INTO changes (revision, kind, key, " WEIR_BEFORE ", " WEIR_AFTER
      ") SELECT ?, u.kind, u.key, r.value, r.expires, r.labels, r.note, u.value, u.expires, u.labels, u.note "
      "FROM temp.undo AS u LEFT JOIN records AS r ON r.kind = u.kind AND r.key = u.key");
  if (auto done = changes.Bind(revision.number).Run(); !done) return done;
  if (auto done = database
                      .Prepare("DELETE FROM records WHERE (kind, key) IN "
                               "(SELECT kind, key FROM temp.undo WHERE value IS NULL)")
                      .Run();
      !done) {
    return done;
  }
  Statement records = database.Prepare(
      "INSERT INTO records (kind, key, " WEIR_BODY ", version, changed) SELECT kind, key, " WEIR_BODY
      ", ?, ? FROM temp.undo WHERE value IS NOT NULL ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, "
      "expires = excluded.expires, labels = excluded.labels, note = excluded.note, version = excluded.version, "
      "changed = excluded.changed");
  if (auto done = records.Bind(revision.number).Bind(revision.time).Run(); !done) return done;
  return database.Prepare("DELETE FROM temp.undo").Run();
}

}  // namespace

Result<> PrepareWriter(Database& database) {
  return database.Execute(
      "CREATE TEMP TABLE undo (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT, expires INTEGER, labels TEXT, "
      "note TEXT, PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID");
}

Result<Appended> WriteDraft(Database& database, Nanos now, const Draft& draft) {
  return WriteInForce(database, now, draft, 0);
}

Result<Appended> WriteRollback(Database& database, Nanos now, std::uint64_t to, const Origin& origin,
                               const std::optional<std::uint64_t>& if_parent) {
  const auto head = ReadHead(database);
  if (!head) return std::unexpected(head.error());
  if (auto parent = CheckParent(*head, if_parent); !parent) return std::unexpected(parent.error());
  const auto target = ReadStored(database, to);
  if (!target) return std::unexpected(target.error());
  if (IsCandidate(*target)) {
    const std::string hint = target->promoted_as == 0 ? "" : fmt::format(" (that is {})", target->promoted_as);
    return Fail(ErrorCode::kNotFound, fmt::format("revision {} is a candidate, not one that was in force{}", to, hint));
  }
  if (to == head->number) return Appended{.revision = *head, .changed = false};
  auto revision = NewRevision(database, now, origin, *head);
  if (!revision) return std::unexpected(revision.error());
  revision->rollback_to = to;
  if (auto done = GatherUndo(database, now, to); !done) return std::unexpected(done.error());
  const auto count = database.Number("SELECT COUNT(*) FROM temp.undo");
  if (!count) return std::unexpected(count.error());
  revision->change_count = static_cast<std::uint64_t>(count->value_or(0));
  if (auto done = InsertRevision(database, *revision); !done) return std::unexpected(done.error());
  if (auto done = ApplyUndo(database, *revision); !done) return std::unexpected(done.error());
  return Appended{.revision = std::move(*revision)};
}

Result<Appended> WriteProposal(Database& database, Nanos now, const Draft& draft) {
  const auto head = ReadHead(database);
  if (!head) return std::unexpected(head.error());
  if (auto parent = CheckParent(*head, draft.if_parent); !parent) return std::unexpected(parent.error());
  auto revision = NewRevision(database, now, draft.origin, *head);
  if (!revision) return std::unexpected(revision.error());
  revision->state = RevisionState::kCandidate;
  return WriteAll(database, now, draft, *head, std::move(*revision), Into::kProposal);
}

Result<Revision> WriteState(Database& database, std::uint64_t candidate, RevisionState state) {
  if (state == RevisionState::kInForce) {
    return Fail(ErrorCode::kInvalidArgument, "a candidate comes into force by being promoted");
  }
  auto revision = ReadOpenCandidate(database, candidate);
  if (!revision) return revision;
  if (auto done = SetCandidate(database, candidate, state, 0); !done) return std::unexpected(done.error());
  revision->state = state;
  return revision;
}

Result<Appended> WritePromotion(Database& database, Nanos now, std::uint64_t candidate, const Origin& origin) {
  const auto revision = ReadOpenCandidate(database, candidate);
  if (!revision) return std::unexpected(revision.error());
  Draft draft{.origin = origin};
  {
    Statement row =
        database.Prepare("SELECT kind, key, base_version, " WEIR_AFTER " FROM proposals WHERE revision = ?");
    row.Bind(candidate);
    while (true) {
      const auto more = row.Step();
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      auto body = ReadBody(row, 3);
      if (!body) return std::unexpected(body.error());
      draft.writes.push_back({.id = {std::string(row.Text(0)), std::string(row.Text(1))},
                              .body = std::move(*body),
                              .if_version = row.Unsigned(2)});
    }
  }
  auto appended = WriteInForce(database, now, draft, candidate);
  if (!appended) return appended;
  if (auto done = SetCandidate(database, candidate, RevisionState::kInForce, appended->revision.number); !done) {
    return std::unexpected(done.error());
  }
  return appended;
}

Result<> WriteAnnotation(Database& database, Nanos now, std::uint64_t number, std::string_view author,
                         std::string_view text) {
  if (const auto there = ReadStored(database, number); !there) return std::unexpected(there.error());
  std::int64_t count = 0;
  {
    Statement row = database.Prepare("SELECT COUNT(*) FROM annotations WHERE revision = ?");
    if (const auto one = row.Bind(number).Step(); !one) return std::unexpected(one.error());
    count = row.Integer(0);
  }
  if (count >= static_cast<std::int64_t>(kMostAnnotations)) {
    return Fail(ErrorCode::kResourceExhausted,
                fmt::format("revision {} has {} annotations already", number, kMostAnnotations));
  }
  return database.Prepare("INSERT INTO annotations (revision, position, time, author, text) VALUES (?,?,?,?,?)")
      .Bind(number)
      .Bind(count)
      .Bind(now)
      .Bind(author)
      .Bind(text)
      .Run();
}

Result<std::optional<Revision>> WriteExpiry(Database& database, Nanos now) {
  Draft draft{.origin = {.author = "weir", .method = "expiry", .reason = "expired"}};
  {
    Statement row = database.Prepare("SELECT kind, key FROM records WHERE expires <= ? ORDER BY expires LIMIT ?");
    row.Bind(now).Bind(kMostExpired);
    while (true) {
      const auto more = row.Step();
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      draft.writes.push_back({.id = {std::string(row.Text(0)), std::string(row.Text(1))}});
    }
  }
  if (draft.writes.empty()) return std::nullopt;
  auto appended = WriteInForce(database, now, draft, 0);
  if (!appended) return std::unexpected(appended.error());
  return std::move(appended->revision);
}

}  // namespace weir::config::sqlite
