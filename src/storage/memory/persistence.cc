#include "storage/memory/persistence.h"

#include <chrono>
#include <cstdio>
#include <utility>

#include "base/file.h"
#include "base/log.h"

namespace weir::storage::memory {

Result<SnapshotReport> RestoreSnapshot(MemoryStore& store, const std::string& path, Nanos now) {
  Result<SnapshotReport> report = LoadSnapshot(store, path, now);
  if (report) {
    log::Info("snapshot loaded", {{"path", path},
                                  {"buckets", std::to_string(report->words)},
                                  {"lists", std::to_string(report->lists)},
                                  {"expired", std::to_string(report->expired)},
                                  {"dropped", std::to_string(report->dropped)}});
    return report;
  }
  if (report.error().code == ErrorCode::kNotFound) {
    log::Info("no snapshot to load", {{"path", path}});
    return SnapshotReport{};
  }
  if (report.error().code == ErrorCode::kDataLoss || report.error().code == ErrorCode::kFailedPrecondition) {
    const std::string aside = path + ".damaged";
    if (std::rename(path.c_str(), aside.c_str()) == 0) report.error().message += "; the file is kept as " + aside;
  }
  log::Error("snapshot refused", {{"path", path}, {"reason", report.error().message}});
  return report;
}

Result<std::unique_ptr<Persistence>> Persistence::Start(MemoryStore& store, PersistenceOptions options) {
  if (options.path.empty()) return Fail(ErrorCode::kInvalidArgument, "the snapshot path is empty");
  if (options.interval <= 0) return Fail(ErrorCode::kInvalidArgument, "the snapshot interval must be positive");
  if (auto checked = CheckReplaceableFile(options.path, options.path + ".tmp"); !checked) {
    return Fail(ErrorCode::kInvalidArgument, "persist_to_disk: " + checked.error().message);
  }
  if (options.clock == nullptr) options.clock = &SystemClock();
  std::unique_ptr<Persistence> persistence(new Persistence(store, std::move(options)));
  persistence->thread_ = std::thread([raw = persistence.get()] { raw->Run(); });
  return persistence;
}

Persistence::Persistence(MemoryStore& store, PersistenceOptions options)
    : store_(store), options_(std::move(options)) {}

Persistence::~Persistence() { (void)Stop(); }

void Persistence::Run() {
  std::unique_lock lock(mutex_);
  const std::chrono::nanoseconds interval(options_.interval);
  while (!changed_.wait_for(lock, interval, [&] { return stopping_; })) {
    lock.unlock();
    (void)SaveNow();
    lock.lock();
  }
}

Result<SnapshotReport> Persistence::SaveNow() {
  const std::lock_guard saving(saving_);
  Result<SnapshotReport> report = SaveSnapshot(store_, options_.path, options_.clock->Now(), options_.calls);
  if (!report) log::Error("snapshot not saved", {{"path", options_.path}, {"reason", report.error().message}});
  const std::lock_guard lock(mutex_);
  if (report) {
    ++stats_.saves;
    stats_.last_saved_at = report->created_at;
    stats_.last_error.clear();
  } else {
    ++stats_.failures;
    stats_.last_error = report.error().message;
  }
  changed_.notify_all();
  return report;
}

Result<> Persistence::Stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return {};
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
  const Result<SnapshotReport> last = SaveNow();
  if (!last) return std::unexpected(last.error());
  return {};
}

PersistenceStats Persistence::Stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void Persistence::Describe(MetricSink& sink) const {
  const PersistenceStats stats = Stats();
  constexpr std::string_view kSaves = "weir_snapshot_saves_total";
  constexpr std::string_view kHelp = "Snapshots of the memory store by their result.";
  sink.Counter(kSaves, kHelp, stats.saves, {{"result", "ok"}});
  sink.Counter(kSaves, kHelp, stats.failures, {{"result", "failed"}});
  sink.Gauge("weir_snapshot_saved_time_seconds",
             "When the latest snapshot was taken, seconds since the Unix epoch; 0: never.",
             static_cast<double>(stats.last_saved_at) / static_cast<double>(kSecond));
}

void Persistence::WaitForSaves(std::uint64_t saves) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stats_.saves + stats_.failures >= saves; });
}

}  // namespace weir::storage::memory
