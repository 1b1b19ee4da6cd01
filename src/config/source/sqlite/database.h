// SQLite as results: connections and statements, with errors that say what to do. Nothing here throws.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "weir/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace weir::config::sqlite {

class Database;

// A statement that is running. Parameters are counted from 1 and bound in order; columns from 0. Texts of columns are
// borrowed until the next Step(). Reset when it is destroyed. The first error is kept: every later call does nothing,
// and Step() gives it.
class Statement {
 public:
  Statement(Database* database, sqlite3_stmt* statement, int error)
      : database_(database), statement_(statement), error_(error) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // The text must stay until the statement is destroyed.
  Statement& Bind(std::string_view text);
  Statement& Bind(std::int64_t number);
  Statement& Bind(std::uint64_t number) { return Bind(static_cast<std::int64_t>(number)); }
  Statement& Bind(const std::optional<std::int64_t>& number) { return number ? Bind(*number) : BindNull(); }
  Statement& BindNull();

  // Whether there is a row.
  Result<bool> Step();
  // For statements without rows.
  Result<> Run();

  bool IsNull(int column) const;
  std::int64_t Integer(int column) const;
  std::uint64_t Unsigned(int column) const { return static_cast<std::uint64_t>(Integer(column)); }
  std::string_view Text(int column) const;

 private:
  Database* database_;
  sqlite3_stmt* statement_;
  int next_ = 1;
  int error_;
};

// One connection. For one thread at a time.
class Database {
 public:
  enum class Access : std::uint8_t { kReadWrite, kReadOnly };
  // The file must be there; it may be empty. Waits for other processes up to `busy_ms`.
  static Result<std::unique_ptr<Database>> Open(const std::string& path, Access access, std::uint32_t busy_ms);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // `sql`: a literal, which is compiled once and found again by its address.
  Statement Prepare(const char* sql);
  // Any number of statements without rows or parameters.
  Result<> Execute(const std::string& sql);
  // Of a statement with one row of one column; nullopt: no row, or NULL.
  Result<std::optional<std::int64_t>> Number(const char* sql);
  // For statements during which SQLite does not wait for other processes itself: whether the last one failed because
  // of them, and it is worth trying again after the moment that has now passed. `tries`: how often it has been, from 0.
  bool WaitedForOthers(int tries);
  // Whether a transaction is open: SQLite ends one by itself after some errors.
  bool InTransaction() const;
  // What went wrong last.
  Error ErrorOf(int code) const;
  const std::string& path() const { return path_; }

 private:
  friend class Statement;
  Database(std::string path, std::uint32_t busy_ms);
  static int OnBusy(void* self, int count);

  std::string path_;
  std::uint32_t busy_ms_;
  std::int64_t busy_until_ = 0;
  sqlite3* handle_ = nullptr;
  std::map<const char*, sqlite3_stmt*> statements_;
};

// A read transaction: everything that is read while it lives is of one moment.
class Reading {
 public:
  explicit Reading(Database& database) : database_(database), status_(database.Execute("BEGIN")) {}
  ~Reading() {
    if (database_.InTransaction()) (void)database_.Execute("COMMIT");
  }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  const Result<>& status() const { return status_; }

 private:
  Database& database_;
  Result<> status_;
};

}  // namespace weir::config::sqlite
