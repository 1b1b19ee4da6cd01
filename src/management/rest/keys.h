// API keys: an entity each (`api_keys` in the document), named by the digest of its secret. The secret itself is
// nowhere but in the answer that brought it.
#pragma once

#include <optional>
#include <string>

#include "config/source/config_store.h"

namespace weir::management::rest {

class Api;

// "key_<32 hex digits>" <-> the record's key, "sha256:<32 hex digits>".
std::optional<std::string> RecordKeyOfKey(const std::string& id);
std::string IdOfRecordKey(const std::string& key);

// The tenant of the user that the key stands for, empty: none, or nothing is known of that user; nullopt: it names
// none. Whoever brings the key is that user, so it is the user's tenant whose key it is.
std::optional<std::string> TenantOfUserOf(const Api& api, const config::RecordBody& key);

// Labels that issuing writes: what may be shown of the secret, and which key it took the place of.
void KeepKeyLabels(const config::RecordBody& from, config::RecordBody& to);

}  // namespace weir::management::rest
