#include "config/source/sqlite/schema.h"

#include <fmt/format.h>

#include <array>
#include <string>

namespace weir::config::sqlite {
namespace {

// Step i makes version i + 1 of version i. Never change one that was released: add another.
//
// `records` is what holds now; `changes` is what each revision in force did to it, with both sides, so that any
// revision can be undone without reading those before it; `proposals` is what candidates would do. A NULL value: the
// record is not there.
constexpr std::array<const char*, kSchemaVersion> kSteps = {R"sql(
CREATE TABLE records (
  kind TEXT NOT NULL, key TEXT NOT NULL,
  value TEXT NOT NULL, expires INTEGER, labels TEXT NOT NULL, note TEXT NOT NULL,
  version INTEGER NOT NULL, changed INTEGER NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL;

CREATE TABLE revisions (
  number INTEGER PRIMARY KEY,
  parent INTEGER NOT NULL, state INTEGER NOT NULL, time INTEGER NOT NULL,
  author TEXT NOT NULL, method TEXT NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL,
  rollback_to INTEGER NOT NULL DEFAULT 0, promotes INTEGER NOT NULL DEFAULT 0, promoted_as INTEGER NOT NULL DEFAULT 0,
  change_count INTEGER NOT NULL
) STRICT;
CREATE INDEX rollbacks ON revisions (number, rollback_to) WHERE rollback_to > 0;

CREATE TABLE changes (
  revision INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
  before_value TEXT, before_expires INTEGER, before_labels TEXT, before_note TEXT,
  after_value TEXT, after_expires INTEGER, after_labels TEXT, after_note TEXT,
  PRIMARY KEY (revision, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX changes_by_record ON changes (kind, key, revision);

CREATE TABLE proposals (
  revision INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
  base_version INTEGER NOT NULL,
  before_value TEXT, before_expires INTEGER, before_labels TEXT, before_note TEXT,
  after_value TEXT, after_expires INTEGER, after_labels TEXT, after_note TEXT,
  PRIMARY KEY (revision, kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE annotations (
  revision INTEGER NOT NULL, position INTEGER NOT NULL,
  time INTEGER NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY (revision, position)
) STRICT, WITHOUT ROWID;
)sql"};

struct Marks {
  std::int64_t application = 0;
  std::int64_t version = 0;
  std::int64_t tables = 0;
};

Result<Marks> ReadMarks(Database& database) {
  const auto application = database.Number("PRAGMA application_id");
  if (!application) return std::unexpected(application.error());
  const auto version = database.Number("PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  const auto tables = database.Number("SELECT COUNT(*) FROM sqlite_schema");
  if (!tables) return std::unexpected(tables.error());
  return Marks{.application = application->value_or(0), .version = version->value_or(0), .tables = tables->value_or(0)};
}

// Of one moment: another process may be making the tables just now.
Result<Marks> ReadMarksAtOnce(Database& database) {
  const Reading reading(database);
  if (!reading.status()) return std::unexpected(reading.status().error());
  return ReadMarks(database);
}

Result<> Check(const Database& database, const Marks& marks) {
  const bool empty = marks.application == 0 && marks.version == 0 && marks.tables == 0;
  if (!empty && marks.application != kApplicationId) {
    return Fail(ErrorCode::kInvalidArgument, database.path() + ": is the database of another program");
  }
  if (marks.version > kSchemaVersion) {
    return Fail(ErrorCode::kFailedPrecondition,
                fmt::format("{}: was written by a newer weir (schema {}, this one knows up to {}); update weir, or "
                            "restore a backup made before",
                            database.path(), marks.version, kSchemaVersion));
  }
  return {};
}

// In a transaction.
Result<> TakeSteps(Database& database) {
  const auto marks = ReadMarks(database);  // another process may have been first
  if (!marks) return std::unexpected(marks.error());
  if (auto ok = Check(database, *marks); !ok) return ok;
  for (std::int64_t version = marks->version; version < kSchemaVersion; ++version) {
    if (auto done = database.Execute(kSteps[static_cast<std::size_t>(version)]); !done) return done;
  }
  return database.Execute(
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, kSchemaVersion));
}

// Whether the file has it now. SQLite stays with its old journal, without an error, where processes cannot share
// memory.
Result<bool> SetJournal(Database& database) {
  Statement mode = database.Prepare("PRAGMA journal_mode = WAL");
  const auto row = mode.Step();
  if (!row) return std::unexpected(row.error());
  return *row && mode.Text(0) == "wal";
}

Result<> UseJournal(Database& database) {
  // The statement is over while others are waited for: it may hold a lock that they need.
  auto set = SetJournal(database);
  for (int tries = 0; !set && database.WaitedForOthers(tries); ++tries) set = SetJournal(database);
  if (!set) return std::unexpected(set.error());
  if (*set) return {};
  return Fail(ErrorCode::kUnavailable,
              database.path() + ": cannot be used on this file system; put the state directory on a local disk");
}

}  // namespace

Result<> BringUpToDate(Database& database) {
  const auto marks = ReadMarksAtOnce(database);
  if (!marks) return std::unexpected(marks.error());
  if (auto ok = Check(database, *marks); !ok) return ok;
  // Only now that it is known to be ours: the mode is written into the file.
  if (auto mode = UseJournal(database); !mode) return mode;
  if (marks->application == kApplicationId && marks->version == kSchemaVersion) return {};
  if (auto begun = database.Execute("BEGIN IMMEDIATE"); !begun) return begun;
  auto done = TakeSteps(database);
  if (done) done = database.Execute("COMMIT");
  if (!done && database.InTransaction()) (void)database.Execute("ROLLBACK");
  return done;
}

}  // namespace weir::config::sqlite
