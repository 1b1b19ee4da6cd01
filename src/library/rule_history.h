// What the rules were before, those of the document and those of entities that were applied by themselves: kept beside
// a memory store's snapshot, so that counts follow their rules over a restart as they do over a reload. Without it,
// what a subject had used under a rule that was changed since would lie in the snapshot under the rule's previous name,
// and its next request would start fresh.
//
// The file (`snapshot path` + ".rules") holds the documents themselves, the one in force last, each with when it came
// into force; at start they are compiled one after the other, exactly as they were while the process lived. So a
// document that is changed while weir is not running is followed too. Secrets and what has no part in counting (server,
// analytics, keys) are left out; of API keys only digests are there. Entities: entity_journal.h. Bounded: as many
// documents as a rule remembers changes (config::kMostPrevious), those whose states can still live, 64 MiB together.
//
//   weirRULES 1 CHECKSUM\n      16 hex digits, Hash64 of all that follows
//   SINCE LONGEST BYTES\n       a document: in force since, how long its longest state lives, both in ns; its length
//   {...}\n                     as JSON
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/snapshot/snapshot.h"
#include "library/entity_journal.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::library {

// Thread-safe.
class RuleHistory {
 public:
  // `path`: of the snapshot.
  explicit RuleHistory(const std::string& path) : path_(path + ".rules"), journal_(path) {}

  // Reads the file. One that is missing is a first start; one that cannot be used is logged, and set aside as
  // `path` + ".damaged" when it is damaged: rules then follow nothing, as without a history.
  void Load();

  // What the first snapshot of `config` follows (Snapshot::Compile); nullptr: nothing. When `config` is what was in
  // force last, that is what came before it, and `now` becomes when it came into force.
  // It has the entities that were applied, which so stay in force.
  std::shared_ptr<const config::Snapshot> Follow(const EnterpriseRateLimitConfig& config,
                                                 std::span<const std::string> extractors, Nanos& now);

  // Remembers what has come into force at `now`, and writes the file. A failure is logged: the counts of now are safe,
  // those of a subject that asks next after a restart may not be.
  // `snapshot`: what was made of it.
  void Add(const EnterpriseRateLimitConfig& config, const config::Snapshot& snapshot, Nanos now);
  // The same of entities: EngineOptions::entities_changed.
  void AddEntities(std::span<const config::EntityChange> changes, const config::Snapshot& after, Nanos now);

 private:
  struct Revision {
    std::string document;
    Nanos since = 0;
    Nanos longest = 0;
  };
  class Replay;
  Result<> Read();
  void Trim(Nanos now);
  std::string Text() const;

  const std::string path_;
  std::mutex mutex_;
  std::vector<Revision> revisions_;  // the one in force last
  EntityJournal journal_;
  std::vector<EntityRecord> entities_;  // between Load and Follow
};

}  // namespace weir::library
