#include "config/source/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <utility>
#include <variant>

#include "config/document/document.h"
#include "config/document/migrate.h"
#include "config/document/reader.h"
#include "config/snapshot/key_name.h"

namespace weir::config {
namespace {

constexpr std::size_t kAtOnce = 4096;

Result<Node> ParseValue(const RecordId& id, std::string_view value) {
  ParsedTree tree = ParseJsonTree(value);
  if (tree.faults.empty()) return std::move(tree.root);
  return Fail(ErrorCode::kDataLoss, Describe(id) + ": the value is no JSON");
}

Error ToError(const std::vector<Fault>& faults) {
  Error error{.code = ErrorCode::kInvalidArgument, .message = {}};
  for (const Fault& fault : faults) {
    if (fault.severity == Severity::kWarning) continue;
    // Lines of a record say nothing: its value is one line.
    Fault shown = fault;
    shown.line = 0;
    if (!error.message.empty()) error.message += '\n';
    error.message += Describe(shown);
  }
  return error;
}

// What a document says of entities, as changes. (Generic: also for documents without API keys.)
template <typename Config>
void TakeEntities(Config& config, std::vector<EntityChange>& to) {
  for (auto& [name, limits] : config.tenants) to.push_back(EntityChange::Put(name, std::move(limits)));
  for (auto& [name, limits] : config.users) to.push_back(EntityChange::Put(name, std::move(limits)));
  if constexpr (requires { config.api_keys; }) {
    for (auto& [name, limits] : config.api_keys) to.push_back(EntityChange::Put(name, std::move(limits)));
  }
}

template <typename Kind>
Kind KindOfKeys() {
  if constexpr (requires { Kind::kApiKey; }) {
    return Kind::kApiKey;
  } else {
    return Kind::kUser;  // never asked for: such records are refused before
  }
}

EntityChange Removal(const RecordId& id) {
  using Kind = EntityChange::Kind;
  const Kind kind = id.kind == "tenants" ? Kind::kTenant : id.kind == "users" ? Kind::kUser : KindOfKeys<Kind>();
  return EntityChange::Remove(kind, id.key);
}

// `form`: that the values have. Tenants first: users inherit from them.
Result<> ReadTogether(std::vector<RecordValue> records, std::uint64_t form, std::vector<EntityChange>& to) {
  std::vector<Fault> faults;
  Node document = ToDocument(std::move(records), faults);
  EnterpriseRateLimitConfig config;
  if (form != kSchemaVersion) document.Add("schema_version", Node::Number(form));
  if (BringUpToDate(document, faults)) {
    std::ranges::move(ReadDocument(document, config), std::back_inserter(faults));
  }
  if (std::ranges::any_of(faults, [](const Fault& one) { return one.severity == Severity::kError; })) {
    return std::unexpected(ToError(faults));
  }
  TakeEntities(config, to);
  return {};
}

// Those that are wrong are told, and the others are read.
std::vector<EntityChange> ReadEntities(std::vector<RecordValue> records, std::uint64_t form,
                                       absl::FunctionRef<void(RecordFault)> fault) {
  std::vector<EntityChange> changes;
  if (ReadTogether(records, form, changes)) return changes;
  for (RecordValue& record : records) {
    RecordId id = record.id;
    std::vector<RecordValue> alone;
    alone.push_back(std::move(record));
    if (auto read = ReadTogether(std::move(alone), form, changes); !read) {
      fault({.id = std::move(id), .error = std::move(read.error())});
    }
  }
  return changes;
}

RecordId IdOf(const EntityChange& change) {
  using Kind = EntityChange::Kind;
  const std::string_view kind = change.kind == Kind::kTenant ? "tenants"
                                : change.kind == Kind::kUser ? "users"
                                                             : "api_keys";
  return {.kind = std::string(kind), .key = change.name};
}

const RecordWrite* Find(std::span<const RecordWrite> writes, const RecordId& id) {
  const auto found = std::ranges::find(writes, id, &RecordWrite::id);
  return found == writes.end() ? nullptr : &*found;
}

// As it would be after the writes; nullopt: not there.
Result<std::optional<Node>> ReadValue(ConfigStore& store, const RecordId& id, std::span<const RecordWrite> writes) {
  std::optional<std::string> value;
  if (const RecordWrite* const write = Find(writes, id); write != nullptr) {
    if (write->body) value = write->body->value;
  } else {
    auto record = store.Get(id);
    if (record) value = std::move(record->body.value);
    if (!record && record.error().code != ErrorCode::kNotFound) return std::unexpected(record.error());
  }
  if (!value) return std::nullopt;
  auto node = ParseValue(id, *value);
  if (!node) return std::unexpected(node.error());
  return std::move(*node);
}

}  // namespace

Result<std::uint64_t> Loader::Form() {
  const auto value = ReadValue(store_, {.kind = "settings", .key = "schema_version"}, {});
  if (!value) return std::unexpected(value.error());
  if (!*value) return 1;
  std::uint64_t form = 0;
  const std::string& text = (*value)->text;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), form);
  if (error != std::errc() || at != text.data() + text.size() || form == 0) {
    return Fail(ErrorCode::kDataLoss, "settings 'schema_version' is no number");
  }
  if (form <= kSchemaVersion) return form;
  return Fail(ErrorCode::kFailedPrecondition,
              fmt::format("the stored configuration has form {}, and this version of weir knows up to {}: update weir",
                          form, kSchemaVersion));
}

bool LoadedPolicy::ok() const {
  return std::ranges::none_of(faults, [](const Fault& fault) { return fault.severity == Severity::kError; });
}

Error LoadedPolicy::ToError() const { return config::ToError(faults); }

Result<LoadedPolicy> Loader::Policy(std::span<const RecordWrite> writes) {
  std::vector<std::string> kinds(PolicyKinds().begin(), PolicyKinds().end());
  kinds.emplace_back(kOverrides);
  std::map<RecordId, std::string> texts;
  auto head = store_.Scan(kinds, [&](const StoredRecord& record) {
    if (EffectOf(record.id) == Effect::kPolicy) texts.emplace(record.id, record.body.value);
    return true;
  });
  if (!head) return std::unexpected(head.error());
  for (const RecordWrite& write : writes) {
    if (EffectOf(write.id) != Effect::kPolicy) continue;
    if (write.body) {
      texts.insert_or_assign(write.id, write.body->value);
    } else {
      texts.erase(write.id);
    }
  }
  std::map<RecordId, Node> values;
  Overrides overrides;
  for (const auto& [id, text] : texts) {
    auto value = ParseValue(id, text);
    if (!value) return std::unexpected(value.error());
    if (id.kind == kOverrides) {
      overrides.emplace(*TargetOfOverride(id.key), std::move(*value));
    } else {
      values.emplace(id, std::move(*value));
    }
  }
  for (const auto& [id, patch] : overrides) {
    Node& value = values.try_emplace(id, Node::Map()).first->second;
    value = PatchValue(id, std::move(value), patch);
  }
  std::vector<RecordValue> records;
  records.reserve(values.size());
  for (auto& [id, value] : values) records.push_back({.id = id, .value = std::move(value)});
  LoadedPolicy loaded{.revision = std::move(*head), .policy = {}};
  Node document = ToDocument(std::move(records), loaded.faults);
  if (!BringUpToDate(document, loaded.faults)) return loaded;  // of a newer form
  ParsedConfig parsed = ReadAndValidate(document);
  loaded.policy = std::move(parsed.config);
  std::ranges::move(parsed.faults, std::back_inserter(loaded.faults));
  for (Fault& fault : loaded.faults) fault.line = fault.column = 0;
  return loaded;
}

Result<Loader::Overrides> Loader::ReadOverrides(std::vector<RecordFault>& faults) {
  Overrides overrides;
  const std::string kinds[] = {std::string(kOverrides)};
  const auto head = store_.Scan(kinds, [&](const StoredRecord& record) {
    if (EffectOf(record.id) != Effect::kEntity) return true;
    auto value = ParseValue(record.id, record.body.value);
    if (value) {
      overrides.emplace(*TargetOfOverride(record.id.key), std::move(*value));
    } else {
      faults.push_back({.id = record.id, .error = std::move(value.error())});
    }
    return true;
  });
  if (!head) return std::unexpected(head.error());
  return overrides;
}

Result<std::optional<Node>> Loader::ReadPatch(const RecordId& id, std::span<const RecordWrite> writes) {
  const RecordId override{.kind = std::string(kOverrides), .key = OverrideKey(id)};
  // No record can have such a key, so there is none; the longest names are those of nothing but their entity.
  if (!CheckId(override)) return std::nullopt;
  return ReadValue(store_, override, writes);
}

void Loader::SetDocument(std::shared_ptr<const EnterpriseRateLimitConfig> document) {
  document_ = std::move(document);
  document_keys_.clear();
  if (document_ == nullptr) return;
  for (const auto& [name, limits] : document_->api_keys) {
    if (auto digest = DigestOfKeyName(name)) document_keys_.emplace(std::move(*digest), &limits);
  }
}

// An empty mapping when the document has none.
Node Loader::DocumentEntity(const RecordId& id) const {
  if (document_ == nullptr) return Node::Map();
  EnterpriseRateLimitConfig alone;
  const auto take = [&](const auto& from, auto& to) {
    if (const auto found = from.find(id.key); found != from.end()) to.insert(*found);
  };
  if (id.kind == "users") take(document_->users, alone.users);
  if (id.kind == "tenants") take(document_->tenants, alone.tenants);
  if (id.kind == "api_keys") {
    // The file may write the key itself, and the store its digest.
    const auto digest = DigestOfKeyName(id.key);
    const auto found = digest ? document_keys_.find(*digest) : document_keys_.end();
    if (found != document_keys_.end()) alone.api_keys.emplace(id.key, *found->second);
  }
  const Node written = WriteDocument(alone);
  const Node* const section = written.Find(id.kind);
  const Node* const entity = section == nullptr ? nullptr : section->Find(id.key);
  return entity == nullptr ? Node::Map() : *entity;
}

Result<Revision> Loader::Entities(Apply apply, absl::FunctionRef<void(RecordFault)> fault) {
  auto head = store_.Head();
  if (!head) return head;
  const auto form = Form();
  if (!form) return std::unexpected(form.error());
  std::vector<RecordFault> faults;
  auto overrides = ReadOverrides(faults);
  if (!overrides) return std::unexpected(overrides.error());
  for (RecordFault& one : faults) fault(std::move(one));

  std::vector<RecordValue> records;
  // Tenants that are parts of others: only all of them together are a tree, whatever was in force before.
  std::vector<EntityChange> parts;
  Result<> applied;
  const auto put = [&](std::vector<EntityChange> changes) {
    if (!changes.empty()) applied = ApplyAsFarAsPossible(*head, changes, apply, fault);
    return applied.has_value();
  };
  const auto flush = [&] {
    std::vector<EntityChange> others;
    for (EntityChange& change : ReadEntities(std::exchange(records, {}), *form, fault)) {
      const auto* const tenant = std::get_if<TenantLimits>(&change.limits);
      (tenant != nullptr && tenant->parent ? parts : others).push_back(std::move(change));
    }
    return put(std::move(others));
  };
  // Of what the store has no record of.
  const auto take_overrides = [&](bool tenants) {
    for (const auto& [id, patch] : *overrides) {
      if ((id.kind == "tenants") != tenants) continue;
      records.push_back({.id = id, .value = PatchValue(id, DocumentEntity(id), patch)});
    }
  };
  // Before users, which inherit from tenants.
  bool tenants_are_read = false;
  const auto finish_tenants = [&] {
    if (std::exchange(tenants_are_read, true)) return true;
    take_overrides(true);
    return flush() && put(std::exchange(parts, {}));
  };
  const auto read = store_.Scan(EntityKinds(), [&](const StoredRecord& record) {
    if (record.id.kind > "tenants" && !finish_tenants()) return false;
    auto value = ParseValue(record.id, record.body.value);
    if (!value) {
      fault({.id = record.id, .error = std::move(value.error())});
      return true;
    }
    if (const auto patch = overrides->extract(record.id); !patch.empty()) {
      *value = PatchValue(record.id, std::move(*value), patch.mapped());
    }
    records.push_back({.id = record.id, .value = std::move(*value)});
    return records.size() < kAtOnce || flush();
  });
  if (!applied) return std::unexpected(applied.error());
  if (!read) return std::unexpected(read.error());
  if (!finish_tenants()) return std::unexpected(applied.error());
  take_overrides(false);
  if (!flush()) return std::unexpected(applied.error());
  return head;
}

Result<Update> Loader::After(const ChangeCursor& cursor) {
  auto page = store_.ChangesAfter(cursor, kAtOnce);
  if (!page) return std::unexpected(page.error());
  Update update{.revision = {}, .next = cursor, .more = page->next.has_value()};
  if (page->changes.empty()) return update;
  const auto form = Form();
  if (!form) return std::unexpected(form.error());
  const RecordChange& last = page->changes.back();
  update.next = {.revision = last.revision, .id = last.id};
  auto revision = store_.GetRevision(last.revision);
  if (!revision) return std::unexpected(revision.error());
  update.revision = std::move(*revision);

  // What became of each, the last change holding; of those that only an override touched it has to be asked.
  std::map<RecordId, std::optional<RecordWrite>> touched;
  for (RecordChange& change : page->changes) {
    const Effect effect = EffectOf(change.id);
    if (effect == Effect::kPolicy) {
      if (!update.policy) update.first_policy = change.revision;
      update.last_policy = change.revision;
      update.policy = true;
    }
    if (effect != Effect::kEntity) continue;
    if (change.id.kind == kOverrides) {
      touched.try_emplace(*TargetOfOverride(change.id.key));
    } else {
      touched.insert_or_assign(change.id, RecordWrite{.id = change.id, .body = std::move(change.after)});
    }
  }
  const auto any = store_.List({.kind = std::string(kOverrides), .most = 1});
  if (!any) return std::unexpected(any.error());
  const bool overrides = !any->records.empty() || any->next.has_value();
  std::vector<RecordValue> records;
  for (const auto& [id, write] : touched) {
    const std::span<const RecordWrite> known = write ? std::span(&*write, 1) : std::span<const RecordWrite>();
    auto value = ReadValue(store_, id, known);
    if (!value) return std::unexpected(value.error());
    if (overrides) {
      auto patch = ReadPatch(id, {});
      if (!patch) return std::unexpected(patch.error());
      if (*patch) *value = PatchValue(id, *value ? std::move(**value) : DocumentEntity(id), **patch);
    }
    if (*value) {
      records.push_back({.id = id, .value = std::move(**value)});
    } else {
      update.entities.push_back(Removal(id));
    }
  }
  std::ranges::move(
      ReadEntities(std::move(records), *form, [&](RecordFault fault) { update.faults.push_back(std::move(fault)); }),
      std::back_inserter(update.entities));
  return update;
}

Result<EntityChange> Loader::Entity(const RecordId& id, std::span<const RecordWrite> writes) {
  const auto form = Form();
  if (!form) return std::unexpected(form.error());
  auto value = ReadValue(store_, id, writes);
  if (!value) return std::unexpected(value.error());
  auto patch = ReadPatch(id, writes);
  if (!patch) return std::unexpected(patch.error());
  if (*patch) *value = PatchValue(id, *value ? std::move(**value) : DocumentEntity(id), **patch);
  if (!*value) return Removal(id);
  std::vector<RecordValue> alone;
  alone.push_back({.id = id, .value = std::move(**value)});
  std::vector<EntityChange> changes;
  if (auto read = ReadTogether(std::move(alone), *form, changes); !read) return std::unexpected(read.error());
  if (changes.empty()) return Fail(ErrorCode::kInvalidArgument, Describe(id) + ": is no entity");
  return std::move(changes.front());
}

namespace {

struct Refused {
  const EntityChange* change;
  Error error;
};

Result<> ApplyByHalves(const Revision& revision, std::span<const EntityChange> changes, Loader::Apply apply,
                       std::vector<Refused>& refused) {
  auto applied = apply(revision, changes);
  if (applied || applied.error().code != ErrorCode::kInvalidArgument) return applied;
  if (changes.size() == 1) {
    refused.push_back({.change = &changes.front(), .error = std::move(applied.error())});
    return {};
  }
  const std::size_t half = changes.size() / 2;
  if (auto first = ApplyByHalves(revision, changes.first(half), apply, refused); !first) return first;
  return ApplyByHalves(revision, changes.subspan(half), apply, refused);
}

}  // namespace

Result<> ApplyAsFarAsPossible(const Revision& revision, std::span<const EntityChange> changes, Loader::Apply apply,
                              absl::FunctionRef<void(RecordFault)> fault) {
  std::vector<Refused> refused;
  if (auto applied = ApplyByHalves(revision, changes, apply, refused); !applied) return applied;
  // One tenant may go below another only once a third was moved, which was in the other half.
  for (bool again = true; again;) {
    again = false;
    std::vector<Refused> before = std::exchange(refused, {});
    for (Refused& one : before) {
      if (one.change->kind == EntityChange::Kind::kTenant) {
        auto applied = apply(revision, {one.change, 1});
        again = again || applied.has_value();
        if (applied) continue;
        if (applied.error().code != ErrorCode::kInvalidArgument) return applied;
      }
      refused.push_back(std::move(one));
    }
  }
  for (Refused& one : refused) fault({.id = IdOf(*one.change), .error = std::move(one.error)});
  return {};
}

Result<std::vector<RecordWrite>> WritesToBecome(ConfigStore& store, const EnterpriseRateLimitConfig& config,
                                                Entities entities) {
  std::vector<std::string> kinds(PolicyKinds().begin(), PolicyKinds().end());
  if (entities == Entities::kReplace) kinds.insert(kinds.end(), EntityKinds().begin(), EntityKinds().end());
  std::map<RecordId, std::string> wanted;
  for (auto& [id, value] : ToRecords(config)) {
    if (std::ranges::find(kinds, id.kind) != kinds.end()) wanted.emplace(std::move(id), std::move(value));
  }
  std::vector<RecordWrite> writes;
  const auto head = store.Scan(kinds, [&](const StoredRecord& record) {
    const auto found = wanted.extract(record.id);
    if (!found.empty() && found.mapped() == record.body.value) return true;
    RecordWrite& write = writes.emplace_back(RecordWrite{.id = record.id, .if_version = record.version});
    if (!found.empty()) {
      write.body = record.body;
      write.body->value = std::move(found.mapped());
    }
    return true;
  });
  if (!head) return std::unexpected(head.error());
  for (auto& [id, value] : wanted) {
    writes.push_back({.id = id, .body = RecordBody{.value = std::move(value)}, .if_version = 0});
  }
  return writes;
}

}  // namespace weir::config
