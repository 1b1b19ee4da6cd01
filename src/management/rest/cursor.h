// Cursors of lists: opaque to clients, signed so that none can be made up, and bound to the query that they continue.
#pragma once

#include <string>
#include <string_view>

#include "weir/result.h"

namespace weir::management::rest {

// Thread-safe.
class CursorSigner {
 public:
  // `key`: at least 32 bytes, kept secret. The same over restarts, so that cursors outlive them.
  explicit CursorSigner(std::string key) : key_(std::move(key)) {}

  // `query`: everything that decides what the list holds and in which order; `position`: any bytes.
  std::string Sign(std::string_view query, std::string_view position) const;
  // The position. kInvalidArgument: not made here, changed, or of another query.
  Result<std::string> Open(std::string_view query, std::string_view cursor) const;

 private:
  std::string Mac(std::string_view query, std::string_view position) const;
  const std::string key_;
};

}  // namespace weir::management::rest
