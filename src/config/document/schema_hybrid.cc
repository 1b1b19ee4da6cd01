#include <memory>
#include <string>
#include <utility>

#include "config/document/record.h"
#include "config/document/schema.h"

namespace weir::config {
namespace {

using Kind = decltype(StorageConfig::kind);

// One storage within another: what kind it is, and nothing else of it is written.
class Nested final : public TypeOf<NestedStorage> {
 public:
  explicit Nested(std::shared_ptr<const Variant<Kind>> kinds) : kinds_(std::move(kinds)) {}
  Node Schema(SchemaBuilder& builder) const override { return kinds_->Schema(builder); }
  std::string Words() const override { return kinds_->Words(); }
  void AddSections(std::vector<const Section*>& sections) const override { kinds_->AddSections(sections); }
  bool MayHoldSecret() const override { return kinds_->MayHoldSecret(); }
  // As where the alternatives are among the fields: what stands beside them by mistake is not told.
  bool IsSecret() const override { return kinds_->MayHoldSecret(); }

 protected:
  void Load(const Node& node, NestedStorage& value, Reader& reader) const override {
    kinds_->Read(node, &value->kind, reader);
  }
  Node Save(const NestedStorage& value) const override { return kinds_->Write(&value->kind); }

 private:
  std::shared_ptr<const Variant<Kind>> kinds_;
};

}  // namespace

Ref<HybridStorage> HybridType(Ref<MemoryStorage> memory, Ref<RedisStorage> redis, Ref<PostgresStorage> postgres) {
  auto primary = std::make_shared<Variant<Kind>>("hybrid_primary", "What decides in this process.");
  primary->With<MemoryStorage>("memory", std::move(memory), "In this process.")
      .Refusing("redis", "the primary of a hybrid storage is memory")
      .Refusing("postgres", "the primary of a hybrid storage is memory")
      .Refusing("hybrid", "the primary of a hybrid storage is memory");
  auto secondary = std::make_shared<Variant<Kind>>("hybrid_secondary", "What all instances share.");
  secondary->With<RedisStorage>("redis", std::move(redis), "In Redis.")
      .With<PostgresStorage>("postgres", std::move(postgres), "In PostgreSQL.")
      .Refusing("memory", "the secondary of a hybrid storage is shared: redis or postgres")
      .Refusing("hybrid", "a hybrid storage within a hybrid storage is not possible");
  auto record =
      std::make_shared<Record<HybridStorage>>("hybrid", "Memory before a store that several instances share.");
  record
      ->With("primary", &HybridStorage::primary,
             std::make_shared<Nested>(std::shared_ptr<const Variant<Kind>>(std::move(primary))),
             "Memory. `max_entries` bounds the subjects that are leased or, relaxed, counted.")
      .With("secondary", &HybridStorage::secondary,
            std::make_shared<Nested>(std::shared_ptr<const Variant<Kind>>(std::move(secondary))),
            "Redis or PostgreSQL.")
      .With("mode", &HybridStorage::mode,
            EnumOf<HybridMode>({{HybridMode::kStrict, "strict"}, {HybridMode::kRelaxed, "relaxed"}}),
            "`strict`: together the instances never admit more than the limit. `relaxed`: each decides by itself, and "
            "what they admit beyond it is paid back.")
      .With("sync_interval", &HybridStorage::sync_interval, Count32({1, 3'600}),
            "Seconds between two exchanges of a relaxed instance with the secondary. A strict one does not use it.");
  return record;
}

}  // namespace weir::config
