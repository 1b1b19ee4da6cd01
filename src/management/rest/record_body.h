// Bodies of records: the document's own shape, and beside it what every record may have: `expires`, `labels`, `note`.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/source/config_store.h"
#include "config/source/record_kinds.h"
#include "config/validate/entity.h"
#include "management/rest/collections.h"
#include "management/rest/message.h"
#include "weir/config.h"

namespace weir::management::rest {

// Reads and checks one record's body, with the place of each fault in `text`. A part of the policy is checked only in
// its structure: whoever has the whole checks the rest.
std::expected<config::RecordBody, std::vector<BodyFault>> ReadRecordBody(const Collection& collection,
                                                                         const std::string& key, std::string_view text,
                                                                         const config::Surroundings& around);

// What the API answers for it: the value, and what else is set.
std::string WriteRecordBody(const config::RecordBody& body);

// The same faults, with paths below the record: "users.ann.rule.max_requests" -> "rule.max_requests". Warnings and
// those of other parts are left out.
std::vector<BodyFault> FaultsBelow(const Collection& collection, const std::string& key,
                                   const std::vector<Fault>& faults);
std::string DocumentPath(const Collection& collection, const std::string& key);

// "2026-12-04T17:00:00Z", to the second or finer.
std::optional<Nanos> ParseTimestamp(std::string_view text);
std::string TimestampText(Nanos time);

}  // namespace weir::management::rest
