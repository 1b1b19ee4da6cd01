// Keeps a memory store's snapshot file up to date: a thread that saves at an interval, and once more at the end.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/metric_sink.h"
#include "storage/memory/memory_store.h"
#include "storage/memory/snapshot_file.h"
#include "weir/result.h"

namespace weir::storage::memory {

// Loads `path` at start-up and logs the result. A file that is not there is a first start, no error. A damaged one
// is set aside as `path` + ".damaged" (so that the next save does not destroy the evidence) and the store stays as it
// is; the error says so. Never a reason not to start.
Result<SnapshotReport> RestoreSnapshot(MemoryStore& store, const std::string& path, Nanos now);

struct PersistenceOptions {
  std::string path;
  Nanos interval = kMinute;      // > 0, between the end of one save and the next; in real time
  const Clock* clock = nullptr;  // decides which states have expired; nullptr: the system's
  FileCalls calls = FileCalls::System();
};

struct PersistenceStats {
  std::uint64_t saves = 0;
  std::uint64_t failures = 0;
  Nanos last_saved_at = 0;  // by the clock; 0 = never
  std::string last_error;   // of the latest save; empty when it went well
};

// Thread-safe. A failed save is logged and counted, and tried again after the interval; the file stays as it was.
class Persistence {
 public:
  // `store` outlives it. kInvalidArgument: no path, or no interval, or nothing can be saved at the path as things are:
  // it is a folder, its folder is missing or may not be written to.
  static Result<std::unique_ptr<Persistence>> Start(MemoryStore& store, PersistenceOptions options);
  // As Stop().
  ~Persistence();

  // Saves on the calling thread; waits for a save that is under way.
  Result<SnapshotReport> SaveNow();
  // Ends the thread and saves for the last time. Only the first call does anything.
  Result<> Stop();
  PersistenceStats Stats() const;
  void Describe(MetricSink& sink) const;
  // Returns when at least `saves` saves have been tried. For tests.
  void WaitForSaves(std::uint64_t saves) const;

 private:
  Persistence(MemoryStore& store, PersistenceOptions options);
  void Run();

  MemoryStore& store_;
  const PersistenceOptions options_;
  std::mutex saving_;  // held during a save: one at a time

  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable changed_;
  bool stopping_ = false;
  PersistenceStats stats_;

  std::thread thread_;
};

}  // namespace weir::storage::memory
