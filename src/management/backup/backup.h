// The state directory as one file, and back: config.db, auth.db and the audit log with its key. Not the counts of a
// memory store, which a restart may lose.
//
// A daemon may go on meanwhile. The databases are copied first and the audit log last: a change is written down before
// it is made, so that a backup never holds a change without its record. A copied log is verified before it is packed.
//
// The file holds hashes of tokens, keys and passwords, and the key that signs the audit log: keep it as the directory
// itself. It is a tar; its manifest has the SHA-256 of each part.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "weir/result.h"

namespace weir::management {

struct BackupSummary {
  std::uint64_t bytes = 0;  // of all parts
  std::uint64_t parts = 0;
  std::uint64_t audit_records = 0;  // 0: there was no log
  std::string made = {};            // when, RFC 3339
  std::string version = {};         // of the weir that made it
};

// kNotFound: the directory has no state of weir's. kAlreadyExists: the file is there. kDataLoss: something in the
// directory is damaged. Beside the file there is a temporary directory, as large as the state.
Result<BackupSummary> MakeBackup(const std::string& state_directory, const std::string& file, std::string_view version,
                                 Nanos now);

// Into a directory that is not there or is empty; whole or not at all. kFailedPrecondition: it is not empty.
// kDataLoss: the file is damaged, not whole, or no backup; nothing was made.
Result<BackupSummary> RestoreBackup(const std::string& file, const std::string& state_directory);

}  // namespace weir::management
