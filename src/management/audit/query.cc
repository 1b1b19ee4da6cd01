#include "management/audit/query.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace weir::management::audit {
namespace {

// Clocks are set: a file whose times begin so much later than what is asked for is not opened.
constexpr Nanos kSlack = kDay;

bool ActionMatches(std::string_view wanted, std::string_view action) {
  if (wanted.ends_with("*")) return action.starts_with(wanted.substr(0, wanted.size() - 1));
  if (wanted.starts_with("*")) return action.ends_with(wanted.substr(1));
  return wanted == action;
}

std::string CursorText(std::uint64_t segment, std::uint64_t offset) {
  return std::to_string(segment) + "-" + std::to_string(offset);
}

struct Cursor {
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;
};

Result<Cursor> ParseCursor(std::string_view text) {
  Cursor cursor;
  const char* const end = text.data() + text.size();
  const auto [dash, fault] = std::from_chars(text.data(), end, cursor.segment);
  if (fault == std::errc() && dash != end && *dash == '-') {
    const auto [last, second] = std::from_chars(dash + 1, end, cursor.offset);
    if (second == std::errc() && last == end && CursorText(cursor.segment, cursor.offset) == text) return cursor;
  }
  return Fail(ErrorCode::kInvalidArgument, "this cursor was not made by this audit log");
}

// Time of a file's first record; nullopt: it cannot be told.
std::optional<Nanos> FirstTime(const Segment& segment) {
  const auto file = OpenRegularFile(segment.path);
  if (!file) return std::nullopt;
  const auto size = SizeOf(*file);
  if (!size) return std::nullopt;
  LineReader reader(*file, 0, *size, kMostRecord);
  LineReader::Line line;
  const auto more = reader.Next(&line);
  if (!more || !*more) return std::nullopt;
  const auto record = ParseRecord(line.text);
  return record ? std::optional(record->time) : std::nullopt;
}

bool TooNew(const Filter& filter, const Segment& segment) {
  if (filter.to == 0) return false;
  const auto first = FirstTime(segment);
  return first && *first - kSlack >= filter.to;
}

// Whether all records of segments[i] are older, told by those of the file behind it.
bool TooOld(const Filter& filter, const std::vector<Segment>& segments, std::size_t i) {
  if (filter.from == 0 || i + 1 >= segments.size()) return false;
  const auto next = FirstTime(segments[i + 1]);
  return next && *next + kSlack < filter.from;
}

}  // namespace

bool Matches(const Filter& filter, const Record& record) {
  const auto is = [](const std::string& wanted, const std::string& text) { return wanted.empty() || wanted == text; };
  return is(filter.actor, record.actor.name) && is(filter.object_kind, record.object.kind) &&
         is(filter.object_id, record.object.id) && is(filter.request_id, record.request_id) &&
         is(filter.address, record.address) && (filter.action.empty() || ActionMatches(filter.action, record.action)) &&
         (!filter.tenant || *filter.tenant == record.object.tenant) &&
         (!filter.outcome || *filter.outcome == record.outcome) && record.time >= filter.from &&
         (filter.to == 0 || record.time < filter.to);
}

Result<Page> QueryNewestFirst(const ReadableSegments& from, const Filter& filter, std::size_t limit,
                              std::string_view cursor) {
  limit = std::clamp<std::size_t>(limit, 1, kMostPage);
  const std::vector<Segment>& segments = from.segments;
  std::size_t at = segments.size();
  std::optional<std::uint64_t> offset;
  if (!cursor.empty()) {
    const auto parsed = ParseCursor(cursor);
    if (!parsed) return std::unexpected(parsed.error());
    while (at > 0 && segments[at - 1].first > parsed->segment) --at;
    // Removed meanwhile, as are those before it.
    if (at == 0) return Page{};
    if (segments[at - 1].first == parsed->segment) offset = parsed->offset;
  }
  Page page;
  std::size_t scanned = 0;
  for (; at > 0; --at, offset.reset()) {
    const Segment& segment = segments[at - 1];
    if (TooOld(filter, segments, at - 1)) break;
    if (!offset && TooNew(filter, segment)) continue;
    const auto file = OpenRegularFile(segment.path);
    if (!file) {
      if (file.error().code == ErrorCode::kNotFound) break;  // retention came meanwhile
      return std::unexpected(file.error());
    }
    const auto size = SizeOf(*file);
    if (!size) return std::unexpected(size.error());
    const std::uint64_t end = at == segments.size() ? std::min(*size, from.last_size) : *size;
    if (offset) {
      char before = 0;
      if (*offset > end) return Fail(ErrorCode::kInvalidArgument, "this cursor was not made by this audit log");
      if (*offset > 0) {
        LineReader reader(*file, *offset - 1, *offset, 1);
        LineReader::Line line;
        const auto more = reader.Next(&line);
        if (!more) return std::unexpected(more.error());
        before = *more && line.finished ? '\n' : ' ';
      }
      if (*offset > 0 && before != '\n') {
        return Fail(ErrorCode::kInvalidArgument, "this cursor was not made by this audit log");
      }
    }
    ReverseLineReader reader(*file, offset.value_or(end), kMostRecord);
    LineReader::Line line;
    while (true) {
      const auto more = reader.Next(&line);
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      auto record = ParseRecord(line.text);
      if (!record) {
        return Fail(ErrorCode::kDataLoss, "'" + segment.path + "' is damaged at byte " + std::to_string(line.offset) +
                                              ": " + record.error().message);
      }
      if (Matches(filter, *record)) page.records.push_back(std::move(*record));
      if (page.records.size() >= limit || ++scanned >= kMostScanned) {
        const bool oldest = at == 1 && line.offset == 0;
        if (!oldest) page.next = CursorText(segment.first, line.offset);
        return page;
      }
    }
  }
  return page;
}

Result<> VisitOldestFirst(const ReadableSegments& from, const Filter& filter,
                          const std::function<bool(const Record&, std::string_view)>& visit) {
  const std::vector<Segment>& segments = from.segments;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (TooOld(filter, segments, i)) continue;
    if (TooNew(filter, segments[i])) break;
    const auto file = OpenRegularFile(segments[i].path);
    if (!file) {
      if (file.error().code == ErrorCode::kNotFound) continue;
      return std::unexpected(file.error());
    }
    const auto size = SizeOf(*file);
    if (!size) return std::unexpected(size.error());
    const std::uint64_t end = i + 1 == segments.size() ? std::min(*size, from.last_size) : *size;
    LineReader reader(*file, 0, end, kMostRecord);
    LineReader::Line line;
    while (true) {
      const auto more = reader.Next(&line);
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      const auto record = ParseRecord(line.text);
      if (!record) {
        return Fail(ErrorCode::kDataLoss, "'" + segments[i].path + "' is damaged at byte " +
                                              std::to_string(line.offset) + ": " + record.error().message);
      }
      if (Matches(filter, *record) && !visit(*record, line.text)) return {};
    }
  }
  return {};
}

}  // namespace weir::management::audit
