#include "storage/postgres/postgres_admin.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "algorithms/instant.h"
#include "storage/postgres/row.h"

namespace weir::storage::postgres {
namespace {

using io::postgres::Params;
using io::postgres::Rows;
using io::postgres::Type;

// Records of one statement of an import.
constexpr std::size_t kAtOnce = 500;

// The answer to one request, and who waits for it.
struct Answered {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<Rows>> result;

  void Set(Result<Rows> told) {
    const std::lock_guard lock(mutex);
    result = std::move(told);
    changed.notify_all();
  }
};

class AnswerExchange final : public io::postgres::Exchange {
 public:
  explicit AnswerExchange(std::shared_ptr<Answered> answered) : answered_(std::move(answered)) {}
  void OnRows(io::postgres::Connection&, std::span<const Rows> answers) override {
    answered_->Set(answers.empty() ? Rows() : answers.back());
  }
  void OnRefused(io::postgres::Connection&, const io::postgres::ServerError& error) override {
    answered_->Set(Fail(ErrorCode::kUnavailable, "postgres refused: " + error.message));
  }
  void OnFailure(io::postgres::Failure) override {
    answered_->Set(Fail(ErrorCode::kUnavailable, "postgres does not answer"));
  }

 private:
  const std::shared_ptr<Answered> answered_;
};

std::unexpected<Error> Strange() { return Fail(ErrorCode::kUnavailable, "postgres answered something else"); }

// The columns key, word, kind, list, expires. nullopt: not a state that is known here, or expired.
std::optional<StateRecord> RecordOf(const Rows& rows, std::size_t row, Nanos now) {
  std::optional<std::string_view> bytes;
  if (!rows.IsNull(row, 3)) bytes = rows.Bytes(row, 3);
  std::optional<State> state;
  const auto kind = static_cast<std::int16_t>(rows.Int(row, 2));
  if (ReadRow(kind, rows.Int(row, 1), bytes, state) != RowFault::kNone || !state || kind <= 0) return std::nullopt;
  // A bucket's row may be swept later than its state expires.
  const Nanos expires = IsBucket(kind) ? state->word : rows.Int(row, 4);
  if (expires <= now) return std::nullopt;
  StateRecord record{.form = StateForm::kPostgres,
                     .name = {.rule = {}, .subject = {}, .key = rows.Uuid(row, 0), .place = {}},
                     .kind = static_cast<algorithms::Kind>(kind),
                     .expires = expires,
                     .words = std::move(state->list),
                     .bytes = {}};
  if (algorithms::Of(record.kind).shape == algorithms::Shape::kWord) record.words = {state->word};
  return record;
}

bool HaveStates(const Rows& rows) {
  return rows.Have({Type::kUuid, Type::kInt64, Type::kInt16, Type::kBytes, Type::kInt64});
}

std::optional<Key> ReadCursor(std::string_view cursor) {
  Key key;
  if (cursor.empty()) return key;
  if (cursor.size() != 32) return std::nullopt;
  const auto read = [](std::string_view digits, std::uint64_t& to) {
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), to, 16);
    return fault == std::errc{} && end == digits.data() + digits.size();
  };
  if (!read(cursor.substr(0, 16), key.hi) || !read(cursor.substr(16), key.lo)) return std::nullopt;
  return key;
}

}  // namespace

Result<Rows> PostgresAdmin::Ask(std::string_view text, Params params) {
  const auto answered = std::make_shared<Answered>();
  auto request = std::make_unique<Request>();
  request->statements.push_back({text, std::move(params)});
  request->exchange = std::make_unique<AnswerExchange>(answered);
  request->timeout = kAnswerWithin;
  if (!pool_.Ask(std::move(request))) return Fail(ErrorCode::kUnavailable, "the store is closed");
  std::unique_lock lock(answered->mutex);
  answered->changed.wait(lock, [&] { return answered->result.has_value(); });
  return *std::move(answered->result);
}

Result<Admin::Page> PostgresAdmin::Scan(std::string_view cursor, std::size_t most, Nanos now) {
  if (most == 0 || most > kMostScanned) return Fail(ErrorCode::kInvalidArgument, "a page holds 1 to 10000 states");
  const std::optional<Key> after = ReadCursor(cursor);
  if (!after) return Fail(ErrorCode::kInvalidArgument, "a cursor that this store did not give out");
  Params params;
  params.Add(*after).Add(static_cast<std::int64_t>(most));
  const auto rows = Ask(statements_.scan, std::move(params));
  if (!rows) return std::unexpected(rows.error());
  if (!HaveStates(*rows)) return Strange();
  Page page;
  for (std::size_t row = 0; row < rows->size(); ++row) {
    auto record = RecordOf(*rows, row, algorithms::ClampNow(now));
    if (record) page.states.push_back(std::move(*record));
  }
  if (rows->size() == most) {
    const Key last = rows->Uuid(rows->size() - 1, 0);
    page.next = fmt::format("{:016x}{:016x}", last.hi, last.lo);
  }
  return page;
}

Result<std::optional<StateRecord>> PostgresAdmin::Get(const StateName& name, Nanos now) {
  Params params;
  params.Add(name.key);
  const auto rows = Ask(statements_.get, std::move(params));
  if (!rows) return std::unexpected(rows.error());
  if (!HaveStates(*rows)) return Strange();
  std::optional<StateRecord> record;
  if (rows->size() > 0) record = RecordOf(*rows, 0, algorithms::ClampNow(now));
  return record;
}

Result<bool> PostgresAdmin::Reset(const StateName& name) {
  Params params;
  params.Add(name.key);
  const auto rows = Ask(statements_.reset, std::move(params));
  if (!rows) return std::unexpected(rows.error());
  return rows->size() > 0;
}

Result<Admin::Imported> PostgresAdmin::Import(std::span<const StateRecord> states, Nanos now) {
  now = algorithms::ClampNow(now);
  for (const StateRecord& state : states) {
    const auto shape = algorithms::Of(state.kind).shape;
    const bool sane =
        shape == algorithms::Shape::kList || (shape == algorithms::Shape::kWord && state.words.size() == 1);
    if (state.form != StateForm::kPostgres || !sane) {
      return Fail(ErrorCode::kFailedPrecondition, "a state of another store: postgres takes what postgres gave out");
    }
  }
  Imported report;
  std::vector<const StateRecord*> live;
  for (const StateRecord& state : states) {
    if (state.expires <= now) {
      ++report.expired;
    } else {
      live.push_back(&state);
    }
  }
  // Sorted, as everybody locks rows; of two records of one key the first stands.
  const auto key_of = [](const StateRecord* record) { return std::pair(record->name.key.hi, record->name.key.lo); };
  std::ranges::sort(live, {}, [&](const StateRecord* record) { return std::pair(key_of(record), record); });
  const auto twice = std::ranges::unique(live, {}, key_of);
  report.present += twice.size();
  live.erase(twice.begin(), twice.end());
  for (std::size_t from = 0; from < live.size(); from += kAtOnce) {
    const auto some = std::span<const StateRecord* const>(live).subspan(from, std::min(kAtOnce, live.size() - from));
    std::vector<Key> keys;
    std::vector<std::int64_t> words, ends;
    std::vector<std::int16_t> kinds;
    std::vector<std::optional<std::string>> lists;
    for (const StateRecord* const record : some) {
      State state{.kind = static_cast<std::int16_t>(record->kind)};
      if (algorithms::Of(record->kind).shape == algorithms::Shape::kWord) {
        state.word = record->words[0];
      } else {
        state.list = record->words;
      }
      keys.push_back(record->name.key);
      words.push_back(state.word);
      ends.push_back(record->expires);
      kinds.push_back(state.kind);
      lists.push_back(ListColumn(state));
    }
    Params params;
    params.Add(std::span<const Key>(keys)).Add(std::span<const std::int64_t>(words));
    params.Add(std::span<const std::int64_t>(ends)).Add(std::span<const std::int16_t>(kinds));
    params.Add(std::span<const std::optional<std::string>>(lists)).Add(now);
    const auto rows = Ask(statements_.import, std::move(params));
    if (!rows) return std::unexpected(rows.error());
    report.taken += rows->size();
    report.present += some.size() - rows->size();
  }
  return report;
}

}  // namespace weir::storage::postgres
