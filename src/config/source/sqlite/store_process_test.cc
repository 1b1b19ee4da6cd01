// What other processes and a sudden end do to a store.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "config/source/sqlite/store_fixture.h"

namespace weir::config {
namespace {

// A file system in which the process is killed (SIGKILL) instead of the n-th write, sync or truncation.
namespace deadly {

std::atomic<long> left = -1;  // writes until the end; < 0: there is none

void Count() {
  const long now = left.load();
  if (now < 0) return;
  if (left.fetch_sub(1) == 0) ::kill(::getpid(), SIGKILL);
}

struct File {
  sqlite3_file base;
  sqlite3_file* real;
};
sqlite3_file* RealOf(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real; }
sqlite3_vfs* SystemVfs() {
  static sqlite3_vfs* const vfs = sqlite3_vfs_find("unix");
  return vfs;
}

int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
  // Half of it is there already.
  if (left.load() == 0) RealOf(file)->pMethods->xWrite(RealOf(file), data, size / 2, at);
  Count();
  return RealOf(file)->pMethods->xWrite(RealOf(file), data, size, at);
}
int Sync(sqlite3_file* file, int flags) {
  Count();
  return RealOf(file)->pMethods->xSync(RealOf(file), flags);
}
int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  Count();
  return RealOf(file)->pMethods->xTruncate(RealOf(file), size);
}

int Open(sqlite3_vfs* /*self*/, const char* name, sqlite3_file* file, int flags, int* out) {
  static const sqlite3_io_methods kMethods = [] {
    sqlite3_io_methods methods = {};
    methods.iVersion = 2;
    methods.xClose = [](sqlite3_file* f) {
      const int code = RealOf(f)->pMethods->xClose(RealOf(f));
      sqlite3_free(RealOf(f));
      return code;
    };
    methods.xRead = [](sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
      return RealOf(f)->pMethods->xRead(RealOf(f), to, size, at);
    };
    methods.xWrite = Write;
    methods.xTruncate = Truncate;
    methods.xSync = Sync;
    methods.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
      return RealOf(f)->pMethods->xFileSize(RealOf(f), size);
    };
    methods.xLock = [](sqlite3_file* f, int lock) { return RealOf(f)->pMethods->xLock(RealOf(f), lock); };
    methods.xUnlock = [](sqlite3_file* f, int lock) { return RealOf(f)->pMethods->xUnlock(RealOf(f), lock); };
    methods.xCheckReservedLock = [](sqlite3_file* f, int* held) {
      return RealOf(f)->pMethods->xCheckReservedLock(RealOf(f), held);
    };
    methods.xFileControl = [](sqlite3_file* f, int op, void* arg) {
      return RealOf(f)->pMethods->xFileControl(RealOf(f), op, arg);
    };
    methods.xSectorSize = [](sqlite3_file* f) { return RealOf(f)->pMethods->xSectorSize(RealOf(f)); };
    methods.xDeviceCharacteristics = [](sqlite3_file* f) {
      return RealOf(f)->pMethods->xDeviceCharacteristics(RealOf(f));
    };
    methods.xShmMap = [](sqlite3_file* f, int region, int size, int extend, void volatile** to) {
      return RealOf(f)->pMethods->xShmMap(RealOf(f), region, size, extend, to);
    };
    methods.xShmLock = [](sqlite3_file* f, int at, int count, int flags) {
      return RealOf(f)->pMethods->xShmLock(RealOf(f), at, count, flags);
    };
    methods.xShmBarrier = [](sqlite3_file* f) { RealOf(f)->pMethods->xShmBarrier(RealOf(f)); };
    methods.xShmUnmap = [](sqlite3_file* f, int remove) { return RealOf(f)->pMethods->xShmUnmap(RealOf(f), remove); };
    return methods;
  }();
  sqlite3_vfs* const system = SystemVfs();
  auto* const real = static_cast<sqlite3_file*>(sqlite3_malloc(system->szOsFile));
  std::memset(real, 0, static_cast<std::size_t>(system->szOsFile));
  const int code = system->xOpen(system, name, real, flags, out);
  file->pMethods = nullptr;
  if (code != SQLITE_OK) {
    sqlite3_free(real);
    return code;
  }
  reinterpret_cast<File*>(file)->real = real;
  file->pMethods = &kMethods;
  return SQLITE_OK;
}

// For every database that this process opens from now on.
void Install(long writes) {
  static sqlite3_vfs vfs = *SystemVfs();
  vfs.szOsFile = sizeof(File);
  vfs.zName = "deadly";
  vfs.xOpen = Open;
  sqlite3_vfs_register(&vfs, 1);
  left = writes;
}

}  // namespace deadly

struct Acknowledged {
  std::uint64_t revision = 0;
  std::uint64_t value = 0;
};

class StoreProcessTest : public StoreFixture {
 protected:
  static std::string KeyOf(std::uint64_t value) { return "user" + std::to_string(value % 13); }
  // Several records in a change, so that a half one would show.
  static Draft ChangeOf(std::uint64_t value) {
    const std::string text = std::to_string(value);
    return DraftOf({PutOf({"users", KeyOf(value)}, text), PutOf({"pairs", KeyOf(value)}, text),
                    PutOf({"last", "value"}, '"' + text + std::string(3000, 'x') + '"')});
  }

  // Writes for ever (or `most`) and tells each acknowledged change to the pipe.
  [[noreturn]] static void Child(const std::string& path, int pipe, std::uint64_t first, std::uint64_t most) {
    // A busy disk may take seconds to sync.
    auto store = OpenSqliteConfigStore({.path = path, .busy_ms = 120'000});
    if (!store) {
      // The file was being made when the one before was killed: that is a fault as well.
      std::fprintf(stderr, "%s\n", store.error().message.c_str());
      ::_exit(3);
    }
    for (std::uint64_t value = first; value < first + most; ++value) {
      const auto appended = (*store)->Append(ChangeOf(value));
      if (!appended) ::_exit(4);
      const Acknowledged told{.revision = appended->revision.number, .value = value};
      if (::write(pipe, &told, sizeof(told)) != sizeof(told)) ::_exit(5);
    }
    store->reset();
    ::_exit(0);
  }

  // Everything that was acknowledged is there, and nothing is there by half.
  void Check(const std::vector<Acknowledged>& acknowledged) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
    std::string integrity;
    sqlite3_exec(
        database, "PRAGMA integrity_check",
        [](void* to, int, char** row, char**) {
          *static_cast<std::string*>(to) += row[0];
          return 0;
        },
        &integrity, nullptr);
    sqlite3_close(database);
    ASSERT_EQ(integrity, "ok");
    for (const Acknowledged& one : acknowledged) {
      const auto then = store().GetAt({"users", KeyOf(one.value)}, one.revision);
      ASSERT_TRUE(then.has_value()) << then.error().message;
      ASSERT_EQ(then->body.value, std::to_string(one.value));
    }
    const std::uint64_t head = store().Head()->number;
    // At most the one that was under way.
    ASSERT_GE(head, acknowledged.size());
    std::map<RecordId, RecordBody> replayed;
    ChangeCursor cursor;
    std::uint64_t changes = 0;
    while (true) {
      const auto page = store().ChangesAfter(cursor, 1000);
      ASSERT_TRUE(page.has_value());
      for (const RecordChange& change : page->changes) {
        ++changes;
        replayed.insert_or_assign(change.id, *change.after);
        if (change.id.kind == "pairs") {
          ASSERT_EQ(change.after->value, store().GetAt({"users", change.id.key}, change.revision)->body.value);
        }
      }
      if (!page->next) break;
      cursor = *page->next;
    }
    ASSERT_EQ(changes, 3 * head);
    std::map<RecordId, RecordBody> found;
    (void)store().Scan({}, [&](const StoredRecord& record) {
      found.emplace(record.id, record.body);
      return true;
    });
    ASSERT_EQ(found, replayed);
  }

  // Ends when the child has ended; returns its status.
  static int ReadAll(pid_t child, int pipe, std::vector<Acknowledged>& to, const std::function<void()>& after_each) {
    Acknowledged one;
    while (::read(pipe, &one, sizeof(one)) == sizeof(one)) {
      to.push_back(one);
      after_each();
    }
    ::close(pipe);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }

  std::pair<pid_t, int> Start(const std::function<void(int pipe)>& child) {
    Close();
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(ends[0]);
      child(ends[1]);
      ::_exit(9);
    }
    ::close(ends[1]);
    return {pid, ends[0]};
  }
};

TEST_F(StoreProcessTest, AKillWhileTheFileIsMadeLeavesOneThatCanBeUsed) {
  bool whole = false;
  for (long writes = 0; !whole; ++writes) {
    ASSERT_LT(writes, 200);
    Close();
    for (const char* const suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path() + suffix);
    std::vector<Acknowledged> acknowledged;
    const auto [child, pipe] = Start([&](int to) {
      deadly::Install(writes);
      Child(path(), to, 0, 1);
    });
    const int status = ReadAll(child, pipe, acknowledged, [] {});
    whole = !WIFSIGNALED(status);
    Check(acknowledged);
    ASSERT_FALSE(HasFatalFailure()) << writes;
  }
}

// Up to where the child writes all that it wants to and closes the store, so that it is killed at each of its writes.
TEST_F(StoreProcessTest, AKillAtAnyWriteLosesNothingThatWasAcknowledged) {
  std::vector<Acknowledged> acknowledged;
  std::uint64_t first = 0;
  for (long writes = 0;; ++writes) {
    ASSERT_LT(writes, 500);
    const auto [child, pipe] = Start([&](int to) {
      deadly::Install(writes);
      Child(path(), to, first, 3);
    });
    const int status = ReadAll(child, pipe, acknowledged, [] {});
    first += 3;
    Check(acknowledged);
    ASSERT_FALSE(HasFatalFailure()) << writes;
    if (WIFSIGNALED(status)) continue;
    EXPECT_EQ(status, 0);
    EXPECT_GT(writes, 20);
    break;
  }
}

TEST_F(StoreProcessTest, AKillAtAnyTimeLosesNothingThatWasAcknowledged) {
  std::mt19937_64 random(5);
  std::vector<Acknowledged> acknowledged;
  std::uint64_t first = 0;
  for (int round = 0; round < 10; ++round) {
    const auto [child, pipe] = Start([&](int to) { Child(path(), to, first, UINT64_MAX / 2); });
    const std::size_t enough = acknowledged.size() + 1 + random() % 40;
    const int status = ReadAll(child, pipe, acknowledged, [&, pid = child] {
      if (acknowledged.size() >= enough) ::kill(pid, SIGKILL);
    });
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    first = acknowledged.back().value + 2;
    Check(acknowledged);
    ASSERT_FALSE(HasFatalFailure()) << round;
  }
}

// Each adds one to what is there, by If-Match: none is lost only if every one of them was checked against the others.
TEST_F(StoreProcessTest, TwoProcessesWriteAtOnce) {
  constexpr int kProcesses = 2;
  constexpr std::uint64_t kEach = 60;
  Append({PutOf({"counters", "n"}, "0")});
  std::vector<std::pair<pid_t, int>> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(Start([&](int /*pipe*/) {
      auto store = OpenSqliteConfigStore({.path = path(), .busy_ms = 60'000});
      if (!store) ::_exit(1);
      for (std::uint64_t done = 0; done < kEach;) {
        const auto record = (*store)->Get({"counters", "n"});
        if (!record) ::_exit(2);
        const std::string next = std::to_string(std::stoull(record->body.value) + 1);
        const auto appended = (*store)->Append(DraftOf({PutOf({"counters", "n"}, next, record->version)}));
        if (!appended && appended.error().code != ErrorCode::kFailedPrecondition) ::_exit(3);
        done += appended ? 1U : 0U;
      }
      store->reset();
      ::_exit(0);
    }));
  }
  for (const auto& [child, pipe] : children) {
    std::vector<Acknowledged> none;
    EXPECT_EQ(ReadAll(child, pipe, none, [] {}), 0);
  }
  EXPECT_EQ(store().Get({"counters", "n"})->body.value, std::to_string(kProcesses * kEach));
  EXPECT_EQ(store().Head()->number, kProcesses * kEach + 1);
}

TEST_F(StoreProcessTest, TwoProcessesMakeTheFileAtOnce) {
  for (int round = 0; round < 10; ++round) {
    Close();
    for (const char* const suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path() + suffix);
    std::vector<std::pair<pid_t, int>> children;
    for (int i = 0; i < 3; ++i) {
      children.push_back(Start([&, i](int pipe) { Child(path(), pipe, static_cast<std::uint64_t>(i) * 100, 1); }));
    }
    std::vector<Acknowledged> acknowledged;
    for (const auto& [child, pipe] : children) EXPECT_EQ(ReadAll(child, pipe, acknowledged, [] {}), 0);
    ASSERT_EQ(acknowledged.size(), 3U);
    Check(acknowledged);
    ASSERT_FALSE(HasFatalFailure());
  }
}

TEST_F(StoreProcessTest, AnotherProcessIsHeard) {
  (void)store();
  int go[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  Close();
  const auto [child, pipe] = Start([&](int to) {
    char byte = 0;
    if (::read(go[0], &byte, 1) != 1) ::_exit(1);
    Child(path(), to, 0, 3);
  });
  std::mutex mutex;
  std::condition_variable told;
  std::uint64_t head = 0;
  const auto subscription = store().Subscribe([&](std::uint64_t now) {
    const std::lock_guard lock(mutex);
    head = now;
    told.notify_all();
  });
  ASSERT_EQ(::write(go[1], "x", 1), 1);
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(told.wait_for(lock, std::chrono::seconds(60), [&] { return head == 3; }));
  }
  std::vector<Acknowledged> acknowledged;
  EXPECT_EQ(ReadAll(child, pipe, acknowledged, [] {}), 0);
  ::close(go[0]);
  ::close(go[1]);
}

}  // namespace
}  // namespace weir::config
