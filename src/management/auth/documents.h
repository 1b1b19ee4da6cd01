// Small JSON documents that the management plane keeps beside the configuration: who proposed a candidate, which
// approvals are asked for, how far a rollout is. Each has a kind and a number. In state_dir/auth.db.
//
// Thread-safe. Every call may wait for a disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "management/auth/database.h"
#include "weir/result.h"

namespace weir::management {

class Documents {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{512} << 10;  // of one

  // `database` outlives it.
  explicit Documents(Database& database) : database_(database) {}

  // Durable when it returns. kInvalidArgument: it is too long.
  Result<> Put(std::string_view kind, std::uint64_t number, std::string_view value);
  Result<std::string> Get(std::string_view kind, std::uint64_t number);  // kNotFound
  // The highest numbers first; numbers below `before` (0: all).
  using Listed = std::vector<std::pair<std::uint64_t, std::string>>;
  Result<Listed> List(std::string_view kind, std::uint64_t before, std::size_t most);
  // Forgets all but the `most` highest numbers.
  Result<> Trim(std::string_view kind, std::size_t most);

 private:
  Database& database_;
};

}  // namespace weir::management
