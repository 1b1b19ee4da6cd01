// Finding records: by filters, newest first, page by page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "management/audit/record.h"
#include "management/audit/segments.h"
#include "weir/result.h"

namespace weir::management::audit {

// A record is found when it matches everything that is set.
struct Filter {
  std::string actor{}, object_kind{}, object_id{}, request_id{}, address{};
  std::string action{};                 // "update:users"; "update:*" or "*:users" for several
  std::optional<std::string> tenant{};  // of the object; "": objects of no tenant
  std::optional<Outcome> outcome{};
  Nanos from = 0;  // inclusive
  Nanos to = 0;    // exclusive; 0: no bound
};
bool Matches(const Filter& filter, const Record& record);

struct Page {
  std::vector<Record> records{};
  // Where the next page begins; empty: there is nothing more. A page may hold fewer records than were asked for, even
  // none, and still have a next one: one call looks at no more than kMostScanned records.
  std::string next{};
};
inline constexpr std::size_t kMostPage = 1'000;
inline constexpr std::size_t kMostScanned = 50'000;

// What may be read: the last segment up to `last_size` only, for what lies behind is not acknowledged.
struct ReadableSegments {
  std::vector<Segment> segments;
  std::uint64_t last_size = 0;
};

Result<Page> QueryNewestFirst(const ReadableSegments& from, const Filter& filter, std::size_t limit,
                              std::string_view cursor);
Result<> VisitOldestFirst(const ReadableSegments& from, const Filter& filter,
                          const std::function<bool(const Record&, std::string_view line)>& visit);

}  // namespace weir::management::audit
