#include "storage/postgres/batch_codec.h"

namespace weir::storage::postgres {

using io::postgres::Rows;
using io::postgres::Type;

ErrorKind KindOf(std::string_view code) {
  if (code == "55P03" || code == "40P01" || code == "40001") return ErrorKind::kLocked;
  if (code == "25006") return ErrorKind::kReadOnly;
  if (code.starts_with("53") || code == "58030") return ErrorKind::kFull;
  // The schema is gone, or was made anew without what we use.
  if (code == "42P01" || code == "42883" || code == "3F000") return ErrorKind::kMissing;
  return ErrorKind::kOther;
}

bool LoadRows(const Rows& rows, WorkingSet& set) {
  if (!rows.Have({Type::kUuid, Type::kInt64, Type::kInt16, Type::kBytes})) return false;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    std::optional<std::string_view> bytes;
    if (!rows.IsNull(row, 3)) bytes = rows.Bytes(row, 3);
    std::optional<State> state;
    const RowFault fault = ReadRow(static_cast<std::int16_t>(rows.Int(row, 2)), rows.Int(row, 1), bytes, state);
    set.Load(rows.Uuid(row, 0), std::move(state), fault);
  }
  return true;
}

std::vector<Key> KeysOf(std::span<const JobPtr> jobs) {
  std::vector<Key> keys;
  for (const JobPtr& job : jobs) keys.insert(keys.end(), job->keys.begin(), job->keys.end());
  SortKeys(keys);
  return keys;
}

io::postgres::Params EncodeChanges(const WorkingSet::Changes& changes) {
  std::vector<Key> keys;
  std::vector<std::int64_t> words, ends;
  std::vector<std::int16_t> kinds;
  std::vector<std::optional<std::string>> lists;
  for (const auto& [key, state] : changes.written) {
    keys.push_back(key);
    words.push_back(state->word);
    ends.push_back(state->expires);
    kinds.push_back(state->kind);
    lists.push_back(ListColumn(*state));
  }
  io::postgres::Params params;
  params.Add(std::span<const Key>(keys)).Add(std::span<const std::int64_t>(words));
  params.Add(std::span<const std::int64_t>(ends)).Add(std::span<const std::int16_t>(kinds));
  params.Add(std::span<const std::optional<std::string>>(lists)).Add(std::span<const Key>(changes.gone));
  return params;
}

}  // namespace weir::storage::postgres
