// How records and revisions lie in rows. Column lists are here too, so that reader and writer agree.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "config/source/config_store.h"
#include "config/source/sqlite/database.h"

// NOLINTBEGIN(cppcoreguidelines-macro-usage): parts of literals that are put together when they are compiled
#define WEIR_BODY "value, expires, labels, note"
#define WEIR_BEFORE "before_value, before_expires, before_labels, before_note"
#define WEIR_AFTER "after_value, after_expires, after_labels, after_note"
#define WEIR_REVISION                                                                                 \
  "number, parent, state, time, author, method, reason, source, rollback_to, promotes, promoted_as, " \
  "change_count"
// NOLINTEND(cppcoreguidelines-macro-usage)

namespace weir::config::sqlite {

// The labels as a text: JSON, or empty when there are none.
std::string EncodeLabels(const std::map<std::string, std::string>& labels);

// A body to be bound as WEIR_BODY; the four of nullopt are NULL. Must stay until the statement is destroyed.
class BoundBody {
 public:
  explicit BoundBody(const std::optional<RecordBody>& body)
      : body_(body ? &*body : nullptr), labels_(body ? EncodeLabels(body->labels) : std::string()) {}
  void BindTo(Statement& statement) const;

 private:
  const RecordBody* body_;
  std::string labels_;
};

// From four columns. nullopt: the first is NULL.
Result<std::optional<RecordBody>> ReadBody(const Statement& row, int column);
// From WEIR_REVISION in the first columns. Its state as it is stored: whether it was rolled back is not.
Revision ReadRevision(const Statement& row);
inline bool IsCandidate(const Revision& revision) {
  return revision.promoted_as != 0 || revision.state != RevisionState::kInForce;
}

// The latest in force; number 0: there is none.
Result<Revision> ReadHead(Database& database);
// As stored. kNotFound.
Result<Revision> ReadStored(Database& database, std::uint64_t number);

}  // namespace weir::config::sqlite
