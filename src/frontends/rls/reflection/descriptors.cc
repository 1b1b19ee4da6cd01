#include "frontends/rls/reflection/descriptors.h"

#include <algorithm>
#include <protozero/pbf_reader.hpp>
#include <set>

namespace weir::rls {
namespace {

struct File {
  std::string_view bytes, name;
  std::vector<std::string_view> imports;
};

std::string_view ViewOf(protozero::data_view view) { return {view.data(), view.size()}; }

std::vector<File> AllFiles() {
  std::vector<File> files;
  protozero::pbf_reader set(EmbeddedDescriptors().data(), EmbeddedDescriptors().size());
  while (set.next(1)) {
    File file;
    file.bytes = ViewOf(set.get_view());
    protozero::pbf_reader descriptor(file.bytes.data(), file.bytes.size());
    while (descriptor.next()) {
      if (descriptor.tag() == 1) {
        file.name = ViewOf(descriptor.get_view());
      } else if (descriptor.tag() == 3) {
        file.imports.push_back(ViewOf(descriptor.get_view()));
      } else {
        descriptor.skip();
      }
    }
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace

std::vector<std::string> FileDescriptors(std::string_view file) {
  const std::vector<File> files = AllFiles();
  // protoc writes each file after its imports: from the last to the first, each brings in its own.
  std::set<std::string_view> wanted = {file};
  std::vector<std::string> found;
  for (auto it = files.rbegin(); it != files.rend(); ++it) {
    if (!wanted.contains(it->name)) continue;
    found.emplace_back(it->bytes);
    wanted.insert(it->imports.begin(), it->imports.end());
  }
  std::reverse(found.begin(), found.end());
  return found;
}

}  // namespace weir::rls
