#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "algorithms/instant.h"
#include "base/file.h"
#include "storage/memory/snapshot_file.h"
#include "storage/memory/snapshot_format.h"

namespace weir::storage::memory {
namespace {

using snapshot::Block;
using snapshot::BlockType;

// List states copied under one hold of a shard's lock: so many, or so many words and one state.
constexpr std::size_t kListsAtOnce = 32;
constexpr std::size_t kWordsAtOnce = 1 << 16;

std::unexpected<Error> SystemError(std::string_view what, const std::string& path) {
  const int error = errno;
  return Fail(ErrorCode::kUnavailable,
              "cannot " + std::string(what) + " snapshot " + path + ": " + std::strerror(error));
}

// An open file, closed and (unless kept) removed at the end.
class TemporaryFile {
 public:
  TemporaryFile(std::string path, const FileCalls& calls) : path_(std::move(path)), calls_(calls) {}
  ~TemporaryFile() {
    if (file_.is_open() && !kept_) unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  Result<> Open() {
    // Subjects are hashed, but counts of a site are nobody else's business.
    auto created = CreateTemporaryFile(path_);
    if (!created) return Fail(ErrorCode::kUnavailable, "snapshot: " + created.error().message);
    file_ = std::move(*created);
    return {};
  }
  Result<> Write(const void* data, std::size_t size) {
    const char* at = static_cast<const char*>(data);
    while (size > 0) {
      const long written = calls_.write(file_.get(), at, size);
      if (written < 0 && errno == EINTR) continue;
      if (written == 0) errno = ENOSPC;
      if (written <= 0) return SystemError("write", path_);
      at += written;
      size -= static_cast<std::size_t>(written);
      bytes_ += static_cast<std::uint64_t>(written);
    }
    return {};
  }
  Result<> MoveTo(const std::string& path) {
    if (calls_.sync(file_.get()) != 0) return SystemError("sync", path_);
    if (calls_.rename(path_.c_str(), path.c_str()) != 0) return SystemError("rename", path_);
    kept_ = true;
    return SyncDirectoryOf(path);
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  // Without it the rename itself may be forgotten by a power failure.
  static Result<> SyncDirectoryOf(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return SystemError("sync the directory of", path);
    const int result = fsync(fd);
    // Some file systems cannot sync directories, and need not.
    const bool failed = result != 0 && errno != EINVAL;
    const std::unexpected<Error> error = SystemError("sync the directory of", path);
    close(fd);
    if (failed) return error;
    return {};
  }

  const std::string path_;
  const FileCalls& calls_;
  FileDescriptor file_;
  bool kept_ = false;
  std::uint64_t bytes_ = 0;
};

// Gathers states into blocks.
class Writer {
 public:
  explicit Writer(TemporaryFile& file) : file_(file) {}

  Result<> Begin(Nanos now) {
    snapshot::Header header{};
    std::memcpy(header.magic, snapshot::kMagic, sizeof(header.magic));
    header.version = kSnapshotVersion;
    header.created_at = now;
    header.checksum = snapshot::ChecksumOf(header);
    return file_.Write(&header, sizeof(header));
  }
  Result<> Add(const Cell& cell) {
    ++totals_.words;
    return AddRecord(BlockType::kWords, &cell, sizeof(cell), nullptr, 0);
  }
  Result<> Add(const ListState& state) {
    const snapshot::ListHeader header{state.key.hi, state.key.lo, static_cast<std::uint32_t>(state.kind),
                                      static_cast<std::uint32_t>(state.words.size()), state.expires};
    const std::size_t words = state.words.size() * sizeof(algorithms::Word);
    if (sizeof(header) + words > snapshot::kMostPayload) return {};  // no algorithm makes such a state
    ++totals_.lists;
    return AddRecord(BlockType::kLists, &header, sizeof(header), state.words.data(), words);
  }
  Result<> Finish() {
    if (Result<> flushed = Flush(); !flushed) return flushed;
    type_ = BlockType::kEnd;
    if (Result<> added = AddRecord(BlockType::kEnd, &totals_, sizeof(totals_), nullptr, 0); !added) return added;
    count_ = 0;
    return Flush();
  }
  const snapshot::End& totals() const { return totals_; }

 private:
  Result<> AddRecord(BlockType type, const void* head, std::size_t head_size, const void* tail, std::size_t tail_size) {
    const bool fits = payload_.size() + head_size + tail_size <= snapshot::kBlockPayload;
    if (!payload_.empty() && (type != type_ || !fits)) {
      if (Result<> flushed = Flush(); !flushed) return flushed;
    }
    type_ = type;
    ++count_;
    payload_.append(static_cast<const char*>(head), head_size);
    if (tail_size > 0) payload_.append(static_cast<const char*>(tail), tail_size);
    return {};
  }
  Result<> Flush() {
    if (payload_.empty()) return {};
    Block block{type_, count_, static_cast<std::uint32_t>(payload_.size()), 0, 0};
    block.checksum = snapshot::ChecksumOf(block, payload_.data(), file_.bytes());
    if (Result<> written = file_.Write(&block, sizeof(block)); !written) return written;
    if (Result<> written = file_.Write(payload_.data(), payload_.size()); !written) return written;
    payload_.clear();
    count_ = 0;
    return {};
  }

  TemporaryFile& file_;
  BlockType type_ = BlockType::kWords;
  std::uint32_t count_ = 0;
  std::string payload_;
  snapshot::End totals_{};
};

Result<> WriteWords(Writer& writer, const CellTable& cells, Nanos now) {
  for (std::uint64_t i = 0; i < cells.cells(); ++i) {
    const Cell cell = cells.Read(i, now);
    if (cell.owner == kNobody) continue;
    if (Result<> added = writer.Add(cell); !added) return added;
  }
  return {};
}

// From the last to the first: a state that is dropped meanwhile is replaced by the last one, which has been seen then.
// So none is missed; some may be written twice, and the later one stays when they are read.
Result<> WriteShard(Writer& writer, ListShard& shard, Nanos now) {
  std::vector<ListState> copies;
  std::size_t left = SIZE_MAX;
  while (left > 0) {
    copies.clear();
    {
      const std::lock_guard lock(shard.mutex());
      left = std::min(left, shard.size());
      std::size_t words = 0;
      for (std::size_t i = 0; i < kListsAtOnce && words < kWordsAtOnce && left > 0; ++i) {
        const ListState& state = shard.at(--left);
        if (state.expires <= now) continue;
        words += state.words.size();
        copies.push_back(state);
      }
    }
    for (const ListState& state : copies) {
      if (Result<> added = writer.Add(state); !added) return added;
    }
  }
  return {};
}

}  // namespace

FileCalls FileCalls::System() {
  return {.write = [](int fd, const void* data, std::size_t size) -> long { return ::write(fd, data, size); },
          .sync = [](int fd) { return ::fsync(fd); },
          .rename = [](const char* from, const char* to) { return std::rename(from, to); }};
}

Result<SnapshotReport> SaveSnapshot(MemoryStore& store, const std::string& path, Nanos now, const FileCalls& calls) {
  now = algorithms::ClampNow(now);
  TemporaryFile file(path + ".tmp", calls);
  Writer writer(file);
  if (Result<> opened = file.Open(); !opened) return std::unexpected(opened.error());
  if (Result<> begun = writer.Begin(now); !begun) return std::unexpected(begun.error());
  if (Result<> words = WriteWords(writer, store.cells(), now); !words) return std::unexpected(words.error());
  for (std::size_t i = 0; i < store.lists().shards(); ++i) {
    if (Result<> lists = WriteShard(writer, store.lists().ShardAt(i), now); !lists) {
      return std::unexpected(lists.error());
    }
  }
  if (Result<> finished = writer.Finish(); !finished) return std::unexpected(finished.error());
  if (Result<> moved = file.MoveTo(path); !moved) return std::unexpected(moved.error());
  SnapshotReport report;
  report.words = writer.totals().words;
  report.lists = writer.totals().lists;
  report.bytes = file.bytes();
  report.created_at = now;
  return report;
}

}  // namespace weir::storage::memory
