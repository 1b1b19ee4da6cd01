// Records of a configuration store, as an API takes them: `KIND KEY JSON` a line. Whatever they are, they become a
// document or faults; a document that can be read comes back from its own records; and each may be patched with the
// next.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "config/document/document.h"
#include "config/source/record_kinds.h"

namespace {

using weir::config::Node;
using weir::config::RecordValue;

std::optional<RecordValue> Parse(std::string_view line) {
  const std::size_t kind = line.find(' ');
  const std::size_t key = kind == std::string_view::npos ? kind : line.find(' ', kind + 1);
  if (key == std::string_view::npos) return std::nullopt;
  weir::config::ParsedTree tree = weir::config::ParseJsonTree(line.substr(key + 1));
  if (!tree.faults.empty()) return std::nullopt;
  return RecordValue{
      .id = {.kind = std::string(line.substr(0, kind)), .key = std::string(line.substr(kind + 1, key - kind - 1))},
      .value = std::move(tree.root)};
}

// Nothing, unless all of it is right.
std::optional<weir::EnterpriseRateLimitConfig> Read(std::vector<RecordValue> records) {
  std::vector<weir::Fault> faults;
  const Node document = weir::config::ToDocument(std::move(records), faults);
  weir::EnterpriseRateLimitConfig config;
  if (!weir::config::ReadDocument(document, config).empty() || !faults.empty()) return std::nullopt;
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<RecordValue> records;
  while (!text.empty() && records.size() < 100) {
    const std::size_t end = text.find('\n');
    if (auto record = Parse(text.substr(0, end))) records.push_back(std::move(*record));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  for (std::size_t i = 1; i < records.size(); ++i) {
    (void)weir::config::PatchValue(records[i - 1].id, records[i - 1].value, records[i].value);
    (void)weir::config::EffectOf(records[i].id);
  }
  const auto config = Read(records);
  if (!config) return 0;
  std::vector<RecordValue> again;
  for (auto& [id, json] : weir::config::ToRecords(*config)) {
    again.push_back({.id = std::move(id), .value = weir::config::ParseJsonTree(json).root});
  }
  const auto same = Read(std::move(again));
  if (!same || weir::ToJson(*same) != weir::ToJson(*config)) std::abort();
  return 0;
}
