// state_dir/auth.db: SQLite (WAL, STRICT tables), for what must outlive the process: hashes of tokens and keys,
// accounts, sessions. Readable by this user alone. The stores above it answer from memory and write through.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "weir/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace weir::management {

// What is put in for a `?`. Texts are borrowed for the call; Blob marks bytes.
struct Blob {
  std::string_view bytes;
};
using Value = std::variant<std::int64_t, std::string_view, Blob>;

// The row that is being read. Texts stay until the next row.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
  std::int64_t Integer(int column) const;
  std::string_view Text(int column) const;  // also a blob

 private:
  sqlite3_stmt* statement_;
};

class Database {
 public:
  // Makes it when it is not there (its folder must be), and brings the schema up to date. kFailedPrecondition: another
  // process has it, a newer weir wrote it, or it is another program's. kDataLoss: it is damaged. kUnavailable: the
  // system refused.
  static Result<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // What `work` does with it while nobody else does.
  class Access {
   public:
    Result<> Run(std::string_view sql, const std::vector<Value>& values = {});
    // Calls `visit` for each row.
    Result<> Query(std::string_view sql, const std::vector<Value>& values,
                   const std::function<void(const Row&)>& visit);
    std::int64_t changes() const;  // rows that the last Run() touched

   private:
    friend class Database;
    explicit Access(Database& database) : database_(database) {}
    Database& database_;
  };

  // One transaction: everything that `work` wrote, durably, or nothing. A failure of `work` undoes it and is returned.
  // Any thread; one at a time. `work` must not call Write() or Read().
  Result<> Write(const std::function<Result<>(Access&)>& work);
  Result<> Read(const std::function<Result<>(Access&)>& work);

  // A random value that was made when it was first asked for: keys that must be the same after a restart.
  Result<std::string> SecretOf(std::string_view name, std::size_t bytes);

 private:
  Database(std::string path, FileDescriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  Result<> Prepare();
  Result<> Migrate();
  std::unexpected<Error> Failure(std::string_view doing) const;

  const std::string path_;
  const FileDescriptor lock_;  // held while this exists
  std::mutex mutex_;           // guards database_
  sqlite3* database_ = nullptr;
};

}  // namespace weir::management
