#include "config/source/sqlite/rows.h"

#include <fmt/format.h>

#include <utility>

#include "config/document/node.h"

namespace weir::config::sqlite {

std::string EncodeLabels(const std::map<std::string, std::string>& labels) {
  if (labels.empty()) return {};
  Node node = Node::Map();
  for (const auto& [name, label] : labels) node.Add(name, Node::String(label));
  return EmitCompactJson(node);
}

void BoundBody::BindTo(Statement& statement) const {
  if (body_ == nullptr) {
    statement.BindNull().BindNull().BindNull().BindNull();
  } else {
    statement.Bind(body_->value).Bind(body_->expires).Bind(labels_).Bind(body_->note);
  }
}

Result<std::optional<RecordBody>> ReadBody(const Statement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  RecordBody body{.value = std::string(row.Text(column)), .note = std::string(row.Text(column + 3))};
  if (!row.IsNull(column + 1)) body.expires = row.Integer(column + 1);
  if (const std::string_view labels = row.Text(column + 2); !labels.empty()) {
    const ParsedTree tree = ParseJsonTree(labels);
    if (!tree.faults.empty()) return Fail(ErrorCode::kDataLoss, "the labels of a record are damaged");
    for (const Node& label : tree.root.children) body.labels.emplace(label.key, label.text);
  }
  return body;
}

Revision ReadRevision(const Statement& row) {
  return {.number = row.Unsigned(0),
          .parent = row.Unsigned(1),
          .author = std::string(row.Text(4)),
          .reason = std::string(row.Text(6)),
          .source = std::string(row.Text(7)),
          .time = row.Integer(3),
          .method = std::string(row.Text(5)),
          .state = static_cast<RevisionState>(row.Integer(2)),
          .rollback_to = row.Unsigned(8),
          .promotes = row.Unsigned(9),
          .promoted_as = row.Unsigned(10),
          .change_count = row.Unsigned(11)};
}

Result<Revision> ReadHead(Database& database) {
  Statement row = database.Prepare("SELECT " WEIR_REVISION
                                   " FROM revisions WHERE state = ? AND promoted_as = 0 ORDER BY number DESC LIMIT 1");
  row.Bind(static_cast<std::int64_t>(RevisionState::kInForce));
  const auto found = row.Step();
  if (!found) return std::unexpected(found.error());
  return *found ? ReadRevision(row) : Revision{};
}

Result<Revision> ReadStored(Database& database, std::uint64_t number) {
  Statement row = database.Prepare("SELECT " WEIR_REVISION " FROM revisions WHERE number = ?");
  const auto found = row.Bind(number).Step();
  if (!found) return std::unexpected(found.error());
  if (!*found) return Fail(ErrorCode::kNotFound, fmt::format("there is no revision {}", number));
  return ReadRevision(row);
}

}  // namespace weir::config::sqlite
