#include "config/source/sqlite/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "config/source/sqlite/rows.h"

namespace weir::config::sqlite {
namespace {

constexpr std::size_t kMostRecords = 10'000;
// How many records one page looks at, whatever it finds.
constexpr std::size_t kMostLookedAt = 20'000;

Result<> CheckMost(std::size_t most, std::size_t limit) {
  if (most >= 1 && most <= limit) return {};
  return Fail(ErrorCode::kInvalidArgument, fmt::format("a page has 1 to {} entries, not {}", limit, most));
}

// From kind, key, WEIR_BODY, version, changed.
Result<StoredRecord> RecordOf(const Statement& row) {
  auto body = ReadBody(row, 2);
  if (!body) return std::unexpected(body.error());
  if (!*body) return Fail(ErrorCode::kDataLoss, "a record without a value");
  return StoredRecord{.id = {std::string(row.Text(0)), std::string(row.Text(1))},
                      .body = std::move(**body),
                      .version = row.Unsigned(6),
                      .changed = row.Integer(7)};
}

bool HasLabels(const RecordBody& body, const std::map<std::string, std::string>& labels) {
  return std::ranges::all_of(labels, [&](const auto& wanted) {
    const auto found = body.labels.find(wanted.first);
    return found != body.labels.end() && found->second == wanted.second;
  });
}

// From revision, kind, key, WEIR_BEFORE, WEIR_AFTER.
Result<RecordChange> ChangeOf(const Statement& row) {
  auto before = ReadBody(row, 3);
  if (!before) return std::unexpected(before.error());
  auto after = ReadBody(row, 7);
  if (!after) return std::unexpected(after.error());
  return RecordChange{.revision = row.Unsigned(0),
                      .id = {std::string(row.Text(1)), std::string(row.Text(2))},
                      .before = std::move(*before),
                      .after = std::move(*after)};
}

// At most `most` of the rows.
Result<ChangePage> ChangesOf(Statement& row, std::size_t most) {
  ChangePage page;
  while (true) {
    const auto more = row.Step();
    if (!more) return std::unexpected(more.error());
    if (!*more) return page;
    if (page.changes.size() == most) {
      const RecordChange& last = page.changes.back();
      page.next = ChangeCursor{.revision = last.revision, .id = last.id};
      return page;
    }
    auto change = ChangeOf(row);
    if (!change) return std::unexpected(change.error());
    page.changes.push_back(std::move(*change));
  }
}

// Which revisions were undone by later rollbacks. Going back from the latest: a rollback that holds undoes what lies
// between its target and itself, rollbacks too; what holds before it is what held at its target.
class Undone {
 public:
  // Knows of revisions from `lowest` on.
  static Result<Undone> Read(Database& database, std::uint64_t head, std::uint64_t lowest) {
    Undone undone;
    Statement row = database.Prepare(
        "SELECT number, rollback_to FROM revisions WHERE rollback_to > 0 AND number > ? ORDER BY number DESC");
    row.Bind(lowest);
    std::uint64_t holds = head;
    while (true) {
      const auto more = row.Step();
      if (!more) return std::unexpected(more.error());
      if (!*more) return undone;
      if (row.Unsigned(0) > holds) continue;
      holds = row.Unsigned(1);
      undone.ranges_.push_back({.after = holds, .before = row.Unsigned(0)});
    }
  }
  bool Has(std::uint64_t number) const {
    return std::ranges::any_of(ranges_,
                               [&](const Range& range) { return range.after < number && number < range.before; });
  }
  void Mark(Revision& revision) const {
    if (revision.state != RevisionState::kInForce) return;
    const std::uint64_t in_force_as = revision.promoted_as != 0 ? revision.promoted_as : revision.number;
    if (Has(in_force_as)) revision.state = RevisionState::kRolledBack;
  }

 private:
  struct Range {
    std::uint64_t after, before;
  };
  std::vector<Range> ranges_;
};

Result<> CheckInForce(Database& database, std::uint64_t number) {
  const auto revision = ReadStored(database, number);
  if (!revision) return std::unexpected(revision.error());
  if (!IsCandidate(*revision)) return {};
  return Fail(ErrorCode::kNotFound, fmt::format("revision {} is a candidate, not one that was in force", number));
}

}  // namespace

Result<StoredRecord> ReadRecord(Database& database, Nanos now, const RecordId& id) {
  Statement row = database.Prepare("SELECT kind, key, " WEIR_BODY
                                   ", version, changed FROM records WHERE kind = ? AND key = ? "
                                   "AND (expires IS NULL OR expires > ?)");
  const auto found = row.Bind(id.kind).Bind(id.key).Bind(now).Step();
  if (!found) return std::unexpected(found.error());
  if (!*found) return Fail(ErrorCode::kNotFound, fmt::format("there is no {}", Describe(id)));
  return RecordOf(row);
}

Result<RecordPage> ReadRecords(Database& database, Nanos now, const RecordQuery& query) {
  if (auto most = CheckMost(query.most, kMostRecords); !most) return std::unexpected(most.error());
  const Reading reading(database);
  if (!reading.status()) return std::unexpected(reading.status().error());
  const auto head = ReadHead(database);
  if (!head) return std::unexpected(head.error());
  RecordPage page{.head = head->number};
  // No key has the byte 0xff: the keys that begin with the prefix end before it.
  std::string high = query.prefix + '\xff';
  const bool behind = query.after && !query.descending && *query.after >= query.prefix;
  if (query.after && query.descending) high = std::min(high, *query.after);
  Statement row = database.Prepare(
      query.descending ? "SELECT kind, key, " WEIR_BODY
                         ", version, changed FROM records WHERE kind = ? AND key >= ? AND key < ? ORDER BY key DESC"
      : behind ? "SELECT kind, key, " WEIR_BODY
                 ", version, changed FROM records WHERE kind = ? AND key > ? AND key < ? ORDER BY key"
               : "SELECT kind, key, " WEIR_BODY
                 ", version, changed FROM records WHERE kind = ? AND key >= ? AND key < ? ORDER BY key");
  row.Bind(query.kind).Bind(behind ? *query.after : query.prefix).Bind(high);
  std::string last_key;
  for (std::size_t looked_at = 0;; ++looked_at) {
    const auto more = row.Step();
    if (!more) return std::unexpected(more.error());
    if (!*more) return page;
    if (page.records.size() == query.most || looked_at == kMostLookedAt) {
      page.next = std::move(last_key);
      return page;
    }
    last_key = row.Text(1);
    if (!row.IsNull(3) && row.Integer(3) <= now) continue;
    auto record = RecordOf(row);
    if (!record) return std::unexpected(record.error());
    if (HasLabels(record->body, query.labels)) page.records.push_back(std::move(*record));
  }
}

Result<std::uint64_t> CountRecords(Database& database, Nanos now, std::string_view kind) {
  Statement row = database.Prepare("SELECT COUNT(*) FROM records WHERE kind = ? AND (expires IS NULL OR expires > ?)");
  if (const auto one = row.Bind(kind).Bind(now).Step(); !one) return std::unexpected(one.error());
  return row.Unsigned(0);
}

Result<Revision> ScanRecords(Database& database, Nanos now, std::span<const std::string> kinds,
                             absl::FunctionRef<bool(const StoredRecord&)> visit) {
  const Reading reading(database);
  if (!reading.status()) return std::unexpected(reading.status().error());
  auto head = ReadHead(database);
  if (!head) return head;
  std::vector<std::string> sorted(kinds.begin(), kinds.end());
  std::ranges::sort(sorted);
  const bool all = sorted.empty();
  if (all) sorted.emplace_back();
  for (const std::string& kind : sorted) {
    Statement row = all ? database.Prepare("SELECT kind, key, " WEIR_BODY
                                           ", version, changed FROM records WHERE kind >= ? ORDER BY kind, key")
                        : database.Prepare("SELECT kind, key, " WEIR_BODY
                                           ", version, changed FROM records WHERE kind = ? ORDER BY key");
    row.Bind(kind);
    while (true) {
      const auto more = row.Step();
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      if (!row.IsNull(3) && row.Integer(3) <= now) continue;
      const auto record = RecordOf(row);
      if (!record) return std::unexpected(record.error());
      if (!visit(*record)) return head;
    }
  }
  return head;
}

Result<StoredRecord> ReadRecordAt(Database& database, const RecordId& id, std::uint64_t revision) {
  const Reading reading(database);
  if (!reading.status()) return std::unexpected(reading.status().error());
  if (auto there = CheckInForce(database, revision); !there) return std::unexpected(there.error());
  Statement row = database.Prepare(
      "SELECT c.kind, c.key, after_value, after_expires, after_labels, after_note, c.revision, r.time FROM changes AS "
      "c "
      "JOIN revisions AS r ON r.number = c.revision WHERE kind = ? AND key = ? AND revision <= ? "
      "ORDER BY revision DESC LIMIT 1");
  const auto found = row.Bind(id.kind).Bind(id.key).Bind(revision).Step();
  if (!found) return std::unexpected(found.error());
  if (!*found || row.IsNull(2)) {
    return Fail(ErrorCode::kNotFound, fmt::format("there was no {} at revision {}", Describe(id), revision));
  }
  return RecordOf(row);
}

Result<Revision> ReadRevisionNow(Database& database, std::uint64_t number) {
  const Reading reading(database);
  if (!reading.status()) return std::unexpected(reading.status().error());
  auto revision = ReadStored(database, number);
  if (!revision) return revision;
  const auto head = ReadHead(database);
  if (!head) return std::unexpected(head.error());
  const auto undone = Undone::Read(database, head->number, number);
  if (!undone) return std::unexpected(undone.error());
  undone->Mark(*revision);
  return revision;
}

Result<RevisionPage> ReadRevisions(Database& database, const RevisionQuery& query) {
  if (auto most = CheckMost(query.most, 1000); !most) return std::unexpected(most.error());
  const Reading reading(database);
  if (!reading.status()) return std::unexpected(reading.status().error());
  RevisionPage page;
  Statement row =
      query.record ? database.Prepare("SELECT " WEIR_REVISION
                                      " FROM revisions WHERE number < ? AND number IN (SELECT revision FROM "
                                      "changes WHERE kind = ? AND key = ?) ORDER BY number DESC")
                   : database.Prepare("SELECT " WEIR_REVISION " FROM revisions WHERE number < ? ORDER BY number DESC");
  row.Bind(query.before == 0 ? std::numeric_limits<std::int64_t>::max() : static_cast<std::int64_t>(query.before));
  if (query.record) row.Bind(query.record->kind).Bind(query.record->key);
  std::uint64_t last = 0;
  for (std::size_t looked_at = 0;; ++looked_at) {
    const auto more = row.Step();
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
    if (page.revisions.size() == query.most || looked_at == kMostLookedAt) {
      page.next = last;
      break;
    }
    last = row.Unsigned(0);
    if (query.author.empty() || row.Text(4) == query.author) page.revisions.push_back(ReadRevision(row));
  }
  if (page.revisions.empty()) return page;
  const auto head = ReadHead(database);
  if (!head) return std::unexpected(head.error());
  const auto undone = Undone::Read(database, head->number, page.revisions.back().number);
  if (!undone) return std::unexpected(undone.error());
  for (Revision& revision : page.revisions) undone->Mark(revision);
  return page;
}

Result<ChangePage> ReadChanges(Database& database, std::uint64_t number, const RecordId& after, std::size_t most) {
  if (auto ok = CheckMost(most, kMostRecords); !ok) return std::unexpected(ok.error());
  const Reading reading(database);
  if (!reading.status()) return std::unexpected(reading.status().error());
  const auto revision = ReadStored(database, number);
  if (!revision) return std::unexpected(revision.error());
  Statement row = database.Prepare(
      IsCandidate(*revision) ? "SELECT revision, kind, key, " WEIR_BEFORE ", " WEIR_AFTER
                               " FROM proposals WHERE revision = ? AND (kind, key) > (?, ?) ORDER BY kind, key LIMIT ?"
                             : "SELECT revision, kind, key, " WEIR_BEFORE ", " WEIR_AFTER
                               " FROM changes WHERE revision = ? AND (kind, key) > (?, ?) ORDER BY kind, key LIMIT ?");
  row.Bind(number).Bind(after.kind).Bind(after.key).Bind(static_cast<std::int64_t>(most) + 1);
  return ChangesOf(row, most);
}

Result<ChangePage> ReadChangesAfter(Database& database, const ChangeCursor& after, std::size_t most) {
  if (auto ok = CheckMost(most, kMostRecords); !ok) return std::unexpected(ok.error());
  Statement row = database.Prepare("SELECT revision, kind, key, " WEIR_BEFORE ", " WEIR_AFTER
                                   " FROM changes WHERE (revision, kind, key) > (?, ?, ?) ORDER BY revision, kind, key "
                                   "LIMIT ?");
  row.Bind(after.revision).Bind(after.id.kind).Bind(after.id.key).Bind(static_cast<std::int64_t>(most) + 1);
  return ChangesOf(row, most);
}

Result<ChangePage> ReadDiff(Database& database, std::uint64_t from, std::uint64_t to, const RecordId& after,
                            std::size_t most) {
  if (auto ok = CheckMost(most, kMostRecords); !ok) return std::unexpected(ok.error());
  const Reading reading(database);
  if (!reading.status()) return std::unexpected(reading.status().error());
  for (const std::uint64_t number : {from, to}) {
    if (auto there = CheckInForce(database, number); !there) return std::unexpected(there.error());
  }
  // What was before the first change behind the older one, and after the last one up to the newer.
  Statement row = database.Prepare(
      "WITH touched AS (SELECT kind, key, MIN(revision) AS first, MAX(revision) AS last FROM changes "
      "WHERE revision > ?1 AND revision <= ?2 AND (kind, key) > (?3, ?4) GROUP BY +kind, +key) "
      "SELECT ?2, t.kind, t.key, a.before_value, a.before_expires, a.before_labels, a.before_note, b.after_value, "
      "b.after_expires, b.after_labels, b.after_note FROM touched AS t "
      "JOIN changes AS a ON a.revision = t.first AND a.kind = t.kind AND a.key = t.key "
      "JOIN changes AS b ON b.revision = t.last AND b.kind = t.kind AND b.key = t.key "
      "WHERE NOT (a.before_value IS b.after_value AND a.before_expires IS b.after_expires "
      "AND a.before_labels IS b.after_labels AND a.before_note IS b.after_note) "
      "ORDER BY t.kind, t.key LIMIT ?5");
  row.Bind(std::min(from, to)).Bind(std::max(from, to)).Bind(after.kind).Bind(after.key);
  row.Bind(static_cast<std::int64_t>(most) + 1);
  auto page = ChangesOf(row, most);
  if (!page) return page;
  for (RecordChange& change : page->changes) {
    change.revision = to;
    if (to < from) std::swap(change.before, change.after);
  }
  return page;
}

Result<std::vector<Annotation>> ReadAnnotations(Database& database, std::uint64_t number) {
  const Reading reading(database);
  if (!reading.status()) return std::unexpected(reading.status().error());
  if (const auto there = ReadStored(database, number); !there) return std::unexpected(there.error());
  std::vector<Annotation> annotations;
  Statement row = database.Prepare("SELECT time, author, text FROM annotations WHERE revision = ? ORDER BY position");
  row.Bind(number);
  while (true) {
    const auto more = row.Step();
    if (!more) return std::unexpected(more.error());
    if (!*more) return annotations;
    annotations.push_back(
        {.time = row.Integer(0), .author = std::string(row.Text(1)), .text = std::string(row.Text(2))});
  }
}

Result<std::optional<Nanos>> ReadNextExpiry(Database& database) {
  auto next = database.Number("SELECT MIN(expires) FROM records WHERE expires IS NOT NULL");
  if (!next) return std::unexpected(next.error());
  return *next;
}

}  // namespace weir::config::sqlite
