#include "frontends/rls/envoy/settings.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <utility>

namespace weir::rls {
namespace {

using Field = std::string_view Request::*;

struct Name {
  std::string_view name;
  Field field;
};
constexpr std::array<Name, 8> kFields = {{{"ip", &Request::peer_ip},
                                          {"user", &Request::user},
                                          {"tenant", &Request::tenant},
                                          {"tier", &Request::tier},
                                          {"api_key", &Request::api_key},
                                          {"country", &Request::country},
                                          {"method", &Request::method},
                                          {"path", &Request::path}}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kBuiltIn = {{{"remote_address", "ip"},
                                                                                     {"masked_remote_address", "ip"},
                                                                                     {"user", "user"},
                                                                                     {"user_id", "user"},
                                                                                     {"tenant", "tenant"},
                                                                                     {"tenant_id", "tenant"},
                                                                                     {"tier", "tier"},
                                                                                     {"api_key", "api_key"},
                                                                                     {"country", "country"},
                                                                                     {"method", "method"},
                                                                                     {"path", "path"}}};

// nullptr: "none", and what validation refuses.
Field FieldOf(std::string_view name) {
  const auto found = std::ranges::find(kFields, name, &Name::name);
  return found == kFields.end() ? nullptr : found->field;
}

}  // namespace

AttributeTable::AttributeTable(const std::map<std::string, std::string>& written) {
  std::map<std::string, std::string> table(kBuiltIn.begin(), kBuiltIn.end());
  for (const auto& [key, name] : written) table[key] = name;
  for (const auto& [key, name] : table) {
    if (const Field field = FieldOf(name)) known_.push_back({key, field});
  }
  std::ranges::stable_sort(known_, {}, [](const Known& known) { return Bucket(known.key); });
  for (const Known& known : known_) ++begin_[Bucket(known.key) + 1];
  for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
}

void AttributeTable::Fill(std::span<const Attribute> entries, Request& request) const {
  for (const Attribute& entry : entries) {
    const std::size_t bucket = Bucket(entry.name);
    for (std::uint32_t i = begin_[bucket]; i < begin_[bucket + 1]; ++i) {
      if (known_[i].key != entry.name) continue;
      std::string_view& field = request.*known_[i].field;
      if (field.empty())
        field = known_[i].field == &Request::peer_ip ? entry.value.substr(0, entry.value.find('/')) : entry.value;
      break;
    }
  }
}

DescriptorMetadata MetadataOf(const config::Snapshot& snapshot) {
  DescriptorMetadata all;
  for (const config::Rule& rule : snapshot.rules()) {
    if (rule.descriptor == nullptr || rule.descriptor->metadata.empty()) continue;
    boost::system::error_code fault;
    boost::json::parse_options options;
    options.max_depth = 64;
    const boost::json::value value = boost::json::parse(rule.descriptor->metadata, fault, {}, options);
    if (!fault && value.is_object()) all.emplace(rule.path, value.get_object());
  }
  return all;
}

}  // namespace weir::rls
