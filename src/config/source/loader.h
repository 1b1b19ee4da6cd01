// From a ConfigStore to the engine: the policy as one document, the entities as changes, and, after a change, what has
// to be done.
//
// How to start and to follow:
//   policy = loader.Policy();            Engine::Apply(policy.revision, policy.policy)
//   at = loader.Entities(apply)          Engine::ApplyEntities, some at a time
//   loop: update = loader.After(cursor); policy again if update.policy, then ApplyEntities(update.entities);
//         cursor = update.next, until !update.more; then wait for ConfigStore::Subscribe
// beginning with the cursor behind the older of the two revisions. What is applied twice is as if it were applied once.
//
// Where a file is the source of the policy, Policy() is not asked and Update::policy means nothing; the document's own
// entities are then what overrides lie upon where the store has none of that name.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/snapshot/snapshot.h"
#include "config/source/config_store.h"
#include "config/source/record_kinds.h"
#include "config/source/revision.h"
#include "weir/result.h"

namespace weir::config {

// A record that cannot be used, and why; the others are used without it.
struct RecordFault {
  RecordId id;
  Error error;
};

struct LoadedPolicy {
  Revision revision;                 // the latest when it was read
  EnterpriseRateLimitConfig policy;  // without users, tenants and api_keys; meaningful only without errors
  std::vector<Fault> faults = {};    // with the paths of a document
  bool ok() const;
  Error ToError() const;  // every error, a line each
};

struct Update {
  Revision revision;  // of the last change in it; number 0: there was none
  bool policy = false;
  std::uint64_t first_policy = 0, last_policy = 0;  // the revisions in it that change the policy
  std::vector<EntityChange> entities = {};
  std::vector<RecordFault> faults = {};
  ChangeCursor next = {};
  bool more = false;  // ask again at once
};

// Thread-safe if nobody calls SetDocument meanwhile.
class Loader {
 public:
  explicit Loader(ConfigStore& store) : store_(store) {}

  // The document of a file whose entities hold where the store has none; nullptr: there is none.
  void SetDocument(std::shared_ptr<const EnterpriseRateLimitConfig> document);

  // Records of a newer form (document/migrate.h) are refused by each of these; older ones are brought up to
  // date as they are read.

  // The policy of the store; with `writes`, as it would be after them: to validate a change before it is appended, or
  // to try a candidate. Read and validated; users and tenants are not looked at.
  Result<LoadedPolicy> Policy(std::span<const RecordWrite> writes = {});

  // All entities, some thousand at a time. When `apply` refuses some (kInvalidArgument), they are tried by halves and
  // those that are wrong alone are told to `fault`; any other error ends it and is returned.
  using Apply = absl::FunctionRef<Result<>(const Revision&, std::span<const EntityChange>)>;
  Result<Revision> Entities(Apply apply, absl::FunctionRef<void(RecordFault)> fault);

  // What came behind the cursor, at most a few thousand changes.
  Result<Update> After(const ChangeCursor& cursor);

  // The entity as it would be after `writes`, overrides included: to validate a change. Error: it cannot be read.
  Result<EntityChange> Entity(const RecordId& id, std::span<const RecordWrite> writes = {});

 private:
  // Values by which records are overridden.
  using Overrides = std::map<RecordId, Node>;
  // Of the stored values: settings `schema_version`. kFailedPrecondition: a newer weir's.
  Result<std::uint64_t> Form();
  Result<Overrides> ReadOverrides(std::vector<RecordFault>& faults);
  // nullopt: there is none.
  Result<std::optional<Node>> ReadPatch(const RecordId& id, std::span<const RecordWrite> writes);
  Node DocumentEntity(const RecordId& id) const;

  ConfigStore& store_;
  std::shared_ptr<const EnterpriseRateLimitConfig> document_;
  std::map<std::string, const ApiKeyLimits*> document_keys_;  // by digest
};

// Calls `apply` with all of them; when it refuses them (kInvalidArgument), with halves, until each that is wrong alone
// was told to `fault`. A tenant that is refused is tried once more when others have been moved. Another error is
// returned.
Result<> ApplyAsFarAsPossible(const Revision& revision, std::span<const EntityChange> changes, Loader::Apply apply,
                              absl::FunctionRef<void(RecordFault)> fault);

// What turns the policy of the store (with entities: all of it that is in a document) into this document: records that
// differ are put, those that it does not have are removed. Their labels, notes and expiry stay.
enum class Entities : std::uint8_t { kKeep, kReplace };
Result<std::vector<RecordWrite>> WritesToBecome(ConfigStore& store, const EnterpriseRateLimitConfig& config,
                                                Entities entities);

}  // namespace weir::config
