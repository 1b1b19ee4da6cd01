#include "config/source/sqlite/sqlite_config_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "base/log.h"
#include "config/source/sqlite/commit_queue.h"
#include "config/source/sqlite/database.h"
#include "config/source/sqlite/reader.h"
#include "config/source/sqlite/rows.h"
#include "config/source/sqlite/schema.h"
#include "config/source/sqlite/watcher.h"
#include "config/source/sqlite/writer.h"

namespace weir::config {
namespace {

using sqlite::CommitQueue;
using sqlite::Database;
using sqlite::Watcher;

constexpr std::size_t kMostReaders = 4;

std::string SystemReason() { return std::generic_category().message(errno); }

// A regular file that nobody else may read; made when it is missing. It is never opened here when it exists: to close a
// file drops every lock that this process has on it, those of SQLite too.
Result<> PrepareFile(const std::string& path) {
  const int created = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (created >= 0) {
    ::close(created);
    return {};
  }
  if (errno != EEXIST) {
    return Fail(ErrorCode::kUnavailable, fmt::format("{}: cannot be made ({})", path, SystemReason()));
  }
  struct stat found = {};
  if (::stat(path.c_str(), &found) != 0) {
    return Fail(ErrorCode::kUnavailable, fmt::format("{}: cannot be opened ({})", path, SystemReason()));
  }
  if (!S_ISREG(found.st_mode)) return Fail(ErrorCode::kInvalidArgument, path + ": is no regular file");
  if ((found.st_mode & (S_IRWXG | S_IRWXO)) == 0) return {};
  if (::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("{}: others may read it, and that cannot be changed ({})", path, SystemReason()));
  }
  log::Warn("others could read the configuration store; now only its owner can", {{"file", path}});
  return {};
}

// Read-only connections, made as they are needed and kept.
class Readers {
 public:
  Readers(std::string path, std::uint32_t busy_ms) : path_(std::move(path)), busy_ms_(busy_ms) {}

  template <typename Read>
  auto With(Read&& read) -> decltype(read(std::declval<Database&>())) {
    auto database = Take();
    if (!database) return std::unexpected(database.error());
    auto result = read(**database);
    GiveBack(std::move(*database));
    return result;
  }

 private:
  Result<std::unique_ptr<Database>> Take() {
    {
      std::unique_lock lock(mutex_);
      given_back_.wait(lock, [&] { return !idle_.empty() || taken_ < kMostReaders; });
      ++taken_;
      if (!idle_.empty()) {
        auto database = std::move(idle_.back());
        idle_.pop_back();
        return database;
      }
    }
    auto database = Database::Open(path_, Database::Access::kReadOnly, busy_ms_);
    if (!database) GiveBack(nullptr);
    return database;
  }
  void GiveBack(std::unique_ptr<Database> database) {
    {
      const std::lock_guard lock(mutex_);
      --taken_;
      if (database != nullptr) idle_.push_back(std::move(database));
    }
    given_back_.notify_one();
  }

  const std::string path_;
  const std::uint32_t busy_ms_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable given_back_;
  std::vector<std::unique_ptr<Database>> idle_;
  std::size_t taken_ = 0;
};

class SqliteConfigStore final : public ConfigStore {
 public:
  SqliteConfigStore(const SqliteConfigStoreOptions& options, std::unique_ptr<Database> database,
                    std::unique_ptr<Watcher> watcher)
      : clock_(options.clock != nullptr ? *options.clock : SystemClock()),
        path_(options.path),
        busy_ms_(options.busy_ms),
        readers_(options.path, options.busy_ms),
        watcher_(std::move(watcher)),
        queue_(std::move(database), options.most_waiting, [this] { watcher_->Wake(); }) {}

  // ---- records ----
  Result<StoredRecord> Get(const RecordId& id) override {
    if (auto ok = CheckId(id); !ok) return std::unexpected(ok.error());
    return readers_.With([&](Database& database) { return sqlite::ReadRecord(database, clock_.Wall(), id); });
  }
  Result<RecordPage> List(const RecordQuery& query) override {
    return readers_.With([&](Database& database) { return sqlite::ReadRecords(database, clock_.Wall(), query); });
  }
  Result<std::uint64_t> Count(std::string_view kind) override {
    return readers_.With([&](Database& database) { return sqlite::CountRecords(database, clock_.Wall(), kind); });
  }
  Result<Revision> Scan(std::span<const std::string> kinds,
                        absl::FunctionRef<bool(const StoredRecord&)> visit) override {
    return readers_.With(
        [&](Database& database) { return sqlite::ScanRecords(database, clock_.Wall(), kinds, visit); });
  }
  Result<StoredRecord> GetAt(const RecordId& id, std::uint64_t revision) override {
    if (auto ok = CheckId(id); !ok) return std::unexpected(ok.error());
    return readers_.With([&](Database& database) { return sqlite::ReadRecordAt(database, id, revision); });
  }

  // ---- changes ----
  using ConfigStore::Append;
  void Append(Draft draft, Done done) override {
    if (auto ok = CheckDraft(draft); !ok) return done(std::unexpected(ok.error()));
    struct Pending {
      Draft draft;
      Done done;
      Appended appended = {};
    };
    const auto pending = std::make_shared<Pending>(Pending{.draft = std::move(draft), .done = std::move(done)});
    queue_.Add(
        [this, pending](Database& database) -> Result<> {
          auto appended = sqlite::WriteDraft(database, clock_.Wall(), pending->draft);
          if (!appended) return std::unexpected(std::move(appended.error()));
          pending->appended = std::move(*appended);
          return {};
        },
        [pending](const Result<>& result) {
          if (result) {
            pending->done(std::move(pending->appended));
          } else {
            pending->done(std::unexpected(result.error()));
          }
        },
        1 + pending->draft.writes.size());
  }
  Result<Appended> Rollback(std::uint64_t revision, Origin origin, std::optional<std::uint64_t> if_parent) override {
    if (auto ok = CheckOrigin(origin); !ok) return std::unexpected(ok.error());
    return Write([&](Database& database) {
      return sqlite::WriteRollback(database, clock_.Wall(), revision, origin, if_parent);
    });
  }

  // ---- candidates ----
  Result<Appended> Propose(Draft draft) override {
    if (auto ok = CheckDraft(draft); !ok) return std::unexpected(ok.error());
    if (draft.scope != Draft::Scope::kAll) {
      return Fail(ErrorCode::kInvalidArgument, "a candidate is proposed whole");
    }
    return Write([&](Database& database) { return sqlite::WriteProposal(database, clock_.Wall(), draft); });
  }
  Result<Revision> SetState(std::uint64_t candidate, RevisionState state) override {
    return Write([&](Database& database) { return sqlite::WriteState(database, candidate, state); });
  }
  Result<Appended> Promote(std::uint64_t candidate, Origin origin) override {
    if (auto ok = CheckOrigin(origin); !ok) return std::unexpected(ok.error());
    return Write(
        [&](Database& database) { return sqlite::WritePromotion(database, clock_.Wall(), candidate, origin); });
  }

  // ---- revisions ----
  Result<Revision> Head() override {
    return readers_.With([](Database& database) { return sqlite::ReadHead(database); });
  }
  Result<Revision> GetRevision(std::uint64_t number) override {
    return readers_.With([&](Database& database) { return sqlite::ReadRevisionNow(database, number); });
  }
  Result<RevisionPage> ListRevisions(const RevisionQuery& query) override {
    return readers_.With([&](Database& database) { return sqlite::ReadRevisions(database, query); });
  }
  Result<ChangePage> Changes(std::uint64_t number, const RecordId& after, std::size_t most) override {
    return readers_.With([&](Database& database) { return sqlite::ReadChanges(database, number, after, most); });
  }
  Result<ChangePage> ChangesAfter(const ChangeCursor& after, std::size_t most) override {
    return readers_.With([&](Database& database) { return sqlite::ReadChangesAfter(database, after, most); });
  }
  Result<ChangePage> Diff(std::uint64_t from, std::uint64_t to, const RecordId& after, std::size_t most) override {
    return readers_.With([&](Database& database) { return sqlite::ReadDiff(database, from, to, after, most); });
  }
  Result<> Annotate(std::uint64_t number, std::string_view author, std::string_view text) override {
    if (auto ok = CheckAnnotation(author, text); !ok) return ok;
    return queue_.Do(
        [&](Database& database) { return sqlite::WriteAnnotation(database, clock_.Wall(), number, author, text); });
  }
  Result<std::vector<Annotation>> Annotations(std::uint64_t number) override {
    return readers_.With([&](Database& database) { return sqlite::ReadAnnotations(database, number); });
  }

  // ---- time ----
  Result<std::optional<Nanos>> NextExpiry() override {
    return readers_.With([](Database& database) { return sqlite::ReadNextExpiry(database); });
  }
  Result<std::optional<Revision>> ApplyExpiry() override {
    return Write([&](Database& database) { return sqlite::WriteExpiry(database, clock_.Wall()); });
  }

  // ---- following ----
  std::unique_ptr<Subscription> Subscribe(Listener changed) override { return watcher_->Subscribe(std::move(changed)); }

  Result<> Backup(const std::string& path) override {
    const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (made < 0) {
      return Fail(errno == EEXIST ? ErrorCode::kAlreadyExists : ErrorCode::kUnavailable,
                  fmt::format("{}: cannot be made ({})", path, SystemReason()));
    }
    ::close(made);
    auto database = Database::Open(path_, Database::Access::kReadWrite, busy_ms_);
    if (!database) return std::unexpected(database.error());
    auto done = (*database)->Prepare("VACUUM INTO ?").Bind(path).Run();
    if (!done) ::unlink(path.c_str());
    return done;
  }

 private:
  // `function` gives a Result; it runs on the queue's thread while this one waits.
  template <typename Function>
  auto Write(const Function& function) -> decltype(function(std::declval<Database&>())) {
    decltype(function(std::declval<Database&>())) outcome = Fail(ErrorCode::kInternal, "was not run");
    const Result<> written = queue_.Do([&](Database& database) -> Result<> {
      outcome = function(database);
      if (!outcome) return std::unexpected(outcome.error());
      return {};
    });
    if (!written) return std::unexpected(written.error());
    return outcome;
  }

  const Clock& clock_;
  const std::string path_;
  const std::uint32_t busy_ms_;
  Readers readers_;
  std::unique_ptr<Watcher> watcher_;
  CommitQueue queue_;  // last: its thread uses the others
};

Result<std::unique_ptr<Database>> OpenWriter(const SqliteConfigStoreOptions& options) {
  if (auto file = PrepareFile(options.path); !file) return std::unexpected(file.error());
  auto database = Database::Open(options.path, Database::Access::kReadWrite, options.busy_ms);
  if (!database) return database;
  if (auto done = sqlite::BringUpToDate(**database); !done) return std::unexpected(done.error());
  // FULL: a commit returns when it is on the disk. The journal is cut back after a large change.
  if (auto done = (*database)->Execute("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864; "
                                       "PRAGMA cache_size = -8192");
      !done) {
    return std::unexpected(done.error());
  }
  if (auto done = sqlite::PrepareWriter(**database); !done) return std::unexpected(done.error());
  return database;
}

}  // namespace

Result<std::unique_ptr<ConfigStore>> OpenSqliteConfigStore(const SqliteConfigStoreOptions& options) {
  auto writer = OpenWriter(options);
  if (!writer) return std::unexpected(writer.error());
  auto watched = Database::Open(options.path, Database::Access::kReadOnly, options.busy_ms);
  if (!watched) return std::unexpected(watched.error());
  auto watcher = Watcher::Start(std::move(*watched), options.poll_ms);
  if (!watcher) return std::unexpected(watcher.error());
  return std::make_unique<SqliteConfigStore>(options, std::move(*writer), std::move(*watcher));
}

}  // namespace weir::config
