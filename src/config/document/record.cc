#include "config/document/record.h"

#include <algorithm>
#include <set>

namespace weir::config {
namespace {

std::string Joined(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

Node Strings(const std::vector<std::string_view>& names) {
  Node list = Node::Sequence();
  for (const std::string_view name : names) list.Add(Node::String(name));
  return list;
}

std::string OneLine(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

Node Types(std::initializer_list<std::string_view> names) { return Strings(names); }

}  // namespace

// ---- variants -------------------------------------------------------------------------------------------------------

const Alternative* VariantBase::Find(std::string_view name) const {
  for (const Alternative& one : alternatives_) {
    if (name == one.name || name == PascalCase(one.name)) return &one;
  }
  return nullptr;
}

const RefusedAlternative* VariantBase::FindRefused(std::string_view name) const {
  for (const RefusedAlternative& one : refused_) {
    if (name == one.name || name == PascalCase(one.name)) return &one;
  }
  return nullptr;
}

std::vector<std::string_view> VariantBase::Names() const {
  std::vector<std::string_view> names;
  for (const Alternative& one : alternatives_) names.push_back(one.name);
  return names;
}

// A mapping of several keys where one alternative is expected.
void VariantBase::RefuseSeveral(const Node& node, Reader& reader) const {
  std::vector<const Node*> known;
  const Node* other = nullptr;
  for (const Node& child : node.children) {
    if (Find(child.key) != nullptr) {
      known.push_back(&child);
    } else {
      other = &child;
    }
  }
  if (known.size() > 1) {
    return reader.ErrorAtKey(
        *known[1],
        "two were given, " + Quoted(known[0]->key) + " and " + Quoted(known[1]->key) + ", and only one may be",
        "keep one of them");
  }
  if (known.size() == 1) {
    return reader.ErrorAtKey(*other, "unknown " + Quoted(other->key) + " beside " + Quoted(known[0]->key),
                             "its fields are written below it: {" + known[0]->key + ": {...}}");
  }
  reader.Error(node, "must name exactly one of " + Joined(Names()) + ", not " + Found(node));
}

void VariantBase::LoadVariant(const Node& node, void* variant, Reader& reader) const {
  const bool tagged = node.kind == Node::Kind::kMap && node.children.size() == 1;
  if (node.kind == Node::Kind::kMap && node.children.size() > 1) return RefuseSeveral(node, reader);
  if (!tagged && !node.IsText()) {
    const std::string found = AnySecret() ? KindOf(node) : Found(node);
    return reader.Error(node, "must name exactly one of " + Joined(Names()) + ", not " + found);
  }
  const std::string& name = tagged ? node.children.front().key : node.text;
  if (const RefusedAlternative* refused = FindRefused(name)) return reader.Error(node, refused->message);
  const Alternative* chosen = Find(name);
  if (chosen == nullptr) {
    if (reader.full()) return;
    const std::string hint = DidYouMean(name, Names());
    const bool hidden = hint.empty() && AnySecret();
    return reader.Error(node, "must be one of " + Joined(Names()) + (hidden ? "" : ", not " + Quoted(name)), hint);
  }
  void* value = chosen->emplace(variant);
  const Reader::Scope scope(reader, chosen->name);
  if (tagged) return chosen->type->Read(node.children.front(), value, reader);
  if (!chosen->bare) reader.Error(node, "needs its fields", "write it as a mapping, {" + chosen->name + ": {...}}");
}

bool VariantBase::AnySecret() const {
  return std::ranges::any_of(alternatives_, [](const Alternative& one) { return one.type->MayHoldSecret(); });
}

Node VariantBase::WriteHeld(const void* variant, std::string& name) const {
  for (const Alternative& one : alternatives_) {
    const void* value = one.get(variant);
    if (value == nullptr) continue;
    name = one.name;
    return one.type->Write(value);
  }
  return Node::Null();
}

Node VariantBase::SaveVariant(const void* variant) const {
  std::string name;
  Node value = WriteHeld(variant, name);
  if (value.kind == Node::Kind::kMap && value.children.empty() && Find(name)->bare) return Node::String(name);
  Node node = Node::Map();
  node.Add(name, std::move(value));
  return node;
}

void VariantBase::AddProperties(Node& properties, SchemaBuilder& builder) const {
  for (const Alternative& one : alternatives_) {
    Node schema = one.type->Schema(builder);
    if (!one.doc.empty()) schema.Add("description", Node::String(one.doc));
    properties.Add(one.name, schema);
    properties.Add(PascalCase(one.name), std::move(schema));
  }
}

Node VariantBase::BareNames() const {
  Node names = Node::Sequence();
  for (const Alternative& one : alternatives_) {
    if (!one.bare) continue;
    names.Add(Node::String(one.name));
    names.Add(Node::String(PascalCase(one.name)));
  }
  return names;
}

Node VariantBase::SchemaOfVariant(SchemaBuilder& builder) const {
  Node reference = Node::Map();
  reference.Add("$ref", Node::String("#/$defs/" + name_));
  if (!builder.begun.insert(name_).second) return reference;

  Node names = Node::Map();
  names.Add("enum", BareNames());
  Node properties = Node::Map();
  AddProperties(properties, builder);
  Node object = Node::Map();
  object.Add("type", Node::String("object"));
  object.Add("properties", std::move(properties));
  object.Add("additionalProperties", Node::Bool(false));
  object.Add("minProperties", Node::Number(1));
  object.Add("maxProperties", Node::Number(1));
  Node choices = Node::Sequence();
  choices.Add(std::move(names));
  choices.Add(std::move(object));
  Node schema = Node::Map();
  schema.Add("description", Node::String(doc_));
  schema.Add("anyOf", std::move(choices));
  builder.definitions.Add(name_, std::move(schema));
  return reference;
}

void VariantBase::Describe(std::string& markdown) const {
  markdown += doc_ + "\n\n| choice | fields | meaning |\n| --- | --- | --- |\n";
  for (const Alternative& one : alternatives_) {
    markdown += "| `" + one.name + "` | " + one.type->Words() + " | " + OneLine(one.doc) + " |\n";
  }
}

void VariantBase::AddParts(std::vector<const Section*>& sections) const {
  for (const Alternative& one : alternatives_) one.type->AddSections(sections);
}

// ---- records --------------------------------------------------------------------------------------------------------

std::vector<std::string_view> RecordBase::NamesOfFields() const {
  std::vector<std::string_view> names;
  if (variant_) names = variant_->Names();
  for (const Field& field : fields_) names.push_back(field.name);
  return names;
}

// A near miss among the fields, or a field of one of the fields: 'rule.max_requests'.
std::string RecordBase::HintFor(std::string_view key) const {
  std::string hint = DidYouMean(key, NamesOfFields());
  if (!hint.empty()) return hint;
  for (const Field& field : fields_) {
    for (const std::string_view inner : field.type->FieldNames()) {
      if (inner == key) return "it belongs under '" + field.name + "'";
    }
  }
  return "known are " + Joined(NamesOfFields());
}

bool RecordBase::AnySecret() const {
  return (variant_ && variant_->AnySecret()) ||
         std::ranges::any_of(fields_, [](const Field& field) { return field.type->MayHoldSecret(); });
}

// Among the fields of a secret, as in `{password hunter2}`, a key may be one: only what is near a field's name is
// shown.
std::string RecordBase::ShownKey(std::string_view key, const Reader& reader) const {
  // At the root nobody writes one: there a field's name that is quite wrong is more likely.
  const bool known = reader.at_root() || !AnySecret() || !Nearest(key, NamesOfFields()).empty() ||
                     std::ranges::find(fields_, key, &Field::name) != fields_.end();
  return known ? Quoted(key) : "(not shown: a secret may stand here)";
}

thread_local int PresetsInFull::depth_ = 0;

bool RecordBase::LoadText(const Node& node, void* record, Reader& reader) const {
  if (!node.IsText()) return false;
  if (text_field_ >= 0) {
    const Field& field = fields_[static_cast<std::size_t>(text_field_)];
    field.type->Read(node, field.at(record), reader);
    return true;
  }
  std::vector<std::string_view> names = PresetNames();
  if (variant_) {
    if (const RefusedAlternative* refused = variant_->FindRefused(node.text)) {
      reader.Error(node, refused->message);
      return true;
    }
    if (const Alternative* chosen = variant_->Find(node.text)) {
      chosen->emplace(variant_at_(record));
      return true;
    }
    const auto more = variant_->Names();
    names.insert(names.end(), more.begin(), more.end());
  }
  if (names.empty()) return false;
  if (LoadPreset(node.text, record) || reader.full()) return true;
  const std::string hint = DidYouMean(node.text, names);
  const bool hidden = hint.empty() && AnySecret();
  reader.Error(node, "must be a mapping, or one of " + Joined(names) + (hidden ? "" : ", not " + Quoted(node.text)),
               hint);
  return true;
}

void RecordBase::LoadAlternative(const Node& child, void* record, Reader& reader, std::string& chosen) const {
  const Alternative* alternative = variant_->Find(child.key);
  if (!chosen.empty()) {
    return reader.ErrorAtKey(
        child, "only one of " + Joined(variant_->Names()) + " may be written, and " + Quoted(chosen) + " was already");
  }
  chosen = alternative->name;
  const Reader::Scope scope(reader, alternative->name);
  alternative->type->Read(child, alternative->emplace(variant_at_(record)), reader);
}

void RecordBase::LoadRecord(const Node& node, void* record, Reader& reader) const {
  if (LoadText(node, record, reader)) return;
  if (node.kind != Node::Kind::kMap && node.kind != Node::Kind::kNull) {
    return reader.Error(node, "must be a mapping, not " + (AnySecret() ? KindOf(node) : Found(node)));
  }
  std::set<std::string_view> seen;
  std::string chosen;
  for (const Node& child : node.children) {
    if (!seen.insert(child.key).second) {
      reader.ErrorAtKey(child, "the field " + ShownKey(child.key, reader) + " is written twice");
      continue;
    }
    if (variant_) {
      if (const RefusedAlternative* refused = variant_->FindRefused(child.key)) {
        reader.ErrorAtKey(child, refused->message);
        continue;
      }
      if (variant_->Find(child.key) != nullptr) {
        LoadAlternative(child, record, reader, chosen);
        continue;
      }
    }
    const auto field = std::ranges::find(fields_, child.key, &Field::name);
    if (field == fields_.end()) {
      if (!reader.full()) reader.ErrorAtKey(child, "unknown field " + ShownKey(child.key, reader), HintFor(child.key));
      continue;
    }
    const Reader::Scope scope(reader, field->name);
    field->type->Read(child, field->at(record), reader);
  }
  for (const Field& field : fields_) {
    if (field.presence == Presence::kRequired && !seen.contains(field.name)) {
      reader.Error(node, "the field '" + field.name + "' is missing");
    }
  }
}

Node RecordBase::SaveRecord(const void* record) const {
  if (!PresetsInFull::wanted()) {
    if (const std::string_view preset = PresetOf(record); !preset.empty()) return Node::String(preset);
  }
  Node node = Node::Map();
  if (variant_) {
    std::string name;
    Node held = variant_->WriteHeld(variant_at_(const_cast<void*>(record)), name);
    const bool is_default = held.children.empty() && name == variant_->alternatives().front().name;
    if (!is_default) node.Add(name, std::move(held));
  }
  for (const Field& field : fields_) {
    const void* value = field.Get(record);
    const bool written = field.presence == Presence::kRequired || !field.type->Equal(value, field.Get(Defaults()));
    if (written) node.Add(field.name, field.type->Write(value));
  }
  if (text_field_ >= 0) {
    const Field& text = fields_[static_cast<std::size_t>(text_field_)];
    if (node.children.empty()) return text.type->Write(text.Get(record));
    if (node.children.size() == 1 && node.children.front().key == text.name) {
      Node alone = std::move(node.children.front());
      alone.key.clear();
      return alone;
    }
  }
  return node;
}

Node RecordBase::FieldSchema(const Field& field, SchemaBuilder& builder) const {
  Node schema = field.type->Schema(builder);
  schema.Add("description", Node::String(field.doc));
  Node value = field.type->Write(field.Get(Defaults()));
  const bool tells = value.kind != Node::Kind::kNull && (value.IsScalar() || !value.children.empty());
  if (tells && field.presence == Presence::kOptional) schema.Add("default", std::move(value));
  return schema;
}

// No two alternatives at once, in any spelling.
void RecordBase::ForbidTwoAlternatives(Node& object) const {
  std::vector<std::string> keys;
  for (const std::string_view name : variant_->Names()) {
    keys.emplace_back(name);
    keys.push_back(PascalCase(name));
  }
  Node rules = Node::Sequence();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t j = i + 1; j < keys.size(); ++j) {
      Node both = Node::Map();
      both.Add("type", Node::String("object"));  // anything else, as null, "has" all that is required
      both.Add("required", Strings({keys[i], keys[j]}));
      Node rule = Node::Map();
      rule.Add("not", std::move(both));
      rules.Add(std::move(rule));
    }
  }
  object.Add("allOf", std::move(rules));
}

Node RecordBase::SchemaOfRecord(SchemaBuilder& builder) const {
  Node reference = Node::Map();
  reference.Add("$ref", Node::String("#/$defs/" + name_));
  if (!builder.begun.insert(name_).second) return reference;

  std::vector<std::string_view> required;
  Node properties = Node::Map();
  if (variant_) variant_->AddProperties(properties, builder);
  for (const Field& field : fields_) {
    properties.Add(field.name, FieldSchema(field, builder));
    if (field.presence == Presence::kRequired) required.push_back(field.name);
  }
  Node object = Node::Map();
  object.Add("type", required.empty() ? Types({"object", "null"}) : Node::String("object"));
  object.Add("properties", std::move(properties));
  object.Add("additionalProperties", Node::Bool(false));
  if (!required.empty()) object.Add("required", Strings(required));
  if (variant_) ForbidTwoAlternatives(object);

  Node text = Node::Map();
  if (text_field_ >= 0) text = fields_[static_cast<std::size_t>(text_field_)].type->Schema(builder);
  Node names = variant_ ? variant_->BareNames() : Node::Sequence();
  for (const std::string_view preset : PresetNames()) {
    names.Add(Node::String(preset));
    if (PascalCase(preset) != preset) names.Add(Node::String(PascalCase(preset)));
  }
  if (!names.children.empty()) text.Add("enum", std::move(names));

  Node schema = Node::Map();
  schema.Add("description", Node::String(doc_));
  if (text.children.empty()) {
    for (Node& part : object.children) schema.children.push_back(std::move(part));
  } else {
    Node choices = Node::Sequence();
    choices.Add(std::move(text));
    choices.Add(std::move(object));
    schema.Add("anyOf", std::move(choices));
  }
  builder.definitions.Add(name_, std::move(schema));
  return reference;
}

void RecordBase::Describe(std::string& markdown) const {
  markdown += doc_ + "\n";
  if (const auto presets = PresetNames(); !presets.empty()) {
    markdown += "\nMay also be written as one word: ";
    for (std::size_t i = 0; i < presets.size(); ++i) markdown += (i == 0 ? "`" : ", `") + std::string(presets[i]) + "`";
    markdown += ".\n";
  }
  if (text_field_ >= 0) {
    markdown +=
        "\nMay also be written as the text of `" + fields_[static_cast<std::size_t>(text_field_)].name + "` alone.\n";
  }
  if (fields_.empty() && !variant_) {
    markdown += "\nIt has no fields.\n";
    return;
  }
  markdown += "\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n";
  if (variant_) {
    for (const Alternative& one : variant_->alternatives()) {
      markdown += "| `" + one.name + "` | " + one.type->Words() + " | | " + OneLine(one.doc) + " |\n";
    }
  }
  for (const Field& field : fields_) {
    std::string shown = field.default_words;
    const Node value = field.type->Write(field.Get(Defaults()));
    const bool tells =
        value.kind != Node::Kind::kNull && (value.IsScalar() ? !value.text.empty() : !value.children.empty());
    if (field.presence == Presence::kRequired) shown = "required";
    if (shown.empty() && tells) shown = "`" + (value.IsText() ? value.text : EmitCompactJson(value)) + "`";
    markdown += "| `" + field.name + "` | " + field.type->Words() + " | " + shown + " | " + OneLine(field.doc) + " |\n";
  }
}

void RecordBase::AddParts(std::vector<const Section*>& sections) const {
  if (variant_) variant_->AddParts(sections);
  for (const Field& field : fields_) field.type->AddSections(sections);
}

}  // namespace weir::config
