// Snapshots of a memory store on disk, so that counts survive a restart.
//
// A snapshot is fuzzy: it is written while decisions go on, and each state in it is whole and as it was at some moment
// between the beginning and the end of the writing; two states need not be of the same moment. A state made meanwhile
// may be missing. Nothing waits for it: cells are read one by one, list states a few at a time under their shard's
// lock.
//
// The format (little endian, version 2: the keys of version 1 were hashed otherwise):
//   header   "weirSNAP", u32 version, u32 zero, i64 created at (ns since the epoch), u64 checksum
//   blocks   u32 type, u32 count, u32 bytes of payload, u32 zero, u64 checksum, payload
//     'W'    count of {u64 owner (fingerprint), i64 word}: buckets
//     'L'    count of {u64 key.hi, u64 key.lo, u32 kind, u32 words, i64 expires, words}: list states
//     'E'    the last: {u64 words, u64 lists}, counts over all blocks
// Checksums are XXH3 of what stands before them (and the payload), seeded with the place in the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "storage/memory/memory_store.h"
#include "weir/result.h"

namespace weir::storage::memory {

inline constexpr std::uint32_t kSnapshotVersion = 2;

// The system calls of writing, so that tests can make them fail. Each as in POSIX.
struct FileCalls {
  std::function<long(int fd, const void* data, std::size_t size)> write;
  std::function<int(int fd)> sync;
  std::function<int(const char* from, const char* to)> rename;
  static FileCalls System();
};

// Writes the live states to `path` + ".tmp", syncs, and renames it to `path`: a reader of `path` sees the old file or
// the new one, whole, also after a power failure. On an error (kUnavailable, with the system's reason) the temporary
// file is removed and `path` is untouched; only when syncing the directory fails, the very last step, it is the new one
// already. One at a time for a path.
Result<SnapshotReport> SaveSnapshot(MemoryStore& store, const std::string& path, Nanos now,
                                    const FileCalls& calls = FileCalls::System());

// Adds the states of the file to the store: all of them or, when anything in the file is wrong, none. Of a state that
// is there already the one that expires later stays, and of two that expire together the one in which more is used.
// States that have expired are left out; those for which there is no room are dropped and counted. Meant for before the
// store serves, but safe at any time. Needs at most 64 MiB besides the states. kNotFound: no such file. kDataLoss:
// damaged, truncated or no snapshot at all; says at which byte. kFailedPrecondition: written by a version that this one
// cannot read. kUnavailable: the system could not read it.
Result<SnapshotReport> LoadSnapshot(MemoryStore& store, const std::string& path, Nanos now);

// Where the bytes of a snapshot come from.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  // Fills `data` and returns `size`; less only at the end.
  virtual Result<std::size_t> Read(void* data, std::size_t size) = 0;
  virtual Result<> Rewind() = 0;
};
Result<SnapshotReport> LoadSnapshot(MemoryStore& store, SnapshotSource& source, Nanos now);

}  // namespace weir::storage::memory
