// What the records of a ConfigStore mean: how a document is cut into records, and made of them again.
//
//   kind        key                part of the document
//   tiers       NAME               global.free_tier (free), pro_tier (pro), enterprise_tier (enterprise), global.tiers
//   quotas      TIER               global.quotas
//   penalties   default            global.penalties
//   endpoints   PATTERN            endpoints
//   ip_rules    NAME               ip_rules.rules; the value needs no `name`. Ordered as settings ip_rules `order` says
//                                  (a list of names), the others behind them by name
//   templates   NAME               templates
//   domains     NAME               domains
//   exemptions  any                exemptions: what all of these list, together
//   settings    SECTION            the section of that name; global.NAME: a part of `global`; ip_rules: without its
//   rules users, tenants, api_keys NAME  entities: what the engine takes one by one overrides   KIND/KEY           a
//   merge patch (RFC 7396) over the record KIND KEY while it lives: "raise acme to 5,000
//                                  until Friday" leaves what acme has otherwise as it is
//
// Any other kind is none of the engine's business. Values are in the document's own shape.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/document/node.h"
#include "config/source/config_store.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::config {

// kPolicy: the policy has to be compiled anew. kEntity: Engine::ApplyEntities will do. kNone: the engine needs nothing.
enum class Effect : std::uint8_t { kNone, kEntity, kPolicy };
// Of a change of this record.
Effect EffectOf(const RecordId& id);

// The record that an override is for; nullopt: the key is not KIND/KEY, or the kind cannot be overridden.
std::optional<RecordId> TargetOfOverride(std::string_view key);
std::string OverrideKey(const RecordId& target);

// The kind of overrides.
inline constexpr std::string_view kOverrides = "overrides";

// Every kind of effect kPolicy.
std::span<const std::string> PolicyKinds();
// users, tenants, api_keys.
std::span<const std::string> EntityKinds();

// A document as records, entities too; in the order of the document. Values are compact JSON of what differs from the
// defaults.
std::vector<std::pair<RecordId, std::string>> ToRecords(const EnterpriseRateLimitConfig& config);

// A record's part of the document, in memory.
struct RecordValue {
  RecordId id;
  Node value;
};
// The records' part of a document as a tree, for ReadDocument: paths of faults are those of a document. Overrides must
// have been applied; other kinds than those of policy and entities are passed over. `faults`: of records that have no
// place in a document.
Node ToDocument(std::vector<RecordValue> records, std::vector<Fault>& faults);

// A record's value changed as a merge patch says (RFC 7396). What the value writes by a name ("generous") is written
// out first, so that the rest of it stays. A value that is wrong is patched as it is.
Node PatchValue(const RecordId& id, Node value, const Node& patch);

}  // namespace weir::config
