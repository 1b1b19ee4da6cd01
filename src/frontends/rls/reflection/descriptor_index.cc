#include "frontends/rls/reflection/descriptor_index.h"

#include <algorithm>
#include <protozero/pbf_reader.hpp>
#include <utility>

namespace weir::rls {
namespace {

// Field numbers of google/protobuf/descriptor.proto.
namespace file_field {
enum : std::uint32_t { kName = 1, kPackage = 2, kImport = 3, kMessage = 4, kEnum = 5, kService = 6, kExtension = 7 };
}
namespace message_field {
enum : std::uint32_t { kName = 1, kField = 2, kNested = 3, kEnum = 4, kExtension = 6, kOneof = 8 };
}
// Of fields, methods, enum values and oneofs; enums have their values, and services their methods, at 2.
constexpr std::uint32_t kName = 1, kMember = 2;
constexpr std::uint32_t kExtended = 2, kNumber = 3;

// Deeper than protobuf itself reads.
constexpr int kDeepest = 100;

std::string_view ViewOf(protozero::data_view view) { return {view.data(), view.size()}; }

std::string Join(std::string_view scope, std::string_view name) {
  return scope.empty() ? std::string(name) : std::string(scope).append(".").append(name);
}

// The first string of that number.
std::string_view Text(std::string_view message, std::uint32_t number) {
  protozero::pbf_reader reader(message.data(), message.size());
  return reader.next(number, protozero::pbf_wire_type::length_delimited) ? ViewOf(reader.get_view())
                                                                         : std::string_view();
}

}  // namespace

// Collects the names of one file; throws protozero's exceptions.
class DescriptorIndex::Reader {
 public:
  explicit Reader(std::string_view bytes) : package_(Text(bytes, file_field::kPackage)) {
    Each(bytes, [&](std::uint32_t number, std::string_view part) {
      switch (number) {
        case file_field::kImport:
          imports.emplace_back(part);
          break;
        case file_field::kMessage:
          Message(package_, part, 0);
          break;
        case file_field::kEnum:
          Enum(package_, part);
          break;
        case file_field::kService:
          Service(part);
          break;
        case file_field::kExtension:
          Extension(package_, part);
          break;
        default:
          break;
      }
    });
  }

  std::vector<std::string> imports, symbols;
  std::vector<std::pair<std::string, std::int32_t>> extensions;

 private:
  template <typename Visit>
  static void Each(std::string_view message, Visit&& visit) {
    protozero::pbf_reader reader(message.data(), message.size());
    while (reader.next()) {
      if (reader.wire_type() == protozero::pbf_wire_type::length_delimited) {
        const std::uint32_t number = reader.tag();
        visit(number, ViewOf(reader.get_view()));
      } else {
        reader.skip();
      }
    }
  }

  void Message(std::string_view scope, std::string_view bytes, int depth) {
    if (depth > kDeepest) return;
    const std::string name = Join(scope, Text(bytes, message_field::kName));
    symbols.push_back(name);
    Each(bytes, [&](std::uint32_t number, std::string_view part) {
      switch (number) {
        case message_field::kField:
        case message_field::kOneof:
          symbols.push_back(Join(name, Text(part, kName)));
          break;
        case message_field::kNested:
          Message(name, part, depth + 1);
          break;
        case message_field::kEnum:
          Enum(name, part);
          break;
        case message_field::kExtension:
          Extension(name, part);
          break;
        default:
          break;
      }
    });
  }
  void Enum(std::string_view scope, std::string_view bytes) {
    symbols.push_back(Join(scope, Text(bytes, kName)));
    // Values lie beside their enum, not in it.
    Each(bytes, [&](std::uint32_t number, std::string_view part) {
      if (number == kMember) symbols.push_back(Join(scope, Text(part, kName)));
    });
  }
  void Service(std::string_view bytes) {
    const std::string name = Join(package_, Text(bytes, kName));
    symbols.push_back(name);
    Each(bytes, [&](std::uint32_t number, std::string_view part) {
      if (number == kMember) symbols.push_back(Join(name, Text(part, kName)));
    });
  }
  void Extension(std::string_view scope, std::string_view bytes) {
    symbols.push_back(Join(scope, Text(bytes, kName)));
    std::string_view extended = Text(bytes, kExtended);
    if (extended.starts_with('.')) extended.remove_prefix(1);
    protozero::pbf_reader reader(bytes.data(), bytes.size());
    if (reader.next(kNumber, protozero::pbf_wire_type::varint)) extensions.emplace_back(extended, reader.get_int32());
  }

  std::string package_;
};

void DescriptorIndex::Add(std::span<const std::string> files) {
  for (const std::string& bytes : files) {
    try {
      const std::string name(Text(bytes, file_field::kName));
      if (names_.contains(name)) continue;
      Reader reader(bytes);
      const std::size_t index = files_.size();
      files_.push_back({bytes, std::move(reader.imports)});
      names_.emplace(name, index);
      for (std::string& symbol : reader.symbols) symbols_.emplace(std::move(symbol), index);
      for (auto& [extended, number] : reader.extensions) extensions_[std::move(extended)].emplace(number, index);
    } catch (const protozero::exception&) {
      continue;
    }
  }
}

std::vector<std::string_view> DescriptorIndex::WithImports(std::size_t index) const {
  std::vector<std::size_t> wanted = {index};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    for (const std::string& import : files_[wanted[i]].imports) {
      const auto found = names_.find(import);
      if (found == names_.end() || std::find(wanted.begin(), wanted.end(), found->second) != wanted.end()) continue;
      wanted.push_back(found->second);
    }
  }
  std::vector<std::string_view> bytes;
  bytes.reserve(wanted.size());
  for (const std::size_t file : wanted) bytes.push_back(files_[file].bytes);
  return bytes;
}

std::vector<std::string_view> DescriptorIndex::ByFile(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? std::vector<std::string_view>() : WithImports(found->second);
}

std::vector<std::string_view> DescriptorIndex::BySymbol(std::string_view name) const {
  const auto found = symbols_.find(name);
  return found == symbols_.end() ? std::vector<std::string_view>() : WithImports(found->second);
}

std::vector<std::string_view> DescriptorIndex::ByExtension(std::string_view extended, std::int32_t number) const {
  const auto found = extensions_.find(extended);
  if (found == extensions_.end()) return {};
  const auto file = found->second.find(number);
  return file == found->second.end() ? std::vector<std::string_view>() : WithImports(file->second);
}

std::vector<std::int32_t> DescriptorIndex::Extensions(std::string_view extended) const {
  std::vector<std::int32_t> numbers;
  const auto found = extensions_.find(extended);
  if (found == extensions_.end()) return numbers;
  for (const auto& [number, file] : found->second) numbers.push_back(number);
  return numbers;
}

}  // namespace weir::rls
