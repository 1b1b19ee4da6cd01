#include "management/auth/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "management/auth/crypto.h"

namespace weir::management {
namespace {

constexpr std::int64_t kApplication = 0x77656972;  // "weir"

// Each brings the schema one version further; what is here is never changed again. Times are nanoseconds since the
// epoch, 0: never.
constexpr std::array<const char*, 2> kMigrations = {
    "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;"
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;"
    "CREATE TABLE tokens (id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, roles TEXT NOT NULL,"
    "  tenant TEXT NOT NULL, shown TEXT NOT NULL, created INTEGER NOT NULL, created_by TEXT NOT NULL,"
    "  expires INTEGER NOT NULL, last_used INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT;"
    "CREATE TABLE accounts (name TEXT PRIMARY KEY, password TEXT NOT NULL, roles TEXT NOT NULL, tenant TEXT NOT NULL,"
    "  created INTEGER NOT NULL, changed INTEGER NOT NULL, disabled INTEGER NOT NULL, last_login INTEGER NOT NULL) "
    "STRICT;"
    "CREATE TABLE sessions (id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, roles TEXT NOT NULL,"
    "  tenant TEXT NOT NULL, method TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL,"
    "  issuer_session TEXT NOT NULL, created INTEGER NOT NULL, seen INTEGER NOT NULL, expires INTEGER NOT NULL,"
    "  address TEXT NOT NULL) STRICT;"
    "CREATE TABLE key_secrets (id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, key_id TEXT NOT NULL,"
    "  shown TEXT NOT NULL, scopes TEXT NOT NULL, networks TEXT NOT NULL, created INTEGER NOT NULL,"
    "  created_by TEXT NOT NULL, expires INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT;"
    "CREATE INDEX key_secrets_by_key ON key_secrets (key_id);",
    "CREATE TABLE documents (kind TEXT NOT NULL, number INTEGER NOT NULL, value TEXT NOT NULL,"
    "  PRIMARY KEY (kind, number)) STRICT, WITHOUT ROWID;"};

std::unexpected<Error> Refused(const std::string& what, int error) {
  return Fail(ErrorCode::kUnavailable, what + ": " + std::strerror(error));
}

// Bytes are compared and stored as they are; nullptr would be NULL.
const char* Data(std::string_view text) { return text.data() == nullptr ? "" : text.data(); }

// A file of this user's alone, made when it is not there. A link is not followed.
Result<FileDescriptor> OpenPrivate(const std::string& path) {
  FileDescriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
  if (!file.is_open()) return Refused("cannot open '" + path + "'", errno);
  struct stat status{};
  if (fstat(file.get(), &status) != 0) return Refused("cannot look at '" + path + "'", errno);
  if (!S_ISREG(status.st_mode)) return Fail(ErrorCode::kInvalidArgument, "'" + path + "' is not a regular file");
  if ((status.st_mode & 0077) != 0 && fchmod(file.get(), 0600) != 0) {
    return Refused("cannot make '" + path + "' private", errno);
  }
  return file;
}

// Prepared, and finalised at the end.
class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql) {
    status_ = sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  bool Bind(const std::vector<Value>& values) {
    for (std::size_t i = 0; i < values.size() && status_ == SQLITE_OK; ++i) {
      const int at = static_cast<int>(i) + 1;
      if (const auto* number = std::get_if<std::int64_t>(&values[i])) {
        status_ = sqlite3_bind_int64(statement_, at, *number);
      } else if (const auto* text = std::get_if<std::string_view>(&values[i])) {
        status_ = sqlite3_bind_text64(statement_, at, Data(*text), text->size(), SQLITE_STATIC, SQLITE_UTF8);
      } else {
        const std::string_view bytes = std::get<Blob>(values[i]).bytes;
        status_ = sqlite3_bind_blob64(statement_, at, Data(bytes), bytes.size(), SQLITE_STATIC);
      }
    }
    return status_ == SQLITE_OK;
  }
  int Step() { return sqlite3_step(statement_); }
  sqlite3_stmt* get() const { return statement_; }
  bool ok() const { return status_ == SQLITE_OK; }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int status_ = SQLITE_OK;
};

}  // namespace

std::int64_t Row::Integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view Row::Text(int column) const {
  const void* const bytes = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string_view()
                          : std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  auto lock = OpenPrivate(path + ".lock");
  if (!lock) return std::unexpected(std::move(lock.error()));
  if (flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Refused("cannot lock '" + path + ".lock'", errno);
    return Fail(ErrorCode::kFailedPrecondition, "'" + path + "' is used by another process");
  }
  // Made here, and not by SQLite, which would make it readable by others; its other files take over the mode.
  if (const auto made = OpenPrivate(path); !made) return std::unexpected(made.error());
  std::unique_ptr<Database> database(new Database(path, std::move(*lock)));
  if (auto prepared = database->Prepare(); !prepared) return std::unexpected(std::move(prepared.error()));
  if (auto migrated = database->Migrate(); !migrated) return std::unexpected(std::move(migrated.error()));
  return database;
}

Database::~Database() { sqlite3_close_v2(database_); }

std::unexpected<Error> Database::Failure(std::string_view doing) const {
  const int code = sqlite3_errcode(database_);
  ErrorCode error = ErrorCode::kUnavailable;
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) error = ErrorCode::kDataLoss;
  if (code == SQLITE_CONSTRAINT) error = ErrorCode::kAlreadyExists;
  return Fail(error, "cannot " + std::string(doing) + " '" + path_ + "': " + sqlite3_errmsg(database_));
}

Result<> Database::Prepare() {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path_.c_str(), &database_, flags, nullptr) != SQLITE_OK) return Failure("open");
  sqlite3_busy_timeout(database_, 2'000);
  sqlite3_limit(database_, SQLITE_LIMIT_LENGTH, 1 << 20);
  sqlite3_db_config(database_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(database_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(database_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(database_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  Access access(*this);
  // FULL: a revocation that was acknowledged is not undone by a power failure.
  for (const char* pragma : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"}) {
    if (auto done = access.Run(pragma); !done) return done;
  }
  return {};
}

Result<> Database::Migrate() {
  return Write([&](Access& access) -> Result<> {
    std::int64_t version = 0;
    std::int64_t application = 0;
    std::int64_t tables = 0;
    const auto read = [&](const char* sql, std::int64_t* value) {
      return access.Query(sql, {}, [&](const Row& row) { *value = row.Integer(0); });
    };
    if (auto done = read("PRAGMA user_version", &version); !done) return done;
    if (auto done = read("PRAGMA application_id", &application); !done) return done;
    if (auto done = read("SELECT count(*) FROM sqlite_schema", &tables); !done) return done;
    if (application != kApplication && (application != 0 || tables != 0)) {
      return Fail(ErrorCode::kFailedPrecondition, "'" + path_ + "' is a database of another program");
    }
    if (version < 0 || version > static_cast<std::int64_t>(kMigrations.size())) {
      return Fail(ErrorCode::kFailedPrecondition,
                  "'" + path_ + "' was written by a newer weir (schema " + std::to_string(version) + ")");
    }
    for (auto i = static_cast<std::size_t>(version); i < kMigrations.size(); ++i) {
      if (sqlite3_exec(database_, kMigrations[i], nullptr, nullptr, nullptr) != SQLITE_OK) return Failure("migrate");
    }
    if (auto done = access.Run("PRAGMA application_id = " + std::to_string(kApplication)); !done) return done;
    return access.Run("PRAGMA user_version = " + std::to_string(kMigrations.size()));
  });
}

Result<> Database::Access::Run(std::string_view sql, const std::vector<Value>& values) {
  return Query(sql, values, [](const Row& /*row*/) {});
}

Result<> Database::Access::Query(std::string_view sql, const std::vector<Value>& values,
                                 const std::function<void(const Row&)>& visit) {
  Statement statement(database_.database_, sql);
  if (!statement.ok() || !statement.Bind(values)) return database_.Failure("prepare a statement for");
  const Row row(statement.get());
  int step = statement.Step();
  for (; step == SQLITE_ROW; step = statement.Step()) visit(row);
  if (step != SQLITE_DONE) return database_.Failure("use");
  return {};
}

std::int64_t Database::Access::changes() const { return sqlite3_changes64(database_.database_); }

Result<> Database::Write(const std::function<Result<>(Access&)>& work) {
  const std::lock_guard lock(mutex_);
  Access access(*this);
  if (auto begun = access.Run("BEGIN IMMEDIATE"); !begun) return begun;
  auto done = work(access);
  if (done) done = access.Run("COMMIT");
  // After some failures SQLite has rolled back already, and this one says so.
  if (!done && sqlite3_get_autocommit(database_) == 0) (void)access.Run("ROLLBACK");
  return done;
}

Result<> Database::Read(const std::function<Result<>(Access&)>& work) {
  const std::lock_guard lock(mutex_);
  Access access(*this);
  return work(access);
}

Result<std::string> Database::SecretOf(std::string_view name, std::size_t bytes) {
  std::string secret;
  const auto done = Write([&](Access& access) -> Result<> {
    auto read =
        access.Query("SELECT value FROM secrets WHERE name = ?", {name}, [&](const Row& row) { secret = row.Text(0); });
    if (!read || secret.size() == bytes) return read;
    secret = RandomBytes(bytes);
    return access.Run("INSERT OR REPLACE INTO secrets (name, value) VALUES (?, ?)", {name, Blob{secret}});
  });
  if (!done) return std::unexpected(done.error());
  return secret;
}

}  // namespace weir::management
