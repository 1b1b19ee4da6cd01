// Where configuration is kept that changes at run time: records, each of a kind and a key, and every accepted change of
// them as a revision. One interface for SQLite, PostgreSQL and etcd.
//
// A record is the smallest thing that is changed by itself: a user, an endpoint pattern, a tier, one section of
// settings. What the kinds mean is in record_kinds.h; the store takes any. Values are JSON, and the store never looks
// into them. So a change costs what it changes, however many records there are.
//
// Time is the wall clock that the store was given. A record whose `expires` has come is not there any more for any
// read, even before ApplyExpiry() makes that a revision.
//
// Thread-safe. Every call may wait for a disk or a network: call from workers, never from an event loop; Append also
// comes without waiting. Errors of all calls beside those named: kInvalidArgument (a bound below is exceeded, a text is
// not UTF-8, a value is not JSON; nothing has changed), kResourceExhausted (the disk is full, or too many changes
// wait), kUnavailable (the place cannot be read or written at the moment; whether a change was kept is unknown only
// where the message says so), kDataLoss (what is stored is damaged).
#pragma once

#include <absl/functional/function_ref.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/source/revision.h"
#include "weir/result.h"

namespace weir::config {

struct RecordId {
  std::string kind = {};  // 1 to 64 of a-z, 0-9 and _
  std::string key = {};   // 1 to 1024 bytes of UTF-8 without control characters
  friend auto operator<=>(const RecordId&, const RecordId&) = default;
};
// "users/acme", for messages; shortened, and safe to print.
std::string Describe(const RecordId& id);

struct RecordBody {
  std::string value = "{}";                        // JSON, at most 16 MiB
  std::optional<Nanos> expires = {};               // since the Unix epoch; > 0
  std::map<std::string, std::string> labels = {};  // at most 64; names of 1 to 64 bytes, values of at most 256
  std::string note = {};                           // at most 4096 bytes
  friend bool operator==(const RecordBody&, const RecordBody&) = default;
};

struct StoredRecord {
  RecordId id;
  RecordBody body;
  std::uint64_t version = 0;  // the number of the revision that made it so: what an ETag is made of
  Nanos changed = 0;          // when that was
  friend bool operator==(const StoredRecord&, const StoredRecord&) = default;
};

// What a record was and is. nullopt: it was, or is, not there.
struct RecordChange {
  std::uint64_t revision = 0;
  RecordId id;
  std::optional<RecordBody> before = {};
  std::optional<RecordBody> after = {};
  friend bool operator==(const RecordChange&, const RecordChange&) = default;
};

// What is to become of one record.
struct RecordWrite {
  RecordId id;
  std::optional<RecordBody> body = {};  // nullopt: to be removed; nothing happens when it is not there
  // If-Match: the version that it must have now; 0: it must not be there. nullopt: whatever it is.
  std::optional<std::uint64_t> if_version = {};
};

// Who, how, why, from where. Each at most 1024 bytes, reason 4096.
struct Origin {
  std::string author = {};  // must not be empty
  std::string method = {};
  std::string reason = {};
  std::string source = {};
};

inline constexpr std::size_t kMostWrites = 100'000;

struct Draft {
  Origin origin = {};
  std::vector<RecordWrite> writes = {};         // at most kMostWrites, each record once
  std::optional<std::uint64_t> if_parent = {};  // the latest revision in force must be this one
  // Only for the first of two: kAll: one that is refused refuses all. kEach: those that are refused (for their
  // if_version) are left out and told.
  enum class Scope : std::uint8_t { kAll, kEach } scope = Scope::kAll;
};

struct Appended {
  Revision revision;    // the new one; unless `changed`: the one in force
  bool changed = true;  // false: everything was so already, and there is no new revision
  struct Refusal {
    std::size_t index = 0;      // in Draft::writes
    std::uint64_t version = 0;  // that it has now; 0: it is not there
    Error error = {};
  };
  std::vector<Refusal> refused = {};  // only of Scope::kEach
};

struct RecordQuery {
  std::string kind = {};
  std::string prefix = {};                         // of keys
  std::map<std::string, std::string> labels = {};  // it has all of these
  std::optional<std::string> after = {};           // keys behind this one, in the order asked for
  bool descending = false;                         // by key, byte by byte
  std::size_t most = 100;                          // 1 to 10,000
};
struct RecordPage {
  std::vector<StoredRecord> records = {};
  // Set: there may be more behind this key. A page may have few records, or none, and still go on: each looks at a
  // bounded number.
  std::optional<std::string> next = {};
  std::uint64_t head = 0;  // the latest revision in force when it was read
};

struct RevisionQuery {
  std::uint64_t before = 0;             // numbers below this one; 0: all
  std::size_t most = 100;               // 1 to 1,000
  std::optional<RecordId> record = {};  // only those that changed this one
  std::string author = {};              // only by this one; empty: by whomever
};
struct RevisionPage {
  std::vector<Revision> revisions = {};  // the newest first
  std::uint64_t next = 0;                // `before` of the next page; 0: there is none
};

// A position in the changes, ordered by revision, kind and key. The first is {}.
struct ChangeCursor {
  std::uint64_t revision = 0;
  RecordId id = {};
  friend auto operator<=>(const ChangeCursor&, const ChangeCursor&) = default;
};
struct ChangePage {
  std::vector<RecordChange> changes = {};
  std::optional<ChangeCursor> next = {};  // set: there are more behind it
};

struct Annotation {
  Nanos time = 0;
  std::string author = {};
  std::string text = {};  // 1 to 4096 bytes
  friend bool operator==(const Annotation&, const Annotation&) = default;
};
inline constexpr std::size_t kMostAnnotations = 100;  // of one revision

class ConfigStore {
 public:
  virtual ~ConfigStore() = default;

  // ---- records ----
  virtual Result<StoredRecord> Get(const RecordId& id) = 0;  // kNotFound
  virtual Result<RecordPage> List(const RecordQuery& query) = 0;
  virtual Result<std::uint64_t> Count(std::string_view kind) = 0;
  // All records of these kinds (none: of every kind), ordered by kind and key, as they were at one moment; returns the
  // latest revision of that moment. Ends early, without an error, when `visit` returns false. Holds one record at a
  // time in memory. `visit` must not call the store.
  virtual Result<Revision> Scan(std::span<const std::string> kinds,
                                absl::FunctionRef<bool(const StoredRecord&)> visit) = 0;
  // As it was when `revision` was the latest; kNotFound: there was none, or there is no such revision.
  virtual Result<StoredRecord> GetAt(const RecordId& id, std::uint64_t revision) = 0;

  // ---- changes ----
  // kFailedPrecondition: if_parent or (kAll) an if_version does not hold; the message says what is there now. What was
  // acknowledged is durable. `done` is called once, on a thread of the store, which it must not hold up; it may be
  // called before this returns.
  using Done = std::function<void(Result<Appended>)>;
  virtual void Append(Draft draft, Done done) = 0;
  Result<Appended> Append(Draft draft);  // waits
  // Every record as it was when `revision` was the latest in force, as a new revision; what would be expired by now
  // stays away. However many records it is. kNotFound: no such revision, or it is a candidate.
  virtual Result<Appended> Rollback(std::uint64_t revision, Origin origin,
                                    std::optional<std::uint64_t> if_parent = {}) = 0;

  // ---- candidates: changes that do not hold yet ----
  // Kept as a revision of state kCandidate; scope must be kAll. Its if_versions are checked now; what has changed until
  // it is promoted is found then.
  virtual Result<Appended> Propose(Draft draft) = 0;
  // Between kCandidate, kShadow and kRollingOut in any direction, or to kRolledBack, which is the end.
  // kFailedPrecondition: it is in force or withdrawn; kNotFound.
  virtual Result<Revision> SetState(std::uint64_t candidate, RevisionState state) = 0;
  // Brings it into force, as a new revision. kFailedPrecondition: it is not a candidate (any more), or a record that it
  // changes has been changed since.
  virtual Result<Appended> Promote(std::uint64_t candidate, Origin origin) = 0;

  // ---- revisions ----
  virtual Result<Revision> Head() = 0;                             // the latest in force; number 0: there is none yet
  virtual Result<Revision> GetRevision(std::uint64_t number) = 0;  // kNotFound
  virtual Result<RevisionPage> ListRevisions(const RevisionQuery& query) = 0;
  // What revision `number` changed, or, of a candidate, would change. `most`: 1 to 10,000. kNotFound.
  virtual Result<ChangePage> Changes(std::uint64_t number, const RecordId& after, std::size_t most) = 0;
  // What all revisions in force changed, in their order, behind `after`: how to follow the store.
  virtual Result<ChangePage> ChangesAfter(const ChangeCursor& after, std::size_t most) = 0;
  // From what was when `from` was the latest to what was at `to` (which may be the older one), ordered by record; what
  // is the same at both is left out. RecordChange::revision is `to`. kNotFound.
  virtual Result<ChangePage> Diff(std::uint64_t from, std::uint64_t to, const RecordId& after, std::size_t most) = 0;
  // kResourceExhausted: it has kMostAnnotations; kNotFound.
  virtual Result<> Annotate(std::uint64_t number, std::string_view author, std::string_view text) = 0;
  virtual Result<std::vector<Annotation>> Annotations(std::uint64_t number) = 0;  // the oldest first

  // ---- time ----
  // When the next record expires; nullopt: none does.
  virtual Result<std::optional<Nanos>> NextExpiry() = 0;
  // Removes what has expired, as a revision of author "weir", at most 10,000 records in one; nullopt: nothing had. Call
  // again until it says so.
  virtual Result<std::optional<Revision>> ApplyExpiry() = 0;

  // ---- following ----
  // `changed` is called, on a thread of the store, soon after anything has changed (also by another process; in well
  // under a second), with the latest revision in force; several changes may be told as one. First called when something
  // changes after this returned: read what there is afterwards.
  using Listener = std::function<void(std::uint64_t head)>;
  virtual std::unique_ptr<Subscription> Subscribe(Listener changed) = 0;

  // A consistent copy of all of it as a new file of this user's alone; kAlreadyExists.
  virtual Result<> Backup(const std::string& path) = 0;
};

// Whether a store may take them: the bounds above. For stores.
Result<> CheckId(const RecordId& id);
Result<> CheckBody(const RecordId& id, const RecordBody& body);
Result<> CheckOrigin(const Origin& origin);
Result<> CheckDraft(const Draft& draft);
Result<> CheckAnnotation(std::string_view author, std::string_view text);

}  // namespace weir::config
