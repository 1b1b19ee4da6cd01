#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "algorithms/instant.h"
#include "base/file.h"
#include "storage/memory/snapshot_file.h"
#include "storage/memory/snapshot_format.h"

namespace weir::storage::memory {
namespace {

using snapshot::Block;
using snapshot::BlockType;

std::unexpected<Error> Damaged(std::uint64_t place, std::string_view what) {
  return Fail(ErrorCode::kDataLoss,
              "the snapshot is damaged at byte " + std::to_string(place) + ": " + std::string(what));
}

class FileSource final : public SnapshotSource {
 public:
  explicit FileSource(FileDescriptor file) : file_(std::move(file)) {}

  Result<std::size_t> Read(void* data, std::size_t size) override {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t got = read(file_.get(), static_cast<char*>(data) + done, size - done);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0)
        return Fail(ErrorCode::kUnavailable, std::string("cannot read the snapshot: ") + std::strerror(errno));
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }
  Result<> Rewind() override {
    if (lseek(file_.get(), 0, SEEK_SET) == 0) return {};
    return Fail(ErrorCode::kUnavailable, std::string("cannot read the snapshot again: ") + std::strerror(errno));
  }

 private:
  const FileDescriptor file_;
};

// What is done with each state that was read.
class Sink {
 public:
  virtual void Take(const Cell& cell) = 0;
  virtual void Take(ListState state) = 0;

 protected:
  ~Sink() = default;
};

class NullSink final : public Sink {
 public:
  void Take(const Cell& /*cell*/) override {}
  void Take(ListState /*state*/) override {}
};

// Reads a file once from beginning to end, checking everything.
class Reader {
 public:
  Reader(SnapshotSource& source, Sink& sink) : source_(source), sink_(sink) {}

  Result<> Run() {
    if (Result<> header = ReadHeader(); !header) return header;
    while (!ended_) {
      if (Result<> block = ReadBlock(); !block) return block;
    }
    char more = 0;
    const Result<std::size_t> trailing = source_.Read(&more, 1);
    if (!trailing) return std::unexpected(trailing.error());
    if (*trailing != 0) return Damaged(place_, "there is something after the end");
    return {};
  }
  Nanos created_at() const { return created_at_; }
  std::uint64_t bytes() const { return place_; }

 private:
  Result<> ReadExactly(void* data, std::size_t size, std::string_view what) {
    const Result<std::size_t> got = source_.Read(data, size);
    if (!got) return std::unexpected(got.error());
    if (*got != size) return Damaged(place_ + *got, "the file ends in the middle of " + std::string(what));
    place_ += size;
    return {};
  }

  Result<> ReadHeader() {
    snapshot::Header header{};
    if (Result<> got = ReadExactly(&header, sizeof(header), "its header"); !got) return got;
    if (std::memcmp(header.magic, snapshot::kMagic, sizeof(header.magic)) != 0) {
      return Damaged(0, "it does not begin like a snapshot of weir");
    }
    // The version first: the checksum of another version may lie elsewhere.
    if (header.version != kSnapshotVersion) {
      return Fail(ErrorCode::kFailedPrecondition, "the snapshot has format version " + std::to_string(header.version) +
                                                      ", and this weir reads version " +
                                                      std::to_string(kSnapshotVersion));
    }
    if (header.zero != 0 || header.checksum != snapshot::ChecksumOf(header)) {
      return Damaged(0, "the checksum of the header does not match");
    }
    created_at_ = header.created_at;
    return {};
  }

  Result<> ReadBlock() {
    const std::uint64_t place = place_;
    Block block{};
    if (Result<> got = ReadExactly(&block, sizeof(block), "a block header"); !got) return got;
    if (block.payload_bytes > snapshot::kMostPayload) return Damaged(place, "a block of impossible size");
    payload_.resize(block.payload_bytes);
    if (Result<> got = ReadExactly(payload_.data(), payload_.size(), "a block"); !got) return got;
    if (block.zero != 0 || block.checksum != snapshot::ChecksumOf(block, payload_.data(), place)) {
      return Damaged(place, "the checksum of a block does not match");
    }
    switch (block.type) {
      case BlockType::kWords:
        return TakeWords(block, place + sizeof(block));
      case BlockType::kLists:
        return TakeLists(block, place + sizeof(block));
      case BlockType::kEnd:
        return TakeEnd(block, place + sizeof(block));
    }
    return Damaged(place, "a block of unknown type");
  }

  Result<> TakeWords(const Block& block, std::uint64_t place) {
    if (payload_.size() != std::uint64_t{block.count} * sizeof(Cell))
      return Damaged(place, "a block of another size than its states");
    for (std::size_t at = 0; at < payload_.size(); at += sizeof(Cell)) {
      Cell cell;
      std::memcpy(&cell, payload_.data() + at, sizeof(cell));
      if (cell.owner <= kDead || cell.word <= 0) return Damaged(place + at, "a state that cannot be");
      sink_.Take(cell);
    }
    totals_.words += block.count;
    return {};
  }

  Result<> TakeLists(const Block& block, std::uint64_t place) {
    std::size_t at = 0;
    for (std::uint32_t i = 0; i < block.count; ++i) {
      snapshot::ListHeader header{};
      if (payload_.size() - at < sizeof(header)) return Damaged(place + at, "a block of another size than its states");
      std::memcpy(&header, payload_.data() + at, sizeof(header));
      const std::uint64_t bytes = std::uint64_t{header.words} * sizeof(algorithms::Word);
      if (payload_.size() - at - sizeof(header) < bytes) return Damaged(place + at, "a state longer than its block");
      if (header.kind > static_cast<std::uint32_t>(Kind::kPenalty) ||
          ShapeOf(static_cast<Kind>(header.kind)) != Shape::kList) {
        return Damaged(place + at, "a state of unknown kind");
      }
      ListState state{.key = {header.key_hi, header.key_lo},
                      .kind = static_cast<Kind>(header.kind),
                      .expires = header.expires,
                      .words = {}};
      state.words.resize(header.words);
      if (bytes != 0) std::memcpy(state.words.data(), payload_.data() + at + sizeof(header), bytes);
      sink_.Take(std::move(state));
      at += sizeof(header) + bytes;
    }
    if (at != payload_.size()) return Damaged(place + at, "a block of another size than its states");
    totals_.lists += block.count;
    return {};
  }

  Result<> TakeEnd(const Block& block, std::uint64_t place) {
    snapshot::End end{};
    if (payload_.size() != sizeof(end) || block.count != 0) return Damaged(place, "an end of another size");
    std::memcpy(&end, payload_.data(), sizeof(end));
    if (end.words != totals_.words || end.lists != totals_.lists) return Damaged(place, "states are missing");
    ended_ = true;
    return {};
  }

  SnapshotSource& source_;
  Sink& sink_;
  std::uint64_t place_ = 0;
  bool ended_ = false;
  Nanos created_at_ = 0;
  snapshot::End totals_{};
  std::string payload_;
};

class StoreSink final : public Sink {
 public:
  StoreSink(MemoryStore& store, Nanos now, SnapshotReport& report) : store_(store), now_(now), report_(report) {}

  void Take(const Cell& cell) override {
    if (cell.word <= now_) {
      ++report_.expired;
      return;
    }
    CellTable& cells = store_.cells();
    while (true) {
      const CellTable::Found found = cells.Find(cell.owner);
      if (found.word >= cell.word) return Count(report_.words);
      if (found.cell != nullptr) {
        if (cells.Swap(found.cell, cell.owner, found.word, cell.word)) return Count(report_.words);
        continue;
      }
      // Never evicts: what is there already is worth as much.
      switch (cells.Insert(cell.owner, cell.word, now_, FullPolicy::kDenyNew)) {
        case CellTable::Inserted::kDone:
          return Count(report_.words);
        case CellTable::Inserted::kFull:
          return Count(report_.dropped);
        case CellTable::Inserted::kExists:
          break;
      }
    }
  }

  void Take(ListState state) override {
    if (state.expires <= now_) {
      ++report_.expired;
      return;
    }
    ListTable& lists = store_.lists();
    ListShard& shard = lists.ShardOf(state.key);
    const std::lock_guard lock(shard.mutex());
    ListState* present = shard.Find(state.key, state.kind);
    // A state that was written twice, as it moved, was charged in between.
    if (present != nullptr && !SaysMore(state, *present)) return Count(report_.lists);
    if (present != nullptr) shard.Erase(present, lists.budget());
    if (!lists.budget().HasRoomForState()) return Count(report_.dropped);
    shard.Insert(std::move(state), lists.budget());
    Count(report_.lists);
  }

 private:
  static void Count(std::uint64_t& counter) { ++counter; }

  MemoryStore& store_;
  const Nanos now_;
  SnapshotReport& report_;
};

}  // namespace

Result<SnapshotReport> LoadSnapshot(MemoryStore& store, SnapshotSource& source, Nanos now) {
  now = algorithms::ClampNow(now);
  NullSink nowhere;
  Reader check(source, nowhere);
  if (Result<> checked = check.Run(); !checked) return std::unexpected(checked.error());
  if (Result<> rewound = source.Rewind(); !rewound) return std::unexpected(rewound.error());
  SnapshotReport report;
  StoreSink sink(store, now, report);
  Reader load(source, sink);
  // Read and found good a moment ago; only a file that is being overwritten in place fails now.
  if (Result<> loaded = load.Run(); !loaded) return std::unexpected(loaded.error());
  report.created_at = load.created_at();
  report.bytes = load.bytes();
  return report;
}

Result<SnapshotReport> LoadSnapshot(MemoryStore& store, const std::string& path, Nanos now) {
  auto file = OpenRegularFile(path);
  if (!file) return Fail(file.error().code, "snapshot: " + file.error().message);
  FileSource source(std::move(*file));
  Result<SnapshotReport> report = LoadSnapshot(store, source, now);
  if (!report) report.error().message += " (" + path + "; nothing of it was loaded)";
  return report;
}

}  // namespace weir::storage::memory
