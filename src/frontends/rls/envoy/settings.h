// What the services of rate limits take from the document: made once for a configuration, not for each request.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/snapshot/snapshot.h"
#include "weir/config.h"
#include "weir/request.h"

namespace weir::rls {

// Which keys of descriptors are what weir calls ip, user, tenant, ...: the built-in table and what
// EnvoyConfig::attributes adds to it or takes out of it. Immutable.
class AttributeTable {
 public:
  explicit AttributeTable(const std::map<std::string, std::string>& written);
  // Fills in what the entries tell. Of two entries for one thing the first holds. An address that is followed by the
  // length of a prefix (masked_remote_address) is taken without it.
  void Fill(std::span<const Attribute> entries, Request& request) const;

 private:
  struct Known {
    std::string key;
    std::string_view Request::* field;
  };
  static constexpr std::size_t kLengths = 64;  // longer keys share the last one
  static std::size_t Bucket(std::string_view key) { return key.size() < kLengths ? key.size() : kLengths - 1; }

  std::vector<Known> known_;                         // by length
  std::array<std::uint32_t, kLengths + 1> begin_{};  // of each length in known_
};

// DescriptorLimits::metadata, by the paths of the rules of its descriptor.
using DescriptorMetadata = absl::flat_hash_map<std::string_view, boost::json::object>;
DescriptorMetadata MetadataOf(const config::Snapshot& snapshot);

struct Settings {
  Settings(const EnvoyConfig& envoy, std::uint64_t its_version, DescriptorMetadata its_metadata = {})
      : version(its_version),
        count_all(envoy.count_all),
        response_headers(envoy.response_headers),
        dynamic_metadata(envoy.dynamic_metadata),
        attributes(envoy.attributes),
        metadata(std::move(its_metadata)) {}

  const std::uint64_t version;
  const bool count_all, response_headers, dynamic_metadata;
  const AttributeTable attributes;
  const DescriptorMetadata metadata;
};

}  // namespace weir::rls
