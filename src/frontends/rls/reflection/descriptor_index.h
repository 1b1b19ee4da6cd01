// What a set of .proto files defines, by name: what server reflection looks up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::rls {

class DescriptorIndex {
 public:
  // Adds serialised google.protobuf.FileDescriptorProto; a file that is there already, or is malformed, is passed over.
  void Add(std::span<const std::string> files);

  // The file itself, then all that it imports; empty when there is no such name.
  std::vector<std::string_view> ByFile(std::string_view name) const;
  // A message, field, enum, value, extension, service or method: "grpc.health.v1.Health.Check".
  std::vector<std::string_view> BySymbol(std::string_view name) const;
  std::vector<std::string_view> ByExtension(std::string_view extended, std::int32_t number) const;
  // The numbers of its extensions, in order.
  std::vector<std::int32_t> Extensions(std::string_view extended) const;
  bool HasSymbol(std::string_view name) const { return symbols_.contains(name); }

 private:
  struct File {
    std::string bytes;
    std::vector<std::string> imports;
  };
  class Reader;
  std::vector<std::string_view> WithImports(std::size_t index) const;

  std::vector<File> files_;
  std::map<std::string, std::size_t, std::less<>> names_, symbols_;
  std::map<std::string, std::map<std::int32_t, std::size_t>, std::less<>> extensions_;
};

}  // namespace weir::rls
