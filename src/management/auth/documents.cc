#include "management/auth/documents.h"

#include <limits>

namespace weir::management {

Result<> Documents::Put(std::string_view kind, std::uint64_t number, std::string_view value) {
  if (value.size() > kMostBytes) return Fail(ErrorCode::kInvalidArgument, "it is too long to be kept");
  return database_.Write([&](Database::Access& access) {
    return access.Run("INSERT OR REPLACE INTO documents (kind, number, value) VALUES (?, ?, ?)",
                      {kind, static_cast<std::int64_t>(number), value});
  });
}

Result<std::string> Documents::Get(std::string_view kind, std::uint64_t number) {
  std::string value;
  bool found = false;
  const auto read = database_.Read([&](Database::Access& access) {
    return access.Query("SELECT value FROM documents WHERE kind = ? AND number = ?",
                        {kind, static_cast<std::int64_t>(number)}, [&](const Row& row) {
                          value = row.Text(0);
                          found = true;
                        });
  });
  if (!read) return std::unexpected(read.error());
  if (!found) return Fail(ErrorCode::kNotFound, "there is no such entry");
  return value;
}

Result<Documents::Listed> Documents::List(std::string_view kind, std::uint64_t before, std::size_t most) {
  Listed listed;
  const std::int64_t below = before == 0 ? std::numeric_limits<std::int64_t>::max() : static_cast<std::int64_t>(before);
  const auto read = database_.Read([&](Database::Access& access) {
    return access.Query(
        "SELECT number, value FROM documents WHERE kind = ? AND number < ? ORDER BY number DESC LIMIT ?",
        {kind, below, static_cast<std::int64_t>(most)},
        [&](const Row& row) { listed.emplace_back(static_cast<std::uint64_t>(row.Integer(0)), row.Text(1)); });
  });
  if (!read) return std::unexpected(read.error());
  return listed;
}

Result<> Documents::Trim(std::string_view kind, std::size_t most) {
  return database_.Write([&](Database::Access& access) {
    return access.Run(
        "DELETE FROM documents WHERE kind = ? AND number NOT IN "
        "(SELECT number FROM documents WHERE kind = ? ORDER BY number DESC LIMIT ?)",
        {kind, kind, static_cast<std::int64_t>(most)});
  });
}

}  // namespace weir::management
