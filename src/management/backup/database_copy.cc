#include "management/backup/database_copy.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/file.h"

namespace weir::management {
namespace {

constexpr int kPatience = 10'000;  // ms
constexpr int kPause = 20;

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
using Handle = std::unique_ptr<sqlite3, CloseDatabase>;

std::unexpected<Error> Failure(const std::string& path, int code) {
  const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  return Fail(damaged ? ErrorCode::kDataLoss : ErrorCode::kUnavailable,
              "'" + path + "' cannot be copied: " + sqlite3_errstr(code));
}

Result<Handle> Open(const std::string& path) {
  if (auto checked = CheckRegularFile(path); !checked) return std::unexpected(checked.error());
  sqlite3* database = nullptr;
  // Not read-only: what a crash left in the journal is read, too.
  const int code = sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  Handle handle(database);
  if (code != SQLITE_OK) return Failure(path, code);
  sqlite3_busy_timeout(database, kPatience);
  return handle;
}

Result<> Copy(const std::string& from, const std::string& to) {
  const auto source = Open(from);
  if (!source) return std::unexpected(source.error());
  const auto target = Open(to);
  if (!target) return std::unexpected(target.error());
  sqlite3_backup* const backup = sqlite3_backup_init(target->get(), "main", source->get(), "main");
  if (backup == nullptr) return Failure(to, sqlite3_errcode(target->get()));
  int code = SQLITE_BUSY;
  // All pages in one step: one read transaction, so that changes meanwhile are not in it.
  for (int waited = 0; waited <= kPatience && (code == SQLITE_BUSY || code == SQLITE_LOCKED); waited += kPause) {
    code = sqlite3_backup_step(backup, -1);
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) sqlite3_sleep(kPause);
  }
  const int ended = sqlite3_backup_finish(backup);
  if (code != SQLITE_DONE) return Failure(from, code == SQLITE_OK ? ended : code);
  if (const int done = sqlite3_exec(target->get(), "PRAGMA journal_mode = DELETE", nullptr, nullptr, nullptr);
      done != SQLITE_OK) {
    return Failure(to, done);
  }
  return {};
}

}  // namespace

Result<> CopyDatabase(const std::string& from, const std::string& to) {
  const FileDescriptor made(open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made.is_open()) {
    return Fail(errno == EEXIST ? ErrorCode::kAlreadyExists : ErrorCode::kUnavailable,
                "'" + to + "' cannot be made: " + std::strerror(errno));
  }
  auto copied = Copy(from, to);
  if (!copied) unlink(to.c_str());
  return copied;
}

Result<> CheckDatabase(const std::string& path) {
  const auto database = Open(path);
  if (!database) return std::unexpected(database.error());
  std::string verdict;
  const int code = sqlite3_exec(
      database->get(), "PRAGMA quick_check(1)",
      [](void* to, int columns, char** values, char** /*names*/) {
        if (columns == 1 && values[0] != nullptr) *static_cast<std::string*>(to) = values[0];
        return 0;
      },
      &verdict, nullptr);
  if (code != SQLITE_OK) return Failure(path, code);
  if (verdict != "ok") return Fail(ErrorCode::kDataLoss, "'" + path + "' is damaged: " + verdict);
  return {};
}

}  // namespace weir::management
