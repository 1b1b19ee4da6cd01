// Where the bytes of a text stand in its document (config/document/scalar_place.h), for every text of a tree.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/document/scalar_place.h"

namespace {

void LookAt(std::string_view source, const weir::config::Node& node, std::size_t& left) {
  if (node.IsScalar()) {
    for (std::size_t offset = 0; offset <= node.text.size() && left > 0; ++offset, --left) {
      const auto place = weir::config::PlaceInScalar(source, node, offset);
      if (!place) continue;
      const auto lines = static_cast<std::size_t>(std::ranges::count(source, '\n')) + 1;
      if (place->line < node.line || place->line > lines || place->column == 0) std::abort();
    }
  }
  for (const auto& child : node.children) LookAt(source, child, left);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t left = 2000;
  for (const bool json : {false, true}) {
    const auto tree = json ? weir::config::ParseJsonTree(text) : weir::config::ParseYamlTree(text);
    if (tree.faults.empty()) LookAt(text, tree.root, left);
  }
  return 0;
}
