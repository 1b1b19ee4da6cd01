#include "config/source/sqlite/database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include "base/clock.h"

namespace weir::config::sqlite {
namespace {

bool IsFull(int system_error) { return system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG; }

// Why the last access failed; 0: unknown. SQLite forgets it for errors of a commit, the files remember.
int SystemErrorOf(sqlite3* handle) {
  if (const int error = sqlite3_system_errno(handle); error != 0) return error;
  int error = 0;
  sqlite3_file* journal = nullptr;
  sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&journal));
  if (journal != nullptr && journal->pMethods != nullptr) {
    journal->pMethods->xFileControl(journal, SQLITE_FCNTL_LAST_ERRNO, &error);
  }
  if (error == 0) sqlite3_file_control(handle, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
  return error;
}

}  // namespace

// ---- Statement ----

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Statement& Statement::Bind(std::string_view text) {
  if (error_ != SQLITE_OK) return *this;
  // An empty view may have no address, which would bind NULL.
  const char* const data = text.empty() ? "" : text.data();
  error_ = sqlite3_bind_text64(statement_, next_++, data, text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Statement& Statement::Bind(std::int64_t number) {
  if (error_ == SQLITE_OK) error_ = sqlite3_bind_int64(statement_, next_++, number);
  return *this;
}

Statement& Statement::BindNull() {
  if (error_ == SQLITE_OK) error_ = sqlite3_bind_null(statement_, next_++);
  return *this;
}

Result<bool> Statement::Step() {
  if (error_ == SQLITE_OK) {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    error_ = code;
  }
  return std::unexpected(database_->ErrorOf(error_));
}

Result<> Statement::Run() {
  auto row = Step();
  if (!row) return std::unexpected(row.error());
  return {};
}

bool Statement::IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::int64_t Statement::Integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::Text(int column) const {
  const unsigned char* const text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

// ---- Database ----

Database::Database(std::string path, std::uint32_t busy_ms) : path_(std::move(path)), busy_ms_(busy_ms) {}

Database::~Database() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

// Shorter steps than SQLite's own, which are up to 100 ms: the other process is done in a few.
int Database::OnBusy(void* self, int count) {
  auto& database = *static_cast<Database*>(self);
  const Nanos now = MonotonicClock().Now();
  if (count == 0) database.busy_until_ = now + database.busy_ms_ * kMillisecond;
  if (now >= database.busy_until_) return 0;
  std::this_thread::sleep_for(std::chrono::microseconds(std::min(5000, 200 * (count + 1))));
  return 1;
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path, Access access, std::uint32_t busy_ms) {
  std::unique_ptr<Database> database(new Database(path, busy_ms));
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= access == Access::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  const int code = sqlite3_open_v2(path.c_str(), &database->handle_, flags, nullptr);
  if (code != SQLITE_OK) return std::unexpected(database->ErrorOf(code));
  sqlite3* const handle = database->handle_;
  sqlite3_busy_handler(handle, OnBusy, database.get());
  // What is in the file runs nothing: it may have come from elsewhere.
  for (const auto& [option, value] : {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1},
                                      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                      {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                                      {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                                      {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                                      {SQLITE_DBCONFIG_DQS_DML, 0},
                                      {SQLITE_DBCONFIG_DQS_DDL, 0}}) {
    sqlite3_db_config(handle, option, value, nullptr);
  }
  return database;
}

Statement Database::Prepare(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement != nullptr && sqlite3_stmt_busy(statement) == 0) return {this, statement, SQLITE_OK};
  if (statement != nullptr) return {this, nullptr, SQLITE_MISUSE};  // it is still read from
  const int code = sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  return {this, statement, code};
}

Result<> Database::Execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(ErrorOf(code));
  return {};
}

Result<std::optional<std::int64_t>> Database::Number(const char* sql) {
  Statement statement = Prepare(sql);
  auto row = statement.Step();
  if (!row) return std::unexpected(row.error());
  if (!*row || statement.IsNull(0)) return std::nullopt;
  return statement.Integer(0);
}

bool Database::WaitedForOthers(int tries) {
  return (sqlite3_errcode(handle_) & 0xff) == SQLITE_BUSY && OnBusy(this, tries) != 0;
}

bool Database::InTransaction() const { return sqlite3_get_autocommit(handle_) == 0; }

Error Database::ErrorOf(int code) const {
  const auto error = [&](ErrorCode as, std::string_view what) { return Error{as, fmt::format("{}: {}", path_, what)}; };
  const bool of_file = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
  const int system_error = handle_ == nullptr || !of_file ? 0 : SystemErrorOf(handle_);
  const std::string reason = system_error == 0 ? sqlite3_errstr(code) : std::generic_category().message(system_error);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return error(ErrorCode::kResourceExhausted, "the disk is full");
    case SQLITE_IOERR:
      if (IsFull(system_error)) {
        return error(ErrorCode::kResourceExhausted, "the file cannot grow (" + reason + ")");
      }
      // The journal may have a change although it could not be made sure of.
      if (code == SQLITE_IOERR_FSYNC) {
        return error(ErrorCode::kUnavailable, "cannot be synced; whether the change was kept is not certain");
      }
      return error(ErrorCode::kUnavailable, "cannot be read or written (" + reason + ")");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return error(ErrorCode::kUnavailable,
                   fmt::format("another process has kept it locked for {} ms; retry later", busy_ms_));
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return error(ErrorCode::kUnavailable, "cannot be written (read-only)");
    case SQLITE_CANTOPEN:
      return error(ErrorCode::kUnavailable, "cannot be opened (" + reason + ")");
    case SQLITE_NOTADB:
      return error(ErrorCode::kInvalidArgument, "is not a database of weir");
    case SQLITE_CORRUPT:
      return error(ErrorCode::kDataLoss, "the database is damaged; restore a backup");
    case SQLITE_NOMEM:
      return error(ErrorCode::kResourceExhausted, "not enough memory");
    case SQLITE_TOOBIG:
      return error(ErrorCode::kInvalidArgument, "a value is too long");
    default:
      return error(ErrorCode::kInternal, handle_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle_));
  }
}

}  // namespace weir::config::sqlite
