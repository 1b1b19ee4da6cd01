// What can be listed: its path in the API, and the columns in which people see it.
#pragma once

#include <boost/json/value.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/admin/outcome.h"

namespace weir::cli::admin {

struct Column {
  std::string_view head;
  std::string_view path;  // in an item; "limit" and "labels" beginning with '#' are made of several fields
};

struct Kind {
  std::string_view name;  // "users": also its path
  bool records;           // can be set, deleted and applied; an item has name, etag, source and value
  bool bulk;              // `apply` takes it
  std::span<const Column> columns;
};

std::span<const Kind> Kinds();
// As written, or in the singular ("user"). An error names what was meant.
Outcome<const Kind*> KindNamed(std::string_view name);

// What a command's words name: "users", "users/alice", "endpoints//login", "overrides/users/alice", or two words.
struct Target {
  const Kind* kind = nullptr;
  std::string name = {};     // empty: all of them
  std::string path() const;  // "/users/alice", encoded
  std::string text() const;  // "users/alice"
};
Outcome<Target> TargetOf(const std::string& first, const std::string& second);
// The same, and it must name one that can be set.
Outcome<Target> RecordOf(const std::string& first, const std::string& second);

// Head and rows.
std::vector<std::vector<std::string>> RowsOf(const Kind& kind, const boost::json::array& items);
// "500 / 60 s" of a rule or of what holds one; empty: it has none.
std::string LimitText(const boost::json::value& value);

}  // namespace weir::cli::admin
