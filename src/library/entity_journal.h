// What was said of entities (users, tenants, API keys) by Engine::ApplyEntities: kept beside a memory store's snapshot,
// so that they hold again after a restart and counts follow their rules (rule_history.h).
//
// The file (`snapshot path` + ".entities") begins with "weirENTITIES 1\n"; then a record for each change, in their
// order:
//
//   AT KIND DONE NAME_BYTES JSON_BYTES CHECKSUM\n    ns since the epoch; t, u or k; + put, - the document's own holds
//                                                    again, x gone; 16 hex digits, Hash64 of all that follows
//   NAME JSON\n                                      a key as "sha256:" and its digest; its limits, of a put
//
// A change appends a record, however many there are. When the file has grown to twice its size it is written anew with
// what can still be followed: of each entity the latest kMostPrevious + 1 records, and none of one that is gone. That
// takes a second for a million entities; decisions do not wait for it. Not synced to disk: after a power failure the
// last changes may be missing, as the last counts are.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "config/snapshot/snapshot.h"
#include "weir/result.h"

namespace weir::library {

struct EntityRecord {
  Nanos at = 0;
  bool gone = false;  // nothing that came before matters any more
  config::EntityChange change;
};

// What the text of a file says, as far as it can be read.
struct EntityRecords {
  std::vector<EntityRecord> records;
  std::size_t unreadable = 0;  // whole, but this version does not understand them
  bool damaged = false;        // what follows the records is none
};
EntityRecords ReadEntityRecords(std::string_view text);
std::string WriteEntityRecords(std::span<const EntityRecord> records);

// Not thread-safe.
class EntityJournal {
 public:
  static constexpr std::size_t kLeastGrowth = std::size_t{1} << 20;

  explicit EntityJournal(const std::string& path) : path_(path + ".entities") {}

  // What the file has, in its order. A file that cannot be used is logged; one that is damaged is set aside as `path` +
  // ".damaged", and what it has up to there is kept.
  std::vector<EntityRecord> Load();

  // `after`: what came of the changes. A failure is logged: the changes are in force, but not after a restart.
  void Append(std::span<const config::EntityChange> changes, const config::Snapshot& after, Nanos now);

  std::size_t bytes() const { return bytes_; }

 private:
  Result<> Rewrite(std::span<const EntityRecord> records);
  Result<> Write(std::string_view text);
  void Compact();

  const std::string path_;
  FileDescriptor file_;  // opened by the first change
  std::size_t bytes_ = 0;
  std::size_t compact_at_ = kLeastGrowth;
};

}  // namespace weir::library
