// The steps behind ParseConfig and ValidateConfig, for those inside weir that need them apart.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/document/node.h"
#include "weir/config.h"
#include "weir/result.h"

namespace weir::config {

// Structure only: fields, types, ranges, spellings. Exactly what the JSON Schema can say, and faults in document order.
std::vector<Fault> ReadDocument(const Node& root, EnterpriseRateLimitConfig& config);

// Semantics: references, networks, zones, patterns, contradictions. `root` gives the lines; an empty tree gives none.
// `source`: its text, which gives the place of faults within a text. Faults in no particular order.
std::vector<Fault> Validate(const EnterpriseRateLimitConfig& config, const Node& root, std::string_view source = {});

// Both, as ParseConfig does them: semantic faults that only follow from those of structure are left out.
ParsedConfig ReadAndValidate(const Node& root, std::string_view source = {});

// Whether a document that was made in code may be put into force: kInvalidArgument with every error that ValidateConfig
// finds, a line each. It is held to what the same document would be held to as text.
Result<> CheckConfig(const EnterpriseRateLimitConfig& config);

// What differs from the defaults.
Node WriteDocument(const EnterpriseRateLimitConfig& config);

}  // namespace weir::config
