#include "storage/memory/memory_admin.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <mutex>
#include <string>
#include <utility>

#include "algorithms/instant.h"
#include "storage/memory/states.h"

namespace weir::storage::memory {
namespace {

// Cells looked at for one page, however few hold a state: a page is never slow.
constexpr std::uint64_t kMostCells = 1 << 16;

// Where a scan goes on. As text: "w INDEX" in the cells, "l SHARD LEFT" in the lists.
struct Cursor {
  bool words = true;
  std::uint64_t place = 0;
  std::uint64_t left = std::numeric_limits<std::uint64_t>::max();  // states of the shard that are still to be seen

  std::string Text() const {
    return words ? "w " + std::to_string(place) : "l " + std::to_string(place) + " " + std::to_string(left);
  }
};

std::optional<std::uint64_t> TakeNumber(std::string_view& text) {
  if (!text.starts_with(' ')) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data() + 1, text.data() + text.size(), value);
  if (fault != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::optional<Cursor> ParseCursor(std::string_view text, std::size_t shards) {
  Cursor cursor;
  if (text.empty()) return cursor;
  cursor.words = text[0] == 'w';
  if (!cursor.words && text[0] != 'l') return std::nullopt;
  text.remove_prefix(1);
  const auto place = TakeNumber(text);
  if (!place) return std::nullopt;
  cursor.place = *place;
  if (!cursor.words) {
    const auto left = TakeNumber(text);
    if (!left || cursor.place >= shards) return std::nullopt;
    cursor.left = *left;
  }
  if (!text.empty()) return std::nullopt;
  return cursor;
}

StateRecord RecordOf(const Cell& cell) {
  StateRecord record{.form = StateForm::kWord, .name = {}, .expires = cell.word, .words = {cell.word}, .bytes = {}};
  record.name.key.hi = cell.owner;
  return record;
}

StateRecord RecordOf(const ListState& state) {
  StateRecord record{.form = StateForm::kList,
                     .name = {},
                     .kind = state.kind,
                     .expires = state.expires,
                     .words = state.words,
                     .bytes = {}};
  record.name.key = state.key;
  return record;
}

// The list state under `key`, of whatever kind; nullptr: none. Its shard is held.
ListState* FindList(ListShard& shard, const Key& key) {
  for (const algorithms::Algorithm& algorithm : algorithms::All()) {
    if (algorithm.shape != Shape::kList) continue;
    if (ListState* const state = shard.Find(key, algorithm.kind); state != nullptr) return state;
  }
  return nullptr;
}

}  // namespace

Result<Admin::Page> MemoryAdmin::Scan(std::string_view text, std::size_t most, Nanos now) {
  now = algorithms::ClampNow(now);
  auto cursor = ParseCursor(text, lists_.shards());
  if (!cursor) return Fail(ErrorCode::kInvalidArgument, "a cursor that this store did not give out");
  if (most == 0 || most > kMostScanned) return Fail(ErrorCode::kInvalidArgument, "a page holds 1 to 10000 states");
  Page page;
  const auto full = [&] { return page.states.size() >= most; };
  for (std::uint64_t seen = 0; cursor->words; ++cursor->place, ++seen) {
    if (full() || seen == kMostCells) {
      page.next = cursor->Text();
      return page;
    }
    if (cursor->place >= cells_.cells()) {
      *cursor = {.words = false};
      break;
    }
    const Cell cell = cells_.Read(cursor->place, now);
    if (cell.owner > kDead) page.states.push_back(RecordOf(cell));
  }
  // From the last to the first: one that is dropped meanwhile gives its place to the last, which has been seen by then.
  for (; cursor->place < lists_.shards(); ++cursor->place) {
    ListShard& shard = lists_.ShardAt(cursor->place);
    if (!shard.LooksEmpty()) {
      const std::lock_guard lock(shard.mutex());
      cursor->left = std::min<std::uint64_t>(cursor->left, shard.size());
      while (cursor->left > 0 && !full()) {
        const ListState& state = shard.at(--cursor->left);
        if (state.expires > now) page.states.push_back(RecordOf(state));
      }
      if (cursor->left > 0) {
        page.next = cursor->Text();
        return page;
      }
    }
    cursor->left = std::numeric_limits<std::uint64_t>::max();
  }
  return page;
}

Result<std::optional<StateRecord>> MemoryAdmin::Get(const StateName& name, Nanos now) {
  now = algorithms::ClampNow(now);
  const std::uint64_t owner = FingerprintOf(name.key);
  if (const CellTable::Found found = cells_.Find(owner); found.word > now) {
    return RecordOf(Cell{.owner = owner, .word = found.word});
  }
  ListShard& shard = lists_.ShardOf(name.key);
  const std::lock_guard lock(shard.mutex());
  const ListState* const state = FindList(shard, name.key);
  if (state == nullptr || state->expires <= now) return std::optional<StateRecord>();
  return RecordOf(*state);
}

Result<bool> MemoryAdmin::Reset(const StateName& name) {
  const std::uint64_t owner = FingerprintOf(name.key);
  bool any = false;
  for (CellTable::Found found = cells_.Find(owner); found.word != 0; found = cells_.Find(owner)) {
    if (!cells_.Swap(found.cell, owner, found.word, 0)) continue;
    any = true;
    break;
  }
  ListShard& shard = lists_.ShardOf(name.key);
  const std::lock_guard lock(shard.mutex());
  if (ListState* const state = FindList(shard, name.key); state != nullptr) {
    shard.Erase(state, lists_.budget());
    any = true;
  }
  return any;
}

Result<Admin::Imported> MemoryAdmin::Import(std::span<const StateRecord> states, Nanos now) {
  now = algorithms::ClampNow(now);
  for (const StateRecord& state : states) {
    const bool word = state.form == StateForm::kWord && state.words.size() == 1 && state.words[0] > 0;
    const bool list = state.form == StateForm::kList && ShapeOf(state.kind) == Shape::kList;
    if (!word && !list) {
      return Fail(ErrorCode::kFailedPrecondition, "a state of another store: memory takes words and lists");
    }
  }
  Imported report;
  for (const StateRecord& state : states) {
    const bool word = state.form == StateForm::kWord;
    if ((word ? state.words[0] : state.expires) <= now) {
      ++report.expired;
    } else if (word) {
      ImportWord(state, now, report);
    } else {
      ImportList(state, report);
    }
  }
  return report;
}

void MemoryAdmin::ImportWord(const StateRecord& state, Nanos now, Imported& report) {
  const std::uint64_t owner = FingerprintOf(state.name.key);
  const Word word = state.words[0];
  while (true) {
    const CellTable::Found found = cells_.Find(owner);
    if (found.word >= word) {
      ++report.present;
      return;
    }
    if (found.cell != nullptr) {
      if (!cells_.Swap(found.cell, owner, found.word, word)) continue;
      ++report.taken;
      return;
    }
    // Never evicts: what is there already is worth as much.
    const CellTable::Inserted inserted = cells_.Insert(owner, word, now, FullPolicy::kDenyNew);
    if (inserted == CellTable::Inserted::kExists) continue;
    ++(inserted == CellTable::Inserted::kDone ? report.taken : report.dropped);
    return;
  }
}

void MemoryAdmin::ImportList(const StateRecord& state, Imported& report) {
  ListShard& shard = lists_.ShardOf(state.name.key);
  const std::lock_guard lock(shard.mutex());
  ListState* const present = FindList(shard, state.name.key);
  ListState taken{.key = state.name.key, .kind = state.kind, .expires = state.expires, .words = state.words};
  if (present != nullptr && !SaysMore(taken, *present)) {
    ++report.present;
    return;
  }
  if (present != nullptr) shard.Erase(present, lists_.budget());
  if (!lists_.budget().HasRoomForState()) {
    ++report.dropped;
    return;
  }
  shard.Insert(std::move(taken), lists_.budget());
  ++report.taken;
}

}  // namespace weir::storage::memory
