// Types with fields (records) and types with alternatives (variants): see types.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/document/types.h"

namespace weir::config {

// A named part of the document: a definition of the JSON Schema and a heading of the reference.
class Section {
 public:
  Section(std::string name, std::string doc) : name_(std::move(name)), doc_(std::move(doc)) {}
  virtual ~Section() = default;
  const std::string& name() const { return name_; }
  // Its table, without its heading.
  virtual void Describe(std::string& markdown) const = 0;
  virtual void AddParts(std::vector<const Section*>& sections) const = 0;

 protected:
  std::string name_;
  std::string doc_;
};

// While it lives, this thread writes presets as all that they stand for instead of by their names, so that a part of
// one can be patched.
class PresetsInFull {
 public:
  PresetsInFull() { ++depth_; }
  ~PresetsInFull() { --depth_; }
  PresetsInFull(const PresetsInFull&) = delete;
  PresetsInFull& operator=(const PresetsInFull&) = delete;
  static bool wanted() { return depth_ > 0; }

 private:
  static thread_local int depth_;
};

enum class Presence : std::uint8_t { kOptional, kRequired };

struct Alternative {
  std::string name;
  std::string doc;
  std::shared_ptr<const Type> type;
  bool bare = true;  // may be written as its name alone
  std::function<void*(void*)> emplace;
  std::function<const void*(const void*)> get;  // nullptr when another alternative is held
};

// Alternatives that exist in the vocabulary, but not in this version.
struct RefusedAlternative {
  std::string name;
  std::string message;
};

class VariantBase : public Section {
 public:
  using Section::Section;
  void Describe(std::string& markdown) const override;
  void AddParts(std::vector<const Section*>& sections) const override;

  // In either spelling; nullptr when there is none.
  const Alternative* Find(std::string_view name) const;
  const RefusedAlternative* FindRefused(std::string_view name) const;
  std::vector<std::string_view> Names() const;
  const std::vector<Alternative>& alternatives() const { return alternatives_; }
  // Both spellings of each, for a schema.
  void AddProperties(Node& properties, SchemaBuilder& builder) const;
  Node BareNames() const;
  // Whether one of the alternatives may hold a secret.
  bool AnySecret() const;
  Node WriteHeld(const void* variant, std::string& name) const;

 protected:
  void LoadVariant(const Node& node, void* variant, Reader& reader) const;
  void RefuseSeveral(const Node& node, Reader& reader) const;
  Node SaveVariant(const void* variant) const;
  Node SchemaOfVariant(SchemaBuilder& builder) const;

  std::vector<Alternative> alternatives_;
  std::vector<RefusedAlternative> refused_;
};

template <typename V>
class Variant final : public TypeOf<V>, public VariantBase {
 public:
  using VariantBase::VariantBase;
  template <typename A>
  Variant& With(std::string name, Ref<A> type, std::string doc, Presence fields = Presence::kOptional) {
    alternatives_.push_back({std::move(name), std::move(doc), std::move(type), fields == Presence::kOptional,
                             [](void* v) -> void* { return &static_cast<V*>(v)->template emplace<A>(); },
                             [](const void* v) -> const void* { return std::get_if<A>(static_cast<const V*>(v)); }});
    return *this;
  }
  Variant& Refusing(std::string name, std::string message) {
    refused_.push_back({std::move(name), std::move(message)});
    return *this;
  }
  Node Schema(SchemaBuilder& builder) const override { return SchemaOfVariant(builder); }
  std::string Words() const override { return "[" + name_ + "](#" + name_ + ")"; }
  void AddSections(std::vector<const Section*>& sections) const override { sections.push_back(this); }
  bool MayHoldSecret() const override { return AnySecret(); }

 protected:
  void Load(const Node& node, V& value, Reader& reader) const override { LoadVariant(node, &value, reader); }
  Node Save(const V& value) const override { return SaveVariant(&value); }
};

struct Field {
  std::string name;
  std::string doc;
  std::shared_ptr<const Type> type;
  std::function<void*(void*)> at;
  Presence presence = Presence::kOptional;
  std::string default_words;  // shown in the reference in place of the value
  const void* Get(const void* record) const { return at(const_cast<void*>(record)); }
};

class RecordBase : public Section {
 public:
  using Section::Section;
  void Describe(std::string& markdown) const override;
  void AddParts(std::vector<const Section*>& sections) const override;

 protected:
  void LoadRecord(const Node& node, void* record, Reader& reader) const;
  Node SaveRecord(const void* record) const;
  Node SchemaOfRecord(SchemaBuilder& builder) const;
  std::vector<std::string_view> NamesOfFields() const;
  bool AnySecret() const;

  virtual const void* Defaults() const = 0;
  // A name that stands for a whole value: "unlimited".
  virtual std::vector<std::string_view> PresetNames() const = 0;
  virtual bool LoadPreset(std::string_view name, void* record) const = 0;
  virtual std::string_view PresetOf(const void* record) const = 0;

  std::vector<Field> fields_;
  // A field that a bare text fills: -1 = none.
  int text_field_ = -1;
  // A variant whose alternatives are written among the record's fields.
  std::shared_ptr<const VariantBase> variant_;
  std::function<void*(void*)> variant_at_;

 private:
  bool LoadText(const Node& node, void* record, Reader& reader) const;
  void LoadAlternative(const Node& child, void* record, Reader& reader, std::string& chosen) const;
  std::string HintFor(std::string_view key) const;
  std::string ShownKey(std::string_view key, const Reader& reader) const;
  Node FieldSchema(const Field& field, SchemaBuilder& builder) const;
  void ForbidTwoAlternatives(Node& object) const;
};

template <typename S>
class Record final : public TypeOf<S>, public RecordBase {
 public:
  using RecordBase::RecordBase;
  template <typename M>
  Record& With(std::string name, M S::* member, std::type_identity_t<Ref<M>> type, std::string doc,
               std::string default_words = {}) {
    return Add(std::move(name), member, std::move(type), std::move(doc), Presence::kOptional, std::move(default_words));
  }
  template <typename M>
  Record& Requires(std::string name, M S::* member, std::type_identity_t<Ref<M>> type, std::string doc) {
    return Add(std::move(name), member, std::move(type), std::move(doc), Presence::kRequired, {});
  }
  // A field that the record does not hold: it is checked, and never written.
  template <typename M>
  Record& Accepts(std::string name, M value, std::type_identity_t<Ref<M>> type, std::string doc) {
    const auto scratch = [value](void*) -> void* {
      thread_local M held;
      held = value;
      return &held;
    };
    fields_.push_back({std::move(name), std::move(doc), std::move(type), scratch, Presence::kOptional, {}});
    return *this;
  }
  // Text alone fills the field that was added last.
  Record& OrAsText() {
    text_field_ = static_cast<int>(fields_.size()) - 1;
    return *this;
  }
  Record& Preset(std::string name, S value) {
    presets_.emplace_back(std::move(name), std::move(value));
    return *this;
  }
  template <typename V>
  Record& Flattening(V S::* member, std::shared_ptr<const Variant<V>> variant) {
    variant_ = std::move(variant);
    variant_at_ = [member](void* record) -> void* { return &(static_cast<S*>(record)->*member); };
    return *this;
  }

  Node Schema(SchemaBuilder& builder) const override { return SchemaOfRecord(builder); }
  std::string Words() const override { return "[" + name_ + "](#" + name_ + ")"; }
  void AddSections(std::vector<const Section*>& sections) const override { sections.push_back(this); }
  std::vector<std::string_view> FieldNames() const override { return NamesOfFields(); }
  bool MayHoldSecret() const override { return AnySecret(); }

 protected:
  void Load(const Node& node, S& value, Reader& reader) const override { LoadRecord(node, &value, reader); }
  Node Save(const S& value) const override { return SaveRecord(&value); }
  const void* Defaults() const override { return &defaults_; }
  std::vector<std::string_view> PresetNames() const override {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : presets_) names.push_back(name);
    return names;
  }
  bool LoadPreset(std::string_view name, void* record) const override {
    for (const auto& [preset, value] : presets_) {
      if (name != preset && name != PascalCase(preset)) continue;
      *static_cast<S*>(record) = value;
      return true;
    }
    return false;
  }
  std::string_view PresetOf(const void* record) const override {
    for (const auto& [name, value] : presets_) {
      if (*static_cast<const S*>(record) == value) return name;
    }
    return {};
  }

 private:
  template <typename M>
  Record& Add(std::string name, M S::* member, Ref<M> type, std::string doc, Presence presence, std::string words) {
    fields_.push_back({std::move(name), std::move(doc), std::move(type),
                       [member](void* record) -> void* { return &(static_cast<S*>(record)->*member); }, presence,
                       std::move(words)});
    return *this;
  }
  const S defaults_{};
  std::vector<std::pair<std::string, S>> presets_;
};

// A struct that is nothing but its one member.
template <typename S, typename M>
class Wrapped final : public TypeOf<S> {
 public:
  Wrapped(M S::* member, Ref<M> inner) : member_(member), inner_(std::move(inner)) {}
  Node Schema(SchemaBuilder& builder) const override { return inner_->Schema(builder); }
  std::string Words() const override { return inner_->Words(); }
  void AddSections(std::vector<const Section*>& sections) const override { inner_->AddSections(sections); }
  bool MayHoldSecret() const override { return inner_->MayHoldSecret(); }

 protected:
  void Load(const Node& node, S& value, Reader& reader) const override {
    inner_->Read(node, &(value.*member_), reader);
  }
  Node Save(const S& value) const override { return inner_->Write(&(value.*member_)); }

 private:
  M S::* member_;
  Ref<M> inner_;
};

}  // namespace weir::config
